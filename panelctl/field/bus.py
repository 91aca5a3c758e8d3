"""One link: a queue of transactions, one at a time, the urgent ones first.

Rules
- No blind retries: a question that got no answer is the scanner's business, with its own clock.
- Writes go before fast reads, fast reads before slow ones; a transaction in flight is never broken.
- The time stamp of a reply is taken where its last byte arrived.
"""

from __future__ import annotations

import asyncio
import heapq
from dataclasses import dataclass
from enum import IntEnum
from itertools import count
from typing import NamedTuple, Protocol

from panelctl.field.frames import Question


class Turn(IntEnum):
    """Who goes first when a link is free."""

    WRITE = 0
    FAST = 1
    SLOW = 2


class Answer(NamedTuple):
    """The values of a reply (registers, or bits as 0/1) and when it arrived."""

    values: list[int]
    sampled_ns: int


@dataclass(slots=True)
class LinkCounts:
    """What happened on a link since it was opened."""

    transactions: int = 0
    timeouts: int = 0
    stray_bytes: int = 0
    reopened: int = 0
    busy_ns: int = 0


class BusLink(Protocol):
    """A link that questions can be asked on."""

    counts: LinkCounts

    async def ask(self, question: Question, timeout_ms: int, turn: Turn) -> Answer:
        """The answer. Raises ReplyTimeout, DeviceRefused, BadReply or LinkDown."""

    async def close(self) -> None:
        """Give the port or the socket back."""


class TurnQueue:
    """Lets `width` coroutines in at a time, by `Turn` and then by order of arrival."""

    def __init__(self, width: int = 1) -> None:
        self._free = width
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._numbers = count()

    def take(self) -> bool:
        """Whether the link is free; then it is ours."""
        if self._free:
            self._free -= 1
            return True
        return False

    async def enter(self, turn: Turn) -> None:
        """Wait for the link to be ours."""
        if self.take():
            return
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (turn, next(self._numbers), future))
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.leave()  # it was ours already when we were cancelled
            raise

    def leave(self) -> None:
        """Hand the link to the next in line."""
        while self._waiting:
            _, _, future = heapq.heappop(self._waiting)
            if not future.done():
                future.set_result(None)
                return
        self._free += 1
