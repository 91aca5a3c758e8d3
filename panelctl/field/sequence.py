"""Which way of asking may be taken now, so that no older reply can pass for the answer. Sans-IO.

A reply tells its function and its length, on a serial line its unit, and nothing of the question.
What is known to happen: a reply comes after we gave up on it; a line driver or a gateway sends one
once more, 10 to 60 ms later; a gateway that once lost step answers each question with the reply to
one of those before, under the right number, for as long as it is never idle.

Rules
- A reply that was lost is owed until its late window is over. Nothing is asked that it could answer
  (`Owed`). After that its unit has to answer something else first, since a device answers in turn;
  on a line before, on a connection straight after what it could answer.
- On a line (`LineOrder`, one a unit) two questions of one shape follow each other only where there
  is no other way; and what looks, to the byte, like the reply to another question of this shape
  within REPEAT_NS is a copy of it, unless it is just what was said last time: it is asked again.
- On a connection (`GatewayOrder`, one for all its units) no two questions of one shape stand within
  SHIFT_MOST of each other, unless they ask for the same thing, and the shapes follow each other
  unpredictably. Where a device has too few shapes for that, its answer counts only when a question
  of a shape that stands out is answered rightly straight after it. Where there is none such, it is
  asked when there has been no traffic for so long that no copy comes any more (REPEAT_NS), and
  after a reply that was lost for so long that a gateway has come into step (HUSH_NS). Once it was
  in step, and while nothing is lost, the same thing may be asked in its shape again and again with
  others between: whatever is shifted by one answers in another shape, by more is only older.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from panelctl.field.frames import Question
from panelctl.modbus.dice import Dice
from panelctl.modbus.shapes import REPEAT_NS, SHAPES_LEAST, SHIFT_MOST
from panelctl.units import NS_PER_MS

UNSEEN_NS = 40 * NS_PER_MS  # a right reply behind a copy comes within so long
QUIET_NS = 50 * NS_PER_MS
HUSH_NS = 300 * NS_PER_MS  # a gateway that is idle for so long is in step
EARLIER = "the acknowledgement may be that of an earlier order"
NEVER_NS = 1 << 62
FORGOTTEN_NS = 30_000 * NS_PER_MS
MOST_UNFIT = 256
DEAD_AFTER = 3  # losses in a row: nothing is on its way any more


@dataclass(slots=True)
class Owed:
    """A reply that may still come: to what, until when, and whether its unit has gone on since."""

    question: Question
    until_ns: int
    followed: bool = False
    ends_ns: int = NEVER_NS  # then it will not come, whatever its unit has said since
    asked_ns: int = 0


def _other(one: Question, two: Question) -> bool:
    """Whether two questions of one shape ask for different things."""
    return one is not two and (one.unit != two.unit or one.pdu != two.pdu)


def owes_order(owed: Sequence[Owed], question: Question, now_ns: int) -> bool:
    """Whether an acknowledgement may be that of an earlier order of another content: function 16
    repeats where was written, not what.
    """
    return any(
        now_ns < o.until_ns
        and o.question.unit == question.unit
        and o.question.reply_head == question.reply_head
        and o.question.pdu != question.pdu
        for o in owed
    )


class LineOrder:
    """The questions to one unit of a serial line. `gap_ns` is the pause it needs after an answer,
    `late_ns` how late a reply of it may come.
    """

    def __init__(self, gap_ns: int = 0, late_ns: int = 1_000 * NS_PER_MS) -> None:
        self.gap_ns = gap_ns
        self.late_ns = late_ns
        self.owed: list[Owed] = []
        self.apart_ns = 0
        self.unanswered: set[bytes] = set()  # questions in between that brought nothing
        self._last_shape = 0
        self._rested_ns = 0  # the pause after its last answer is over
        self._replies: deque[tuple[Question, bytes, int]] = deque()  # within REPEAT_NS
        self._said: dict[bytes, bytes] = {}  # the last reply by question
        self._refusals: dict[int, int] = {}  # the last one by function, ns

    def when(self, ways: Sequence[Question]) -> int:
        """From when on one of the ways may be asked, ns. An order never waits for a reply that is
        owed: what acknowledges it says what was ordered.
        """
        if not self.owed or ways[0].writes:
            return self._rested_ns
        return max(min(self._free_ns(way) for way in ways), self._rested_ns)

    def pick(self, ways: Sequence[Question], now_ns: int, synced: bool = False) -> Question | None:
        """The way to ask, None where it is too early, or something else has to be asked first;
        `synced`: there is something else.

        The first that is free, and if that is of the shape asked last, another that is.
        """
        second: Question | None = None
        for way in ways:
            if self._free_ns(way) <= now_ns and not (synced and self._pending(way)):
                if way.shape != self._last_shape:
                    return way
                second = second or way
        return second

    def _pending(self, way: Question) -> bool:
        """Whether nothing proves yet that what is owed to this shape will not come any more."""
        return any(o.question.shape == way.shape and not o.followed for o in self.owed)

    def _free_ns(self, way: Question) -> int:
        free_ns = 0
        for owed in self.owed:
            if owed.question.shape == way.shape:
                free_ns = max(free_ns, owed.until_ns)
        return free_ns

    def asked(self, question: Question) -> None:
        """It is on its way."""
        self._last_shape = question.shape

    def answered(self, question: Question, now_ns: int) -> None:
        """It was answered, if only by a refusal."""
        self._rested_ns = now_ns + self.gap_ns
        if self.owed:
            for owed in self.owed:
                owed.followed |= owed.question.shape != question.shape
            self._prune(now_ns)

    def _prune(self, now_ns: int) -> None:
        self.owed = [o for o in self.owed if now_ns < (o.until_ns if o.followed else o.ends_ns)]

    def refused(self, question: Question, now_ns: int) -> None:
        """It was refused. Where that may be a refusal of before, late or once more, the reply is
        owed: refusals of one function all look alike.
        """
        before_ns = self._refusals.get(question.function, -REPEAT_NS)
        self._refusals[question.function] = now_ns
        late = any(o.question.function == question.function for o in self.owed)
        if now_ns - before_ns < REPEAT_NS or late:
            self.lost(question, now_ns)
        else:
            self.answered(question, now_ns)

    def owes_order(self, question: Question, now_ns: int) -> bool:
        """See the function of this name."""
        return owes_order(self.owed, question, now_ns)

    def copied(self, question: Question, pdu: bytes, now_ns: int) -> bool:
        """Whether the reply to a read may be the copy of another's; `apart_ns` is then when it
        cannot be one any more.
        """
        replies = self._replies
        while replies and now_ns - replies[0][2] >= REPEAT_NS:
            replies.popleft()
        if self._said.get(question.pdu) != pdu:
            for other, reply, came_ns in replies:
                if reply == pdu and _other(other, question):
                    self.apart_ns = came_ns + REPEAT_NS
                    # The right one comes now, unseen, and may come once more as well.
                    until_ns = now_ns + REPEAT_NS + UNSEEN_NS
                    self.owed.append(Owed(question, until_ns, followed=True))
                    return True
        replies.append((question, pdu, now_ns))
        self._said[question.pdu] = pdu
        return False

    def lost(self, question: Question, now_ns: int) -> None:
        """No right reply came in time; it may come yet."""
        self._prune(now_ns)
        self.owed = [o for o in self.owed if o.question.pdu != question.pdu]
        self.owed.append(Owed(question, now_ns + self.late_ns, ends_ns=now_ns + FORGOTTEN_NS))
        self._rested_ns = now_ns + self.gap_ns


class GatewayOrder:
    """The questions on one connection, to all units behind it. `seed` makes its order repeat."""

    def __init__(self, seed: bytes) -> None:
        self.owed: list[Owed] = []
        self._dice = Dice(seed)
        self._recent: deque[Question] = deque(maxlen=SHIFT_MOST)
        self._busy_ns = 0  # of the last question or reply
        self._asked_ns = 0  # of the last question
        self._losses: dict[int, int] = {}  # in a row, by unit
        self._answered: dict[int, Question] = {}  # the last one of each shape
        self._unfit: set[tuple[int, bytes]] = set()  # refused as proofs
        self._in_step = False  # it was proven, or idle for long, and nothing was lost since

    def pick(self, ways: Sequence[Question], now_ns: int) -> tuple[Question | None, bool]:
        """The way to ask, None where all of them are owed; and whether its answer has to be proven:
        a reply to one of the questions before would look like it.
        """
        free = self._free(ways, now_ns)
        choices = self._choices(free, len(ways), now_ns)[:SHAPES_LEAST]  # the shortest that will do
        if choices:
            return choices[self._dice.below(len(choices)) if len(choices) > 1 else 0], False
        return (free[0] if free else None), True

    def proof(
        self, more: Sequence[Question], now_ns: int, idle: Callable[[int], bool]
    ) -> Question | None:
        """A question that is sure to be answered and stands out from those before; `idle` tells
        whether a unit may be asked now.
        """
        shapes = {question.shape for question in self._recent} | self._owed_shapes(now_ns)
        for question in (*self._answered.values(), *more):
            if (
                question.shape not in shapes
                and (question.unit, question.pdu) not in self._unfit
                and idle(question.unit)
            ):
                return question
        return None

    def unfit(self, question: Question) -> bool:
        """It was refused as a proof; False where too many were."""
        if len(self._unfit) >= MOST_UNFIT:
            return False
        self._unfit.add((question.unit, question.pdu))
        return True

    def owes_order(self, question: Question, now_ns: int) -> bool:
        """See the function of this name."""
        return owes_order(self.owed, question, now_ns)

    def unheard(self, since_ns: int) -> None:
        """What was asked since then was never heard by anybody."""
        self.owed = [o for o in self.owed if o.asked_ns < since_ns]

    def owed_until(self, ways: Sequence[Question], now_ns: int) -> int:
        """From when on none of the owed replies could answer one of the ways, ns."""
        shapes = self._owed_shapes(now_ns)
        if any(way.shape not in shapes for way in ways):
            return 0
        return min(self._owed_until_ns(way) for way in ways)

    @property
    def quiet_ns(self) -> int:
        """When the same thing may be asked again in its only shape."""
        return self._busy_ns + QUIET_NS

    @property
    def hushed_ns(self) -> int:
        """When there will have been no traffic for so long that the next reply is the answer."""
        return self._busy_ns + (REPEAT_NS if self._in_step else HUSH_NS)

    def connected(self) -> None:
        """The connection is new: nothing is known of the gateway."""
        self._in_step = False

    def came_into_step(self) -> None:
        """There was no traffic for so long, or a proof was answered rightly."""
        self._in_step = True

    def _free(self, ways: Sequence[Question], now_ns: int) -> Sequence[Question]:
        """The ways that nothing owed could answer."""
        if not self.owed:
            return ways
        owed = self._owed_shapes(now_ns)
        return [way for way in ways if way.shape not in owed]

    def _owed_shapes(self, now_ns: int) -> set[int]:
        if not self.owed:
            return set()
        self.owed = [o for o in self.owed if now_ns < (o.until_ns if o.followed else o.ends_ns)]
        return {o.question.shape for o in self.owed if now_ns < o.until_ns}

    def _owed_until_ns(self, way: Question) -> int:
        return max((o.until_ns for o in self.owed if o.question.shape == way.shape), default=0)

    def _choices(self, free: Sequence[Question], shapes: int, now_ns: int) -> Sequence[Question]:
        """Those whose answer is sure to be theirs."""
        if not self._recent:
            return free
        if self.owed:  # what is left of it nothing has followed yet
            late = {o.question.shape for o in self.owed if not o.followed}
            free = [way for way in free if way.shape not in late]
        last = self._recent[-1].shape
        few = shapes < SHAPES_LEAST and not self._in_step
        choices = []
        for way in free:
            if way.shape == last:
                continue
            for other in self._recent:
                if other.shape == way.shape and (few or _other(other, way)):
                    break
            else:
                choices.append(way)
        if choices or now_ns < self.quiet_ns:
            return choices
        # The same thing asked again and again after quiet: an older reply would only be older.
        recent = self._recent
        return [w for w in free if not any(o.shape == w.shape and _other(o, w) for o in recent)]

    def asked(self, question: Question, now_ns: int) -> None:
        """It is on its way."""
        self._recent.append(question)
        self._busy_ns = self._asked_ns = now_ns

    def answered(self, question: Question, now_ns: int) -> None:
        """It was answered, if only by a refusal of the device itself."""
        self._busy_ns = now_ns
        self._losses.pop(question.unit, None)
        for owed in self.owed:
            mine = owed.question.unit == question.unit
            owed.followed |= mine and owed.question.shape != question.shape

    def proved(self, question: Question) -> None:
        """A read was answered rightly: it will be again."""
        self._answered[question.shape] = question

    def lost(self, question: Question, now_ns: int, timeout_ns: int, late_ns: int) -> None:
        """No right reply came in time, or the gateway itself gave up on it.

        Of a unit that has been silent for long nothing is on its way: it must not keep others
        from being asked.
        """
        self._answered.pop(question.shape, None)
        self._in_step = False
        losses = self._losses[question.unit] = self._losses.get(question.unit, 0) + 1
        window_ns = late_ns if losses < DEAD_AFTER else min(late_ns, timeout_ns)
        self.owed = [o for o in self.owed if o.question is not question]
        ends_ns = now_ns + (FORGOTTEN_NS if losses < DEAD_AFTER else window_ns)
        owed = Owed(question, now_ns + window_ns, ends_ns=ends_ns, asked_ns=self._asked_ns)
        self.owed.append(owed)
        self._busy_ns = now_ns

    def came_late(self, question: Question) -> None:
        """A reply that was owed has come under its own number: it is not owed any more."""
        self.owed = [o for o in self.owed if o.question is not question]

    def belongs(self, asked: Question, unit: int, pdu: bytes) -> Question | None:
        """Which of the questions before a reply belongs to that does not answer this one."""
        before = [*self._recent, *(owed.question for owed in self.owed)]
        for question in before:
            if (
                question is not asked
                and unit in (question.unit, asked.unit)
                and len(pdu) == question.reply_len
                and pdu.startswith(question.reply_head)
            ):
                return question
        return None
