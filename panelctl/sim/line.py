"""A simulated RS-485 line: a pty with the wire time of its baud rate, and devices on it.

A reply comes in pieces, as a UART's FIFO hands it over. What is on the line is segment.py's.
"""

from __future__ import annotations

import asyncio
import os
import tty
from collections.abc import Callable

from panelctl.clock import Clock
from panelctl.model.panel import Link
from panelctl.sim.devices import SimDevice
from panelctl.sim.segment import Request, Segment

FIFO = 16
CHUNK = 1024


class SimLine(Segment):
    """A line with devices by unit id. `path` is the port to open."""

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
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)

    @property
    def url(self) -> str:
        """The URL to give the controller."""
        query = self.link.url.partition("?")[2]
        return f"rtu://{self.path}?{query}"

    def start(self) -> None:
        """Listen."""
        asyncio.get_running_loop().add_reader(self._master, self._readable)

    def stop(self) -> None:
        """Cut the cable: whoever has the port open gets an error."""
        asyncio.get_running_loop().remove_reader(self._master)
        for task in self._replies:
            task.cancel()
        os.close(self._slave)
        os.close(self._master)

    def speak(self, data: bytes) -> None:
        """Somebody else speaks: another master, a bad contact."""
        self.spoken(self._clock.now_ns())
        os.write(self._master, data)

    def _readable(self) -> None:
        try:
            data = os.read(self._master, CHUNK)
        except (BlockingIOError, OSError):
            return
        request = self.hear(data, self._clock.now_ns(), bool(self._replies))
        if request is not None:
            task = asyncio.create_task(self._answer(request))
            self._replies.add(task)
            task.add_done_callback(self._replies.discard)

    async def _answer(self, request: Request) -> None:
        await self._clock.sleep_until(request.end_ns)
        reply = self.reply(request, self._time_s())
        if reply is None:
            return
        frame, start_ns = reply
        for offset in range(0, len(frame), FIFO):
            piece = frame[offset : offset + FIFO]
            await self._clock.sleep_until(start_ns + (offset + len(piece)) * self.wire.char_ns)
            self.spoken(self._clock.now_ns())
            try:
                os.write(self._master, piece)
            except OSError:
                return
