"""Meters as they are: what they show of a step, by the way they measure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panelctl.config.load import read_panel
from panelctl.modbus.codec import decode_value
from panelctl.modbus.maps import load_map
from panelctl.sim.build import build_devices
from panelctl.sim.devices import NOISE_RATIO, SimMeter
from panelctl.sim.measuring import Measuring
from panelctl.sim.plant import Plant
from tests.records import DEMO

STEP_S = 0.01
LOW_W, HIGH_W = 1_200.0, 4_800.0  # 5 A and 20 A
PANEL = read_panel(DEMO)


class MeterRig:
    """The meter of a plant in which one 240 V load is known, asked each 50 ms."""

    def __init__(self, ways: Measuring | None) -> None:
        self.plant = Plant.of(PANEL)
        devices = build_devices(PANEL, self.plant, 1)
        meter = devices["mains"]
        assert isinstance(meter, SimMeter)
        self.meter = meter
        self.meter.measuring = ways
        self.load = self.plant.circuits["dryer"]
        self.load.demand_w = LOW_W
        self.shown: list[tuple[float, float]] = []
        self.point = load_map(meter.device.map).points[PANEL.service.currents[0].point]

    def run(self, span_s: float) -> None:
        """Let time pass; the meter is read at 20 Hz."""
        for _ in range(round(span_s / STEP_S)):
            self.plant.step(STEP_S)
            self.meter.follow(self.plant.time_s)
            if round(self.plant.time_s / STEP_S) % 5 == 0:
                self.shown.append((self.plant.time_s, self.read()))

    def read(self) -> float:
        """What it shows of leg a now, A."""
        point = self.point
        data = self.meter.read(point.table, point.address, point.count, self.plant.time_s)
        words = [int.from_bytes(data[n : n + 2], "big") for n in range(0, len(data), 2)]
        value = decode_value(point, words)
        assert value is not None
        return float(value)

    def step_up(self, after_s: float, then_s: float) -> list[tuple[float, float]]:
        """What is shown after the load has risen: (s since then, A)."""
        self.run(after_s)
        self.load.demand_w = HIGH_W
        begin_s, self.shown = self.plant.time_s, []
        self.run(then_s)
        return [(at_s - begin_s, amps) for at_s, amps in self.shown]


def near(amps: float, right_a: float) -> bool:
    return abs(amps - right_a) <= right_a * (NOISE_RATIO + 1e-3) + 0.01


def test_a_plain_meter_shows_what_flows() -> None:
    assert all(near(amps, 20.0) for _, amps in MeterRig(None).step_up(5.0, 2.0))


@given(renew_s=st.sampled_from([0.2, 0.5, 1.0, 2.0, 5.0]), after_s=st.floats(5.0, 9.0))
def test_one_that_renews_seldom_shows_the_old_or_the_new(renew_s: float, after_s: float) -> None:
    ways = Measuring(renew_s)
    shown = MeterRig(ways).step_up(after_s, 2 * renew_s + 1.0)
    assert all(near(amps, 5.0) or near(amps, 20.0) for _, amps in shown)
    first_s = next(at_s for at_s, amps in shown if near(amps, 20.0))
    assert first_s <= ways.reaction_s + 0.1
    assert all(near(amps, 20.0) for at_s, amps in shown if at_s >= first_s), "never back"
    renewals = (shown[-1][0] - first_s) / (renew_s * (1.0 - ways.jitter)) + 2
    values = {round(amps, 6) for at_s, amps in shown if at_s >= first_s}
    assert len(values) <= renewals, "in between it stands still"


def test_one_that_averages_shows_what_lies_between_once() -> None:
    shown = MeterRig(Measuring(1.0, jitter=0.0, mean=True)).step_up(10.3, 4.0)
    between = {round(amps, 3) for _, amps in shown if not near(amps, 5.0) and not near(amps, 20.0)}
    assert len(between) == 1
    (mean_a,) = between
    assert 5.0 < mean_a < 20.0
    assert near(shown[-1][1], 20.0)


def test_one_that_filters_comes_near_slowly() -> None:
    ways = Measuring(0.1, filter_s=1.0)
    shown = MeterRig(ways).step_up(8.0, ways.reaction_s + 1.0)
    after_tau = next(amps for at_s, amps in shown if at_s >= 1.0)
    assert after_tau == pytest.approx(5.0 + 15.0 * 0.632, abs=1.5)
    assert abs(shown[-1][1] - 20.0) < 0.5
    assert shown[2][1] < 10.0


def test_one_that_shows_the_past_does_so_to_the_second() -> None:
    shown = MeterRig(Measuring(0.1, jitter=0.0, late_s=1.5)).step_up(6.0, 3.0)
    first_s = next(at_s for at_s, amps in shown if near(amps, 20.0))
    assert 1.45 <= first_s <= 1.75
    assert all(near(amps, 5.0) for at_s, amps in shown if at_s < first_s)


def test_registers_of_one_reply_may_be_of_different_moments() -> None:
    """The sum of the legs' watts is not volts times amperes in between."""
    rig = MeterRig(Measuring(1.0, apart=True))
    points = load_map(rig.meter.device.map).points
    a, w = points["l1_a"], points["l1_w"]
    rig.run(5.0)

    def both() -> tuple[float, float]:
        time_s = rig.plant.time_s
        made = []
        for point in (a, w):
            data = rig.meter.read(point.table, point.address, point.count, time_s)
            words = [int.from_bytes(data[n : n + 2], "big") for n in range(0, len(data), 2)]
            value = decode_value(point, words)
            assert value is not None
            made.append(float(value))
        return made[0], made[1]

    both()
    rig.run(3.0)
    rig.load.demand_w = HIGH_W
    apart = 0
    for _ in range(30):
        rig.run(0.05)
        amps, watts = both()
        apart += abs(amps * 120.0 - watts) > 300.0
    assert 0 < apart < 30


def test_small_changes_are_not_shown_and_digits_are_coarse() -> None:
    band = MeterRig(Measuring(0.02, deadband_a=1.0))
    band.run(2.0)
    before = band.read()
    band.load.demand_w = LOW_W + 150.0  # 0.6 A
    band.run(1.0)
    assert band.read() == before
    band.load.demand_w = LOW_W + 300.0
    band.run(1.0)
    assert near(band.read(), 6.25)
    coarse = MeterRig(Measuring(0.02, digit_a=0.5))
    coarse.load.demand_w = 1_270.0  # 5.29 A
    coarse.run(1.0)
    assert near(coarse.read(), 5.5)


def test_a_fault_that_is_over_leaves_nothing_in_the_registers() -> None:
    """Though what flows has not moved by the deadband since."""
    rig = MeterRig(Measuring(0.02, deadband_a=1.0))
    rig.run(1.0)
    rig.meter.spoil = lambda point, value: 0.0
    rig.run(1.0)
    assert rig.read() == 0.0
    rig.meter.spoil = None
    rig.run(1.0)
    assert near(rig.read(), 5.0)
    rig.meter.frozen = True
    rig.load.demand_w = HIGH_W
    rig.run(1.0)
    rig.meter.frozen = False
    rig.run(1.0)
    assert near(rig.read(), 20.0)


def test_a_map_says_how_often_its_meter_is_new() -> None:
    assert load_map("smappee_power_box").renews_ms == 100
    assert load_map("victron_vm_3p75ct").renews_ms == 20
