"""The reads of one link: the fast lane in every cycle, the slow lane in the time that is left.

Rules
- Everybody gets a turn: after each round of fast reads at least one slow one is asked, and where
  the fast ones take the whole cycle the slow ones get a quarter of their time.
- What may not be asked yet (a device's pause, a reply that is owed) waits; others go first.
- A block that is refused is parked by itself, with a backoff. The rest of its device goes on.
- After a loss the order changes, so that a late reply does not fall on the same neighbour again.
- A reading outside what its quantity can be is marked, never stored; a missing one just ages. What
  a stranger says is not taken (strangers.py).
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass

from panelctl.clock import Clock
from panelctl.core.state.image import Image
from panelctl.errors import DeviceRefused, FieldError
from panelctl.field.bus import BusLink, Turn
from panelctl.field.frames import BUSY_CODES, UNREACHED, Question
from panelctl.field.strangers import Identity
from panelctl.field.unit import Unit
from panelctl.modbus.busplan import LinkPlan, PlannedRead
from panelctl.modbus.fields import Block
from panelctl.modbus.filling import field_of
from panelctl.modbus.shapes import Span
from panelctl.modbus.sunspec import BASES, Model, walk
from panelctl.units import NS_PER_MS

GUARD_NS = 2 * NS_PER_MS  # a slow read ends this long before the next cycle begins
SLOW_DIVISOR = 4  # a cycle without spare time gives the slow lane a quarter of the fast one's
REFUSED_FIRST_NS = 200 * NS_PER_MS
REFUSED_MOST_NS = 600 * NS_PER_MS
STRIKES = 2
LACKS = (2, 3)  # refusals of what the device does not have
HEAD_AND_ONE = 3  # registers: a SunSpec model's ID and length, and its first point


class Read:
    """One planned read of a unit, and the part of the image that it fills."""

    def __init__(self, planned: PlannedRead, unit: Unit, image: Image) -> None:
        self.planned = planned
        self.unit = unit
        self.rest_ns = 0  # refused: not to be asked before
        self.refused = False
        self._backoff_ns = REFUSED_FIRST_NS
        self._plain = True  # the block as it is was not refused last time
        self._strikes: dict[bytes, int] = {}  # refusals of a longer way, by question
        block = planned.block
        by_name = {point.name: point for point in block.points}
        fields = []
        for index, slot in planned.slots:
            point = by_name[slot.source.point]
            scale_at = -1
            if point.scale_point is not None:
                scale_at = by_name[point.scale_point].address - block.span.address
            offset = point.address - block.span.address
            fields.append(field_of(point, offset, index, slot, scale_at))
        self.into = Block(fields, image.next_value, image.next_quality, image.next_sampled_ns)
        self.ways: tuple[Question, ...] = ()
        self.sync: tuple[Question, ...] = ()
        self.shifts: dict[bytes, int] = {}  # by question: where the block begins in its reply
        self.aim()

    def aim(self) -> None:
        """Make its questions, once the unit's base is known."""
        block, unit = self.planned.block, self.unit
        self.ways = unit.ways(block.ways)
        self.sync = unit.between(block.ways)
        begin = unit.base + block.span.address
        self.shifts = {way.pdu: begin - (way.pdu[1] << 8 | way.pdu[2]) for way in self.ways}

    def refuse(self, refusal: DeviceRefused, now_ns: int) -> None:
        """It was refused: rest, unless only a longer way was that the device does not have."""
        pdu = refusal.pdu
        if self._plain and pdu != self.ways[0].pdu and refusal.code in LACKS:
            strikes = self._strikes[pdu] = self._strikes.get(pdu, 0) + 1
            if strikes >= STRIKES:
                self.ways = tuple(way for way in self.ways if way.pdu != pdu)
            return
        self._plain = False
        self.refused = True
        self.rest_ns = now_ns + self._backoff_ns
        self._backoff_ns = min(2 * self._backoff_ns, REFUSED_MOST_NS)

    def answered(self, pdu: bytes) -> None:
        """It was answered."""
        if self._strikes:
            self._strikes.pop(pdu, None)
        if self.refused:
            self.refused, self._plain = False, True
            self.rest_ns = 0
            self._backoff_ns = REFUSED_FIRST_NS


@dataclass(slots=True)
class Pace:
    """How long the fast lane takes: as planned, and as it was."""

    planned_ns: int
    last_ns: int = 0
    mean_ns: float = 0.0
    rounds: int = 0

    def took(self, ns: int) -> None:
        """Another round."""
        self.last_ns = ns
        self.rounds += 1
        self.mean_ns += (ns - self.mean_ns) / 16 if self.mean_ns else ns


