"""A port as an RTU line uses it: bytes in, bytes out, and a call when some have come.

A serial port of this machine, or a serial server on the network, by TCP or UDP. A simulated network
offers a port of its own.
"""

from __future__ import annotations

import asyncio
import os
import termios
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol, cast

import serial

from panelctl.model.panel import Link

CONNECT_S = 1.0
CHUNK = 1024


class Port(Protocol):
    """An open port. Everything may raise OSError when it is lost."""

    def listen(self, readable: Callable[[], None]) -> None:
        """Call `readable` whenever there is something to read."""

    def read(self) -> bytes | None:
        """What has arrived, None when nothing has."""

    def write(self, data: bytes) -> int:
        """Send; how many bytes were taken."""

    def close(self) -> None:
        """Give the port back. Raises nothing."""


OpenPort = Callable[[Link], Awaitable[Port]]


async def open_port(link: Link) -> Port:
    """The port of a link, by its kind. Raises OSError when it cannot be opened."""
    if link.kind == "rtu":
        return SerialPort(link)
    loop = asyncio.get_running_loop()
    port = NetworkPort(link.kind == "rtu+udp")
    try:
        async with asyncio.timeout(CONNECT_S):
            if link.kind == "rtu+tcp":
                await loop.create_connection(lambda: port, link.host, link.port)
            else:
                address = (link.host, link.port)
                await loop.create_datagram_endpoint(lambda: port, remote_addr=address)
    except TimeoutError:
        raise OSError("no answer") from None
    return port


class SerialPort:
    """The machine's port at `link.path`. Raises OSError when it cannot be opened."""

    def __init__(self, link: Link) -> None:
        try:
            self._port = serial.Serial(
                link.path,
                baudrate=link.baud,
                parity=link.parity,
                stopbits=link.stop_bits,
                timeout=0,
                exclusive=True,
            )
        except (ValueError, termios.error) as error:
            raise OSError(str(error)) from None
        self._fd = self._port.fileno()
        self._listening = False
        try:
            os.set_blocking(self._fd, False)
            # pyserial asks for reads that return nothing when there is nothing; then an empty read
            # could not be told from a port that has hung up.
            settings = termios.tcgetattr(self._fd)
            settings[6][termios.VMIN] = 1
            termios.tcsetattr(self._fd, termios.TCSANOW, settings)
        except (OSError, termios.error) as error:
            self.close()
            raise OSError(str(error)) from None

    def listen(self, readable: Callable[[], None]) -> None:
        """See Port."""
        asyncio.get_running_loop().add_reader(self._fd, readable)
        self._listening = True

    def read(self) -> bytes | None:
        """See Port."""
        try:
            data = os.read(self._fd, CHUNK)
        except BlockingIOError:
            return None
        if not data:
            raise OSError("end of file")
        return data

    def write(self, data: bytes) -> int:
        """See Port."""
        return os.write(self._fd, data)

    def close(self) -> None:
        """See Port."""
        if self._listening:
            asyncio.get_running_loop().remove_reader(self._fd)
        with suppress(OSError, termios.error):
            self._port.close()


class NetworkPort(asyncio.Protocol, asyncio.DatagramProtocol):
    """A connection to a serial server, or the datagrams from and to one."""

    def __init__(self, datagrams: bool) -> None:
        self._datagrams = datagrams
        self._transport: asyncio.Transport | asyncio.DatagramTransport | None = None
        self._input = bytearray()
        self._error: OSError | None = None
        self._readable: Callable[[], None] = lambda: None

    def listen(self, readable: Callable[[], None]) -> None:
        """See Port."""
        self._readable = readable

    def read(self) -> bytes | None:
        """See Port."""
        if self._input:
            data = bytes(self._input)
            self._input.clear()
            return data
        if self._error is not None:
            raise self._error
        return None

    def write(self, data: bytes) -> int:
        """See Port."""
        if self._error is not None:
            raise self._error
        if self._datagrams:
            cast("asyncio.DatagramTransport", self._transport).sendto(data)
        else:
            cast("asyncio.Transport", self._transport).write(data)
        return len(data)

    def close(self) -> None:
        """See Port."""
        self._readable = lambda: None
        if self._transport is not None:
            self._transport.abort()

    # what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is up, or the socket there."""
        self._transport = cast("asyncio.Transport | asyncio.DatagramTransport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """The other end or the network ended it."""
        self._end(exc if isinstance(exc, OSError) else OSError("the connection was closed"))

    def data_received(self, data: bytes) -> None:
        """Bytes of a connection."""
        if len(self._input) < CHUNK:  # more than that without being read is no reply
            self._input += data
        self._readable()

    def datagram_received(self, data: bytes, addr: object) -> None:
        """Bytes of a datagram."""
        self.data_received(data)

    def error_received(self, exc: Exception) -> None:
        """The network could not deliver a datagram: nobody listens there."""
        self._end(exc if isinstance(exc, OSError) else OSError(str(exc)))

    def _end(self, error: OSError) -> None:
        self._error = self._error or error
        self._readable()
