"""Every fault that a wire or a device can have, on one of two meters: no wrong value is ever good,
the other meter keeps its cadence, and the victim is back within a second of the fault's end.
"""

from __future__ import annotations

import pytest

from panelctl.core.engine import Engine
from panelctl.modbus.maps import load_map
from panelctl.model.metering import Quality
from panelctl.sim.devices import SimMeter
from panelctl.sim.line import SimLine
from panelctl.sim.server import Fault
from panelctl.sim.wires import start_wire
from tests.bus.rig import CYCLE_NS, OTHER, VICTIM, BusRig, in_time, on_rig

FAULT_S = 1.2
S = 1_000_000_000
BACK_NS = 2 * S  # so soon a device is back, on a machine that does something else besides
TIMEOUT_NS = load_map("carlo_gavazzi_em540").timeout_ms * 1_000_000
WIRE_NS = 20_000_000  # questions, replies and the lane's own silences
MATRIX = [
    *[Fault("late", -1, ms) for ms in (1, 20, 55, 70, 130, 300, 1_000, 3_000)],
    Fault("slower", -1, 15),
    *[Fault(kind, -1) for kind in ("dead", "short", "garbled", "foreign", "duplicate")],
    *[Fault(kind, -1) for kind in ("echo", "noise", "header")],
    *[Fault("refuse", -1, code=code) for code in range(1, 12)],
]
HARMLESS = {"duplicate", "echo", "noise", "header"}  # the right reply comes, and is found
LATE = {"slower", "late"}  # the reply may come when nobody waits for it any more


def name(fault: Fault) -> str:
    what = f"{fault.ms:g}ms" if fault.ms else str(fault.code) if fault.kind == "refuse" else ""
    return f"{fault.kind}{what}"


async def strike(rig: BusRig, device: str, fault: Fault) -> int:
    """The fault for a while, then none; how long the victim took to come back, ns."""
    rig.strike(device, Fault(fault.kind, fault.times, fault.ms, fault.code))
    await rig.run(FAULT_S)
    rig.heal()
    return await rig.until_good(device, rig.clock.now_ns())


KINDS = ("rtu", "tcp", "udp", "rtu+tcp", "rtu+udp")
CASES = [
    (fault, kind)
    for kind in KINDS
    for fault in MATRIX
    if kind.startswith("rtu") or fault.kind not in ("echo", "header")
]


@pytest.mark.parametrize(("fault", "kind"), CASES, ids=[f"{name(f)}-{kind}" for f, kind in CASES])
def test_a_fault_of_one_meter(fault: Fault, kind: str) -> None:

    async def body(rig: BusRig) -> None:
        took_ns = await strike(rig, VICTIM, fault)
        assert rig.wrong == []
        in_time(took_ns, BACK_NS)
        allowed_ns = 2 * CYCLE_NS + TIMEOUT_NS + WIRE_NS
        if kind == "tcp":
            allowed_ns += 12 * CYCLE_NS  # the connection is lost, and who answers is looked at
        if kind in ("rtu+tcp", "rtu+udp"):
            allowed_ns += CYCLE_NS  # a serial server gathers what it hears
        if fault.kind in LATE:
            allowed_ns += 2 * TIMEOUT_NS  # it is listened to for longer
        in_time(rig.gaps_ns[OTHER], allowed_ns)
        if isinstance(rig.wire, SimLine):
            collisions = rig.wire.collisions
            assert fault.kind in LATE or collisions == 0, "nobody is asked into a reply"
            # who asks when a forgotten reply begins cannot know of it: that is no broken silence
            met = collisions if fault.kind in LATE else 0
            assert rig.wire.violations <= met, "the silence is kept, whatever happens"
            if fault.kind in HARMLESS:
                in_time(rig.gaps_ns[VICTIM], 3 * CYCLE_NS)

    on_rig(kind, body)


@pytest.mark.parametrize("fault", [Fault("split", -1), Fault("closed", 3)], ids=name)
def test_a_fault_of_a_connection(fault: Fault) -> None:
    async def body(rig: BusRig) -> None:
        took_ns = await strike(rig, VICTIM, fault)
        assert rig.wrong == []
        in_time(took_ns, BACK_NS)

    on_rig("tcp", body)


@pytest.mark.parametrize("late_ms", [66, 71, 80, 100, 140, 170])
def test_a_late_reply_to_the_one_that_decides(late_ms: int) -> None:
    """Now and then, and never for long: the fault that other clients take for an answer."""

    async def body(rig: BusRig) -> None:
        for _ in range(6):
            rig.strike(OTHER, Fault("late", 1, late_ms))
            await rig.run(0.4)
        unit = rig.lane.units[OTHER]
        assert unit.timeouts >= 5 or unit.patience.learnt_ms > unit.device.timeout_ms
        assert rig.wrong == []
        rig.heal()
        in_time(await rig.until_good(OTHER, rig.clock.now_ns()), BACK_NS)

    on_rig("rtu", body)


