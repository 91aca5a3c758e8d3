"""How much faster than life a storm and a fold are, on one core."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from panelctl.config.load import read_panel
from panelctl.sim.fold.day import Day
from panelctl.sim.homes import read_home
from panelctl.sim.storm.run import plan, run
from panelctl.sim.storm.strike import PROFILES
from tests.bench.rows import Row, at_least, quantile, reported

DEMO = Path("panelctl/sim/demo.toml")
HOME_PANEL = Path("fixtures/panels/home_100a.toml")
HOME = Path("fixtures/homes/ochre_winter.toml")
STORM_S, RUNS = 900.0, 5
DAY_S, HOUR_S = 86_400.0, 3_600.0


def storm_rows() -> list[Row]:
    """`storm.speedup`, `fold.panel_days_per_min` and the latter without anything left out."""
    panel, text = read_panel(DEMO), DEMO.read_text()
    speeds = []
    for seed in range(RUNS):
        strikes = plan(panel, seed, STORM_S, PROFILES["storm"])
        begun_s = time.perf_counter()
        run(panel, text, seed, STORM_S, strikes, 0.0)
        speeds.append(STORM_S / (time.perf_counter() - begun_s))
    days = [_days_per_minute(DAY_S, skipping=True) for _ in range(RUNS)]
    stepped = _days_per_minute(HOUR_S, skipping=False)
    return [
        at_least(
            "storm.speedup",
            quantile(speeds, 0.5),
            "times life",
            100.0,
            RUNS,
            f"the demo's panel of 32 circuits under the profile `storm`, {STORM_S:g} s each",
        ),
        at_least(
            "fold.panel_days_per_min",
            quantile(days, 0.5),
            "a minute",
            100.0,
            RUNS,
            "a winter day at 10 Hz, one-minute recordings, what stands still left out",
        ),
        reported(
            "fold.panel_days_per_min.stepped",
            stepped,
            "a minute",
            1,
            "the same with every step made",
        ),
    ]


def _days_per_minute(span_s: float, skipping: bool) -> float:
    panel = read_panel(HOME_PANEL)
    panel = replace(panel, timing=replace(panel.timing, react_s=1.0))
    day = Day(panel, 1, skipping)
    home = read_home(HOME, day.plant)
    begun_s = time.perf_counter()
    day.run(home, 0.0, span_s, 1.0)
    return span_s / DAY_S / (time.perf_counter() - begun_s) * 60
