"""What real gateways do wrong, and no wrong value for it: replies that belong to other questions,
numbers and units that are made up, one question at a time, deaf after each connection.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from panelctl.model.panel import Panel
from panelctl.sim.server import Fault
from panelctl.sim.wires import start_wire
from tests.bus.rig import OTHER, VICTIM, BusRig, in_time, kept_up, on_rig

S = 1_000_000_000
SHIFTS = (1, 2, 3, 4)


def hurried(panel: Panel) -> Panel:
    """The demo's panel with five cycles' slow reads asked as fast as they come: a gateway that is
    never idle.
    """
    return replace(panel, timing=replace(panel.timing, branch_sweep_s=0.2, readback_s=0.2))


@pytest.mark.parametrize("unit_too", [False, True], ids=["number", "unit"])
@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("at_once", [False, True], ids=["after_0x0B", "at_once"])
def test_a_gateway_that_answers_the_question_before(
    shift: int, unit_too: bool, at_once: bool
) -> None:
    """Under the right number, for as long as it is asked: from the first wrong reply on nothing is
    taken, and it comes back into step within two seconds.
    """

    async def body(rig: BusRig) -> None:
        rig.host.stamps_unit = unit_too
        for _ in range(3):
            rig.host.begin_shift(shift, at_once)
            await rig.run(0.5)
            begin_ns = rig.clock.now_ns()
            for device in (OTHER, VICTIM):
                await rig.until_good(device, begin_ns)
            assert rig.clock.now_ns() - begin_ns < 2 * S
            await rig.run(0.4)
        assert rig.wrong == []
        assert rig.host.shifted, "it did answer wrongly"
        assert rig.link.counts.shifts
        assert "earlier questions" in rig.link.counts.remark

    on_rig("tcp", body, edit=hurried)


@pytest.mark.parametrize("shift", SHIFTS)
def test_twelve_channels_behind_a_gateway_that_answers_the_question_before(shift: int) -> None:
    """Branch meters whose blocks look alike, and relay boards that look alike altogether."""

    async def body(rig: BusRig) -> None:
        rig.host.begin_shift(shift, at_once=shift % 2 == 0)
        await rig.run(3.0)
        assert rig.wrong == []
        rig.host.end_shift()
        for device in rig.places:
            in_time(await rig.until_good(device, rig.clock.now_ns()), 4 * S)
        assert rig.wrong == []

    on_rig("tcp", body, "line2")


@pytest.mark.parametrize("stamps", ["number", "unit"])
@pytest.mark.parametrize("late_ms", [62, 75, 90, 130, 250])
def test_a_bridge_that_stamps_late_replies_anew(stamps: str, late_ms: int) -> None:
    """They come under the newest number, and under the newest unit: watts for amps."""

    async def body(rig: BusRig) -> None:
        rig.host.stamps = stamps
        for device in (OTHER, VICTIM):
            rig.strike(device, Fault("late", -1, late_ms, every=3))
        await rig.run(3.0)
        assert rig.wrong == []
        rig.heal()
        in_time(await rig.until_good(OTHER, rig.clock.now_ns()), 2 * S)

    on_rig("tcp", body)


def test_a_dead_unit_that_the_gateway_tells_of_costs_the_others_nothing() -> None:
    """Code 0x0B again and again is no reason to leave the whole gateway alone."""

    async def body(rig: BusRig) -> None:
        await rig.run(1.0)
        before = rig.lane.units[OTHER].good
        await rig.run(2.0)
        usual = rig.lane.units[OTHER].good - before
        rig.strike(VICTIM, Fault("refuse", -1, code=0x0B))
        before = rig.lane.units[OTHER].good
        await rig.run(2.0)
        kept_up(rig.lane.units[OTHER].good - before, 0.9 * usual)
        assert rig.lane.units[VICTIM].dead
        assert rig.wrong == []

    on_rig("tcp", body)


def test_a_gateway_that_answers_as_unit_1_is_named() -> None:
    async def body(rig: BusRig) -> None:
        rig.host.alias = 1
        name = "asked as unit 2 it answers as unit 1"

        def named() -> bool:
            link, unit = rig.link.counts.remark, rig.lane.units[VICTIM].error
            return link.startswith(name) and name in unit

        cycles = 0
        while not named():
            cycles += 1
            assert cycles < 100
            await rig.cycle()
        await rig.run(0.5)
        assert rig.wrong == []
        assert rig.link.counts.remark.startswith(name), "and stays so"
        assert rig.good(OTHER, rig.clock.now_ns() - S), "unit 1 itself is read"

    on_rig("tcp", body)


def test_a_gateway_that_numbers_its_replies_itself_is_named() -> None:
    async def body(rig: BusRig) -> None:
        rig.host.number_plus = 1
        await rig.run(1.5)
        assert rig.wrong == []
        assert "another transaction number" in rig.link.counts.remark

    on_rig("tcp", body)


def test_a_serial_server_on_port_502_is_named() -> None:
    async def body(rig: BusRig) -> None:
        rig.host.speaks_rtu = True
        await rig.run(1.0)
        assert rig.wrong == []
        assert rig.link.counts.remark.startswith("this is RTU framing: use rtu+tcp://127.0.0.1:")

    on_rig("tcp", body)


def test_a_server_that_answers_only_the_first_frame_of_a_segment_loses_nobody() -> None:
    """It is asked one thing at a time, after the first pair that it did not answer."""

    async def body(rig: BusRig) -> None:
        rig.host.first_only = True
        rig.host.one_by_one = True
        await rig.run(3.0)
        begin_ns = rig.clock.now_ns()
        await rig.run(1.0)
        for device in rig.places:
            assert rig.good(device, begin_ns - S)
        assert rig.wrong == []

    on_rig("tcp", body)


def test_units_behind_a_gateway_are_asked_side_by_side_once_that_is_proven() -> None:
    """Two slow meters cost a cycle what one of them does."""

    async def body(rig: BusRig) -> None:
        for device in (OTHER, VICTIM):
            rig.strike(device, Fault("late", -1, 45))
        await rig.run(4.0)
        assert rig.link.counts.width == 4
        assert rig.lane.pace.last_ns < 80_000_000
        rig.wire.stop()  # a new connection proves it anew

        await start_wire(rig.wire)
        await rig.until_good(OTHER, rig.clock.now_ns())
        assert rig.link.counts.width <= 2
        assert rig.wrong == []

    on_rig("tcp", body)


@pytest.mark.parametrize("kind", ["tcp", "rtu+tcp", "udp"])
@pytest.mark.parametrize("deaf_s", [1.0, 2.0])
def test_a_gateway_that_is_deaf_after_each_connection_is_read(kind: str, deaf_s: float) -> None:
    async def body(rig: BusRig) -> None:
        if kind == "rtu+tcp":
            rig.segment.settle_s = deaf_s
        else:
            rig.host.settle_s = deaf_s
        before = rig.link.counts.reopened
        rig.wire.stop()
        await rig.cycle()

        await start_wire(rig.wire)
        await rig.until_good(OTHER, rig.clock.now_ns())
        assert rig.link.counts.reopened - before <= 3, "it is not connected again and again"
        await rig.run(1.0)
        assert rig.good(OTHER, rig.clock.now_ns() - S)
        assert rig.wrong == []

    on_rig(kind, body)
