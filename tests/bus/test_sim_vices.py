"""What simulated wires do wrong, on real sockets and ptys: what whoever asks gets to see."""

from __future__ import annotations

import asyncio
import os
import tty
from collections.abc import Awaitable, Callable

import pytest
from pymodbus.client import AsyncModbusTcpClient, AsyncModbusUdpClient
from pymodbus.framer import FramerType

from panelctl.field.timing import TimerfdClock
from panelctl.model.panel import Link
from panelctl.sim.line import SimLine
from panelctl.sim.serial_server import SimSerialServer
from panelctl.sim.server import Fault
from panelctl.sim.tcp import SimHost
from panelctl.sim.udp import SimUdpHost
from panelctl.sim.wires import SimWire, start_wire, wire_of
from panelctl.units import NS_PER_MS, NS_PER_S
from tests.wire_rig import Numbered, answered, mbap, read_pdu, rtu, shown

LOOPBACK = "127.0.0.1"
BAUD = 19_200  # a character takes 0.52 ms
LONG = 20  # registers: 45 bytes, three pieces of a UART's FIFO
NOBODY = bytes([0x83, 0x0B])


def link(kind: str) -> Link:
    query = f"?baud={BAUD}" if kind.startswith("rtu") else ""
    where = "/dev/ttyX" if kind == "rtu" else "192.0.2.1:502"
    return Link("wire", f"{kind}://{where}{query}", kind, "192.0.2.1", 502, where, baud=BAUD)


class Ear(asyncio.Protocol, asyncio.DatagramProtocol):
    """Somebody who asks: what came, piece by piece, with the time in ms."""

    def __init__(self, clock: TimerfdClock) -> None:
        self.clock = clock
        self.pieces: list[tuple[float, bytes]] = []
        self.lost = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.pieces.append((self.clock.now_ns() / NS_PER_MS, data))

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()

    def take(self) -> bytes:
        """All that has come since it was asked last."""
        data = b"".join(piece for _, piece in self.pieces)
        self.pieces.clear()
        return data


class Rig:
    """A simulated wire with two units, of one kind, and somebody who is connected to it."""

    wire: SimWire
    send: Callable[[bytes], object]

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.clock = TimerfdClock()
        units = {1: Numbered(1), 2: Numbered(2)}
        self.wire = wire_of(link(kind), dict(units), self.clock, lambda: 0.0)
        self.ear = Ear(self.clock)
        self.transport: asyncio.BaseTransport | None = None

    async def start(self) -> None:
        await start_wire(self.wire)
        await self.join()

    async def join(self) -> None:
        """Connect, or open the port; give up what was before."""
        self.leave()
        loop = asyncio.get_running_loop()
        self.ear = Ear(self.clock)
        wire = self.wire
        if isinstance(wire, SimLine):
            file = os.fdopen(os.open(wire.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK), "rb", 0)
            tty.setraw(file.fileno())
            self.send = lambda data: os.write(file.fileno(), data)
            self.transport, _ = await loop.connect_read_pipe(lambda: self.ear, file)
        elif self.kind.endswith("udp"):
            datagrams, _ = await loop.create_datagram_endpoint(
                lambda: self.ear, remote_addr=(LOOPBACK, wire.port)
            )
            self.transport, self.send = datagrams, datagrams.sendto
        else:
            stream, _ = await loop.create_connection(lambda: self.ear, LOOPBACK, wire.port)
            self.transport, self.send = stream, stream.write

    def leave(self) -> None:
        if self.transport is not None:
            self.transport.close()

    async def wait(self, ms: float) -> None:
        await self.clock.sleep_until(self.clock.now_ns() + int(ms * NS_PER_MS))

    async def exchange(self, data: bytes, ms: float = 60.0) -> bytes:
        """What comes within so long after this was sent."""
        self.ear.take()
        self.send(data)
        await self.wait(ms)
        return self.ear.take()

    async def stop(self) -> None:
        self.leave()
        self.wire.stop()
        await asyncio.sleep(0.01)
        self.clock.close()


def on(kind: str, body: Callable[[Rig], Awaitable[None]]) -> None:
    async def run() -> None:
        rig = Rig(kind)
        await rig.start()
        try:
            await body(rig)
        finally:
            await rig.stop()

    asyncio.run(run())


SEGMENTS = ("rtu", "rtu+tcp", "rtu+udp")
HOSTS = ("tcp", "udp")


