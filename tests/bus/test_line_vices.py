"""What lines, adapters and devices on them do wrong: replies that are repeated, a device that is
late by a little, one that takes nearly all of the time, a block that is refused, a pause that is
needed, an adapter that hears itself, noise, a port that is dead and open.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from panelctl.config.build import build_link
from panelctl.errors import ReplyTimeout
from panelctl.field.bus import Turn
from panelctl.field.frames import read_question, write_coil_question
from panelctl.field.links import open_link
from panelctl.field.survey import Survey
from panelctl.modbus.busplan import wire_of
from panelctl.modbus.capture import decode_with
from panelctl.modbus.maps import load_map
from panelctl.model.panel import Panel
from panelctl.sim.line import SimLine
from panelctl.sim.server import Fault
from panelctl.sim.wires import start_wire
from tests.bus.rig import CYCLE_NS, OTHER, VICTIM, BusRig, in_time, kept_up, on_rig

S = 1_000_000_000
LINES = ("rtu", "rtu+tcp", "rtu+udp")


@pytest.mark.parametrize("kind", LINES)
@pytest.mark.parametrize("later_ms", [10, 20, 30, 45, 60])
def test_replies_that_come_once_more(kind: str, later_ms: int) -> None:
    """Of a meter whose blocks look alike: the copy is no answer to the next question."""

    async def body(rig: BusRig) -> None:
        for device in rig.places:
            rig.strike(device, Fault("repeat", -1, later_ms))
        await rig.run(4.0)
        assert rig.wrong == []
        rig.heal()
        for device in rig.places:
            in_time(await rig.until_good(device, rig.clock.now_ns()), 2 * S)

    on_rig(kind, body, "line2")


@pytest.mark.parametrize("later_ms", [10, 30, 60])
def test_a_survey_of_replies_that_come_once_more(later_ms: int) -> None:
    """`read` and `dump` ask by the controller's rules."""
    known = load_map("wirenboard_wb_map12e")

    async def survey(later: bool) -> dict[str, float]:
        rig = BusRig("rtu", "line2")
        await start_wire(rig.wire)
        if later:
            rig.strike("branch1", Fault("repeat", -1, later_ms))
        where = build_link("line2", rig.wire.url)
        link = open_link(where, rig.clock)
        asks = Survey(link, rig.clock, wire_of(where), rig.unit["branch1"], 200, 1000)
        holding = await asks.collect(known)
        (decoded,) = decode_with(known, holding.tables)
        await link.close()
        rig.wire.stop()
        rig.clock.close()
        assert holding.missing == []
        return {name: float(value) for name, value in decoded.values.items()}

    truth, found = asyncio.run(survey(False)), asyncio.run(survey(True))
    assert found.keys() == truth.keys()
    for name, value in truth.items():
        assert found[name] == pytest.approx(value, rel=0.02, abs=0.5), name


@pytest.mark.parametrize("late_ms", [72, 80, 90])
@pytest.mark.parametrize("kind", ["rtu", "rtu+tcp"])
def test_a_device_that_is_late_by_a_little_gets_the_room_it_needs(kind: str, late_ms: int) -> None:
    """1.2 to 1.5 of its timeout: both it and its neighbour are read, and it is told."""

    async def body(rig: BusRig) -> None:
        rig.strike(VICTIM, Fault("late", -1, late_ms))
        await rig.run(1.5)
        since_ns = rig.clock.now_ns()
        rig.gaps_ns = dict.fromkeys(rig.places, 0)
        await rig.run(3.0)
        assert rig.wrong == []
        assert rig.good(VICTIM, since_ns)
        in_time(rig.gaps_ns[VICTIM], 12 * CYCLE_NS)
        in_time(rig.gaps_ns[OTHER], 12 * CYCLE_NS)  # else it had been dark for as long as the fault
        patience = rig.lane.units[VICTIM].patience
        assert patience.timeout_ms < patience.learnt_ms <= 2 * patience.timeout_ms
        rig.heal()
        await rig.run(8.0)
        assert patience.learnt_ms == 0, "what is not needed any more is let go"

    on_rig(kind, body)


def test_one_late_reply_in_eight_costs_little() -> None:
    """A shape is parked, not the meter."""

    async def body(rig: BusRig) -> None:
        await rig.run(1.0)
        before = rig.lane.units["branch1"].good
        await rig.run(4.0)
        usual = rig.lane.units["branch1"].good - before
        rig.strike("branch1", Fault("late", -1, 80, every=8))
        before = rig.lane.units["branch1"].good
        await rig.run(4.0)
        kept_up(rig.lane.units["branch1"].good - before, 0.8 * usual)
        assert rig.wrong == []

    on_rig("rtu", body, "line2")


