"""Which circuits may draw what their own meters do not show.

A transformer that has come off shows nothing, and a circuit that draws nothing is never opened for
room: the leg would stay above its limit until the energy counters find out. But the mains see it.

Rules
- Judged are legs whose every circuit has a meter, on panels without sources: there what the mains
  carry and no circuit shows flows where a meter shows too little. An eighth of the mains and 5 A is
  left to meters and skew; a node that shows nothing counts as drawing all that it may.
- Every meter has had its time to show it: each has been read for `LATER_NS` since.
- Which one it is, nobody knows: suspects are the closed circuits with a relay that show nothing on
  that leg.
- Nothing follows before the leg, or the total import, has been above its limit for `OVER_NS`: who
  relieves it by what its meter shows has gone first. Then suspects are in doubt (HIDDEN) and count
  with their demand, like circuits that were never read, so that they are opened in their turn.
- So does a circuit that its energy counter has convicted (ENERGY), at any time.
"""

from __future__ import annotations

from panelctl.core.decide.arith import floordiv, magnitude
from panelctl.core.decide.cells import Cells
from panelctl.core.decide.words import fresh
from panelctl.core.state.layout import LEG_ROWS, SWITCHED
from panelctl.model.metering import Quality
from panelctl.units import NS_PER_MS, NS_PER_S

HIDDEN_LOOK_NS = 1_062 * NS_PER_MS  # no heater is switched in bursts of this period
LATER_NS = 5 * NS_PER_S  # some meters renew their registers every few seconds
OVER_NS = 2 * NS_PER_S  # the leg is above its limit for so long before suspects are opened
HIDDEN_DIVISOR = 8  # mains may carry an eighth more than all circuits show together
HIDDEN_MA = 5_000  # mains may besides carry so much more than they show
NOTHING_MA = 1_000  # a circuit that shows less may have lost its transformer
IMPORT_ROW = LEG_ROWS


def judge_hidden(m: Cells, now_ns: int) -> None:
    """Mark the circuits that may draw more than they show in the latched image, and have them count
    with their demand. Before the energy counters mark what they doubt.
    """
    if now_ns - m.s_hidden_looked_ns[0] >= HIDDEN_LOOK_NS:
        m.s_hidden_looked_ns[0] = now_ns
        for leg in range(LEG_ROWS):
            if m.f_hidden_judged[leg]:
                look(m, leg, now_ns)
    for i in range(m.n):
        m.s_hidden[i] = 0
    for leg in range(LEG_ROWS):
        if m.s_hidden_suspects[leg] == 0:
            continue
        if not is_over(m, leg) and not is_over(m, IMPORT_ROW):
            m.s_hidden_over_ns[leg] = 0
        elif m.s_hidden_over_ns[leg] == 0:
            m.s_hidden_over_ns[leg] = now_ns
        elif now_ns - m.s_hidden_over_ns[leg] >= OVER_NS:
            doubt_suspects(m, leg)
    for k in range(m.f_items[0]):
        if m.s_item_energy[k] and m.f_item_load[k] >= 0:
            m.s_measured[m.f_item_load[k]] = 0


def is_over(m: Cells, r: int) -> bool:
    """Whether a row carries more than relays may have to open for."""
    return m.s_row_ma[r] > m.s_shed_limit_ma[r]


def doubt_suspects(m: Cells, leg: int) -> None:
    """The suspects of a leg count with their demand from now on."""
    for k in range(m.f_hides_first[leg], m.f_hides_end[leg]):
        i = m.f_hides_load[k]
        if not m.s_suspected[i * LEG_ROWS + leg]:
            continue
        m.s_hidden[i] = 1
        m.s_measured[i] = 0
        for e in range(m.f_hides_slot_first[k], m.f_hides_slot_end[k]):
            m.quality[m.f_hides_slot[e]] = Quality.IMPLAUSIBLE


def look(m: Cells, leg: int, now_ns: int) -> None:
    """Who on a leg may hide something."""
    mains = m.f_row_slot[leg]
    if not fresh(m, mains, m.f_fresh_ns[0], now_ns):
        m.s_hidden_since_ns[leg] = 0  # and who is suspected stays so: there is nothing to compare
        return
    oldest_ns = oldest_read(m, leg, now_ns)
    mains_ma = magnitude(m.value[mains])
    most_ma = shown(m, leg) + floordiv(mains_ma, HIDDEN_DIVISOR) + HIDDEN_MA
    if oldest_ns < 0 or mains_ma <= most_ma:  # one that is not read may draw it
        m.s_hidden_since_ns[leg] = 0
        m.s_hidden_over_ns[leg] = 0
        m.s_hidden_suspects[leg] = 0
    elif m.s_hidden_since_ns[leg] == 0:
        m.s_hidden_since_ns[leg] = now_ns
    elif oldest_ns >= m.s_hidden_since_ns[leg] + LATER_NS:
        suspect(m, leg)


def oldest_read(m: Cells, leg: int, now_ns: int) -> int:
    """When the circuit of a leg was read that was read least lately, ns; -1: one is not read."""
    oldest_ns = now_ns
    stale_ns = m.f_branch_stale_ns[0]
    for e in range(m.f_others_first[leg], m.f_others_end[leg]):
        slot = m.f_others_slot[e]
        if not fresh(m, slot, stale_ns, now_ns):
            return -1
        oldest_ns = min(oldest_ns, m.sampled_ns[slot])
    for k in range(m.f_hides_first[leg], m.f_hides_end[leg]):
        for e in range(m.f_hides_slot_first[k], m.f_hides_slot_end[k]):
            slot = m.f_hides_slot[e]
            if not fresh(m, slot, stale_ns, now_ns):
                return -1
            oldest_ns = min(oldest_ns, m.sampled_ns[slot])
    return oldest_ns


def shown(m: Cells, leg: int) -> int:
    """What the circuits of a leg show, mA; of a node that shows nothing, all that it may draw."""
    total_ma = 0
    for e in range(m.f_others_first[leg], m.f_others_end[leg]):
        total_ma += m.value[m.f_others_slot[e]]
    for k in range(m.f_hides_first[leg], m.f_hides_end[leg]):
        i = m.f_hides_load[k]
        ma = shows(m, k)
        total_ma += m.s_set_ma[i] if m.f_compute[i] and ma < NOTHING_MA else ma
    return total_ma


def shows(m: Cells, k: int) -> int:
    """What entry `k` of a leg's loads shows, mA."""
    ma = 0
    for e in range(m.f_hides_slot_first[k], m.f_hides_slot_end[k]):
        ma += m.value[m.f_hides_slot[e]]
    return ma


def suspect(m: Cells, leg: int) -> None:
    """Suspect whoever could draw what nobody shows, and be opened for it."""
    m.s_hidden_suspects[leg] = 0
    for k in range(m.f_hides_first[leg], m.f_hides_end[leg]):
        i = m.f_hides_load[k]
        switched = m.f_kind[i] == SWITCHED and m.f_relay_slot[i] >= 0
        may = switched and m.s_closed[i] == 1 and shows(m, k) < NOTHING_MA
        m.s_suspected[i * LEG_ROWS + leg] = may
        if may:
            m.s_hidden_suspects[leg] += 1
