"""A bare Modbus TCP server for the benchmark: every register holds the address that was asked for
first. Prints its port, and serves until its standard input ends.
"""

from __future__ import annotations

import asyncio
import sys

REQUEST = 12


class Peer(asyncio.Protocol):
    """Answers reads of registers."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._buffer = bytearray()

    def data_received(self, data: bytes) -> None:
        """Reply to every whole request."""
        self._buffer += data
        while len(self._buffer) >= REQUEST:
            head = bytes(self._buffer[:REQUEST])
            del self._buffer[:REQUEST]
            count = head[10] << 8 | head[11]
            length = (3 + 2 * count).to_bytes(2, "big")
            body = bytes([head[6], head[7], 2 * count]) + head[8:10] * count
            self._transport.write(head[:4] + length + body)


async def main() -> None:
    """Serve on a free port."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Peer, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    end = asyncio.Event()
    loop.add_reader(sys.stdin, end.set)
    await end.wait()


asyncio.run(main())
