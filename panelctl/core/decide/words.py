"""Small words that every part of the decision uses: what a load draws, may draw, was told."""

from __future__ import annotations

from panelctl.core.decide.arith import floordiv
from panelctl.core.decide.cells import Cells, Words
from panelctl.core.state.layout import LEG_ROWS, MODULATED
from panelctl.core.thermal import PPM
from panelctl.model.metering import Quality
from panelctl.model.reason import Wait

RELIEF_COUNTS = 4  # minimum off times
WEAR_BURST = 20  # operations that a relay may make as fast as the other rules let it


def fresh(m: Cells, slot: int, stale_ns: int, now_ns: int) -> bool:
    """Whether the reading of a slot is good and not old. A slot that is not there is not missed."""
    if slot < 0:
        return True
    return m.quality[slot] == Quality.GOOD and now_ns - m.sampled_ns[slot] <= stale_ns


def mains_fresh(m: Cells, now_ns: int) -> bool:
    """Whether the mains reading is fresh."""
    return now_ns - m.s_mains_ns[0] <= m.f_fresh_ns[0]


def relay_seen(m: Cells, i: int, now_ns: int) -> bool:
    """Whether the relay of load `i` is read; one without a relay is closed for sure."""
    return fresh(m, m.f_relay_slot[i], m.f_relay_stale_ns[0], now_ns)


def draw(m: Cells, i: int) -> int:
    """What load `i` draws on the leg where it draws most, mA."""
    most_ma = m.s_meas_ma[i * m.rows]
    for r in range(1, LEG_ROWS):
        most_ma = max(most_ma, m.s_meas_ma[i * m.rows + r])
    return most_ma


def draw_on(m: Cells, i: int, r: int) -> int:
    """What switched load `i` draws on row `r`: measured, or its demand while never measured."""
    k = i * m.rows + r
    return m.s_meas_ma[k] if m.s_measured[i] else m.f_demand_ma[k]


def demand(m: Cells, i: int, r: int, now_ns: int) -> int:
    """What must be free on row `r` before load `i` may close or start.

    What it drew when it was opened counts as well, for so long as that may not have been a start:
    otherwise a motor that was shed while it started would never be restored.
    """
    k = i * m.rows + r
    if m.f_kind[i] == MODULATED:
        return m.f_floor_ma[i]
    need_ma = max(m.f_demand_ma[k], m.f_relief_ma[0])
    if now_ns - m.s_opened_ns[i] < RELIEF_COUNTS * m.f_min_off_ns[i]:
        need_ma = max(need_ma, m.s_relief_of_ma[k])
    return max(need_ma, m.f_inrush_ma[k]) if m.s_hard[r] else need_ma


def margin_of(m: Cells, r: int, least_ma: int) -> int:
    """What is kept free of row `r`, mA: on a hard limit also what the household may rise by."""
    return max(least_ma, m.s_margin_ma[r]) if m.s_hard[r] else least_ma


def error(m: Cells, ma: int) -> int:
    """How much more than it shows a meter may have measured, mA."""
    return floordiv(ma * m.f_error_ppm[0], PPM)


def charge(m: Cells, i: int, r: int) -> int:
    """What modulated load `i` must be counted with on row `r`: drawn or allowed, the larger.

    This is the envelope: whatever its ramp does meanwhile, it stays between the two.
    """
    k = i * m.rows + r
    if not m.s_netted[i]:
        return 0
    return m.f_limit_coef[k] * max(m.s_meas_ma[k] + error(m, m.s_meas_ma[k]), m.s_set_ma[i])


def above(m: Cells, i: int, ma: int) -> bool:
    """Whether load `i` draws more than so much, its tolerance left out."""
    return draw(m, i) > ma + floordiv(ma * m.f_tolerance_ppm[i], PPM) + m.f_tolerance_ma[0]


def disobeys(m: Cells, i: int) -> bool:
    """Whether modulated load `i` draws more than it was allowed within its settling time."""
    return above(m, i, max(m.s_peak_setpoint_ma[i], m.s_prev_peak_setpoint_ma[i]))


def lower(m: Cells, i: int, ma: int) -> None:
    """Bring the set-point of load `i` down to so much."""
    if ma < m.s_set_ma[i]:
        m.s_set_ma[i] = ma
        m.s_moved_ns[i] = m.s_step_ns[0]


def lift(m: Cells, i: int, ma: int, now_ns: int) -> None:
    """Raise the set-point of load `i` to so much."""
    m.s_set_ma[i] = ma
    m.s_raised_ns[i] = now_ns
    m.s_moved_ns[i] = now_ns
    m.s_peak_setpoint_ma[i] = max(m.s_peak_setpoint_ma[i], ma)


def wear(m: Cells, i: int, now_ns: int) -> None:
    """Note an operation of load `i`'s relay."""
    m.s_worn_ns[i] = max(m.s_worn_ns[i], now_ns) + m.f_wear_ns[i]


def resting(m: Cells, i: int, now_ns: int) -> bool:
    """Whether the relay of load `i` moved so often that it has to rest before it closes.

    Whoever was off for as long as it may be does not wait for its relay.
    """
    return m.s_worn_ns[i] - now_ns > WEAR_BURST * m.f_wear_ns[i] and not m.s_promoted[i]


def wait(m: Cells, i: int, code: int, row: int, ma: int) -> None:
    """What load `i` waits for."""
    m.s_wait[i] = code
    m.s_wait_row[i] = row
    m.s_wait_ma[i] = ma


def explain(m: Cells, i: int, reason: int, row: int, ma: int, now_ns: int, until_ns: int) -> None:
    """Why load `i` is as it is, and that it waits for nothing else."""
    if m.s_reason[i] != reason:
        m.s_since_ns[i] = now_ns
    m.s_reason[i] = reason
    m.s_reason_row[i] = row
    m.s_reason_ma[i] = ma
    m.s_until_ns[i] = until_ns
    wait(m, i, Wait.NONE, -1, 0)


def order_open(m: Cells, i: int, now_ns: int) -> None:
    """Order the relay of load `i` open, if it has one that is closed."""
    if m.s_closed[i] == 1 and m.f_relay_slot[i] >= 0:
        m.s_closed[i] = 0
        m.s_order_ns[i] = now_ns
        m.s_order_pending[i] = 1
        m.s_opening[i] = 1
        wear(m, i, now_ns)
        m.s_disturbed[0] = 1
        for r in range(m.rows):
            m.s_relief_of_ma[i * m.rows + r] = draw_on(m, i, r)
        m.s_opened_ns[i] = now_ns
    elif m.f_kind[i] != MODULATED:
        m.s_opened_ns[i] = now_ns


def sort(order: Words, count: int, key: Words) -> None:
    """Sort the first `count` numbers by key; equals stay in the order in which they come."""
    for a in range(1, count):
        i = order[a]
        b = a
        while b > 0 and key[order[b - 1]] > key[i]:
            order[b] = order[b - 1]
            b -= 1
        order[b] = i
