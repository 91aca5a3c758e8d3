"""Which circuits must open.

Rules
- A relay moves after a confirmed excess (`confirm_ns`), and never to no effect.
- The closed loads are served by the ladder under the shed limit; who is not served must open.
- The node's floor stands before the household of its tier: it is capped first and stopped last.
- A node that was stopped has no place to keep: where it is still in the way, its relay opens first.
- While its floor fits, a node is not stopped for being on its way there; the others bridge.
"""

from __future__ import annotations

from panelctl.core.decide.arith import floordiv
from panelctl.core.decide.cells import Cells, Words
from panelctl.core.decide.modulated import flowing, inside, leaving, lingers, may_pause, stays
from panelctl.core.decide.serve import serve
from panelctl.core.decide.words import (
    above,
    draw_on,
    explain,
    lower,
    mains_fresh,
    order_open,
    relay_seen,
    sort,
)
from panelctl.core.state.layout import LEG_ROWS, MAX_LOADS, MODULATED, SWITCHED
from panelctl.model.keys import MAX_TIER
from panelctl.model.reason import Reason
from panelctl.model.relay import Claim

HOT_PPM = 900_000  # a breaker so near to tripping is relieved without waiting for confirmation
STAYS = 1 << 30  # worth of a load inside its minimum on time, among equals
STOPS_LAST = 1 << 38  # worth of the node's floor among equals: more than all others together
LAST_RANK = MAX_TIER + 2  # of a node that was stopped


def promote(m: Cells, now_ns: int) -> None:
    """Who was off for as long as it may be is served before every tier, until it has run."""
    for i in range(m.n):
        if m.f_kind[i] != SWITCHED:
            continue
        if m.s_claims[i] == Claim.PCS:
            if m.f_max_off_ns[i] and now_ns - m.s_opened_ns[i] >= m.f_max_off_ns[i]:
                m.s_promoted[i] = 1
        elif m.s_claims[i] or now_ns - m.s_closed_ns[i] >= m.f_min_on_ns[i]:
            m.s_promoted[i] = 0


def rank(m: Cells, i: int) -> int:
    """The tier that load `i` is served on: 0 for one that was promoted, else from 1.

    A node that was stopped comes after the whole household, and pushes nobody aside.
    """
    if m.f_compute[i] and m.s_claims[i]:
        return LAST_RANK
    return 0 if m.s_promoted[i] else m.s_tier[i] + 1


def shortest(m: Cells, i: int, coef: Words, room: Words) -> tuple[int, int]:
    """The row on which load `i` is missing most, and by how many mA."""
    row = -1
    short_ma = 0
    for r in range(m.rows):
        need = coef[i * m.rows + r]
        if need == 0 or need <= room[r]:
            continue
        missing_ma = floordiv(need - room[r], m.f_scale[r])
        if row < 0 or missing_ma > short_ma:
            row = r
            short_ma = missing_ma
    return row, short_ma


def clear(m: Cells, i: int) -> None:
    """Nobody has weighed load `i` yet; only its rank is known."""
    m.x_size[i] = 0
    m.x_worth[i] = 0
    m.x_taken[i] = 0
    m.x_rank[i] = rank(m, i)
    for r in range(m.rows):
        m.x_limit_coef[i * m.rows + r] = 0


def shed_excess(m: Cells, now_ns: int) -> None:
    """Which closed loads must open: served in rank order under the limit itself."""
    for r in range(m.rows):
        m.x_room[r] = m.f_scale[r] * m.s_shed_limit_ma[r] - m.x_house[r]
    count = 0
    for i in range(m.n):
        clear(m, i)
        # Inside a tier the node is kept first, then who is still inside its minimum on time.
        leaves = 0 if m.f_compute[i] or stays(m, i, now_ns) else 1
        m.x_key[i] = (2 * m.x_rank[i] + leaves) * MAX_LOADS + i
        if m.f_kind[i] == SWITCHED and weigh_switched(m, i, now_ns):
            m.x_order[count] = i
            count += 1
    down = -1  # the node on its way to its floor
    for i in range(m.n):
        if m.f_kind[i] == MODULATED and weigh_modulated(m, i, now_ns):
            m.x_order[count] = i
            count += 1
            if m.f_compute[i] and is_ahead(m):
                down = i
    sort(m.x_order, count, m.x_key)
    for r in range(m.rows):
        m.x_before[r] = m.x_room[r]
    serve(m, count, m.x_rank, m.x_limit_coef, True)
    if down >= 0 and m.x_taken[down]:
        count = serve_the_others(m, down, count)
    shed_unserved(m, count, now_ns)


def weigh_switched(m: Cells, i: int, now_ns: int) -> bool:
    """What switched load `i` needs to stay, and whether it is up for that."""
    if m.s_opening[i]:
        for r in range(m.rows):
            m.x_room[r] += m.f_meter_coef[i * m.rows + r] * m.s_relief_of_ma[i * m.rows + r]
        return False
    if m.s_closed[i] != 1 or m.s_claims[i] or not relay_seen(m, i, now_ns):
        return False
    for r in range(m.rows):
        k = i * m.rows + r
        draw_ma = draw_on(m, i, r)
        # Less than this is not worth a relay operation.
        if m.f_limit_coef[k] == 0 or m.f_meter_coef[k] * draw_ma < m.f_scale[r] * m.f_relief_ma[0]:
            continue
        m.x_limit_coef[k] = m.f_limit_coef[k] * draw_ma
        m.x_size[i] = 1
        m.x_room[r] += m.f_meter_coef[k] * draw_ma
        if r < LEG_ROWS:
            m.x_worth[i] += draw_ma
    if m.x_size[i]:
        m.x_worth[i] += STAYS if stays(m, i, now_ns) else 1
    return m.x_size[i] != 0


