"""The fold: days at the controller's pace, what is left out, and what others do with them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from scipy.optimize import linprog

from panelctl.config.load import read_panel
from panelctl.errors import ConfigError
from panelctl.model.panel import Panel
from panelctl.sim.fold.campaign import Unit, draw, live_through, resize
from panelctl.sim.fold.day import Day
from panelctl.sim.fold.policies import CAREFUL, clairvoyant_wh, live
from panelctl.sim.fold.quiescence import FOLLOW
from panelctl.sim.fold.wishes import demand, wishes
from panelctl.sim.homes.read import read_home
from panelctl.sim.plant import Plant

FILE = Path("fixtures/panels/home_100a.toml")
HOME = Path("fixtures/homes/ochre_winter.toml")
PANEL = read_panel(FILE)
HOUR_S = 3600.0


def lived(panel: Panel, begin_s: float, span_s: float, scale: float, skipping: bool) -> Day:
    """A stretch of the recorded home, with its orders."""
    day = Day(panel, 7, skipping)
    day.orders = []
    day.run(read_home(HOME, day.plant), begin_s, span_s, scale)
    return day


@pytest.mark.parametrize(
    ("begin_s", "service_a", "react_s", "size"),
    [
        (6 * HOUR_S, 100.0, 1.0, 1.0),
        (6 * HOUR_S, 60.0, 1.2, 1.0),
        (17 * HOUR_S, 125.0, 1.2, 1.3),
        (31 * HOUR_S, 200.0, 0.75, 1.1),  # react_s is no whole number of steps
        (54 * HOUR_S, 60.0, 1.2, 0.8),
    ],
)
def test_what_is_left_out_changes_no_decision(
    begin_s: float, service_a: float, react_s: float, size: float
) -> None:
    """Every order and set-point of 40 minutes, and when it was given; and in the end the memory,
    with what was learned: the same to the bit.
    """
    panel = resize(PANEL, service_a)
    panel = replace(panel, timing=replace(panel.timing, react_s=react_s))
    scale = size * service_a / 100.0
    skipping, stepping = (lived(panel, begin_s, 2400.0, scale, s) for s in (True, False))
    skipped, stepped = skipping.outcome, stepping.outcome
    assert skipping.orders == stepping.orders
    assert skipped.house == stepped.house
    assert skipped.steps < stepped.steps / 3
    assert skipped.node_wh == pytest.approx(stepped.node_wh, rel=1e-9)
    assert skipped.over_s == pytest.approx(stepped.over_s)
    memory, all_memory = (day.engine.state.dump() for day in (skipping, stepping))
    # From the counts, at the next end of a window; and when readings that stand still were last
    # added up.
    for follows in (*FOLLOW, "hidden_looked_ns", "energy_looked_ns", "leg_looked_ns"):
        del memory[follows], all_memory[follows]
    assert memory == all_memory


def test_a_breaker_trips_when_it_would_have() -> None:
    """A circuit draws more than its own breaker carries for ever: that ends inside a stretch in
    which everything else stands still.
    """
    circuits = tuple(
        replace(c, breaker=replace(c.breaker, rating_a=4.4)) if c.id == "outlets" else c
        for c in PANEL.circuits
    )
    panel = replace(PANEL, circuits=circuits)
    skipping, stepping = (lived(panel, 6 * HOUR_S, 1200.0, 1.0, s) for s in (True, False))
    assert skipping.plant.trips == stepping.plant.trips == ["outlets"] * 2, "it is put in again"
    assert skipping.outcome.branch_trips == 2
    assert skipping.outcome.trips == 0
    assert skipping.orders == stepping.orders
    assert skipping.outcome.house == stepping.outcome.house
    assert skipping.outcome.steps < stepping.outcome.steps


def test_a_charger_that_is_told_all_the_time_keeps_its_set_point() -> None:
    """Also over a stretch that is left out and is longer than the charger's patience."""
    panel = read_panel(Path("panelctl/sim/demo.toml"))
    day = Day(panel, 1)
    (charger,) = (item.charger for item in day.plant.circuits.values() if item.charger is not None)
    charger.tell(32.0)
    day.plant.step(600.0)
    charger.car_a = 32.0
    day.plant.step(10.0)
    assert charger.draw_a == pytest.approx(32.0)


def test_the_clairvoyant_is_the_optimum_of_a_linear_programme() -> None:
    compute = PANEL.compute
    assert compute is not None
    assert compute.modulation is not None
    slow = replace(compute, modulation=replace(compute.modulation, ramp_a_per_s=3.0))
    circuits = tuple(slow if c.id == compute.id else c for c in PANEL.circuits)
    panel = replace(PANEL, circuits=circuits)
    home = read_home(HOME, Plant.of(panel))
    every, _ = demand(wishes(panel, home, 6 * HOUR_S, 300.0, 1.0), 300)
    house = [(a + 20 * (n % 60 < 9), b) for n, (a, b) in enumerate(every)]
    limit_a = panel.service.control_setting_a - panel.timing.setpoint_margin_a
    most_a = compute.modulation.max_a
    caps = [max(0.0, min(most_a, limit_a - max(legs))) for legs in house]
    rows, bounds = [], []
    for n in range(len(caps)):  # x(n) - x(n-1) <= ramp
        row = [0.0] * len(caps)
        row[n] = 1.0
        if n:
            row[n - 1] = -1.0
        rows.append(row)
        bounds.append(3.0)
    best = linprog([-1.0] * len(caps), rows, bounds, bounds=[(0.0, cap) for cap in caps])
    assert best.success
    expected_wh = -best.fun * panel.service.voltage_v / 3600.0
    assert clairvoyant_wh(panel, house) == pytest.approx(expected_wh, rel=1e-9)


