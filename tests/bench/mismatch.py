"""What happens when the true breaker is more sensitive than the curve that the controller believes.

Two recorded winter days on a service that is too small, with a main breaker of true pick-up 0, 3,
5 and 10 % lower than the curve: in compliance mode behind the control setting, and with thermal
credit on the breaker's own rating, the curve derated (as by default) and not.
"""

from __future__ import annotations

import dataclasses
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from panelctl.config.load import read_panel
from panelctl.model.breaker import DEFAULT_DERATE, Curve
from panelctl.model.panel import Panel
from panelctl.sim import breakers
from panelctl.sim.direct import DirectRun
from panelctl.sim.homes.player import HomePlayer
from panelctl.sim.homes.read import read_home
from panelctl.sim.plant import Plant
from tests.bench.rows import Row, at_most, reported

PANEL = Path("fixtures/panels/home_100a.toml")
HOME = Path("fixtures/homes/ochre_winter.toml")
DAYS = 2
SENSITIVE = (1.0, 1.03, 1.05, 1.10)
# The plant's own curve, vouched for: the study is about units that differ from it.
CURVE = Curve(
    name="the plant's",
    ref_ratio=breakers.PICK_UP,
    fast_share=breakers.FAST_WEIGHT,
    fast_s=breakers.FAST_TAU_S,
    slow_s=breakers.SLOW_TAU_S,
    gives_credit=True,
)
MODES = {
    "compliance": (False, DEFAULT_DERATE),
    "credit_derated": (True, DEFAULT_DERATE),
    "credit_as_printed": (True, 1.0),
}


def panel_in(mode: str) -> Panel:
    """The recorded home's panel in that mode."""
    credit, derate = MODES[mode]
    panel = read_panel(PANEL)
    breaker = dataclasses.replace(panel.service.breaker, curve=CURVE, derate=derate)
    setting_a = breaker.rating_a if credit else panel.service.control_setting_a
    service = dataclasses.replace(
        panel.service, breaker=breaker, control_setting_a=setting_a, thermal_credit=credit
    )
    return dataclasses.replace(panel, service=service)


def run(job: tuple[str, float]) -> tuple[int, int, float, float]:
    """Main trips, sheds, compute kWh and the worst theta of one run."""
    mode, sensitivity = job
    panel = panel_in(mode)
    plant = Plant.of(panel)
    plant.main = breakers.ThermalBreaker(panel.service.breaker.rating_a, 2, sensitivity)
    direct = DirectRun(panel, plant, HomePlayer(read_home(HOME, plant), plant))
    trips, worst = 0, 0
    for _ in range(DAYS * 86_400):
        direct.step()
        worst = max(worst, *direct.engine.state.theta_ppm[:2])
        if plant.trips:
            trips += "main" in plant.trips
            plant.trips.clear()
            if plant.main.tripped:  # somebody walks to the panel and closes it again, hot as it is
                plant.main.tripped = False
    return trips, direct.sheds, direct.judge.compute_wh / 1000, worst / 1e6


def mismatch_rows() -> list[Row]:
    """A row a mode and sensitivity: trips of the main breaker."""
    jobs = [(mode, sensitivity) for mode in MODES for sensitivity in SENSITIVE]
    with ProcessPoolExecutor(2) as pool:
        results = list(pool.map(run, jobs))
    rows = []
    for (mode, sensitivity), (trips, sheds, kwh, theta) in zip(jobs, results, strict=True):
        percent = round((sensitivity - 1) * 100)
        name = f"mismatch.{mode}.{percent}pct.trips"
        note = (
            f"{DAYS} recorded days, breaker {percent} % more sensitive: {sheds} sheds, compute "
            f"{kwh:.1f} kWh, highest theta believed {theta:.3f}"
        )
        if mode == "credit_as_printed":
            rows.append(reported(name, trips, "trips", DAYS, note))
        else:
            rows.append(at_most(name, trips, "trips", 0, DAYS, note))
    return rows
