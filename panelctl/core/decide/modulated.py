"""How modulated loads stand: what each counts with, and whether it may stop, leaves or lingers.

Rules
- What a modulated load may draw and does not draw opens nobody's relay.
- Whoever was told to go counts as gone while it has time to obey, and then with what it draws.
"""

from __future__ import annotations

from panelctl.core.decide.cells import Cells
from panelctl.core.decide.words import disobeys, relay_seen
from panelctl.core.state.layout import MODULATED


def house(m: Cells) -> None:
    """Per row (`x_house`): what flows without the modulated loads whose own meters were fresh."""
    for r in range(m.rows):
        m.x_house[r] = m.f_scale[r] * m.s_flow_ma[r]
    for i in range(m.n):
        if m.f_kind[i] == MODULATED:
            for r in range(m.rows):
                m.x_house[r] -= m.s_at_mains_ma[i * m.rows + r]


def least(m: Cells, i: int, now_ns: int, waits: bool) -> None:
    """Per row (`x_least`): what modulated load `i` can be brought down to; within `react_ns`, or,
    for who `waits` until the room is really there, at all.
    """
    if not m.s_netted[i]:
        for r in range(m.rows):
            m.x_least[r] = 0  # its draw is still inside the mains sum
        return
    late = m.s_claims[i] != 0 and not leaving(m, i, now_ns)
    stays_up = deaf(m, i, now_ns)
    if not waits:
        stays_up = disobeys(m, i) or m.f_settle_ns[i] > m.f_react_ns[0]
    floor_ma = m.f_floor_ma[i] if m.s_set_ma[i] > 0 else 0
    for r in range(m.rows):
        ma = floor_ma
        if late or stays_up:
            ma = max(ma, m.s_meas_ma[i * m.rows + r])
        m.x_least[r] = m.f_limit_coef[i * m.rows + r] * ma


def flowing(m: Cells, i: int, now_ns: int) -> None:
    """Per row (`x_least`): what of that flows already. A charger without a car has its least
    current and takes nothing of it; when the car comes, that is an excess like any other. Not where
    a breaker's credit is used: so near to its heat there is no time to wait for the car.
    """
    least(m, i, now_ns, False)
    for r in range(m.rows):
        if not m.f_credit[r]:
            k = i * m.rows + r
            m.x_least[r] = min(m.x_least[r], m.f_limit_coef[k] * m.s_meas_ma[k])


def inside(m: Cells, i: int, r: int) -> int:
    """What modulated load `i`, if its own meter is old, surely takes of the mains sum, mA.

    It is told no more than its fallback; what it drew last may be less than its floor.
    """
    if m.s_netted[i]:
        return 0
    if not m.s_measured[i]:
        return m.f_floor_ma[i]
    return min(m.f_floor_ma[i], m.s_meas_ma[i * m.rows + r])


def deaf(m: Cells, i: int, now_ns: int) -> bool:
    """Whether modulated load `i` has not done as it was told for so long that nobody waits."""
    over_ns = now_ns - m.s_over_ns[i] if m.s_over_ns[i] else 0
    return over_ns >= m.f_node_fault_ns[0] and disobeys(m, i)


def stays(m: Cells, i: int, now_ns: int) -> bool:
    """Whether load `i` is inside its minimum on time."""
    return m.s_closed_ns[i] > 0 and now_ns - m.s_closed_ns[i] < m.f_min_on_ns[i]


def may_pause(m: Cells, i: int) -> bool:
    """Whether modulated load `i` runs and may be told to stop for the sake of a limit."""
    return m.f_can_pause[i] == 1 and m.s_set_ma[i] > 0


def leaving(m: Cells, i: int, now_ns: int) -> bool:
    """Whether modulated load `i` was just told to go: its relay moves, or it may still obey."""
    time_ns = min(m.f_settle_ns[i], m.f_react_ns[0])
    return m.s_opening[i] != 0 or (m.s_claims[i] != 0 and now_ns - m.s_opened_ns[i] < time_ns)


def lingers(m: Cells, i: int, now_ns: int) -> bool:
    """Whether load `i` is a node that was stopped, had time to obey, and is closed."""
    return (
        m.f_compute[i] == 1
        and m.f_relay_slot[i] >= 0
        and m.s_claims[i] != 0
        and m.s_closed[i] == 1
        and now_ns - m.s_opened_ns[i] >= m.f_node_open_ns[0] - m.f_node_fault_ns[0]
        and relay_seen(m, i, now_ns)
    )
