"""Meters into the image: the fast lane in every cycle, the slow lane in the time that is left.

Rules
- Every link has one lane, a task of its own; lanes run side by side and never wait for each other.
- A reply that did not come parks its unit for the unit's late window. The first question after
  that has another shape than the lost one, so that a reply that is later still cannot pass for the
  answer. The line itself waits only for silence and goes on with the other units.
- A unit that misses three times is dead: it leaves the fast lane and is probed with a backoff.
- A reading outside what its quantity can be is marked, never stored; a missing one just ages.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass

from panelctl.clock import Clock
from panelctl.core.image import Image
from panelctl.errors import BadReply, DeviceRefused, FieldError, LinkDown, ReplyTimeout
from panelctl.field.bus import Answer, BusLink, Turn
from panelctl.field.frames import read_question
from panelctl.field.tasks import Tasks
from panelctl.modbus.busplan import LinkPlan, PlannedRead
from panelctl.modbus.fields import Block, Field
from panelctl.modbus.plan import Span, resync_span
from panelctl.modbus.sunspec import BASES, walk
from panelctl.model.panel import Device
from panelctl.units import NS_PER_MS

DEAD_AFTER = 3
PROBE_FIRST_NS = 200 * NS_PER_MS
PROBE_MOST_NS = 600 * NS_PER_MS  # so that whoever comes back is heard within a second
BUSY_CODES = (5, 6)  # acknowledge (it is at it), busy
BUSY_NS = 25 * NS_PER_MS
BUSY_MOST = 20  # so often it is believed
GUARD_NS = 2 * NS_PER_MS  # a slow read ends this long before the next cycle begins


@dataclass(slots=True)
class Unit:
    """What the scanner knows of one device at this moment."""

    device: Device
    misses: int = 0
    busy: int = 0  # times running that it asked for patience
    parked_ns: int = 0  # not to be asked before
    probe_ns: int = PROBE_FIRST_NS
    lost: Span | None = None  # the question whose reply may still come
    asked: Span | None = None  # the last question
    base: int = 0  # where its model starts, for a SunSpec device,
    room: int = 0x10000  # and how many registers it has from there
    based: bool = True
    good: int = 0
    timeouts: int = 0
    bad: int = 0
    refused: int = 0

    @property
    def dead(self) -> bool:
        """Whether it has stopped answering."""
        return self.misses >= DEAD_AFTER


class _Read:
    """One planned read of a unit, and the part of the image that it fills."""

    def __init__(self, planned: PlannedRead, unit: Unit, image: Image) -> None:
        self.planned = planned
        self.unit = unit
        block = planned.block
        by_name = {point.name: point for point in block.points}
        fields = []
        for index, slot in planned.slots:
            point = by_name[slot.source.point]
            scale_at = -1
            if point.scale_point is not None:
                scale_at = by_name[point.scale_point].address - block.span.address
            inverted = planned.device.inverted and slot.unit in ("ma", "w")
            offset = point.address - block.span.address
            fields.append(
                Field(point, offset, slot.unit, index, slot.least, slot.most, scale_at, inverted)
            )
        self.into = Block(fields, image.next_value, image.next_quality, image.next_sampled_ns)


class Lane:
    """The reads of one link."""

    def __init__(self, plan: LinkPlan, link: BusLink, image: Image, clock: Clock) -> None:
        self.plan = plan
        self.link = link
        self.units: dict[str, Unit] = {}
        self.until_ns = 0
        self.fast_done = asyncio.Event()
        self.fast_done.set()
        self.sweeps = 0
        self._go = asyncio.Event()
        self._clock = clock
        self._rtu = plan.link.kind == "rtu"

        def read_of(planned: PlannedRead) -> _Read:
            unit = self.units.setdefault(planned.device.name, Unit(planned.device))
            unit.based = not planned.map.sunspec_models
            return _Read(planned, unit, image)

        self._fast = [read_of(planned) for planned in plan.fast]
        self._slow = [read_of(planned) for planned in plan.slow]
        self._counters = deque(read_of(planned) for planned in plan.counters)
        self._next = 0
        self._sweep_ns = 0  # the next sweep begins no earlier
        # A line is asked one thing after the other; units behind one host side by side.
        by_unit: dict[str, list[_Read]] = {}
        for fast in self._fast:
            key = "" if self._rtu else fast.planned.device.name
            by_unit.setdefault(key, []).append(fast)
        self._apart = list(by_unit.values())
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
            if len(self._apart) == 1:  # most links: no task of its own is needed
                await self._try_all(self._apart[0])
            else:
                await asyncio.gather(*(self._try_all(reads) for reads in self._apart))
            self.fast_done.set()
            await self._slice()

    async def _try_all(self, reads: list[_Read]) -> None:
        again = []
        for read in reads:
            if await self._try(read, Turn.FAST):
                again.append(read)
        for read in again:
            await self._clock.sleep_until(read.unit.parked_ns)
            await self._try(read, Turn.FAST)

    async def verify(self, device: str) -> None:
        """Read a relay board back now, after a write to it. Raises FieldError."""
        read = self._relays.get(device)
        if read is not None:
            await self._ask(read, Turn.WRITE)

    async def _slice(self) -> None:
        asked = 0
        places = len(self._slow) + bool(self._counters)
        for _ in range(places):
            if self._go.is_set() or self._clock.now_ns() < self._sweep_ns:
                return
            read = self._slow[self._next] if self._next < len(self._slow) else self._counters[0]
            unit = read.unit
            now_ns = self._clock.now_ns()
            if unit.parked_ns <= now_ns:
                need_ns = read.planned.wire_ns
                if unit.misses:
                    need_ns += unit.device.timeout_ms * NS_PER_MS
                # What no cycle has room for still gets its turn, at the cost of one timeout.
                if asked and now_ns + need_ns + GUARD_NS > self.until_ns:
                    return
                asked += 1
                await self._try(read, Turn.SLOW)
            self._next += 1
            if self._next == places:
                self._next = 0
                self._counters.rotate(-1)  # one read of them ends each sweep
                self.sweeps += 1
                # Half the time it may take is left for lost replies and for writes.
                self._sweep_ns = max(self._sweep_ns + self.plan.sweep_due_ns // 2, now_ns)

    async def _try(self, read: _Read, turn: Turn) -> bool:
        """Ask, unless the unit is parked. True when it asked for a moment of patience."""
        if self._clock.now_ns() < read.unit.parked_ns:
            return False
        try:
            await self._ask(read, turn)
        except DeviceRefused as refusal:
            return refusal.code in BUSY_CODES and read.unit.busy > 0
        except FieldError:
            pass  # counted on the unit; the slots it fills grow old
        return False

    async def _ask(self, read: _Read, turn: Turn) -> None:
        unit, block = read.unit, read.planned.block
        try:
            if unit.lost is not None:
                await self._resync(read, unit, turn)
            if not unit.based:
                await self._find_base(read, unit, turn)
            span, last = block.span, unit.asked
            if self._rtu and block.twin and last and span.count == last.count:
                span = block.twin
            answer = await self._send(unit, span, turn)
        except ReplyTimeout:
            unit.timeouts += 1
            self._missed(unit)
            raise
        except BadReply:
            unit.bad += 1
            self._missed(unit)
            raise
        except DeviceRefused as refusal:
            unit.refused += 1
            if refusal.code in BUSY_CODES and unit.busy < BUSY_MOST:
                # It is there and will answer: soon again, without a word about its health.
                unit.busy += 1
                unit.parked_ns = self._clock.now_ns() + BUSY_NS
                raise
            unit.misses = min(unit.misses + 1, DEAD_AFTER)
            unit.parked_ns = self._clock.now_ns() + self._backoff(unit)
            raise
        except LinkDown:
            unit.misses = min(unit.misses + 1, DEAD_AFTER)
            raise
        unit.good += 1
        unit.misses = unit.busy = 0
        unit.probe_ns = PROBE_FIRST_NS
        shift = block.span.address - span.address
        read.into.store(answer.values[shift:] if shift else answer.values, answer.sampled_ns)

    async def _send(self, unit: Unit, span: Span, turn: Turn) -> Answer:
        unit.asked = span
        if unit.based and span.address + span.count > unit.room:
            raise BadReply(f"{unit.device.name}: its SunSpec model ends before this point")
        question = read_question(unit.device.unit, span.table, unit.base + span.address, span.count)
        try:
            return await self.link.ask(question, unit.device.timeout_ms, turn)
        except (ReplyTimeout, BadReply):
            if self._rtu:
                unit.lost = span  # not what was asked last: another question may wait for its turn
            raise

    async def _resync(self, read: _Read, unit: Unit, turn: Turn) -> None:
        """Ask something whose reply cannot be mistaken for the lost one; then all is in step."""
        assert unit.lost is not None
        span = resync_span(read.planned.map, unit.lost)
        if span is not None:
            with suppress(DeviceRefused):  # a refusal is an answer too
                await self._send(unit, span, turn)
        unit.lost = None

    async def _find_base(self, read: _Read, unit: Unit, turn: Turn) -> None:
        steps = walk(read.planned.map.sunspec_bases or BASES)
        words: list[int] | None = None
        wanted = read.planned.map.sunspec_models
        try:
            span = next(steps)
            while True:
                try:
                    question = Span("holding", *span)
                    words = (await self._send(unit, question, turn)).values
                except DeviceRefused:
                    words = None
                span = steps.send(words)
        except StopIteration as end:
            for model in end.value:
                if model.id in wanted:
                    unit.base = model.address
                    unit.room = min(2 + model.length, 0x10000 - model.address)
                    unit.based = True
                    return
        raise BadReply(f"{unit.device.name} has no SunSpec model {wanted[0]} to {wanted[-1]}")

    def _missed(self, unit: Unit) -> None:
        unit.misses = min(unit.misses + 1, DEAD_AFTER)
        wait_ns = unit.device.late_ms * NS_PER_MS if self._rtu else 0
        if unit.dead:
            wait_ns = max(wait_ns, self._backoff(unit))
        unit.parked_ns = self._clock.now_ns() + wait_ns

    def _backoff(self, unit: Unit) -> int:
        wait_ns = unit.probe_ns
        unit.probe_ns = min(2 * unit.probe_ns, PROBE_MOST_NS)
        return wait_ns


class Scanner:
    """All lanes of a panel."""

    def __init__(
        self, plans: list[LinkPlan], links: dict[str, BusLink], image: Image, clock: Clock
    ) -> None:
        self.lanes = {
            plan.link.name: Lane(plan, links[plan.link.name], image, clock) for plan in plans
        }
        self._quick = [lane for lane in self.lanes.values() if lane.plan.fast]
        self._units = {name: u for lane in self.lanes.values() for name, u in lane.units.items()}
        self._tasks = Tasks()

    def start(self) -> None:
        """Start one task a lane."""
        for name, lane in self.lanes.items():
            self._tasks.start(lane.run(), f"lane {name}")

    async def stop(self) -> None:
        """Stop the lanes, whatever they were doing."""
        await self._tasks.stop()

    async def read_fast(self, patience_s: float, until_ns: int) -> bool:
        """Read the fast lane of every link; False when some link took longer than `patience_s`.

        Such a link goes on by itself and joins again when it is through; the others are not held.
        """
        for lane in self.lanes.values():
            lane.begin(until_ns)
        try:
            async with asyncio.timeout(patience_s):
                for lane in self._quick:
                    await lane.fast_done.wait()
        except TimeoutError:
            return False
        return True

    def units(self) -> dict[str, Unit]:
        """Every unit by device name."""
        return self._units

    def lane_of(self, device: str) -> Lane | None:
        """The lane that reads a device, if any reads it."""
        return next((lane for lane in self.lanes.values() if device in lane.units), None)

    def failed(self) -> BaseException | None:
        """The error that ended a lane's task, if one ended: a bug, not a fault of the field."""
        return self._tasks.failed
