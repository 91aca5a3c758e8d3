"""Simulated wires in real time: they hear, wait as long as wire and device take, and answer.

What is on a line is segment.py's, what a gateway answers gateway.py's. How bytes get to whoever
asks is line.py's (a pty), serial_server.py's, tcp.py's and udp.py's (sockets).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from panelctl.clock import Clock
from panelctl.model.panel import Link
from panelctl.sim.devices import SimDevice
from panelctl.sim.gateway import Gateway
from panelctl.sim.segment import Request, Segment
from panelctl.sim.server import Fault
from panelctl.units import NS_PER_MS

FIFO = 16  # a UART hands bytes over in such pieces


class LiveSegment(Segment):
    """A line with devices by unit id, on the machine's clock."""

    def __init__(
        self,
        link: Link,
        units: dict[int, SimDevice],
        clock: Clock,
        time_s: Callable[[], float],
    ) -> None:
        super().__init__(link, units)
        self.link = link
        self._clock = clock
        self._time_s = time_s
        self._replies: set[asyncio.Task[None]] = set()
        self._hissing: asyncio.Task[None] | None = None

    def send(self, data: bytes) -> None:
        """Bytes for whoever asks. Who is not there, or does not read, misses them."""
        raise NotImplementedError

    def speak(self, data: bytes) -> None:
        """Somebody speaks: a device, another master, a bad contact."""
        self.spoken(self._clock.now_ns())
        self.send(data)

    def hiss(self, ms: float) -> None:
        """From now on a byte of noise comes each so many ms; with 0 none comes any more."""
        self.hiss_ms = ms
        if self._hissing is not None:
            self._hissing.cancel()
        self._hissing = asyncio.create_task(self._hiss()) if ms > 0 else None

    def receive(self, data: bytes) -> None:
        """Somebody has sent bytes."""
        now_ns = self._clock.now_ns()
        if now_ns < self.deaf_until_ns:
            return
        if self.echo:
            self.send(data)
        request = self.hear(data, now_ns, bool(self._replies))
        if request is not None:
            task = asyncio.create_task(self._answer(request))
            self._replies.add(task)
            task.add_done_callback(self._replies.discard)

    def hush(self) -> None:
        """Whatever was still to be said is not."""
        for task in self._replies:
            task.cancel()
        self.hiss(0.0)

    def parcels(self, frame: bytes, start_ns: int, struck: Fault | None) -> list[tuple[bytes, int]]:
        """A reply in the pieces in which it is handed over, and when each is, ns."""
        return self.pieces(frame, start_ns, FIFO, struck)

    def hand_over(self, piece: bytes) -> None:
        """A piece of a reply has come over the line."""
        self.speak(piece)

    async def _answer(self, request: Request) -> None:
        await self._clock.sleep_until(request.end_ns)
        reply = self.reply(request, self._time_s())
        if reply is None:
            return
        for piece, at_ns in self.parcels(*reply):
            await self._clock.sleep_until(at_ns)
            self.hand_over(piece)

    async def _hiss(self) -> None:
        at_ns = self._clock.now_ns()
        while True:
            at_ns += int(self.hiss_ms * NS_PER_MS)
            await self._clock.sleep_until(at_ns)
            self.speak(self.noise())


class LiveGateway(Gateway):
    """Devices behind one address, on the machine's clock."""

    def __init__(
        self,
        link: Link,
        units: dict[int, SimDevice],
        clock: Clock,
        time_s: Callable[[], float],
    ) -> None:
        super().__init__(units, time_s)
        self.link = link
        self.port = 0
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()

    def now_ns(self) -> int:
        """See Gateway."""
        return self._clock.now_ns()

    def after(self, wait_ns: int, do: Callable[..., None], *args: Any) -> None:
        """See Gateway."""
        task = asyncio.create_task(self._at(self._clock.now_ns() + wait_ns, do, args))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def hush(self) -> None:
        """Whatever was still to be answered is not."""
        for task in self._tasks:
            task.cancel()
        self.end_requests()

    async def _at(self, at_ns: int, do: Callable[..., None], args: tuple[Any, ...]) -> None:
        await self._clock.sleep_until(at_ns)
        do(*args)
