"""Who asks a gateway: a connection, or whoever sends datagrams from one address.

What has come so far is cut into requests here, and what goes back is kept in order: a reply that
drips holds up those after it. No sockets.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from panelctl.modbus.crc import crc16
from panelctl.units import NS_PER_S

if TYPE_CHECKING:
    from panelctl.sim.gateway import Gateway

HEADER = 7
RTU_REQUEST = 8  # unit, function, address, count or value, CRC
RTU_MANY = 9  # a write of several: the same, the bytes' count, and the bytes


class Caller:
    """Somebody who asks. `put` sends them bytes, `close` ends the connection."""

    def __init__(
        self, gateway: Gateway, put: Callable[[bytes], Any], close: Callable[[], None]
    ) -> None:
        self.close = close
        self._gateway = gateway
        self._put = put
        self._input = bytearray()
        self._held: deque[tuple[bytes, int]] = deque()  # frames, and ns between their bytes
        self._newest: tuple[bytes, int] | None = None  # number and unit, while it is unanswered
        self._opened_ns = gateway.now_ns()

    def hear(self, data: bytes) -> None:
        """Bytes of requests."""
        gateway = self._gateway
        if gateway.settle_s and self._settles():
            return
        self._input += data
        cut = self._cut_any if gateway.speaks_rtu else self._cut
        first = True
        while (asked := cut()) is not None:
            if asked[1] and (first or not gateway.first_only):
                gateway.ask(self, *asked)
            first = False

    def forget(self) -> None:
        """What has come and is no whole request is thrown away."""
        self._input.clear()

    def write(self, frame: bytes, gap_ns: int = 0) -> None:
        """Send a frame, with so many ns between its bytes."""
        if gap_ns or self._held:
            self._held.append((frame, gap_ns))
            if len(self._held) == 1:
                self._go_on(0)
        else:
            self._put(frame)

    def drip(self, frame: bytes, gap_ns: int) -> None:
        """Send a frame byte by byte. A device that still does so has not heard the next request."""
        if not self._held:
            self.write(frame, max(gap_ns, 1))

    def note(self, number: bytes, unit: int) -> None:
        """This was asked last."""
        self._newest = (number, unit)

    def stamp(self, frame: bytes, late: bool, as_unit: bool) -> None:
        """Send a frame; a late one under the newest number, if that still waits for a reply."""
        newest = self._newest
        if newest is not None:
            if late:
                unit = bytes([newest[1]]) if as_unit else frame[HEADER - 1 : HEADER]
                frame = newest[0] + frame[2 : HEADER - 1] + unit + frame[HEADER:]
            if frame[:2] == newest[0]:
                self._newest = None
        self.write(frame)

    def _settles(self) -> bool:
        """Whether the connection is too new for anybody to hear."""
        return self._gateway.now_ns() < self._opened_ns + self._gateway.settle_s * NS_PER_S

    def _go_on(self, sent: int) -> None:
        """Send the next byte of what drips, or what has waited for its end."""
        while self._held:
            frame, gap_ns = self._held[0]
            if gap_ns and sent < len(frame):
                self._put(frame[sent : sent + 1])
                self._gateway.after(gap_ns, self._go_on, sent + 1)
                return
            if not gap_ns:
                self._put(frame)
            self._held.popleft()
            sent = 0

    def _cut(self) -> tuple[bytes, bytes] | None:
        """The next request's header and PDU."""
        data = self._input
        if len(data) < HEADER:
            return None
        size = 6 + (data[4] << 8 | data[5])
        if len(data) < size:
            return None
        header, pdu = bytes(data[:HEADER]), bytes(data[HEADER:size])
        del data[:size]
        return header, pdu

    def _cut_any(self) -> tuple[bytes, bytes] | None:
        """The next request, in RTU or Modbus TCP; bytes that can be neither are passed over."""
        data = self._input
        while len(data) >= RTU_REQUEST:
            size = RTU_REQUEST
            if data[1] in (15, 16):
                size = RTU_MANY + data[6]
            if len(data) >= size and crc16(data[:size]) == 0:
                header, pdu = bytes(6) + data[:1], bytes(data[1 : size - 2])
                del data[:size]
                return header, pdu
            if data[2:5] == bytes(3) and data[5] >= 2:
                return self._cut()
            if len(data) < size:
                return None
            del data[0]
        return None


class Connection(asyncio.Protocol):
    """A stream to a gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._caller: Caller | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._caller = Caller(self._gateway, transport.write, transport.close)

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        assert self._caller is not None
        self._caller.hear(data)
