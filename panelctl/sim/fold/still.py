"""When nothing will change: proof that an engine only repeats itself, and for how long.

The decision is a function of its flat memory, the readings and the time, and asks of the time only
how far it lies behind a moment that the memory holds. Under constant readings let P pass. If then
every value is what it was, and every moment is either what it was or P later, P more will do the
same again, until one of the moments that stood still falls so far behind that it matters: a
duration of the panel's. Up to there whole periods may be left out.

Counts of the household's steps go on by the same number in each period; margins that follow from
them play no part on a limit that may be passed for a moment. Panels with watched breakers or
sources never stand still by this measure, and are not skipped.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass

from panelctl.core.engine import Engine
from panelctl.core.follow import RELIEF_COUNTS
from panelctl.core.layout import (
    FIXED_PER_LOAD,
    FIXED_SCALARS,
    STATE_PER_LIMIT,
    STATE_PER_LIMIT_ROW,
    STATE_PER_LOAD,
    STATE_PER_LOAD_LEG,
    STATE_PER_LOAD_ROW,
    STATE_PER_ROW,
    STATE_SCALARS,
    STEP_BINS,
)
from panelctl.units import NS_PER_S

HOUR_NS = 3600 * NS_PER_S
FOLLOW = ("margin_ma",)  # from the counts
CHUNK = 8 * STEP_BINS  # counts of one row and hour
NO_MOMENT = ("hour_offset_ns",)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An engine's memory at a moment: values, moments, counts."""

    at_ns: int
    values: bytes
    moments: array[int]
    counts: bytes


class Stillness:
    """Watches one engine. `period_ns` is a multiple of every period that it has by itself."""

    def __init__(self, engine: Engine, period_ns: int) -> None:
        self.period_ns = period_ns
        self._engine = engine
        state, fixed = engine.state, engine.fixed
        names = [
            *STATE_PER_LOAD,
            *STATE_PER_LOAD_ROW,
            *STATE_PER_LOAD_LEG,
            *STATE_PER_ROW,
            *STATE_PER_LIMIT,
            *STATE_PER_LIMIT_ROW,
            *STATE_SCALARS,
        ]
        self.possible = not engine.feeds and not any(fixed.ref_ma) and not any(fixed.branch_ref_ma)
        self._moments = [
            getattr(state, name) for name in names if name.endswith("_ns") and name not in NO_MOMENT
        ]
        self._values = [
            getattr(state, name)
            for name in names
            if not name.endswith("_ns") and name not in FOLLOW
        ]
        durations = {
            value * times
            for name in (*FIXED_PER_LOAD, *FIXED_SCALARS)
            if name.endswith("_ns")
            for value in getattr(fixed, name)
            for times in ((1, RELIEF_COUNTS) if name == "min_off_ns" else (1,))
        }
        self._durations = sorted(d for d in durations if d > 0)

    def take(self, now_ns: int) -> Snapshot:
        """The memory now."""
        moments = array("q")
        for part in self._moments:
            moments.extend(part)
        values = b"".join(part.tobytes() for part in self._values)
        return Snapshot(now_ns, values, moments, self._engine.state.steps.tobytes())

    def until_ns(self, before: Snapshot, now: Snapshot) -> int:
        """Up to when whole periods repeat the one between the two snapshots; 0: they do not."""
        if not self.possible or before.values != now.values:
            return 0
        passed_ns = now.at_ns - before.at_ns
        offset_ns = self._engine.state.hour_offset_ns[0]
        horizon_ns = (now.at_ns + offset_ns) // HOUR_NS * HOUR_NS + HOUR_NS - offset_ns
        for then_ns, moment_ns in zip(before.moments, now.moments, strict=True):
            if moment_ns == then_ns:
                if moment_ns > now.at_ns:
                    horizon_ns = min(horizon_ns, moment_ns)
                elif moment_ns:
                    for duration_ns in self._durations:
                        if moment_ns + duration_ns > now.at_ns:
                            horizon_ns = min(horizon_ns, moment_ns + duration_ns)
                            break
            elif moment_ns - then_ns != passed_ns:
                return 0
        return horizon_ns

    def skip(self, before: Snapshot, now: Snapshot, periods: int) -> None:
        """Leave out so many periods."""
        by_ns = periods * self.period_ns
        place = 0
        for part in self._moments:
            for n in range(len(part)):
                if now.moments[place] != before.moments[place]:
                    part[n] += by_ns
                place += 1
        if before.counts != now.counts:
            for begin in range(0, len(now.counts), CHUNK):
                older, newer = (
                    before.counts[begin : begin + CHUNK],
                    now.counts[begin : begin + CHUNK],
                )
                if older != newer:
                    self._count_on(begin // 8, older, newer, periods)

    def _count_on(self, first: int, older: bytes, newer: bytes, periods: int) -> None:
        steps = self._engine.state.steps
        for n, (then, count) in enumerate(zip(array("q", older), array("q", newer), strict=True)):
            steps[first + n] += (count - then) * periods
