"""Read planning: the fewest, shortest reads for a set of points, inside the device's rules.

Rules
- A block starts at a point and ends at a point's last register, so a read never ends on a register
  the device does not have.
- A block reaches across registers that the map does not name only where the map says the device
  reads gaps.
- A block never spans a barrier; an isolated register is only ever read alone, and a block that
  merely contains its address as part of a wider value is not a read of it.
- Two consecutive questions to one RTU unit should differ in length, because RTU replies carry no
  number: each block therefore has, where the map allows it, a longer or shorter twin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from panelctl.errors import ConfigError, Problem
from panelctl.modbus.maps import Point, RegisterMap
from panelctl.modbus.wire import Wire

BITS = ("coil", "discrete")


@dataclass(frozen=True, slots=True)
class Span:
    """A read of `count` registers (or bits) of `table` from `address`."""

    table: str
    address: int
    count: int


@dataclass(frozen=True, slots=True)
class Block:
    """One planned read for these points; `twin`, if any, covers them with another length."""

    span: Span
    points: tuple[Point, ...]
    twin: Span | None = None


def _reach(device: RegisterMap, points: Sequence[Point]) -> tuple[int, int]:
    """Where a read of these points starts and ends, in the steps that the device reads in."""
    start, end = points[0].address, max(point.end for point in points)
    return start - start % device.align, end + -end % device.align


def _allowed(device: RegisterMap, points: Sequence[Point]) -> bool:
    start, end = _reach(device, points)
    if end - start > device.max_registers and len(points) > 1:
        return False
    if any(start < barrier < end for barrier in device.barriers):
        return False
    alone = any(p.address in device.isolated and p.count == 1 for p in points)
    return not (alone and len(points) > 1) and _known(device, points[0].table, start, end)


def _known(device: RegisterMap, table: str, start: int, end: int) -> bool:
    """Whether every register from `start` to before `end` may be part of one read."""
    if device.reads_gaps:
        return True
    named = {
        address
        for point in device.points.values()
        if point.table == table and point.address < end and point.end > start
        for address in range(point.address, point.end)
    }
    return named.issuperset(range(start, end))


def _twin(device: RegisterMap, span: Span) -> Span | None:
    """The least longer read that covers `span`: up to the next point, or from the one before."""
    if span.table in BITS:
        return None  # bits come in whole bytes: one more would not show in the reply's length
    start, end = span.address, span.address + span.count
    choices = []
    for point in device.points.values():
        first, last = min(start, point.address), max(end, point.end)
        first, last = first - first % device.align, last + -last % device.align
        if (
            point.table == span.table
            and end - start < last - first <= device.max_registers
            and not (point.address in device.isolated and point.count == 1)
            and not any(first < barrier < last for barrier in device.barriers)
            and _known(device, span.table, first, last)
        ):
            choices.append((last - first, first))
    if not choices:
        return None
    count, first = min(choices)
    return Span(span.table, first, count)


def reply_shape(span: Span) -> tuple[str, int]:
    """What tells two replies of one unit apart: the table and the bytes of data."""
    return span.table, (span.count + 7) // 8 if span.table in BITS else 2 * span.count


def resync_span(device: RegisterMap, unlike: Span) -> Span | None:
    """A harmless read whose reply cannot be mistaken for a late reply to `unlike`; None where the
    device has none: then only the wait for what is late keeps them apart.
    """
    board = device.relay
    if board is not None and board.close is None and unlike.table != "coil":
        return Span("coil", board.coil, board.outputs)
    for point in device.points.values():
        start, end = _reach(device, [point])
        span = Span(point.table, start, end - start)
        if reply_shape(span) != reply_shape(unlike):
            return span
    return None


def plan_blocks(device: RegisterMap, names: Sequence[str], wire: Wire) -> list[Block]:
    """The cheapest set of reads that covers the named points (and the scales they need).

    Exact: the points are laid out by address and cut where that saves wire time (dynamic
    programming over the cuts). Raises ConfigError when a point is unknown, longer than a read, or
    not to be read by the device's own rules.
    """
    wanted: dict[str, Point] = {}
    for name in names:
        point = device.points.get(name)
        if point is None:
            raise ConfigError(device.id, [Problem("point", name, "is not a point of this map")])
        wanted[name] = point
        if point.scale_point is not None:
            wanted[point.scale_point] = device.points[point.scale_point]
    # The pause that a device needs after each answer is a part of what a read costs.
    turnround_ns = int((device.turnround_ms + device.gap_ms) * 1e6)
    blocks: list[Block] = []
    for table in ("holding", "input", "coil", "discrete"):
        points = sorted((p for p in wanted.values() if p.table == table), key=lambda p: p.address)
        if points:
            blocks += _cut(device, table, points, wire, turnround_ns)
    return blocks


def _cut(
    device: RegisterMap, table: str, points: list[Point], wire: Wire, turnround_ns: int
) -> list[Block]:
    best: list[tuple[int, int]] = [(0, 0)]  # for the first k points: wire time, start of last block
    for k in range(1, len(points) + 1):
        choice: tuple[int, int] | None = None
        for j in range(k - 1, -1, -1):
            if not _allowed(device, points[j:k]):
                break
            start, end = _reach(device, points[j:k])
            cost = best[j][0] + wire.read_ns(table, end - start, turnround_ns)
            if choice is None or cost < choice[0]:
                choice = (cost, j)
        if choice is None:
            remedy = "cannot be read by itself: `align`, `barriers` and `reads_gaps` forbid it"
            raise ConfigError(device.id, [Problem(f"point.{points[k - 1].name}", "", remedy)])
        best.append(choice)
    blocks: list[Block] = []
    k = len(points)
    while k > 0:
        j = best[k][1]
        start, end = _reach(device, points[j:k])
        if end - start > device.max_registers:
            problem = Problem(points[j].name, str(end - start), "is longer than one read may be")
            raise ConfigError(device.id, [problem])
        span = Span(table, start, end - start)
        blocks.append(Block(span, tuple(points[j:k]), _twin(device, span)))
        k = j
    return blocks[::-1]
