"""A simulated Modbus TCP device: a listening socket on loopback, on a port chosen free."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from panelctl.clock import Clock
from panelctl.model.panel import Link
from panelctl.sim.devices import SimDevice
from panelctl.sim.server import Gateway
from panelctl.units import NS_PER_MS

HEADER = 7


class SimHost(Gateway):
    """A host with devices by unit id, speaking Modbus TCP."""

    def __init__(
        self,
        link: Link,
        units: dict[int, SimDevice],
        clock: Clock,
        time_s: Callable[[], float],
    ) -> None:
        super().__init__(units)
        self.link = link
        self.port = 0
        self._clock = clock
        self._time_s = time_s
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._answers: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The URL to give the controller."""
        return f"tcp://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Reset every connection and stop listening."""
        for writer in self._writers:
            writer.transport.abort()
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                header = await reader.readexactly(HEADER)
                pdu = await reader.readexactly((header[4] << 8 | header[5]) - 1)
                # A gateway asks its units side by side; each answers in its own time.
                task = asyncio.create_task(self._answer(writer, header, pdu))
                self._answers.add(task)
                task.add_done_callback(self._answers.discard)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client went, or the simulation ends
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, header: bytes, pdu: bytes) -> None:
        came_ns = self._clock.now_ns()
        reply = self.reply(header, pdu, self._time_s())
        if reply is None:
            return
        await self._clock.sleep_until(came_ns + reply.wait_ns)
        if reply.kind == "closed":
            writer.close()
        elif reply.kind == "split":
            for n in range(len(reply.frame)):
                writer.write(reply.frame[n : n + 1])
                await writer.drain()
                await self._clock.sleep_until(self._clock.now_ns() + NS_PER_MS // 4)
        else:
            writer.write(reply.frame)
