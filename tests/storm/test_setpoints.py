"""Chargers and nodes that acknowledge a set-point and do not follow it, under the whole application
on a virtual clock: what is written then, and what people hear.
"""

from __future__ import annotations

from itertools import pairwise

import pytest

from panelctl.field.outputs import Outputs
from panelctl.model.record import OrderRecord
from panelctl.sim.storm.order_faults import charger_anew
from panelctl.sim.storm.strike import Strike
from tests.charger_world import ChargerWorld, ceiling, charger_world


def orders(home: ChargerWorld, state: str) -> list[OrderRecord]:
    """The orders that stand so in the newest record."""
    return [order for order in home.records[-1]["orders"] if order["state"] == state]


def told(home: ChargerWorld, word: str) -> list[str]:
    """What people were told of the charger's order that begins so."""
    return [
        event["text"]
        for event in home.events("order")
        if event.get("circuit") == "evse" and event["text"].startswith(word)
    ]


def writes(home: ChargerWorld, from_s: float) -> list[float]:
    """When the charger was written to from then on."""
    return [at_s for at_s, _ in home.told if at_s >= from_s]


def steady(home: ChargerWorld, others_a: float = 10.0) -> float:
    """Nothing changes, whatever the charger is told: the car takes 8 A. What it is told."""
    home.charger.charger.patience_s = 1e9
    home.charger.charger.car_a = 8.0
    home.draws("range", others_a * 240)
    home.run(60.0)
    assert home.drawn_a == pytest.approx(8.0, abs=0.1)
    assert not orders(home, "CONTRADICTED")
    return home.charger.told_a


def crowded(home: ChargerWorld) -> None:
    """More is switched on than leaves room for a car that takes all it may have."""
    home.draws("range", 46.0 * 240)
    home.draws("exterior", 9.0 * 120)
    home.draws("lights", 9.0 * 120)


def settled(home: ChargerWorld) -> None:
    """A car charges with all it may have, and nothing changes any more."""
    home.until(lambda: home.drawn_a > 30.0, 90.0)
    home.run(12.0)
    assert not orders(home, "CONTRADICTED")


def test_a_safe_current_above_the_told_one_never_flows() -> None:
    """The map knows a minute, the installer has set ten seconds."""
    found = ceiling()
    assert (found.falls, found.opened) == (0, 0)
    assert found.over_limit_s == 0.0


@pytest.mark.parametrize("range_a", [22.0, 28.0], ids=["told 6 A", "told to pause"])
def test_a_timer_that_nobody_knows_is_learnt_from_one_fall(range_a: float) -> None:
    """The panel file says a minute, so that it is told every 20 s; it falls back after ten."""
    found = ceiling(more="comm_timeout_s = 60", range_a=range_a)
    assert found.falls == 1
    assert found.over_limit_s <= 0.525
    assert found.worst_a > 84.0, "it did flow"


def test_a_timer_in_the_panel_file_is_kept_to() -> None:
    with charger_world(more="comm_timeout_s = 6") as home:
        home.charger.charger.patience_s = 6.0
        settled(home)
        began_s = home.world.now_s
        home.run(20.0)
        at_s = writes(home, began_s)
        assert max(two - one for one, two in pairwise(at_s)) <= 2.2


def test_a_charger_without_a_timer_is_left_alone() -> None:
    with charger_world("phoenix_charx") as home:
        home.charger.charger.patience_s = 1e9
        settled(home)
        began_s = home.world.now_s
        home.run(40.0)
        assert writes(home, began_s) == []


def test_a_charger_that_keeps_its_old_value_is_told_of_within_three_seconds() -> None:
    """It draws 32 A, is to go down and acknowledges it."""
    with charger_world() as home:
        settled(home)
        home.charger.keeps = True
        crowded(home)
        began_s = home.world.now_s
        took_s = home.until(lambda: told(home, "CONTRADICTED"), 10.0)
        assert took_s <= 3.0
        assert "the device reads 32.0 A" in told(home, "CONTRADICTED")[0]
        (order,) = orders(home, "CONTRADICTED")
        assert (order["of"], order["circuit"], order["reads"]) == ("set-point", "evse", "32.0 A")
        home.charger.keeps = False
        home.until(lambda: told(home, "ACKNOWLEDGED"), 60.0)
        assert not orders(home, "CONTRADICTED")
        assert home.world.now_s - began_s < 40.0


def test_what_is_not_followed_is_written_at_once_three_times_and_then_seldom() -> None:
    with charger_world("phoenix_charx") as home:  # it has no timer of its own that is fed besides
        told_a = steady(home)
        home.charger.keeps = True
        home.charger.overwrite(told_a + 6.0)
        began_s = home.world.now_s
        home.until(lambda: told(home, "CONTRADICTED"), 5.0)
        home.run(10.0)
        assert len(writes(home, began_s)) == 3
        home.run(190.0)
        at_s = [round(each - began_s) for each in writes(home, began_s)]
        assert 5 <= len(at_s) <= 6
        gaps = [two - one for one, two in pairwise(at_s[2:])]
        assert gaps == sorted(gaps)
        assert gaps[0] >= 30


def test_a_charger_that_does_as_it_is_told_is_suspected_of_nothing() -> None:
    """What it is told goes up and down, between repetitions and with them."""
    with charger_world(more="comm_timeout_s = 3") as home:
        crowded(home)
        home.run(30.0)
        for n in range(60):
            home.draws("range", 240.0 * (36 + n % 4 * 3.5))
            home.run(1.7)
        app = home.world.app
        assert app is not None
        assert isinstance(app.outputs, Outputs)
        watch = app.outputs.targets["charger"].watch
        assert watch is not None
        assert watch.refresh_ns(home.world.loop.now_ns) == 1_000_000_000, "no timer was supposed"
        assert watch._tried_ns == 0, "nothing was written twice"
        assert len({told_a for _, told_a in home.told}) >= 5
        assert home.events("foreign") == []


