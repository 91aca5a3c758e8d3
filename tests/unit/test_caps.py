"""Caps: a modulated load draws less for a while, because somebody asked for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from panelctl.config.load import read_panel
from panelctl.model.command import Cap, command_from_plain, command_to_plain
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
    assert rig.step(Cap("1", "compute", 6_000.0, 5.0)) == []
    assert budget_w(rig) <= 6_000
    rig.run(4)
    assert 5_900 <= budget_w(rig) <= 6_000
    assert rig.engine.caps.most_w(rig.engine.compute) == 6_000
    assert 0 < rig.engine.caps.left_s(rig.engine.compute, rig.now_ns) < 1.0
    rig.run(20)
    assert budget_w(rig) > 12_000
    assert rig.engine.caps.most_w(rig.engine.compute) is None


def test_a_cap_is_never_passed_at_a_high_voltage(rig: EngineRig) -> None:
    rig.voltage_mv = 127_000
    rig.step(Cap("1", "compute", 6_000.0, 60.0))
    rig.run(5)
    assert budget_w(rig) <= 6_000


def test_a_cap_is_taken_back_and_a_charger_takes_one_too(rig: EngineRig) -> None:
    rig.step(Cap("1", "compute", 2_000.0, 600.0), Cap("2", "evse", 240.0 * 16, 600.0))
    rig.run(3)
    evse = rig.engine.index["evse"]
    assert rig.engine.setpoint_a(evse) <= 16.0
    assert budget_w(rig) <= 2_000
    rig.step(Cap("3", "compute", None, 0.0))
    rig.run(20)
    assert budget_w(rig) > 12_000
    assert rig.engine.setpoint_a(evse) <= 16.0


def test_what_no_cap_can_do_is_refused(rig: EngineRig) -> None:
    said = rig.step(
        Cap("1", "compute", 1_000.0, 60.0),
        Cap("2", "dryer", 1_000.0, 60.0),
        Cap("3", "nobody", 1_000.0, 60.0),
        Cap("4", "refrigerator", 1_000.0, 60.0),
    )
    assert "cannot run below 1200 W" in said[0]
    assert "takes no set-point" in said[1]
    assert "no circuit" in said[2]
    assert "always on" in said[3]
    rig.run(2)
    assert budget_w(rig) > 12_000


def test_a_cap_goes_over_the_socket_and_back() -> None:
    for cap in (Cap("a", "compute", 6_000.0, 60.0), Cap("b", "evse", None, 0.0)):
        plain = command_to_plain(cap)
        again = command_from_plain({"v": 1, **plain})
        assert again == replace(cap, expires_s=cap.expires_s)
