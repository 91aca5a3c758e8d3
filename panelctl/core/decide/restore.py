"""Which circuits may close.

Rules
- A relay never closes inside its minimum off time, on a reading that is not fresh, or while anybody
  but panelctl claims it open.
- One at a time, into room that lasted; later ranks give way, and nobody gives way in vain.
- A node that was stopped comes back last.
"""

from __future__ import annotations

from panelctl.core.decide.cells import Cells
from panelctl.core.decide.modulated import deaf, inside, least, leaving, lingers, stays
from panelctl.core.decide.serve import serve
from panelctl.core.decide.shed import clear, shed, shortest
from panelctl.core.decide.thermal import cooling
from panelctl.core.decide.words import (
    above,
    charge,
    demand,
    explain,
    lift,
    mains_fresh,
    margin_of,
    relay_seen,
    resting,
    sort,
    wait,
    wear,
)
from panelctl.core.state.layout import LEG_ROWS, MODULATED, SWITCHED
from panelctl.model.reason import Reason, Wait
from panelctl.model.relay import Claim


def unseen(m: Cells, i: int, now_ns: int) -> bool:
    """Whether load `i` cannot be closed because its meter or its relay is not read."""
    return m.s_stale[i] != 0 or not relay_seen(m, i, now_ns)


def restore(m: Cells, now_ns: int) -> None:
    """Which loads may close. Leaves, per row, what is kept free for loads on their way up
    (`x_reserve`).
    """
    reserve_for_closed(m, now_ns)
    count = queue(m, now_ns)
    for r in range(m.rows):
        m.x_left[r] = m.x_room[r]  # as the ladder leaves it to the load whose turn it is
    serve(m, count, m.x_rank, m.x_limit_coef, True)
    chosen = choose(m, count, now_ns)
    if chosen < 0:
        return
    open_now = True
    for r in range(m.rows):
        need = m.x_limit_coef[chosen * m.rows + r]
        if need and need > m.x_top[r] - m.x_drawn[r]:
            open_now = False
    for r in range(m.rows):
        need = m.x_limit_coef[chosen * m.rows + r]
        m.x_reserve[r] += need
        if need and not open_now:
            # The set-points must come down far enough to leave the restore margin free as well.
            kept_free = m.f_scale[r] * margin_of(m, r, m.f_setpoint_margin_ma[0])
            m.x_reserve[r] += max(0, m.x_margin[r] - kept_free)
    if open_now:
        close(m, chosen, now_ns)
        if m.f_kind[chosen] == MODULATED:
            for r in range(m.rows):
                m.x_reserve[r] -= m.x_limit_coef[chosen * m.rows + r]


def reserve_for_closed(m: Cells, now_ns: int) -> None:
    """Per row: what loads that were just closed may still come to draw (`x_reserve`), what flies
    (`x_opening`), the restore margin (`x_margin`), and what is free (`x_top`, `x_room`).
    """
    for r in range(m.rows):
        m.x_reserve[r] = 0
        m.x_opening[r] = 0
        m.x_drawn[r] = 0
    for i in range(m.n):
        if m.f_kind[i] != SWITCHED:
            continue
        settling = m.s_closed[i] == 1 and m.s_closed_ns[i] > 0
        if settling and now_ns - m.s_closed_ns[i] <= m.f_close_settle_ns[0]:
            for r in range(m.rows):
                k = i * m.rows + r
                rest_ma = max(0, demand(m, i, r, now_ns) - m.s_meas_ma[k])
                m.x_reserve[r] += m.f_limit_coef[k] * rest_ma
        if m.s_opening[i]:
            for r in range(m.rows):
                k = i * m.rows + r
                m.x_opening[r] += m.f_meter_coef[k] * m.s_relief_of_ma[k]
    for r in range(m.rows):
        m.x_margin[r] = 0
        if not m.f_no_margin[r]:
            m.x_margin[r] = m.f_scale[r] * margin_of(m, r, m.f_restore_margin_ma[0])
        limit_ma = min(m.s_limit_ma[r], m.s_setpoint_limit_ma[r]) - m.s_contingency_ma[r]
        taken = m.x_margin[r] + m.x_house[r] + m.x_reserve[r]
        m.x_top[r] = m.f_scale[r] * limit_ma - taken
        m.x_room[r] = m.x_top[r]


