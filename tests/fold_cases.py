"""Small recordings whose energy is known, and what everybody makes of them."""

from __future__ import annotations

from array import array
from dataclasses import replace
from pathlib import Path

from panelctl.config.load import read_panel
from panelctl.model.circuit import Source, SourceKind
from panelctl.model.panel import Panel
from panelctl.sim.fold.day import Day
from panelctl.sim.fold.relayed import RELAYED, live_relayed
from panelctl.sim.fold.wishes import demand, wanted_wh, wishes
from panelctl.sim.homes.recorded import Home, Series, summed

PANEL = read_panel(Path("fixtures/panels/home_100a.toml"))
HOUR_S = 3600.0


def home(span_s: float, **circuits: list[tuple[float, float]]) -> Home:
    """A recording: by circuit, from when (s) on how much (W)."""
    series = [
        Series(
            circuit, array("d", [at_s for at_s, _ in pieces]), array("d", [w for _, w in pieces])
        )
        for circuit, pieces in circuits.items()
    ]
    return Home(series, span_s)


def piece(circuit: str, watts: float) -> Series:
    """A column that stands still."""
    return Series(circuit, array("d", [0.0]), array("d", [watts]))


def with_pv() -> Panel:
    """The panel with a PV on the circuit of the outlets."""
    pv = Source(SourceKind.PV, 0.5, 60.0)
    circuits = tuple(replace(c, source=pv) if c.id == "outlets" else c for c in PANEL.circuits)
    return replace(PANEL, circuits=circuits)


# A panel; a recording; from where in it and for how long (s); what its loads want (Wh), and what
# all legs together carry in the mean (W).
CASES: dict[str, tuple[Panel, Home, float, float, float, float]] = {
    "a seam": (
        PANEL,
        home(24 * HOUR_S, outlets=[(0.0, 0.0), (23.5 * HOUR_S, 1200.0)]),
        23 * HOUR_S, 4 * HOUR_S, 600.0, 150.0,
    ),
    "seams, four of them": (
        PANEL,
        home(HOUR_S, outlets=[(0.0, 300.0), (1800.0, 900.0)]),
        0.0, 4 * HOUR_S, 2400.0, 600.0,
    ),
    "from the middle of a piece": (
        PANEL,
        home(2 * HOUR_S, outlets=[(600.0, 1000.0), (HOUR_S, 0.0)]),
        1800.0, HOUR_S, 500.0, 500.0,
    ),
    "two columns on one circuit": (
        PANEL,
        Home([summed("range", [piece("range", 3000.0), piece("range", 2000.0)])], HOUR_S),
        0.0, 2 * HOUR_S, 10_000.0, 5000.0,
    ),
    "a source": (
        with_pv(),
        home(HOUR_S, outlets=[(0.0, 900.0)], refrigerator=[(0.0, 300.0)]),
        0.0, HOUR_S, 300.0, -600.0,
    ),
}  # fmt: skip


def energy_error_wh(name: str) -> float:
    """How far apart what is wanted is from what is right: by the list of wishes, by the legs of
    each second, under panelctl's fold, and under those who have relays. The largest.
    """
    panel, recording, begin_s, span_s, right_wh, mean_w = CASES[name]
    household = wishes(panel, recording, begin_s, span_s, 1.0)
    every, fixed = demand(household, int(span_s))
    legs_wh = sum(a + b for a, b in every) * panel.service.voltage_v / 2 / 3600.0
    day = Day(panel, 1)
    lived = day.run(recording, begin_s, span_s, 1.0).household
    found = [
        wanted_wh(household, span_s) - right_wh,
        legs_wh - mean_w * span_s / 3600.0,
        lived.wanted_wh - right_wh,
        lived.served_wh + lived.lost_wh - right_wh,
    ]
    managed_wh = wanted_wh([w for w in household if w.circuit.controlled], span_s)
    for other in RELAYED:
        theirs = live_relayed(other, panel, household, fixed, span_s).household
        found.append(theirs.wanted_wh - managed_wh)
    return max(abs(error_wh) for error_wh in found)
