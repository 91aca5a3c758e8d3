"""A simulated Modbus TCP device: a listening socket on loopback, on a port chosen free."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from panelctl.clock import Clock
from panelctl.model.panel import Link
from panelctl.sim.caller import Caller, Connection
from panelctl.sim.devices import SimDevice
from panelctl.sim.live import LiveGateway

LOOPBACK = "127.0.0.1"


class SimHost(LiveGateway):
    """A host with devices by unit id, speaking Modbus TCP."""

    def __init__(
        self,
        link: Link,
        units: dict[int, SimDevice],
        clock: Clock,
        time_s: Callable[[], float],
    ) -> None:
        super().__init__(link, units, clock, time_s)
        self._server: asyncio.Server | None = None
        self.wires: set[asyncio.Transport] = set()  # what is connected

    @property
    def url(self) -> str:
        """The URL to give the controller."""
        return f"tcp://{LOOPBACK}:{self.port}"

    async def start(self) -> None:
        """Listen: on a free port, or again on the one from before."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Wire(self), LOOPBACK, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Reset every connection and stop listening."""
        self.hush()
        for wire in self.wires:
            wire.abort()
        if self._server is not None:
            self._server.close()


class _Wire(Connection):
    """A connection of a real socket."""

    def __init__(self, host: SimHost) -> None:
        super().__init__(host)
        self._host = host
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._host.wires.add(transport)
        self._caller = Caller(self._host, self._put, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        if self._transport is not None:
            self._host.wires.discard(self._transport)

    def _put(self, data: bytes) -> None:
        """Send to whoever may have gone."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)
