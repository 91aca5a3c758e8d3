"""A simulated Modbus device that is asked in datagrams: one frame of Modbus TCP in each."""

from __future__ import annotations

import asyncio

from panelctl.sim.caller import Caller
from panelctl.sim.live import LiveGateway

LOOPBACK = "127.0.0.1"
Peer = tuple[str, int]


class SimUdpHost(LiveGateway):
    """A host with devices by unit id. Whoever sends from another port is another caller."""

    _socket: asyncio.DatagramTransport | None = None
    _callers: dict[Peer, Caller]

    @property
    def url(self) -> str:
        """The URL to give the controller."""
        return f"udp://{LOOPBACK}:{self.port}"

    async def start(self) -> None:
        """Listen: on a free port, or again on the one from before."""
        self._callers = {}
        self._socket, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Datagrams(self), (LOOPBACK, self.port)
        )
        self.port = self._socket.get_extra_info("sockname")[1]

    def stop(self) -> None:
        """Stop listening."""
        self.hush()
        if self._socket is not None:
            self._socket.abort()
        self._socket = None

    def came(self, data: bytes, peer: Peer) -> None:
        """A datagram."""
        caller = self._callers.get(peer)
        if caller is None:
            caller = self._callers[peer] = Caller(self, lambda out: self._put(out, peer), _nothing)
        caller.hear(data)
        caller.forget()  # what does not end in its datagram does not go on in the next

    def _put(self, data: bytes, peer: Peer) -> None:
        if self._socket is not None:
            self._socket.sendto(data, peer)


def _nothing() -> None:
    """There is no connection to be ended."""


class _Datagrams(asyncio.DatagramProtocol):
    """What comes to the host's socket."""

    def __init__(self, host: SimUdpHost) -> None:
        self._host = host

    def datagram_received(self, data: bytes, addr: Peer) -> None:
        """See asyncio."""
        self._host.came(data, addr)