@pytest.mark.parametrize("kind", SEGMENTS)
def test_a_line_answers_in_its_own_time(kind: str) -> None:
    async def body(rig: Rig) -> None:
        wire = rig.wire
        assert not isinstance(wire, SimHost | SimUdpHost)
        begin_ms = rig.clock.now_ns() / NS_PER_MS
        rig.send(rtu(1, 0, LONG))
        await rig.wait(80)
        pieces = [piece for _, piece in rig.ear.pieces]
        assert b"".join(pieces) == answered(1, 0, LONG)
        assert [len(piece) for piece in pieces] == ([45] if kind == "rtu+udp" else [16, 16, 13])
        took_ms = rig.ear.pieces[-1][0] - begin_ms
        assert took_ms >= 0.98 * ((8 + 45) * wire.wire.char_ns / NS_PER_MS + 2.0)
        assert wire.requests == 1

    on(kind, body)


@pytest.mark.parametrize("kind", SEGMENTS)
def test_faults_of_a_line(kind: str) -> None:
    async def body(rig: Rig) -> None:
        faults, right = rig.wire.faults[1], answered(1, 0, 2)
        faults.append(Fault("repeat", 1, 30.0))
        assert await rig.exchange(rtu(1, 0, 2), 100) == 2 * right
        faults.append(Fault("half", 1))
        assert await rig.exchange(rtu(1, 0, 2)) == right[:4]
        faults[:] = [Fault("refuse", -1, code=2, at=0)]
        assert (await rig.exchange(rtu(1, 0, 2)))[:3] == bytes([1, 0x83, 2])
        assert await rig.exchange(rtu(1, 1, 2)) == answered(1, 1, 2)
        faults[:] = [Fault("dead", -1, every=2)]
        assert [await rig.exchange(rtu(1, 0, 2)) for _ in range(3)] == [right, b"", right]
        faults[:] = [Fault("drip", 1, 15.0)]
        rig.send(rtu(1, 0, 2))
        await rig.wait(250)
        came = rig.ear.pieces
        assert [piece for _, piece in came] == [bytes([byte]) for byte in right]
        assert came[-1][0] - came[0][0] == pytest.approx(8 * 15.0, abs=10.0)

    on(kind, body)


@pytest.mark.parametrize("kind", SEGMENTS)
def test_vices_of_a_line(kind: str) -> None:
    async def body(rig: Rig) -> None:
        wire = rig.wire
        assert not isinstance(wire, SimHost | SimUdpHost)
        wire.echo = True
        assert await rig.exchange(rtu(1, 0, 2)) == rtu(1, 0, 2) + answered(1, 0, 2)
        assert await rig.exchange(rtu(9, 0, 2)) == rtu(9, 0, 2)
        wire.echo = False
        wire.twins = {2: Numbered(2, mark=0x77)}
        came = [await rig.exchange(rtu(2, 0, 2)) for _ in range(3)]
        assert came == [answered(2, 0, 2, mark) for mark in (2, 0x77, 2)]
        wire.needs_gap_ms = {1: 150.0}
        assert await rig.exchange(rtu(1, 0, 2), 40) == answered(1, 0, 2)
        assert await rig.exchange(rtu(1, 0, 2), 40) == b""
        assert wire.gap_broken == 1
        assert await rig.exchange(rtu(2, 0, 2), 100) == answered(2, 0, 2, 0x77)
        assert await rig.exchange(rtu(1, 0, 2)) == answered(1, 0, 2)
        wire.deaf_until_ns = rig.clock.now_ns() + 100 * NS_PER_MS
        assert await rig.exchange(rtu(2, 0, 2), 110) == b""
        assert await rig.exchange(rtu(2, 0, 2)) == answered(2, 0, 2)

    on(kind, body)


@pytest.mark.parametrize("kind", SEGMENTS)
def test_a_line_that_hisses(kind: str) -> None:
    async def body(rig: Rig) -> None:
        wire = rig.wire
        assert not isinstance(wire, SimHost | SimUdpHost)
        if kind == "rtu+udp":
            await rig.exchange(rtu(9, 0, 1))  # it has to know whom to send to
        since_ns = rig.clock.now_ns()
        wire.hiss(5.0)
        noise = b""
        while len(noise) < 20:
            await rig.wait(5)
            noise += rig.ear.take()
        assert len(noise) <= (rig.clock.now_ns() - since_ns) / (5 * NS_PER_MS)
        assert {0xFF, 0x00} < set(noise)
        assert answered(1, 0, 2) in await rig.exchange(rtu(1, 0, 2))
        wire.hiss(0.0)
        await rig.wait(50)  # what was sent already arrives yet
        rig.ear.take()
        await rig.wait(50)
        assert rig.ear.take() == b""

    on(kind, body)


