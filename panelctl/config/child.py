"""Reading a panel file in a process of its own, so that the controller never loads the checker.

The validation library costs the controller 12 MB and a reload would cost it cycles; a child process
reads and checks the file, and hands the finished model back, with the register maps that it was
checked with: a map that was changed is a change of the panel.
"""

from __future__ import annotations

import asyncio
import pickle
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from panelctl.errors import ConfigError, PanelctlError, Problem
from panelctl.modbus.maps import RegisterMap, load_map
from panelctl.model.panel import Panel

CHILD = (sys.executable, "-m", "panelctl.config.child")


@dataclass(frozen=True, slots=True)
class Checked:
    """A panel file that holds: the panel, the text, the maps of its devices by id, and what it
    would be refused for if everything were armed.
    """

    panel: Panel
    text: str
    maps: dict[str, RegisterMap] = field(default_factory=dict)
    if_armed: tuple[Problem, ...] = ()

    def same(self, other: Checked) -> bool:
        """Whether there is nothing new in the other one."""
        return self.text == other.text and self.maps == other.maps


def _unpack(answer: bytes) -> Checked:
    if not answer:
        raise PanelctlError("the checker of panel files ended without an answer")
    # The bytes come from our own child process over a pipe, never from outside.
    result = pickle.loads(answer)
    if isinstance(result, ConfigError):
        raise result
    assert isinstance(result, Checked)
    return result


def _arguments(path: Path, links: dict[str, str]) -> list[str]:
    return [*CHILD, str(path), *(f"{name}={url}" for name, url in links.items())]


def read_panel_in_child(path: Path, links: dict[str, str] | None = None) -> Checked:
    """`load.read_panel_and_text` in a child process. Raises ConfigError."""
    done = subprocess.run(_arguments(path, links or {}), stdout=subprocess.PIPE)
    return _unpack(done.stdout)


async def reread_panel_in_child(path: Path, links: dict[str, str] | None = None) -> Checked:
    """The same without blocking the event loop. Raises ConfigError."""
    child = await asyncio.create_subprocess_exec(
        *_arguments(path, links or {}), stdout=asyncio.subprocess.PIPE
    )
    answer, _ = await child.communicate()
    return _unpack(answer)


def _child() -> None:
    from panelctl.config.load import problems_if_armed, read_panel_and_text

    links = dict(text.split("=", 1) for text in sys.argv[2:])
    try:
        panel, text = read_panel_and_text(Path(sys.argv[1]), links)
        maps = {device.map: load_map(device.map) for device in panel.devices}
        if_armed = tuple(problems_if_armed(text, sys.argv[1]))
        result: Checked | ConfigError = Checked(panel, text, maps, if_armed)
    except ConfigError as error:
        result = error
    sys.stdout.buffer.write(pickle.dumps(result))


if __name__ == "__main__":
    from panelctl.config.child import _child as child  # so that what it hands over has this name

    child()
