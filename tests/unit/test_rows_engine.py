"""Sources, neutral, heat sink, leases and branch curves: from the panel file to the decision."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from panelctl.config.load import parse_panel
from panelctl.control.store import HistoryStore, Kept, StateStore
from panelctl.core.engine import Engine
from panelctl.core.snapshot import Snapshot
from panelctl.core.state.layout import HOURS, NO_LIMIT_MA, STEP_BINS
from panelctl.errors import ConfigError
from panelctl.field.ledger import Ledger
from panelctl.model.command import Grid, Lease, command_from_plain, command_to_plain
from panelctl.model.limit import KeptLimits, LimitName
from panelctl.model.panel import Panel
from tests.engine_rig import TANK, EngineRig, S, solar

TEXT = Path("panelctl/sim/demo.toml").read_text()
SOLAR = solar(0.5, 2)
FEEDER = """
[[feeder]]
id = "barn"
breaker_a = 100
circuits = ["evse", "solar"]
meter = { device = "mains", a = "l1_a", b = "l2_a" }
"""
TANKED = TEXT + TANK
SINK = """
[heat_sink]
circuits = ["compute", "water_heater"]
rejector_w = 3000
tank_w = 8000
sensor = { device = "tank", point = "tank_c" }
full_c = 65
"""


def with_service(lines: str) -> str:
    return TEXT.replace("control_setting_a = 160", f"control_setting_a = 160\n{lines}", 1)


def panel(text: str) -> Panel:
    return parse_panel(text, "panel.toml")


def problems(text: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        parse_panel(text, "panel.toml")
    return {problem.path: problem.remedy for problem in caught.value.problems}


class LimitsRig(EngineRig):
    """By the text of a panel file."""

    def __init__(self, text: str) -> None:
        super().__init__(panel(text))

    def row(self, name: str) -> int:
        return [row.name for row in self.engine.rows].index(name)

    def limit_w(self, name: str) -> float:
        """The limit of a row in W, by the highest service voltage."""
        return self.engine.state.limit_ma[self.row(name)] / 1000 * (240 * 1.06 / 2)


def test_the_rows_of_everything() -> None:
    text = with_service("neutral_a = 100\nbusbar_a = 225") + TANK + SOLAR + SINK
    engine = Engine(panel(text))
    names = [row.name for row in engine.rows]
    assert names == [
        "a", "b", "import", "neutral.a", "busbar.a", "neutral.b", "busbar.b", "heat_sink",
    ]  # fmt: skip
    fixed, rows = engine.fixed, engine.fixed.rows
    assert (fixed.source_legs, [leg for _, leg in engine.source_legs]) == (2, [0, 1])
    for j in (0, 1):
        on = {
            names[r]: (fixed.relieves[j * rows + r], fixed.adds[j * rows + r]) for r in range(rows)
        }
        leg, other = "ab"[j], "ab"[1 - j]
        assert on[leg] == on["import"] == (1, 0)
        assert on[f"busbar.{leg}"] == (0, 1)
        assert on[other] == on[f"busbar.{other}"] == on["heat_sink"] == on["neutral.a"] == (0, 0)
        assert fixed.source_most_ma[j] == 40_000
        assert fixed.source_firm_ppm[j] == 500_000
        assert fixed.source_w_slot[j] == -1, "PV only ever gives"
    limits = engine.state.limit_value_ma
    assert [limits[r] for r in range(3, 7)] == [80_000, 225_000, 80_000, 225_000]
    compute, heater, dryer = (engine.index[name] for name in ("compute", "water_heater", "dryer"))
    heat = names.index("heat_sink")
    assert fixed.limit_coef[compute * rows + heat] == fixed.limit_coef[heater * rows + heat] == 2
    assert fixed.limit_coef[dryer * rows + heat] == 0
    neutral = names.index("neutral.a")
    assert fixed.limit_coef[dryer * rows + neutral] == 1, (
        "with two CTs what one leg draws more is seen"
    )
    assert fixed.limit_coef[heater * rows + neutral] == 0, "with one somebody says there is nothing"


def test_loads_of_one_leg_stand_on_one_side_of_the_neutral() -> None:
    engine = Engine(panel(with_service("neutral_a = 100")))
    names = [row.name for row in engine.rows]
    single = [c for c in engine.loads if len(c.legs) == 1]
    assert single
    for circuit in single:
        i, mine = engine.index[circuit.id], "ab"[circuit.legs[0]]
        for name in "ab":
            k = i * engine.fixed.rows + names.index(f"neutral.{name}")
            assert engine.fixed.limit_coef[k] == (name == mine)
            assert engine.fixed.opposite_leg[k] == (name != mine)


def test_a_source_is_read_with_the_mains() -> None:
    from panelctl.modbus.busplan import plan_bus

    known = panel(TEXT + TANK + SOLAR)
    fast = [slot.name for plan in plan_bus(known) for read in plan.fast for _, slot in read.slots]
    assert {"solar.a_ma", "solar.b_ma", "solar.0_w"} <= set(fast)
    assert Engine(known).fixed.source_stale_ns[0] == Engine(known).fixed.fresh_ns[0]


def test_a_load_with_two_cts_is_on_the_neutral_with_their_difference() -> None:
    engine = Engine(panel(with_service("neutral_a = 100")))
    names = [row.name for row in engine.rows]
    tub, heater = engine.index["hot_tub"], engine.index["water_heater"]
    for name in "ab":
        k = tub * engine.fixed.rows + names.index(f"neutral.{name}")
        slots = [engine.image.slot[f"hot_tub.{leg}_ma"] for leg in ("ab" if name == "a" else "ba")]
        assert [engine.fixed.slot[k], engine.fixed.slot2[k]] == slots
        assert (engine.fixed.limit_coef[k], engine.fixed.opposite_leg[k]) == (1, 1)
        assert engine.fixed.demand_ma[k] == 23_000 // 4
        balanced = heater * engine.fixed.rows + names.index(f"neutral.{name}")
        assert (engine.fixed.limit_coef[balanced], engine.fixed.opposite_leg[balanced]) == (0, 0)


def test_a_battery_shows_its_direction() -> None:
    text = TEXT + TANK + SOLAR.replace('kind = "pv", firm_share = 0.5', 'kind = "battery"')
    engine = Engine(panel(text))
    slots = engine.image.slot
    assert engine.fixed.source_w_slot[0] == slots["solar.0_w"]
    assert engine.fixed.source_w_slot2[1] == slots["solar.1_w"]
    assert engine.fixed.source_firm_ppm[0] == 0, "nothing is firm unless somebody says so"


def test_sun_is_credited_by_its_firm_share() -> None:
    rig = LimitsRig(with_service("operator_limit_a = 60") + TANK + SOLAR)
    rig.shown = {f"solar.{leg}_ma": 20_000 for leg in "ab"}
    rig.shown |= {f"main.{leg}_ma": 30_000 for leg in "ab"}
    rig.run(8)
    state, compute = rig.engine.state, rig.engine.compute
    assert state.firm_ma[0] == 10_000
    # 60 A, less what flows, the charger's floor, the margin, and 10 A that may fall away
    assert state.set_ma[compute] == 60_000 - 30_000 - 6_000 - 1_600 - 10_000


def test_the_tank_takes_less_and_less() -> None:
    rig = LimitsRig(TEXT + TANK + SINK)
    for celsius, watts in ((40, 11_000), (60, 11_000), (62.5, 7_000), (65, 3_000), (90, 3_000)):
        rig.shown["heat_sink.tank_mc"] = round(celsius * 1000)
        rig.run(1)
        assert rig.limit_w("heat_sink") == pytest.approx(watts, abs=1)
    assert rig.engine.state.binding[rig.row("heat_sink")] == LimitName.HEAT_SINK
    compute = rig.engine.compute
    assert rig.engine.budget_w(compute, rig.now_ns) <= 3_000
    assert rig.engine.state.reason_row[compute] == rig.row("heat_sink")
    rig.shown["heat_sink.tank_mc"] = 40_000
    rig.run(3)
    assert rig.engine.budget_w(compute, rig.now_ns) > 9_000
    rig.unread.add("heat_sink.tank_mc")
    rig.run(29)
    assert rig.limit_w("heat_sink") == pytest.approx(11_000, abs=1)
    rig.run(3)
    assert rig.limit_w("heat_sink") == pytest.approx(3_000, abs=1)
    assert rig.engine.limits.source[LimitName.HEAT_SINK] == "tank not read"


def test_a_cooler_that_just_takes_the_floor_keeps_the_node_on() -> None:
    """In A the floor is counted at the lowest voltage and the cooler's watts at the highest."""
    rig = LimitsRig(TANKED + SINK.replace("3000", "1200"))
    rig.shown["heat_sink.tank_mc"] = 90_000
    for leg in "ab":
        rig.shown[f"compute.{leg}_ma"] = 5_000
    rig.run(20)
    compute = rig.engine.compute
    assert rig.engine.budget_w(compute, rig.now_ns) == 1_200
    assert rig.engine.state.claims[compute] == 0


