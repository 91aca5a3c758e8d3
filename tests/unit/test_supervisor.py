"""A panel file that changes while the controller runs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from panelctl.config.apart import Checked
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


class Office:
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
    async def day() -> Office:
        office = Office()
        running = asyncio.create_task(office.supervisor.run())
        await office.apps[0].started.wait()
        office.file = ConfigError("panel.toml", [Problem("timing.rate_hz", "0", "is too low")])
        await office.asked()
        office.file = "one"
        await office.asked()
        assert len(office.apps) == 1
        assert not office.apps[0].ended
        office.file = "two"
        await office.asked()
        assert await asyncio.wait_for(office.made.get(), 5) is office.apps[0]
        second = await asyncio.wait_for(office.made.get(), 5)
        assert office.apps[0].ended
        await second.started.wait()
        office.supervisor.stop()
        await asyncio.wait_for(running, 5)
        return office

    office = asyncio.run(day())
    assert [app.config for app in office.apps] == ["one", "two"]
    assert office.apps[1].ended
    assert office.supervisor.refused == 1
    assert "timing.rate_hz" in caplog.text


def test_a_map_that_was_changed_is_a_change_of_the_panel() -> None:
    """And the one that it was checked with is the one that is used."""
    changed = replace(load_map("abb_terra_ac"), timeout_ms=77)

    async def day() -> Office:
        office = Office()
        running = asyncio.create_task(office.supervisor.run())
        await office.apps[0].started.wait()
        office.maps = {changed.id: changed}
        assert load_map(changed.id) != changed, "not before the old controller has ended"
        await office.asked()
        await asyncio.wait_for(office.made.get(), 5)
        second = await asyncio.wait_for(office.made.get(), 5)
        await second.started.wait()
        assert load_map(changed.id) == changed
        await office.asked()
        office.supervisor.stop()
        await asyncio.wait_for(running, 5)
        return office

    try:
        office = asyncio.run(day())
    finally:
        hold_maps({})
    assert len(office.apps) == 2, "the same map again is nothing new"


def test_a_stop_wins_over_a_file_that_is_being_read() -> None:
    async def day() -> Office:
        office = Office()
        running = asyncio.create_task(office.supervisor.run())
        await office.apps[0].started.wait()
        office.file = "two"
        office.supervisor.reload()
        office.supervisor.stop()
        await asyncio.wait_for(running, 5)
        return office

    assert [app.config for app in asyncio.run(day()).apps] == ["one"]


def test_a_file_that_is_put_back_while_the_old_controller_stops_is_what_starts() -> None:
    """What is compared with is what is about to be in force, not what was."""

    async def day() -> Office:
        office = Office()
        first, may_end = office.apps[0], asyncio.Event()

        async def slow(stop: asyncio.Event) -> None:
            first.started.set()
            await stop.wait()
            await may_end.wait()

        first.run = slow  # type: ignore[method-assign]  # its last writes take a while
        running = asyncio.create_task(office.supervisor.run())
        await first.started.wait()
        for text in ("two", "one"):
            office.file = text
            await office.asked()
        may_end.set()
        assert await asyncio.wait_for(office.made.get(), 5) is first
        second = await asyncio.wait_for(office.made.get(), 5)
        await second.started.wait()
        office.supervisor.stop()
        await asyncio.wait_for(running, 5)
        return office

    assert [app.config for app in asyncio.run(day()).apps] == ["one", "one"]


def test_what_ends_the_controller_ends_the_supervisor() -> None:
    async def day() -> None:
        office = Office()

        async def crash(stop: asyncio.Event) -> None:
            raise RuntimeError("a bug")

        office.apps[0].run = crash  # type: ignore[method-assign]  # broken on purpose
        await office.supervisor.run()

    with pytest.raises(RuntimeError, match="a bug"):
        asyncio.run(day())