def test_one_that_rounds_down_inside_a_step_contradicts_nothing() -> None:
    with charger_world() as home:
        home.charger.rounds_a = 0.5
        settled(home)
        home.draws("range", 20.0 * 240)
        home.run(30.0)
        assert told(home, "CONTRADICTED") == []


def test_one_that_takes_steps_of_seven_amps_is_told_of_and_costs_nothing() -> None:
    with charger_world("phoenix_charx") as home:
        home.charger.rounds_a = 7.0
        home.charger.charger.patience_s = 1e9
        home.until(lambda: told(home, "CONTRADICTED"), 90.0)
        home.run(60.0)
        assert home.events("foreign") == []
        assert home.over_s == 0.0


def test_a_charger_that_refuses_every_set_point_is_refused_not_contradicted() -> None:
    with charger_world() as home:
        settled(home)
        home.charger.refuses = 4
        crowded(home)
        home.until(lambda: orders(home, "REFUSED"), 5.0)
        home.run(10.0)
        assert told(home, "CONTRADICTED") == []


def test_a_foreign_writer_who_wants_less_is_told_of_once_and_followed() -> None:
    """Somebody's tool writes less than the car may take."""
    with charger_world("phoenix_charx") as home:
        home.charger.charger.patience_s = 1e9
        crowded(home)
        home.run(60.0)
        home.charger.overwrite(11.0)
        home.until(lambda: [o["state"] for o in home.records[-1]["orders"]] == ["FOLLOWED"], 3.0)
        home.run(30.0)
        assert home.charger.told_a == 11.0
        (wrote,) = home.events("foreign")
        assert "reads 11.0 A" in wrote["text"]
        assert wrote["circuit"] == "evse"
        assert told(home, "CONTRADICTED") == []


def test_a_charger_that_starts_anew_is_told_again_and_not_followed() -> None:
    """Its lane misses it before anybody reads its set-point; it comes back with less."""
    with charger_world("phoenix_charx") as home:
        home.charger.charger.patience_s = 1e9
        crowded(home)
        home.run(60.0)
        before_a = home.ordered_a
        begun = charger_anew(home.world, Strike(0.0, 3.0, "charger_anew", "charger", 0.2))
        home.run(3.0)
        begun()
        assert home.charger.told_a == 11.2 < before_a
        home.until(lambda: home.charger.told_a == before_a, 20.0)
        assert not any(o["state"] == "FOLLOWED" for r in home.records for o in r["orders"])


def test_a_foreign_writer_who_wants_more_is_told_of_once_and_written_over() -> None:
    value_a = 24.0
    with charger_world("phoenix_charx") as home:
        home.charger.charger.patience_s = 1e9
        crowded(home)
        home.run(60.0)
        steady(home)
        home.charger.overwrite(value_a)
        home.until(lambda: home.charger.told_a == home.ordered_a != value_a, 3.0)
        home.until(lambda: len(home.events("foreign")) == 2, 3.0)
        wrote, over = (event["text"] for event in home.events("foreign"))
        assert f"reads {value_a:.1f} A" in wrote
        assert "over" in over
        assert {event["circuit"] for event in home.events("foreign")} == {"evse"}
        home.run(30.0)
        assert len(home.events("foreign")) == 2
        assert told(home, "CONTRADICTED") == []


def test_a_foreign_value_that_is_drawn_at_once_is_written_over_before_it_is_read() -> None:
    with charger_world("phoenix_charx") as home:
        home.charger.charger.patience_s = 1e9
        crowded(home)
        home.run(60.0)
        home.over_s = 0.0
        home.charger.overwrite(home.ordered_a + 8.0)
        home.until(lambda: home.charger.told_a == home.ordered_a, 1.0)
        home.run(5.0)
        assert home.over_s <= 0.6


def test_two_controllers_do_not_hammer_one_charger() -> None:
    """The other one writes again two seconds after each of ours."""
    with charger_world("phoenix_charx") as home:
        steady(home)
        began_s = home.world.now_s
        for _ in range(60):
            home.charger.overwrite(20.0)
            home.run(2.0)
        assert len(writes(home, began_s)) <= 7
        assert told(home, "CONTRADICTED")
        assert home.events("foreign")


def test_a_node_that_refuses_is_refused() -> None:
    with charger_world() as home:
        home.run(10.0)
        home.node.refuses = 2
        home.until(lambda: orders(home, "REFUSED"), 5.0)
        assert orders(home, "REFUSED")[0]["circuit"] == "compute"
        home.node.refuses = 0
        home.until(lambda: not orders(home, "REFUSED"), 5.0)


def test_a_node_that_is_followed_is_never_contradicted() -> None:
    """Its budget changes all the time, and it is read back in between."""
    with charger_world() as home:
        for n in range(40):
            home.draws("range", 240.0 * (10 + n % 7 * 4))
            home.run(1.5)
        assert [e for e in home.events("order") if "CONTRADICTED" in e["text"]] == []
        assert home.events("foreign") == []


def test_a_worn_register_is_raised_within_its_budget_only() -> None:
    """It keeps falling to less than it was told; and is written seldom."""
    with charger_world("phoenix_charx", "writes_per_day = 48") as home:
        steady(home)
        began_s = home.world.now_s
        for _ in range(100):
            home.charger.overwrite(7.0)
            home.run(3.0)
        assert len(writes(home, began_s)) <= 6
