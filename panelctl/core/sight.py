"""What the decision sees, written to be read: meters, mains, state, limits, heat, margins.

ext/panelctl/core/_sight.pxi does the same in Cython. Who must open is keep.py's, who may close
restore.py's.

Rules
- No reading that is old, missing or marked bad enters a sum as if it were fresh.
- A limit is the smallest of the named ones in force; the heat of a breaker only lowers it, except
  on a row that has credit.
- A row whose own meter is old gives no room: every load on it counts as unread.
"""

from __future__ import annotations

from array import array

from panelctl.core import thermal
from panelctl.core.layout import (
    HOURS,
    LEG_ROWS,
    MODULATED,
    NO_LIMIT_MA,
    STEP_BINS,
    SWITCHED,
    Changing,
    Fixed,
)
from panelctl.core.states import Age, place
from panelctl.model.limit import LimitName
from panelctl.model.metering import Quality
from panelctl.model.relay import Claim

GOOD = int(Quality.GOOD)
HOUR_NS = 3_600_000_000_000
SEEN = 1 << 10  # what one observed step weighs in a bin
PRIOR = 2 * SEEN  # what the expected largest step weighs: 40 minutes of the hour outweigh it
FORGET_BITS = 4  # a bin loses a sixteenth each day
MARGIN_BITS = 2  # a margin is at most a quarter of the limit
TAIL_BITS = 10  # the margin is passed by one step in 2^10


def bin_of(step_ma: int) -> int:
    """The bin of a step: two an octave."""
    if step_ma < 2:
        return 0
    octave = step_ma.bit_length() - 1
    return min(2 * octave + (step_ma >> (octave - 1) & 1), STEP_BINS - 1)


def bin_top_ma(number: int) -> int:
    """The upper end of a bin, mA."""
    octave = number >> 1
    if octave == 0:
        return 2
    return (2 << octave) if number & 1 else (3 << (octave - 1))


