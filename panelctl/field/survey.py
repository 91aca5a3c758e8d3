"""One device asked outside of the controller: is it there, what does it hold, how fast may it go.

Questions only: the link that is handed in should be one that cannot write (links.open_read_only).
What the answers mean is modbus/'s business, and how they are shown the CLI's.

Rules
- It asks by the controller's rules (sequence.py), the pause that a device needs included: no answer
  is ever taken for another question's.
- A block that the device refuses is asked again point by point, so that one register it does not
  have costs nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from panelctl.clock import Clock
from panelctl.errors import BadReply, DeviceRefused, FieldError, LinkDown, ReplyTimeout
from panelctl.field.bus import Answer, BusLink, Turn
from panelctl.field.frames import UNREACHED, Question, read_question
from panelctl.modbus.capture import Words
from panelctl.modbus.maps import RegisterMap
from panelctl.modbus.plan import plan_blocks
from panelctl.modbus.shapes import BITS, Span
from panelctl.modbus.sunspec import BASES, Model, walk
from panelctl.modbus.wire import READ_REQUEST_CHARS, Wire
from panelctl.units import NS_PER_MS

TRIES = 3  # a torn reply may take the next one with it
SAMPLES = 11  # questions by which its time to answer is measured
IN_A_ROW = 20  # questions it has to answer at a pace
REOPEN_NS = 400 * NS_PER_MS  # a link that was given up can be opened again by then
PAUSES_MS = (0, 2, 5, 10, 20, 50, 100)

Tell = Callable[[int, int], None]  # how far: done, of so many


@dataclass(slots=True)
class Holding:
    """What a device holds: words by table and address, and the reads it did not answer."""

    tables: dict[str, Words] = field(default_factory=dict)
    missing: list[tuple[Span, str]] = field(default_factory=list)

    def store(self, span: Span, values: Sequence[int]) -> None:
        """Note what a read returned."""
        words = self.tables.setdefault(span.table, {})
        words.update(zip(range(span.address, span.address + span.count), values, strict=True))


class Survey:
    """Asks one unit of a link."""

    def __init__(
        self,
        link: BusLink,
        clock: Clock,
        wire: Wire,
        unit: int,
        timeout_ms: int,
        late_ms: int,
        gap_ms: float = 0.0,
    ) -> None:
        self._link = link
        self._clock = clock
        self._wire = wire
        self._unit = unit
        self._timeout_ms = timeout_ms
        link.meet(unit, gap_ms, late_ms)

    async def present(self) -> bool:
        """Whether anybody answers at all; a refusal is an answer, unless a gateway gives it for
        a unit that it does not reach. Raises LinkDown.
        """
        for table in ("holding", "input"):
            span = Span(table, 0, 1)
            try:
                await self._send(span)
            except DeviceRefused as refusal:
                return refusal.code not in UNREACHED
            except (ReplyTimeout, BadReply):
                continue
            return True
        return False

    async def read(self, span: Span, tries: int = TRIES, ways: Sequence[Span] = ()) -> list[int]:
        """The registers or bits of a span, asked in one of `ways`. Raises FieldError."""
        for last in [False] * (tries - 1) + [True]:
            try:
                answer = await self._send(span, ways)
            except (ReplyTimeout, BadReply):
                if last:
                    raise
            else:
                begin = answer.question.pdu[1] << 8 | answer.question.pdu[2]
                return answer.values[span.address - begin :][: span.count]
        raise AssertionError("tries is at least 1")

    async def collect(
        self,
        known: RegisterMap,
        names: Sequence[str] = (),
        tell: Tell = lambda done, of: None,
    ) -> Holding:
        """The named points of a map, or everything that it knows. Raises LinkDown, ConfigError.

        Of a SunSpec device its chain of models is walked first, and stands in the answer.
        """
        holding = Holding()
        starts: list[tuple[int, int]] = [(0, 0x10000)]
        if known.sunspec_models:
            models = await self.models(holding, known.sunspec_bases or BASES)
            wanted = known.sunspec_models
            starts = [(m.address, 2 + m.length) for m in models if m.id in wanted]
        spans: list[tuple[list[Span], list[Span]]] = []
        for base, length in starts:
            for block in plan_blocks(known, names or list(known.points), self._wire):
                inside = [p for p in block.points if p.end <= length]
                singly = [Span(p.table, base + p.address, p.count) for p in inside]
                if inside and len(inside) == len(block.points):
                    fitting = [way for way in block.ways if way.end <= length]
                    ways = [Span(w.table, base + w.address, w.count) for w in fitting]
                    spans.append((ways, singly))
                else:
                    spans += [([span], []) for span in singly]
        for done, (ways, singly) in enumerate(spans, start=1):
            await self._take(holding, ways, singly)
            tell(done, len(spans))
        return holding

    async def models(self, holding: Holding, bases: Sequence[int] = BASES) -> list[Model]:
        """The device's SunSpec models; what was read of the chain goes into `holding`."""
        steps = walk(bases)
        words: list[int] | None = None
        try:
            span = Span("holding", *next(steps))
            while True:
                try:
                    words = await self.read(span)
                    holding.store(span, words)
                except LinkDown:
                    raise
                except FieldError:
                    words = None
                span = Span("holding", *steps.send(words))
        except StopIteration as end:
            found: list[Model] = end.value
            return found

    async def answer_ms(self, span: Span) -> float:
        """The median time until it begins its answer, the wire's not counted. Raises FieldError."""
        chars = READ_REQUEST_CHARS + self._wire.reply_chars(span.table, span.count)
        times = []
        for _ in range(SAMPLES):
            await self._pause(self._wire.silence_ns + NS_PER_MS)
            answer = await self._send(span)
            times.append(answer.took_ns - chars * self._wire.char_ns)
        return max(median(times), 0) / NS_PER_MS

    async def pause_ms(self, span: Span) -> int | None:
        """The shortest pause after an answer with which it answers every time; None: none tried."""
        for pause in PAUSES_MS:
            with suppress(ReplyTimeout, BadReply, DeviceRefused):
                for _ in range(IN_A_ROW):
                    await self.read(span, tries=1)
                    await self._pause(pause * NS_PER_MS)
                return pause
        return None

    async def reads_gaps(self, known: RegisterMap) -> bool | None:
        """Whether a read may touch registers that the map does not name; None: no place to try."""
        span = next(gaps(known), None)
        if span is None:
            return None
        try:
            await self.read(span)
        except DeviceRefused:
            return False
        return True

    async def _take(self, holding: Holding, ways: list[Span], singly: list[Span]) -> None:
        span = ways[0]
        try:
            holding.store(span, await self.read(span, ways=ways))
        except LinkDown:
            raise
        except DeviceRefused as error:
            if len(singly) < 2:
                holding.missing.append((span, str(error)))
                return
            for one in singly:
                await self._take(holding, [one], [])
        except FieldError as error:
            holding.missing.append((span, str(error)))

    async def _send(self, span: Span, ways: Sequence[Span] = ()) -> Answer:
        """Ask. A link that was given up is opened once more."""
        questions = [self._question(way) for way in ways or (span,)]
        between = self._between(span)
        try:
            return await self._link.ask(questions, self._timeout_ms, Turn.SLOW, between)
        except LinkDown:
            if not self._link.counts.reopened:
                raise
        await self._pause(REOPEN_NS)
        return await self._link.ask(questions, self._timeout_ms, Turn.SLOW, between)

    def _between(self, span: Span) -> list[Question]:
        """Two questions of other shapes, in case that a reply to this span is owed."""
        if span.table in BITS:  # one bit more does not show in the length
            return [self._question(Span("holding", span.address, count)) for count in (1, 2)]
        counts = [count for count in (1, 2, 3) if count != span.count][:2]
        return [self._question(Span(span.table, span.address, count)) for count in counts]

    def _question(self, span: Span) -> Question:
        return read_question(self._unit, span.table, span.address, span.count)

    async def _pause(self, ns: int) -> None:
        await self._clock.sleep_until(self._clock.now_ns() + ns)


def gaps(known: RegisterMap) -> Iterator[Span]:
    """Short reads from one point to the next across registers that the map does not name."""
    points = sorted(known.points.values(), key=lambda point: (point.table, point.address))
    for before, after in pairwise(points):
        start, count = before.address, after.end - before.address
        hindered = any(start < barrier < after.end for barrier in known.barriers)
        lonely = {before.address, after.address} & known.isolated
        if (
            before.table == after.table
            and before.table in ("holding", "input")
            and before.end < after.address
            and count <= known.max_registers
            and not hindered
            and not lonely
        ):
            yield Span(before.table, start, count)
