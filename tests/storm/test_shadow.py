"""The whole controller in shadow, on simulated wires: it decides, writes nothing, keeps books."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from panelctl.config.load import parse_panel
from panelctl.control.app import App
from panelctl.control.replay import replay
from panelctl.control.shadow_tally import FILE, read_account
from panelctl.field.bus import Answer, Ways
from panelctl.field.frames import Question
from panelctl.link.protocol import HELLO, RECORD, Cycle, Hello, read_message
from panelctl.link.recording import Recording
from panelctl.model.record import CycleRecord, HelloRecord
from panelctl.sim.storm.world import World
from panelctl.units import NS_PER_S

TEXT = Path("panelctl/sim/demo.toml").read_text().replace("armed = true", "armed = false")
LONG_S = 240.0


class Shadowed:
    """A world in which everything draws at once, and a shadow looks on."""

    def __init__(self, folder: Path) -> None:
        self.panel = parse_panel(TEXT, "panel.toml")
        folder.joinpath("state").mkdir()
        self.world = World(self.panel, TEXT, 1, folder / "state")
        self.world.shadow = True
        self.hello: HelloRecord | None = None
        self.records: list[CycleRecord] = []
        self.account = folder / "state" / FILE
        self.world.line = self._heard
        self.world.alter = self._watch
        self.asked = 0
        self.written: list[Question] = []

    def _watch(self, app: App) -> None:
        """Note what is asked on every link."""
        for link in app.links.values():
            ask = link.ask

            def noted(
                ways: Ways, *rest: Any, ask: Callable[..., Awaitable[Answer]] = ask, **more: Any
            ) -> Awaitable[Answer]:
                questions = (ways,) if isinstance(ways, Question) else ways
                self.asked += len(questions)
                self.written += [question for question in questions if question.writes]
                return ask(ways, *rest, **more)

            link.ask = noted  # type: ignore[method-assign,assignment]  # watched

    def _heard(self, line: bytes) -> None:
        if line.startswith((HELLO, RECORD)):
            match read_message(line):
                case Hello(facts):
                    self.hello = facts
                case Cycle(record):
                    self.records.append(record)

    def live(self, seconds: float) -> None:
        world = self.world

        async def life() -> None:
            world.start()
            listening = asyncio.create_task(world.listen())
            await world.clock.sleep_until(20 * NS_PER_S)
            self._all_on()
            while world.now_s < seconds:
                await asyncio.sleep(0.25)
                world.look()
                if world.broken:
                    raise world.broken[0]
            await world.stop()
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

        world.loop.run_until_complete(life())
        world.loop.close()
        assert world.crashes == []

    def _all_on(self) -> None:
        """More than the service may carry, and for long: dryer, range, water heater and the car."""
        for name, watts in (("range", 11_000.0), ("dryer", 5_000.0), ("water_heater", 4_500.0)):
            self.world.plant.circuits[name].demand_w = watts
        for name in ("heat_strips", "heat_pump"):
            self.world.plant.circuits[name].demand_w = 9_000.0


@pytest.fixture(scope="module")
def shadowed(tmp_path_factory: pytest.TempPathFactory) -> Shadowed:
    made = Shadowed(tmp_path_factory.mktemp("shadow"))
    made.live(LONG_S)
    return made


def test_nothing_is_written(shadowed: Shadowed) -> None:
    plant = shadowed.world.plant
    assert all(item.contact.closed for item in plant.circuits.values())
    assert shadowed.written == []
    assert shadowed.asked > 10_000
    assert shadowed.hello is not None
    assert shadowed.hello["shadow"]


def test_it_decides_on_the_house_as_it_would_be(shadowed: Shadowed) -> None:
    """The real legs stay over their limit, and those that it decides on do not."""
    events = [e for r in shadowed.records for e in r["events"]]
    assert [e for e in events if e["what"] == "shed"]
    assert not [e for e in events if e["what"] == "fault"], "its orders count as followed"
    limit_a = shadowed.panel.service.control_setting_a
    heavy = [r for r in shadowed.records if 40 < r["t_ns"] / 1e9 < 80]
    assert max(leg["a"] for r in heavy for leg in r["legs"].values()) <= limit_a
    opened = [c for r in shadowed.records for c in r["circuits"] if c["relay"] == "OPEN"]
    assert len(opened) > 600
    assert all(set(circuit["a"]) == {0.0} for circuit in opened)
    assert {doubt for r in shadowed.records for why in r["doubts"].values() for doubt in why} <= {
        "DROP"
    }, "what is taken out of the readings does not contradict itself"


def test_it_replays_to_the_bit(shadowed: Shadowed) -> None:
    assert shadowed.hello is not None
    again = replay(shadowed.panel, Recording(shadowed.hello, iter(shadowed.records)))
    assert again.difference is None
    assert again.cycles > 2_000


def test_the_books_say_what_would_have_been(shadowed: Shadowed) -> None:
    account = read_account(shadowed.account)
    assert account.serial == shadowed.panel.serial
    assert account.seen_s == pytest.approx(LONG_S, rel=0.05)
    sheds = [e for r in shadowed.records for e in r["events"] if e["what"] == "shed"]
    assert sum(tally.sheds for tally in account.circuits.values()) == len(sheds)
    over = sum(leg.over_s for leg in account.legs.values())
    left = sum(leg.left_over_s for leg in account.legs.values())
    assert over > 60
    assert left < over / 10
    shed = {ident: tally for ident, tally in account.circuits.items() if tally.off_s > 60}
    assert shed
    for ident, tally in shed.items():
        item = shadowed.world.plant.circuits[ident]
        if item.demand_w > 1_000:
            assert tally.kept_wh == pytest.approx(item.demand_w * tally.off_s / 3600, rel=0.15)
