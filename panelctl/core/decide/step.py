"""The order of a decision: meters, mains and state, limits and heat, relays, then either the
fail-safe or shed → restore → set-points.

A row's amounts are counted in `scale` parts of a mA, so that the 1.25 of continuous loads is a
whole number.
"""

from __future__ import annotations

from panelctl.core.decide.cells import Cells
from panelctl.core.decide.counters import judge_energy
from panelctl.core.decide.estimate import measure, see_mains, see_sources, set_contingency
from panelctl.core.decide.margins import learn
from panelctl.core.decide.missing_ct import judge_hidden
from panelctl.core.decide.modulated import house
from panelctl.core.decide.plausibility import judge_mains
from panelctl.core.decide.restore import restore
from panelctl.core.decide.setpoints import raise_setpoints
from panelctl.core.decide.shed import cool, promote, shed_excess
from panelctl.core.decide.supervise import fail_safe, follow_relays, stop_and_open, watch_budgets
from panelctl.core.decide.thermal import limits
from panelctl.core.state.layout import MODULATED
from panelctl.model.reason import State


def begin(m: Cells, now_ns: int) -> None:
    """The first step."""
    m.s_boot_ns[0] = now_ns
    if m.s_mains_ns[0] == 0:  # else blind since before the start
        m.s_mains_ns[0] = now_ns
    m.s_step_ns[0] = now_ns
    m.s_thermal_ns[0] = now_ns
    for i in range(m.n):
        m.s_since_ns[i] = now_ns
        if m.s_claims[i] and m.f_kind[i] == MODULATED:
            m.s_opened_ns[i] = now_ns  # it may have been paused just before the start


def check_readings(m: Cells, now_ns: int) -> None:
    """Hold the latched readings against each other, and mark those that cannot be true."""
    judge_mains(m)
    judge_hidden(m, now_ns)
    judge_energy(m, now_ns)


def step(m: Cells, now_ns: int) -> None:
    """Decide on the latched image. Changes `s_…` only; bounded, and allocates nothing."""
    if m.s_boot_ns[0] == 0:
        begin(m, now_ns)
    measure(m, now_ns)
    see_sources(m, now_ns)
    see_mains(m, now_ns)
    set_contingency(m)
    limits(m, now_ns)
    follow_relays(m, now_ns)
    watch_budgets(m, now_ns)
    if m.s_state[0] == State.HOLD or m.s_state[0] == State.SHED:
        fail_safe(m, now_ns)
    else:
        house(m)
        learn(m, now_ns)
        promote(m, now_ns)
        cool(m, now_ns)
        shed_excess(m, now_ns)
        restore(m, now_ns)
        raise_setpoints(m, now_ns)
    stop_and_open(m, now_ns)
    for r in range(m.rows):
        m.s_headroom_ma[r] = m.s_limit_ma[r] - m.s_row_ma[r]
    m.s_step_ns[0] = now_ns
