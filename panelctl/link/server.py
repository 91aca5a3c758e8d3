"""The control socket's server: CycleRecords out, commands in. A reader never costs a cycle.

Rules
- Each reader has a short queue of its own; when it does not keep up, its oldest records are
  dropped, and it is told how many.
- A line from outside is bounded in length, decoded strictly and answered; nothing it contains can
  raise here.
- Commands wait for the next cycle in a bounded queue. A full queue refuses.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from pathlib import Path

from panelctl.errors import SocketError
from panelctl.link.protocol import (
    MOST_REQUEST,
    Answer,
    Dropped,
    Failure,
    Hello,
    Lines,
    Message,
    Status,
    Watch,
    encode,
    read_request,
)
from panelctl.model.command import Command, Verdict
from panelctl.model.record import HelloRecord

MOST_READERS = 32
MOST_COMMANDS = 64  # a cycle; more than this is not a person
MOST_LINES = 128  # a cycle and reader: whoever sends more is cut off
QUEUE = 20  # two seconds of records at 10 Hz


class Reader(asyncio.Protocol):
    """One connection to the control socket."""

    def __init__(self, server: ControlServer) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._lines = Lines(MOST_REQUEST)
        self._queue: deque[bytes] = deque(maxlen=QUEUE)
        self._paused = False
        self.watching = False
        self.dropped = 0
        self.credit = MOST_LINES

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A reader came."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=65536)
        if not self._server.admit(self):
            self._say(Failure(f"there are {MOST_READERS} readers already"))
            transport.close()
            return
        transport.write(self._server.hello)

    def connection_lost(self, exc: Exception | None) -> None:
        """The reader went."""
        self._server.forget(self)

    def pause_writing(self) -> None:
        """The reader does not keep up."""
        self._paused = True

    def resume_writing(self) -> None:
        """The reader caught up: it gets what is still in its queue."""
        self._paused = False
        if self.dropped:
            self._say(Dropped(self.dropped))
            self.dropped = 0
        while self._queue and not self._paused and self._transport is not None:
            self._transport.write(self._queue.popleft())

    def data_received(self, data: bytes) -> None:
        """Bytes from outside."""
        if self._closing:
            return
        try:
            for line in self._lines.feed(data):
                self.credit -= 1
                if self.credit < 0:
                    raise SocketError(f"more than {MOST_LINES} lines between two records")
                self._read(line)
        except SocketError as error:
            self._say(Failure(str(error)))
            self.close()

    def send(self, line: bytes) -> None:
        """Hand the reader one line; its oldest waiting one goes when the queue is full."""
        if self._closing:
            return
        if self._paused:
            if len(self._queue) == QUEUE:
                self.dropped += 1
            self._queue.append(line)
        elif self._transport is not None:
            self._transport.write(line)

    @property
    def _closing(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    def close(self) -> None:
        """End the connection once what is written has gone out."""
        if self._transport is not None:
            self._transport.close()

    def _say(self, message: Message) -> None:
        if self._paused or self._closing:
            return  # whoever does not read gets no answers either
        if self._transport is not None:
            self._transport.write(encode(message))

    def _read(self, line: bytes) -> None:
        """One line from outside: what is out of shape is answered, and no more."""
        try:
            request = read_request(line)
        except SocketError as error:
            self._server.rejected += 1
            self._say(Failure(str(error)))
            return
        match request:
            case Watch():
                self.watching = True
            case Status():
                self.send(self._server.last)
            case _:
                self._server.queue(request, self)

    def answer(self, verdict: Verdict) -> None:
        """Tell the sender what became of its command."""
        self._say(Answer(verdict))


class ControlServer:
    """The socket at `path`, and the readers on it. `hello` is what each of them gets first."""

    def __init__(self, path: Path, hello: HelloRecord) -> None:
        self.path = path
        self.hello = encode(Hello(hello))
        self.last = encode(Failure("no cycle has been completed yet"))
        self.rejected = 0
        self._readers: set[Reader] = set()
        self._commands: list[tuple[Command, Reader]] = []
        self._server: asyncio.AbstractServer | None = None

    async def start(self) -> None:
        """Listen. A socket file that nobody listens on is replaced, a live one is an error."""
        if self.path.is_socket():
            try:
                _, writer = await asyncio.open_unix_connection(self.path)
            except (ConnectionRefusedError, FileNotFoundError):
                self.path.unlink(missing_ok=True)
            except OSError as error:
                raise SocketError(f"{self.path}: {error}") from None
            else:
                writer.close()
                await writer.wait_closed()
                raise SocketError(f"{self.path}: another controller listens there already")
        loop = asyncio.get_running_loop()
        old = os.umask(0o117)  # the owner and the group, nobody else
        try:
            self._server = await loop.create_unix_server(lambda: Reader(self), str(self.path))
        except OSError as error:
            raise SocketError(f"{self.path}: {error}") from None
        finally:
            os.umask(old)

    async def stop(self) -> None:
        """Stop listening and remove the socket file."""
        if self._server is not None:
            self._server.close()
            for reader in list(self._readers):
                reader.close()
            self.path.unlink(missing_ok=True)

    def publish(self, line: bytes) -> None:
        """Hand one encoded record to everybody who watches."""
        self.last = line
        for reader in self._readers:
            reader.credit = MOST_LINES
            if reader.watching:
                reader.send(line)

    def take_commands(self) -> list[tuple[Command, Reader]]:
        """The commands that came since the last cycle."""
        commands, self._commands = self._commands, []
        return commands

    def queue(self, command: Command, reader: Reader) -> None:
        """Keep a command for the next cycle."""
        if len(self._commands) >= MOST_COMMANDS:
            reader.answer(Verdict(command.id, False, "too many commands at once; try again"))
            return
        self._commands.append((command, reader))

    def admit(self, reader: Reader) -> bool:
        """Whether there is room for one more reader."""
        if len(self._readers) >= MOST_READERS:
            return False
        self._readers.add(reader)
        return True

    def forget(self, reader: Reader) -> None:
        """A reader is gone."""
        self._readers.discard(reader)
