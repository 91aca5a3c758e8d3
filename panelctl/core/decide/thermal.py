"""Limits and the heat of breakers.

The heat itself, its units and its curve are core/thermal's.

Rules
- A limit is the smallest of the named ones in force.
- Heat only lowers: the limit of a row, the set-points of a load behind its own breaker. Credit, on
  a row that has it, is the breaker's own: nobody else's limit is passed for it.
- A breaker whose current is not seen is heated with what may flow.
"""

from __future__ import annotations

from panelctl.core.decide.arith import floordiv, magnitude
from panelctl.core.decide.cells import Cells, Words
from panelctl.core.decide.words import mains_fresh
from panelctl.core.state.layout import LEG_ROWS, NO_LIMIT_MA
from panelctl.core.thermal import MOST_U, ONE, PPM, TICK_BITS, TICK_MS, TICK_NS
from panelctl.model.limit import LimitName
from panelctl.model.relay import Claim

BRANCH_HOT_PPM = 800_000  # theta at which an overloaded branch is opened before it trips
START = 3  # times the rating: six times it for 0.3 s heat as much as this for a second
BRANCH_COOL_PPM = 750_000  # theta below which a branch that was opened hot may close again
# Bands over theta: full up to the first, this share at the second, in between on a straight line.
SETPOINT_FROM_PPM, SETPOINT_TO_PPM, SETPOINT_RATIO_PPM = 750_000, 920_000, 700_000
FILL_LEAST_PPM = 450_000  # beyond the second
SHED_FROM_PPM, SHED_TO_PPM, SHED_RATIO_PPM = 800_000, 920_000, 970_000
CREDIT_PPM = 1_250_000  # instead of full, where a breaker has credit
SPAN = 1 << TICK_BITS
MOST_TICKS = SPAN - 1


def times(x: int, part: int) -> int:
    """x * part / 2^32 for 0 <= x < 2^40 and 0 <= part <= 2^32, without leaving int64."""
    return ((x >> 16) * part >> 16) + ((x & 0xFFFF) * part >> 32)


def squared(ma: int, ref_ma: int) -> int:
    """u^2 in 2^-32."""
    u = min(floordiv(ma << 16, ref_ma), MOST_U)
    return u * u


def approach(heat: int, goal: int, part: int) -> int:
    """Heat after a time that leaves `part` of its distance to `goal`."""
    if heat >= goal:
        return goal + times(heat - goal, part)
    return goal - times(goal - heat, part)


def advance(heat: int, goal: int, ticks: int, decay: Words, first: int) -> int:
    """Heat after so many ticks of a steady current; at most 2^TICK_BITS - 1 of them.

    decay[first + k] is what is left of a difference after 2^k ticks.
    """
    for k in range(TICK_BITS):
        if (ticks >> k) & 1:
            heat = approach(heat, goal, decay[first + k])
    return heat


def theta(fast: int, slow: int, share: int) -> int:
    """How near the pole is to tripping, in 2^-32."""
    return times(fast, share) + times(slow, ONE - share)


def ticks_to_trip(
    fast: int, slow: int, goal: int, share: int, decay_fast: Words, decay_slow: Words, first: int
) -> int:
    """How many ticks of this current the pole surely stands; -1 when it is more than can be told.

    Bisection from the longest span down: TICK_BITS steps.
    """
    ticks = 0
    span = SPAN
    for k in range(TICK_BITS - 1, -1, -1):
        span >>= 1
        later_fast = approach(fast, goal, decay_fast[first + k])
        later_slow = approach(slow, goal, decay_slow[first + k])
        if theta(later_fast, later_slow, share) < ONE:
            fast = later_fast
            slow = later_slow
            ticks += span
    return -1 if ticks == MOST_TICKS else ticks


def trip_ms(
    fast: int, slow: int, goal: int, share: int, decay_fast: Words, decay_slow: Words, first: int
) -> int:
    """How long the pole surely stands this current, ms; -1: for longer than can be told."""
    if goal <= ONE:
        return -1
    ticks = ticks_to_trip(fast, slow, goal, share, decay_fast, decay_slow, first)
    return ticks * TICK_MS if ticks >= 0 else -1


