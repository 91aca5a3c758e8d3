"""What simulated wires do wrong, on virtual ones: to the byte and to the nanosecond."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from panelctl.config.load import read_panel
from panelctl.model.panel import Link
from panelctl.sim.bus import VirtualHost, VirtualLine, VirtualPort
from panelctl.sim.network import LATENCY_S, Network
from panelctl.sim.serial_server import gathered
from panelctl.sim.server import FAULT_KINDS, Fault, struck_by
from panelctl.sim.storm.faults import KINDS
from panelctl.sim.storm.strike import Strike
from panelctl.sim.storm.world import World
from tests.wire_rig import Numbered, answered, mbap, read_pdu, rtu, shown

MS = 1_000_000
LINE = Link("line", "rtu:///dev/ttyX?baud=9600", "rtu", path="/dev/ttyX", baud=9600)
HOST = Link("host", "tcp://192.0.2.1:502", "tcp", "192.0.2.1", 502)
NOBODY = bytes([0x83, 0x0B])


def replies(kind: Fault, asked: list[bytes]) -> list[bool]:
    return [struck_by([kind], pdu) is not None for pdu in asked]


def test_a_fault_of_each_nth_reply() -> None:
    pdu = read_pdu(0, 2)
    assert replies(Fault("late", -1, every=3), [pdu] * 7) == [False, False, True] * 2 + [False]
    assert replies(Fault("late", 1, every=2), [pdu] * 6) == [False, True] + [False] * 4
    assert replies(Fault("late", -1), [pdu] * 2) == [True, True]


def test_a_fault_of_one_block() -> None:
    asked = [read_pdu(12, 2), read_pdu(12, 8), read_pdu(10, 8), bytes([16, 0, 12, 0, 1, 2, 0, 0])]
    assert replies(Fault("refuse", -1, at=12), asked) == [True, True, False, False]


def test_what_one_fault_lets_pass_another_may_strike() -> None:
    faults = [Fault("late", -1, every=2), Fault("dead", -1, at=7)]
    kinds = [struck_by(faults, read_pdu(7, 1)) for _ in range(4)]
    assert [fault.kind for fault in kinds if fault] == ["dead", "late", "dead", "late"]


class LineRig:
    """A virtual line with two units; what is sent and what comes, with the time in ms."""

    def __init__(self) -> None:
        self.loop = Network()
        units = {1: Numbered(1), 2: Numbered(2)}
        self.line = VirtualLine(LINE, dict(units), self.loop, lambda: 0.0)
        self.port: VirtualPort = self.loop.run_until_complete(self.line.open(LINE))
        self.came: list[tuple[float, bytes]] = []
        self.port.listen(self._read)
        self.begin_ns = self.loop.now_ns

    def _read(self) -> None:
        data = self.port.read()
        if data:
            self.came.append(((self.loop.now_ns - self.begin_ns) / MS, data))

    def ask(self, unit: int, address: int = 0, count: int = 2) -> None:
        self.port.write(rtu(unit, address, count))

    def wait(self, ms: float) -> None:
        self.loop.run_until_complete(asyncio.sleep(ms / 1000))

    def heard(self) -> list[bytes]:
        data = [piece for _, piece in self.came]
        self.came.clear()
        return data

    @property
    def char_ms(self) -> float:
        return self.line.wire.char_ns / MS


def on_line(body: Callable[[LineRig], None]) -> None:
    rig = LineRig()
    try:
        body(rig)
    finally:
        rig.loop.close()


def test_an_adapter_that_hears_itself() -> None:
    def body(rig: LineRig) -> None:
        rig.line.echo = True
        rig.ask(1)
        rig.wait(100)
        (at_ms, echo), (_, reply) = rig.came
        assert echo == rtu(1, 0, 2)
        assert at_ms == pytest.approx(8 * rig.char_ms, abs=0.01), "its own time on the wire"
        assert reply == answered(1, 0, 2)
        rig.heard()
        rig.ask(9)
        rig.wait(100)
        assert rig.heard() == [rtu(9, 0, 2)], "for absent units too"
        assert rig.line.collisions == 0

    on_line(body)


def test_a_unit_that_needs_a_gap() -> None:
    def body(rig: LineRig) -> None:
        rig.line.needs_gap_ms = {1: 30.0}
        rig.ask(1)
        rig.wait(50)
        assert rig.heard() == [answered(1, 0, 2)]
        end_ms = 8 * rig.char_ms + max(2.0, 3.5 * rig.char_ms) + 9 * rig.char_ms
        rig.wait(end_ms + 29.5 - 50)
        rig.ask(1)
        rig.ask(2)
        rig.wait(200)
        assert rig.heard() == [answered(2, 0, 2)], "others do not mind"
        assert rig.line.gap_broken == 1
        rig.ask(1)
        rig.wait(end_ms + 30.5)
        rig.ask(1)
        rig.wait(100)
        assert rig.heard() == [answered(1, 0, 2)] * 2
        assert rig.line.gap_broken == 1

    on_line(body)


def test_two_devices_with_one_unit_id() -> None:
    def body(rig: LineRig) -> None:
        rig.line.twins = {1: Numbered(1, mark=0x77)}
        for _ in range(4):
            rig.ask(1)
            rig.wait(60)
        assert rig.heard() == [answered(1, 0, 2, mark) for mark in (1, 0x77, 1, 0x77)]
        rig.ask(2)
        rig.wait(60)
        assert rig.heard() == [answered(2, 0, 2)]

    on_line(body)


def test_a_line_that_hisses() -> None:
    def body(rig: LineRig) -> None:
        rig.line.hiss(5.0)
        rig.wait(52)
        noise = rig.heard()
        assert len(noise) == 10
        assert {len(byte) for byte in noise} == {1}
        assert {b"\xff", b"\x00"} < set(noise)
        rig.ask(1)
        rig.wait(50)
        assert answered(1, 0, 2) in rig.heard()
        rig.line.hiss(0.0)
        rig.wait(50)
        assert rig.heard() == []
        assert rig.line.hiss_ms == 0.0

    on_line(body)


def test_an_adapter_that_is_deaf_after_it_was_opened() -> None:
    def body(rig: LineRig) -> None:
        rig.line.settle_s = 1.0
        port = rig.loop.run_until_complete(rig.line.open(LINE))
        for wait_ms in (900, 150):
            port.write(rtu(1, 0, 2))
            rig.wait(wait_ms)
            assert port.read() is None
        assert rig.line.requests == 0
        port.write(rtu(1, 0, 2))
        rig.wait(100)
        assert port.read() == answered(1, 0, 2)

    on_line(body)


def test_a_reply_that_comes_once_more() -> None:
    def body(rig: LineRig) -> None:
        rig.line.faults[1].append(Fault("repeat", 1, 40.0))
        rig.ask(1)
        rig.wait(200)
        (first_ms, first), (again_ms, again) = rig.came
        assert first == again == answered(1, 0, 2)
        assert again_ms - first_ms == pytest.approx(40.0 + 9 * rig.char_ms, abs=0.01)

    on_line(body)


def test_a_reply_that_drips() -> None:
    def body(rig: LineRig) -> None:
        rig.line.faults[1].append(Fault("drip", 1, 20.0))
        rig.ask(1)
        rig.wait(70)
        rig.ask(1, 0, 3)  # it is busy with its reply
        rig.wait(200)
        assert b"".join(data for _, data in rig.came) == answered(1, 0, 2)
        gaps = {round(b - a, 3) for (a, _), (b, _) in zip(rig.came, rig.came[1:], strict=False)}
        assert gaps == {20.0}
        rig.heard()
        rig.ask(1, 0, 3)
        rig.wait(100)
        assert rig.heard() == [answered(1, 0, 3)]

    on_line(body)


def test_half_a_reply_and_one_block_refused() -> None:
    def body(rig: LineRig) -> None:
        rig.line.faults[1].append(Fault("half", 1))
        rig.ask(1)
        rig.wait(60)
        assert rig.heard() == [answered(1, 0, 2)[:4]]
        rig.line.faults[1][:] = [Fault("refuse", -1, code=2, at=8)]
        rig.ask(1, 8)
        rig.wait(60)
        rig.ask(1, 9)
        rig.wait(60)
        refused, read = rig.heard()
        assert refused[:3] == bytes([1, 0x83, 2])
        assert read == answered(1, 9, 2)

    on_line(body)


def test_half_a_request_is_forgotten() -> None:
    def body(rig: LineRig) -> None:
        rig.port.write(rtu(1, 0, 2)[:5])
        rig.wait(100)
        rig.ask(1)
        rig.wait(60)
        assert rig.heard() == [answered(1, 0, 2)]

    on_line(body)


class HostRig(asyncio.Protocol):
    """A virtual host with two units, and somebody connected to it."""

    def __init__(self) -> None:
        self.loop = Network()
        units = {1: Numbered(1), 2: Numbered(2, turnround_ms=20.0)}
        self.host = VirtualHost(HOST, dict(units), self.loop, lambda: 0.0)
        self.came: list[tuple[float, bytes]] = []
        self.begin_ns = 0
        self.connect()

    def connect(self) -> None:
        self.wire, _ = self.loop.run_until_complete(
            self.loop.join(lambda: self, ("192.0.2.1", 502))
        )
        self.begin_ns = self.loop.now_ns

    def data_received(self, data: bytes) -> None:
        self.came.append(((self.loop.now_ns - self.begin_ns) / MS, data))

    def ask(self, number: int, address: int, count: int, unit: int = 1) -> None:
        self.wire.write(mbap(number, unit, read_pdu(address, count)))

    def wait(self, ms: float) -> None:
        self.loop.run_until_complete(asyncio.sleep(ms / 1000))

    def heard(self) -> list[bytes]:
        data = [piece for _, piece in self.came]
        self.came.clear()
        return data

    def exchange(self, number: int, address: int, count: int, unit: int = 1) -> list[bytes]:
        self.ask(number, address, count, unit)
        self.wait(30)
        return self.heard()


def on_host(body: Callable[[HostRig], None]) -> None:
    rig = HostRig()
    try:
        body(rig)
    finally:
        rig.loop.close()


def test_a_gateway_with_a_shift() -> None:
    """The right numbers, the bodies of two requests before; left alone it comes round."""

    def body(rig: HostRig) -> None:
        rig.host.begin_shift(2)
        assert rig.exchange(1, 10, 1) == [mbap(1, 1, NOBODY)]
        assert rig.exchange(2, 20, 2, unit=2) == [mbap(2, 2, NOBODY)]
        assert rig.exchange(3, 30, 3) == [mbap(3, 1, shown(1, 10, 1))]
        assert rig.exchange(4, 40, 4) == [mbap(4, 2, shown(2, 20, 2))], "and the old unit"
        assert rig.host.shifted == 2
        rig.host.stamps_unit = True
        rig.exchange(5, 50, 5, unit=2)
        assert rig.exchange(6, 60, 6, unit=2) == [mbap(6, 2, shown(1, 40, 4))]
        rig.wait(150)
        assert rig.exchange(7, 70, 7) == [mbap(7, 1, shown(2, 50, 5))], "not idle for long enough"
        rig.wait(190)
        assert rig.exchange(8, 80, 8) == [mbap(8, 1, shown(1, 80, 8))]
        assert rig.host.shift == 0
        assert rig.exchange(9, 90, 2) == [mbap(9, 1, shown(1, 90, 2))]

    on_host(body)


def test_a_shift_that_begins_at_once_and_is_ended() -> None:
    def body(rig: HostRig) -> None:
        for number in (1, 2, 3):
            rig.exchange(number, 10 * number, number)
        rig.host.begin_shift(1, at_once=True)
        assert rig.exchange(4, 40, 4) == [mbap(4, 1, shown(1, 30, 3))]
        assert rig.exchange(5, 50, 5) == [mbap(5, 1, shown(1, 40, 4))]
        rig.host.end_shift()
        assert rig.exchange(6, 60, 6) == [mbap(6, 1, shown(1, 60, 6))]
        assert rig.host.shifted == 2

    on_host(body)


@pytest.mark.parametrize("stamps", ["own", "number", "unit"])
def test_the_number_of_a_late_reply(stamps: str) -> None:
    def body(rig: HostRig) -> None:
        rig.host.stamps = stamps
        rig.host.faults[1].append(Fault("late", 1, 30.0))
        rig.ask(7, 10, 1)
        rig.wait(25)
        rig.ask(8, 20, 2, unit=2)
        rig.wait(50)
        number, unit = {"own": (7, 1), "number": (8, 1), "unit": (8, 2)}[stamps]
        late = mbap(number, unit, shown(1, 10, 1))
        assert rig.heard() == [late, mbap(8, 2, shown(2, 20, 2))]
        rig.host.faults[1].append(Fault("late", 1, 30.0))
        rig.ask(9, 10, 1)
        rig.wait(5)
        rig.ask(10, 20, 2, unit=2)
        rig.wait(50)
        assert rig.heard() == [mbap(10, 2, shown(2, 20, 2)), mbap(9, 1, shown(1, 10, 1))], (
            "the newest was answered before"
        )

    on_host(body)


def test_other_units_and_numbers() -> None:
    def body(rig: HostRig) -> None:
        rig.host.alias = 1
        assert rig.exchange(1, 5, 1, unit=2) == [mbap(1, 1, shown(2, 5, 1))]
        assert rig.exchange(2, 5, 1, unit=255) == [mbap(2, 1, shown(1, 5, 1))]
        rig.host.alias = None
        assert rig.exchange(3, 5, 1, unit=255) == []
        rig.host.number_plus = 3
        assert rig.exchange(0xFFFE, 5, 1) == [mbap(1, 1, shown(1, 5, 1))]

    on_host(body)


def test_only_the_first_of_several() -> None:
    def body(rig: HostRig) -> None:
        three = b"".join(mbap(n, 1, read_pdu(n, n)) for n in (1, 2, 3))
        rig.wire.write(three)
        rig.wait(30)
        assert rig.heard() == [mbap(n, 1, shown(1, n, n)) for n in (1, 2, 3)]
        rig.host.first_only = True
        rig.wire.write(three)
        rig.wait(30)
        assert rig.heard() == [mbap(1, 1, shown(1, 1, 1))]
        assert rig.exchange(4, 4, 4) == [mbap(4, 1, shown(1, 4, 4))]

    on_host(body)


def test_a_gateway_that_is_deaf_after_a_connection() -> None:
    def body(rig: HostRig) -> None:
        rig.host.settle_s = 1.5
        rig.connect()
        assert rig.exchange(1, 0, 1) == []
        rig.wait(1450)
        assert rig.exchange(2, 0, 1) == []
        rig.wait(50)
        assert rig.exchange(3, 0, 1) == [mbap(3, 1, shown(1, 0, 1))]
        assert rig.host.requests == 1

    on_host(body)


def test_one_line_behind_a_gateway() -> None:
    def body(rig: HostRig) -> None:
        rig.host.one_by_one = True
        for number, unit in ((1, 2), (2, 9), (3, 1), (4, 2)):
            rig.ask(number, 0, 1, unit)
        rig.wait(100)
        assert [frame[1] for _, frame in rig.came] == [1, 3, 4], "in order, though unit 1 is faster"
        latency_ms = 2 * LATENCY_S * 1000
        took_ms = [round(at_ms - latency_ms, 2) for at_ms, _ in rig.came]
        assert took_ms == pytest.approx([20, 22, 42], abs=0.05)

    on_host(body)


def test_a_host_that_speaks_rtu() -> None:
    def body(rig: HostRig) -> None:
        rig.host.speaks_rtu = True
        rig.wire.write(rtu(1, 0, 2) + rtu(1, 5, 1))
        rig.wait(30)
        assert rig.heard() == [answered(1, 0, 2), answered(1, 5, 1)]
        assert rig.exchange(1, 3, 2) == [answered(1, 3, 2)], "though it was asked in Modbus TCP"
        rig.wire.write(b"\x01\x03\x00\x00\x00\x02\xde\xad" + rtu(1, 7, 2))
        rig.wait(30)
        assert rig.heard() == [answered(1, 7, 2)], "what has no right checksum is not heard"

    on_host(body)


def test_a_stream_that_drips_holds_up_what_comes_after_it() -> None:
    def body(rig: HostRig) -> None:
        rig.host.faults[1].append(Fault("drip", -1, 10.0))
        rig.ask(1, 0, 4)
        rig.ask(2, 0, 1)
        rig.ask(3, 0, 2, unit=2)
        rig.wait(500)
        slow = mbap(1, 1, shown(1, 0, 4))
        assert rig.heard() == [*(bytes([byte]) for byte in slow), mbap(3, 2, shown(2, 0, 2))]

    on_host(body)


def test_a_frame_that_comes_once_more_and_half_a_frame() -> None:
    def body(rig: HostRig) -> None:
        rig.host.faults[1].append(Fault("repeat", 1, 15.0))
        rig.ask(1, 0, 2)
        rig.wait(10)
        rig.ask(2, 8, 1)
        rig.wait(50)
        first = mbap(1, 1, shown(1, 0, 2))
        assert rig.heard() == [first, mbap(2, 1, shown(1, 8, 1)), first]
        rig.host.faults[1].append(Fault("half", 1))
        assert rig.exchange(3, 0, 2) == [mbap(3, 1, shown(1, 0, 2))[:6]]

    on_host(body)


def test_bytes_are_gathered_into_packets() -> None:
    bytes_ms = [(b"a", 10), (b"b", 11), (b"c", 12), (b"d", 13), (b"e", 40)]
    pieces = [(byte, at_ms * MS) for byte, at_ms in bytes_ms]
    assert gathered(pieces, 2.0 * MS) == [(b"abc", 12 * MS), (b"d", 15 * MS), (b"e", 42 * MS)]
    assert gathered(pieces, math.inf) == [(b"abcd", 13 * MS), (b"e", 40 * MS)]


def test_the_new_faults_are_known_to_the_desk() -> None:
    assert {"repeat", "drip", "half"} < set(FAULT_KINDS)


DEMO = Path("panelctl/sim/demo.toml")
NEW = (
    "repeat",
    "every_eighth_late",
    "late_always",
    "drip",
    "block_refused",
    "shift",
    "stamped",
    "echo_adapter",
    "hiss",
    "settle",
)


def vices(world: World) -> list[object]:
    """All that a fault of a wire may have left behind."""
    found: list[object] = []
    for line in world.lines.values():
        found += [line.faults, line.echo, line.hiss_ms, line.settle_s, line.cut]
    for host in world.hosts.values():
        found += [host.faults, host.shift, host.stamps, host.settle_s, host.host.door]
    return found


@pytest.mark.parametrize("amount", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("kind", NEW)
def test_a_fault_of_the_catalogue_leaves_nothing_behind(
    kind: str, amount: float, tmp_path: Path
) -> None:
    world = World(read_panel(DEMO), DEMO.read_text(), 1, tmp_path)
    calm = repr(vices(world))
    where = KINDS[kind].targets(world)
    assert where
    for target in where:

        async def strike(target: str = target) -> None:
            undo = KINDS[kind].begin(world, Strike(1.0, 9.0, kind, target, amount))
            assert repr(vices(world)) != calm
            await asyncio.sleep(0.3 if amount else 2.0)
            undo()

        world.loop.run_until_complete(strike())
        assert repr(vices(world)) == calm
    world.loop.close()


def test_hisses_of_one_line_end_one_by_one(tmp_path: Path) -> None:
    world = World(read_panel(DEMO), DEMO.read_text(), 1, tmp_path)

    async def twice() -> None:
        line = world.lines["line1"]
        undone = [
            KINDS["hiss"].begin(world, Strike(1.0, 9.0, "hiss", "line1", amount))
            for amount in (0.0, 1.0)
        ]
        undone[0]()
        assert line.hiss_ms == 20.0
        undone[1]()
        assert line.hiss_ms == 0.0

    world.loop.run_until_complete(twice())
    world.loop.close()


def test_a_refused_block_is_one_that_is_asked_for(tmp_path: Path) -> None:
    world = World(read_panel(DEMO), DEMO.read_text(), 1, tmp_path)
    refused = set()
    for amount in (0.0, 0.3, 0.6, 0.99, 1.0):
        KINDS["block_refused"].begin(world, Strike(1.0, 9.0, "block_refused", "branch1", amount))
        fault = world.lines["line2"].faults[11][0]
        assert (fault.kind, fault.code) == ("refuse", 2)
        refused.add(fault.at)
    assert len(refused) > 1
    world.loop.close()
