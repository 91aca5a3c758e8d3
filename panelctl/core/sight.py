"""What the decision sees, written to be read: meters, sources, mains, rows, state, margins.

ext/panelctl/core/_sight.pxi does the same in Cython. Limits and breakers are heat.py's.

Rules
- No reading that is old, missing or marked bad enters a sum as if it were fresh.
- A row whose own meter is old gives no room: every load on it counts as unread.
- A current flows out only where a source behind the lugs explains it: a transformer that was put on
  the wrong way round must not look like an export.
- What PV or a battery gives relieves a row only as far as it is firm. The rest, and what the loads
  of the other leg take off the neutral, is `wary_ma`: set-points and restores leave it free, and no
  relay opens for it.
- A source that cannot be read gives nothing, explains nothing and may fall away whole.
- Two readings are never of one moment: what falls away is left free for a while longer.
"""

from __future__ import annotations

from array import array

from panelctl.core.layout import (
    HOURS,
    LEG_ROWS,
    MODULATED,
    STEP_BINS,
    SWITCHED,
    Changing,
    Fixed,
)
from panelctl.core.states import Age, place
from panelctl.model.metering import Quality
from panelctl.model.relay import Claim

GOOD = int(Quality.GOOD)
HOUR_NS = 3_600_000_000_000
SEEN = 1 << 10  # what one observed step weighs in a bin
PRIOR = 2 * SEEN  # what the expected largest step weighs: 40 minutes of the hour outweigh it
FORGET_BITS = 4  # a bin loses a sixteenth each day
MARGIN_BITS = 2  # a margin is at most a quarter of the limit
OUT_SHARE = 8  # an export may be an eighth more than the sources show,
OUT_MA = 2_000  # and so much more, for their meters are not one
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
        self.feeds = range(fixed.feeds)
        self.switched = [i for i in self.loads if fixed.kind[i] == SWITCHED]
        self.modulated = [i for i in self.loads if fixed.kind[i] == MODULATED]

    def _fresh(self, slot: int, stale_ns: int, now_ns: int) -> bool:
        return self.quality[slot] == GOOD and now_ns - self.sampled_ns[slot] <= stale_ns

    def _row_slots(self, r: int) -> list[int]:
        """The image slots of the currents that make up row `r`."""
        f = self.fixed
        return [slot for slot in (f.row_slot[r], f.row_slot2[r], f.less_slot[r]) if slot >= 0]

    def _measure(self, now_ns: int) -> None:
        """Every load's own meter, and the meters of rows behind the main lugs."""
        f, s = self.fixed, self.state
        for r in self.rows[LEG_ROWS:]:
            fresh = all(self._fresh(n, f.row_stale_ns[r], now_ns) for n in self._row_slots(r))
            s.row_old[r] = int(f.row_stale_ns[r] != 0 and not fresh)
        for i in self.loads:
            unread = old = 0
            for r in self.rows:
                k = i * f.rows + r
                slots = [slot for slot in (f.slot[k], f.slot2[k]) if slot >= 0]
                if not slots:
                    continue
                if not all(self._fresh(slot, f.stale_ns[i], now_ns) for slot in slots):
                    unread = 1
                elif f.less_slot[r] >= 0 and len(slots) == 2:
                    s.meas_ma[k] = self._more(slots[0], slots[1])
                else:
                    total = sum(max(self.value[slot], 0) for slot in slots)
                    s.meas_ma[k] = (total + len(slots) - 1) // len(slots)
                old |= s.row_old[r]
            s.unread[i] = unread
            s.stale[i] = unread | old
            if not s.stale[i]:
                s.measured[i] = 1

    def _more(self, slot: int, other: int) -> int:
        """How much more one leg of a load draws than its other one, mA: that is in the neutral."""
        return max(max(self.value[slot], 0) - max(self.value[other], 0), 0)

    def _see_sources(self, now_ns: int) -> None:
        """What PV and batteries give now, what of it is known, and what is firm."""
        f, s = self.fixed, self.state
        for j in self.feeds:
            if not self._fresh(f.feed_slot[j], f.feed_stale_ns[j], now_ns):
                s.may_ma[j] = max(s.out_ma[j], f.feed_most_ma[j])
                s.gives_ma[j] = s.high_ma[j] = s.older_high_ma[j] = 0
                self._forget(j, now_ns)
                continue
            s.out_ma[j] = abs(self.value[f.feed_slot[j]])
            powers = [slot for slot in (f.feed_w_slot[j], f.feed_w_slot2[j]) if slot >= 0]
            seen = all(self._fresh(slot, f.feed_stale_ns[j], now_ns) for slot in powers)
            if powers and seen and sum(self.value[slot] for slot in powers) > 0:
                s.out_ma[j] = 0  # a battery that charges
            # The mains reading may be older: what a source gave then may still fall away.
            if now_ns - s.high_ns[j] >= f.fresh_ns[0]:
                s.older_high_ma[j] = s.high_ma[j]
                s.high_ma[j] = s.out_ma[j]
                s.high_ns[j] = now_ns
            s.high_ma[j] = max(s.high_ma[j], s.out_ma[j])
            s.may_ma[j] = s.gives_ma[j] = max(s.high_ma[j], s.older_high_ma[j])
            if not seen:
                s.gives_ma[j] = 0
                self._forget(j, now_ns)  # it may be charging
                continue
            if now_ns - s.low_ns[j] >= f.feed_window_ns[j]:
                s.older_low_ma[j] = s.low_ma[j] if s.low_ns[j] else 0
                s.low_ma[j] = s.out_ma[j]
                s.low_ns[j] = now_ns
            s.low_ma[j] = min(s.low_ma[j], s.out_ma[j])
            least_ma = min(s.low_ma[j], s.older_low_ma[j])
            s.firm_ma[j] = least_ma * f.feed_share_ppm[j] // 1_000_000

    def _be_wary(self) -> None:
        """What every row would carry besides what it does: on the mains reading just taken."""
        f, s = self.fixed, self.state
        for r in self.rows:
            s.wary_ma[r] = 0
            if f.less_slot[r] >= 0:
                top_ma = max(s.top_ma[r], s.older_top_ma[r])
                s.wary_ma[r] = max(top_ma - s.rest_ma[r], 0)
            for j in self.feeds:
                s.wary_ma[r] += f.relieves[j * f.rows + r] * (s.may_ma[j] - s.firm_ma[j])
                s.wary_ma[r] += f.adds[j * f.rows + r] * (s.may_ma[j] - s.out_ma[j])
            for i in self.loads:
                if f.against[i * f.rows + r]:
                    s.wary_ma[r] += self._may_go(i, r)

    def _forget(self, j: int, now_ns: int) -> None:
        """Nothing of a source is firm until it has been seen for a whole window again."""
        s = self.state
        s.firm_ma[j] = s.low_ma[j] = s.older_low_ma[j] = 0
        s.low_ns[j] = now_ns

    def _may_go(self, i: int, r: int) -> int:
        """What load `i` may draw on the other side of row `r`, and so may take away, mA."""
        f, s = self.fixed, self.state
        k = i * f.rows + r
        if f.slot2[k] >= 0:  # on both sides: what it draws more on the other one
            more_ma = self._more(f.slot2[k], f.slot[k])
            return max(more_ma, f.demand_ma[k]) if s.unread[i] and s.closed[i] != 0 else more_ma
        most = max(s.meas_ma[i * f.rows + leg] for leg in range(LEG_ROWS))
        if s.unread[i] and s.closed[i] != 0:
            demand = max(f.demand_ma[i * f.rows + leg] for leg in range(LEG_ROWS))
            most = max(most, s.set_ma[i] if f.kind[i] == MODULATED else demand)
        return most

    def _signed(self, slot: int, sign_slot: int, unknown: int) -> int:
        """A current of the mains with the direction of its power, mA; positive is import.

        Where the direction matters and is not known, the current counts as `unknown`: its power
        cannot be read, or it flows out and no source of its leg gives so much.
        """
        f, s = self.fixed, self.state
        if slot < 0:
            return 0
        if sign_slot < 0:
            return max(self.value[slot], 0)
        ma = abs(self.value[slot])
        in_time = self.sampled_ns[sign_slot] + f.fresh_ns[0] >= self.sampled_ns[slot]
        if self.quality[sign_slot] != GOOD or not in_time:
            return unknown * ma
        if self.value[sign_slot] >= 0:
            return ma
        leg = int(slot != f.row_slot[0])
        gives = sum(f.relieves[j * f.rows + leg] * s.gives_ma[j] for j in self.feeds)
        return -ma if ma <= gives + gives // OUT_SHARE + OUT_MA else unknown * ma

    def _see_mains(self, now_ns: int) -> None:
        f, s = self.fixed, self.state
        legs = [f.row_slot[r] for r in range(LEG_ROWS)]
        sampled = min(self.sampled_ns[slot] for slot in legs)
        good = all(self.quality[slot] == GOOD for slot in legs)
        if good and sampled > s.mains_ns[0]:
            s.mains_ns[0] = sampled
            for r in range(LEG_ROWS):
                s.flow_ma[r] = self._signed(f.row_slot[r], f.sign_slot[r], 1)
                s.row_ma[r] = max(s.flow_ma[r], 0)
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
        slots = self._row_slots(r)
        if not slots:
            s.row_ma[r] = s.flow_ma[r] = self._sum_of_loads(r)
            return
        sampled = min(self.sampled_ns[slot] for slot in slots)
        if s.row_old[r] or sampled <= s.row_seen_ns[r]:
            return
        s.row_seen_ns[r] = sampled
        carried = self._signed(f.row_slot[r], f.sign_slot[r], 1)
        carried += self._signed(f.row_slot2[r], f.sign_slot2[r], 1)
        carried -= self._signed(f.less_slot[r], f.sign_slot2[r], -1)
        for j in self.feeds:
            carried += f.adds[j * f.rows + r] * s.out_ma[j]
        s.flow_ma[r] = carried
        s.row_ma[r] = max(carried, 0)
        for i in self.modulated:
            k = i * f.rows + r
            s.at_mains_ma[k] = s.apart[i] * f.plain[k] * s.meas_ma[k]
            carried -= s.at_mains_ma[k]
        if f.less_slot[r] >= 0:
            self._hold(r, carried, sampled)

    def _hold(self, r: int, rest_ma: int, sampled_ns: int) -> None:
        """What the other leg draws more earns room once its loads' own meters have been read."""
        f, s = self.fixed, self.state
        s.rest_ma[r] = rest_ma
        if sampled_ns - s.top_ns[r] >= f.relay_stale_ns[0]:
            s.older_top_ma[r] = s.top_ma[r] if s.top_ns[r] else rest_ma
            s.top_ma[r] = rest_ma
            s.top_ns[r] = sampled_ns
        s.top_ma[r] = max(s.top_ma[r], rest_ma)

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
            if s.hour[0] >= 0 and hour != s.hour[0]:
                for k in range(first, first + STEP_BINS):
                    s.steps[k] -= s.steps[k] >> FORGET_BITS
            if s.window_ns[0] and not s.disturbed[0]:
                rise = s.window_top_ma[r] - s.window_from_ma[r]
                s.steps[first + bin_of(rise // f.scale[r])] += SEEN
            most_ma = s.limit_ma[r] >> MARGIN_BITS
            # A clock that is wrong may call this hour a calm one: the whole day's holds at least.
            day = max(self._margin(r, first, 1), self._margin(r, r * HOURS * STEP_BINS, HOURS))
            s.margin_ma[r] = min(day, most_ma)
        s.hour[0] = hour
        s.window_ns[0] = now_ns
        s.disturbed[0] = 0
        for r in self.rows:
            s.window_from_ma[r] = s.window_top_ma[r] = house[r]

    def _margin(self, r: int, first: int, hours: int) -> int:
        """The step that one in 2^TAIL_BITS passes in these hours, mA; before much is known, the
        expected one.
        """
        f, s = self.fixed, self.state
        expected = bin_of(f.prior_ma[r])
        total = PRIOR
        for k in range(hours * STEP_BINS):
            total += s.steps[first + k]
        above = 0
        for k in range(STEP_BINS - 1, -1, -1):
            above += PRIOR if k == expected else 0
            for hour in range(hours):
                above += s.steps[first + hour * STEP_BINS + k]
            if above > total >> TAIL_BITS:
                return bin_top_ma(k)
        return 0
