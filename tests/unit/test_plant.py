"""The simulated plant: what its breakers carry, trip at and cut off."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panelctl.config.load import parse_panel
from panelctl.sim.breakers import ThermalBreaker
from panelctl.sim.build import build_devices
from panelctl.sim.devices import SimMeter
from panelctl.sim.plant import Plant

DEMO = Path("panelctl/sim/demo.toml")
FEEDER = """
[[feeder]]
id = "barn"
breaker_a = 40
circuits = ["dryer", "hot_tub"]

[[feeder]]
id = "stall"
breaker_a = 20
legs = "b"
circuits = ["medical"]
meter = { device = "barn_meter", b = "l2_a" }

[[device]]
name = "barn_meter"
link = "line1"
unit = 3
map = "carlo_gavazzi_em540"
"""


@pytest.fixture
def plant() -> Plant:
    return Plant.of(parse_panel(DEMO.read_text() + FEEDER, "panel.toml"))


def test_a_feeder_carries_its_circuits_and_its_breaker_cuts_them_off(plant: Plant) -> None:
    plant.circuits["dryer"].demand_w = 24 * 240
    plant.circuits["hot_tub"].demand_w = 36 * 240
    plant.circuits["kitchen_1"].demand_w = 600
    plant.step(0.1)
    barn = plant.feeders["barn"]
    assert (barn.leg_a(0), barn.leg_a(1)) == (60.0, 60.0)
    assert plant.carries(1.0)
    assert not plant.carries(600.0)
    while not plant.trips:
        plant.step(0.1)
    assert plant.trips == ["barn"]
    plant.step(0.1)
    assert plant.circuits["dryer"].current_a == plant.circuits["hot_tub"].current_a == 0.0
    assert plant.circuits["kitchen_1"].current_a == 5.0, "it is not behind that feeder"
    plant.circuits["hot_tub"].demand_w = 0
    plant.reset("barn")
    plant.step(0.1)
    assert plant.circuits["dryer"].current_a == 24.0
    assert plant.trips == ["barn"]


def test_a_feeders_meter_shows_what_its_leg_carries(plant: Plant) -> None:
    panel = parse_panel(DEMO.read_text() + FEEDER, "panel.toml")
    meter = build_devices(panel, plant, 1)["barn_meter"]
    assert isinstance(meter, SimMeter)
    plant.circuits["medical"].demand_w = 1_200
    plant.step(0.1)
    point = meter.map.points["l2_a"]
    words = struct.unpack(">2H", meter.read(point.table, point.address, 2, plant.time_s))
    raw = words[0] | words[1] << 16 if point.low_first else words[0] << 16 | words[1]
    assert raw * float(point.scale) == pytest.approx(10.0, rel=0.01)


@given(
    st.floats(1.0, 400.0),
    st.floats(0.1, 900.0),
    st.integers(1, 2),
    st.floats(1.0, 1.1),
)
def test_what_would_be_carried_is_what_is_carried(
    current_a: float, for_s: float, legs: int, sensitivity: float
) -> None:
    """`carries` changes nothing, and foretells `step`; many steps are one long one."""
    breaker, stepped = (ThermalBreaker(60.0, legs, sensitivity) for _ in range(2))
    currents = [current_a] * legs
    foretold = breaker.carries(currents, for_s)
    assert breaker.carries(currents, for_s) == foretold
    assert breaker.step(currents, for_s) == (not foretold)
    for _ in range(16):
        stepped.step(currents, for_s / 16)
    assert stepped.tripped >= breaker.tripped