def queue(m: Cells, now_ns: int) -> int:
    """Who waits for room, in rank order, with what each needs; how many."""
    count = 0
    for i in range(m.n):
        clear(m, i)
        for r in range(m.rows):
            m.x_least[r] = 0
        if m.f_kind[i] == MODULATED:
            stand(m, i, now_ns)
        if m.s_claims[i] == Claim.PCS:
            m.x_order[count] = i
            count += 1
            may = not (cooling(m, i) or resting(m, i, now_ns) or unseen(m, i, now_ns))
            m.x_size[i] = may
            m.x_worth[i] = 1
            for r in range(m.rows):
                k = i * m.rows + r
                need = m.f_limit_coef[k] * demand(m, i, r, now_ns)
                m.x_limit_coef[k] = max(need - m.x_least[r], min(need, 1))
                if r < LEG_ROWS:
                    m.x_worth[i] += m.x_limit_coef[k]
    sort(m.x_order, count, m.x_rank)
    return count


def stand(m: Cells, i: int, now_ns: int) -> None:
    """What modulated load `i` takes of the room now, and what it is charged with."""
    least(m, i, now_ns, True)
    goes = leaving(m, i, now_ns)
    # A hair above its set-point is inside the restore margin.
    near = m.s_netted[i] != 0 and not above(m, i, m.s_set_ma[i])
    for r in range(m.rows):
        k = i * m.rows + r
        m.x_room[r] -= m.x_least[r]
        if goes:
            m.x_opening[r] += m.f_meter_coef[k] * inside(m, i, r)
        m.x_drawn[r] += m.f_limit_coef[k] * m.s_set_ma[i] if near else charge(m, i, r)


def choose(m: Cells, count: int, now_ns: int) -> int:
    """Tell each load what it waits for, and have room made; which may close now, or -1."""
    fresh = mains_fresh(m, now_ns)
    staged = m.s_restored_ns[0] != 0
    staged = staged and now_ns - m.s_restored_ns[0] < m.f_restore_interval_ns[0]
    chosen = -1
    displaced = False
    pushing = False
    for a in range(count):
        i = m.x_order[a]
        if m.x_taken[i]:
            for r in range(m.rows):
                m.x_left[r] -= m.x_limit_coef[i * m.rows + r]
        if cannot_close(m, i, now_ns):
            continue
        ways = 0
        if not m.x_taken[i]:
            short = find_missing(m, i)
            if not displaced:
                ways = who_gives_way(m, i, now_ns)
            displaced = displaced or ways > 0  # only the first that can push others aside
            if ways == 0 and short:
                row, missing_ma = shortest(m, i, m.x_limit_coef, m.x_left)
                m.s_room_since_ns[i] = 0
                wait(m, i, Wait.NO_ROOM, row, missing_ma)
                continue
        if m.s_room_since_ns[i] == 0 and fresh:
            m.s_room_since_ns[i] = now_ns
        if now_ns - m.s_opened_ns[i] < m.f_min_off_ns[i]:
            wait(m, i, Wait.MIN_OFF, -1, 0)
            continue
        # Nobody of a later rank takes the room that an earlier one is having made.
        first = chosen < 0 and not pushing
        pushing = pushing or not m.x_taken[i]
        if not fresh or now_ns - m.s_room_since_ns[i] < m.f_restore_hold_ns[0]:
            wait(m, i, Wait.STEADY, -1, 0)
        elif not first or staged:
            wait(m, i, Wait.STAGED, -1, 0)
        else:
            if m.x_taken[i]:
                chosen = i
            else:
                make_way(m, i, ways, now_ns)
            wait(m, i, Wait.MAKING_ROOM, -1, 0)
    return chosen


