"""What a storm notes: findings, figures, the worst event, and how large the process is."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields

Found = Callable[[str, str], None]  # who is told of a finding: its check, and what it is
PLOT_SAMPLES = 300  # a tenth of a second each
GROWTH_RATIO = 1.05
MORE_TASKS = 12  # faults that are still running have some


@dataclass(frozen=True, slots=True)
class Violation:
    """A checker's finding."""

    at_s: float
    check: str
    what: str


@dataclass(frozen=True, slots=True)
class Sample:
    """What the plant carried at a moment: s, A per leg."""

    at_s: float
    a: float
    b: float
    limit_a: float
    node_a: float


@dataclass(slots=True)
class Figures:
    """What a storm counted. Times in s, energies in Wh."""

    strikes: Counter[str] = field(default_factory=Counter)
    over_s: Counter[str] = field(default_factory=Counter)  # events by how long they lasted
    over_total_s: float = 0.0
    excused: Counter[str] = field(default_factory=Counter)  # by excuse, of how many of them
    excused_s: dict[str, float] = field(default_factory=dict)  # and for how long in all
    trips: int = 0
    preventable_trips: int = 0
    sheds: int = 0
    restores: int = 0
    relay_moves: int = 0
    restarts: int = 0
    crashes: int = 0
    compute_wh: float = 0.0
    seconds: int = 0
    judged_s: int = 0  # in which nothing excused a leg over its limit
    failsafe_s: float = 0.0  # the longest that the node drew more than its floor, blind
    untold_s: float = 0.0  # the longest from an order that is not followed until it is told of
    shown_wrong: int = 0  # how often a relay was shown where it is not, for more than 3 s
    false_faults: int = 0  # relays that were called faulty, and were not


LONGEST = ("failsafe_s", "untold_s")  # of several storms the longest counts, of the rest the sum


def together(storms: Sequence[Figures]) -> Figures:
    """The figures of several storms as one."""
    total = Figures()
    for one in storms:
        for name in (each.name for each in fields(Figures)):
            mine, other = getattr(total, name), getattr(one, name)
            if isinstance(mine, Counter):
                mine.update(other)
            elif isinstance(mine, dict):
                mine.update({key: mine.get(key, 0.0) + value for key, value in other.items()})
            else:
                setattr(total, name, max(mine, other) if name in LONGEST else mine + other)
    return total


class Worst:
    """Keeps the samples around the largest excess over the limit."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self._excess_a = 0.0
        self._lately: deque[Sample] = deque(maxlen=PLOT_SAMPLES)
        self._more = 0  # samples that still belong to the worst event

    def see(self, sample: Sample) -> None:
        """The next sample."""
        self._lately.append(sample)
        excess_a = max(sample.a, sample.b) - sample.limit_a
        if excess_a > self._excess_a:
            self._excess_a, self._more = excess_a, PLOT_SAMPLES // 2
        if self._more:
            self._more -= 1
            if not self._more:
                self.samples = list(self._lately)


class Sizes:
    """M1: between a third of the storm and its end nothing grows that is not bounded."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._seen: list[tuple[int, int]] = []  # blocks of memory, tasks

    def note(self) -> None:
        """Note how large the process is now."""
        gc.collect()
        self._seen.append((sys.getallocatedblocks(), len(asyncio.all_tasks(self._loop))))

    def grown(self) -> Iterator[str]:
        """What has grown."""
        sizes = self._seen[len(self._seen) // 3 :]
        if len(sizes) < 4:
            return
        half = len(sizes) // 2
        before = sum(blocks for blocks, _ in sizes[:half]) / half
        after = sum(blocks for blocks, _ in sizes[half:]) / (len(sizes) - half)
        if after > before * GROWTH_RATIO:
            yield f"{before:.0f} blocks of memory have become {after:.0f}"
        if sizes[-1][1] > min(tasks for _, tasks in sizes) + MORE_TASKS:
            yield f"there are {sizes[-1][1]} tasks at the end"
