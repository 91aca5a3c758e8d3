"""Energy counters: totals that never fall, and what they say about the currents."""

from __future__ import annotations

from array import array
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panelctl.config.load import read_panel
from panelctl.control.store import HistoryStore
from panelctl.core.decide.cells import Cells
from panelctl.core.decide.counters import take_count
from panelctl.core.doubt.build import MAINS
from panelctl.core.engine import Engine
from panelctl.core.snapshot import Snapshot
from panelctl.core.state.layout import Changing, Fixed
from panelctl.errors import ConfigError
from panelctl.field.ledger import Budget, Ledger
from panelctl.model.doubt import Doubt
from panelctl.model.metering import Quality
from tests.engine_rig import EngineRig

DEMO = Path("panelctl/sim/demo.toml")
PANEL = read_panel(DEMO)
S = 1_000_000_000
TEN_S = 10 * S


class Counter:
    """One counter through which 10 kW can flow, and nothing else."""

    def __init__(self) -> None:
        fixed = Fixed(0, lists={"counter_slot": [0], "counter_most_w": [10_000]})
        self.state = Changing(fixed, 1)
        none = array("q")
        self._memory = Cells(fixed, self.state, none, none, none)

    def take(self, raw_wh: int, at_ns: int) -> None:
        take_count(self._memory, 0, raw_wh, at_ns)

    @property
    def total_wh(self) -> int:
        return self.state.count_total_wh[0]

    @property
    def raw_wh(self) -> int:
        return self.state.count_raw_wh[0]


@pytest.mark.parametrize(
    ("shown", "total"),
    [
        ([100, 110, 130], 130),
        ([1000, 1010, 5, 15], 1025),  # reset: what it shows since was drawn
        ([4_294_967_290, 4_294_967_294, 2, 12], 4_294_967_306),  # 32 bits, wrapped round
        ([1000, 1010, 900_000, 1020, 1030], 1030),  # one damaged frame upwards
        ([1000, 1010, 3, 1020, 1030], 1030),  # and downwards
        ([1000, 1010, 900_000, 900_010], 1020),  # a new meter, with a history of its own
        ([1000, 1010, 500, 510], 1020),  # and one with a shorter one
        ([1000, 1010] + [1010] * 200 + [3010, 3010], 3010),  # it moves in lumps
        ([2**31 - 5, -(2**31), -(2**31) + 10], 2**31 + 5),  # a signed one, wrapped round
    ],
)
def test_a_counter_that_goes_on_jumps_or_begins_again(shown: list[int], total: int) -> None:
    counter = Counter()
    for n, raw_wh in enumerate(shown):
        counter.take(raw_wh, n * TEN_S)
    assert counter.total_wh == total


@settings(max_examples=200)
@given(st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=40), st.data())
def test_a_total_never_falls_and_never_outruns_what_can_flow(
    shown: list[int], data: st.DataObject
) -> None:
    counter = Counter()
    counter.take(0, 0)
    now_ns = 0
    for raw_wh in shown:
        now_ns += data.draw(st.integers(1, 100)) * S
        before = counter.total_wh
        near = data.draw(st.sampled_from([raw_wh, counter.raw_wh + raw_wh % 20]))
        counter.take(near, now_ns)
        assert counter.total_wh >= before
    readings = len(shown)
    assert counter.total_wh <= 10_000 * now_ns // (3600 * S) + 250 * readings


