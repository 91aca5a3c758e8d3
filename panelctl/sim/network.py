"""Connections that are simulated: byte streams between two protocols on a virtual loop.

A host listens under an address (a TCP host and port, or the path of a Unix socket). What a network
can do to a connection is here too: refuse it, let it hang, reset it, swallow what is sent.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from panelctl.sim.virtual_loop import VirtualLoop

LATENCY_S = 0.000_3  # one way on a home network
HIGH_WATER = 65_536
Factory = Callable[[], asyncio.BaseProtocol]


class Door(StrEnum):
    """What happens to whoever wants to connect."""

    OPEN = "open"
    REFUSED = "refused"  # nobody listens
    SILENT = "silent"  # no answer: a cable is out
    FULL = "full"  # our own process has no descriptor left


@dataclass(slots=True)
class Host:
    """Who listens at an address, and how it stands with the network on the way there."""

    accept: Factory
    door: Door = Door.OPEN


class Pipe(asyncio.Transport):
    """One end of a connection. What is written arrives at the other end after the latency."""

    def __init__(self, loop: VirtualLoop, protocol: asyncio.BaseProtocol) -> None:
        super().__init__()
        self._loop = loop
        self._protocol = protocol
        self.other: Pipe | None = None
        self.dark = False  # what is sent into it is swallowed: a half-open connection
        self.reading = True
        self._high = HIGH_WATER
        self._waiting: list[bytes] = []  # written, and not taken by the other end yet
        self._paused = False
        self._closing = False

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Send."""
        if self._closing or self.dark or self.other is None:
            return
        self._waiting.append(bytes(data))
        self._loop.call_later(LATENCY_S, self._carry)
        if not self._paused and sum(map(len, self._waiting)) > self._high:
            self._paused = True
            self._call("pause_writing")

    def _carry(self) -> None:
        """Hand over what has been sent, as far as the other end takes it."""
        other = self.other
        if other is None or not other.reading or self.dark:
            return
        while self._waiting and not other._closing:
            other._call("data_received", self._waiting.pop(0))
        if self._paused:
            self._paused = False
            self._call("resume_writing")

    def set_reading(self, reading: bool) -> None:
        """Begin or stop to take what the other end sends."""
        self.reading = reading
        if reading and self.other is not None:
            self.other._carry()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """When the writer is asked to pause."""
        self._high = HIGH_WATER if high is None else high

    def is_closing(self) -> bool:
        """Whether this end was closed."""
        return self._closing

    def close(self) -> None:
        """End the connection after what has been sent."""
        self._end(LATENCY_S)

    def abort(self) -> None:
        """End the connection at once."""
        self._end(0.0)

    def _end(self, after_s: float) -> None:
        if self._closing:
            return
        self._closing = True
        self._loop.call_soon(self._call, "connection_lost", None)
        if self.other is not None and not self.dark:
            self._loop.call_later(after_s, self.other._hear_end)

    def _hear_end(self) -> None:
        if not self._closing and not self.dark:
            self._closing = True
            self._call("connection_lost", None)

    def _call(self, what: str, *args: Any) -> None:
        getattr(self._protocol, what)(*args)


class _Listening:
    """What stands for a listening socket."""

    def __init__(self, network: Network, address: Any) -> None:
        self._network, self._address = network, address

    def close(self) -> None:
        """Stop listening."""
        self._network.hosts.pop(self._address, None)


class Network(VirtualLoop):
    """A virtual loop with the network that its programs see."""

    def __init__(self) -> None:
        super().__init__()
        self.hosts: dict[Any, Host] = {}
        self.wires: dict[Any, list[Pipe]] = {}  # the hosts' ends of what is connected, by address

    def listen(self, address: Any, accept: Factory) -> Host:
        """Listen at an address; `accept` makes the protocol of each connection."""
        host = self.hosts[address] = Host(accept)
        return host

    async def join(self, factory: Factory, address: Any) -> tuple[Any, Any]:
        """Connect. Raises OSError as the machine's own network would."""
        await asyncio.sleep(2 * LATENCY_S)
        host = self.hosts.get(address)
        if host is None or host.door is Door.REFUSED:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "nobody listens there")
        if host.door is Door.FULL:
            raise OSError(errno.EMFILE, "too many open files")
        if host.door is Door.SILENT:
            await self.create_future()
        mine, theirs = factory(), host.accept()
        here, there = Pipe(self, mine), Pipe(self, theirs)
        here.other, there.other = there, here
        ends = self.wires.setdefault(address, [])
        ends[:] = [wire for wire in ends if not wire.is_closing()]
        ends.append(there)
        theirs.connection_made(there)
        mine.connection_made(here)
        return here, mine

    # What asyncio's programs call. The signatures are asyncio's.

    async def create_connection(  # type: ignore[override]  # TLS and the rest are not simulated
        self, protocol_factory: Factory, host: str, port: int
    ) -> tuple[Any, Any]:
        """A TCP connection."""
        return await self.join(protocol_factory, (host, port))

    async def create_unix_connection(  # type: ignore[override]  # the same
        self, protocol_factory: Factory, path: str
    ) -> tuple[Any, Any]:
        """A connection to a Unix socket."""
        return await self.join(protocol_factory, str(path))

    async def create_unix_server(  # type: ignore[override]  # the same
        self, protocol_factory: Factory, path: str
    ) -> _Listening:
        """Listen on a Unix socket."""
        self.listen(str(path), protocol_factory)
        return _Listening(self, str(path))
