"""The control socket's client, for commands of the CLI and other plain programs (blocking)."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from panelctl.errors import SocketError
from panelctl.link.protocol import (
    MOST_LINE,
    Answer,
    Cycle,
    Failure,
    Hello,
    Lines,
    Message,
    Request,
    Status,
    Watch,
    encode_request,
    read_message,
)
from panelctl.model.command import Command, Verdict
from panelctl.model.record import CycleRecord, HelloRecord

PIECE = 1 << 16


class ControlClient:
    """A connection to a controller. `hello` holds what it said about its panel.

    Raises SocketError when nobody listens at `path`, or when what comes is not the protocol.
    """

    def __init__(self, path: Path, timeout_s: float = 5.0) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout_s)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise SocketError(
                f"{path}: no controller answers there ({error}); start one with `panelctl run`"
            ) from None
        self._lines = Lines(MOST_LINE)
        self._waiting: deque[bytes] = deque()
        try:
            first = self._receive()
        except SocketError as error:
            self._socket.close()
            raise SocketError(f"{path}: {error}") from None
        if not isinstance(first, Hello):
            self._socket.close()
            why = first.why if isinstance(first, Failure) else "it says no hello"
            raise SocketError(f"{path}: {why}")
        self.hello: HelloRecord = first.facts

    def __enter__(self) -> ControlClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def status(self) -> CycleRecord:
        """The newest CycleRecord."""
        self._send(Status())
        while True:
            match self._receive():
                case Cycle(record):
                    return record
                case Failure(why):
                    raise SocketError(why)

    def watch(self) -> Iterator[CycleRecord]:
        """CycleRecords as they are published, for as long as the controller runs."""
        self._send(Watch())
        while True:
            message = self._receive()
            if isinstance(message, Cycle):
                yield message.record

    def command(self, command: Command) -> Verdict:
        """Send a command and wait for what became of it."""
        self._send(command)
        while True:
            match self._receive():
                case Answer(verdict) if verdict.id == command.id:
                    return verdict
                case Failure(why):
                    raise SocketError(why)

    def _send(self, request: Request) -> None:
        try:
            self._socket.sendall(encode_request(request))
        except OSError as error:
            raise SocketError(f"the controller is gone: {error}") from None

    def _receive(self) -> Message:
        while not self._waiting:
            try:
                data = self._socket.recv(PIECE)
            except TimeoutError:
                raise SocketError("the controller does not answer") from None
            except OSError as error:
                raise SocketError(f"the controller is gone: {error}") from None
            if not data:
                raise SocketError("the controller closed the connection")
            self._waiting.extend(self._lines.feed(data))
        return read_message(self._waiting.popleft())
