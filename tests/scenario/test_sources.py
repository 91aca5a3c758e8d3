"""Clouds, an inverter that trips, a reduced neutral and a full tank: plant and engine at 10 Hz."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import pytest

from panelctl.config.load import parse_panel
from panelctl.sim.direct import DirectRun
from panelctl.sim.plant import Plant
from tests.engine_rig import TANK, solar

TEXT = Path("panelctl/sim/demo.toml").read_text()
LIMIT_A, NEUTRAL_A, BUSBAR_A, FULL_C = 80.0, 45.0, 84.0, 60.0
SINK = """
[heat_sink]
circuits = ["compute"]
rejector_w = 2000
tank_w = 4500
sensor = { device = "tank", point = "tank_c" }
full_c = 60
"""


@dataclass
class Weather:
    """A seeded hour: clouds of any depth, an inverter that trips, and a household that goes on.

    `house` off leaves the household as it is, so that only the sun moves.
    """

    plant: Plant
    seed: int
    house: bool = True
    trips: int = 0
    _next_s: float = 0.0

    def begin(self) -> None:
        self._random = random.Random(self.seed)
        self.plant.circuits["range"].demand_w = 4_000.0
        self.plant.circuits["heat_pump"].demand_w = 3_500.0

    def tell(self, story_s: float) -> bool:
        if story_s < self._next_s:
            return False
        self._next_s = story_s + self._random.uniform(0.5, 15.0)
        if self._random.random() < 0.15:
            self.trips += 1
            self.plant.circuits["solar"].demand_w = 0.0
        else:
            self.plant.circuits["solar"].demand_w = self._random.uniform(500.0, 9_000.0)
        if self.house:
            single = [p for p in self.plant.circuits.values() if len(p.circuit.legs) == 1]
            for item in self._random.sample(single, 4):
                item.demand_w = self._random.choice((0.0, 100.0, 300.0, 700.0))
        return True


def run_of(share: float, seed: int, house: bool = True) -> DirectRun:
    text = TEXT.replace("main_breaker_a = 200", "main_breaker_a = 100", 1)
    text = text.replace("a = 76\nb = 74", "a = 50\nb = 50", 1).replace(
        "control_setting_a = 160",
        f"control_setting_a = {LIMIT_A:g}\nneutral_a = {NEUTRAL_A:g}\nbusbar_a = {BUSBAR_A:g}",
        1,
    )
    panel = parse_panel(text + TANK + solar(share, 10) + SINK, "panel.toml")
    plant = Plant.of(panel)
    run = DirectRun(panel, plant, Weather(plant, seed, house))
    run.judge.limit_a = LIMIT_A
    return run


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_without_credit_the_sun_alone_never_passes_a_limit(seed: int) -> None:
    run = run_of(0.0, seed, house=False)
    for _ in range(3_000):
        run.step(0.1)
    assert isinstance(run.player, Weather)
    assert run.player.trips >= 2
    assert run.judge.worst_overload_a <= 0.0


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_an_hour_of_clouds_keeps_every_row(seed: int) -> None:
    run = run_of(0.5, seed)
    assert run.plant.tank is not None
    run.plant.tank.litres = 25.0  # filled within the hour
    over_s = {"lugs": 0.0, "neutral": 0.0, "busbar": 0.0}
    worst_s = dict(over_s)
    hottest_c, blamed = 0.0, set[str]()
    for _ in range(36_000):
        run.step(0.1)
        plant = run.plant
        now = {
            "lugs": max(plant.legs_a) > LIMIT_A * 1.01,
            "neutral": plant.neutral_a > NEUTRAL_A * 1.01,
            "busbar": max(plant.bus_a) > BUSBAR_A * 1.01,
        }
        for row, over in now.items():
            over_s[row] = over_s[row] + 0.1 if over else 0.0
            worst_s[row] = max(worst_s[row], over_s[row])
        assert plant.tank is not None
        hottest_c = max(hottest_c, plant.tank.temperature_c)
        rows = run.engine.state.reason_row
        blamed |= {run.engine.rows[r].name.split(".")[0] for r in rows if r >= 0}
    assert plant.trips == []
    assert max(worst_s.values()) <= 1.0, worst_s
    assert 55.0 < hottest_c <= FULL_C, "the tank is filled, and no further"
    assert {"a", "b", "busbar", "heat_sink"} <= blamed, "each of them was what bound at some time"
    assert run.judge.always_on_opened == 0
