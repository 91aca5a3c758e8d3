"""What modulated loads may draw.

Rules
- Down at once; up only on a fresh mains reading, into room that the meter has already shown.
- A load that has not come down yet is paid for by those after it.
"""

from __future__ import annotations

from panelctl.core.decide.arith import ceildiv, floordiv
from panelctl.core.decide.cells import Cells
from panelctl.core.decide.serve import serve
from panelctl.core.decide.thermal import branch_top
from panelctl.core.decide.words import (
    above,
    charge,
    draw,
    error,
    explain,
    lift,
    lower,
    mains_fresh,
    margin_of,
    sort,
)
from panelctl.core.state.layout import MODULATED
from panelctl.model.reason import Reason

SECOND_NS = 1_000_000_000
STILL_NS = 1_000_000_000_000


def raise_setpoints(m: Cells, now_ns: int) -> None:
    """Set-points: down at once to what the ladder gives, up into room that is really there."""
    count = spread(m, now_ns)
    for r in range(m.rows):
        m.x_extra[r] = 0
    for a in range(count):
        come_down(m, m.x_order[a])
    for a in range(count):
        i = m.x_order[a]
        target_ma = m.x_taken[i]
        # A load that draws more than it is allowed does not get more for it.
        may_rise = target_ma > m.s_set_ma[i] and not m.s_stale[i] and not m.s_over_ns[i]
        there = True
        if may_rise and mains_fresh(m, now_ns):
            there = climb(m, i, target_ma, now_ns)
        tell(m, i, target_ma, there, now_ns)


def spread(m: Cells, now_ns: int) -> int:
    """What the ladder gives the modulated loads that run (`x_order`); how many these are."""
    for r in range(m.rows):
        limit_ma = (
            m.s_setpoint_limit_ma[r]
            - m.s_contingency_ma[r]
            - margin_of(m, r, m.f_setpoint_margin_ma[0])
        )
        m.x_setpoint_room[r] = m.f_scale[r] * limit_ma - m.x_house[r] - m.x_reserve[r]
        m.x_room[r] = m.x_setpoint_room[r]
    count = 0
    for i in range(m.n):
        m.x_size[i] = 0
        m.x_taken[i] = 0
        if m.f_kind[i] != MODULATED:
            continue
        runs = not m.s_claims[i] and not m.s_stop[i]
        if runs:
            m.x_order[count] = i
            count += 1
            want_ma = m.s_want_ma[i]
            if m.s_raised_ns[i] and now_ns - m.s_raised_ns[i] < m.f_change_ns[i]:
                want_ma = min(want_ma, m.s_set_ma[i])  # nothing is kept free that it cannot take
            m.x_size[i] = max(0, want_ma - m.f_floor_ma[i])
        floor_ma = m.f_floor_ma[i] if m.s_netted[i] else 0
        for r in range(m.rows):
            m.x_room[r] -= m.f_limit_coef[i * m.rows + r] * floor_ma if runs else charge(m, i, r)
    sort(m.x_order, count, m.f_rest_tier)
    serve(m, count, m.f_rest_tier, m.f_limit_coef, False)
    return count


def come_down(m: Cells, i: int) -> None:
    """The target of load `i` (`x_taken`), and down to it at once.

    A load that has not come down yet is paid for by those after it (`x_extra`), one that takes more
    than it was ever told by itself.
    """
    over_ma = over(m, i)
    for r in range(m.rows):
        coef = m.f_limit_coef[i * m.rows + r]
        due = m.x_extra[r] + coef * over_ma
        if coef and m.x_room[r] < due:
            cut_ma = min(m.x_taken[i], ceildiv(due - m.x_room[r], coef))
            m.x_taken[i] -= cut_ma
            for q in range(m.rows):
                m.x_room[q] += m.f_limit_coef[i * m.rows + q] * cut_ma
    given_ma = m.f_floor_ma[i] + m.x_taken[i]
    target_ma = max(floordiv(given_ma, m.f_step_ma[i]) * m.f_step_ma[i], m.f_floor_ma[i])
    if m.s_stale[i]:
        target_ma = min(target_ma, m.f_fallback_ma[i])
    if m.s_netted[i]:
        moving = above(m, i, given_ma)
        for r in range(m.rows):
            k = i * m.rows + r
            drawn_ma = m.s_meas_ma[k] + (error(m, m.s_meas_ma[k]) if moving else 0)
            m.x_extra[r] += m.f_limit_coef[k] * max(0, drawn_ma - given_ma)
    m.x_taken[i] = target_ma
    lower(m, i, target_ma)


