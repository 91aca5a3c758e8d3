"""A set-point on the wire: the questions that write it and read it back, and who asks the latter.

Reading back waits for its turn behind everything else on a link, in a task of its own: no write
waits for it, and it is started when the fast lane is through.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from panelctl.clock import Clock
from panelctl.errors import FieldError
from panelctl.field.bus import Answer, BusLink, Turn
from panelctl.field.frames import (
    Question,
    read_question,
    write_coil_question,
    write_register_question,
    write_registers_question,
)
from panelctl.field.scan import Scanner
from panelctl.field.setpoints import SetpointWatch
from panelctl.modbus.codec import decode_value
from panelctl.modbus.maps import Point, RegisterMap
from panelctl.modbus.shapes import Span, aligned, other_shapes, ways
from panelctl.model.panel import Device


def setpoint_question(unit: int, known: RegisterMap, words: list[int]) -> Question:
    """The write of a set-point, by the function that the device takes."""
    setpoint = known.setpoint
    assert setpoint is not None
    if setpoint.function == 6:
        return write_register_question(unit, setpoint.point.address, words[0])
    return write_registers_question(unit, setpoint.point.address, words)


def pause_question(unit: int, known: RegisterMap, word: int) -> Question:
    """The write that stops a load or lets it run, where it has a register or coil for that."""
    pause = known.pause
    assert pause is not None
    if pause.table == "coil":
        return write_coil_question(unit, pause.address, word != 0)
    if pause.function == 6:
        return write_register_question(unit, pause.address, word)
    return write_registers_question(unit, pause.address, [word])


@dataclass(frozen=True, slots=True)
class ReadBack:
    """How a device is asked what it was told; `ways` and `sync` as a link takes them (bus.py)."""

    point: Point
    ways: tuple[Question, ...]
    sync: tuple[Question, ...]
    shifts: dict[bytes, int]  # by question: where the point begins in its reply

    def value(self, answer: Answer) -> float | None:
        """What it was told, in the map's unit; None where it says that it does not know."""
        shift = self.shifts[answer.question.pdu]
        value = decode_value(self.point, answer.values[shift : shift + self.point.count])
        return None if value is None else float(value)


def read_back(known: RegisterMap, unit: int, usual: Sequence[Span] = ()) -> ReadBack | None:
    """How a device of this map is asked, None where it shows its set-point nowhere. `usual` is what
    it is asked besides.
    """
    setpoint = known.setpoint
    if setpoint is None or setpoint.readback is None:
        return None
    point = setpoint.readback
    start, end = aligned(known, point.address, point.end)
    spans = ways(known, Span(point.table, start, end - start))

    def questions(of: tuple[Span, ...]) -> tuple[Question, ...]:
        return tuple(read_question(unit, span.table, span.address, span.count) for span in of)

    asked = questions(spans)
    shifts = {q.pdu: point.address - s.address for q, s in zip(asked, spans, strict=True)}
    return ReadBack(point, asked, questions(other_shapes(known, spans, usual)), shifts)


class Reader:
    """Who reads a device's set-point back."""

    def __init__(
        self,
        device: Device,
        back: ReadBack,
        link: BusLink,
        scanner: Scanner,
        watch: SetpointWatch,
        clock: Clock,
    ) -> None:
        self._device = device
        self._back = back
        self._link = link
        self._scanner = scanner
        self._watch = watch
        self._clock = clock
        self._opened = 0  # how often the link had been opened when it was asked last
        self._look = asyncio.Event()

    def look(self, now_ns: int) -> None:
        """Ask, if it is time to, or if the link was opened anew."""
        due_ns, opened = self._watch.read_ns, self._link.counts.reopened
        if due_ns and (now_ns >= due_ns or opened != self._opened):
            self._opened = opened
            self._look.set()

    async def run(self, heard: Callable[[float, int], None]) -> None:
        """Its task. `heard` is told each value, and when it was asked for, ns."""
        device, watch, clock = self._device, self._watch, self._clock
        while True:
            await self._look.wait()
            self._look.clear()
            watch.asked(clock.now_ns())
            unit = self._scanner.units().get(device.name)
            if unit is not None and unit.misses:
                watch.silent()  # its lane seeks it
                continue
            if not self._scanner.trusts(device.name):
                continue  # a stranger's is not ours
            try:
                answer = await self._link.ask(
                    self._back.ways, device.timeout_ms, Turn.SLOW, self._back.sync
                )
            except FieldError:
                watch.missed(clock.now_ns())
                continue
            value = self._back.value(answer)
            if value is not None:
                heard(value, answer.sampled_ns)
