"""Simulated loads as they are: the habits of cars and of compute nodes."""

from __future__ import annotations

from itertools import pairwise

import pytest

from panelctl.config.load import read_panel
from panelctl.sim.plant import Charger, Node, Plant
from tests.records import DEMO

PANEL = read_panel(DEMO)
STEP_S = 0.05


class CarRig:
    """The demo's charger with a car that would take 32 A, and has one habit."""

    def __init__(self, **habits: float) -> None:
        self._plant = Plant.of(PANEL)
        charger = self._plant.circuits["evse"].charger
        assert isinstance(charger, Charger)
        self.charger = charger
        self.charger.car_a = 32.0
        for name, value in habits.items():
            setattr(self.charger, name, value)

    def draws(self, told_a: float, for_s: float) -> list[float]:
        """What the car draws while the charger is told that, A a step."""
        drawn = []
        for _ in range(round(for_s / STEP_S)):
            self.charger.tell(told_a)
            self._plant.step(STEP_S)
            drawn.append(self.charger.draw_a)
        return drawn


def test_a_car_may_take_more_than_it_is_offered() -> None:
    car = CarRig(takes_ratio=1.08)
    assert car.draws(16.0, 10.0)[-1] == pytest.approx(16.0 * 1.08, rel=1e-3)
    assert car.draws(32.0, 10.0)[-1] == pytest.approx(32.0, rel=1e-3), "the car's own most"


def test_a_car_may_start_late() -> None:
    drawn = CarRig(starts_s=5.0).draws(16.0, 12.0)
    assert max(drawn[: round(4.9 / STEP_S)]) == 0.0
    assert drawn[-1] == pytest.approx(16.0, rel=1e-3)


def test_a_car_may_rise_slowly_and_falls_at_once() -> None:
    car = CarRig(ramp_a_per_s=1.0)
    drawn = car.draws(16.0, 30.0)
    assert max(after - before for before, after in pairwise(drawn)) <= 1.0 * STEP_S * 1.01
    assert drawn[-1] == pytest.approx(16.0, rel=1e-2)
    assert car.draws(6.0, 2.0)[-1] == pytest.approx(6.0, rel=1e-2)


def test_a_car_may_hold_six_amps_when_it_is_told_to_pause() -> None:
    assert CarRig().draws(0.0, 5.0)[-1] == 0.0
    car = CarRig(holds_a=6.0)
    car.draws(16.0, 5.0)
    assert car.draws(0.0, 10.0)[-1] == pytest.approx(6.0, rel=1e-2)


def test_a_node_may_be_late_and_boot_for_minutes() -> None:
    plant = Plant.of(PANEL)
    item = plant.circuits["compute"]
    node = item.node
    assert isinstance(node, Node)
    node.late_s, node.boots_s = 1.0, 60.0

    def draws(budget_w: float, for_s: float) -> float:
        for _ in range(round(for_s / STEP_S)):
            node.tell(budget_w, 2.0, False)
            plant.step(STEP_S)
        return node.draw_w

    assert draws(10_000.0, 4.0) == pytest.approx(10_000.0, rel=1e-2)
    assert draws(2_000.0, 0.9) > 9_000.0
    assert draws(2_000.0, 1.5) == pytest.approx(2_000.0, rel=1e-2)
    item.contact.order(False)
    assert draws(2_000.0, 1.0) == 0.0
    item.contact.order(True)
    assert draws(10_000.0, 50.0) <= 200.0, "it boots"
    assert draws(10_000.0, 20.0) == pytest.approx(10_000.0, rel=1e-2)