def test_an_implausible_temperature_is_no_temperature() -> None:
    slot = next(
        s for s in Engine(panel(TEXT + TANK + SINK)).slots.read if s.name == "heat_sink.tank_mc"
    )
    assert (slot.least, slot.most) == (-20_000, 120_000)


def lease(number: int, import_w: float, expires_s: float = 10) -> Lease:
    return Lease("l", "aggregator", number, import_w, expires_s)


def test_the_newest_lease_holds_until_it_runs_out() -> None:
    rig = LimitsRig(with_service("lease_default_w = 6000"))
    rig.run(1)
    assert rig.limit_w("import") == pytest.approx(6_000, abs=1)
    assert rig.step(lease(5, 20_000)) == []
    assert rig.limit_w("import") == pytest.approx(20_000, abs=1)
    assert rig.engine.limits.source[LimitName.LEASE] == "aggregator"
    assert "not newer" in rig.step(lease(5, 30_000))[0]
    assert "not newer" in rig.step(lease(4, 30_000))[0]
    assert rig.step(lease(6, 4_000, 2)) == []
    assert rig.limit_w("import") == pytest.approx(4_000, abs=1), "a newer one may be smaller"
    rig.run(2)
    assert rig.limit_w("import") == pytest.approx(6_000, abs=1), "then the default holds"
    assert rig.engine.limits.source[LimitName.LEASE] == "default"
    assert "lease_default_w" in LimitsRig(TEXT).step(lease(1, 1_000))[0]