def cannot_close(m: Cells, i: int, now_ns: int) -> bool:
    """Whether something else than room keeps load `i` open; it is told so."""
    code = Wait.NONE
    if unseen(m, i, now_ns):
        code = Wait.BLIND
    elif cooling(m, i):
        code = Wait.COOLING
    elif resting(m, i, now_ns):
        code = Wait.WORN
    if code == Wait.NONE:
        return False
    m.s_room_since_ns[i] = 0
    wait(m, i, code, -1, 0)
    return True


def find_missing(m: Cells, i: int) -> bool:
    """Per row (`x_missing`): what load `i` is missing besides what flies; whether anything is."""
    short = False
    for r in range(m.rows):
        need = m.x_limit_coef[i * m.rows + r]
        m.x_missing[r] = max(0, need - m.x_left[r] - m.x_opening[r]) if need else 0
        if m.x_missing[r]:
            short = True
    return short


def make_way(m: Cells, i: int, ways: int, now_ns: int) -> None:
    """Open those who give way to load `i`."""
    row, missing_ma = shortest(m, i, m.x_limit_coef, m.x_left)
    for b in range(ways):
        shed(m, m.x_way[b], Reason.GAVE_WAY, row, missing_ma, now_ns)


def who_gives_way(m: Cells, i: int, now_ns: int) -> int:
    """Closed loads of later tiers, the last first, that would make room for load `i` (`x_way`).

    How many; none when all of them would not do, so that nobody is opened in vain.
    """
    count = 0
    for k in range(m.n - 1, -1, -1):
        if m.x_rank[k] > m.x_rank[i] and (lingers(m, k, now_ns) or may_yield(m, k, now_ns)):
            m.x_key[k] = -m.x_rank[k]
            m.x_later[count] = k
            count += 1
    sort(m.x_later, count, m.x_key)
    ways = 0
    for a in range(count):
        k = m.x_later[a]
        relief(m, k, now_ns)
        helps = False
        for r in range(m.rows):
            worth_it = m.x_least[r] >= m.f_scale[r] * m.f_relief_ma[0]
            if worth_it and m.x_missing[r] > 0:
                helps = True
        if helps:
            m.x_way[ways] = k
            ways += 1
            for r in range(m.rows):
                m.x_missing[r] -= m.x_least[r]
    for r in range(m.rows):
        if m.x_missing[r] > 0:
            return 0
    return ways


def may_yield(m: Cells, k: int, now_ns: int) -> bool:
    """Whether load `k` may be opened, or paused, for the sake of another."""
    if m.s_claims[k] or m.s_stale[k] or stays(m, k, now_ns):
        return False
    if m.f_kind[k] == SWITCHED:
        return m.s_closed[k] == 1 and relay_seen(m, k, now_ns)
    return m.f_can_pause[k] == 1 and m.s_set_ma[k] > 0 and not deaf(m, k, now_ns)


def relief(m: Cells, k: int, now_ns: int) -> None:
    """Per row (`x_least`): how much more room there is for others without load `k`."""
    if m.f_kind[k] == MODULATED:
        least(m, k, now_ns, True)
    for r in range(m.rows):
        e = k * m.rows + r
        if m.f_kind[k] == SWITCHED:
            m.x_least[r] = m.f_meter_coef[e] * m.s_meas_ma[e]
        else:
            m.x_least[r] += m.f_meter_coef[e] * inside(m, k, r)


def close(m: Cells, i: int, now_ns: int) -> None:
    """Close load `i`, or start a modulated one at its floor: nobody holds it open any more."""
    m.s_claims[i] = 0
    m.s_restored_ns[0] = now_ns
    m.s_closed_ns[i] = now_ns
    m.s_room_since_ns[i] = 0
    m.s_disturbed[0] = 1
    explain(m, i, Reason.NONE, -1, 0, now_ns, 0)
    if m.f_relay_slot[i] >= 0 and m.s_closed[i] == 0:
        m.s_closed[i] = 1
        m.s_order_ns[i] = now_ns
        m.s_order_pending[i] = 1
        wear(m, i, now_ns)
    if m.f_kind[i] == MODULATED:
        lift(m, i, m.f_floor_ma[i], now_ns)
