"""One controller for a panel: locks that the kernel frees."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from panelctl.config.load import read_panel
from panelctl.control.alone import Alone
from panelctl.errors import AlreadyRunning
from panelctl.model.panel import Panel
from tests.records import DEMO

HOLDS = """
import sys
from pathlib import Path
from panelctl.control.alone import Alone
from tests.unit.test_alone import placed
held = Alone(Path(sys.argv[1]))
held.claim(placed(sys.argv[2]))
print("held", flush=True)
sys.stdin.read()
"""


def placed(place: str) -> Panel:
    """The demo's panel on wires of its own."""
    panel = read_panel(DEMO)
    links = tuple(
        replace(link, path=f"/{place}/{link.name}")
        if link.path
        else replace(link, host=f"{link.name}.{place}")
        for link in panel.links
    )
    return replace(panel, links=links)


@pytest.fixture
def place(tmp_path: Path) -> str:
    """Where no other test is."""
    return f"{os.getpid()}-{tmp_path.name}"


@pytest.fixture
def panel(place: str) -> Panel:
    """The demo's panel there."""
    return placed(place)


def folder(tmp_path: Path, name: str) -> Path:
    made = tmp_path / name
    made.mkdir()
    return made


def test_a_state_directory_has_one_controller(tmp_path: Path) -> None:
    first = Alone(tmp_path)
    with pytest.raises(AlreadyRunning, match="another controller keeps its state there"):
        Alone(tmp_path)
    first.close()
    Alone(tmp_path).close()
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600


def test_a_wire_of_a_panel_has_one_controller(tmp_path: Path, panel: Panel) -> None:
    """Also where the state directories differ, and by whatever path the port is named."""
    first, second = Alone(folder(tmp_path, "a")), Alone(folder(tmp_path, "b"))
    first.claim(panel)
    first.claim(panel)
    with pytest.raises(AlreadyRunning, match=rf"process {os.getpid()}\) has this line"):
        second.claim(panel)
    port = tmp_path / "port"
    port.touch()
    (tmp_path / "by-id").symlink_to(port)
    one, two = (
        replace(panel, links=(replace(panel.links[0], path=str(tmp_path / name)),))
        for name in ("port", "by-id")
    )
    first.claim(one)
    with pytest.raises(AlreadyRunning):
        second.claim(two)
    with pytest.raises(AlreadyRunning):
        second.claim(replace(panel, serial="a-copy"))
    behind = tuple(link for link in panel.links if not link.path)
    others = tuple(replace(device, unit=device.unit + 100) for device in panel.devices)
    second.claim(replace(panel, links=behind, devices=others))  # another one, at one gateway
    first.keep_only(one)
    second.claim(panel)
    with pytest.raises(AlreadyRunning):
        second.claim(one)
    for held in (first, second):
        held.close()


@pytest.mark.parametrize("kind", ["rtu+tcp", "rtu+udp"])
def test_a_line_behind_a_serial_server_has_one_controller_too(
    tmp_path: Path, panel: Panel, kind: str
) -> None:
    """It has one controller at a time, whichever units each of them speaks to."""
    line = replace(panel.links[0], kind=kind, path="", host="10.0.0.9", port=502)
    first, second = Alone(folder(tmp_path, "a")), Alone(folder(tmp_path, "b"))
    first.claim(replace(panel, links=(line,)))
    others = tuple(replace(device, unit=device.unit + 100) for device in panel.devices)
    with pytest.raises(AlreadyRunning, match="has this line"):
        second.claim(replace(panel, links=(line,), devices=others))
    for held in (first, second):
        held.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_one_that_is_gone(
    tmp_path: Path, place: str, panel: Panel, number: int
) -> None:
    held = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(folder(tmp_path, "a")), place],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert held.stdout is not None
    assert held.stdin is not None
    assert held.stdout.readline() == "held\n"
    mine = Alone(folder(tmp_path, "b"))
    with pytest.raises(AlreadyRunning, match=rf"process {held.pid}\)"):
        mine.claim(panel)
    with pytest.raises(AlreadyRunning):
        Alone(tmp_path / "a")
    held.send_signal(number)
    held.wait()
    mine.claim(panel)
    Alone(tmp_path / "a").close()
    mine.close()
    held.stdin.close()
    held.stdout.close()