@pytest.mark.parametrize("kind", ["rtu+tcp", "rtu+udp"])
def test_a_serial_server_gathers_bytes(kind: str) -> None:
    async def body(rig: Rig) -> None:
        wire = rig.wire
        assert isinstance(wire, SimSerialServer)
        sizes = []
        for wire.packet_ms in (0.0, 10.0, 200.0):  # ms
            rig.ear.take()
            rig.send(rtu(1, 0, LONG))
            await rig.wait(300)
            sizes.append([len(piece) for _, piece in rig.ear.pieces])
            assert rig.ear.take() == answered(1, 0, LONG)
        assert sizes[0] == [16, 16, 13]
        assert len(sizes[1]) in (2, 3)
        assert sizes[2] == [45]

    on(kind, body)


@pytest.mark.parametrize("kind", ["rtu+tcp", "rtu+udp", "tcp", "udp"])
def test_who_is_gone_comes_back_on_the_same_port(kind: str) -> None:
    async def body(rig: Rig) -> None:
        ask, right = rtu(1, 0, 2), answered(1, 0, 2)
        if kind in HOSTS:
            ask, right = mbap(7, 1, read_pdu(0, 2)), mbap(7, 1, shown(1, 0, 2))
        assert await rig.exchange(ask) == right
        url, first = rig.wire.url, rig.ear
        rig.wire.stop()
        if not kind.endswith("udp"):
            await asyncio.wait_for(first.lost.wait(), 2)
        await rig.wait(10)
        await start_wire(rig.wire)
        assert rig.wire.url == url
        await rig.join()
        assert await rig.exchange(ask) == right

    on(kind, body)


def test_urls_keep_what_they_were_asked_with() -> None:
    async def body(rig: Rig) -> None:
        wire = rig.wire
        assert isinstance(wire, SimSerialServer)
        assert wire.url == f"rtu+tcp://{LOOPBACK}:{wire.port}?baud={BAUD}"

    on("rtu+tcp", body)


@pytest.mark.parametrize("kind", HOSTS)
def test_a_gateway_with_a_shift(kind: str) -> None:
    """Right numbers, wrong bodies, until it is left alone for a moment."""

    async def body(rig: Rig) -> None:
        host = rig.wire
        assert isinstance(host, SimHost | SimUdpHost)
        host.begin_shift(1)
        assert await rig.exchange(mbap(1, 1, read_pdu(10, 1))) == mbap(1, 1, NOBODY)
        for number in (2, 3, 4):
            old = shown(1, 10 * (number - 1), number - 1)
            ask = mbap(number, 1, read_pdu(10 * number, number))
            assert await rig.exchange(ask) == mbap(number, 1, old)
        assert host.shifted == 3
        await rig.wait(250)
        assert await rig.exchange(mbap(5, 1, read_pdu(50, 5))) == mbap(5, 1, shown(1, 50, 5))

    on(kind, body)


@pytest.mark.parametrize("kind", HOSTS)
def test_vices_of_a_gateway(kind: str) -> None:
    async def body(rig: Rig) -> None:
        host = rig.wire
        assert isinstance(host, SimHost | SimUdpHost)
        ask = mbap(1, 1, read_pdu(0, 1))
        host.alias, host.number_plus = 2, 1
        assert await rig.exchange(ask) == mbap(2, 2, shown(1, 0, 1))
        host.alias, host.number_plus = None, 0
        two = ask + mbap(2, 2, read_pdu(4, 2))
        assert len(await rig.exchange(two)) == 24
        host.first_only = True
        assert await rig.exchange(two) == mbap(1, 1, shown(1, 0, 1))
        host.first_only = False
        host.one_by_one = True
        assert await rig.exchange(two) == mbap(1, 1, shown(1, 0, 1)) + mbap(2, 2, shown(2, 4, 2))
        host.one_by_one = False
        host.stamps = "unit"
        host.faults[1].append(Fault("late", 1, 200.0))
        host.faults[2].append(Fault("late", 1, 400.0))  # and still waits for its own when it comes
        rig.send(ask)
        await rig.wait(20)
        late = await rig.exchange(mbap(2, 2, read_pdu(4, 2)), 600)
        assert late.startswith(mbap(2, 2, shown(1, 0, 1))), "another unit's reply"
        host.stamps = "own"
        host.settle_s = 0.2
        await rig.join()
        assert await rig.exchange(ask, 20) == b""
        await rig.wait(200)
        came = await rig.exchange(ask)
        # Who sends datagrams is there from their first one on.
        assert came == mbap(1, 1, shown(1, 0, 1))

    on(kind, body)