def slope(low: int, above: int, high: int, below: int, theta_ppm: int) -> int:
    """From `above` at `low` down to `below` at `high` on a straight line."""
    if theta_ppm <= low:
        return above
    if theta_ppm <= high:
        return above - floordiv((above - below) * (theta_ppm - low), high - low)
    return below


def setpoint_band(theta_ppm: int) -> int:
    """What set-points are given of a limit, ppm."""
    if theta_ppm > SETPOINT_TO_PPM:
        return FILL_LEAST_PPM
    return slope(SETPOINT_FROM_PPM, PPM, SETPOINT_TO_PPM, SETPOINT_RATIO_PPM, theta_ppm)


def shed_band(theta_ppm: int, credit: bool) -> int:
    """What relays are opened for, ppm of a limit."""
    full_ppm = CREDIT_PPM if credit else PPM
    return slope(SHED_FROM_PPM, full_ppm, SHED_TO_PPM, SHED_RATIO_PPM, theta_ppm)


def limits(m: Cells, now_ns: int) -> None:
    """The effective limit of every row, and the heat of every breaker by now."""
    ticks = min(floordiv(now_ns - m.s_thermal_ns[0], TICK_NS), MOST_TICKS)
    m.s_thermal_ns[0] += ticks * TICK_NS
    for r in range(m.rows):
        best = -1
        limit_ma = NO_LIMIT_MA
        others_ma = NO_LIMIT_MA
        for k in range(m.limits):
            until_ns = m.s_limit_until_ns[k]
            if m.s_limit_on[k] and (until_ns == 0 or now_ns < until_ns):
                ma = m.s_limit_value_ma[k * m.rows + r]
                if ma < limit_ma:
                    limit_ma = ma
                    best = k
                if k != LimitName.FSR:
                    others_ma = min(others_ma, ma)
        m.s_limit_ma[r] = limit_ma
        m.s_shed_limit_ma[r] = limit_ma
        m.s_setpoint_limit_ma[r] = limit_ma
        m.s_binding[r] = best
        if m.f_ref_ma[r] > 0:
            thermal_row(m, r, ticks, others_ma, now_ns)
    for i in range(m.n):
        if m.f_branch_ref_ma[i] > 0:
            thermal_branch(m, i, ticks)


def thermal_row(m: Cells, r: int, ticks: int, others_ma: int, now_ns: int) -> None:
    """The heat of a row's breaker by now, and what it leaves of the limit."""
    ma = magnitude(m.s_flow_ma[r])
    if not mains_fresh(m, now_ns) or m.s_row_old[r]:
        ma = max(ma, min(m.s_limit_ma[r], m.f_ref_ma[r]))  # not seen: as much as may flow
    goal = squared(ma, m.f_ref_ma[r])
    first = r * TICK_BITS
    fast = advance(m.s_fast[r], goal, ticks, m.f_decay_fast, first)
    slow = advance(m.s_slow[r], goal, ticks, m.f_decay_slow, first)
    theta_ppm = (theta(fast, slow, m.f_share[r]) * PPM) >> 32
    m.s_fast[r] = fast
    m.s_slow[r] = slow
    m.s_theta_ppm[r] = theta_ppm
    m.s_trip_ms[r] = trip_ms(fast, slow, goal, m.f_share[r], m.f_decay_fast, m.f_decay_slow, first)
    limit_ma = m.s_limit_ma[r]
    if limit_ma == NO_LIMIT_MA:
        return
    m.s_shed_limit_ma[r] = floordiv(limit_ma * shed_band(theta_ppm, False), PPM)
    if m.f_credit[r] and not m.s_hard[r]:
        own_ma = m.s_limit_value_ma[LimitName.FSR * m.rows + r]
        borne_ma = floordiv(own_ma * shed_band(theta_ppm, True), PPM)
        m.s_shed_limit_ma[r] = max(m.s_shed_limit_ma[r], min(others_ma, borne_ma))
    m.s_setpoint_limit_ma[r] = floordiv(limit_ma * setpoint_band(theta_ppm), PPM)
    if m.s_setpoint_limit_ma[r] < limit_ma:
        m.s_binding[r] = LimitName.THERMAL
    m.s_limit_ma[r] = min(limit_ma, m.s_shed_limit_ma[r])


