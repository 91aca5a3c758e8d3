"""What is seen: meters, sources, mains, rows, margins.

Rules
- No reading that is old, missing or marked bad enters a sum as if it were fresh.
- A row whose own meter is old gives no room: every load on it counts as unread.
- A current flows out only where a source behind the lugs explains it: a transformer that was put on
  the wrong way round must not look like an export.
- What PV or a battery gives relieves a row only as far as it is firm. The rest, and what the loads
  of the other leg take off the neutral, is `contingency_ma`: set-points and restores leave it
  free, and no relay opens for it.
- A source that cannot be read gives nothing, explains nothing and may fall away whole.
- Two readings are never of one moment: what falls away is left free for a while longer.
"""

from __future__ import annotations

from panelctl.core.decide.arith import ceildiv, floordiv, magnitude
from panelctl.core.decide.cells import Cells
from panelctl.core.decide.words import fresh
from panelctl.core.state.layout import LEG_ROWS, MODULATED, SWITCHED
from panelctl.core.state.machine import Age
from panelctl.core.thermal import PPM
from panelctl.model.metering import Quality
from panelctl.model.relay import Claim

OUT_DIVISOR = 8  # sources explain an export that is an eighth larger than they show
OUT_MA = 2_000  # and besides that an export larger by so much: the meters are not one
AGES = len(Age)


def drawn(m: Cells, slot: int) -> int:
    """What a slot shows as drawn, mA; nothing where there is no slot."""
    return max(m.value[slot], 0) if slot >= 0 else 0


def more_than(m: Cells, slot: int, other: int) -> int:
    """How much more one leg of a load draws than its other one, mA: that is in the neutral."""
    return max(drawn(m, slot) - drawn(m, other), 0)


def measure(m: Cells, now_ns: int) -> None:
    """Every load's own meter, and the meters of rows behind the main lugs."""
    for r in range(LEG_ROWS, m.rows):
        stale_ns = m.f_row_stale_ns[r]
        m.s_row_old[r] = stale_ns != 0 and not (
            fresh(m, m.f_row_slot[r], stale_ns, now_ns)
            and fresh(m, m.f_row_slot2[r], stale_ns, now_ns)
            and fresh(m, m.f_less_slot[r], stale_ns, now_ns)
        )
    for i in range(m.n):
        measure_load(m, i, now_ns)


def measure_load(m: Cells, i: int, now_ns: int) -> None:
    """What load `i` draws on every row that it is on, and whether that is known."""
    unread = 0
    old = 0
    for r in range(m.rows):
        k = i * m.rows + r
        one = m.f_slot[k]
        two = m.f_slot2[k]
        meters = (one >= 0) + (two >= 0)
        if meters == 0:
            continue
        if not fresh(m, one, m.f_stale_ns[i], now_ns) or not fresh(m, two, m.f_stale_ns[i], now_ns):
            unread = 1
        elif m.f_less_slot[r] >= 0 and meters == 2:
            m.s_meas_ma[k] = more_than(m, one, two)
        else:
            m.s_meas_ma[k] = ceildiv(drawn(m, one) + drawn(m, two), meters)
        if m.s_row_old[r]:
            old = 1
    m.s_unread[i] = unread
    m.s_stale[i] = unread | old
    if not m.s_stale[i]:
        m.s_measured[i] = 1


def see_sources(m: Cells, now_ns: int) -> None:
    """What PV and batteries give now, what of it is known, and what is firm."""
    for j in range(m.source_legs):
        stale_ns = m.f_source_stale_ns[j]
        if not fresh(m, m.f_source_slot[j], stale_ns, now_ns):
            m.s_may_ma[j] = max(m.s_out_ma[j], m.f_source_most_ma[j])
            m.s_gives_ma[j] = 0
            m.s_high_ma[j] = 0
            m.s_older_high_ma[j] = 0
            forget(m, j, now_ns)
            continue
        m.s_out_ma[j] = magnitude(m.value[m.f_source_slot[j]])
        one = m.f_source_w_slot[j]
        two = m.f_source_w_slot2[j]
        seen = fresh(m, one, stale_ns, now_ns) and fresh(m, two, stale_ns, now_ns)
        watts = (m.value[one] if one >= 0 else 0) + (m.value[two] if two >= 0 else 0)
        if seen and watts > 0:
            m.s_out_ma[j] = 0  # a battery that charges
        # The mains reading may be older: what a source gave then may still fall away.
        if now_ns - m.s_high_ns[j] >= m.f_fresh_ns[0]:
            m.s_older_high_ma[j] = m.s_high_ma[j]
            m.s_high_ma[j] = m.s_out_ma[j]
            m.s_high_ns[j] = now_ns
        m.s_high_ma[j] = max(m.s_high_ma[j], m.s_out_ma[j])
        m.s_gives_ma[j] = max(m.s_high_ma[j], m.s_older_high_ma[j])
        m.s_may_ma[j] = m.s_gives_ma[j]
        if seen:
            see_firm(m, j, now_ns)
        else:
            m.s_gives_ma[j] = 0
            forget(m, j, now_ns)  # it may be charging


