"""Circuits that may draw what their own meters do not show: doubted, and opened in their turn."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from panelctl.config.load import parse_panel, read_panel
from panelctl.core.engine import Engine
from panelctl.model.circuit import Source, SourceKind
from panelctl.model.command import Command, RequestLimit
from panelctl.model.doubt import Doubt
from panelctl.model.panel import Panel
from panelctl.model.reason import State
from tests.engine_rig import EngineRig

PANEL = read_panel(Path("panelctl/sim/demo.toml"))


class House(EngineRig):
    """What circuits draw, mA on each of their legs; the mains carry it and the node's set-point."""

    def __init__(self, panel: Panel = PANEL, compiled: bool = True) -> None:
        super().__init__(panel)
        self.engine = Engine(panel, compiled)
        self.draws: dict[str, int] = {}
        self.blank: set[str] = set()  # whose meters show nothing
        self.other_ma = 0  # drawn by nobody in the panel file
        self.mains_error_ma = 0

    def live(self, seconds: float, *commands: Command) -> None:
        for n in range(round(seconds * 10)):
            engine = self.engine
            legs = [self.other_ma, self.other_ma]
            drawn = dict(self.draws, compute=round(engine.setpoint_a(engine.compute) * 1000))
            for circuit in engine.panel.circuits:
                i = engine.index.get(circuit.id)
                on = i is None or engine.state.closed[i] != 0
                ma = drawn.get(circuit.id, 0) * on
                for leg in circuit.legs:
                    legs[leg] += ma
                    shown = 0 if circuit.id in self.blank else ma
                    self.shown[f"{circuit.id}.{'ab'[leg]}_ma"] = shown
            for leg in (0, 1):
                # A digit that moves: what stands still is doubted for another reason.
                self.shown[f"main.{'ab'[leg]}_ma"] = legs[leg] + self.mains_error_ma + n % 3
            self.step(*(commands if n == 0 else ()))

    @property
    def doubted(self) -> set[str]:
        doubts = self.engine.doubts
        return {name for name in doubts if Doubt.HIDDEN in doubts[name]}

    @property
    def suspected(self) -> set[str]:
        state, loads = self.engine.state, self.engine.loads
        return {
            circuit.id
            for i, circuit in enumerate(loads)
            for leg in (0, 1)
            if state.hidden_suspects[leg] and state.suspected[2 * i + leg]
        }

    def is_open(self, name: str) -> bool:
        return self.engine.state.closed[self.engine.index[name]] == 0


def limit(amps: float) -> Command:
    return RequestLimit("1", amps, 600.0)


def _idle(house: House) -> set[str]:
    """Those that could be the one: they have a relay, and show nothing."""
    return {
        circuit.id
        for i, circuit in enumerate(house.engine.loads)
        if not circuit.modulation and (circuit.id in house.blank or circuit.id not in house.draws)
    }


def test_a_meter_that_shows_what_flows_raises_no_doubt() -> None:
    house = House()
    house.draws = {"dryer": 20_000, "refrigerator": 2_000}
    house.live(30)
    assert house.engine.doubts == {}
    house.mains_error_ma = 7_000  # meters disagree by some amps
    house.live(30)
    assert house.doubted == set()


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "interpreted"])
def test_who_hides_a_draw_is_doubted_and_opened_for_room(compiled: bool) -> None:
    house = House(compiled=compiled)
    house.draws = {"dryer": 20_000, "hot_tub": 20_000}
    house.live(10)
    house.blank = {"dryer"}
    house.live(5)
    assert house.suspected == set(), "the others' meters may be late"
    house.live(6)
    assert house.suspected == _idle(house)
    assert "hot_tub" not in house.suspected
    assert house.engine.doubts == {}, "there is room"
    assert house.engine.now is State.NORMAL
    house.live(1.8, limit(16.0))
    assert house.is_open("hot_tub")
    assert house.doubted == set(), "its opening is known to help, and comes first"
    house.live(2)
    assert house.doubted <= _idle(house)
    house.live(12)
    assert house.is_open("dryer")
    assert house.engine.state.row_ma[0] <= 16_000
    assert house.suspected == house.doubted == set(), "it flows no more"


def test_without_the_doubt_it_would_stay_on() -> None:
    house = House()
    house.engine.fixed.hidden_judged[0] = house.engine.fixed.hidden_judged[1] = 0  # on purpose
    house.draws = {"dryer": 20_000, "hot_tub": 20_000}
    house.live(10)
    house.blank = {"dryer"}
    house.live(10)
    house.live(15, limit(16.0))
    assert not house.is_open("dryer")
    assert house.engine.state.row_ma[0] > 16_000