class CountersRig:
    """The demo's image, each second; what the readings say and what the counters count."""

    def __init__(self) -> None:
        self.engine = Engine(PANEL)
        self.image, self.energy = self.engine.image, self.engine.energy
        self.now_ns = S
        self.count_wh = 5_000.0
        self.shown_wh = 5_000
        self.unread = False

    def put(self, name: str, value: int) -> None:
        self.image.put(self.image.slot[name], value, Quality.GOOD, self.now_ns)

    def run(
        self, seconds: int, counted_w: float, ma: int, watts: int, every_s: int = 1, of_wh: int = 1
    ) -> None:
        """The node's circuit and the mains alike; counters are renewed once in `every_s`, in steps
        of `of_wh`, and read every second. Below 0 W the mains export.
        """
        for _ in range(seconds):
            self.now_ns += S
            self.count_wh += counted_w / 3600
            if self.unread:
                self.image.latch()
                self.engine.core.check_readings(self.now_ns)
                continue
            for name in ("main", "compute"):
                for leg in "ab":
                    self.put(f"{name}.{leg}_ma", ma)
            for name in ("main.a_w", "main.b_w", "compute.0_w", "compute.1_w"):
                self.put(name, watts // 2)
            if (self.now_ns // S) % every_s == 0:
                self.shown_wh = int(self.count_wh) // of_wh * of_wh
            self.put("compute.0_wh", self.shown_wh)
            self.put("main.import_wh", self.shown_wh)
            self.image.latch()
            self.engine.core.check_readings(self.now_ns)


@pytest.mark.parametrize(("every_s", "of_wh"), [(1, 1), (10, 1), (900, 1), (1, 100), (1, 1000)])
def test_a_true_meter_is_never_in_doubt_and_a_false_one_always(every_s: int, of_wh: int) -> None:
    rig = CountersRig()
    for amps in (5, 40, 0, 52, 20):
        rig.run(1810, amps * 240, amps * 1000, amps * 240, every_s, of_wh)
        assert rig.energy.doubts == {}
    total_wh = rig.energy.total_wh("compute")
    assert total_wh is not None
    assert rig.shown_wh - 20 <= total_wh <= rig.shown_wh, "nothing is lost"
    rig.run(7200, 9_600, 10_000, 9_600, every_s, of_wh)
    assert rig.energy.doubts["compute"] == [Doubt.ENERGY]


def test_whole_amps_cut_off_are_no_contradiction() -> None:
    rig = CountersRig()
    rig.run(36_000, 1.9 * 240, 1_000, 456)
    assert rig.energy.doubts == {}


def test_pauses_of_the_bus_neither_hide_nor_make_a_contradiction() -> None:
    true, false = CountersRig(), CountersRig()
    for _ in range(16):
        for rig, ma in ((true, 10_000), (false, 2_500)):
            rig.unread = False
            rig.run(600, 2_400, ma, 2_400)
            rig.unread = True
            rig.run(5, 30_000, ma, 2_400)
    assert true.energy.doubts == {}
    assert false.energy.doubts["compute"] == [Doubt.ENERGY]


def test_an_export_says_nothing_about_the_import() -> None:
    rig = CountersRig()
    for _ in range(24):
        rig.run(300, 6_000, 6_250, 6_000)
        rig.run(900, 0, 12_500, -12_000)
    assert Doubt.ENERGY in rig.energy.doubts[MAINS]
    rig = CountersRig()
    for _ in range(24):
        rig.run(300, 6_000, 25_000, 6_000)
        rig.run(900, 0, 50_000, -12_000)
    assert Doubt.ENERGY not in rig.energy.doubts.get(MAINS, [])


def test_two_counters_that_are_read_one_after_the_other() -> None:
    """After hours without a bus, the first shows the gap before the second does."""
    rig = CountersRig()
    legs = ("dryer.0_wh", "dryer.1_wh")
    count = [5_000.0, 5_000.0]

    def run(seconds: int, read: bool) -> None:
        for n in range(seconds):
            rig.now_ns += S
            count[:] = [wh + 1_200 / 3600 for wh in count]
            if read:
                for leg in "ab":
                    rig.put(f"dryer.{leg}_ma", 10_000)
                rig.put("dryer.0_w", 1_200)
                rig.put("dryer.1_w", 1_200)
                rig.put(legs[n % 2], int(count[n % 2]))
            rig.image.latch()
            rig.engine.core.check_readings(rig.now_ns)
            assert rig.energy.doubts == {}

    run(60, True)
    run(7_200, False)
    run(3_600, True)


def test_the_counter_of_a_single_transformer_stands_for_both_legs() -> None:
    rig = CountersRig()

    def run(seconds: int, per_counter_w: float) -> None:
        for _ in range(seconds):
            rig.now_ns += S
            rig.count_wh += per_counter_w / 3600
            rig.put("water_heater.a_ma", 20_000)
            rig.put("water_heater.0_w", round(per_counter_w))
            rig.put("water_heater.0_wh", int(rig.count_wh))
            rig.image.latch()
            rig.engine.core.check_readings(rig.now_ns)

    run(3_600, 2_400)
    shown_wh = rig.energy.total_wh("water_heater")
    assert shown_wh == pytest.approx(2 * rig.count_wh, abs=4)
    assert rig.energy.doubts == {}
    run(3_600, 4_800)  # one that counts the whole load is no contradiction either
    assert rig.energy.doubts == {}


def test_currents_that_are_too_small_for_the_energy_are_marked() -> None:
    rig = CountersRig()
    rig.run(600, 9_600, 40_000, 9_600)
    assert rig.energy.doubts == {}
    rig.run(900, 9_600, 20_000, 4_800)  # another scale, as after a change of firmware
    assert rig.energy.doubts == {MAINS: [Doubt.ENERGY], "compute": [Doubt.ENERGY]}
    for name in ("main.a_ma", "main.b_ma", "compute.a_ma"):
        slot = rig.image.slot[name]
        assert rig.image.quality[slot] == Quality.IMPLAUSIBLE
        assert rig.image.value[slot] == 20_000, "what was read stands there"
    rig.run(900, 9_600, 40_000, 9_600)
    assert rig.energy.doubts == {}


def test_a_counter_that_stands_still_is_told_and_decides_nothing() -> None:
    rig = CountersRig()
    rig.run(60, 9_600, 40_000, 9_600)
    rig.run(2_400, 0, 40_000, 9_600)
    assert rig.energy.doubts == {MAINS: [Doubt.STILL], "compute": [Doubt.STILL]}
    assert rig.image.quality[rig.image.slot["main.a_ma"]] == Quality.GOOD


def test_what_was_not_read_is_not_held_against_the_currents() -> None:
    rig = CountersRig()
    rig.run(60, 9_600, 40_000, 9_600)
    rig.now_ns += 3600 * S  # the meter was away for an hour and counted on
    rig.count_wh += 9_600
    rig.run(600, 9_600, 40_000, 9_600)
    assert rig.energy.doubts == {}


def test_totals_outlive_a_restart(tmp_path: Path) -> None:
    rig = CountersRig()
    rig.run(60, 9_600, 40_000, 9_600)
    before = rig.energy.total_wh("compute")
    assert before is not None
    store = HistoryStore(tmp_path)
    store.save(rig.engine.snapshot(rig.now_ns, 1000.0), Ledger())
    kept, _ = store.load()
    assert kept.at_s == 1000.0
    later = CountersRig()
    later.energy.resume(kept.energy, -3600 * S)
    assert later.energy.total_wh("compute") == before
    later.count_wh = 7.0  # the meter was changed meanwhile
    later.run(3, 3_600, 15_000, 3_600)
    after = later.energy.total_wh("compute")
    assert after is not None
    assert before <= after <= before + 10


@pytest.mark.parametrize(
    "energy",
    [
        '{"x": [1e999, 4]}',
        '{"x": [1.5, 4]}',
        '{"x": ["12", 4]}',
        '{"x": [Infinity, 4]}',
        '{}, "at_s": 1e300',
        '{}, "at_s": NaN',
        '{}, "at_s": -1',
        '{"x": [1]}',
        '{"x": [1, -5]}',
        '{"x": [1e99, 4]}',
        "[1]",
        '{"x": "no"}',
    ],
)
def test_a_spoilt_history_counts_as_none(tmp_path: Path, energy: str) -> None:
    text = f'{{"format": 1, "steps": {{}}, "registers": {{}}, "relays": {{}}, "energy": {energy}}}'
    (tmp_path / "history.json").write_text(text)
    assert HistoryStore(tmp_path).load() == (Snapshot(), Ledger())


def test_a_doubted_mains_meter_ends_in_hold() -> None:
    rig = EngineRig(PANEL)
    rig.run(5)
    wh = 1_000
    seconds = 0
    while not rig.engine.doubts and seconds < 120:
        wh += 20
        rig.shown["main.import_wh"] = wh  # 72 kW, while the legs show 2.4 kW together
        rig.run(1)
        seconds += 1
    assert rig.engine.doubts == {MAINS: [Doubt.ENERGY]}
    rig.run(3)
    assert rig.engine.now.name == "HOLD"


def test_a_counter_in_the_wrong_unit_is_refused(tmp_path: Path) -> None:
    text = DEMO.read_text().replace('import_energy = "import_wh"', 'import_energy = "total_w"')
    file = tmp_path / "panel.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match="a counter in Wh is needed here"):
        read_panel(file)


def test_a_register_that_wears_is_lowered_at_once_and_raised_within_its_budget() -> None:
    budget = Budget(per_day=24)
    made = 0
    for second in range(0, 86_400, 60):
        if budget.allows(second * S):
            budget.wrote()
            made += 1
    assert made == 24 + 3 - 1  # an eighth of a day's at once, and then one an hour
    now_ns = 86_400 * S
    for _ in range(5):
        budget.wrote()  # lowered, whatever the budget says
    assert not budget.allows(now_ns + 4 * 3600 * S)
    assert budget.allows(now_ns + 6 * 3600 * S)
