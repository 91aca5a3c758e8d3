"""The thermal memory against its formula in floating point, and against the published fits."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panelctl.core.decide import thermal
from panelctl.core.thermal import ONE, PPM, Pole, decay_table

FAST_HOME = Pole(1.05, 0.34, 10.6, 177.0)
FASTEST_LEGAL = Pole(1.13, 1.0, 4.6, 1000.0)
RACK = Pole(1.0, 0.81, 60.6, 11_400.0)


def trip_s(pole: Pole, current: float, before: float) -> float:
    """Seconds to trip at `current` from the heat of a long load of `before`, both in I_n."""
    ref_ma = round(pole.ref_a * 100_000)
    share = round(pole.share * ONE)
    goal = thermal.squared(round(current * 100_000), ref_ma)
    start = thermal.squared(round(before * 100_000), ref_ma)
    decay_fast, decay_slow = decay_table(pole.fast_s), decay_table(pole.slow_s)
    return thermal.ticks_to_trip(start, start, goal, share, decay_fast, decay_slow, 0) / 100


@pytest.mark.parametrize(
    ("pole", "current", "before", "seconds"),
    [  # fits of the control study: time to trip cold, and after a long 0.8 of the rating
        (FASTEST_LEGAL, 1.35, 0.0, 5.5),
        (FASTEST_LEGAL, 1.35, 0.8, 3.5),
        (FASTEST_LEGAL, 1.5, 0.8, 2.3),
        (FASTEST_LEGAL, 2.0, 0.8, 1.0),
        (FAST_HOME, 1.35, 0.0, 90.0),
        (FAST_HOME, 1.35, 0.8, 24.0),
        (FAST_HOME, 1.5, 0.8, 12.9),
        (FAST_HOME, 2.0, 0.8, 4.6),
        (RACK, 1.35, 0.0, 68.0),
        (RACK, 2.0, 0.8, 8.6),
    ],
)
def test_published_fits(pole: Pole, current: float, before: float, seconds: float) -> None:
    assert trip_s(pole, current, before) == pytest.approx(seconds, rel=0.05)


def test_below_the_end_of_its_curve_it_stands_for_ever() -> None:
    assert trip_s(FAST_HOME, 1.0, 1.0) == -0.01
    assert trip_s(FASTEST_LEGAL, 1.12, 0.0) == -0.01


@given(
    start=st.floats(0, 60),
    goal=st.floats(0, 64),
    ticks=st.integers(0, 2**17 - 1),
    tau_s=st.sampled_from([4.6, 60.6, 177.0, 11_400.0]),
)
def test_a_step_is_the_exponential(start: float, goal: float, ticks: int, tau_s: float) -> None:
    heat = thermal.advance(round(start * ONE), round(goal * ONE), ticks, decay_table(tau_s), 0)
    exact = goal + (start - goal) * math.exp(-ticks * 0.01 / tau_s)
    assert heat / ONE == pytest.approx(exact, abs=2e-3 * abs(start - goal) / 10 + 1e-6)


@given(
    start=st.integers(0, 2 * ONE),
    goal=st.integers(0, 64 * ONE),
    first=st.integers(0, 60_000),
    second=st.integers(0, 60_000),
)
def test_two_steps_are_one(start: int, goal: int, first: int, second: int) -> None:
    keep = decay_table(177.0)
    at_once = thermal.advance(start, goal, first + second, keep, 0)
    in_two = thermal.advance(thermal.advance(start, goal, first, keep, 0), goal, second, keep, 0)
    assert abs(at_once - in_two) <= 2e-6 * abs(start - goal) + 64


@given(
    fast=st.integers(0, ONE - 1),
    slow=st.integers(0, ONE - 1),
    amps=st.integers(110, 800),
)
def test_time_to_trip_is_on_the_safe_side_by_one_tick(fast: int, slow: int, amps: int) -> None:
    share = ONE // 3
    decay_fast, decay_slow = decay_table(10.6), decay_table(177.0)
    goal = thermal.squared(amps * 1000, 105_000)
    ticks = thermal.ticks_to_trip(fast, slow, goal, share, decay_fast, decay_slow, 0)

    def theta_after(count: int) -> int:
        return thermal.theta(
            thermal.advance(fast, goal, count, decay_fast, 0),
            thermal.advance(slow, goal, count, decay_slow, 0),
            share,
        )

    if ticks < 0:
        assert theta_after(2**17 - 1) < ONE
        return
    slack = 1 << 14  # rounding of the two ways of cutting the time into powers of two
    assert theta_after(ticks) < ONE + slack
    assert theta_after(ticks + 1) >= ONE - slack


def test_bands_only_lower_unless_there_is_credit() -> None:
    for theta_ppm in range(0, 1_500_000, 1000):
        fill = thermal.setpoint_band(theta_ppm)
        shed = thermal.shed_band(theta_ppm, False)
        credit = thermal.shed_band(theta_ppm, True)
        assert 450_000 <= fill <= PPM
        assert 970_000 <= shed <= PPM
        assert shed <= credit <= 1_250_000
    assert thermal.setpoint_band(835_000) == 850_000
