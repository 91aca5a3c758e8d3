"""One device as its lane sees it: how it answers, how it is asked, and how it is.

Rules
- A refusal is an answer: it parks the block that was refused, not the device.
- A gateway's "no answer" (codes 10 and 11) is a loss, and so is a reply to something else.
- A device that misses three times is dead: it is probed with a backoff, briefly enough that whoever
  comes back is heard within a second.
"""

from __future__ import annotations

from collections.abc import Sequence

from panelctl.clock import Clock
from panelctl.errors import BadReply, DeviceRefused, LinkDown, ReplyTimeout
from panelctl.field.bus import Answer, BusLink, Turn
from panelctl.field.frames import BUSY_CODES, UNREACHED, Question, read_question
from panelctl.field.patience import Patience
from panelctl.modbus.maps import RegisterMap
from panelctl.modbus.shapes import Span, other_shapes
from panelctl.modbus.wire import READ_REQUEST_CHARS, REPLY_OVERHEAD_CHARS, Wire
from panelctl.model.panel import Device
from panelctl.units import NS_PER_MS

DEAD_AFTER = 3
PROBE_FIRST_NS = 200 * NS_PER_MS
PROBE_MOST_NS = 600 * NS_PER_MS  # so that whoever comes back is heard within a second
BUSY_NS = 25 * NS_PER_MS
BUSY_MOST = 20  # so often it is believed
BREATH_MOST_NS = 100 * NS_PER_MS  # a device that may still be at a lost question is left alone
MOST_ERROR = 120  # characters that are kept of an error


class Unit:
    """What is known of one device at this moment. Times in ns."""

    def __init__(
        self,
        device: Device,
        known: RegisterMap,
        link: BusLink,
        clock: Clock,
        usual: Sequence[Span] = (),
    ) -> None:
        self.device = device
        self.map = known
        self.usual = usual  # what it is asked again and again
        self.patience = Patience(device.timeout_ms)
        self.misses = 0
        self.busy = 0  # times running that it asked for patience
        self.rest_ns = 0  # not to be asked before
        self.base = 0  # where its model starts, for a SunSpec device,
        self.room = 0x10000  # and how many registers it has from there
        self.based = not known.sunspec_models
        self.good = 0
        self.timeouts = 0
        self.bad = 0
        self.refused = 0
        self.answered_ns = 0
        self.since_ns = 0  # since when it is dead, or answers
        self.error = ""  # the last one
        self._probe_ns = PROBE_FIRST_NS
        self._link = link
        self._clock = clock
        self._breath_ns = min(device.timeout_ms * NS_PER_MS, BREATH_MOST_NS)
        link.meet(device.unit, device.gap_ms, device.late_ms)

    @property
    def dead(self) -> bool:
        """Whether it has stopped answering."""
        return self.misses >= DEAD_AFTER

    def ways(self, spans: Sequence[Span]) -> tuple[Question, ...]:
        """The questions for a block's ways, those that its model has room for."""
        unit, base = self.device.unit, self.base
        return tuple(
            read_question(unit, span.table, base + span.address, span.count)
            for span in spans
            if span is spans[0] or span.end <= self.room
        )

    def between(self, spans: Sequence[Span]) -> tuple[Question, ...]:
        """Questions whose answers look like none to these spans."""
        return tuple(
            read_question(self.device.unit, span.table, self.base + span.address, span.count)
            for span in other_shapes(self.map, spans, self.usual)
        )

    async def ask(
        self, ways: Sequence[Question], turn: Turn, sync: Sequence[Question] = ()
    ) -> Answer:
        """Ask, and note how it went. Raises FieldError."""
        try:
            answer = await self._link.ask(ways, self.patience.wait_ms, turn, sync)
        except (ReplyTimeout, BadReply) as error:
            if isinstance(error, BadReply):
                self.bad += 1
            else:
                self.timeouts += 1
            self.patience.lost()
            self._missed(str(error))
            raise
        except DeviceRefused as refusal:
            self._refused(refusal)
            raise
        except LinkDown as error:
            self._missed(str(error), breath_ns=0)
            raise
        return answer

    def answered(self, answer: Answer, wire: Wire) -> None:
        """It gave what was wanted."""
        chars = READ_REQUEST_CHARS + REPLY_OVERHEAD_CHARS - 2 + answer.question.reply_len
        self.patience.answered(answer.took_ns - chars * wire.char_ns)
        self.good += 1
        self.answered_ns = answer.sampled_ns
        self._came_back()

    def _came_back(self) -> None:
        if self.dead or not self.since_ns:
            self.since_ns = self._clock.now_ns()
        self.misses = self.busy = 0
        self._probe_ns = PROBE_FIRST_NS

    def _refused(self, refusal: DeviceRefused) -> None:
        self.refused += 1
        self.error = str(refusal)
        if refusal.code in UNREACHED:
            self.patience.lost()
            self._missed(str(refusal))
        elif refusal.code in BUSY_CODES and self.busy < BUSY_MOST:
            # It is there and will answer: soon again, without a word about its health.
            self.busy += 1
            self.rest_ns = self._clock.now_ns() + BUSY_NS
        elif refusal.code in BUSY_CODES:
            self._missed(str(refusal))
        else:
            self._came_back()

    def lacks(self, why: str) -> BadReply:
        """What it does not have, though its map says so."""
        self.bad += 1
        self._missed(why)
        return BadReply(why)

    def _missed(self, why: str, breath_ns: int | None = None) -> None:
        self.error = why[:MOST_ERROR]
        if self.misses == DEAD_AFTER - 1:
            self.since_ns = self._clock.now_ns()
        self.misses = min(self.misses + 1, DEAD_AFTER)
        wait_ns = self._breath_ns if breath_ns is None else breath_ns
        if self.dead and breath_ns is None:
            wait_ns = max(wait_ns, self._probe_ns)
            self._probe_ns = min(2 * self._probe_ns, PROBE_MOST_NS)
        self.rest_ns = self._clock.now_ns() + wait_ns
