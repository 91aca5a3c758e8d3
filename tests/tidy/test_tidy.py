"""House rules that a reader would otherwise have to check by eye."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

import panelctl

TRACKED = [
    Path(name)
    for name in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\n")
    if name and Path(name).is_file()
]
CODE = [
    path
    for path in TRACKED
    if path.suffix in (".py", ".pyx", ".pxi") and path.parts[0] in ("panelctl", "ext", "tools")
]
RULES = sorted(Path("panelctl/core/decide").glob("*.py"))
LONGEST = 70  # lines of a rule
BANNED = {
    r"\btime\.sleep\(": "wait for a condition, or on the injected clock",
    r"except Exception:\s*$": "catch what is expected, by name",
    r"(?<![.\w])print\(": "click.echo at the door, the record everywhere else",
    r"# ?type: ignore(?!\[)": "name the error and the reason",
    r"\bTO[D]O\b|\bFIX[M]E\b": "do it, or say in docs what is left",  # so written, not found itself
    r"\butils\b|\bhelpers\b": "a room has a subject",
}


@pytest.mark.parametrize("path", CODE, ids=str)
def test_files_fit_in_the_head(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= 400, f"{path} has {lines} lines: does it do one thing?"


@pytest.mark.parametrize("path", RULES, ids=str)
def test_rules_fit_in_the_head(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            lines = node.end_lineno - node.lineno + 1 if node.end_lineno else 0
            assert lines <= LONGEST, f"{path}: {node.name} has {lines} lines"


@pytest.mark.parametrize("path", CODE, ids=str)
def test_files_say_what_they_are_for(path: Path) -> None:
    text = re.sub(r"^#.*\n", "", path.read_text())
    assert text.startswith('"""'), f"{path} begins with what it is for"


@pytest.mark.parametrize("path", CODE, ids=str)
def test_banned(path: Path) -> None:
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        for pattern, instead in BANNED.items():
            assert not re.search(pattern, line), f"{path}:{number}: {instead}"


@pytest.mark.parametrize("path", [p for p in CODE if p.suffix == ".py"], ids=str)
def test_units_end_names(path: Path) -> None:
    """A field that is annotated as a number of something ends with its unit."""
    wrong = re.compile(r"^\s+(a|w|v|s|ms|ns|hz|wh)_[a-z]+: (int|float)\b")
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        assert not wrong.match(line), f"{path}:{number}: the unit comes last"


def test_no_machine_paths_and_no_secrets() -> None:
    for path in TRACKED:
        if path.suffix in (".gz", ".svg", ".png") or "fixtures" in path.parts:
            continue
        text = path.read_text()
        if path != Path("tests/tidy/test_tidy.py"):
            assert not re.search(r"(?<![\w.])/(work|root|home|farm)/[a-z]", text), path
        assert not re.search(r"(?i)(password|secret|token)\s*=\s*['\"][^'\"]+['\"]", text), path


def test_every_verb_has_an_example() -> None:
    for path in Path("panelctl/cli").glob("*.py"):
        for command in re.findall(r"@\w*\.?command\((.*?)\)\n", path.read_text(), re.DOTALL):
            assert "Example: panelctl" in command, f"{path}: {command}"


def test_every_map_is_listed_in_the_docs() -> None:
    text = Path("docs/reference/register-maps.md").read_text()
    for path in Path("panelctl/modbus/maps").glob("*.toml"):
        assert path.stem in text


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "SECURITY.md", "RELEASING.md"])
def test_what_those_who_join_are_sent_to_is_there(page: str) -> None:
    text = Path(page).read_text()
    named = re.findall(r"`((?:panelctl|tests|docs|ext|fixtures)/[\w/.-]+)`", text)
    linked = re.findall(r"\]\(((?!http)[^)#]+)\)", text)
    assert named or linked, page
    for path in (*named, *linked):
        assert Path(path).exists(), f"{page}: {path}"


def test_one_version_is_told_everywhere() -> None:
    newest = re.search(
        r"^## \[(\d[\w.]*)\] - \d{4}-\d\d-\d\d$", Path("CHANGELOG.md").read_text(), re.M
    )
    assert newest is not None, "CHANGELOG.md has no release with a day"
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    assert project["version"] == panelctl.__version__ == newest[1]


def test_every_decision_has_a_day_and_a_status() -> None:
    parts = re.split(r"^## ", Path("docs/decisions/README.md").read_text(), flags=re.M)[1:]
    for number, part in enumerate(parts, 1):
        title, _, rest = part.partition("\n")
        assert title.startswith(f"{number}. ")
        assert re.match(r"\n\*\d{4}-\d\d-\d\d, (in force|replaced by \d+)", rest), title


def test_what_looks_before_a_commit_is_what_make_lint_runs() -> None:
    hooks = re.findall(r"entry: (\S+)(.*)", Path(".pre-commit-config.yaml").read_text())
    makefile = Path("Makefile").read_text()
    assert len(hooks) >= 5
    for program, words in hooks:
        tool = program.rpartition("/")[2]
        assert f"$(BIN)/{tool}" in makefile
        assert tool != "python" or words.strip() in makefile