@pytest.mark.parametrize("kind", HOSTS)
def test_faults_of_a_gateway(kind: str) -> None:
    async def body(rig: Rig) -> None:
        faults = rig.wire.faults[1]
        ask, right = mbap(9, 1, read_pdu(0, 2)), mbap(9, 1, shown(1, 0, 2))
        faults.append(Fault("repeat", 1, 20.0))
        assert await rig.exchange(ask) == 2 * right
        faults.append(Fault("half", 1))
        assert await rig.exchange(ask) == right[:6]
        faults.append(Fault("drip", 1, 10.0))
        begin_ns = rig.clock.now_ns()
        rig.send(ask)
        await rig.wait(250)
        assert [piece for _, piece in rig.ear.pieces] == [bytes([byte]) for byte in right]
        assert rig.ear.pieces[-1][0] - begin_ns / NS_PER_MS >= 12 * 10
        assert await rig.exchange(ask) == right

    on(kind, body)


def test_a_host_that_speaks_rtu() -> None:
    async def body(rig: Rig) -> None:
        host = rig.wire
        assert isinstance(host, SimHost)
        host.speaks_rtu = True
        assert await rig.exchange(rtu(1, 0, 2)) == answered(1, 0, 2)
        assert await rig.exchange(mbap(1, 1, read_pdu(0, 2))) == answered(1, 0, 2)
        broken = rtu(1, 0, 2)[:-1] + b"\x00"
        assert await rig.exchange(broken) == b""
        assert await rig.exchange(rtu(1, 4, 1)) == answered(1, 4, 1)

    on("tcp", body)


@pytest.mark.parametrize("kind", ["udp", "rtu+tcp", "rtu+udp"])
def test_clients_that_we_did_not_write_read_it(kind: str) -> None:
    async def run() -> None:
        rig = Rig(kind)
        await start_wire(rig.wire)
        wire = rig.wire
        assert not isinstance(wire, SimLine)
        framer = FramerType.RTU if kind.startswith("rtu") else FramerType.SOCKET
        known = AsyncModbusUdpClient if kind.endswith("udp") else AsyncModbusTcpClient
        client = known(LOOPBACK, port=wire.port, framer=framer, timeout=1)
        try:
            assert await client.connect()
            for _ in range(3):
                reply = await client.read_holding_registers(5, count=3, device_id=2)
                assert reply.registers == [0x205, 0x206, 0x207]
        finally:
            client.close()
            await rig.stop()

    asyncio.run(run())


def test_each_kind_of_link_has_its_wire() -> None:
    async def run() -> None:
        clock = TimerfdClock()
        kinds: dict[str, type] = {
            "rtu": SimLine,
            "rtu+tcp": SimSerialServer,
            "rtu+udp": SimSerialServer,
            "tcp": SimHost,
            "udp": SimUdpHost,
        }
        for kind, wire in kinds.items():
            made = wire_of(link(kind), {}, clock, lambda: 0.0)
            assert type(made) is wire
            await start_wire(made)
            assert made.url.startswith(f"{kind}://")
            assert made.path if isinstance(made, SimLine) else made.port
            made.stop()
        await asyncio.sleep(0)
        clock.close()

    asyncio.run(run())


def test_a_line_that_settles_again_and_again() -> None:
    async def body(rig: Rig) -> None:
        server = rig.wire
        assert isinstance(server, SimSerialServer)
        server.settle_s = 0.15
        for _ in range(2):
            await rig.join()
            await rig.wait(10)
            begin_ns = rig.clock.now_ns()
            assert await rig.exchange(rtu(1, 0, 2), 50) == b""
            await rig.clock.sleep_until(begin_ns + int(0.15 * NS_PER_S))
            assert await rig.exchange(rtu(1, 0, 2)) == answered(1, 0, 2)

    on("rtu+tcp", body)
