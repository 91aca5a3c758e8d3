"""When a set-point is read back: behind everything else, when it is time to, after a reopening."""

from __future__ import annotations

import asyncio
from pathlib import Path

from panelctl.config.load import read_panel
from panelctl.core.engine import Engine
from panelctl.errors import ReplyTimeout
from panelctl.field.bus import Answer, Turn
from panelctl.field.frames import Question
from panelctl.field.scan import Scanner
from panelctl.field.setpoint_wire import Reader, read_back
from panelctl.field.setpoints import READ_NS, REGISTER_NS, SetpointWatch
from panelctl.field.unit import Unit
from panelctl.modbus.codec import encode_value
from panelctl.modbus.maps import load_map
from panelctl.units import NS_PER_S
from tests.links import MadeUpLink
from tests.unit.test_outputs import HandClock

PANEL = read_panel(Path("panelctl/sim/demo.toml"))
BACK = read_back(load_map("abb_terra_ac"), 1)


class Shows(MadeUpLink):
    """A charger that shows 10 A; `deaf`: its replies are lost."""

    def __init__(self, clock: HandClock) -> None:
        super().__init__()
        self.asked: list[Turn] = []
        self._clock = clock

    def answer(self, question: Question, turn: Turn) -> Answer:
        assert BACK is not None
        self.asked.append(turn)
        if self.deaf:
            raise ReplyTimeout("no reply")
        return Answer(encode_value(BACK.point, 10.0), self._clock.ns, question, 0)


class Rig:
    """A reader, looked at by hand."""

    def __init__(self) -> None:
        assert BACK is not None
        self.clock = HandClock()
        self.link = Shows(self.clock)
        self.watch = SetpointWatch(1.0, NS_PER_S)
        self.heard: list[float] = []
        self.scanner = Scanner([], {}, Engine(PANEL).image, self.clock)
        device = PANEL.device("charger")
        self.reader = Reader(device, BACK, self.link, self.scanner, self.watch, self.clock)

    def look(self, after_ns: int) -> int:
        """One cycle, so much later; how often it was asked in it."""
        self.clock.ns += after_ns
        before = len(self.link.asked)

        async def one() -> None:
            self.reader.look(self.clock.ns)
            task = asyncio.create_task(self.reader.run(lambda value, _: self.heard.append(value)))
            for _ in range(5):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        asyncio.run(one())
        return len(self.link.asked) - before


def test_it_is_asked_after_the_acknowledgement_and_then_now_and_again() -> None:
    rig = Rig()
    assert rig.look(NS_PER_S) == 0, "nothing was written yet"
    rig.watch.acknowledged(10.0, False, rig.clock.ns)
    assert rig.look(REGISTER_NS - 1) == 0
    assert rig.look(1) == 1
    assert rig.look(READ_NS - 1) == 0
    assert rig.look(1) == 1
    assert set(rig.link.asked) == {Turn.SLOW}
    assert rig.heard == [10.0, 10.0]


def test_it_is_asked_at_once_when_its_link_was_opened_anew() -> None:
    rig = Rig()
    rig.watch.acknowledged(10.0, False, rig.clock.ns)
    assert rig.look(REGISTER_NS) == 1
    rig.link.counts.reopened += 1
    assert rig.look(1) == 1
    assert rig.look(1) == 0


def test_one_that_does_not_answer_is_asked_less_often() -> None:
    rig = Rig()
    rig.watch.acknowledged(10.0, False, rig.clock.ns)
    rig.link.deaf = True
    assert rig.look(REGISTER_NS) == 1
    asked = [rig.look(READ_NS // 2) for _ in range(8)]
    assert asked == [1, 0, 1, 0, 0, 0, 1, 0]
    assert rig.heard == []


def test_one_that_its_lane_misses_is_not_asked_and_counts_as_silent() -> None:
    """What it reads when it is back, it may read because it began anew: that is nobody's wish."""
    rig = Rig()
    rig.watch.acknowledged(16.0, False, rig.clock.ns)
    rig.watch.read(16.0, rig.clock.ns + REGISTER_NS, rig.clock.ns + REGISTER_NS)
    device = PANEL.device("charger")
    unit = Unit(device, load_map(device.map), rig.link, rig.clock)
    unit.misses = 1
    rig.scanner._units[device.name] = unit
    assert rig.look(READ_NS) == 0
    unit.misses = 0
    rig.clock.ns += READ_NS
    rig.watch.read(10.0, rig.clock.ns, rig.clock.ns)
    assert rig.watch.followed(rig.clock.ns) is None
