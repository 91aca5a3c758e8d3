"""Curves, feeders, backup, equal tiers: what the panel file may say, and what becomes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from panelctl.config.curves import curve_names, load_curve
from panelctl.config.load import parse_panel
from panelctl.core.engine import Engine
from panelctl.core.state.layout import NO_LIMIT_MA
from panelctl.errors import ConfigError

TEXT = Path("panelctl/sim/demo.toml").read_text()
FEEDER = """
[[feeder]]
id = "barn"
legs = "ab"
breaker_a = 100
circuits = ["evse", "dryer"]
"""


def problems(text: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        parse_panel(text, "panel.toml")
    return {problem.path: problem.remedy for problem in caught.value.problems}


def service(lines: str, text: str = TEXT) -> str:
    """The demo's file with these lines in [service]."""
    return text.replace("control_setting_a = 160", f"control_setting_a = 160\n{lines}", 1)


@pytest.mark.parametrize(
    ("text", "path", "says"),
    [
        (service('curve = "qo200"'), "service.curve", "home-fast"),
        (service("thermal_credit = true"), "service.thermal_credit", "setting"),
        (
            service('curve = "home-fast"\nthermal_credit = true').replace(
                "control_setting_a = 160", "control_setting_a = 200"
            ),
            "service.thermal_credit",
            "not an assumed one",
        ),
        (service("doe_default_a = 170"), "service.doe_default_a", "at most the control setting"),
        (service("derate = 1.1"), "service.derate", "less than or equal to 1"),
        (TEXT + FEEDER.replace('"dryer"', '"drier"'), "feeder barn.circuits", "no circuit"),
        (TEXT + FEEDER.replace('"ab"', '"a"'), "feeder barn.circuits", "the feeder has a"),
        (TEXT + FEEDER + FEEDER, "feeder.id", "unique"),
        (TEXT + FEEDER.replace('"barn"', '"evse"', 1), "feeder.id", "a circuit's name"),
        (
            TEXT + FEEDER + "control_setting_a = 90\n",
            "feeder barn.control_setting_a",
            "at most 80",
        ),
        (TEXT + FEEDER.replace('"dryer"', '"range"'), "feeder barn.meter", "range on it"),
        (
            TEXT + FEEDER + 'meter = { device = "mains", a = "l1_a" }\n',
            "feeder barn.meter.b",
            "needs a point a leg",
        ),
        (
            TEXT + FEEDER + 'meter = { device = "mains", a = "l1_w", b = "l2_a" }\n',
            "feeder barn.meter.a",
            "a current in A",
        ),
        (
            TEXT.replace("demand_a = 24", "demand_a = 24\nmax_off_s = 3", 1),
            "circuit dryer.max_off_s",
            "more than min_off_s",
        ),
    ],
)  # fmt: skip
def test_refusals(text: str, path: str, says: str) -> None:
    found = problems(text)
    assert path in found, found
    assert says in found[path]


def test_a_feeder_becomes_a_row_a_leg() -> None:
    engine = Engine(parse_panel(TEXT + FEEDER, "panel.toml"))
    assert [row.name for row in engine.rows] == ["a", "b", "import", "barn.a", "barn.b"]
    fixed, rows = engine.fixed, engine.fixed.rows
    evse, dryer = engine.index["evse"], engine.index["dryer"]
    assert engine.state.limit_value_ma[3] == 100_000
    assert (fixed.limit_coef[evse * rows + 3], fixed.meter_coef[evse * rows + 3]) == (5, 4)
    assert (fixed.limit_coef[dryer * rows + 3], fixed.meter_coef[dryer * rows + 3]) == (4, 4)
    assert fixed.limit_coef[engine.compute * rows + 3] == 0
    assert (fixed.limit_coef[evse * rows + 2], fixed.limit_coef[evse * rows]) == (2, 1)
    assert engine.state.limit_value_ma[2] == NO_LIMIT_MA
    setting = Engine(parse_panel(TEXT + FEEDER + "control_setting_a = 80\n", "panel.toml"))
    assert setting.fixed.scale[3] == 1, "behind a setting nothing counts 1.25 again"
    assert setting.state.limit_value_ma[3] == 80_000


def test_credit_makes_the_legs_rows_of_the_rating() -> None:
    text = service('curve = "iec60898-fastest"\nthermal_credit = true').replace(
        "control_setting_a = 160", "control_setting_a = 200"
    )
    engine = Engine(parse_panel(text, "panel.toml"))
    fixed = engine.fixed
    assert (fixed.credit[0], fixed.scale[0]) == (1, 4)
    assert fixed.ref_ma[0] == round(1.13 * 200_000 * 0.9)
    assert fixed.limit_coef[engine.compute * fixed.rows] == 5


def test_total_and_equal_tiers() -> None:
    text = service("import_limit_w = 30000") + "\n[ladder]\nequal_tiers = [3, 5]\n"
    engine = Engine(parse_panel(text, "panel.toml"))
    # 30 kW at the highest service voltage: no reading of a high voltage passes the watts
    assert engine.state.limit_value_ma[2] == round(30_000 / (240 * 1.06 / 2) * 1000)
    assert [t for t, equal in enumerate(engine.fixed.equal_tier) if equal] == [3, 5]


@pytest.mark.parametrize("name", curve_names())
def test_every_curve_file_is_right(name: str) -> None:
    curve = load_curve(name)
    assert curve.fast_s < curve.slow_s
    assert 1 <= curve.ref_ratio <= 1.5