def weigh_modulated(m: Cells, i: int, now_ns: int) -> bool:
    """What modulated load `i` needs to stay, and whether it is up for that."""
    flowing(m, i, now_ns)
    for r in range(m.rows):
        inside_ma = inside(m, i, r)
        m.x_least[r] += m.f_limit_coef[i * m.rows + r] * inside_ma
        m.x_room[r] += m.f_meter_coef[i * m.rows + r] * inside_ma
    if leaving(m, i, now_ns):
        return False
    remains = lingers(m, i, now_ns)
    if not remains and not may_pause(m, i):
        for r in range(m.rows):
            m.x_room[r] -= m.x_least[r]
        return False
    if m.f_compute[i]:
        put_ahead(m, i, remains)
    for r in range(m.rows):
        if not remains or m.x_least[r] >= m.f_scale[r] * m.f_relief_ma[0]:
            m.x_limit_coef[i * m.rows + r] = m.x_least[r]
    m.x_size[i] = 1
    m.x_worth[i] = STOPS_LAST if m.f_compute[i] and not remains else 1
    return True


def put_ahead(m: Cells, i: int, remains: bool) -> None:
    """Set apart (`x_ahead`) what a node on its way down takes above its floor."""
    down = not remains and m.s_netted[i] != 0 and above(m, i, m.f_floor_ma[i])
    for r in range(m.rows):
        m.x_ahead[r] = 0
        if down:
            floor = m.f_limit_coef[i * m.rows + r] * m.f_floor_ma[i]
            m.x_ahead[r] = max(0, m.x_least[r] - floor)
            m.x_least[r] -= m.x_ahead[r]


def is_ahead(m: Cells) -> bool:
    """Whether the node takes more than its floor anywhere."""
    for r in range(m.rows):
        if m.x_ahead[r]:
            return True
    return False


def serve_the_others(m: Cells, down: int, count: int) -> int:
    """Serve all but the node, which keeps what it takes on its way down; how many these are."""
    others = 0
    for a in range(count):
        if m.x_order[a] != down:
            m.x_order[others] = m.x_order[a]
            others += 1
    for r in range(m.rows):
        m.x_room[r] = m.x_before[r] - m.x_ahead[r] - m.x_limit_coef[down * m.rows + r]
    serve(m, others, m.x_rank, m.x_limit_coef, True)
    return others


def shed_unserved(m: Cells, count: int, now_ns: int) -> None:
    """Open whoever was not served, once the excess is confirmed."""
    must = False
    for a in range(count):
        if not m.x_taken[m.x_order[a]]:
            must = True
    over = False
    hot = False
    for r in range(m.rows):
        if m.s_row_ma[r] > m.s_shed_limit_ma[r]:
            over = True
            if m.s_theta_ppm[r] > HOT_PPM:
                hot = True
    if not must and not over:
        m.s_excess_ns[0] = 0
    elif m.s_excess_ns[0] == 0:
        m.s_excess_ns[0] = now_ns
    confirmed = hot or now_ns - m.s_excess_ns[0] >= m.f_confirm_ns[0]
    if not must or not confirmed or not mains_fresh(m, now_ns):
        return
    for a in range(count):
        i = m.x_order[a]
        if not m.x_taken[i]:
            row, short_ma = shortest(m, i, m.x_limit_coef, m.x_room)
            shed(m, i, Reason.LIMIT, row, short_ma, now_ns)


def cool(m: Cells, now_ns: int) -> None:
    """Open a circuit before its own breaker trips: hot, overloaded, confirmed by a sample."""
    for i in range(m.n):
        if m.f_kind[i] != SWITCHED or not m.s_hot_ns[i] or m.s_claims[i] or m.s_closed[i] != 1:
            continue
        newest_ns = 0
        for leg in range(LEG_ROWS):
            newest_ns = max(newest_ns, m.s_branch_seen_ns[i * LEG_ROWS + leg])
        if newest_ns - m.s_hot_ns[i] >= m.f_confirm_ns[0] and relay_seen(m, i, now_ns):
            shed(m, i, Reason.HOT, -1, 0, now_ns)


def shed(m: Cells, i: int, reason: int, row: int, short_ma: int, now_ns: int) -> None:
    """Open a load until there is room for it again; a modulated one is paused first."""
    before = m.s_claims[i]
    m.s_claims[i] |= Claim.PCS
    if m.f_kind[i] == SWITCHED or before:
        order_open(m, i, now_ns)
    else:
        lower(m, i, 0)
        m.s_opened_ns[i] = now_ns
    if before == 0 or before == Claim.PCS:  # else the other's reason stays
        explain(m, i, reason, row, short_ma, now_ns, now_ns + m.f_min_off_ns[i])
