"""Another device on the place of one that is known: two ports that were swapped, two meters on one
address, a meter that was replaced.
"""

from __future__ import annotations

import asyncio
import zlib

import pytest

from panelctl.field.lane import Lane
from panelctl.field.report import device_state
from panelctl.sim.build import build_devices
from panelctl.sim.devices import SimMeter
from panelctl.sim.server import Fault
from tests.bus.rig import OTHER, VICTIM, BusRig, in_time, on_rig

S = 1_000_000_000


def serial(name: str) -> str:
    return f"{zlib.crc32(name.encode()):010d}"


def replaced(rig: BusRig) -> SimMeter:
    """Another meter of the mains' kind, which shows something else."""
    other = build_devices(rig.panel, rig.plant, 1)[OTHER]
    assert isinstance(other, SimMeter)
    other.spoil = lambda point, value: value * 0.3 if point.unit == "A" else value
    for address in range(20480, 20487):
        other.words["input"][address] = 0x3838
    return other


@pytest.mark.parametrize("kind", ["rtu", "tcp"])
def test_a_device_is_known_by_its_serial_number(kind: str) -> None:
    async def body(rig: BusRig) -> None:
        for device in (OTHER, VICTIM):
            assert rig.lane.identities[device].known == serial(device)
            assert device_state(rig.lane, device) == "OK"

    on_rig(kind, body)


def test_swapped_devices_are_strangers_until_they_are_back() -> None:
    """After the link was opened anew the two meters answer in each other's place."""

    async def body(rig: BusRig) -> None:
        units = rig.wire.units
        a, b = rig.unit[OTHER], rig.unit[VICTIM]
        units[a], units[b] = units[b], units[a]
        await rig.link.close()
        begin_ns = rig.clock.now_ns()
        await rig.run(1.5)
        assert rig.wrong == [], "not one reading of the other meter"
        for device, other in ((OTHER, VICTIM), (VICTIM, OTHER)):
            state = device_state(rig.lane, device)
            assert state.startswith("STRANGER: another device answers"), state
            assert serial(other) in state
            assert not rig.good(device, begin_ns + S)
        units[a], units[b] = units[b], units[a]
        in_time(await rig.until_good(OTHER, rig.clock.now_ns()), 3 * S)
        in_time(await rig.until_good(VICTIM, rig.clock.now_ns()), 3 * S)
        assert rig.wrong == []

    on_rig("tcp", body)


def test_a_device_that_was_known_before_a_restart_is_known_after_it() -> None:
    async def body(rig: BusRig) -> None:
        rig._task.cancel()
        lane = Lane(rig.plan, rig.link, rig.image, rig.clock)
        lane.identities[OTHER].known = "somebody else"
        identity = lane.identities[OTHER]
        for _ in range(5):
            lane.begin(rig.clock.now_ns() + 90_000_000)
            await lane._try_all(lane._by_unit[0])
        assert identity.stranger.startswith("another device answers")
        identity.accept()
        assert not identity.stranger
        assert identity.known == serial(OTHER)

    on_rig("rtu", body)


def test_two_meters_on_one_address_are_found_out_and_told() -> None:
    """They answer in turn. Readings of before are judged by the mains' own doubt (ERRATIC)."""

    async def body(rig: BusRig) -> None:
        rig.segment.twins = {rig.unit[OTHER]: replaced(rig)}
        await rig.run(12.0)
        state = device_state(rig.lane, OTHER)
        assert state.startswith("STRANGER: two devices answer as unit 1"), state
        since_ns = rig.clock.now_ns()
        await rig.run(3.0)
        assert not rig.good(OTHER, since_ns), "neither is taken"

    on_rig("rtu", body)


def test_a_meter_that_was_replaced_is_taken_when_a_person_says_so() -> None:
    async def body(rig: BusRig) -> None:
        rig.wire.units[rig.unit[OTHER]] = replaced(rig)
        await rig.link.close()
        await rig.run(1.0)
        assert rig.lane.identities[OTHER].stranger
        rig.lane.identities[OTHER].accept()
        since_ns = rig.clock.now_ns()
        await rig.run(1.0)
        assert rig.good(OTHER, since_ns)
        assert device_state(rig.lane, OTHER) == "OK"

    on_rig("tcp", body)


MUTE = [Fault("dead", -1), Fault("refuse", -1, code=2), Fault("refuse", -1, code=11)]


def silenced(fault: Fault) -> Fault:
    """The same, of the serial number alone."""
    return Fault(fault.kind, fault.times, code=fault.code, at=20480)


@pytest.mark.parametrize("kind", ["rtu", "tcp"])
@pytest.mark.parametrize("fault", MUTE, ids=["silent", "refuses", "gateway"])
def test_a_device_that_never_says_who_it_is_is_read_all_the_same(kind: str, fault: Fault) -> None:
    async def run() -> None:
        rig = BusRig(kind)
        rig.strike(OTHER, silenced(fault))
        await rig.start()
        try:
            since_ns = rig.clock.now_ns()
            await rig.run(1.0)
            assert rig.good(OTHER, since_ns)
            assert device_state(rig.lane, OTHER) == "OK"
        finally:
            await rig.stop()

    asyncio.run(run())


@pytest.mark.parametrize("fault", MUTE, ids=["silent", "refuses", "gateway"])
def test_one_that_has_told_before_is_not_trusted_when_it_does_not_any_more(fault: Fault) -> None:
    """Another meter may stand there, or its own is starting: it is asked again and again."""

    async def body(rig: BusRig) -> None:
        rig.strike(OTHER, silenced(fault))
        rig.wire.units[rig.unit[OTHER]] = replaced(rig)
        await rig.link.close()
        await rig.run(3.0)
        assert rig.wrong == []
        assert device_state(rig.lane, OTHER).startswith("STRANGER: it does not say any more")
        rig.heal()
        rig.wire.units[rig.unit[OTHER]] = build_devices(rig.panel, rig.plant, 1)[OTHER]
        await rig.until_good(OTHER, rig.clock.now_ns())
        assert rig.wrong == []

    on_rig("tcp", body)


@pytest.mark.parametrize("kind", ["rtu", "tcp"])
@pytest.mark.parametrize("dead_s", [0.5, 1.0, 2.0, 2.3, 2.6])
def test_devices_that_were_away_are_looked_at_when_they_are_back(kind: str, dead_s: float) -> None:
    """Both were swapped while they were off."""

    async def body(rig: BusRig) -> None:
        units, a, b = rig.wire.units, rig.unit[OTHER], rig.unit[VICTIM]
        for device in (OTHER, VICTIM):
            rig.strike(device, Fault("dead", -1))
        await rig.link.close()
        await rig.run(dead_s)
        units[a], units[b] = units[b], units[a]
        rig.heal()
        await rig.run(2.0)
        assert rig.wrong == []
        assert device_state(rig.lane, OTHER).startswith("STRANGER")

    on_rig(kind, body)


def test_a_stranger_that_goes_silent_makes_room_for_the_right_one() -> None:
    async def body(rig: BusRig) -> None:
        right = rig.wire.units[rig.unit[OTHER]]
        rig.wire.units[rig.unit[OTHER]] = replaced(rig)
        await rig.link.close()
        await rig.run(1.0)
        assert rig.lane.identities[OTHER].stranger
        rig.strike(OTHER, Fault("dead", -1))
        await rig.run(3.0)
        rig.wire.units[rig.unit[OTHER]] = right
        rig.heal()
        await rig.until_good(OTHER, rig.clock.now_ns())
        assert rig.wrong == []

    on_rig("tcp", body)
