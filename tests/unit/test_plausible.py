"""Readings of the mains that cannot be true: doubted, and never changed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panelctl.config.load import read_panel
from panelctl.core.engine import Engine
from panelctl.model.circuit import Source, SourceKind
from panelctl.model.doubt import Doubt
from panelctl.model.metering import Quality
from panelctl.model.reason import State

DEMO = Path("panelctl/sim/demo.toml")
TENTH_NS = 100_000_000
PANEL = read_panel(DEMO)


class MetersRig:
    """The demo panel's image at 10 Hz: what each leg's household and some circuits draw, mA."""

    def __init__(self, sources: bool = False, metered: bool = True) -> None:
        panel = PANEL
        if not metered:
            bare = tuple(dataclasses.replace(c, currents=()) for c in panel.circuits)
            panel = dataclasses.replace(panel, circuits=bare)
        if sources:
            first = dataclasses.replace(panel.circuits[-1], source=Source(SourceKind.PV, 0.0, 60.0))
            panel = dataclasses.replace(panel, circuits=(*panel.circuits[:-1], first))
        self.engine = Engine(panel)
        self.image, self.judge = self.engine.image, self.engine.plausibility
        self.now_ns = 1_000_000_000
        self.digit = self.cycles = 0

    def put(self, name: str, value: int) -> None:
        self.image.put(self.image.slot[name], value, Quality.GOOD, self.now_ns)

    def cycle(
        self, a_ma: int, b_ma: int, frozen: bool = False, lagging: bool = False, **draws: int
    ) -> list[Doubt]:
        """One cycle; `draws` are of two-pole circuits. The doubts about leg a.

        The mains show other digits in each unless they are `frozen`, and the circuits unless their
        registers are `lagging`.
        """
        self.now_ns += TENTH_NS
        self.cycles += 1
        self.digit = self.digit if frozen else self.digit + 1
        self.put("main.a_ma", a_ma + self.digit % 7)
        self.put("main.b_ma", b_ma)
        for leg in "ab":
            self.put(f"main.{leg}_w", 1_000)
            for name, ma in draws.items():
                if f"{name}.{leg}_ma" in self.image.slot:
                    self.put(f"{name}.{leg}_ma", ma if lagging else ma + self.cycles % 5)
        self.image.latch()
        self.engine.core.check_readings(self.now_ns)
        return self.judge.doubts.get("a", [])

    @property
    def quality(self) -> int:
        return self.image.quality[0]


def test_a_fall_is_believed_with_its_second_sample() -> None:
    rig = MetersRig()
    for _ in range(10):
        assert rig.cycle(60_000, 60_000, compute=40_000) == []
    assert rig.cycle(10_000, 60_000, compute=40_000) == [Doubt.DROP]
    assert rig.quality == Quality.IMPLAUSIBLE
    assert rig.image.value[0] // 1000 == 10, "what was read stands there"
    assert rig.cycle(60_000, 60_000, compute=40_000) == [], "a damaged frame: one cycle"
    assert rig.cycle(30_000, 60_000, compute=20_000) == [], "the node fell as much"
    assert rig.cycle(5_000, 60_000, compute=20_000) == [Doubt.DROP]
    assert rig.cycle(6_000, 60_000, compute=20_000) == [], "a large load has stopped"
    assert rig.quality == Quality.GOOD


def test_small_falls_and_all_rises_are_believed_at_once() -> None:
    rig = MetersRig()
    for ma in (40_000, 25_000, 90_000, 75_000, 160_000, 145_000):
        assert rig.cycle(ma, 60_000) == []


def test_a_frozen_meter_is_found_out_by_the_branch_circuits() -> None:
    rig = MetersRig()
    for _ in range(5):
        rig.cycle(60_000, 60_000, dryer=0, compute=20_000)
    for _ in range(35):
        assert rig.cycle(60_000, 60_000, True, dryer=0, compute=20_000) == []
    doubts = rig.cycle(60_000, 60_000, True, dryer=20_000, compute=20_000)
    assert doubts == [Doubt.FROZEN]
    assert rig.cycle(60_000, 60_000, True, dryer=0, compute=20_000) == [Doubt.FROZEN]
    assert rig.cycle(60_000, 60_000, dryer=0, compute=20_000) == [], "it lives"


def test_a_quiet_house_is_not_a_frozen_meter() -> None:
    rig = MetersRig()
    for _ in range(600):
        assert rig.cycle(60_000, 60_000, True, dryer=2_000, compute=20_000) == []


def test_what_was_before_is_not_held_against_it() -> None:
    """The load stopped with the last change of the mains; its own meter shows it 2 s later."""
    rig = MetersRig()
    rig.cycle(60_000, 60_000, dryer=20_000)
    rig.cycle(58_000, 60_000, dryer=20_000)
    for n in range(100):
        assert rig.cycle(58_000, 60_000, True, dryer=20_000 if n < 20 else 0) == []


def test_mains_that_carry_less_than_the_node_draws_are_doubted_after_a_second() -> None:
    rig = MetersRig()
    seen = [rig.cycle(0, 0, compute=40_000) for _ in range(14)]
    assert seen[:9] == [[]] * 9
    assert seen[-1] == [Doubt.BRANCHES]


def test_a_meter_that_died_is_not_held_against_the_mains() -> None:
    """Its last value stands in the image as good; the node that it measured has stopped."""
    rig = MetersRig()
    for _ in range(5):
        rig.cycle(60_000, 60_000, compute=40_000, dryer=20_000)
    rig.cycle(20_000, 60_000)
    for _ in range(200):
        assert rig.cycle(5_000, 60_000) in ([], [Doubt.DROP])
    assert rig.judge.doubts == {}


def test_a_charger_whose_register_lags_is_no_contradiction() -> None:
    """The car stops; its register, renewed every four seconds, still shows what it drew."""
    rig = MetersRig()
    for _ in range(10):
        rig.cycle(58_000, 58_000, lagging=True, evse=48_000)
    for _ in range(40):
        assert Doubt.BRANCHES not in rig.cycle(10_000, 10_000, lagging=True, evse=48_000)
    assert rig.cycle(10_000, 10_000, lagging=True, evse=0) == []


def test_a_reversed_signed_meter_is_judged_by_what_the_core_reads() -> None:
    rig = MetersRig()
    for _ in range(5):
        rig.cycle(-60_000, -60_000)
    assert rig.cycle(-5_000, -60_000) == [Doubt.DROP]
    assert rig.cycle(-60_000, -60_000) == []


def test_a_transformer_of_the_wrong_ratio_shows_in_the_sum_of_the_branches() -> None:
    rig = MetersRig()
    doubts = [rig.cycle(20_000, 20_000, dryer=20_000, heat_strips=20_000) for _ in range(180)]
    assert doubts[100] == []
    assert doubts[-1] == [Doubt.BRANCHES]
    with_sun = MetersRig(sources=True)
    for _ in range(180):
        assert with_sun.cycle(20_000, 20_000, dryer=20_000, heat_strips=20_000) == []


def step(engine: Engine, now_ns: int, mains_ma: int, node_ma: int) -> None:
    """A cycle in which everything is read, both legs alike; no other circuit draws."""
    for slot, name in enumerate(engine.image.names):
        value = 0
        if name in ("main.a_ma", "main.b_ma"):
            value = mains_ma
        elif name.startswith("compute.") and name.endswith("_ma"):
            value = node_ma
        elif name.endswith("_mv"):
            value = 120_000
        elif name.endswith((".relay", ".acked")):
            i = engine.index.get(name.split(".")[0])
            value = 1 if i is None else int(engine.state.closed[i] != 0)
        engine.image.put(slot, value, Quality.GOOD, now_ns)
    engine.image.latch()
    engine.step(now_ns)


def _convicted() -> MetersRig:
    """Mains that showed nothing while the node drew, and what they carry now unknown."""
    rig = MetersRig()
    for _ in range(20):
        rig.cycle(0, 0, compute=40_000)
    assert rig.judge.doubts["a"] == [Doubt.BRANCHES]
    return rig


def _unproven() -> MetersRig:
    """The same a minute later: the doubt has ended by the clock."""
    rig = _convicted()
    for _ in range(600):
        doubts = rig.cycle(0, 0, compute=2_500)
    assert doubts == [Doubt.UNPROVEN]
    return rig


def _cycles(rig: MetersRig, seconds: float, a_ma: int, **draws: int) -> list[Doubt]:
    for _ in range(round(seconds * 10)):
        doubts = rig.cycle(a_ma, a_ma, False, False, **draws)
    return doubts


def test_mains_that_show_nothing_stay_unproven_however_little_is_drawn() -> None:
    """The node stands at its floor and the house is quiet: no contradiction, and no agreement."""
    assert _cycles(_unproven(), 600, 0, compute=2_500) == [Doubt.UNPROVEN]
    assert _cycles(_unproven(), 600, 2_500, compute=2_500) == [Doubt.UNPROVEN], "too little to tell"


@pytest.mark.parametrize("drawn_ma", [6_500, 9_000, 40_000])
@pytest.mark.parametrize("rest_ma", [0, 3_000])
def test_mains_are_proven_by_what_the_branches_draw(drawn_ma: int, rest_ma: int) -> None:
    rig = _unproven()
    assert _cycles(rig, 4.5, drawn_ma + rest_ma, compute=drawn_ma) == [Doubt.UNPROVEN]
    assert _cycles(rig, 2.5, drawn_ma + rest_ma, compute=drawn_ma) == []
    least_ma = drawn_ma - drawn_ma // 4 - 1_000
    assert _cycles(_unproven(), 8, least_ma + 100, compute=drawn_ma) == []
    assert _cycles(_unproven(), 8, least_ma - 100, compute=drawn_ma) == [Doubt.UNPROVEN]


def test_a_panel_whose_circuits_have_no_meters_has_nothing_to_prove() -> None:
    """The panel file was changed while the mains were in doubt."""
    for rig in (MetersRig(sources=True), MetersRig(metered=False)):
        rig.judge.resume([Doubt.BRANCHES, Doubt.UNPROVEN], rig.now_ns)
        assert not rig.judge.suspect
        assert rig.judge.doubts == {}


def _started_anew(before: MetersRig) -> MetersRig:
    after = MetersRig()
    after.now_ns = before.now_ns + TENTH_NS
    after.judge.resume(before.judge.snapshot(), after.now_ns)
    return after


def test_a_new_start_is_no_reason_to_believe_what_was_convicted() -> None:
    """A reload while they contradict; it counts on from there, and they may prove themselves."""
    rig = _started_anew(_convicted())
    assert rig.judge.suspect
    assert rig.cycle(0, 0) == [Doubt.BRANCHES]
    assert rig.quality == Quality.IMPLAUSIBLE
    assert _cycles(rig, 58, 9_000, compute=9_000) == [Doubt.BRANCHES]
    assert _cycles(rig, 3, 9_000, compute=9_000) == [Doubt.UNPROVEN]
    assert _started_anew(rig).judge.doubts["a"] == [Doubt.UNPROVEN]
    assert _cycles(rig, 7, 9_000, compute=9_000) == []
    assert _started_anew(rig).judge.doubts == {}


def test_frozen_mains_stay_frozen_over_a_new_start_until_a_digit_changes() -> None:
    rig = MetersRig()
    for n in range(400):
        doubts = rig.cycle(20_000, 20_000, n > 10, dryer=0 if n < 250 else 9_000)
    assert doubts == [Doubt.FROZEN]
    again = _started_anew(rig)
    for _ in range(30):
        assert again.cycle(20_000, 20_000, True, dryer=9_000) == [Doubt.FROZEN]
    assert again.cycle(20_000, 20_000, False, dryer=9_000) == []


def test_a_flicker_proves_nothing() -> None:
    rig = _unproven()
    for n in range(300):
        doubts = rig.cycle(0 if n % 15 else 9_000, 0, compute=4_500, dryer=2_000)
        assert Doubt.UNPROVEN in doubts


def test_branch_meters_that_fall_silent_prove_nothing() -> None:
    rig = _unproven()
    assert _cycles(rig, 0.5, 9_000, compute=8_000) == [Doubt.UNPROVEN]
    assert _cycles(rig, 60, 9_000) == [Doubt.UNPROVEN]


def test_a_doubt_does_not_end_while_the_contradiction_goes_on() -> None:
    """The household draws it by itself; 15 s of that would be needed for a new doubt."""
    rig = _convicted()
    _cycles(rig, 55, 2_000, dryer=1_000)
    assert _cycles(rig, 10, 0, dryer=9_000) == [Doubt.BRANCHES]
    assert _cycles(rig, 1, 10_000, dryer=9_000) == [Doubt.UNPROVEN]


def test_small_errors_of_many_meters_do_not_keep_a_house_in_hold() -> None:
    """200 mA too much on each of 20 transformers: never a contradiction, and proven by the node."""
    rig = _convicted()
    house = {c.id: 200 for c in PANEL.circuits if c.id != "compute" and not c.modulation}
    house["compute"] = 5_000
    assert Doubt.BRANCHES not in _cycles(rig, 62, 3_000 + 5_000, **house)
    house["compute"] = 12_000
    assert _cycles(rig, 7, 3_000 + 12_000, **house) == []


@pytest.mark.parametrize("compiled", [True, False])
def test_the_node_stays_near_its_floor_until_the_mains_are_proven(compiled: bool) -> None:
    """Also over a restart: `Kept` carries it."""
    engine = Engine(PANEL, compiled)
    engine.plausibility.resume([Doubt.UNPROVEN], 0)
    most_a = engine.fixed.floor_ma[engine.compute] / 1000 + 7.0
    now_ns, ratio, seen = 1_000_000_000, 0, []
    for n in range(900):
        now_ns += TENTH_NS
        ratio = 0 if n < 450 else 1
        node_ma = round(engine.setpoint_a(engine.compute) * 1000) + n % 5
        step(engine, now_ns, ratio * (1_000 + node_ma) + n % 7, node_ma)
        if engine.plausibility.suspect:
            assert engine.setpoint_a(engine.compute) <= most_a
        slowly = engine.fixed.restore_interval_ns[0] == 20_000_000_000
        assert slowly == engine.plausibility.suspect, "nor is much restored at once"
        seen.append(engine.plausibility.suspect)
    assert all(seen[:450]), "they show nothing"
    assert not seen[-1]
    assert engine.setpoint_a(engine.compute) > 40.0


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 14_000), st.integers(0, 52_000), st.sampled_from([0, 0, 20_000])),
        min_size=5,
        max_size=80,
    )
)
def test_a_true_meter_is_believed_but_for_one_sample_after_a_fall(
    story: list[tuple[int, int, int]],
) -> None:
    rig = MetersRig()
    doubted = 0
    for rest, compute, dryer in story:
        a_ma = rest + compute + dryer
        for _ in range(2):
            doubts = rig.cycle(a_ma, a_ma, compute=compute, dryer=dryer)
            assert set(doubts) <= {Doubt.DROP}
            assert rig.image.value[0] // 10 == a_ma // 10 or rig.image.value[0] - a_ma < 7
            doubted = doubted + 1 if doubts else 0
            assert doubted <= 1


@pytest.mark.parametrize("compiled", [True, False])
def test_a_transformer_of_a_quarter_keeps_the_panel_in_hold(compiled: bool) -> None:
    """The node obeys, so that the contradiction goes: the meter is not believed again for that."""
    engine = Engine(PANEL, compiled)
    now_ns = 1_000_000_000
    before: list[State] = []
    after: list[State] = []
    for n in range(600):
        now_ns += TENTH_NS
        node_ma = round(engine.setpoint_a(engine.compute) * 1000) + n % 5
        ratio = 1 if n < 50 else 4
        step(engine, now_ns, (20_000 + node_ma) // ratio, node_ma)
        (before if n < 50 else after).append(engine.now)
    assert before[-1] is State.NORMAL
    first = after.index(State.HOLD)
    assert first < 50, "a second until it is doubted, two until it counts as blind"
    assert {State.HOLD, State.SHED} == set(after[first:])
    assert engine.plausibility.doubts["a"] == [Doubt.BRANCHES]


def _in_turn(rig: MetersRig, cycles: int) -> list[bool]:
    """Two meters answer in turn on one address: 100 A and 30 A. Whether each was believed."""
    believed = []
    for n in range(cycles):
        rig.cycle(100_000 if n % 2 else 30_000, 40_000)
        believed.append(rig.quality == Quality.GOOD)
    return believed


def test_a_fall_that_is_taken_back_again_and_again_becomes_a_doubt() -> None:
    """Of two meters that answer in turn the higher one counts, and people are told."""
    rig = MetersRig()
    _in_turn(rig, 12)
    assert Doubt.ERRATIC in rig.judge.doubts["a"]
    assert _in_turn(rig, 10) == [False, True] * 5, "the lower one is not believed"
    for _ in range(15):  # not for a second and a half either
        rig.cycle(30_000, 40_000)
        assert rig.quality == Quality.IMPLAUSIBLE
    for _ in range(10):
        rig.cycle(30_000, 40_000)
    assert rig.quality == Quality.GOOD, "what lasts is believed"
    for _ in range(210):
        doubts = rig.cycle(30_000, 40_000)
    assert doubts == []


def test_loads_that_stop_one_after_the_other_are_no_erratic_meter() -> None:
    rig = MetersRig()
    for n in range(60):
        rig.cycle(100_000 if n // 5 % 2 else 60_000, 40_000)
        assert not any(Doubt.ERRATIC in doubts for doubts in rig.judge.doubts.values())


def test_a_true_fall_of_a_load_that_wavers_is_believed_in_the_end() -> None:
    """Also while the meter counts as erratic."""
    rig = MetersRig()
    _in_turn(rig, 12)
    for n in range(40):
        rig.cycle(30_000 + n % 2 * 7_000, 40_000)
    assert rig.quality == Quality.GOOD
