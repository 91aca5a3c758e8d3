"""Relays and set-points against what they were told; and the fail-safe.

Rules
- Whether a relay that does not follow is at fault is judged in faults.py.
- A modulated load is judged against the highest set-point of its last one to two settling times.
- Whoever may be drawing is charged as drawing.
"""

from __future__ import annotations

from panelctl.core.decide.arith import floordiv
from panelctl.core.decide.cells import Cells
from panelctl.core.decide.faults import (
    forget_fault,
    judge_relay,
    note_fault,
    refusals,
    rests,
    watch_fault,
)
from panelctl.core.decide.thermal import branch_top
from panelctl.core.decide.words import (
    above,
    disobeys,
    draw,
    explain,
    lower,
    order_open,
    relay_seen,
    wait,
)
from panelctl.core.state.layout import LEG_ROWS, MODULATED, SWITCHED
from panelctl.model.reason import Reason, State, Wait
from panelctl.model.relay import Claim

AT_LIMIT_MA, AT_LIMIT_PERCENT = 500, 3  # so near to its set-point a load uses all of it
FOLLOW_PERCENT = 5  # above its draw an idle load's set-point stays


def follow_relays(m: Cells, now_ns: int) -> None:
    """Where every relay is, against what it was told."""
    for i in range(m.n):
        slot = m.f_relay_slot[i]
        if slot < 0:
            m.s_closed[i] = 1
            continue
        seen = relay_seen(m, i, now_ns)
        position = 1 if m.value[slot] != 0 else 0
        if m.s_closed[i] >= 0:
            follow_order(m, i, seen, position, now_ns)
            judge_relay(m, i, seen, position, now_ns)
            watch_fault(m, i, seen, position, now_ns)
            rests(m, i)
        elif seen:
            adopt(m, i, position, now_ns)


def follow_order(m: Cells, i: int, seen: bool, position: int, now_ns: int) -> None:
    """Whether load `i` still flies, and whether its relay still has to follow."""
    seen_ns = m.sampled_ns[m.f_relay_slot[i]]
    late = now_ns - m.s_order_ns[i] > m.f_relay_confirm_ns[0]
    if m.s_opening[i]:
        shown = seen and position == 0 and seen_ns > m.s_order_ns[i]
        if (shown and rows_newer(m, i, seen_ns)) or late or refusals(m, i):
            m.s_opening[i] = 0
    if m.s_order_pending[i] and seen and position == m.s_closed[i]:
        m.s_order_pending[i] = 1 if seen_ns <= m.s_order_ns[i] else 0
        if late and not position and not m.s_order_pending[i]:
            m.s_opened_ns[i] = now_ns  # its board could not be reached: it rests from now on


def rows_newer(m: Cells, i: int, sampled_ns: int) -> bool:
    """Whether the mains and every metered row of load `i` were read after `sampled_ns`."""
    if m.s_mains_ns[0] <= sampled_ns:
        return False
    for r in range(LEG_ROWS, m.rows):
        on_it = m.f_row_slot[r] >= 0 and m.f_meter_coef[i * m.rows + r] != 0
        if on_it and m.s_row_seen_ns[r] <= sampled_ns:
            return False
    return True


def adopt(m: Cells, i: int, position: int, now_ns: int) -> None:
    """Take over a relay as it was found at start; claims that outlived a restart still hold."""
    m.s_closed[i] = position
    m.s_order_ns[i] = now_ns
    if position and not m.s_claims[i]:
        # It may have closed just before the start; what it draws is seen by now.
        m.s_closed_ns[i] = max(1, now_ns - m.f_close_settle_ns[0] - 1)
        explain(m, i, Reason.NONE, -1, 0, now_ns, 0)
    elif position and faulty(m, i) and m.s_fault[i] == Reason.MOVED:
        m.s_closed[i] = 0  # somebody else moves it: a start is no reason to fight for it again
    elif position and (m.f_kind[i] == SWITCHED or faulty(m, i)):
        order_open(m, i, now_ns)
    elif not position:
        m.s_opened_ns[i] = now_ns
        if m.f_kind[i] == MODULATED:
            lower(m, i, 0)
        if not m.s_claims[i]:
            m.s_claims[i] = Claim.FOUND
            explain(m, i, Reason.FOUND_OPEN, -1, 0, now_ns, 0)


def watch_budgets(m: Cells, now_ns: int) -> None:
    """A modulated load may draw what it was allowed within its settling time, and no more."""
    for i in range(m.n):
        if m.f_kind[i] != MODULATED:
            continue
        if now_ns - m.s_bucket_ns[i] >= m.f_settle_ns[i]:
            # Two buckets of one settling time each: a lowered set-point binds in one to two.
            m.s_prev_peak_setpoint_ma[i] = m.s_peak_setpoint_ma[i]
            m.s_peak_setpoint_ma[i] = m.s_set_ma[i]
            m.s_bucket_ns[i] = now_ns
        # A node that is asked to stop may idle below its floor while it shuts down.
        least_ma = m.f_floor_ma[i] if m.f_compute[i] else 0
        if m.s_stale[i] or not above(m, i, max(m.s_set_ma[i], least_ma)):
            m.s_over_ns[i] = 0
        elif m.s_over_ns[i] == 0:
            m.s_over_ns[i] = now_ns
        watch_wish(m, i, now_ns)
        late = m.s_over_ns[i] != 0 and now_ns - m.s_over_ns[i] >= m.f_node_fault_ns[0]
        if late and (m.f_compute[i] or m.f_relay_slot[i] >= 0) and disobeys(m, i):
            stop(m, i, now_ns)