def see_firm(m: Cells, j: int, now_ns: int) -> None:
    """What of a source is there to stay: a share of the least that it gave lately."""
    if now_ns - m.s_low_ns[j] >= m.f_source_window_ns[j]:
        m.s_older_low_ma[j] = m.s_low_ma[j] if m.s_low_ns[j] else 0
        m.s_low_ma[j] = m.s_out_ma[j]
        m.s_low_ns[j] = now_ns
    m.s_low_ma[j] = min(m.s_low_ma[j], m.s_out_ma[j])
    least_ma = min(m.s_low_ma[j], m.s_older_low_ma[j])
    m.s_firm_ma[j] = floordiv(least_ma * m.f_source_firm_ppm[j], PPM)


def forget(m: Cells, j: int, now_ns: int) -> None:
    """Nothing of a source is firm until it has been seen for a whole window again."""
    m.s_firm_ma[j] = 0
    m.s_low_ma[j] = 0
    m.s_older_low_ma[j] = 0
    m.s_low_ns[j] = now_ns


def set_contingency(m: Cells) -> None:
    """What every row would carry besides what it does: on the mains reading just taken."""
    for r in range(m.rows):
        m.s_contingency_ma[r] = 0
        if m.f_less_slot[r] >= 0:
            top_ma = max(m.s_top_ma[r], m.s_older_top_ma[r])
            m.s_contingency_ma[r] = max(top_ma - m.s_rest_ma[r], 0)
        for j in range(m.source_legs):
            k = j * m.rows + r
            m.s_contingency_ma[r] += m.f_relieves[k] * (m.s_may_ma[j] - m.s_firm_ma[j])
            m.s_contingency_ma[r] += m.f_adds[k] * (m.s_may_ma[j] - m.s_out_ma[j])
        for i in range(m.n):
            if m.f_opposite_leg[i * m.rows + r]:
                m.s_contingency_ma[r] += may_go(m, i, r)


def may_go(m: Cells, i: int, r: int) -> int:
    """What load `i` may draw on the other side of row `r`, and so may take away, mA."""
    k = i * m.rows + r
    unsure = m.s_unread[i] != 0 and m.s_closed[i] != 0
    if m.f_slot2[k] >= 0:  # on both sides: what it draws more on the other one
        most_ma = more_than(m, m.f_slot2[k], m.f_slot[k])
        return max(most_ma, m.f_demand_ma[k]) if unsure else most_ma
    most_ma = m.s_meas_ma[i * m.rows]
    needs_ma = m.f_demand_ma[i * m.rows]
    for leg in range(1, LEG_ROWS):
        most_ma = max(most_ma, m.s_meas_ma[i * m.rows + leg])
        needs_ma = max(needs_ma, m.f_demand_ma[i * m.rows + leg])
    if unsure:
        most_ma = max(most_ma, m.s_set_ma[i] if m.f_kind[i] == MODULATED else needs_ma)
    return most_ma


def directed(m: Cells, slot: int, sign_slot: int, unknown: int) -> int:
    """A current of the mains with the direction of its power, mA; positive is import.

    Where the direction matters and is not known, the current counts as `unknown`: its power cannot
    be read, or it flows out and no source of its leg gives so much.
    """
    if slot < 0:
        return 0
    if sign_slot < 0:
        return max(m.value[slot], 0)
    ma = magnitude(m.value[slot])
    in_time = m.sampled_ns[sign_slot] + m.f_fresh_ns[0] >= m.sampled_ns[slot]
    if m.quality[sign_slot] != Quality.GOOD or not in_time:
        return unknown * ma
    if m.value[sign_slot] >= 0:
        return ma
    leg = 1 if slot != m.f_row_slot[0] else 0
    gives_ma = 0
    for j in range(m.source_legs):
        gives_ma += m.f_relieves[j * m.rows + leg] * m.s_gives_ma[j]
    return -ma if ma <= gives_ma + floordiv(gives_ma, OUT_DIVISOR) + OUT_MA else unknown * ma


