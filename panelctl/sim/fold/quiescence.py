"""When nothing will change: proof that an engine only repeats itself, and for how long.

The decision is a function of its flat memory, the readings and the time, and asks of the time only
how far it lies behind a moment that the memory holds: whether that is more than a duration of the
panel's. Let a step pass under constant readings. If then every value is what it was, and every
moment is either what it was or a step later, the next step will do the same again, until one of the
moments that stood still falls so far behind that it matters. Up to there steps may be left out.

Two things go on by themselves meanwhile, and are put where they would be:
- The buckets in which a modulated load's set-points are kept (`bucket_ns`): nothing follows from
  the next one while both hold the present set-point.
- The windows in which the household's steps are counted (`window_ns`): each one counts a step of 0
  while it begins and ends with the household's present draw. That is so once a window has ended
  under these values. Margins that follow from the counts play no part on a limit that may be passed
  for a moment.
Panels with watched breakers or sources never stand still by this measure, and are not skipped.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from dataclasses import dataclass

from panelctl.core.decide.margins import SEEN, bin_of
from panelctl.core.decide.words import RELIEF_COUNTS, WEAR_BURST
from panelctl.core.engine import Engine
from panelctl.core.state.layout import (
    FIXED_PER_LOAD,
    FIXED_SCALARS,
    HOURS,
    LEG_ROWS,
    MODULATED,
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
GO_ON = ("bucket_ns", "window_ns")  # by themselves
TOLD = ("since_ns", "until_ns")  # to people; the decision never asks how long ago they are
NO_MOMENT = ("hour_offset_ns", *TOLD)
MOMENTS = ("stop",)  # whose name does not say so


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An engine's memory at a moment: values, and moments."""

    at_ns: int
    values: bytes
    moments: array[int]


class Stillness:
    """Watches one engine, which makes a step every `step_ns`."""

    def __init__(self, engine: Engine, step_ns: int) -> None:
        self._engine = engine
        self._step_ns = step_ns
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
        moments = [
            name
            for name in names
            if (name.endswith("_ns") or name in MOMENTS) and name not in NO_MOMENT
        ]
        self._values = [getattr(state, name) for name in names if name not in (*moments, *FOLLOW)]
        self._moments = [getattr(state, name) for name in moments if name not in GO_ON]
        self.possible = (
            not engine.source_legs and not any(fixed.ref_ma) and not any(fixed.branch_ref_ma)
        )
        self._modulated = [i for i in range(fixed.loads) if fixed.kind[i] == MODULATED]
        self._level = b""  # the values under which a window has ended
        self._durations = sorted(self._all_durations())

    def _all_durations(self) -> set[int]:
        """Every duration that the decision compares with how long ago a moment is, ns."""
        fixed = self._engine.fixed
        found = {
            value
            for name in (*FIXED_PER_LOAD, *FIXED_SCALARS)
            if name.endswith("_ns")
            for value in getattr(fixed, name)
        }
        found |= {RELIEF_COUNTS * ns for ns in fixed.min_off_ns}
        found |= {-WEAR_BURST * ns for ns in fixed.wear_ns}  # of a moment that is to come
        found.add(fixed.node_open_ns[0] - fixed.node_fault_ns[0])
        for i in self._modulated:
            if fixed.ramp_ma_s[i] > 0:  # a ramp slower than a step a cycle
                found.add(-(-fixed.step_ma[i] * NS_PER_S // fixed.ramp_ma_s[i]))
        return found | {0}  # of a moment that is to come

    def capture(self, now_ns: int) -> Snapshot:
        """The memory now."""
        moments = array("q")
        for part in self._moments:
            moments.extend(part)
        return Snapshot(now_ns, b"".join([part.tobytes() for part in self._values]), moments)

    def until_ns(self, before: Snapshot, now: Snapshot) -> int:
        """Up to when all steps repeat the one between the two snapshots; 0: they do not."""
        state = self._engine.state
        if not self.possible or before.values != now.values or any(state.hard):
            return 0
        if state.window_ns[0] == now.at_ns:
            self._level = now.values  # a window has just ended, and nothing is another for it
        if now.values != self._level:
            return 0
        for i in self._modulated:
            if not state.peak_setpoint_ma[i] == state.prev_peak_setpoint_ma[i] == state.set_ma[i]:
                return 0
        offset_ns = state.hour_offset_ns[0]
        horizon_ns = (now.at_ns + offset_ns) // HOUR_NS * HOUR_NS + HOUR_NS - offset_ns
        if (end_ns := self._engine.power_limits.next_end_ns()) is not None:
            horizon_ns = min(horizon_ns, end_ns)
        durations = self._durations
        for then_ns, moment_ns in set(zip(before.moments, now.moments, strict=True)):
            if moment_ns == then_ns:
                # A duration that is over just now may still make the next step another one.
                place = bisect_left(durations, now.at_ns - moment_ns)
                if moment_ns and place < len(durations):
                    horizon_ns = min(horizon_ns, moment_ns + durations[place])
            elif moment_ns - then_ns != now.at_ns - before.at_ns:
                return 0
        return horizon_ns

    def skip(self, before: Snapshot, now: Snapshot, steps: int) -> None:
        """Leave out so many steps."""
        state, fixed = self._engine.state, self._engine.fixed
        by_ns = steps * self._step_ns
        place = 0
        for part in self._moments:
            for n in range(len(part)):
                if now.moments[place] != before.moments[place]:
                    part[n] += by_ns
                place += 1
        for i in self._modulated:
            state.bucket_ns[i] += self._gone_on(
                state.bucket_ns[i], fixed.settle_ns[i], now.at_ns + by_ns
            )
        window_ns = self._gone_on(state.window_ns[0], fixed.react_ns[0], now.at_ns + by_ns)
        state.window_ns[0] += window_ns
        ended = window_ns // self._in_steps(fixed.react_ns[0])
        for r in range(LEG_ROWS):
            first = (r * HOURS + state.hour[0]) * STEP_BINS
            state.steps[first + bin_of(0)] += ended * SEEN

    def _in_steps(self, every_ns: int) -> int:
        """So far apart are two moments of something that goes on by itself, ns: whole steps."""
        return max(-(-every_ns // self._step_ns), 1) * self._step_ns

    def _gone_on(self, moment_ns: int, every_ns: int, now_ns: int) -> int:
        """How far such a moment has gone on by `now_ns`."""
        apart_ns = self._in_steps(every_ns)
        return (now_ns - moment_ns) // apart_ns * apart_ns