def test_a_lease_never_raises_another_limit() -> None:
    rig = LimitsRig(with_service("lease_default_w = 6000\nimport_limit_w = 15000"))
    rig.step(lease(1, 500_000))
    rig.run(1)
    assert rig.limit_w("import") == pytest.approx(15_000, abs=1)


def test_after_a_restart_the_default_holds_and_old_leases_are_old(tmp_path: Path) -> None:
    text = with_service("lease_default_w = 6000")
    rig = LimitsRig(text)
    rig.step(lease(7, 20_000, 3_600))
    store = StateStore(tmp_path, "1")
    store.save(Kept(rig.engine.snapshot(rig.now_ns, 1e9)), rig.now_ns, 1e9)
    again = LimitsRig(text)
    again.engine.resume(store.load(again.now_ns, 1e9).engine, again.now_ns, 1e9)
    again.run(1)
    assert again.limit_w("import") == pytest.approx(6_000, abs=1)
    assert again.step(lease(7, 20_000)) != []
    assert again.step(lease(8, 20_000)) == []
    for wrong in (-1, "7", True, 1.5):
        plain = json.loads((tmp_path / "state.json").read_text())
        plain["limits"]["lease_number"] = wrong
        (tmp_path / "state.json").write_text(json.dumps(plain))
        (tmp_path / "state.json.bak").unlink(missing_ok=True)
        fresh = StateStore(tmp_path, "1")
        assert fresh.load(again.now_ns, 1e9).engine.limits == KeptLimits()


@pytest.mark.parametrize(
    "change",
    [{"number": 0}, {"number": 1.5}, {"number": "1"}, {"import_w": -1}, {"expires_s": 0},
     {"import_w": float("nan")}, {"source": ""}, {"more": 1}],
)  # fmt: skip
def test_a_lease_out_of_shape_is_refused_at_the_door(change: dict[str, Any]) -> None:
    from panelctl.errors import SocketError

    plain = command_to_plain(lease(1, 5_000))
    assert command_from_plain(plain) == lease(1, 5_000)
    with pytest.raises(SocketError):
        command_from_plain(plain | change)


def test_off_the_grid_the_inverters_total_is_a_hard_limit_too() -> None:
    rig = LimitsRig(TEXT + "\n[backup]\ninverter_a = 48\ninverter_w = 9000\nshed_tier = 5\n")
    rig.step(Grid("g", True, 80.0))
    rig.run(1)
    total = rig.row("import")
    assert rig.limit_w("import") == pytest.approx(9_000, abs=1)
    assert rig.engine.state.hard[total] == 1
    rig.step(Grid("g", False, None))
    assert rig.engine.state.limit_ma[total] == NO_LIMIT_MA
    assert rig.engine.state.hard[total] == 0


def test_a_branchs_curve_is_watched_and_its_heat_kept() -> None:
    text = TEXT.replace('id = "dryer"', 'id = "dryer"\ncurve = "home-fast"\nderate = 0.8', 1)
    engine = Engine(panel(text))
    dryer = engine.index["dryer"]
    assert engine.fixed.branch_ref_ma[dryer] == round(1.05 * 30_000 * 0.8)
    assert engine.fixed.branch_most_ma[dryer] == 30_000
    assert set(engine.snapshot(S, 1e9).thermal) == {"dryer.a", "dryer.b"}
    engine.state.branch_fast[2 * dryer + 1] = 77
    again = Engine(panel(text))
    for heat in ([1 << 33, 1 << 32], [0, 0]):  # none starts colder
        again.resume(Snapshot(thermal={"dryer.b": heat, "gone.a": [1, 1]}), S, 1e9)
        assert again.snapshot(S, 1e9).thermal["dryer.b"] == [1 << 33, 1 << 32]


