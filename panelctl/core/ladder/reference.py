"""The ladder: what a problem of allocation is, and its exact solution written to be read.

ext/panelctl/core/_ladder.pyx does the same in Cython, equal to the bit.

A load is a list of segments, each on a tier. A segment is discrete (all or nothing) or continuous
(0 to its size), and may have a predecessor that has to be served in full first: a charger is a
discrete floor and a continuous rest, which may stand on a later tier. A segment takes
`coefficient * mA` from each row that it touches; a row is anything that has room: a leg, a feeder,
a branch, the total import, an inverter, a heat sink.

Rules
- Coefficients are whole and not negative, so whatever fits still fits when something is left out
  (free disposal). Every proof in tests/proofs rests on this.
- Tiers are served in order: none is short so that a later one is served.
- Inside a tier discrete segments come first. Of strict rank: one after the other, whatever fits.
  Of equal rank: the most value served, then the fewest relays moved, by a search of bounded length.
- Then the continuous ones rise together, each in proportion to its weight, until a row or their
  size binds (weighted max-min fairness by water-filling).
- A row without room blocks only the segments that touch it.
- Integers only, and every range is in RANGES: no sum can leave int64.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

MAX_SEGMENTS: Final = 256
MAX_ROWS: Final = 32
MAX_ENTRIES: Final = 8 * MAX_SEGMENTS  # pairs of a segment and a row that it touches
MAX_NODES: Final = 4096  # decisions that one search of a tier may take

# What each number may be. With these and 2^8 segments the largest sums are: a row's use
# 2^8 * 2^34 = 2^42 mA, in level bits 2^58; a search's worth 2^8 * 2^40 * 2^10 = 2^58.
RANGES: Final = {
    "tier": (0, 1 << 16),
    "size_ma": (0, 1 << 24),
    "weight": (1, 1 << 10),
    "value": (0, 1 << 40),
    "coefficient": (0, 1 << 27),
    "coefficient * size_ma": (0, 1 << 34),
    "coefficient * weight of a continuous segment": (0, 1 << 20),
    "room_ma": (-(1 << 42), 1 << 40),
}

# A level is how many mA per unit of weight have been given, with so many binary places.
LEVEL_BITS: Final = 16
TOP_LEVEL: Final = 1 << 41  # above the level of any segment: (2^24 << LEVEL_BITS) + 1
SWITCH_RATIO: Final = 1 << 10  # worth of one mA of value; a relay not moved is worth 1


@dataclass(frozen=True, slots=True)
class Segment:
    """One rung. `rows` gives the coefficient for each row that it takes from.

    `value` is what serving it is worth where its tier is of equal rank (0: its size). `was_on`
    says that its relay is closed. `predecessor` is the number of the segment that has to be full.
    """

    tier: int
    size_ma: int
    rows: Mapping[int, int] = field(default_factory=dict)
    discrete: bool = False
    weight: int = 1
    value: int = 0
    equal: bool = False
    was_on: bool = False
    predecessor: int = -1


class Ladder:
    """An allocation problem as flat int64 arrays, and its answer.

    `room_ma` (a row), `size_ma`, `value` and `was_on` (a segment) may be changed between solves,
    within RANGES; the rest is fixed. A solve overwrites `room_ma` with what is left and `taken_ma`
    with what each segment got. Raises ValueError when the segments do not make a ladder.
    """

    def __init__(self, segments: Sequence[Segment], room_ma: Sequence[int]) -> None:
        self.rows = len(room_ma)
        self.count = len(segments)
        _check(segments, room_ma)
        self.order = array("q", sorted(range(self.count), key=lambda i: segments[i].tier))
        self.tier = array("q", [s.tier for s in segments])
        self.discrete = array("q", [s.discrete for s in segments])
        self.weight = array("q", [s.weight for s in segments])
        self.equal = array("q", [s.equal for s in segments])
        self.predecessor = array("q", [s.predecessor for s in segments])
        self.size_ma = array("q", [s.size_ma for s in segments])
        self.value = array("q", [s.value or s.size_ma for s in segments])
        self.was_on = array("q", [s.was_on for s in segments])
        self.row = array("q")
        self.coefficient = array("q")
        self.first = array("q", [0])
        for segment in segments:
            for row, coefficient in sorted(segment.rows.items()):
                if coefficient:
                    self.row.append(row)
                    self.coefficient.append(coefficient)
            self.first.append(len(self.row))
        self.room_ma = array("q", room_ma)
        self.taken_ma = array("q", bytes(8 * self.count))


def _check(segments: Sequence[Segment], room_ma: Sequence[int]) -> None:
    for name, numbers in (
        ("tier", [s.tier for s in segments]),
        ("size_ma", [s.size_ma for s in segments]),
        ("weight", [s.weight for s in segments]),
        ("value", [s.value for s in segments]),
        ("coefficient", [c for s in segments for c in s.rows.values()]),
        ("coefficient * size_ma", [c * s.size_ma for s in segments for c in s.rows.values()]),
        (
            "coefficient * weight of a continuous segment",
            [c * s.weight for s in segments if not s.discrete for c in s.rows.values()],
        ),
        ("room_ma", list(room_ma)),
    ):
        low, high = RANGES[name]
        for number in numbers:
            if not low <= number <= high:
                raise ValueError(f"{name} = {number}: must lie between {low} and {high}")
    for i, segment in enumerate(segments):
        if any(not 0 <= row < len(room_ma) for row in segment.rows):
            raise ValueError(f"segment {i} takes from a row that is not there")
        before = segment.predecessor
        if before == -1:
            continue
        if not 0 <= before < len(segments):
            raise ValueError(f"the predecessor of segment {i} is not there")
        older = segments[before]
        later_here = older.tier == segment.tier and (
            not older.discrete or (segment.discrete and (segment.equal or before > i))
        )
        if older.tier > segment.tier or later_here:
            raise ValueError(f"segment {i} is served before its predecessor {before}")
    ranks = {(s.tier, s.equal) for s in segments if s.discrete}
    if len(ranks) != len({tier for tier, _ in ranks}):
        raise ValueError("a tier is of strict or of equal rank, not both")


def solve(ladder: Ladder) -> bool:
    """Serve the ladder. False when a search was cut short, so that more value may exist."""
    ladder.taken_ma[:] = array("q", bytes(8 * ladder.count))
    proved = True
    start = 0
    while start < ladder.count:
        end = start
        while end < ladder.count and (
            ladder.tier[ladder.order[end]] == ladder.tier[ladder.order[start]]
        ):
            end += 1
        group = ladder.order[start:end].tolist()
        discrete = [i for i in group if ladder.discrete[i] and ladder.size_ma[i] > 0]
        if discrete and ladder.equal[discrete[0]]:
            proved = _search(ladder, discrete) and proved
        else:
            for i in discrete:
                if _ready(ladder, i) and _fits(ladder, i):
                    _take(ladder, i, ladder.size_ma[i])
        _fill(ladder, [i for i in group if not ladder.discrete[i] and _ready(ladder, i)])
        start = end
    return proved


def _ready(ladder: Ladder, i: int) -> bool:
    before = ladder.predecessor[i]
    return before < 0 or (
        ladder.size_ma[before] > 0 and ladder.taken_ma[before] == ladder.size_ma[before]
    )


def _entries(ladder: Ladder, i: int) -> list[tuple[int, int]]:
    """The rows that segment `i` touches, with its coefficients."""
    return [(ladder.row[e], ladder.coefficient[e]) for e in range(*ladder.first[i : i + 2])]


def _fits(ladder: Ladder, i: int) -> bool:
    return all(c * ladder.size_ma[i] <= ladder.room_ma[r] for r, c in _entries(ladder, i))


def _take(ladder: Ladder, i: int, ma: int) -> None:
    ladder.taken_ma[i] += ma
    for r, c in _entries(ladder, i):
        ladder.room_ma[r] -= c * ma


def _search(ladder: Ladder, discrete: Sequence[int]) -> bool:
    """Choose among equals: depth first, the most valuable first, at most MAX_NODES decisions."""
    items = [i for i in discrete if _ready(ladder, i) and _fits(ladder, i)]
    items.sort(key=lambda i: (-ladder.value[i], i))
    worth = [SWITCH_RATIO * ladder.value[i] + (1 if ladder.was_on[i] else -1) for i in items]
    items = [i for i, w in zip(items, worth, strict=True) if w > 0]
    worth = [w for w in worth if w > 0]
    rest = [sum(worth[k:]) for k in range(len(items) + 1)]
    chosen: list[bool] = []  # decisions down to the present depth
    best: list[bool] = [False] * len(items)
    have, best_worth, nodes = 0, 0, 0
    proved = True
    while True:
        depth = len(chosen)
        if have > best_worth:
            best_worth, best = have, chosen + [False] * (len(items) - depth)
        deeper = have + rest[depth] > best_worth and depth < len(items)
        if deeper and nodes == MAX_NODES:
            proved = False
            break
        if deeper:
            nodes += 1
            take = _fits(ladder, items[depth])
            if take:
                _take(ladder, items[depth], ladder.size_ma[items[depth]])
                have += worth[depth]
            chosen.append(take)
            continue
        while chosen and not chosen[-1]:
            chosen.pop()
        if not chosen:
            break
        have -= worth[len(chosen) - 1]  # the last one taken is left out instead
        _take(ladder, items[len(chosen) - 1], -ladder.size_ma[items[len(chosen) - 1]])
        chosen[-1] = False
    for k, took in enumerate(chosen):
        if took:
            _take(ladder, items[k], -ladder.size_ma[items[k]])
    for k, take in enumerate(best):
        if take:
            _take(ladder, items[k], ladder.size_ma[items[k]])
    return proved


def _fill(ladder: Ladder, group: Sequence[int]) -> None:
    """Raise the level of the group's segments until each is full or one of its rows is.

    A row that has room for all of them does not count, and one that a single segment takes from
    is no more than a lower `top` for that segment. Among the others and the segments, what happens
    next is always the lowest level at which a row is full or a segment is; a row before a segment,
    a lower number before a higher. A row's room is kept in level bits (`fine`), as it was at level
    `at`.
    """
    active = {
        i
        for i in group
        if ladder.size_ma[i] > 0 and all(ladder.room_ma[r] >= c for r, c in _entries(ladder, i))
    }
    rate: dict[int, int] = {}
    need: dict[int, int] = {}
    users: dict[int, list[tuple[int, int]]] = {}
    for i in active:
        for r, c in _entries(ladder, i):
            rate[r] = rate.get(r, 0) + c * ladder.weight[i]
            need[r] = need.get(r, 0) + c * ladder.size_ma[i]
            users.setdefault(r, []).append((i, c))
    top = {i: ladder.size_ma[i] for i in active}
    for r, those in users.items():
        if need[r] <= ladder.room_ma[r]:
            del rate[r]
        elif len(those) == 1:
            i, c = those[0]
            top[i] = min(top[i], ladder.room_ma[r] // c)
            del rate[r]
    fine = {r: ladder.room_ma[r] << LEVEL_BITS for r in rate}
    at = dict.fromkeys(rate, 0)
    given: dict[int, int] = {}

    def leave(i: int, level: int) -> None:
        active.discard(i)
        given[i] = min(top[i], level * ladder.weight[i] >> LEVEL_BITS)
        for r, c in _entries(ladder, i):
            if r in rate:
                fine[r] -= rate[r] * (level - at[r])
                at[r] = level
                rate[r] -= c * ladder.weight[i]

    while active:
        rows = [(min(at[r] + fine[r] // rate[r], TOP_LEVEL), 0, r) for r in rate if rate[r] > 0]
        full = [(-((-top[i] << LEVEL_BITS) // ladder.weight[i]), 1, i) for i in active]
        level, kind, number = min(rows + full)
        if kind:
            leave(number, level)
            continue
        for i in sorted(active):
            if any(r == number for r, _ in _entries(ladder, i)):
                leave(i, level)
    for i, ma in given.items():
        _take(ladder, i, ma)
