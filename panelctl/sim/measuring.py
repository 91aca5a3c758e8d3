"""How a meter comes by what it shows: it answers at once, and what it says may be old, averaged,
filtered, coarse, or not of one moment.

Rules
- A value is taken at its moment, whether or not anybody asks; who asks gets what stands there.
- Counters of energy are renewed like everything else; they are not averaged, filtered or rounded.
- The faults of a meter (frozen, spoilt, swapped) come after all this.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import exp, floor

from panelctl.sim.registers import Shown

VOLTS = 120.0  # a step of 1 A is one of so many watts
JITTER = 0.3  # of an interval: so much sooner or later a value may be new


@dataclass(frozen=True, slots=True)
class Measuring:
    """What kind of a meter it is. Times in s.

    Its values are new every `renew_s`, each time up to `jitter` of that sooner or later: they are
    what flowed `late_s` before, or the `mean` since the last ones, behind a filter of the time
    constant `filter_s`. `apart`: each point at moments of its own. What moved by less than
    `deadband_a` (of A; of W 120 times that) is not shown, and what is shown is a multiple of
    `digit_a`.
    """

    renew_s: float
    jitter: float = JITTER
    late_s: float = 0.0
    mean: bool = False
    filter_s: float = 0.0
    apart: bool = False
    deadband_a: float = 0.0
    digit_a: float = 0.0

    @property
    def reaction_s(self) -> float:
        """How long after a step what is shown surely is what flows: twice an interval where it is
        averaged, and four time constants of a filter.
        """
        intervals = (1.0 + self.jitter) * (2.0 if self.mean else 1.0)
        return self.renew_s * intervals + self.late_s + 4.0 * self.filter_s

    @property
    def follows(self) -> bool:
        """Whether it has to be looked at all the time, and not only when its values are new."""
        return self.mean or self.filter_s > 0.0


class Follower:
    """Follows what flows for one meter, and says which of its points are new."""

    def __init__(self, dice: Callable[[], float]) -> None:
        self._dice = dice
        self._ways: Measuring | None = None
        self._points: list[Shown] = []
        self._groups: list[_Group] = []
        self._followed_s = self._due_s = 0.0

    def follow(
        self, ways: Measuring | None, points: list[Shown], time_s: float
    ) -> list[tuple[Shown, float]]:
        """What is new among these points, at this time; call it after each step of the plant."""
        if ways is not self._ways or points is not self._points:
            self._begin(ways, points, time_s)
        if ways is None:
            return []
        passed_s, self._followed_s = time_s - self._followed_s, time_s
        if ways.follows and passed_s > 0.0:
            for group in self._groups:
                for gauge in group.gauges:
                    gauge.flows(ways, passed_s)
        if time_s < self._due_s:
            return []
        new = [found for group in self._groups for found in group.renew(ways, time_s, self._dice)]
        self._due_s = min((group.next_s() for group in self._groups), default=time_s)
        return new

    def forget(self) -> None:
        """What stands in the registers is not what was shown last: the next value is put there."""
        for group in self._groups:
            for gauge in group.gauges:
                gauge.forget()

    def _begin(self, ways: Measuring | None, points: list[Shown], time_s: float) -> None:
        """It measures another way from now on, or other points of it are read."""
        self._ways, self._points = ways, points
        self._followed_s = self._due_s = time_s
        gauges = [Gauge(shown) for shown in points]
        if ways is None:
            self._groups = []
        elif ways.apart:
            late_s = [self._dice() * ways.renew_s for _ in gauges]
            self._groups = [
                _Group([gauge], time_s + by_s) for gauge, by_s in zip(gauges, late_s, strict=True)
            ]
        else:
            self._groups = [_Group(gauges, time_s)]


class _Group:
    """Points that are new at the same moments."""

    def __init__(self, gauges: list[Gauge], due_s: float) -> None:
        self.gauges = gauges
        self._due_s = due_s

    def renew(
        self, ways: Measuring, time_s: float, dice: Callable[[], float]
    ) -> Iterator[tuple[Shown, float]]:
        """What is shown anew."""
        if time_s >= self._due_s:
            turn = 1.0 + ways.jitter * (2.0 * dice() - 1.0)
            self._due_s = max(self._due_s, time_s - ways.renew_s) + ways.renew_s * turn
            for gauge in self.gauges:
                gauge.sample(ways, time_s)
        for gauge in self.gauges:
            value = gauge.shows(ways, time_s)
            if value is not None:
                yield gauge.shown, value

    def next_s(self) -> float:
        """When there is something to do next."""
        return min([self._due_s, *(g.taken[0][0] for g in self.gauges if g.taken)])


class Gauge:
    """One point of such a meter: what flows, what was taken of it, and what is shown."""

    def __init__(self, shown: Shown) -> None:
        self.shown = shown
        self.taken: deque[tuple[float, float]] = deque()  # from when on it is shown, and what
        self._size = {"A": 1.0, "W": VOLTS}.get(shown.point.unit, 0.0)
        self._sum, self._sum_s = 0.0, 0.0
        self._filtered: float | None = None
        self._last: float | None = None

    def flows(self, ways: Measuring, dt_s: float) -> None:
        """So much time has passed: for meters that average or filter."""
        if not self._size:
            return
        value = self.shown.value()
        if ways.filter_s > 0.0:
            before = value if self._filtered is None else self._filtered
            value = self._filtered = before + (value - before) * (1.0 - exp(-dt_s / ways.filter_s))
        self._sum += value * dt_s
        self._sum_s += dt_s

    def sample(self, ways: Measuring, time_s: float) -> None:
        """A new value, which is shown `late_s` later."""
        value = self.shown.value()
        if ways.mean and self._sum_s > 0.0:
            value = self._sum / self._sum_s
        elif self._filtered is not None:
            value = self._filtered
        self._sum = self._sum_s = 0.0
        self.taken.append((time_s + ways.late_s, value))

    def forget(self) -> None:
        """Whatever comes next is shown."""
        self._last = None

    def shows(self, ways: Measuring, time_s: float) -> float | None:
        """What is shown from now on; None where that is what was shown before."""
        value = None
        while self.taken and self.taken[0][0] <= time_s:
            value = self.taken.popleft()[1]
        if value is None or not self._size:
            return value
        deadband, digit = ways.deadband_a * self._size, ways.digit_a * self._size
        if self._last is not None and abs(value - self._last) < deadband:
            return None
        self._last = value
        return floor(value / digit + 0.5) * digit if digit else value
