"""The control socket's client, for commands of the CLI and other plain programs (blocking)."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from panelctl.errors import SocketError
from panelctl.model.command import Command, Verdict, command_to_plain
from panelctl.model.record import VERSION


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
        self._input = bytearray()
        hello = self._receive().get("hello")
        if not isinstance(hello, dict):
            raise SocketError(f"{path}: what listens there is not a panelctl controller")
        self.hello: dict[str, Any] = hello

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

    def status(self) -> dict[str, Any]:
        """The newest CycleRecord."""
        self._send({"do": "status"})
        while True:
            message = self._receive()
            if "seq" in message:
                return message
            if "error" in message:
                raise SocketError(str(message["error"]))

    def watch(self) -> Iterator[dict[str, Any]]:
        """CycleRecords as they are made, for as long as the controller runs."""
        self._send({"do": "watch"})
        while True:
            message = self._receive()
            if "seq" in message:
                yield message

    def command(self, command: Command) -> Verdict:
        """Send a command and wait for what became of it."""
        self._send(command_to_plain(command))
        while True:
            message = self._receive()
            answer = message.get("answer")
            if isinstance(answer, dict) and answer.get("id") == command.id:
                return Verdict(command.id, bool(answer.get("accepted")), str(answer.get("why")))
            if "error" in message:
                raise SocketError(str(message["error"]))

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._socket.sendall(json.dumps({"v": VERSION, **message}).encode() + b"\n")
        except OSError as error:
            raise SocketError(f"the controller is gone: {error}") from None

    def _receive(self) -> dict[str, Any]:
        while (end := self._input.find(b"\n")) < 0:
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                raise SocketError("the controller does not answer") from None
            except OSError as error:
                raise SocketError(f"the controller is gone: {error}") from None
            if not data:
                raise SocketError("the controller closed the connection")
            self._input += data
        line = bytes(self._input[:end])
        del self._input[: end + 1]
        try:
            message = json.loads(line)
        except ValueError:
            raise SocketError("the controller sent something that is not JSON") from None
        if not isinstance(message, dict) or message.get("v") != VERSION:
            raise SocketError(f"the controller does not speak version {VERSION} of the protocol")
        return message
