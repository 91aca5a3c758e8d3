"""Simulated devices on virtual wires: a serial line behind a virtual port, a TCP host on a network.

The application's own transports talk to them: field/rtu.py through the port, field/tcp.py through
the virtual loop's connections. What can happen to a cable is here; what a device does wrong is a
fault of its replies (server.py),
and what its line or gateway does wrong is theirs (segment.py, gateway.py).
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from typing import Any

from panelctl.model.panel import Link
from panelctl.sim.caller import Connection
from panelctl.sim.devices import SimDevice
from panelctl.sim.gateway import Gateway
from panelctl.sim.network import Host, Network, Pipe
from panelctl.sim.segment import Segment
from panelctl.units import NS_PER_S


class VirtualLine(Segment):
    """An RS-485 line with a port at one end. `cut`: the cable, or the USB adapter, is out.

    A reply is handed over in one piece when its last character has come, or in pieces of `fifo`.
    """

    def __init__(
        self,
        link: Link,
        units: dict[int, SimDevice],
        loop: Network,
        time_s: Callable[[], float],
    ) -> None:
        super().__init__(link, units)
        self.link = link
        self.fifo = 0
        self.cut = False  # the adapter is gone: the port cannot be used or opened
        self.full = False  # our process has no descriptor left
        self._loop = loop
        self._time_s = time_s
        self._port: VirtualPort | None = None
        self._answering = 0
        self._hissing: asyncio.TimerHandle | None = None

    async def open(self, link: Link) -> VirtualPort:
        """Open the port. Raises OSError."""
        if self.cut:
            raise OSError(errno.ENODEV, "no such device")
        if self.full:
            raise OSError(errno.EMFILE, "too many open files")
        self._port = VirtualPort(self)
        if self.settle_s:
            self.deaf_until_ns = self._loop.now_ns + int(self.settle_s * NS_PER_S)
        return self._port

    def pull(self) -> None:
        """Pull the adapter out; it stays out for as long as `cut` says so."""
        self.cut = True
        if self._port is not None:
            self._port.hear(b"")

    def speak(self, data: bytes) -> None:
        """Somebody else speaks: another master, a bad contact."""
        self.spoken(self._loop.now_ns)
        self._deliver(data)

    def hiss(self, ms: float) -> None:
        """From now on a byte of noise comes each so many ms; with 0 none comes any more."""
        self.hiss_ms = ms
        if self._hissing is not None:
            self._hissing.cancel()
        self._hissing = self._loop.call_later(ms / 1000, self._hiss) if ms > 0 else None

    def _hiss(self) -> None:
        self.speak(self.noise())
        self._hissing = self._loop.call_later(self.hiss_ms / 1000, self._hiss)

    def receive(self, data: bytes) -> None:
        """The application sends."""
        now_ns, answering = self._loop.now_ns, self._answering > 0
        if now_ns < self.deaf_until_ns:
            return
        if self.echo:
            self._later(data, now_ns + len(data) * self.wire.char_ns)
        request = self.hear(data, now_ns, answering)
        if request is None:
            return
        reply = self.reply(request, self._time_s())
        if reply is None:
            return
        frame, start_ns, struck = reply
        if struck is None and not self.fifo:
            self._later(frame, start_ns + len(frame) * self.wire.char_ns)
            return
        for piece, at_ns in self.pieces(frame, start_ns, self.fifo or len(frame), struck):
            self._later(piece, at_ns)

    def _later(self, piece: bytes, at_ns: int) -> None:
        self._answering += 1
        self._loop.call_at(at_ns / NS_PER_S, self._answer, piece)

    def _answer(self, piece: bytes) -> None:
        self._answering -= 1
        self.spoken(self._loop.now_ns)
        self._deliver(piece)

    def _deliver(self, data: bytes) -> None:
        if self._port is not None and not self.cut:
            self._port.hear(data)

    def closed(self, port: VirtualPort) -> None:
        """The application gave the port back."""
        if self._port is port:
            self._port = None


class VirtualPort:
    """An open port of a virtual line (field/port.py's Port)."""

    def __init__(self, line: VirtualLine) -> None:
        self._line = line
        self._input = bytearray()
        self._readable: Callable[[], None] = lambda: None

    def listen(self, readable: Callable[[], None]) -> None:
        """See Port."""
        self._readable = readable

    def hear(self, data: bytes) -> None:
        """Bytes came; none: something is wrong with the port."""
        self._input += data
        self._readable()

    def read(self) -> bytes | None:
        """See Port."""
        if self._line.cut:
            raise OSError(errno.EIO, "input/output error")
        if not self._input:
            return None
        data = bytes(self._input)
        self._input.clear()
        return data

    def write(self, data: bytes) -> int:
        """See Port."""
        if self._line.cut:
            raise OSError(errno.EIO, "input/output error")
        self._line.receive(data)
        return len(data)

    def close(self) -> None:
        """See Port."""
        self._line.closed(self)
        self._readable = lambda: None


class VirtualHost(Gateway):
    """A Modbus TCP host that listens on a virtual network. `host` is how it stands with it."""

    def __init__(
        self,
        link: Link,
        units: dict[int, SimDevice],
        loop: Network,
        time_s: Callable[[], float],
    ) -> None:
        super().__init__(units, time_s)
        self.link = link
        self.address = (link.host, link.port)
        self._loop = loop
        self.host: Host = loop.listen(self.address, lambda: Connection(self))

    def now_ns(self) -> int:
        """See Gateway."""
        return self._loop.now_ns

    def after(self, wait_ns: int, do: Callable[..., None], *args: Any) -> None:
        """See Gateway."""
        self._loop.call_later(wait_ns / NS_PER_S, do, *args)

    def reset(self) -> None:
        """End every connection."""
        for wire in self._ends():
            wire.abort()

    def darken(self) -> None:
        """The other end is gone without a word: what is sent is swallowed."""
        for wire in self._ends():
            wire.dark = True
            if wire.other is not None:
                wire.other.dark = True

    def _ends(self) -> list[Pipe]:
        return list(self._loop.wires.get(self.address, ()))