def test_one_that_starts_behind_its_meter_is_found_too() -> None:
    house = House()
    house.blank = {"dryer"}
    house.live(10)
    house.draws = {"dryer": 20_000}
    house.live(10)
    assert "dryer" in house.suspected
    house.blank.clear()
    house.live(1.5)
    assert house.suspected == set()


def test_an_opening_that_relieves_nothing_is_followed_by_the_next_one() -> None:
    """Of idle circuits one after the other, and none whose meter shows what it draws in vain."""
    house = House()
    house.draws = {"dryer": 20_000, "outdoor": 1_500}
    house.live(10)
    house.blank = {"dryer"}
    house.live(10)
    house.live(20, limit(8.0))
    assert house.is_open("dryer")
    assert house.engine.state.row_ma[0] <= 8_000


def test_a_node_that_does_not_show_its_draw_is_no_reason_to_doubt_others() -> None:
    house = House()
    house.draws = {"refrigerator": 2_000}
    house.live(20)
    assert house.engine.setpoint_a(house.engine.compute) > 40
    house.blank = {"compute"}
    house.live(20)
    assert house.suspected == set()


def test_where_a_circuit_has_no_meter_nothing_is_judged() -> None:
    bare = tuple(
        dataclasses.replace(c, currents=()) if c.id == "refrigerator" else c for c in PANEL.circuits
    )
    solar = (
        *PANEL.circuits[:-1],
        dataclasses.replace(PANEL.circuits[-1], source=Source(SourceKind.PV, 0.0, 60.0)),
    )
    legs = next(c.legs for c in PANEL.circuits if c.id == "refrigerator")
    for circuits in (bare, solar):
        house = House(dataclasses.replace(PANEL, circuits=circuits))
        house.other_ma = 20_000
        house.live(30)
        if circuits is solar:
            assert house.suspected == set()
        for name in house.suspected:  # of the other leg
            assert set(next(c.legs for c in circuits if c.id == name)) - set(legs)


def test_one_that_is_not_read_may_draw_it() -> None:
    house = House()
    house.draws = {"dryer": 20_000}
    house.blank = {"dryer"}
    house.live(12)
    assert "dryer" in house.suspected
    house.unread = {"range.a_ma", "range.b_ma"}
    house.live(5)
    assert house.suspected == set()


def test_while_the_mains_are_not_read_nothing_is_learned() -> None:
    house = House()
    house.draws = {"dryer": 20_000}
    house.blank = {"dryer"}
    house.live(4)
    house.unread = {"main.a_ma", "main.b_ma"}
    house.live(20)
    assert house.suspected == set()
    house.unread.clear()
    house.live(5)
    assert house.suspected == set(), "the time begins anew"
    house.live(6)
    assert "dryer" in house.suspected


def test_a_feeder_whose_row_is_a_sum_is_not_loaded_by_suspects() -> None:
    """A day without trouble, but for a transformer of a circuit that nobody can open."""
    text = Path("panelctl/sim/demo.toml").read_text()
    members = ["dryer", "water_heater", "pool_pump", "laundry", "outdoor"]
    text += f'\n[[feeder]]\nid = "barn"\nbreaker_a = 60\ncircuits = {members}\n'.replace("'", '"')
    house = House(parse_panel(text, "panel.toml"))
    house.draws = {"range": 25_000, "pool_pump": 8_000, "outdoor": 9_000}
    house.blank = {"range"}
    house.live(60)
    assert house.suspected
    assert house.engine.doubts == {}
    assert not any(house.is_open(name) for name in members)


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "interpreted"])
def test_who_is_convicted_by_its_counter_counts_with_its_demand(compiled: bool) -> None:
    """Too little for the mains to give it away, and enough to pass a tight limit."""
    house = House(compiled=compiled)
    house.draws = {"dryer": 5_500, "refrigerator": 20_000}
    house.blank = {"dryer"}
    house.live(20)
    house.live(15, limit(22.0))
    assert house.suspected == set()
    assert not house.is_open("dryer")
    state = house.engine.state
    k = house.engine.fixed.item_load.index(house.engine.index["dryer"])
    state.item_energy[k], state.item_until_ns[k] = 1, 1 << 60
    house.live(5)
    assert house.is_open("dryer")
