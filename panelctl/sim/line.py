"""A simulated RS-485 line: a pty with the wire time of its baud rate, and devices on it."""

from __future__ import annotations

import asyncio
import os
import tty
from collections.abc import Callable
from contextlib import suppress

from panelctl.clock import Clock
from panelctl.model.panel import Link
from panelctl.sim.devices import SimDevice
from panelctl.sim.live import LiveSegment

CHUNK = 1024
CLOSED = -1


class SimLine(LiveSegment):
    """A line with devices by unit id. `path` is the port to open."""

    def __init__(
        self,
        link: Link,
        units: dict[int, SimDevice],
        clock: Clock,
        time_s: Callable[[], float],
    ) -> None:
        super().__init__(link, units, clock, time_s)
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
        self.hush()
        os.close(self._slave)
        os.close(self._master)
        self._master = self._slave = CLOSED

    def send(self, data: bytes) -> None:
        """See LiveSegment."""
        with suppress(OSError):
            os.write(self._master, data)

    def _readable(self) -> None:
        try:
            data = os.read(self._master, CHUNK)
        except (BlockingIOError, OSError):
            return
        self.receive(data)
