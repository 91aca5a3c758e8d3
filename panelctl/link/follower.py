"""Following a controller from an asyncio program: records as they come, commands with answers.

The connection comes back by itself. A program that is slow gets the newest record, not all of them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from panelctl.errors import SocketError
from panelctl.link.protocol import (
    MOST_LINE,
    Answer,
    Cycle,
    Dropped,
    Hello,
    Request,
    Watch,
    encode_request,
    read_message,
)
from panelctl.model.command import Command, Verdict
from panelctl.model.record import CycleRecord, HelloRecord

LOG = logging.getLogger("panelctl.link")
RETRY_S = 0.5
ANSWER_S = 3.0
SILENCE_S = 3.0


class Follower:
    """Follows the controller at `path`. `hello` is called for each connection, `record` for each
    record, `lost` when the controller is gone.
    """

    def __init__(
        self,
        path: Path,
        hello: Callable[[HelloRecord], None],
        record: Callable[[CycleRecord], None],
        lost: Callable[[], None] = lambda: None,
    ) -> None:
        self._path = path
        self._hello = hello
        self._record = record
        self._lost = lost
        self._writer: asyncio.StreamWriter | None = None
        self._answers: dict[str, asyncio.Future[Verdict]] = {}
        self._told = ""  # why it last failed
        self.dropped = 0  # records that the controller could not hand over
        self.connects = 0

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                await self._follow()
            except (OSError, SocketError, ValueError, asyncio.IncompleteReadError) as error:
                self._tell(error)
            finally:
                self._end()
            await asyncio.sleep(RETRY_S)

    def _tell(self, error: Exception) -> None:
        """Log why there is no connection, once while it stays the same."""
        why = str(error) or type(error).__name__
        if why != self._told:
            self._told = why
            LOG.warning("%s: %s; it is tried again", self._path, why)

    async def _follow(self) -> None:
        reader, self._writer = await asyncio.open_unix_connection(self._path, limit=MOST_LINE)
        self._send(Watch())
        while True:
            async with asyncio.timeout(SILENCE_S):  # one that hangs is as good as gone
                line = await reader.readline()
            if not line:
                return
            match read_message(line):
                case Cycle(record):
                    self._record(record)
                case Hello(facts):
                    self.connects += 1
                    self._told = ""
                    self._hello(facts)
                case Answer(verdict):
                    self._answered(verdict)
                case Dropped(records):
                    self.dropped += records

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
            self._send(command)
            async with asyncio.timeout(ANSWER_S):
                return await answer
        except TimeoutError:
            if self._writer is not None:
                self._writer.close()  # what it has not read yet must not act later
            raise SocketError("the controller does not answer") from None
        finally:
            self._answers.pop(command.id, None)

    def _send(self, request: Request) -> None:
        assert self._writer is not None
        self._writer.write(encode_request(request))

    def _answered(self, verdict: Verdict) -> None:
        answer = self._answers.get(verdict.id)
        if answer is not None and not answer.done():
            answer.set_result(verdict)
