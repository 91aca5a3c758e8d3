"""What a reply looks like from outside, and the ways to ask for the same thing in another shape.

A late, repeated or shifted reply can pass for the answer only where it looks like it: same
function, same length. So each read has several ways to be asked, of which one is taken whose shape
was not asked lately (field/sequence.py).

Rules
- A way covers the read, is no longer than the map allows and touches only what may be read.
- Bits come in whole bytes: a bit more does not show in the reply's length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from panelctl.modbus.maps import Point, RegisterMap
from panelctl.units import NS_PER_MS

BITS = ("coil", "discrete")
SHAPES_LEAST = 3  # so many shapes take turns unpredictably
SHIFT_MOST = 4  # so many questions before is a shifted gateway's reply for
REPEAT_NS = 80 * NS_PER_MS  # a reply that is sent once more comes within so long
MOST_WAYS = 8
NEIGHBOURS = 12  # points on each side that a longer read may reach to


@dataclass(frozen=True, slots=True)
class Span:
    """A read of `count` registers (or bits) of `table` from `address`."""

    table: str
    address: int
    count: int

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.address + self.count


def reply_shape(span: Span) -> tuple[str, int]:
    """What tells two replies of one unit apart: the table and the bytes of data."""
    return span.table, (span.count + 7) // 8 if span.table in BITS else 2 * span.count


def aligned(device: RegisterMap, start: int, end: int) -> tuple[int, int]:
    """The least read around `start` to before `end`, in the steps that the device reads in."""
    return start - start % device.align, end + -end % device.align


def readable(device: RegisterMap, table: str, start: int, end: int) -> bool:
    """Whether a single read may go from `start` to before `end`: barriers, gaps, length."""
    if end - start > device.max_registers:
        return False
    if any(start < barrier < end for barrier in device.barriers):
        return False
    if device.reads_gaps:
        return True
    named = {
        address
        for point in device.points.values()
        if point.table == table and point.address < end and point.end > start
        for address in range(point.address, point.end)
    }
    return named.issuperset(range(start, end))


def ways(device: RegisterMap, span: Span) -> tuple[Span, ...]:
    """Reads that cover `span`, each of another shape; `span` itself first, then by length."""
    found = {reply_shape(span): span}
    longer = sorted(_longer(device, span), key=lambda other: (other.count, other.address))
    for other in longer:
        if len(found) < MOST_WAYS:
            found.setdefault(reply_shape(other), other)
    return tuple(found.values())


def _longer(device: RegisterMap, span: Span) -> Iterator[Span]:
    """Longer reads from one point's first register to another's last."""
    points = [p for p in device.points.values() if p.table == span.table and not _alone(device, p)]
    before = sorted({p.address for p in points if p.address < span.address}, reverse=True)
    behind = sorted({p.end for p in points if p.end > span.end})
    for first in (span.address, *before[:NEIGHBOURS]):
        for last in (span.end, *behind[:NEIGHBOURS]):
            start, end = aligned(device, first, last)
            if readable(device, span.table, start, end):
                yield Span(span.table, start, end - start)


def _alone(device: RegisterMap, point: Point) -> bool:
    return point.address in device.isolated and point.count == 1


def other_shapes(
    device: RegisterMap, asked: Sequence[Span], usual: Sequence[Span] = ()
) -> tuple[Span, ...]:
    """Harmless reads, at most two and of two shapes, whose replies look like none of `asked`.

    What answers one of them in turn has nothing older left to say. Empty where the device has no
    such read: then only the wait for what is late keeps its replies apart. `usual` is what the
    device is asked anyway: of a shape that is among these, that very read is taken, so that its
    reply, however late, says the same as the one that it could be taken for.
    """
    board = device.relay
    spans = [_whole(device, point) for point in device.points.values()]
    if board is not None and board.close is None:
        spans.insert(0, Span("coil", board.coil, board.outputs))
    taken = {reply_shape(span) for span in asked}
    own = {reply_shape(span): span for span in usual}
    found: dict[tuple[str, int], Span] = {}
    for span in spans:
        shape = reply_shape(span)
        if shape not in taken and len(found) < 2:
            found.setdefault(shape, own.get(shape, span))
    return tuple(found.values())


def _whole(device: RegisterMap, point: Point) -> Span:
    start, end = aligned(device, point.address, point.end)
    return Span(point.table, start, end - start)
