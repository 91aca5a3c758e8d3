"""How much faster than life a storm and a fold are, on one core."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from panelctl.config.load import read_panel
from panelctl.sim.fold.campaign import Unit, draw, resize
from panelctl.sim.fold.day import Day
from panelctl.sim.homes.read import read_home
from panelctl.sim.storm.run import plan, run
from panelctl.sim.storm.strike import PROFILES
from tests.bench.rows import Row, at_least, at_most, quantile, reported
from tests.fold_cases import CASES, energy_error_wh

DEMO = Path("panelctl/sim/demo.toml")
HOME_PANEL = Path("fixtures/panels/home_100a.toml")
HOME = Path("fixtures/homes/ochre_winter.toml")
STORM_S, RUNS, DAYS = 900.0, 5, 16
DAY_S, HOUR_S = 86_400.0, 3_600.0


def storm_rows() -> list[Row]:
    """How fast storm and fold are, and whether the fold counts right."""
    panel, text = read_panel(DEMO), DEMO.read_text()
    speeds = []
    for seed in range(RUNS):
        strikes = plan(panel, seed, STORM_S, replace(PROFILES["storm"], rest_s=60.0))
        begun_s = time.perf_counter()
        run(panel, text, seed, STORM_S, strikes, 0.0)
        speeds.append(STORM_S / (time.perf_counter() - begun_s))
    units = draw([(HOME_PANEL, HOME)], [60.0, 100.0, 125.0, 200.0], DAYS, 1)
    days = [_days_per_minute(unit, DAY_S, skipping=True) for unit in units]
    stepped = _days_per_minute(units[1], HOUR_S, skipping=False)
    return [
        at_least(
            "storm.speedup",
            quantile(speeds, 0.5),
            "times life",
            150.0,
            RUNS,
            f"the demo's panel of 32 circuits, a fault in 40 s, {STORM_S:g} s each",
        ),
        at_least(
            "fold.panel_days_per_min",
            len(days) / sum(1 / rate for rate in days),
            "a minute",
            100.0,
            DAYS,
            "days of a campaign with noise, at 10 Hz, what stands still left out; harmonic mean",
        ),
        reported(
            "fold.panel_days_per_min.stepped",
            stepped,
            "a minute",
            1,
            "the same with every step made",
        ),
        at_most(
            "campaign.energy_error_wh",
            max(round(energy_error_wh(name), 6) for name in CASES),
            "Wh",
            0.0,
            len(CASES),
            "what is wanted of small recordings, by whoever lives them, against what is right: "
            + ", ".join(CASES),
        ),
    ]


def _days_per_minute(unit: Unit, span_s: float, skipping: bool) -> float:
    file = read_panel(unit.panel)
    day = Day(resize(file, unit.service_a), unit.seed, skipping)
    home = read_home(HOME, day.plant)
    scale = unit.scale * unit.service_a / file.service.breaker.rating_a
    begun_s = time.perf_counter()
    day.run(home, unit.begin_s, span_s, scale)
    return span_s / DAY_S / (time.perf_counter() - begun_s) * 60
