"""The questions under way on a connection, and which of them a reply answers. Sans-IO but for the
futures that the askers wait for.

Rules
- The transaction number finds the question; unit, function and length have to fit as well.
- A reply that does not fit is noted, and waited out: the right one may follow.
- What came too late is not owed any more (sequence.py).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from panelctl.errors import BadReply, DeviceRefused, ReplyTimeout
from panelctl.field.bus import LinkCounts
from panelctl.field.diagnosis import NEXT_NUMBER, SHIFTED, Diagnosis, as_unit
from panelctl.field.frames import UNREACHED, Question, tcp_answers
from panelctl.field.sequence import GatewayOrder

REFUSAL_BYTES = 2
LATE_KEPT = 64  # numbers of lost questions
NUMBERS = 65_535
NUMBERS_AHEAD = 16  # numbers that have not been used yet


@dataclass(slots=True)
class Asked:
    """A question under way. `wrong` tells of a reply to it that is not the answer, `shifted` that
    it was the answer to another one; `overlapped`: another question was under way with it.
    """

    number: int
    question: Question
    reply: asyncio.Future[tuple[bytes, int]]
    overlapped: bool
    wrong: str = ""
    shifted: bool = False

    def fail(self, error: Exception) -> None:
        """End it, unless it has ended."""
        if not self.reply.done():
            self.reply.set_exception(error)

    def expire(self) -> None:
        """Its time is over."""
        self.fail(BadReply(self.wrong) if self.wrong else ReplyTimeout("no reply"))


class Pending:
    """The questions under way on one connection."""

    def __init__(self, counts: LinkCounts, order: GatewayOrder, diagnosis: Diagnosis) -> None:
        self._counts = counts
        self._order = order
        self._diagnosis = diagnosis
        self._number = 0
        self._asked: dict[int, Asked] = {}
        self._past: dict[int, Question] = {}  # lost, by number

    def __bool__(self) -> bool:
        return bool(self._asked)

    @property
    def questions(self) -> list[Question]:
        """What is being asked."""
        return [asked.question for asked in self._asked.values()]

    def add(self, question: Question) -> Asked:
        """Another one, with the next number."""
        for other in self._asked.values():
            other.overlapped = True
        number = self._number = self._number % NUMBERS + 1
        reply = asyncio.get_running_loop().create_future()
        asked = self._asked[number] = Asked(number, question, reply, bool(self._asked))
        return asked

    def end(self, asked: Asked) -> None:
        """It has ended, somehow."""
        self._asked.pop(asked.number, None)

    def lost(self, asked: Asked) -> None:
        """It was not answered; it may be, late."""
        self._past[asked.number] = asked.question
        if len(self._past) > LATE_KEPT:
            del self._past[next(iter(self._past))]

    def fail(self, error: Exception) -> None:
        """The connection is gone: end them all."""
        self._past.clear()
        for asked in self._asked.values():
            asked.fail(error)

    def receive(self, transaction: int, unit: int, pdu: bytes, now_ns: int) -> None:
        """A reply has come."""
        asked = self._asked.get(transaction)
        if asked is None or asked.reply.done():
            self._stray(transaction, unit, pdu, now_ns)
            return
        try:
            tcp_answers(asked.question, unit, pdu)
        except DeviceRefused as refusal:
            asked.fail(refusal)
        except BadReply as error:
            self._mismatched(asked, unit, pdu, error, now_ns)
        else:
            asked.reply.set_result((pdu, now_ns))

    def _stray(self, transaction: int, unit: int, pdu: bytes, now_ns: int) -> None:
        """A reply to nothing that is being asked: a late one, or one under a wrong number."""
        self._counts.stray_bytes += len(pdu)
        late = self._past.pop(transaction, None)
        if late is not None:
            if not (len(pdu) == REFUSAL_BYTES and pdu[1] in UNREACHED):  # the gateway gave up too
                self._order.came_late(late)
            return
        if not 0 < (transaction - self._number) % (NUMBERS + 1) <= NUMBERS_AHEAD:
            return  # of a question that was answered already
        for question in self.questions:
            if unit == question.unit and pdu.startswith(question.reply_head):
                self._diagnosis.note(NEXT_NUMBER, now_ns)

    def _mismatched(
        self, asked: Asked, unit: int, pdu: bytes, error: BadReply, now_ns: int
    ) -> None:
        """A reply under the right number that is not the answer."""
        self._counts.stray_bytes += len(pdu)
        question = asked.question
        if self._order.belongs(question, unit, pdu) is not None:
            asked.shifted, asked.wrong = True, SHIFTED
        elif unit != question.unit and len(pdu) == question.reply_len:
            asked.wrong = as_unit(unit, question.unit)
            self._diagnosis.note(asked.wrong, now_ns)
        else:
            asked.wrong = str(error)
