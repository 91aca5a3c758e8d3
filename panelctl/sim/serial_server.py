"""A simulated serial server: an RS-485 line behind a socket on loopback, its bytes passed through.

What is sent to it goes out on the line, with the wire time of the link's baud rate; what comes on
the line is sent on, in a stream (rtu+tcp) or in datagrams (rtu+udp), in pieces that have nothing
to do with frames.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable

from panelctl.clock import Clock
from panelctl.model.panel import Link
from panelctl.sim.devices import SimDevice
from panelctl.sim.live import LiveSegment
from panelctl.sim.server import Fault
from panelctl.units import NS_PER_MS, NS_PER_S

LOOPBACK = "127.0.0.1"
PAUSE_NS = 5 * NS_PER_MS  # a line that is silent for so long has ended its reply
Pieces = list[tuple[bytes, int]]


class SimSerialServer(LiveSegment):
    """A serial server, on a port chosen free. `packet_ms`: it gathers bytes for so long before it
    sends them on; 0: in pieces of a UART's FIFO; infinite, as in datagrams: until the line pauses.
    """

    def __init__(
        self,
        link: Link,
        units: dict[int, SimDevice],
        clock: Clock,
        time_s: Callable[[], float],
    ) -> None:
        super().__init__(link, units, clock, time_s)
        self.port = 0
        self.packet_ms = math.inf if link.kind == "rtu+udp" else 0.0
        self._server: asyncio.Server | None = None
        self._streams: set[asyncio.Transport] = set()
        self._socket: asyncio.DatagramTransport | None = None
        self._peer: tuple[str, int] | None = None  # who sent the last datagram

    @property
    def url(self) -> str:
        """The URL to give the controller."""
        query = self.link.url.partition("?")[2]
        return f"{self.link.kind}://{LOOPBACK}:{self.port}{'?' if query else ''}{query}"

    async def start(self) -> None:
        """Listen: on a free port, or again on the one from before."""
        loop = asyncio.get_running_loop()
        if self.link.kind == "rtu+udp":
            self._socket, _ = await loop.create_datagram_endpoint(
                lambda: _Datagrams(self), (LOOPBACK, self.port)
            )
            self.port = self._socket.get_extra_info("sockname")[1]
        else:
            self._server = await loop.create_server(lambda: _Stream(self), LOOPBACK, self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Reset every connection and stop listening."""
        self.hush()
        for stream in self._streams:
            stream.abort()
        if self._server is not None:
            self._server.close()
        if self._socket is not None:
            self._socket.abort()
        self._server = self._socket = self._peer = None

    def joined(self, stream: asyncio.Transport) -> None:
        """Somebody has connected."""
        self._streams.add(stream)
        self.deaf_until_ns = self._clock.now_ns() + int(self.settle_s * NS_PER_S)

    def left(self, stream: asyncio.Transport) -> None:
        """A connection has ended."""
        self._streams.discard(stream)

    def came(self, data: bytes, peer: tuple[str, int]) -> None:
        """A datagram."""
        self._peer = peer
        self.receive(data)

    def send(self, data: bytes) -> None:
        """See LiveSegment."""
        for stream in self._streams:
            if not stream.is_closing():
                stream.write(data)
        if self._socket is not None and self._peer is not None:
            self._socket.sendto(data, self._peer)

    def parcels(self, frame: bytes, start_ns: int, struck: Fault | None) -> Pieces:
        """See LiveSegment."""
        if not self.packet_ms:
            return super().parcels(frame, start_ns, struck)
        pieces = self.pieces(frame, start_ns, 1, struck)
        self.spoken(pieces[-1][1])
        return gathered(pieces, self.packet_ms * NS_PER_MS)

    def hand_over(self, piece: bytes) -> None:
        """See LiveSegment. Where bytes are gathered the line has been silent since before."""
        if self.packet_ms:
            self.send(piece)
        else:
            self.speak(piece)


def gathered(pieces: Iterable[tuple[bytes, int]], packet_ns: float) -> Pieces:
    """Bytes in packets: each is sent so long after its first byte came, or after a pause."""
    packets: Pieces = []
    held, first_ns, last_ns = b"", 0, 0

    def sent_ns() -> int:
        return last_ns if math.isinf(packet_ns) else first_ns + int(packet_ns)

    for piece, at_ns in pieces:
        full = at_ns - last_ns > PAUSE_NS if math.isinf(packet_ns) else at_ns > sent_ns()
        if held and full:
            packets.append((held, sent_ns()))
            held = b""
        if not held:
            first_ns = at_ns
        held, last_ns = held + piece, at_ns
    if held:
        packets.append((held, sent_ns()))
    return packets


class _Stream(asyncio.Protocol):
    """One connection to a serial server."""

    def __init__(self, server: SimSerialServer) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.joined(transport)

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        self._server.receive(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        if self._transport is not None:
            self._server.left(self._transport)


class _Datagrams(asyncio.DatagramProtocol):
    """What comes to a serial server's socket."""

    def __init__(self, server: SimSerialServer) -> None:
        self._server = server

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """See asyncio."""
        self._server.came(data, addr)
