"""Named limits over the engine: envelopes, voltage, off-grid, the total, and the breaker's heat."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from panelctl.config.curves import load_curve
from panelctl.config.load import parse_panel
from panelctl.control.store import Kept, StateStore
from panelctl.core.engine import Engine
from panelctl.core.snapshot import Snapshot
from panelctl.model.command import Envelope, Grid, RequestLimit
from panelctl.model.keys import EnvelopeWindow
from panelctl.model.limit import LimitName
from panelctl.model.panel import Backup, Panel
from panelctl.model.relay import Claim
from tests.engine_rig import EngineRig, S

DEMO = Path("panelctl/sim/demo.toml")


def demo_panel() -> Panel:
    return parse_panel(DEMO.read_text(), "demo.toml")


class LimitsRig(EngineRig):
    """On the demo's panel, with some keys of its service changed."""

    def __init__(self, backup: Backup | None = None, **service: Any) -> None:
        panel = demo_panel()
        service_now = dataclasses.replace(panel.service, **service)
        super().__init__(dataclasses.replace(panel, service=service_now, backup=backup))
        self.run(2)

    def limit(self) -> tuple[float, str]:
        """The effective limit of leg a (A), and what binds."""
        state = self.engine.state
        return state.limit_ma[0] / 1000, LimitName(state.binding[0]).name


def window(
    start_s: float, end_s: float, limit_a: float | None, import_w: float | None = None
) -> EnvelopeWindow:
    return EnvelopeWindow(start_s, end_s, limit_a, import_w)


def test_an_envelope_of_windows() -> None:
    """Stricter up to half a minute early, looser never, and the default between and after them."""
    rig = LimitsRig(doe_default_a=60.0)
    assert rig.limit() == (60, "DOE")
    parts = (window(0, 100, 120), window(100, 200, 80), window(250, 300, 150))
    assert rig.step(Envelope("e", "utility", parts)) == []
    assert rig.limit() == (120, "DOE")
    rig.run(65)
    assert rig.limit() == (120, "DOE")
    rig.run(10)
    assert rig.limit() == (80, "DOE"), "the stricter one starts early"
    rig.run(100)
    assert rig.limit() == (80, "DOE"), "until its own end, also just before a looser one"
    rig.run(50)
    assert rig.limit() == (60, "DOE"), "between windows the default holds"
    rig.run(30)
    assert rig.limit() == (150, "DOE")
    rig.run(60)
    assert rig.limit() == (60, "DOE"), "after the last one as well"
    assert rig.engine.limits.source[LimitName.DOE] == "utility"


def test_without_a_default_the_setting_remains() -> None:
    rig = LimitsRig()
    rig.step(Envelope("e", "utility", (window(0, 5, 90),)))
    assert rig.limit() == (90, "DOE")
    rig.run(6)
    assert rig.limit() == (160, "FSR")
    rig.step(Envelope("e", "utility", (window(0, 50, 500),)))
    assert rig.limit() == (160, "FSR"), "an envelope never raises the setting"


def test_watts_bind_the_total() -> None:
    rig = LimitsRig()
    rig.step(Envelope("e", "utility", (window(0, 50, None, 12_000),)))
    state, total = rig.engine.state, 2
    assert rig.engine.rows[total].name == "import"
    total_ma = state.limit_ma[total]
    assert total_ma == round(12_000 / (240 * 1.06 / 2) * 1000)
    compute = rig.engine.compute
    rig.run(10)
    # less 20 A of household, 1.6 A of margin and twice the 6 A floor of the charger, for two legs
    assert state.set_ma[compute] == (total_ma - 20_000 - 1_600 - 12_000) // 2 // 10 * 10
    assert state.reason_row[compute] == total


def test_the_voltage_response_and_its_hysteresis() -> None:
    rig = LimitsRig(voltage_response=True)
    assert rig.limit() == (160, "FSR")
    rig.voltage_mv = 110_400  # 0.92
    rig.run(1)
    assert rig.limit() == (80, "VOLTAGE")
    rig.voltage_mv = 100_000
    rig.run(1)
    assert rig.limit() == (32, "VOLTAGE")
    rig.voltage_mv = 112_200  # 0.935
    rig.run(1)
    assert rig.limit()[0] == pytest.approx(120, abs=0.1)
    rig.voltage_mv = 114_600  # 0.955: above where it begins, below where it ends
    rig.run(1)
    assert rig.limit()[0] == 160
    assert rig.engine.state.limit_on[LimitName.VOLTAGE] == 1
    rig.voltage_mv = 115_300
    rig.run(1)
    assert rig.engine.state.limit_on[LimitName.VOLTAGE] == 0


