"""A panel file that changes while the controller runs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from panelctl.config.child import Checked
from panelctl.config.load import read_panel
from panelctl.control.app import App
from panelctl.control.supervisor import Supervisor
from panelctl.errors import ConfigError, Problem
from panelctl.modbus.maps import RegisterMap, hold_maps, load_map
from panelctl.model.panel import Panel

PANEL = read_panel(Path("panelctl/sim/demo.toml"))


class FakeApp:
    """Runs until it is told to stop."""

    def __init__(self, config: str) -> None:
        self.config = config
        self.started = asyncio.Event()
        self.ended = False

    async def run(self, stop: asyncio.Event) -> None:
        self.started.set()
        await stop.wait()
        self.ended = True


class SupervisorRig:
    """A supervisor of fake controllers, and the file that they read."""

    def __init__(self) -> None:
        self.file: str | ConfigError = "one"
        self.maps: dict[str, RegisterMap] = {}
        self.apps: list[FakeApp] = []
        self.made = asyncio.Queue[FakeApp]()
        self.supervisor = Supervisor(Checked(PANEL, "one"), self.make, self.read)

    def make(self, panel: Panel, config: str) -> App:
        self.apps.append(FakeApp(config))
        self.made.put_nowait(self.apps[-1])
        return cast(App, self.apps[-1])

    async def read(self) -> Checked:
        await asyncio.sleep(0)
        if isinstance(self.file, ConfigError):
            raise self.file
        return Checked(PANEL, self.file, self.maps)

    async def asked(self) -> None:
        """Ask for the file to be read, and wait until it has been."""
        self.supervisor.reload()
        reading = self.supervisor._reading
        assert reading is not None
        await asyncio.wait_for(reading, 5)


def test_a_changed_file_is_swapped_in_and_a_wrong_one_refused_whole(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def day() -> SupervisorRig:
        rig = SupervisorRig()
        running = asyncio.create_task(rig.supervisor.run())
        await rig.apps[0].started.wait()
        rig.file = ConfigError("panel.toml", [Problem("timing.rate_hz", "0", "is too low")])
        await rig.asked()
        rig.file = "one"
        await rig.asked()
        assert len(rig.apps) == 1
        assert not rig.apps[0].ended
        rig.file = "two"
        await rig.asked()
        assert await asyncio.wait_for(rig.made.get(), 5) is rig.apps[0]
        second = await asyncio.wait_for(rig.made.get(), 5)
        assert rig.apps[0].ended
        await second.started.wait()
        rig.supervisor.stop()
        await asyncio.wait_for(running, 5)
        return rig

    rig = asyncio.run(day())
    assert [app.config for app in rig.apps] == ["one", "two"]
    assert rig.apps[1].ended
    assert rig.supervisor.refused == 1
    assert "timing.rate_hz" in caplog.text


def test_a_map_that_was_changed_is_a_change_of_the_panel() -> None:
    """And the one that it was checked with is the one that is used."""
    changed = replace(load_map("abb_terra_ac"), timeout_ms=77)

    async def day() -> SupervisorRig:
        rig = SupervisorRig()
        running = asyncio.create_task(rig.supervisor.run())
        await rig.apps[0].started.wait()
        rig.maps = {changed.id: changed}
        assert load_map(changed.id) != changed, "not before the old controller has ended"
        await rig.asked()
        await asyncio.wait_for(rig.made.get(), 5)
        second = await asyncio.wait_for(rig.made.get(), 5)
        await second.started.wait()
        assert load_map(changed.id) == changed
        await rig.asked()
        rig.supervisor.stop()
        await asyncio.wait_for(running, 5)
        return rig

    try:
        rig = asyncio.run(day())
    finally:
        hold_maps({})
    assert len(rig.apps) == 2, "the same map again is nothing new"


def test_a_stop_wins_over_a_file_that_is_being_read() -> None:
    async def day() -> SupervisorRig:
        rig = SupervisorRig()
        running = asyncio.create_task(rig.supervisor.run())
        await rig.apps[0].started.wait()
        rig.file = "two"
        rig.supervisor.reload()
        rig.supervisor.stop()
        await asyncio.wait_for(running, 5)
        return rig

    assert [app.config for app in asyncio.run(day()).apps] == ["one"]


def test_a_file_that_is_put_back_while_the_old_controller_stops_is_what_starts() -> None:
    """What is compared with is what is about to be in force, not what was."""

    async def day() -> SupervisorRig:
        rig = SupervisorRig()
        first, may_end = rig.apps[0], asyncio.Event()

        async def slow(stop: asyncio.Event) -> None:
            first.started.set()
            await stop.wait()
            await may_end.wait()

        first.run = slow  # type: ignore[method-assign]  # its last writes take a while
        running = asyncio.create_task(rig.supervisor.run())
        await first.started.wait()
        for text in ("two", "one"):
            rig.file = text
            await rig.asked()
        may_end.set()
        assert await asyncio.wait_for(rig.made.get(), 5) is first
        second = await asyncio.wait_for(rig.made.get(), 5)
        await second.started.wait()
        rig.supervisor.stop()
        await asyncio.wait_for(running, 5)
        return rig

    assert [app.config for app in asyncio.run(day()).apps] == ["one", "one"]


def test_what_ends_the_controller_ends_the_supervisor() -> None:
    async def day() -> None:
        rig = SupervisorRig()

        async def crash(stop: asyncio.Event) -> None:
            raise RuntimeError("a bug")

        rig.apps[0].run = crash  # type: ignore[method-assign]  # broken on purpose
        await rig.supervisor.run()

    with pytest.raises(RuntimeError, match="a bug"):
        asyncio.run(day())
