"""Power limits: a modulated load draws less for a while, because somebody asked for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from panelctl.config.load import read_panel
from panelctl.control.start import Start
from panelctl.control.store import Kept, StateStore
from panelctl.model.command import LimitPower, SetTier, command_from_plain, command_to_plain
from panelctl.model.panel import Panel
from tests.engine_rig import EngineRig

PANEL = read_panel(Path("panelctl/sim/demo.toml"))


@pytest.fixture
def rig() -> EngineRig:
    made = EngineRig(PANEL)
    made.run(20)
    assert budget_w(made) > 12_000
    return made


def budget_w(rig: EngineRig) -> int:
    return rig.engine.budget_w(rig.engine.compute, rig.now_ns)


def test_a_cap_lowers_at_once_and_ends_by_itself(rig: EngineRig) -> None:
    assert rig.step(LimitPower("1", "compute", 6_000.0, 5.0)) == []
    assert budget_w(rig) <= 6_000
    rig.run(4)
    assert 5_900 <= budget_w(rig) <= 6_000
    assert rig.engine.power_limits.limit_w(rig.engine.compute) == 6_000
    assert 0 < rig.engine.power_limits.left_s(rig.engine.compute, rig.now_ns) < 1.0
    rig.run(20)
    assert budget_w(rig) > 12_000
    assert rig.engine.power_limits.limit_w(rig.engine.compute) is None


def test_a_cap_is_never_passed_at_a_high_voltage(rig: EngineRig) -> None:
    rig.voltage_mv = 127_000
    rig.step(LimitPower("1", "compute", 6_000.0, 60.0))
    rig.run(5)
    assert budget_w(rig) <= 6_000


def test_a_cap_is_taken_back_and_a_charger_takes_one_too(rig: EngineRig) -> None:
    rig.step(LimitPower("1", "compute", 2_000.0, 600.0), LimitPower("2", "evse", 240.0 * 16, 600.0))
    rig.run(3)
    evse = rig.engine.index["evse"]
    assert rig.engine.setpoint_a(evse) <= 16.0
    assert budget_w(rig) <= 2_000
    rig.step(LimitPower("3", "compute", None, 0.0))
    rig.run(20)
    assert budget_w(rig) > 12_000
    assert rig.engine.setpoint_a(evse) <= 16.0


def test_what_no_cap_can_do_is_refused(rig: EngineRig) -> None:
    said = rig.step(
        LimitPower("1", "compute", 1_000.0, 60.0),
        LimitPower("2", "dryer", 1_000.0, 60.0),
        LimitPower("3", "nobody", 1_000.0, 60.0),
        LimitPower("4", "refrigerator", 1_000.0, 60.0),
    )
    assert "cannot run below 1200 W" in said[0]
    assert "takes no set-point" in said[1]
    assert "no circuit" in said[2]
    assert "always on" in said[3]
    rig.run(2)
    assert budget_w(rig) > 12_000


def test_a_cap_goes_over_the_socket_and_back() -> None:
    for limit in (LimitPower("a", "compute", 6_000.0, 60.0), LimitPower("b", "evse", None, 0.0)):
        plain = command_to_plain(limit)
        again = command_from_plain({"v": 1, **plain})
        assert again == replace(limit, expires_s=limit.expires_s)


def restarted(panel: Panel, before: EngineRig, after_s: float, folder: Path) -> EngineRig:
    """Another engine on what the first one kept, so long after, with another boot between."""
    engine = before.engine
    kept = Kept(engine.snapshot(before.now_ns, 1e9))
    StateStore(folder, "1").save(kept, before.now_ns, 1e9)
    after = EngineRig(panel)
    loaded = StateStore(folder, "2").load(after.now_ns, 1e9 + after_s)
    start = Start(loaded, after.now_ns, 1e9 + after_s)
    start.resume(after.engine)
    after.run(20)
    return after


def test_a_cap_outlives_a_restart_and_no_more_than_its_time(rig: EngineRig, tmp_path: Path) -> None:
    rig.step(LimitPower("1", "compute", 6_000.0, 600.0))
    after = restarted(PANEL, rig, 500.0, tmp_path)
    assert 5_900 <= budget_w(after) <= 6_000
    after.run(100)
    assert budget_w(after) > 12_000
    assert budget_w(restarted(PANEL, rig, 600.0, tmp_path)) > 12_000


def test_a_cap_below_a_floor_that_was_raised_holds_at_the_floor(
    rig: EngineRig, tmp_path: Path
) -> None:
    rig.step(LimitPower("1", "compute", 6_000.0, 600.0))
    circuits = tuple(
        replace(c, modulation=replace(c.modulation, floor_w=7_000))
        if c.is_compute and c.modulation is not None
        else c
        for c in PANEL.circuits
    )
    after = restarted(replace(PANEL, circuits=circuits), rig, 10.0, tmp_path)
    assert after.engine.power_limits.limit_w(after.engine.compute) == 7_000
    assert budget_w(after) <= 7_000


def test_a_tier_outlives_a_restart_until_the_file_has_another(
    rig: EngineRig, tmp_path: Path
) -> None:
    dryer = rig.engine.index["dryer"]
    filed = rig.engine.state.tier[dryer]
    assert rig.step(SetTier("1", "dryer", 42)) == []
    assert rig.engine.snapshot(rig.now_ns, 1e9).tiers == {"dryer": (filed, 42)}
    after = restarted(PANEL, rig, 1.0, tmp_path)
    assert after.engine.state.tier[dryer] == 42
    circuits = tuple(replace(c, tier=filed + 1) if c.id == "dryer" else c for c in PANEL.circuits)
    edited = restarted(replace(PANEL, circuits=circuits), rig, 1.0, tmp_path)
    assert edited.engine.state.tier[dryer] == filed + 1
    rig.step(SetTier("4", "dryer", filed))
    assert rig.engine.snapshot(rig.now_ns, 1e9).tiers == {}
