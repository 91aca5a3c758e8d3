"""Everybody wants the same of a recording, and what is missed comes back or is lost: no more."""

from __future__ import annotations

from array import array
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panelctl.model.command import CloseRelay, OpenRelay
from panelctl.sim.fold.day import NOISE_S, NOISE_STEPS, Day
from panelctl.sim.fold.relayed import RELAYED, live_relayed
from panelctl.sim.fold.wishes import Wish, demand, held, wishes
from panelctl.sim.homes.read import read_home
from panelctl.sim.homes.recorded import Series
from panelctl.sim.plant import Plant
from tests.fold_cases import CASES, HOUR_S, PANEL, energy_error_wh, home

HOME = Path("fixtures/homes/ochre_winter.toml")


@pytest.mark.parametrize("name", CASES)
def test_everybody_wants_what_was_recorded(name: str) -> None:
    assert energy_error_wh(name) < 1e-6


@given(
    changes=st.lists(st.integers(0, 99), min_size=1, max_size=8, unique=True).map(sorted),
    begin_s=st.integers(0, 500),
    span_s=st.integers(1, 400),
)
def test_a_recording_that_begins_again_is_as_it_was(
    changes: list[int], begin_s: int, span_s: int
) -> None:
    series = Series("outlets", array("d", map(float, changes)), array("d", map(float, changes)))
    pieces = list(held(series, 100.0, float(begin_s), float(span_s)))
    assert [piece[0] for piece in pieces] == [0.0, *(piece[1] for piece in pieces[:-1])]
    assert pieces[-1][1] == span_s
    for first_s, end_s, watts in pieces:
        middle_s = (begin_s + (first_s + end_s) / 2) % 100.0
        assert watts == series.at(middle_s)


def test_what_was_shed_comes_back_at_the_loads_own_power() -> None:
    day = Day(PANEL, 1)
    recording = home(2 * HOUR_S, dryer=[(0.0, 0.0), (300.0, 5000.0), (1800.0, 0.0)])
    names = {c.id: i for i, c in enumerate(day.engine.loads)}
    dryer = day.plant.circuits["dryer"]

    class Switching(Day):
        """A person opens the dryer's relay at 10 minutes, and closes it ten minutes later."""

        def _one(self, due_ns: int) -> None:
            at_s = day.plant.time_s
            if at_s >= 600.0 and not said:
                said.append("open")
                self.say(OpenRelay("a", "dryer"))
            elif at_s >= 1200.0 and len(said) == 1:
                said.append("close")
                self.say(CloseRelay("b", "dryer"))
            super()._one(min(due_ns, self._now_ns + 10**10))

    said: list[str] = []
    day.__class__ = Switching
    household = day.run(recording, 0.0, HOUR_S, 1.0).household
    assert said == ["open", "close"]
    assert names["dryer"] >= 0
    assert household.interruptions == 1
    off_s = household.waited_s
    assert 600.0 <= off_s < 1000.0, "it waits for its minimum off time and its room besides"
    assert household.later_wh == pytest.approx(5000.0 * off_s / 3600.0, abs=2.0)
    assert household.lost_wh < 1.0
    assert household.wanted_wh == pytest.approx(5000.0 * 1500.0 / 3600.0, abs=1.0)
    assert dryer.current_a == 0.0, "it has caught up, and ends"


@pytest.mark.parametrize("name", RELAYED)
def test_what_others_miss_adds_up(name: str) -> None:
    span_s = 6 * HOUR_S
    recording = read_home(HOME, Plant.of(PANEL))
    household = wishes(PANEL, recording, 30 * HOUR_S, span_s, 1.2)
    _, fixed = demand(household, int(span_s))
    outcome = live_relayed(name, PANEL, household, fixed, span_s)
    missed = outcome.household
    fixed_wh = sum(max(a + b, 0.0) for a, b in fixed) * 120.0 / 3600.0
    in_trips_wh = missed.wanted_wh - missed.served_wh
    assert -1e-6 <= in_trips_wh <= missed.lost_wh + 1e-6
    assert missed.lost_wh - in_trips_wh <= fixed_wh
    assert missed.later_wh <= missed.served_wh
    assert outcome.trips == 0 or name == "ladder, a minute"


def test_what_a_source_gives_is_taken_off_the_legs() -> None:
    panel, recording, begin_s, span_s, _, _ = CASES["a source"]
    household = wishes(panel, recording, begin_s, span_s, 1.0)
    (pv,) = (wish for wish in household if wish.gives)
    assert isinstance(pv, Wish)
    every, fixed = demand(household, int(span_s))
    assert min(min(legs) for legs in every) < 0.0
    assert every == fixed


def test_noise_does_not_stand_still_where_the_house_does() -> None:
    """Each three minutes five readings in a row are others, and the steps between are left out."""
    day = Day(PANEL, 1)
    seen: list[int] = []
    read_back = day._read_back

    def listening() -> None:
        seen.append(day._all[0])  # the mains current of leg a
        read_back()

    day._read_back = listening  # type: ignore[method-assign]  # to listen
    day.run(home(HOUR_S, outlets=[(0.0, 1200.0)]), 0.0, HOUR_S, 1.0)
    assert len(set(seen)) >= 0.8 * NOISE_STEPS * HOUR_S / NOISE_S
    assert day.outcome.steps < 0.1 * HOUR_S * PANEL.timing.rate_hz
