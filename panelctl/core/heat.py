"""Limits and the heat of breakers, written to be read. ext/panelctl/core/_heat.pxi does the same.

Rules
- A limit is the smallest of the named ones in force.
- Heat only lowers: the limit of a row, the set-points of a load behind its own breaker. Credit, on
  a row that has it, is the breaker's own: nobody else's limit is passed for it.
- A breaker whose current is not seen is heated with what may flow.
"""

from __future__ import annotations

from collections.abc import Sequence

from panelctl.core import thermal
from panelctl.core.layout import LEG_ROWS, NO_LIMIT_MA
from panelctl.core.sight import Sight
from panelctl.model.limit import LimitName
from panelctl.model.relay import Claim

BRANCH_HOT_PPM = 800_000  # a branch this hot and overloaded is opened before it trips,
START = 3  # times the rating: six times it for 0.3 s heat as much as this for a second
BRANCH_COOL_PPM = 750_000  # and stays open until it has cooled down to here


class Heat(Sight):
    """The effective limit of every row, and the breakers behind it."""

    def _limits(self, now_ns: int) -> None:
        f, s = self.fixed, self.state
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
        for i in self.loads:
            if f.branch_ref_ma[i] > 0:
                self._heat_branch(i, ticks)

    def _heat(self, r: int, ticks: int, others_ma: int, now_ns: int) -> None:
        """The heat of a row's breaker by now, and what it leaves of the limit."""
        f, s = self.fixed, self.state
        ma = abs(s.flow_ma[r])
        if now_ns - s.mains_ns[0] > f.fresh_ns[0] or s.row_old[r]:
            ma = max(ma, min(s.limit_ma[r], f.ref_ma[r]))  # not seen: as much as may flow
        tables = (f.keep_fast, f.keep_slow, r)
        heat = _pole(s.fast[r], s.slow[r], ma, f.ref_ma[r], f.share[r], ticks, tables)
        s.fast[r], s.slow[r], s.theta_ppm[r], s.trip_ms[r] = heat
        theta_ppm = s.theta_ppm[r]
        if s.limit_ma[r] == NO_LIMIT_MA:
            return
        s.shed_ma[r] = s.limit_ma[r] * thermal.band(thermal.SHED_BAND, theta_ppm) // thermal.PPM
        if f.credit[r] and not s.hard[r]:
            own_ma = s.limit_value_ma[int(LimitName.FSR) * f.rows + r]
            borne = own_ma * thermal.band(thermal.CREDIT_BAND, theta_ppm) // thermal.PPM
            s.shed_ma[r] = max(s.shed_ma[r], min(others_ma, borne))
        s.fill_ma[r] = s.limit_ma[r] * thermal.band(thermal.FILL_BAND, theta_ppm) // thermal.PPM
        if s.fill_ma[r] < s.limit_ma[r]:
            s.binding[r] = int(LimitName.THERMAL)
        s.limit_ma[r] = min(s.limit_ma[r], s.shed_ma[r])

    def _heat_branch(self, i: int, ticks: int) -> None:
        """The heat of a load's own breaker: of its hotter pole, and the sooner trip."""
        f, s = self.fixed, self.state
        theta_ppm, trip_ms, over, seen_ns = 0, -1, False, 0
        for leg in range(LEG_ROWS):
            if f.slot[i * f.rows + leg] < 0:
                continue
            n = i * LEG_ROWS + leg
            ma = self._branch_current(i, leg, n)
            over = over or (not s.unread[i] and ma > max(f.branch_ref_ma[i], f.branch_ma[i]))
            seen_ns = max(seen_ns, s.branch_seen_ns[n])
            tables = (f.branch_keep_fast, f.branch_keep_slow, i)
            s.branch_fast[n], s.branch_slow[n], hot_ppm, left_ms = _pole(
                s.branch_fast[n],
                s.branch_slow[n],
                ma,
                f.branch_ref_ma[i],
                f.branch_share[i],
                ticks,
                tables,
            )
            theta_ppm = max(theta_ppm, hot_ppm)
            if left_ms >= 0 and (trip_ms < 0 or left_ms < trip_ms):
                trip_ms = left_ms
        s.branch_theta_ppm[i] = theta_ppm
        s.branch_trip_ms[i] = trip_ms
        if not over or theta_ppm <= BRANCH_HOT_PPM:
            s.hot_ns[i] = 0
        elif s.hot_ns[i] == 0:
            s.hot_ns[i] = seen_ns

    def _branch_current(self, i: int, leg: int, n: int) -> int:
        """What heats a pole of load `i`, mA.

        A sample of more than three times the rating counts as three times, unless the one before
        was as high: a motor's start is shorter than the time between two samples of a slow meter,
        and would count for all of it. A relay that was read back open carries nothing; one whose
        meter is silent, all that its breaker does, or what it drew last.
        """
        f, s = self.fixed, self.state
        slot = f.slot[i * f.rows + leg]
        if self.sampled_ns[slot] > s.branch_seen_ns[n] and not s.unread[i]:
            ma = s.meas_ma[i * f.rows + leg]
            s.branch_draw_ma[n] = min(ma, max(s.branch_last_ma[n], START * f.branch_ma[i]))
            s.branch_last_ma[n] = ma
            s.branch_seen_ns[n] = self.sampled_ns[slot]
        if not s.unread[i]:
            return s.branch_draw_ma[n]
        opened = s.closed[i] == 0 and not s.awaits[i] and not s.claims[i] & Claim.FAULT
        return 0 if opened else max(s.branch_draw_ma[n], f.branch_ma[i])

    def _branch_top(self, i: int) -> int:
        """What load `i` may be given with a view to the heat of its own breaker, mA."""
        f, s = self.fixed, self.state
        if f.branch_ref_ma[i] == 0:
            return f.max_ma[i]
        share = thermal.band(thermal.FILL_BAND, s.branch_theta_ppm[i])
        most = f.branch_most_ma[i] * share // thermal.PPM
        return max(f.floor_ma[i], min(f.max_ma[i], most))

    def _cooling(self, i: int) -> bool:
        """Whether load `i` has to wait for its own breaker before it may close."""
        hot_ppm = self.state.branch_theta_ppm[i]
        return self.fixed.branch_ref_ma[i] > 0 and hot_ppm > BRANCH_COOL_PPM


def _pole(
    fast: int,
    slow: int,
    ma: int,
    ref_ma: int,
    share: int,
    ticks: int,
    tables: tuple[Sequence[int], Sequence[int], int],
) -> tuple[int, int, int, int]:
    """Both heats after `ticks` of `ma`, theta in ppm, and ms until the trip (-1: longer)."""
    bits = thermal.TICK_BITS
    keep_fast, keep_slow = (
        table[tables[2] * bits : (tables[2] + 1) * bits] for table in tables[:2]
    )
    goal = thermal.squared(ma, ref_ma)
    fast = thermal.advance(fast, goal, ticks, keep_fast)
    slow = thermal.advance(slow, goal, ticks, keep_slow)
    theta_ppm = thermal.theta(fast, slow, share) * thermal.PPM >> 32
    trip_ms = -1
    if goal > thermal.ONE:
        left = thermal.ticks_to_trip(fast, slow, goal, share, keep_fast, keep_slow)
        trip_ms = left * (thermal.TICK_NS // 1_000_000) if left >= 0 else -1
    return fast, slow, theta_ppm, trip_ms
