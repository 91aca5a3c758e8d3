"""One link: a queue of transactions, one at a time, the urgent ones first.

Rules
- No blind retries: a question that got no answer is the scanner's business, with its own clock.
- Writes go before fast reads, fast reads before slow ones; a transaction in flight is never broken.
- Of the ways to ask for the same thing the link takes one whose reply no older one can be
  mistaken for (sequence.py), and it keeps the pause that a device needs.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import count
from typing import NamedTuple, Protocol

from panelctl.field.frames import Question

Ways = Question | Sequence[Question]


class Turn(IntEnum):
    """Who goes first when a link is free."""

    WRITE = 0
    FAST = 1
    SLOW = 2


class Answer(NamedTuple):
    """The values of a reply (registers, or bits as 0/1), to which question, and its times.

    What a read says is no newer than its question: a gateway may have kept the reply for a while.
    So `sampled_ns` is when a read was asked, and when a write was acknowledged. `took_ns` is the
    time from the question to the reply.
    """

    values: list[int]
    sampled_ns: int
    question: Question
    took_ns: int


@dataclass(slots=True)
class LinkCounts:
    """What happened on a link since the start, and how it stands.

    `error` is the last that went wrong with the link itself, `remark` what a person should know of
    it (docs/reference/control-socket.md), `since_ns` from when it has been up, or down.
    """

    transactions: int = 0
    timeouts: int = 0
    stray_bytes: int = 0
    noisy: int = 0  # questions that could not wait for silence: somebody never stops talking
    shifts: int = 0  # times that replies were found to belong to other questions
    reopened: int = 0
    busy_ns: int = 0
    up: bool = False
    since_ns: int = 0
    error: str = ""
    remark: str = ""
    echo: bool = False
    settle_ms: int = 0  # it is deaf for so long after it was opened; told, or learnt
    width: int = 1  # questions at once


class BusLink(Protocol):
    """A link that questions can be asked on."""

    counts: LinkCounts

    def meet(self, unit: int, gap_ms: float, late_ms: float) -> None:
        """Tell the link of a unit: the pause it needs after an answer, how late one may come."""

    def when(self, ways: Ways) -> int:
        """From when on this could be asked, ns; in the past: now. It may change until then."""

    async def ask(
        self, ways: Ways, timeout_ms: float, turn: Turn, sync: Sequence[Question] = ()
    ) -> Answer:
        """The answer to one of `ways`, which all ask for the same thing; which one is the link's
        choice. `sync` are questions of other shapes that may be asked before, to be sure that no
        older reply is on its way. Raises ReplyTimeout, DeviceRefused, BadReply or LinkDown.
        """

    async def close(self) -> None:
        """Give the port or the socket back."""


class TurnQueue:
    """Lets `width` coroutines in at a time, by `Turn` and then by order of arrival."""

    def __init__(self, width: int = 1) -> None:
        self._width = self._free = width
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._numbers = count()

    @property
    def free(self) -> bool:
        """Whether somebody could be let in."""
        return self._free > 0

    def acquire(self) -> bool:
        """Whether the link is free; then it is ours."""
        if self._free > 0:
            self._free -= 1
            return True
        return False

    def widen(self, width: int) -> None:
        """Let so many in from now on. Who is in stays in."""
        self._free += width - self._width
        self._width = width
        while self._free > 0 and self._waiting:
            self._free -= 1
            self.leave()

    async def enter(self, turn: Turn) -> None:
        """Wait for the link to be ours."""
        if self.acquire():
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
        if self._free < 0:  # fewer may be in now
            self._free += 1
            return
        while self._waiting:
            _, _, future = heapq.heappop(self._waiting)
            if not future.done():
                future.set_result(None)
                return
        self._free += 1
