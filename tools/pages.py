"""Tables of the docs that are made of the program: `python -m tools.pages` writes them.

A table stands between two marks; a test holds each equal to what is made here.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

from panelctl.model.command import COMMANDS, command_to_plain
from panelctl.model.fault import FAULTS
from panelctl.model.record import VERSION

SOCKET = Path("docs/reference/control-socket.md")
GLOSSARY = Path("docs/GLOSSARY.md")


def commands() -> str:
    """What may be sent to the control socket."""
    rows: list[tuple[dict[str, object], str]] = [
        ({"do": "status"}, "the newest record once"),
        ({"do": "watch"}, "every record from now on, until you close"),
        *((command_to_plain(entry.sample), entry.means) for entry in COMMANDS),
    ]
    lines = ["| message | meaning |", "|---|---|"]
    for plain, means in rows:
        message = json.dumps({"v": VERSION, **plain}, separators=(",", ":"))
        lines.append(f"| `{message}` | {means} |")
    return "\n".join(lines)


def faults() -> str:
    """What can be wrong with an order."""
    lines = ["| fault | raised by | holds it open | ends by itself | a person may |"]
    lines.append("|---|---|---|---|---|")
    for fault, kind in FAULTS.items():
        holds = "yes" if kind.holds else "no"
        lines.append(f"| `{fault}` | {kind.raised} | {holds} | {kind.ends} | {kind.person} |")
    return "\n".join(lines)


def modules() -> str:
    """What each module is for: the first sentence of it."""
    lines = ["| module | what it is for |", "|---|---|"]
    for path in sorted(Path("panelctl").rglob("*.py")):
        said = ast.get_docstring(ast.parse(path.read_text())) or ""
        sentence = re.split(r"(?<=[.:])\s", " ".join(said.split()))[0].rstrip(":.")
        if not path.name.startswith("__"):
            name = path.relative_to("panelctl").with_suffix("")
            lines.append(f"| `{name}` | {sentence.replace('|', ',')} |")
    return "\n".join(lines)


TABLES: dict[str, tuple[Path, Callable[[], str]]] = {
    "commands": (SOCKET, commands),
    "faults": (Path("docs/reference/faults.md"), faults),
    "modules": (GLOSSARY, modules),
}


def made(name: str) -> tuple[Path, str, str]:
    """A page with a table, its text as it is, and as it should be. Raises ValueError."""
    path, make = TABLES[name]
    text = path.read_text()
    mark = re.compile(rf"(<!-- made: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
    if not mark.search(text):
        raise ValueError(f"{path}: there is no table between '<!-- made: {name} -->' and its end")
    return path, text, mark.sub(lambda found: f"{found[1]}{make()}\n{found[2]}", text)


def main() -> None:
    """Write every table; with --check only say which one is not as it is made."""
    wrong = []
    for name in TABLES:
        path, now, text = made(name)
        if now != text:
            wrong.append(f"{path}: {name}")
            if "--check" not in sys.argv:
                path.write_text(text)
    if wrong and "--check" in sys.argv:
        raise SystemExit("run `python -m tools.pages`: " + ", ".join(wrong))


if __name__ == "__main__":
    main()