@pytest.mark.parametrize("late_ms", [20, 62, 75, 90, 150, 400, 700, 900])
def test_a_late_reply_among_questions_of_one_length(late_ms: int) -> None:
    """A branch meter is asked for its groups, one like the other, and answers the one before."""

    async def body(rig: BusRig) -> None:
        for device in ("branch1", "branch2", "branch3"):
            rig.strike(device, Fault("late", 8, late_ms))
        await rig.run(3.5)
        assert rig.wrong == []
        rig.heal()
        for device in ("branch1", "branch2", "branch3"):
            in_time(await rig.until_good(device, rig.clock.now_ns()), 2 * S)  # a sweep takes one
        assert rig.wrong == []

    on_rig("rtu", body, "line2")


def test_replies_later_than_they_are_waited_for_are_told_by_their_turn() -> None:
    """All 1.5 s late, where a branch meter is waited for for 1 s: a device answers in turn, so what
    it has answered since proves that nothing older comes. (Were it healed between two of them, its
    late replies would come after those to later questions. No device does that, and nothing on a
    serial line would tell them from answers.)
    """

    async def body(rig: BusRig) -> None:
        for device in ("branch1", "branch2", "branch3"):
            rig.strike(device, Fault("late", -1, 1_500))
        await rig.run(8.0)
        assert rig.wrong == []
        assert rig.link.counts.stray_bytes, "they came, and nobody took them"

    on_rig("rtu", body, "line2")


def frame(unit: int, pdu: bytes) -> bytes:
    from pymodbus.framer import FramerRTU
    from pymodbus.pdu import DecodePDU

    return bytes(FramerRTU(DecodePDU(True)).encode(pdu, unit, 0))


def test_two_masters_on_one_line() -> None:
    """Another master asks our meters; its questions and their replies come between ours."""

    async def body(rig: BusRig) -> None:
        assert isinstance(rig.wire, SimLine)
        unit = rig.unit[VICTIM]
        question = frame(unit, bytes([4, 0, 12, 0, 2]))
        reply = frame(unit, bytes([4, 4, 0x12, 0x34, 0x56, 0x78]))
        for n in range(15):
            await rig.clock.sleep_until(rig.clock.now_ns() + (n * 7 % 23) * 1_000_000)
            rig.wire.speak(question if n % 3 else question + reply)
            await rig.cycle()
            rig.wire.speak(reply)
        assert rig.wrong == []
        in_time(await rig.until_good(VICTIM, rig.clock.now_ns()), BACK_NS)
        in_time(await rig.until_good(OTHER, rig.clock.now_ns()), BACK_NS)

    on_rig("rtu", body)


@pytest.mark.parametrize("kind", KINDS)
def test_a_meter_that_starts_anew(kind: str) -> None:
    """Silent for a while, then not ready, then there again."""

    async def body(rig: BusRig) -> None:
        for fault in (Fault("dead", -1), Fault("refuse", -1, code=4), Fault("refuse", -1, code=6)):
            rig.heal()
            rig.strike(VICTIM, fault)
            await rig.run(0.4)
        rig.heal()
        in_time(await rig.until_good(VICTIM, rig.clock.now_ns()), BACK_NS)
        assert rig.wrong == []
        assert rig.gaps_ns[OTHER] < 2 * CYCLE_NS + TIMEOUT_NS + WIRE_NS + (
            4 * CYCLE_NS if kind != "rtu" else 0
        )

    on_rig(kind, body)


def qualities(rig: BusRig, judge: Engine) -> tuple[int, int]:
    """What is thought of the mains after a cycle, and leg a as it was read, mA."""
    mine, theirs = judge.image, rig.image
    for name, slot in theirs.slot.items():
        here = mine.slot[name]
        mine.next_value[here] = theirs.next_value[slot]
        mine.next_quality[here] = theirs.next_quality[slot]
        mine.next_sampled_ns[here] = theirs.next_sampled_ns[slot]
    mine.latch()
    judge.core.check_readings(rig.clock.now_ns())
    return mine.quality[0], mine.value[0]


def test_mains_that_show_nothing_are_doubted() -> None:
    """At once, for one sample; and for good when the node's own meter has told otherwise for long
    enough. What was read stands there, and nothing is put in its place.
    """

    async def body(rig: BusRig) -> None:
        judge, meter = Engine(rig.panel), rig.wire.units[rig.unit[OTHER]]
        assert isinstance(meter, SimMeter)
        for _ in range(5):
            await rig.cycle()
            assert qualities(rig, judge)[0] == Quality.GOOD
        meter.spoil = lambda point, value: 0.0
        seen = []
        for _ in range(30):
            await rig.cycle()
            seen.append(qualities(rig, judge))
        first = next(n for n, (_, ma) in enumerate(seen) if ma == 0)
        assert seen[first][0] == Quality.IMPLAUSIBLE
        late = seen[first + 13 :]
        assert late
        assert set(late) == {(Quality.IMPLAUSIBLE, 0)}
        meter.spoil = None
        in_time(await rig.until_good(OTHER, rig.clock.now_ns()), BACK_NS)

    on_rig("rtu", body)


