"""Connections to the web face: how many one address may have, and for how long each.

uvicorn waits for the end of a request for ever, and asyncio a minute for a TLS handshake. Without
bounds a few connections that say nothing would keep everybody else out.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

MOST = 64  # from everywhere
MOST_EACH = 16  # from one address
LASTS_S = 20.0  # longer than any answer takes; who asks again and again connects again


class BoundedListener(socket.socket):
    """A listening socket that takes no more than MOST_EACH connections of an address, and of MOST
    in all ends the oldest for a new one: before anything is said on them, TLS included.
    """

    def __init__(self, listening: socket.socket) -> None:
        super().__init__(listening.family, listening.type, listening.proto, listening.detach())
        self._held: list[tuple[socket.socket, Any]] = []

    def accept(self) -> tuple[socket.socket, Any]:
        """See socket. Raises BlockingIOError where nobody waits."""
        while True:
            taken, address = super().accept()
            self._held = [(one, where) for one, where in self._held if one.fileno() >= 0]
            if sum(where[0] == address[0] for _, where in self._held) < MOST_EACH:
                break
            taken.close()
        if len(self._held) >= MOST:
            with suppress(OSError):
                self._held.pop(0)[0].shutdown(socket.SHUT_RDWR)  # whose it is closes it then
        self._held.append((taken, address))
        return taken, address


class TimedProtocol(H11Protocol):
    """An HTTP connection with an end."""

    _end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Somebody connected."""
        super().connection_made(transport)
        self._end = self.loop.call_later(LASTS_S, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is no more."""
        if self._end is not None:
            self._end.cancel()
        super().connection_lost(exc)
