"""Tables of the docs that are made of the program: `python -m tools.pages` writes them.

A table stands between two marks; a test holds each equal to what is made here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from panelctl.model.command import COMMANDS, command_to_plain
from panelctl.model.record import VERSION

SOCKET = Path("docs/reference/control-socket.md")


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


TABLES: dict[str, tuple[Path, Callable[[], str]]] = {"commands": (SOCKET, commands)}


def made(name: str) -> tuple[Path, str, str]:
    """A page with a table, its text as it is, and as it should be. Raises ValueError."""
    path, make = TABLES[name]
    text = path.read_text()
    mark = re.compile(rf"(<!-- made: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
    if not mark.search(text):
        raise ValueError(f"{path}: there is no table between '<!-- made: {name} -->' and its end")
    return path, text, mark.sub(lambda found: f"{found[1]}{make()}\n{found[2]}", text)


def main() -> None:
    """Write every table."""
    for name in TABLES:
        path, _, text = made(name)
        path.write_text(text)


if __name__ == "__main__":
    main()