def test_mains_that_stand_still_are_doubted_once_a_circuit_moves() -> None:
    async def body(rig: BusRig) -> None:
        judge, meter = Engine(rig.panel), rig.wire.units[rig.unit[OTHER]]
        assert isinstance(meter, SimMeter)
        await rig.cycle()
        meter.frozen = True
        for _ in range(40):
            await rig.cycle()
            assert qualities(rig, judge)[0] == Quality.GOOD, "a quiet house is no frozen meter"
        node = rig.plant.circuits["compute"].node
        assert node is not None
        node.draw_w = node.budget_w = node.floor_w = 4_800.0
        rig.plant.step(0.01)
        seen = []
        for _ in range(5):
            await rig.cycle()
            seen.append(qualities(rig, judge)[0])
        assert seen[-3:] == [Quality.IMPLAUSIBLE] * 3
        meter.frozen = False
        for _ in range(3):
            await rig.cycle()
            last = qualities(rig, judge)[0]
        assert last == Quality.GOOD

    on_rig("rtu", body)


def test_noise_on_the_idle_line() -> None:
    async def body(rig: BusRig) -> None:
        assert isinstance(rig.wire, SimLine)
        for n in range(15):
            rig.wire.speak(bytes([0xFF, n, 0x00, 0x7F][: 1 + n % 4]))
            await rig.cycle()
        assert rig.wrong == []
        in_time(await rig.until_good(OTHER, rig.clock.now_ns()), BACK_NS)

    on_rig("rtu", body)


def point(rig: BusRig, path: str) -> None:
    """Let the name of the rig's USB adapter stand for another port."""
    object.__setattr__(rig.link.link, "path", path)  # type: ignore[attr-defined]  # it is an RtuLink


@pytest.mark.parametrize("kind", KINDS)
def test_the_cable_is_pulled_and_put_back(kind: str) -> None:
    async def body(rig: BusRig) -> None:
        rig.wire.stop()
        if isinstance(rig.wire, SimLine):
            point(rig, "/dev/no_such_port")  # the number of its pty may be somebody else's soon
        await rig.run(0.8)
        assert rig.wrong == []
        if isinstance(rig.wire, SimLine):
            again = SimLine(rig.wire.link, rig.wire.units, rig.clock, lambda: rig.now_s)
            again.start()
            rig.wire = again
            point(rig, again.path)
        else:
            await start_wire(rig.wire)
        in_time(await rig.until_good(OTHER, rig.clock.now_ns()), BACK_NS)
        in_time(await rig.until_good(VICTIM, rig.clock.now_ns()), BACK_NS)
        assert rig.wrong == []

    on_rig(kind, body)


def test_a_half_open_connection_is_given_up() -> None:
    """Nobody answers, nobody closes: as when a gateway lost its power."""

    async def body(rig: BusRig) -> None:
        for device in rig.unit:
            rig.strike(device, Fault("dead", -1))
        before = rig.link.counts.reopened
        await rig.run(1.5)
        rig.heal()
        in_time(await rig.until_good(OTHER, rig.clock.now_ns()), BACK_NS)
        assert rig.link.counts.reopened > before
        assert rig.wrong == []

    on_rig("tcp", body)


def test_units_behind_a_gateway_are_asked_side_by_side() -> None:
    """Two slow meters cost a cycle what one of them does."""

    async def body(rig: BusRig) -> None:
        for device in rig.unit:
            rig.strike(device, Fault("late", -1, 45))
        began = []
        for _ in range(8):
            begin_ns = rig.clock.now_ns()
            rig.lane.begin(begin_ns + CYCLE_NS)
            await rig.lane.fast_done.wait()
            began.append(rig.clock.now_ns() - begin_ns)
            await rig.clock.sleep_until(begin_ns + CYCLE_NS)
        assert sorted(began)[4] < 80_000_000
        assert rig.wrong == []

    on_rig("tcp", body)


def test_a_busy_meter_is_asked_again_in_the_same_cycle() -> None:
    async def body(rig: BusRig) -> None:
        for _ in range(6):
            rig.strike(VICTIM, Fault("refuse", 1, code=6))
            await rig.cycle()
        in_time(rig.gaps_ns[VICTIM], 2 * CYCLE_NS)
        assert rig.lane.units[VICTIM].misses == 0
        assert rig.wrong == []

    on_rig("rtu", body)
