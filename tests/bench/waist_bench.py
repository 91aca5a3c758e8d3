"""How narrow the waist is: readers of records that are not typed, slots named outside their file.

`renamed` is the proof of it: every key of every record is renamed in a copy, and mypy has to speak
of each of them.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tests.bench.rows import Row, at_most

RECORD = Path("panelctl/model/record.py")
# What a variable is called that holds a record, or a part of one.
WAIST = re.compile(
    r"(?:\w+_)?(?:record|hello|event|circuit|entry|decision|command|verdict|window|link|unit|row|"
    r"limit|mains|compute|facts)s?",
)
BARE = re.compile(r"\b(?:dict|Mapping|MutableMapping)\[str, Any\]|(?<![\w\[])Any\b(?!\])")
SLOT = re.compile(r"""f["'][^"']*\}\.?[^"' ]*_(?:ma|mv|wh|mc)["']|slot\w*\[f["']""")
HELD = {"CommandRecord", "WindowRecord"}  # made of the table of commands; a unit test compares them
# Written, and read by no part of panelctl.
FOR_OTHERS = {
    ("ComputeRecord", "circuit"),
    *(("LinkRecord", key) for key in ("width", "sweeps")),
    *(("DeviceRecord", key) for key in ("age_s", "wait_ms")),
}
# Read by unpacking a whole record, or before anybody knows that it is one: unit tests hold these.
UNPACKED = {
    ("CycleRecord", "v"),
    ("HelloCircuit", "half"),
    *(("OrderRecord", key) for key in ("ordered", "refused", "lost", "until_s")),
    *(("VerdictRecord", key) for key in ("accepted", "why")),
}
NAMES = Path("tests/tidy/names.toml")
TEXTS = {".py", ".pyx", ".pxd", ".pxi", ".pyi", ".md"}
SLOTS = Path("panelctl/model/slots.py")


def any_readers(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Names of a module that hold records by their name, and are annotated as anything at all."""
    aliases = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign) and BARE.fullmatch(ast.unparse(node.value))
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and node.annotation is not None:
            name, annotation = node.arg, node.annotation
        elif isinstance(node, ast.AnnAssign):
            name, annotation = ast.unparse(node.target).rpartition(".")[2], node.annotation
        else:
            continue
        text = ast.unparse(annotation)
        words = set(re.findall(r"\w+", text))
        if WAIST.fullmatch(name) and (BARE.search(text) or words & aliases):
            yield name, node.lineno


def slot_strings() -> list[str]:
    """Where a slot's name is put together outside of the file of slots."""
    return [
        f"{path}:{number}"
        for path in sorted(Path("panelctl").rglob("*.py"))
        if path != SLOTS
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if SLOT.search(line)
    ]


def keys() -> list[tuple[str, str]]:
    """The records and their keys."""
    return [
        (record.name, item.target.id)
        for record in ast.parse(RECORD.read_text()).body
        if isinstance(record, ast.ClassDef)
        for item in record.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    ]


def unnoticed() -> list[str]:
    """The keys that may be renamed without a word of mypy. What stands in a record that is renamed
    is not looked at any more, so the outer ones are renamed first, then those within.
    """
    outer = {"CycleRecord", "HelloRecord"}
    inner = {"DeviceRecord", "HelloSetpoint"}
    others = {record for record, _ in keys()} - outer - inner - HELD
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "panelctl"
        shutil.copytree("panelctl", copy, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
        shutil.copy("pyproject.toml", folder)
        return [
            f"{record}.{key}"
            for records in (outer, others, inner)
            for record, key in _silent(Path(folder), records)
        ]


def _silent(folder: Path, records: set[str]) -> list[tuple[str, str]]:
    """The keys of some records that mypy misses nowhere when all of these are renamed: whoever
    writes one is told so too, but in other words.
    """
    lines, inside = [], False
    for line in RECORD.read_text().splitlines():
        if line.startswith("class "):
            inside = line.removeprefix("class ").partition("(")[0] in records
        lines.append(re.sub(r"^    (\w+)(: )", r"    \1_renamed\2", line) if inside else line)
    (folder / RECORD).write_text("\n".join(lines))
    command = [sys.executable, "-m", "mypy", "-p", "panelctl", "--no-incremental"]
    said = subprocess.run(command, cwd=folder, capture_output=True, text=True).stdout
    told = {
        (record, key)
        for line in re.findall(r".*has no key.*", said)
        for record in records
        if f'TypedDict "{record}"' in line
        for key in re.findall(r'"(\w+)"', line)
    }
    known = told | FOR_OTHERS | UNPACKED
    return [pair for pair in keys() if pair[0] in records and pair not in known]


def names_left() -> list[str]:
    """Where a word of tests/tidy/names.toml has come back."""
    found = []
    for rule in tomllib.loads(NAMES.read_text())["gone"]:
        pattern = re.compile(r"(?<![\w.])(?:" + "|".join(rule["words"]) + r")(?!\w)")
        for where in rule["where"]:
            for path in sorted(Path(where).rglob("*")):
                if path.suffix not in TEXTS or str(path) in rule.get("but", []):
                    continue
                for number, line in enumerate(path.read_text().splitlines(), 1):
                    if hit := pattern.search(line):
                        found.append(f"{path}:{number}: {hit[0]}: say {rule['say']}")
    return found


def waist_rows() -> list[Row]:
    """The figures of the waist."""
    bare = [
        f"{path}:{line}"
        for path in sorted(Path("panelctl").rglob("*.py"))
        for name, line in any_readers(ast.parse(path.read_text()))
    ]
    silent = unnoticed()
    count = len(keys())
    note = f"bare dictionaries, and of {count} keys those that mypy does not miss when renamed"
    strings = "places that put a slot's name together, outside of model/slots.py"
    kept = (
        f"words that stumbled; {len(tomllib.loads(NAMES.read_text())['kept'])} stay, with reasons"
    )
    return [
        at_most("waist.any_readers", len(bare) + len(silent), "places", 0, count, note),
        at_most("waist.slot_strings", len(slot_strings()), "places", 0, 1, strings),
        at_most("names.left", len(names_left()), "places", 0, 1, kept),
    ]
