"""Read planning: the fewest, shortest reads for a set of points, inside the device's rules.

Rules
- A block starts at a point and ends at a point's last register, so a read never ends on a register
  the device does not have.
- A block reaches across registers that the map does not name only where the map says the device
  reads gaps.
- A block never spans a barrier; an isolated register is only ever read alone, and a block that
  merely contains its address as part of a wider value is not a read of it.
- A reply carries no word of what was asked: each block therefore has, where the map allows it,
  other ways to be asked, whose replies are of another length (shapes.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from panelctl.errors import ConfigError, Problem
from panelctl.modbus.maps import Point, RegisterMap
from panelctl.modbus.shapes import Span, aligned, readable, ways
from panelctl.modbus.wire import Wire
from panelctl.units import NS_PER_MS


@dataclass(frozen=True, slots=True)
class Block:
    """One planned read for these points, and the `ways` to ask for it: `span`, then longer ones."""

    span: Span
    points: tuple[Point, ...]
    ways: tuple[Span, ...]


def _reach(device: RegisterMap, points: Sequence[Point]) -> tuple[int, int]:
    """Where a read of these points starts and ends, in the steps that the device reads in."""
    return aligned(device, points[0].address, max(point.end for point in points))


def _allowed(device: RegisterMap, points: Sequence[Point]) -> bool:
    start, end = _reach(device, points)
    if end - start > device.max_registers and len(points) == 1:
        return True  # told as a problem of its own
    alone = any(p.address in device.isolated and p.count == 1 for p in points)
    return not (alone and len(points) > 1) and readable(device, points[0].table, start, end)


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
    turnround_ns = int((device.turnround_ms + device.gap_ms) * NS_PER_MS)
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
        blocks.append(Block(span, tuple(points[j:k]), ways(device, span)))
        k = j
    return blocks[::-1]
