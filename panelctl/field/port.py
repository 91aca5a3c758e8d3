"""A serial port as an RTU line uses it: bytes in, bytes out, and a call when some have come.

A simulated network offers a port of its own.
"""

from __future__ import annotations

import asyncio
import os
import termios
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import serial

from panelctl.model.panel import Link

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


OpenPort = Callable[[Link], Port]


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