def over(m: Cells, i: int) -> int:
    """How much more load `i` takes than it was told for a while, mA: within its tolerance, or it is
    soon at fault. As much as its meter may err is left out.
    """
    if not m.s_netted[i]:
        return 0
    draw_ma = draw(m, i)
    return max(
        0, draw_ma - error(m, draw_ma) - max(m.s_peak_setpoint_ma[i], m.s_prev_peak_setpoint_ma[i])
    )


def climb(m: Cells, i: int, target_ma: int, now_ns: int) -> bool:
    """Raise load `i` towards its target; whether it got there."""
    top_ma = min(target_ma, into_room(m, i, target_ma))
    grow_ma = growth(m, i, now_ns)
    top_ma = min(top_ma, max(m.f_floor_ma[i], m.s_set_ma[i] + grow_ma))
    if top_ma < m.f_floor_ma[i]:
        return False  # between nothing and its least it cannot run
    top_ma = max(m.f_floor_ma[i], floordiv(top_ma, m.f_step_ma[i]) * m.f_step_ma[i])
    if top_ma < target_ma and m.f_change_ns[i] and somebody_gives_way(m):
        return False  # a half step now would cost `change_ns`
    if top_ma > m.s_set_ma[i]:
        lift(m, i, top_ma, now_ns)
    return top_ma >= target_ma


def into_room(m: Cells, i: int, target_ma: int) -> int:
    """How high load `i` may be set in the room that the meter shows, mA."""
    top_ma = target_ma
    for r in range(m.rows):
        coef = m.f_limit_coef[i * m.rows + r]
        if coef == 0:
            continue
        free = m.x_setpoint_room[r]
        for k in range(m.n):
            if m.f_kind[k] != MODULATED:
                continue
            if k == i:
                # One that draws more than its set-point has that much less to be given.
                free -= coef * max(m.s_set_ma[k], m.s_meas_ma[k * m.rows + r])
            else:
                free -= charge(m, k, r)
        top_ma = min(top_ma, m.s_set_ma[i] + floordiv(max(0, free), coef))
    return top_ma


def growth(m: Cells, i: int, now_ns: int) -> int:
    """By how much load `i` may rise in this step, mA. A ramp slower than a step of its set-point a
    cycle takes one step now and then.
    """
    elapsed_ns = min(now_ns - m.s_step_ns[0], SECOND_NS)
    grow_ma = floordiv(m.f_ramp_ma_s[i] * elapsed_ns, SECOND_NS)
    still_ns = min(now_ns - m.s_moved_ns[i], STILL_NS)
    if grow_ma < m.f_step_ma[i] <= floordiv(m.f_ramp_ma_s[i] * still_ns, SECOND_NS):
        return m.f_step_ma[i]
    return grow_ma


def somebody_gives_way(m: Cells) -> bool:
    """Whether a modulated load draws more than its set-point, and so is on its way down."""
    for k in range(m.n):
        if m.f_kind[k] == MODULATED and not m.s_stale[k] and above(m, k, m.s_set_ma[k]):
            return True
    return False


def tell(m: Cells, i: int, target_ma: int, there: bool, now_ns: int) -> None:
    """Why load `i` gets no more."""
    reason = Reason.NONE
    row = -1
    short_ma = 0
    if m.s_stale[i]:
        reason = Reason.STALE
    elif target_ma < m.f_max_ma[i] and target_ma < m.s_want_ma[i] - m.f_step_ma[i]:
        reason = Reason.LIMIT
        short_ma = m.s_want_ma[i] - target_ma
        for r in range(m.rows):
            if m.f_limit_coef[i * m.rows + r] and (row < 0 or m.x_room[r] < m.x_room[row]):
                row = r
    elif m.s_want_ma[i] == branch_top(m, i) and m.s_want_ma[i] < m.f_max_ma[i]:
        reason = Reason.HOT
    elif not there:
        reason = Reason.RAMP
    explain(m, i, reason, row, short_ma, now_ns, 0)