class Lane:
    """The reads of one link."""

    def __init__(self, plan: LinkPlan, link: BusLink, image: Image, clock: Clock) -> None:
        self.plan = plan
        self.link = link
        self.units: dict[str, Unit] = {}
        self.identities: dict[str, Identity] = {}
        self.until_ns = 0
        self.fast_done = asyncio.Event()
        self.fast_done.set()
        self.sweeps = 0
        self.pace = Pace(plan.fast_ns)
        self._go = asyncio.Event()
        self._clock = clock

        usual: dict[str, list[Span]] = {}
        for planned in (*plan.fast, *plan.slow, *plan.counters):
            usual.setdefault(planned.device.name, []).append(planned.block.span)

        def read_of(planned: PlannedRead) -> Read:
            device = planned.device
            name = device.name
            if name not in self.units:
                unit = Unit(device, planned.map, link, clock, usual[name])
                self.units[name] = unit
                self.identities[name] = Identity(unit, link, clock)
            return Read(planned, self.units[name], image)

        self._fast = [read_of(planned) for planned in plan.fast]
        self._slow = [read_of(planned) for planned in plan.slow]
        self._counters = deque(read_of(planned) for planned in plan.counters)
        self.reads = [*self._fast, *self._slow, *self._counters]  # everything on this link
        self._checks = deque(i for i in self.identities.values() if i.ways)
        self._pending: list[Read] = []  # of this sweep
        self._sweep_ns = 0  # the next sweep begins no earlier
        self._losses = 0  # of all units, when the order was changed last
        # A line is asked one thing after the other; units behind one host side by side.
        by_unit: dict[str, list[Read]] = {}
        for fast in self._fast:
            key = "" if plan.link.rtu else fast.planned.device.name
            by_unit.setdefault(key, []).append(fast)
        self._by_unit = list(by_unit.values())
        self._relays = {
            read.planned.device.name: read
            for read in self._slow
            if read.planned.map.relay is not None
        }

    def begin(self, until_ns: int) -> None:
        """Start a cycle: the fast lane now, slow reads until `until_ns`."""
        self.until_ns = until_ns
        if self.fast_done.is_set() and self._fast:
            self.fast_done.clear()
        self._go.set()

    async def run(self) -> None:
        """The lane's task."""
        while True:
            await self._go.wait()
            self._go.clear()
            begin_ns = self._clock.now_ns()
            if len(self._by_unit) == 1:  # most links: no task of its own is needed
                await self._try_all(self._by_unit[0])
            else:
                await asyncio.gather(*(self._try_all(reads) for reads in self._by_unit))
            self.fast_done.set()
            took_ns = self._clock.now_ns() - begin_ns
            self.pace.took(took_ns)
            self._vary()
            await self._slice(took_ns // SLOW_DIVISOR)

    def _vary(self) -> None:
        """After a loss somebody else follows next time."""
        losses = sum(unit.timeouts + unit.bad for unit in self.units.values())
        if losses != self._losses:
            self._losses = losses
            for reads in self._by_unit:
                reads.append(reads.pop(0))
            if self._slow:
                self._slow.append(self._slow.pop(0))

    async def _try_all(self, reads: list[Read]) -> None:
        """Ask each of them once. Who may not be asked yet, or was busy, comes last."""
        again = []
        for read in list(reads):
            if self._rests_ns(read) > self._clock.now_ns() or await self._try(read, Turn.FAST):
                again.append(read)
        for read in again:
            at_ns = self._rests_ns(read)
            if at_ns < self.until_ns - GUARD_NS:
                await self._clock.sleep_until(at_ns)
                await self._try(read, Turn.FAST)

    def _rests_ns(self, read: Read) -> int:
        """Until when it may not be asked."""
        at_ns = max(read.unit.rest_ns, read.rest_ns)
        return max(at_ns, self.link.when(read.ways))

    async def verify(self, device: str) -> None:
        """Read a relay board back now, after a write to it. Raises FieldError."""
        read = self._relays.get(device)
        if read is not None:
            await self._ask(read, Turn.WRITE)

    async def _slice(self, least_ns: int) -> None:
        """Slow reads: at least one, or for `least_ns`; then until the next cycle."""
        begin_ns, asked = self._clock.now_ns(), 0
        while True:
            now_ns = self._clock.now_ns()
            due = self._go.is_set()
            if due and asked and now_ns - begin_ns >= least_ns:
                return
            read, at_ns = self._first_free(now_ns)
            if read is None and now_ns >= self._sweep_ns:
                self._begin_sweep(now_ns)
                await self._check()
                now_ns = self._clock.now_ns()
                read, at_ns = self._first_free(now_ns)
            if read is None:
                if due or at_ns >= self.until_ns:
                    return
                await self._clock.sleep_until(at_ns)
                continue
            need_ns = read.planned.wire_ns
            if read.unit.misses:
                need_ns += int(read.unit.patience.wait_ms * NS_PER_MS)
            # What no cycle has room for still gets its turn, at the cost of one timeout.
            if asked and not due and now_ns + need_ns + GUARD_NS > self.until_ns:
                return
            asked += 1
            self._pending.remove(read)
            await self._try(read, Turn.SLOW)

    def _begin_sweep(self, now_ns: int) -> None:
        """Everybody once more; who still waits for its turn comes first."""
        self.sweeps += 1
        wanted = list(self._slow)
        if self._counters:  # one read of them ends each sweep
            wanted.append(self._counters[0])
            self._counters.rotate(-1)
        if self._checks:  # and one look at who answers
            self._checks[0].due = True
            self._checks.rotate(-1)
        self._pending += [read for read in wanted if read not in self._pending]
        # Half the time it may take is left for lost replies and for writes.
        self._sweep_ns = max(self._sweep_ns + self.plan.sweep_due_ns // 2, now_ns)

    async def _check(self) -> None:
        """Look at who answers while nothing else is asked. What fails, or has not answered just
        now and would keep the others waiting, is looked at before its next read.
        """
        for device, identity in self.identities.items():
            if identity.due and identity.wanted and not self.units[device].misses:
                with suppress(FieldError):  # counted on the unit
                    await identity.look(Turn.SLOW)

    def _first_free(self, now_ns: int) -> tuple[Read | None, int]:
        """The first that may be asked now, else None and when the next one may, or the next sweep
        begins. What is dead or refused loses its turn.
        """
        soonest_ns = max(self._sweep_ns, now_ns)
        for read in list(self._pending):
            at_ns = self._rests_ns(read)
            if at_ns <= now_ns:
                return read, now_ns
            rests = max(read.unit.rest_ns, read.rest_ns) > now_ns
            if rests and (read.unit.dead or read.refused):
                self._pending.remove(read)
            else:
                soonest_ns = min(soonest_ns, at_ns)
        if not self._slow and not self._counters:
            soonest_ns = self.until_ns
        return None, soonest_ns

    async def _try(self, read: Read, turn: Turn) -> bool:
        """Ask, unless it rests. True when it asked for a moment of patience."""
        if self._clock.now_ns() < max(read.unit.rest_ns, read.rest_ns):
            return False
        try:
            await self._ask(read, turn)
        except DeviceRefused as refusal:
            return refusal.code in BUSY_CODES and read.unit.busy > 0
        except FieldError:
            pass  # counted on the unit; the slots it fills grow old
        return False

    async def _ask(self, read: Read, turn: Turn) -> None:
        unit, identity = read.unit, self.identities[read.planned.device.name]
        if not unit.based:
            await self._find_base(read, turn)
        if identity.wanted:
            await identity.look(turn)
        try:
            answer = await unit.ask(read.ways, turn, read.sync)
        except DeviceRefused as refusal:
            if refusal.code not in BUSY_CODES and refusal.code not in UNREACHED:
                read.refuse(refusal, self._clock.now_ns())
            raise
        unit.answered(answer, self.plan.wire)
        read.answered(answer.question.pdu)
        taken = not (identity.stranger or identity.unsure)
        identity.answers_else()  # what it decides holds from the next reading on
        if not taken:
            return
        shift = read.shifts[answer.question.pdu]
        read.into.store(answer.values[shift:] if shift else answer.values, answer.sampled_ns)

    async def _find_base(self, read: Read, turn: Turn) -> None:
        unit, known = read.unit, read.planned.map
        wanted = known.sunspec_models
        steps = walk(known.sunspec_bases or BASES)
        words: list[int] | None = None
        try:
            span = next(steps)
            while True:
                try:
                    words = (await unit.ask(unit.ways((Span("holding", *span),)), turn)).values
                except DeviceRefused:
                    words = None
                span = steps.send(words)
        except StopIteration as end:
            for model in end.value:
                if model.id in wanted:
                    await self._check_base(unit, model, turn)
                    unit.base = model.address
                    unit.room = min(2 + model.length, 0x10000 - model.address)
                    unit.based = True
                    for mine in self.reads:
                        if mine.unit is unit:
                            mine.aim()
                    return
        raise unit.lacks(f"it has no SunSpec model {wanted[0]} to {wanted[-1]}")

    async def _check_base(self, unit: Unit, model: Model, turn: Turn) -> None:
        """Read the model's head once more in another length: all questions of the walk look alike,
        and a gateway that has lost step leads it astray. Raises FieldError.
        """
        span = Span("holding", model.address, HEAD_AND_ONE)
        words = (await unit.ask(unit.ways((span,)), turn)).values
        if (words[0], words[1]) != (model.id, model.length):
            raise unit.lacks(f"its SunSpec model {model.id} was not found twice at one place")