def alone(panel: Panel) -> Panel:
    """With the one branch meter and the first relay board on the second line."""
    keep = {"branch1", "relays1"}
    devices = tuple(d for d in panel.devices if d.link != "line2" or d.name in keep)
    circuits = tuple(
        c
        for c in panel.circuits
        if all(m.current.device not in ("branch2", "branch3") for m in c.currents)
        and c.relay_device in (None, "relays1")
    )
    return replace(panel, devices=devices, circuits=circuits)


def test_one_late_reply_in_eight_of_a_meter_alone() -> None:
    async def body(rig: BusRig) -> None:
        await rig.run(1.0)
        before = rig.lane.units["branch1"].good
        await rig.run(4.0)
        usual = rig.lane.units["branch1"].good - before
        rig.strike("branch1", Fault("late", -1, 80, every=8))
        before = rig.lane.units["branch1"].good
        await rig.run(4.0)
        kept_up(rig.lane.units["branch1"].good - before, 0.8 * usual)
        assert rig.wrong == []

    on_rig("rtu", body, "line2", alone)


def together(panel: Panel) -> Panel:
    """Mains, a branch meter and two relay boards on one line; mains that may take 100 ms."""
    moved = {"branch1", "relays1", "relays2"}
    devices = tuple(
        replace(d, link="line1") if d.name in moved else d
        for d in panel.devices
        if d.link != "line2" or d.name in moved
    )
    devices = tuple(replace(d, timeout_ms=100) if d.name == OTHER else d for d in devices)
    circuits = tuple(
        c
        for c in panel.circuits
        if all(m.current.device not in ("branch2", "branch3") for m in c.currents)
        and c.relay_device in (None, "relays1", "relays2")
    )
    return replace(panel, devices=devices, circuits=circuits)


def test_slow_mains_starve_nobody() -> None:
    """They take 90 ms of each cycle of 100: everybody behind them gets a turn."""

    async def body(rig: BusRig) -> None:
        rig.strike(OTHER, Fault("late", -1, 90))
        await rig.run(3.0)
        rig.gaps_ns = dict.fromkeys(rig.places, 0)
        await rig.run(5.0)
        assert rig.wrong == []
        for device, gap_ns in rig.gaps_ns.items():
            assert gap_ns < (0.5 if device == OTHER else 2.0) * S, device

    on_rig("rtu", body, edit=together)


def test_a_block_that_is_refused_costs_the_others_nothing() -> None:
    """The counters of a meter, for ever."""

    async def body(rig: BusRig) -> None:
        await rig.run(1.0)
        before = rig.lane.units[OTHER].good
        await rig.run(3.0)
        usual = rig.lane.units[OTHER].good - before
        for address in (1280, 1304, 1308, 1300, 1296):
            rig.strike(OTHER, Fault("refuse", -1, code=2, at=address))
        rig.gaps_ns = dict.fromkeys(rig.places, 0)
        before = rig.lane.units[OTHER].good
        await rig.run(3.0)
        kept_up(rig.lane.units[OTHER].good - before, 0.9 * (usual - 6))
        in_time(rig.gaps_ns[OTHER], 3 * CYCLE_NS)
        assert not rig.lane.units[OTHER].dead
        assert any(read.refused for read in rig.lane.reads)
        rig.heal()
        await rig.run(6.0)
        assert not any(read.refused for read in rig.lane.reads)
        assert rig.wrong == []

    on_rig("rtu", body)


def test_a_longer_way_that_is_refused_is_given_up() -> None:
    """A firmware without the registers behind the block: the block itself is read."""

    async def body(rig: BusRig) -> None:
        for address in (10, 8, 6, 4, 2):  # the longer ways to ask for the currents
            rig.strike(VICTIM, Fault("refuse", -1, code=2, at=address))
        await rig.run(3.0)
        rig.gaps_ns = dict.fromkeys(rig.places, 0)
        await rig.run(1.0)
        in_time(rig.gaps_ns[VICTIM], 3 * CYCLE_NS)
        assert rig.wrong == []

    on_rig("rtu", body)


def paused(panel: Panel) -> Panel:
    """Both meters of the first line need 60 ms after an answer, at five cycles a second."""
    devices = tuple(
        replace(d, gap_ms=60.0) if d.name in (OTHER, VICTIM) else d for d in panel.devices
    )
    return replace(panel, devices=devices, timing=replace(panel.timing, rate_hz=5.0))


@pytest.mark.parametrize("kind", ["rtu", "rtu+tcp", "tcp"])
def test_the_pause_that_a_device_needs_is_kept(kind: str) -> None:
    async def body(rig: BusRig) -> None:
        if kind != "tcp":
            rig.segment.needs_gap_ms = {rig.unit[OTHER]: 55.0, rig.unit[VICTIM]: 55.0}
        await rig.run(4.0)
        assert rig.wrong == []
        if kind != "tcp":
            assert rig.segment.gap_broken == 0
        assert rig.lane.units[OTHER].timeouts == 0
        assert rig.lane.units[VICTIM].timeouts == 0

    on_rig(kind, body, edit=paused)