def test_a_day_under_every_policy() -> None:
    lived = live_through(Unit(FILE, HOME, 100.0, 24 * HOUR_S, 1.0, 1))
    ours = lived.outcomes["panelctl"]
    assert ours.trips == ours.preventable_trips == 0
    assert ours.longest_over_s <= 2.0
    assert ours.sheds > 0
    assert ours.node_wh >= 0.97 * lived.best_wh
    uncontrolled = lived.outcomes["no control"]
    assert uncontrolled.preventable_trips > 0, "the home is too large for its service"
    assert lived.outcomes["static allotment"].node_wh < ours.node_wh
    best, ahead = lived.outcomes["clairvoyant"], lived.outcomes["forecast, 15 min"]
    assert best.trips == best.over_s == ahead.trips == 0
    assert best.household.waited_s <= min(ours.household.waited_s, ahead.household.waited_s)
    assert 0 < ours.household.later_wh < 0.2 * lived.wanted_wh
    assert ours.household.lost_wh < 0.2 * ours.household.later_wh, "what was shed comes back"
    assert uncontrolled.household.lost_wh > 0, "in trips"


def test_nobody_who_keeps_the_same_margin_gives_the_node_more() -> None:
    """A home that fits its service: nobody trips, and relays hardly matter. What the others have
    more is what they take above the limit, in the second until they look again.
    """
    lived = live_through(Unit(FILE, HOME, 100.0, 24 * HOUR_S, 0.5, 1))
    ours = lived.outcomes["panelctl"]
    for name in CAREFUL:
        other = lived.outcomes[name]
        assert other.preventable_trips == 0
        assert other.node_wh <= 1.0003 * ours.node_wh, name
        assert other.longest_over_s > ours.longest_over_s, name


def test_a_policy_sees_only_what_was() -> None:
    """A load step within its period is not known to a loop of 30 s."""
    house = [(10.0, 10.0)] * 45 + [(70.0, 70.0)] * 45
    outcome = live("evcc-like, 30 s", PANEL, house, [(0.0, 0.0)] * 90)
    assert outcome.longest_over_s == pytest.approx(16.0, abs=1.0)
    assert live("OpenEMS-like, 1 s", PANEL, house, [(0.0, 0.0)] * 90).over_s <= 1.0


def test_units_follow_from_the_seed() -> None:
    pairs = [(FILE, HOME)]
    units = draw(pairs, [60.0, 100.0], 6, 4)
    assert units == draw(pairs, [60.0, 100.0], 6, 4) != draw(pairs, [60.0, 100.0], 6, 5)
    assert {unit.service_a for unit in units} == {60.0, 100.0}


def test_a_trip_ends_what_was_over() -> None:
    """And it was preventable only where the house alone would not have tripped soon after."""
    house = [(60.0, 60.0)] * 3600
    outcome = live("no control", PANEL, house, [(0.0, 0.0)] * 3600)
    assert outcome.trips == outcome.preventable_trips > 1
    assert outcome.longest_over_s == pytest.approx(outcome.over_s / outcome.trips, rel=0.2)
    rating_a = PANEL.service.breaker.rating_a
    alone = [(1.2 * rating_a, 0.0)] * 3600
    outcome = live("no control", PANEL, alone, alone)
    assert outcome.trips > 0
    assert outcome.preventable_trips == 0, "it trips a moment later anyway"


def test_a_panel_without_a_node_is_no_campaign(tmp_path: Path) -> None:
    text = FILE.read_text()
    head, found, tail = text.partition("[compute]")
    assert found
    rest = tail[tail.index("[[", 1) :]
    file = tmp_path / "panel.toml"
    file.write_text(head + rest)
    with pytest.raises(ConfigError, match="compute"):
        draw([(file, None)], [100.0], 1, 1)


def test_a_home_of_one_row_is_no_campaign(tmp_path: Path) -> None:
    (tmp_path / "h.csv").write_text("time,w\n2026-01-01 00:00:00,100\n")
    home = tmp_path / "h.toml"
    home.write_text('[[recording]]\nfile = "h.csv"\ncolumns = { w = "outlets" }\n')
    with pytest.raises(ConfigError, match="one row"):
        draw([(FILE, home)], [60.0], 1, 1)


def test_the_command_writes_its_figures(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "panelctl", "campaign", "--panel", str(FILE), "--home"]
    command += [str(HOME), "--days", "2", "--seed", "9", "--service", "100", "--json"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "new" / "c.json")],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told == json.loads((tmp_path / "new" / "c.json").read_text())
    assert told["panel_days"] == 2
    assert told["all"]["panelctl"]["trips_preventable"] == 0
    assert set(told["services"]) == {"100"}
    assert any("for water_heater" in said for said in told["recordings"])
