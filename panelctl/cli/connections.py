"""Connections to the web face: how many one address may have, and for how long each.

uvicorn waits for the end of a request for ever. Without a bound a few connections that say nothing
would keep everybody else out.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

MOST = 64  # from everywhere
MOST_EACH = 16  # from one address
LASTS_S = 20.0  # longer than any answer takes; who asks again and again connects again


class BoundedProtocol(H11Protocol):
    """An HTTP connection with an end."""

    _end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Somebody connected."""
        super().connection_made(transport)
        self._end = self.loop.call_later(LASTS_S, transport.abort)
        if sum(_host(other) == _host(self) for other in self.connections) > MOST_EACH:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is no more."""
        if self._end is not None:
            self._end.cancel()
        super().connection_lost(exc)


def _host(connection: Any) -> str:
    return connection.client[0] if connection.client else ""