def see_mains(m: Cells, now_ns: int) -> None:
    """The mains, the rows with them, and what the controller may do for so much sight."""
    sampled_ns = m.sampled_ns[m.f_row_slot[0]]
    good = True
    for r in range(LEG_ROWS):
        sampled_ns = min(sampled_ns, m.sampled_ns[m.f_row_slot[r]])
        good = good and m.quality[m.f_row_slot[r]] == Quality.GOOD
    if good and sampled_ns > m.s_mains_ns[0]:
        m.s_mains_ns[0] = sampled_ns
        take_mains(m)
        if now_ns - sampled_ns <= m.f_fresh_ns[0]:
            m.s_good[0] = min(m.s_good[0] + 1, m.f_good_needed[0])
    age_ns = now_ns - m.s_mains_ns[0]
    if age_ns > m.f_fresh_ns[0]:
        m.s_good[0] = 0
    age = (age_ns > m.f_fresh_ns[0]) + (age_ns > m.f_hold_ns[0]) + (age_ns > m.f_shed_ns[0])
    enough = 1 if m.s_good[0] >= m.f_good_needed[0] else 0
    whole = 1
    for i in range(m.n):
        if m.s_stale[i]:
            whole = 0
    # As states.place() counts.
    m.s_state[0] = m.f_next_state[((m.s_state[0] * AGES + age) * 2 + enough) * 2 + whole]


def take_mains(m: Cells) -> None:
    """A new mains reading. What is taken out of it is what flowed when it was taken, not later."""
    for r in range(LEG_ROWS):
        m.s_flow_ma[r] = directed(m, m.f_row_slot[r], m.f_sign_slot[r], 1)
        m.s_row_ma[r] = max(m.s_flow_ma[r], 0)
    for i in range(m.n):
        if m.f_kind[i] != MODULATED:
            continue
        m.s_netted[i] = 1 - m.s_stale[i]
        for r in range(m.rows):
            k = i * m.rows + r
            if r < LEG_ROWS or m.f_row_slot[r] < 0:
                m.s_at_mains_ma[k] = m.s_netted[i] * m.f_meter_coef[k] * m.s_meas_ma[k]
            else:
                m.s_at_mains_ma[k] *= m.s_netted[i]
    for r in range(LEG_ROWS, m.rows):
        see_row(m, r)


def see_row(m: Cells, r: int) -> None:
    """What a row behind the legs carries, and its modulated loads' part at the same time."""
    one = m.f_row_slot[r]
    two = m.f_row_slot2[r]
    less = m.f_less_slot[r]
    if one < 0:
        m.s_flow_ma[r] = sum_of_loads(m, r)
        m.s_row_ma[r] = m.s_flow_ma[r]
        return
    sampled_ns = m.sampled_ns[one]
    if two >= 0:
        sampled_ns = min(sampled_ns, m.sampled_ns[two])
    if less >= 0:
        sampled_ns = min(sampled_ns, m.sampled_ns[less])
    if m.s_row_old[r] or sampled_ns <= m.s_row_seen_ns[r]:
        return
    m.s_row_seen_ns[r] = sampled_ns
    carried_ma = directed(m, one, m.f_sign_slot[r], 1)
    carried_ma += directed(m, two, m.f_sign_slot2[r], 1)
    carried_ma -= directed(m, less, m.f_sign_slot2[r], -1)
    for j in range(m.source_legs):
        carried_ma += m.f_adds[j * m.rows + r] * m.s_out_ma[j]
    m.s_flow_ma[r] = carried_ma
    m.s_row_ma[r] = max(carried_ma, 0)
    for i in range(m.n):
        if m.f_kind[i] == MODULATED:
            k = i * m.rows + r
            m.s_at_mains_ma[k] = m.s_netted[i] * m.f_meter_coef[k] * m.s_meas_ma[k]
            carried_ma -= m.s_at_mains_ma[k]
    if less >= 0:
        hold(m, r, carried_ma, sampled_ns)


def hold(m: Cells, r: int, rest_ma: int, sampled_ns: int) -> None:
    """What the other leg draws more earns room once its loads' own meters have been read."""
    m.s_rest_ma[r] = rest_ma
    if sampled_ns - m.s_top_ns[r] >= m.f_relay_stale_ns[0]:
        m.s_older_top_ma[r] = m.s_top_ma[r] if m.s_top_ns[r] else rest_ma
        m.s_top_ma[r] = rest_ma
        m.s_top_ns[r] = sampled_ns
    m.s_top_ma[r] = max(m.s_top_ma[r], rest_ma)


def sum_of_loads(m: Cells, r: int) -> int:
    """What a row without a meter carries, mA: its own loads, each as drawn or as it may draw.

    A meter is believed whatever the relay is said to be; without one only a load that is surely
    open draws nothing.
    """
    total = 0
    for i in range(m.n):
        k = i * m.rows + r
        if m.f_kind[i] == SWITCHED:
            if not m.s_stale[i]:
                total += m.f_meter_coef[k] * m.s_meas_ma[k]
            elif m.s_closed[i] != 0 or m.s_claims[i] & Claim.FAULT:
                total += m.f_meter_coef[k] * max(m.s_meas_ma[k], m.f_demand_ma[k])
        elif m.s_netted[i]:
            total += m.s_at_mains_ma[k]
        else:
            total += m.f_meter_coef[k] * max(m.s_meas_ma[k], m.s_set_ma[i])
    return floordiv(total, m.f_scale[r])