class Sight:
    """The first half of a step, over one panel's flat memory."""

    def __init__(
        self,
        fixed: Fixed,
        state: Changing,
        value: array[int],
        quality: array[int],
        sampled_ns: array[int],
    ) -> None:
        self.fixed = fixed
        self.state = state
        self.value = value
        self.quality = quality
        self.sampled_ns = sampled_ns
        self.loads = range(fixed.loads)
        self.rows = range(fixed.rows)
        self.switched = [i for i in self.loads if fixed.kind[i] == SWITCHED]
        self.modulated = [i for i in self.loads if fixed.kind[i] == MODULATED]

    def _fresh(self, slot: int, stale_ns: int, now_ns: int) -> bool:
        return self.quality[slot] == GOOD and now_ns - self.sampled_ns[slot] <= stale_ns

    def _measure(self, now_ns: int) -> None:
        """Every load's own meter, and the meters of rows behind the main lugs."""
        f, s = self.fixed, self.state
        for r in self.rows[LEG_ROWS:]:
            slots = [slot for slot in (f.row_slot[r], f.row_slot2[r]) if slot >= 0]
            fresh = all(self._fresh(slot, f.row_stale_ns[r], now_ns) for slot in slots)
            s.row_old[r] = int(not fresh)
        for i in self.loads:
            stale = 0
            for r in self.rows:
                k = i * f.rows + r
                slots = [slot for slot in (f.slot[k], f.slot2[k]) if slot >= 0]
                if not slots:
                    continue
                if all(self._fresh(slot, f.stale_ns[i], now_ns) for slot in slots):
                    total = sum(max(self.value[slot], 0) for slot in slots)
                    s.meas_ma[k] = (total + len(slots) - 1) // len(slots)
                else:
                    stale = 1
                if s.row_old[r]:
                    stale = 1
            s.stale[i] = stale
            if not stale:
                s.measured[i] = 1

    def _see_mains(self, now_ns: int) -> None:
        f, s = self.fixed, self.state
        legs = [f.row_slot[r] for r in range(LEG_ROWS)]
        sampled = min(self.sampled_ns[slot] for slot in legs)
        good = all(self.quality[slot] == GOOD for slot in legs)
        if good and sampled > s.mains_ns[0]:
            s.mains_ns[0] = sampled
            for r in range(LEG_ROWS):
                s.row_ma[r] = max(self.value[f.row_slot[r]], 0)
            # What is taken out of a mains reading is what flowed when it was taken, not later.
            for i in self.modulated:
                s.apart[i] = 1 - s.stale[i]
                for r in self.rows:
                    k = i * f.rows + r
                    if r < LEG_ROWS or f.row_slot[r] < 0:
                        s.at_mains_ma[k] = s.apart[i] * f.plain[k] * s.meas_ma[k]
                    else:
                        s.at_mains_ma[k] *= s.apart[i]
            for r in self.rows[LEG_ROWS:]:
                self._see_row(r)
            if now_ns - sampled <= f.fresh_ns[0]:
                s.good[0] = min(s.good[0] + 1, f.good_needed[0])
        age_ns = now_ns - s.mains_ns[0]
        if age_ns > f.fresh_ns[0]:
            s.good[0] = 0
        age = int(Age.FRESH)
        for limit_ns in (f.fresh_ns[0], f.hold_ns[0], f.shed_ns[0]):
            age += age_ns > limit_ns
        enough = int(s.good[0] >= f.good_needed[0])
        whole = int(not any(s.stale[i] for i in self.loads))
        s.state[0] = f.next_state[place(s.state[0], age, enough, whole)]

    def _see_row(self, r: int) -> None:
        """What a row behind the legs carries, and its modulated loads' part at the same time."""
        f, s = self.fixed, self.state
        slots = [slot for slot in (f.row_slot[r], f.row_slot2[r]) if slot >= 0]
        if not slots:
            s.row_ma[r] = self._sum_of_loads(r)
            return
        sampled = min(self.sampled_ns[slot] for slot in slots)
        if s.row_old[r] or sampled <= s.row_seen_ns[r]:
            return
        s.row_seen_ns[r] = sampled
        s.row_ma[r] = sum(max(self.value[slot], 0) for slot in slots)
        for i in self.modulated:
            k = i * f.rows + r
            s.at_mains_ma[k] = s.apart[i] * f.plain[k] * s.meas_ma[k]

    def _sum_of_loads(self, r: int) -> int:
        """What a row without a meter carries, mA: its own loads, each as drawn or as it may draw.

        A meter is believed whatever the relay is said to be; without one only a load that is
        surely open draws nothing.
        """
        f, s = self.fixed, self.state
        total = 0
        for i in self.loads:
            k = i * f.rows + r
            if f.kind[i] == SWITCHED:
                if not s.stale[i]:
                    total += f.plain[k] * s.meas_ma[k]
                elif s.closed[i] != 0 or s.claims[i] & Claim.FAULT:
                    total += f.plain[k] * max(s.meas_ma[k], f.demand_ma[k])
            elif s.apart[i]:
                total += s.at_mains_ma[k]
            else:
                total += f.plain[k] * max(s.meas_ma[k], s.set_ma[i])
        return total // f.scale[r]

    def _draw_on(self, i: int, r: int) -> int:
        """What switched load `i` draws on row `r`: measured, or its demand while never measured."""
        k = i * self.fixed.rows + r
        return self.state.meas_ma[k] if self.state.measured[i] else self.fixed.demand_ma[k]

    def _limits(self, now_ns: int) -> None:
        s = self.state
        f = self.fixed
        ticks = min((now_ns - s.heat_ns[0]) // thermal.TICK_NS, (1 << thermal.TICK_BITS) - 1)
        s.heat_ns[0] += ticks * thermal.TICK_NS
        for r in self.rows:
            best, limit_ma, others_ma = -1, NO_LIMIT_MA, NO_LIMIT_MA
            for k in range(s.limits):
                until_ns = s.limit_until_ns[k]
                if s.limit_on[k] and (until_ns == 0 or now_ns < until_ns):
                    value = s.limit_value_ma[k * f.rows + r]
                    if value < limit_ma:
                        limit_ma, best = value, k
                    if k != LimitName.FSR:
                        others_ma = min(others_ma, value)
            s.limit_ma[r] = s.shed_ma[r] = s.fill_ma[r] = limit_ma
            s.binding[r] = best
            if f.ref_ma[r] > 0:
                self._heat(r, ticks, others_ma, now_ns)

    def _heat(self, r: int, ticks: int, others_ma: int, now_ns: int) -> None:
        """The breaker's heat by now, and what it leaves of the limit."""
        f, s = self.fixed, self.state
        ma = s.row_ma[r]
        if now_ns - s.mains_ns[0] > f.fresh_ns[0] or s.row_old[r]:
            ma = max(ma, min(s.limit_ma[r], f.ref_ma[r]))  # not seen: as much as may flow
        bits = thermal.TICK_BITS
        keep_fast = f.keep_fast[r * bits : (r + 1) * bits]
        keep_slow = f.keep_slow[r * bits : (r + 1) * bits]
        goal = thermal.squared(ma, f.ref_ma[r])
        s.fast[r] = thermal.advance(s.fast[r], goal, ticks, keep_fast)
        s.slow[r] = thermal.advance(s.slow[r], goal, ticks, keep_slow)
        theta = thermal.theta(s.fast[r], s.slow[r], f.share[r])
        theta_ppm = theta * thermal.PPM >> 32
        s.theta_ppm[r] = theta_ppm
        s.trip_ms[r] = -1
        if goal > thermal.ONE:
            left = thermal.ticks_to_trip(
                s.fast[r], s.slow[r], goal, f.share[r], keep_fast, keep_slow
            )
            s.trip_ms[r] = left * (thermal.TICK_NS // 1_000_000) if left >= 0 else -1
        if s.limit_ma[r] == NO_LIMIT_MA:
            return
        s.shed_ma[r] = s.limit_ma[r] * thermal.band(thermal.SHED_BAND, theta_ppm) // thermal.PPM
        if f.credit[r] and not s.hard[r]:
            # The credit is the breaker's own: nobody else's limit is passed for it.
            own_ma = s.limit_value_ma[int(LimitName.FSR) * f.rows + r]
            borne = own_ma * thermal.band(thermal.CREDIT_BAND, theta_ppm) // thermal.PPM
            s.shed_ma[r] = max(s.shed_ma[r], min(others_ma, borne))
        s.fill_ma[r] = s.limit_ma[r] * thermal.band(thermal.FILL_BAND, theta_ppm) // thermal.PPM
        if s.fill_ma[r] < s.limit_ma[r]:
            s.binding[r] = int(LimitName.THERMAL)
        s.limit_ma[r] = min(s.limit_ma[r], s.shed_ma[r])

    def _learn(self, house: list[int], now_ns: int) -> None:
        """How much the household rises while we react: the margin of rows with a hard limit."""
        f, s = self.fixed, self.state
        for r in self.rows:
            s.window_top_ma[r] = max(s.window_top_ma[r], house[r])
        if now_ns - s.window_ns[0] < f.react_ns[0]:
            return
        hour = (now_ns + s.hour_offset_ns[0]) // HOUR_NS % HOURS
        for r in self.rows:
            if r >= LEG_ROWS and not s.hard[r]:
                continue
            first = (r * HOURS + hour) * STEP_BINS
            if hour != s.hour[0]:
                for k in range(first, first + STEP_BINS):
                    s.steps[k] -= s.steps[k] >> FORGET_BITS
            if s.window_ns[0] and not s.disturbed[0]:
                rise = s.window_top_ma[r] - s.window_from_ma[r]
                s.steps[first + bin_of(rise // f.scale[r])] += SEEN
            most_ma = s.limit_ma[r] >> MARGIN_BITS
            s.margin_ma[r] = min(self._margin(r, first), most_ma)
        s.hour[0] = hour
        s.window_ns[0] = now_ns
        s.disturbed[0] = 0
        for r in self.rows:
            s.window_from_ma[r] = s.window_top_ma[r] = house[r]

    def _margin(self, r: int, first: int) -> int:
        """The step that one in 2^TAIL_BITS passes, mA; before much is known, the expected one."""
        f, s = self.fixed, self.state
        expected = bin_of(f.prior_ma[r])
        total = PRIOR
        for k in range(STEP_BINS):
            total += s.steps[first + k]
        above = 0
        for k in range(STEP_BINS - 1, -1, -1):
            above += s.steps[first + k] + (PRIOR if k == expected else 0)
            if above > total >> TAIL_BITS:
                return bin_top_ma(k)
        return 0