def stop(m: Cells, i: int, now_ns: int) -> None:
    """Stop a load that draws more than it is allowed; where that does not help, open its relay."""
    if not m.s_stop[i]:
        m.s_stop[i] = now_ns
        m.s_opened_ns[i] = now_ns
        m.s_claims[i] |= Claim.FAULT
        lower(m, i, 0)
        note_fault(m, i, Reason.IGNORES_BUDGET, now_ns)
        explain(m, i, Reason.IGNORES_BUDGET, -1, 0, now_ns, 0)
    patience_ns = m.f_node_open_ns[0] - m.f_node_fault_ns[0]
    if m.f_relay_slot[i] >= 0 and now_ns - m.s_stop[i] >= patience_ns:
        order_open(m, i, now_ns)


def watch_wish(m: Cells, i: int, now_ns: int) -> None:
    """A load that uses all it is allowed would take more; one that does not is followed down.

    It is followed only after `idle_ns`, so that a load on its way up is not taken for idle.
    """
    draw_ma = draw(m, i)
    told_ma = m.s_set_ma[i]
    near_ma = max(AT_LIMIT_MA, floordiv(told_ma * AT_LIMIT_PERCENT, 100))
    if told_ma > 0 and not m.s_stale[i] and draw_ma >= told_ma - near_ma:
        m.s_at_limit_ns[i] = now_ns
    wants_more = m.s_at_limit_ns[i] != 0 and now_ns - m.s_at_limit_ns[i] <= m.f_idle_ns[0]
    top_ma = branch_top(m, i)
    if m.f_compute[i] or wants_more:
        m.s_want_ma[i] = top_ma
    else:
        follow_ma = draw_ma + floordiv(draw_ma * FOLLOW_PERCENT, 100) + m.f_idle_margin_ma[0]
        m.s_want_ma[i] = max(m.f_floor_ma[i], min(top_ma, min(told_ma, follow_ma)))


def stop_and_open(m: Cells, now_ns: int) -> None:
    """Lower, then ask to stop, then open: a user's claim on a modulated load that has a relay."""
    for i in range(m.n):
        if m.f_kind[i] != MODULATED or m.f_relay_slot[i] < 0 or m.s_closed[i] != 1:
            continue
        if m.s_claims[i] & Claim.USER:
            idle = not m.s_stale[i] and draw(m, i) <= m.f_stopped_ma[0]
            if idle or now_ns - m.s_opened_ns[i] >= m.f_stop_wait_ns[0]:
                order_open(m, i, now_ns)


def fail_safe(m: Cells, now_ns: int) -> None:
    """HOLD and SHED: set-points to their fallback, and in SHED what is to open opens."""
    m.s_excess_ns[0] = 0
    for i in range(m.n):
        if m.f_kind[i] == MODULATED:
            lower(m, i, min(m.s_set_ma[i], m.f_fallback_ma[i]))
            if not m.s_claims[i]:
                explain(m, i, Reason.BLIND, -1, 0, now_ns, 0)
    for i in range(m.n):
        m.s_room_since_ns[i] = 0
        if m.s_claims[i]:
            wait(m, i, Wait.BLIND, -1, 0)
        elif m.s_state[0] == State.SHED and m.f_kind[i] == SWITCHED:
            shed_blind(m, i, now_ns)


def shed_blind(m: Cells, i: int, now_ns: int) -> None:
    """Nobody has seen the mains for long: what is to open then opens."""
    if m.f_safe_open[i] and m.s_closed[i] == 1:
        m.s_claims[i] |= Claim.PCS
        order_open(m, i, now_ns)
        explain(m, i, Reason.BLIND, -1, 0, now_ns, now_ns + m.f_min_off_ns[i])


def faulty(m: Cells, i: int) -> bool:
    """Whether a fault holds load `i` open, which nobody else's claim hides."""
    return m.f_heal_ns[0] != 0 and m.s_claims[i] & Claim.FAULT != 0


def claim(m: Cells, i: int, claims: int, reason: int, now_ns: int) -> None:
    """Add a claim to hold load `i` open; a modulated load is paused. A fault stays its reason."""
    named = not faulty(m, i)
    m.s_claims[i] |= claims
    m.s_room_since_ns[i] = 0
    if m.f_kind[i] == SWITCHED:
        order_open(m, i, now_ns)
    elif m.s_set_ma[i] > 0:
        lower(m, i, 0)
        m.s_opened_ns[i] = now_ns
    if named:
        explain(m, i, reason, -1, 0, now_ns, 0)


def release(m: Cells, i: int, claims: int, now_ns: int) -> None:
    """Take these claims back. What then holds load `i` open is its room."""
    if claims & Claim.FAULT:
        forget_fault(m, i)
    held = m.s_claims[i] & ~claims
    if m.s_claims[i] == held:
        return
    if faulty(m, i) and held & Claim.FAULT:
        m.s_claims[i] = held
        return
    m.s_stop[i] = 0
    m.s_over_ns[i] = 0
    m.s_claims[i] = held if held else Claim.PCS
    explain(m, i, Reason.LIMIT, -1, 0, now_ns, 0)