def test_off_the_grid_with_a_battery_that_runs_low() -> None:
    rig = LimitsRig(backup=Backup(inverter_a=48.0, shed_tier=5))
    engine, state = rig.engine, rig.engine.state
    late = [i for i in range(len(engine.loads)) if state.tier[i] >= 5 and i != engine.compute]
    assert late
    rig.step(Grid("g", True, 60.0))
    assert rig.limit() == (48, "OFF_GRID")
    assert state.hard[0] == state.hard[1] == 1
    rig.step(Grid("g", True, 50.0))
    assert not any(state.claims[i] & Claim.LOAD_SHED for i in late), "between the two it stays"
    rig.step(Grid("g", True, 48.9))
    assert all(state.claims[i] & Claim.LOAD_SHED for i in late)
    rig.step(Grid("g", True, 50.5))
    assert all(state.claims[i] & Claim.LOAD_SHED for i in late)
    rig.step(Grid("g", True, 51.0))
    assert not any(state.claims[i] & Claim.LOAD_SHED for i in late)
    rig.step(Grid("g", False, None))
    assert rig.limit() == (160, "FSR")
    assert LimitsRig().step(Grid("g", True, 60.0)) != [], "a panel without backup says so"


def test_the_smallest_limit_wins_and_every_one_has_its_source() -> None:
    rig = LimitsRig(doe_default_a=100.0, operator_limit_a=90.0)
    assert rig.limit() == (90, "OPERATOR")
    rig.step(RequestLimit("r", 70.0, 5.0))
    assert rig.limit() == (70, "REQUESTED")
    rig.run(6)
    assert rig.limit() == (90, "OPERATOR"), "what has an end ends by itself"
    named = {LimitName.FSR, LimitName.DOE, LimitName.OPERATOR, LimitName.REQUESTED}
    assert named <= set(rig.engine.limits.source)


def watched(panel: Panel, curve: str, derate: float = 0.9) -> Panel:
    """The panel with its main breaker's heat watched."""
    breaker = dataclasses.replace(panel.service.breaker, curve=load_curve(curve), derate=derate)
    return dataclasses.replace(panel, service=dataclasses.replace(panel.service, breaker=breaker))


def test_heat_outlives_a_restart_and_never_starts_cold() -> None:
    panel = watched(demo_panel(), "home-fast")
    engine = Engine(panel)
    cold = engine.snapshot(S, 1e9).thermal
    assert set(cold) == {"a", "b"}
    kept = Snapshot(thermal={"a": [5 << 30, 6 << 30], "b": [0, 0], "gone": [1, 1]})
    engine.resume(kept, S, 1e9)
    assert engine.snapshot(S, 1e9).thermal == {"a": [5 << 30, 6 << 30], "b": cold["b"]}


def test_an_assumed_curve_gives_no_credit() -> None:
    assert not load_curve("home-fast").gives_credit
    assert not load_curve("ul489-slowest").gives_credit
    assert load_curve("iec60898-fastest").gives_credit
    panel = watched(demo_panel(), "home-fast")
    service = dataclasses.replace(panel.service, thermal_credit=True)
    assert Engine(dataclasses.replace(panel, service=service)).fixed.credit[0] == 0


def test_the_envelope_and_the_island_outlive_a_restart(tmp_path: Path) -> None:
    before = LimitsRig(backup=Backup(inverter_a=48.0, shed_tier=5))
    before.step(Envelope("e", "utility", (window(0, 600, 70), window(600, 900, None, 9_000))))
    before.step(Grid("g", True, 40.0))
    assert before.limit() == (48, "OFF_GRID")
    kept = Kept(before.engine.snapshot(before.now_ns, 5_000.0))
    StateStore(tmp_path, "1").save(kept, before.now_ns, 5_000.0)

    after = LimitsRig(backup=Backup(inverter_a=48.0, shed_tier=5))
    store = StateStore(tmp_path, "2")  # another boot, 100 s later
    loaded = store.load(after.now_ns, 5_100.0)
    assert loaded.engine.claims == kept.engine.claims
    after.engine.resume(loaded.engine, after.now_ns, 5_100.0)
    after.run(2)
    assert after.limit() == (48, "OFF_GRID")
    assert after.engine.state.hard[0] == 1
    held = [i for i, claims in enumerate(after.engine.state.claims) if claims & Claim.LOAD_SHED]
    assert held, "the battery is as low as it was"
    after.step(Grid("g", False, None))
    assert after.limit() == (70, "DOE")
    after.run(500)
    assert after.limit()[1] == "FSR"
    assert after.engine.state.limit_ma[2] == round(9_000 / 127.2 * 1000)
    plain = json.loads((tmp_path / "state.json").read_text())
    plain["limits"]["windows"][0][1] = -1
    (tmp_path / "state.json").write_text(json.dumps(plain))
    assert store.load(after.now_ns, 5_100.0) == Kept(), "a file out of shape counts as empty"
