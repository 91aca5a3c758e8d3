"""Following a controller from an asyncio program: records as they come, commands with answers.

The connection comes back by itself. A program that is slow gets the newest record, not all of them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from panelctl.errors import SocketError
from panelctl.model.command import Command, Verdict, command_to_plain
from panelctl.model.record import VERSION

MOST_LINE = 4 << 20  # a record of 128 circuits is a tenth of this
RETRY_S = 0.5
ANSWER_S = 3.0
SILENCE_S = 3.0

Told = dict[str, Any]


class Follower:
    """Follows the controller at `path`. `hello` is called for each connection, `record` for each
    record, `lost` when the controller is gone.
    """

    def __init__(
        self,
        path: Path,
        hello: Callable[[Told], None],
        record: Callable[[Told], None],
        lost: Callable[[], None] = lambda: None,
    ) -> None:
        self._path = path
        self._hello = hello
        self._record = record
        self._lost = lost
        self._writer: asyncio.StreamWriter | None = None
        self._answers: dict[str, asyncio.Future[Verdict]] = {}
        self.dropped = 0  # records that the controller could not hand over
        self.connects = 0

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                await self._follow()
            except (OSError, SocketError, ValueError, asyncio.IncompleteReadError):
                pass
            finally:
                self._end()
            await asyncio.sleep(RETRY_S)

    async def _follow(self) -> None:
        reader, self._writer = await asyncio.open_unix_connection(self._path, limit=MOST_LINE)
        self._send({"do": "watch"})
        while True:
            async with asyncio.timeout(SILENCE_S):  # one that hangs is as good as gone
                line = await reader.readline()
            if not line:
                return
            message = orjson.loads(line)
            if not isinstance(message, dict) or message.get("v") != VERSION:
                raise SocketError(f"{self._path}: what listens there is not this controller")
            if "seq" in message:
                self._record(message)
            elif "hello" in message:
                self.connects += 1
                self._hello(message["hello"])
            elif "answer" in message:
                self._answered(message["answer"])
            elif "dropped" in message:
                self.dropped += int(message["dropped"])

    def _end(self) -> None:
        if self._writer is None:
            return
        self._writer.close()
        self._writer = None
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(SocketError("the controller is gone"))
        self._answers.clear()
        self._lost()

    async def command(self, command: Command) -> Verdict:
        """Send a command and wait for what became of it. Raises SocketError."""
        if self._writer is None:
            raise SocketError("the controller cannot be reached")
        answer: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._answers[command.id] = answer
        try:
            self._send(command_to_plain(command))
            async with asyncio.timeout(ANSWER_S):
                return await answer
        except TimeoutError:
            if self._writer is not None:
                self._writer.close()  # what it has not read yet must not act later
            raise SocketError("the controller does not answer") from None
        finally:
            self._answers.pop(command.id, None)

    def _send(self, message: Told) -> None:
        assert self._writer is not None
        self._writer.write(json.dumps({"v": VERSION, **message}).encode() + b"\n")

    def _answered(self, plain: Told) -> None:
        answer = self._answers.get(str(plain.get("id")))
        if answer is not None and not answer.done():
            why = str(plain.get("why", ""))
            answer.set_result(Verdict(str(plain["id"]), bool(plain.get("accepted")), why))
