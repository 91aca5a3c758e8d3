"""A neutral household on any panel: inside what its file declares, from a seed, and never still."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panelctl.config.load import parse_panel
from panelctl.model.circuit import SourceKind
from panelctl.model.panel import Panel
from panelctl.sim.fold.wishes import demand, wishes
from panelctl.sim.household import FLICKER_RATIO, wants_w
from panelctl.sim.neutral import HouseholdPlayer, neutral_home
from panelctl.sim.plant import Plant
from tests.baseline.homes import panel_of
from tests.panels import files

PANELS = {name: parse_panel(text, name) for name, text in files().items()}
DAY_S = 86_400.0


def uncontrolled_a(panel: Panel, watts: dict[str, float]) -> list[float]:
    """What is drawn on each leg by what nobody can switch off, A."""
    plant, legs_a = Plant.of(panel), [0.0, 0.0]
    for circuit in panel.circuits:
        if not circuit.controlled and circuit.source is None:
            for leg in circuit.legs:
                legs_a[leg] += watts.get(circuit.id, 0.0) / plant.circuits[circuit.id].volts
    return legs_a


@pytest.mark.parametrize("name", PANELS)
def test_any_panel_gets_a_household_that_a_person_sees_move(name: str) -> None:
    panel = PANELS[name]
    plant = Plant.of(panel)
    player = HouseholdPlayer(panel, plant, 3)
    player.begin()
    seen, changed_s, last_s = set(), [0.0], 0.0
    for n in range(1200):
        at_s = n / 10
        player.tell(at_s)
        wanted = tuple(round(wants_w(item)) for item in plant.circuits.values())
        if wanted not in seen:
            seen.add(wanted)
            changed_s.append(at_s)
            last_s = at_s
        watts = {ident: wants_w(item) for ident, item in plant.circuits.items()}
        for drawn_a, most_a in zip(
            uncontrolled_a(panel, watts), panel.service.uncontrolled_a, strict=True
        ):
            assert drawn_a <= most_a
        plant.step(0.1)
    assert len(seen) >= 5, "two minutes, and nothing happens"
    assert max(b - a for a, b in itertools.pairwise(changed_s)) < 60.0
    assert last_s > 60.0
    assert plant.trips == []


@settings(max_examples=40)
@given(panel_seed=st.integers(0, 10_000), seed=st.integers(0, 10_000))
def test_a_home_stays_inside_what_is_declared(panel_seed: int, seed: int) -> None:
    """Whatever has no relay, at any moment of a day; and nothing draws more than its breaker
    carries for good.
    """
    panel = panel_of(panel_seed)
    home = neutral_home(panel, seed, DAY_S)
    watts: dict[str, float] = {}
    changes = sorted(
        (at_s, each.circuit, w)
        for each in home.series
        for at_s, w in zip(each.at_s, each.watts, strict=True)
    )
    most_a = {circuit.id: circuit.breaker.rating_a for circuit in panel.circuits}
    volts = {ident: item.volts for ident, item in Plant.of(panel).circuits.items()}
    for at_s, group in itertools.groupby(changes, key=lambda change: change[0]):
        assert 0.0 <= at_s < DAY_S
        for _, ident, watts_now in group:
            watts[ident] = watts_now
            assert 0.0 <= watts_now <= most_a[ident] * volts[ident]
        drawn = uncontrolled_a(panel, watts)
        for drawn_a, declared_a in zip(drawn, panel.service.uncontrolled_a, strict=True):
            assert drawn_a * (1.0 + FLICKER_RATIO) <= declared_a or drawn_a == 0.0
    again = neutral_home(panel, seed, DAY_S)
    assert [(s.circuit, s.at_s, s.watts) for s in again.series] == [
        (s.circuit, s.at_s, s.watts) for s in home.series
    ]


def test_the_sun_shines_by_day_and_a_battery_gives_by_night() -> None:
    panel = PANELS["sunny"]
    home = neutral_home(panel, 1, 3 * DAY_S)
    kinds = {c.id: c.source.kind for c in panel.circuits if c.source}
    assert set(kinds.values()) == {SourceKind.PV, SourceKind.BATTERY}
    by_kind = {kinds[s.circuit]: s for s in home.series if s.circuit in kinds}
    noon_s, midnight_s = 6.0 * 3600, 18.0 * 3600  # a home begins at six in the morning
    for day in range(3):
        around = [day * DAY_S + noon_s + n * 600 for n in range(-6, 7)]
        assert min(by_kind[SourceKind.PV].at(at_s) for at_s in around) > 1_000.0
        assert max(by_kind[SourceKind.BATTERY].at(at_s) for at_s in around) == 0.0
        around = [day * DAY_S + midnight_s + n * 600 for n in range(-6, 7)]
        assert max(by_kind[SourceKind.PV].at(at_s) for at_s in around) == 0.0
        assert max(by_kind[SourceKind.BATTERY].at(at_s) for at_s in around) > 0.0


def test_what_a_source_gives_is_nobodys_demand() -> None:
    panel = PANELS["sunny"]
    home = neutral_home(panel, 1, DAY_S)
    sources = {c.id for c in panel.circuits if c.source}
    dark = replace(home, series=[s for s in home.series if s.circuit not in sources])
    noon_s = 6 * 3600.0
    lit, unlit = (demand(wishes(panel, h, noon_s, 60.0, 1.0), 60) for h in (home, dark))
    for with_sun, without in zip(lit, unlit, strict=True):
        for sunny, legs in zip(with_sun, without, strict=True):
            assert all(a < b for a, b in zip(sunny, legs, strict=True))


def test_another_seed_is_another_home_and_no_time_is_none() -> None:
    panel = PANELS["demo"]
    one, other = (neutral_home(panel, seed, DAY_S) for seed in (1, 2))
    assert [s.watts for s in one.series] != [s.watts for s in other.series]
    assert one.span_s == DAY_S
    assert {s.circuit for s in one.series} == {c.id for c in panel.circuits if not c.is_compute}
    for span_s in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="above 0"):
            neutral_home(panel, 1, span_s)