def test_history_outlives_a_restart(tmp_path: Path) -> None:
    engine = Engine(panel(TEXT))
    place = (1 * HOURS + 5) * STEP_BINS
    engine.state.steps[place + 7] = 12_345
    engine.state.steps[place + 9] = 1
    ledger = Ledger({"node:holding:100": 7}, {"dryer": 3})
    HistoryStore(tmp_path).save(engine.snapshot(S, 4.0), ledger)
    kept, counts = HistoryStore(tmp_path).load()
    again = Engine(panel(TEXT))
    again.resume(kept, S, 4.0)
    assert again.state.steps == engine.state.steps
    assert again.state.hour_offset_ns[0] == 3 * S
    assert counts == ledger


REST = '"registers": {}, "relays": {}}'


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"format": 2, "steps": {}, ' + REST, '{"format": 1, "steps": 5, ' + REST,
     '{"format": 1, "steps": {"a": {"24": {}}}, ' + REST,
     '{"format": 1, "steps": {"a": {"1": {"48": 1}}}, ' + REST,
     '{"format": 1, "steps": {"a": {"1": {"1": -1}}}, ' + REST,
     '{"format": 1, "steps": {"a": {"1": {"1": 1.5}}}, ' + REST,
     '{"format": 1, "steps": {}, "registers": {"x": -1}, "relays": {}}',
     '{"format": 1, "steps": {}, "registers": {}}', "[" * 100_000],
)  # fmt: skip
def test_a_file_out_of_shape_is_no_history(tmp_path: Path, text: str) -> None:
    (tmp_path / "history.json").write_text(text)
    assert HistoryStore(tmp_path).load() == (Snapshot(), Ledger())


def test_a_full_disk_costs_the_file_and_no_cycle(tmp_path: Path) -> None:
    store = HistoryStore(tmp_path / "gone")
    store.save(Snapshot(), Ledger())
    assert store.failures == 1


@pytest.mark.parametrize(
    ("text", "path", "says"),
    [
        (with_service("neutral_a = 250"), "service.neutral_a", "leave it out"),
        (with_service("busbar_a = 225"), "service.busbar_a", "no circuit has a `source`"),
        (with_service("lease_default_w = 900"), "service.lease_default_w", "floor of 1200 W"),
        (
            TEXT + TANK + SOLAR.replace('"monitored"', '"switched"'),
            "circuit solar.role",
            "does not switch it",
        ),
        (
            TEXT + TANK
            + SOLAR.replace('"pv"', '"battery"').replace(', power = ["l1_w", "l2_w"]', ""),
            "circuit solar.meter.power",
            "gives or takes",
        ),
        (
            TEXT + TANK + SOLAR.replace('"pv"', '"battery"')
            + "\n[backup]\ninverter_a = 48\nshed_tier = 5\n",
            "circuit solar.source",
            "behind them",
        ),
        (
            TEXT + TANK + SOLAR + FEEDER, "feeder barn.circuits", "would not be watched",
        ),
        (with_service("neutral_a = 20"), "service.neutral_a", "could never close"),
        (
            TEXT.replace("relay = {", "relay = { ops_per_day = 0.5,", 1),
            "circuit[1] (compute).relay.ops_per_day",
            "integer",
        ),
        (with_service("busbar_a = 100") + TANK + SOLAR, "service.busbar_a", "lugs alone"),
        (
            TEXT.replace('id = "dryer"', 'id = "dryer"\ncurve = "home-fast"\nderate = 0.55'),
            "circuit dryer.derate",
            "below the 24 A",
        ),
        (TEXT.replace('id = "range"', 'id = "range"\ncurve = "home-fast"'),
         "circuit range.curve", "cannot relieve"),
        (TEXT.replace('id = "dryer"', 'id = "dryer"\ncurve = "qo20"'),
         "circuit dryer.curve", "home-fast"),
        (TANKED + SINK.replace("3000", "1000"), "heat_sink.rejector_w", "floor of 1200 W"),
        (TANKED + SINK.replace('"water_heater"', '"range"'), "heat_sink.circuits", "not managed"),
        (TANKED + SINK.replace('"water_heater"', '"rang"'), "heat_sink.circuits", "no circuit"),
        (TANKED + SINK.replace('"tank_c"', '"l1_a"'), "heat_sink.sensor", "temperature in °C"),
    ],
)  # fmt: skip
def test_refusals(text: str, path: str, says: str) -> None:
    found = problems(text)
    assert path in found, found
    assert says in found[path]


def test_a_load_may_draw_all_of_its_watched_breaker() -> None:
    text = TEXT.replace("demand_a = 24", "demand_a = 30", 1)
    text = text.replace('id = "dryer"', 'id = "dryer"\ncurve = "home-fast"', 1)
    assert panel(text).name