def thermal_branch(m: Cells, i: int, ticks: int) -> None:
    """The heat of a load's own breaker: of its hotter pole, and the sooner trip."""
    hottest_ppm = 0
    soonest_ms = -1
    over = False
    seen_ns = 0
    first = i * TICK_BITS
    for leg in range(LEG_ROWS):
        if m.f_slot[i * m.rows + leg] < 0:
            continue
        k = i * LEG_ROWS + leg
        ma = branch_current(m, i, leg)
        if not m.s_unread[i] and ma > max(m.f_branch_ref_ma[i], m.f_branch_ma[i]):
            over = True
        seen_ns = max(seen_ns, m.s_branch_seen_ns[k])
        goal = squared(ma, m.f_branch_ref_ma[i])
        fast = advance(m.s_branch_fast[k], goal, ticks, m.f_branch_decay_fast, first)
        slow = advance(m.s_branch_slow[k], goal, ticks, m.f_branch_decay_slow, first)
        m.s_branch_fast[k] = fast
        m.s_branch_slow[k] = slow
        share = m.f_branch_share[i]
        hottest_ppm = max(hottest_ppm, (theta(fast, slow, share) * PPM) >> 32)
        left_ms = trip_ms(
            fast, slow, goal, share, m.f_branch_decay_fast, m.f_branch_decay_slow, first
        )
        if left_ms >= 0 and (soonest_ms < 0 or left_ms < soonest_ms):
            soonest_ms = left_ms
    m.s_branch_theta_ppm[i] = hottest_ppm
    m.s_branch_trip_ms[i] = soonest_ms
    if not over or hottest_ppm <= BRANCH_HOT_PPM:
        m.s_hot_ns[i] = 0
    elif m.s_hot_ns[i] == 0:
        m.s_hot_ns[i] = seen_ns


def branch_current(m: Cells, i: int, leg: int) -> int:
    """What heats a pole of load `i`, mA.

    A sample of more than three times the rating counts as three times, unless the one before was as
    high: a motor's start is shorter than the time between two samples of a slow meter, and would
    count for all of it. A relay that was read back open carries nothing; one whose meter is silent,
    all that its breaker does, or what it drew last.
    """
    slot = m.f_slot[i * m.rows + leg]
    k = i * LEG_ROWS + leg
    if m.sampled_ns[slot] > m.s_branch_seen_ns[k] and not m.s_unread[i]:
        ma = m.s_meas_ma[i * m.rows + leg]
        m.s_branch_draw_ma[k] = min(ma, max(m.s_branch_last_ma[k], START * m.f_branch_ma[i]))
        m.s_branch_last_ma[k] = ma
        m.s_branch_seen_ns[k] = m.sampled_ns[slot]
    if not m.s_unread[i]:
        return m.s_branch_draw_ma[k]
    if m.s_closed[i] == 0 and not m.s_order_pending[i] and not m.s_claims[i] & Claim.FAULT:
        return 0
    return max(m.s_branch_draw_ma[k], m.f_branch_ma[i])


def branch_top(m: Cells, i: int) -> int:
    """What load `i` may be given with a view to the heat of its own breaker, mA."""
    if m.f_branch_ref_ma[i] == 0:
        return m.f_max_ma[i]
    most_ma = floordiv(m.f_branch_most_ma[i] * setpoint_band(m.s_branch_theta_ppm[i]), PPM)
    return max(m.f_floor_ma[i], min(m.f_max_ma[i], most_ma))


def cooling(m: Cells, i: int) -> bool:
    """Whether load `i` has to wait for its own breaker before it may close."""
    return m.f_branch_ref_ma[i] > 0 and m.s_branch_theta_ppm[i] > BRANCH_COOL_PPM