@pytest.mark.parametrize("kind", ["rtu", "rtu+tcp"])
def test_an_adapter_that_hears_itself(kind: str) -> None:
    """It is noticed; what is read is right, and a board that is not there acknowledges nothing."""

    async def body(rig: BusRig) -> None:
        rig.segment.echo = True
        await rig.run(1.0)
        assert rig.wrong == []
        assert rig.link.counts.echo
        assert rig.good(OTHER, rig.clock.now_ns() - S)
        with pytest.raises(ReplyTimeout):
            await rig.link.ask(write_coil_question(77, 0, True), 60, Turn.WRITE)
        rig.segment.echo = False
        await rig.run(1.0)
        assert not rig.link.counts.echo, "another adapter"

    on_rig(kind, body)


@pytest.mark.parametrize("echo", [False, True])
def test_a_write_as_the_first_question_is_not_acknowledged_by_its_echo(echo: bool) -> None:
    async def body(rig: BusRig) -> None:
        rig.segment.echo = echo
        link = open_link(build_link("again", rig.wire.url), rig.clock)
        await rig.link.close()
        rig._task.cancel()
        with pytest.raises(ReplyTimeout):
            await link.ask(write_coil_question(77, 0, True), 60, Turn.WRITE)
        answer = await link.ask(write_coil_question(rig.unit["relays1"], 0, True), 60, Turn.WRITE)
        assert answer.question.writes
        assert link.counts.echo is echo
        await link.close()

    on_rig("rtu", body, "line2")


@pytest.mark.parametrize("hiss_ms", [3.0, 20.0])
def test_a_line_that_never_falls_silent_is_asked_all_the_same(hiss_ms: float) -> None:
    async def body(rig: BusRig) -> None:
        rig.segment.hiss(hiss_ms)
        await rig.run(3.0)
        assert rig.wrong == []
        assert rig.link.counts.stray_bytes > 50
        since_ns = rig.clock.now_ns() - 2 * S
        assert rig.good(OTHER, since_ns)
        assert rig.good(VICTIM, since_ns)
        rig.segment.hiss(0)
        in_time(await rig.until_good(OTHER, rig.clock.now_ns()), 2 * S)

    on_rig("rtu", body)


@pytest.mark.parametrize("kind", ["rtu", "tcp", "rtu+tcp"])
def test_a_device_that_drips_keeps_nobody(kind: str) -> None:
    async def body(rig: BusRig) -> None:
        rig.strike(VICTIM, Fault("drip", -1, 20))
        await rig.run(1.0)
        rig.gaps_ns = dict.fromkeys(rig.places, 0)
        await rig.run(3.0)
        assert rig.wrong == []
        in_time(rig.gaps_ns[OTHER], 2 * S)
        rig.heal()
        in_time(await rig.until_good(VICTIM, rig.clock.now_ns()), 2 * S)

    on_rig(kind, body)


def test_a_port_that_is_dead_and_open_is_opened_again() -> None:
    """The adapter sits elsewhere now, and its name with it; the old port says nothing any more."""

    async def body(rig: BusRig) -> None:
        assert isinstance(rig.wire, SimLine)
        old = rig.wire
        again = SimLine(old.link, old.units, rig.clock, lambda: rig.now_s)
        again.start()
        old.deaf_until_ns = 1 << 62
        object.__setattr__(rig.link.link, "path", again.path)  # type: ignore[attr-defined]
        in_time(await rig.until_good(OTHER, rig.clock.now_ns()), 2 * S)
        assert rig.link.counts.reopened == 2
        assert rig.wrong == []
        rig.wire = again
        old.stop()

    on_rig("rtu", body)


def test_a_silent_line_is_not_opened_again_and_again() -> None:
    async def body(rig: BusRig) -> None:
        assert isinstance(rig.wire, SimLine)
        rig.wire.deaf_until_ns = rig.clock.now_ns() + 6 * S
        await rig.run(6.0)
        assert rig.link.counts.reopened <= 5
        in_time(await rig.until_good(OTHER, rig.clock.now_ns()), 2 * S)

    on_rig("rtu", body)


def test_a_reply_that_was_kept_for_long_is_no_newer_than_its_question() -> None:
    async def body(rig: BusRig) -> None:
        rig.strike(OTHER, Fault("late", 1, 400))
        begin_ns = rig.clock.now_ns()
        question = read_question(rig.unit[OTHER], "input", 0, 2)
        link = open_link(build_link("slow", rig.wire.url), rig.clock)
        answer = await link.ask(question, 1_000, Turn.FAST)
        assert answer.sampled_ns - begin_ns < 0.2 * S
        assert answer.took_ns > 0.4 * S
        await link.close()

    on_rig("tcp", body)
