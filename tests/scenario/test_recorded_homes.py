"""Whole recorded days through plant and engine, second by second, without the bus."""

from __future__ import annotations

from pathlib import Path

import pytest

from panelctl.config.load import read_panel
from panelctl.errors import ConfigError
from panelctl.sim.direct import DirectRun
from panelctl.sim.homes.player import HomePlayer
from panelctl.sim.homes.read import read_home
from panelctl.sim.plant import Plant
from tests.bench import mismatch

DAY_S = 86_400
PANEL = Path("fixtures/panels/home_100a.toml")
DEMO = Path("panelctl/sim/demo.toml")
HOMES = Path("fixtures/homes")


@pytest.mark.slow
def test_two_winter_days_on_a_service_that_is_too_small() -> None:
    panel = read_panel(PANEL)
    plant = Plant.of(panel)
    home = read_home(HOMES / "ochre_winter.toml", plant)
    assert home.span_s > 6 * DAY_S
    run = DirectRun(panel, plant, HomePlayer(home, plant))
    for _ in range(2 * DAY_S):
        run.step()
    truth = run.judge.truth()
    assert truth["breaker_trips"] == []
    assert truth["always_on_opened"] == 0
    assert run.seconds_preventable == 0
    assert run.judge.worst_overload_s <= 2.0
    assert run.sheds >= 5, "the home is too large for its service on these days"
    assert run.restores >= run.sheds - 1
    assert run.judge.compute_wh / run.judge.available_wh >= 0.97


def test_the_same_days_without_control_do_trip() -> None:
    """The plant is not a toy: its breaker trips when nobody shares the service."""
    panel = read_panel(PANEL)
    plant = Plant.of(panel)
    player = HomePlayer(read_home(HOMES / "ochre_winter.toml", plant), plant)
    node = plant.circuits["compute"].node
    assert node is not None
    node.ignores = True
    for second in range(DAY_S):
        player.tell(float(second))
        plant.step(1.0)
        if plant.trips:
            break
    assert "main" in plant.trips


def test_real_recordings_have_defects_and_they_are_counted() -> None:
    plant = Plant.of(read_panel(DEMO))
    home = read_home(HOMES / "tracebase_demo.toml", plant)
    assert sum(notes.repeated for notes in home.notes) > 0
    assert {series.circuit for series in home.series} == {"dryer", "kitchen_1", "refrigerator"}
    dryer = next(series for series in home.series if series.circuit == "dryer")
    assert max(dryer.watts) > 1000
    assert list(dryer.at_s) == sorted(set(dryer.at_s))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("speed = -1\n", "speed"),
        ("what = 1\n", "what"),
        ("", "recording"),
        ('[[recording]]\nfile = "none.csv"\ncolumns = { a = "dryer" }\n', "cannot be used"),
        ('[[recording]]\nfile = "x.csv"\ncolumns = { w = "nobody" }\n', "no circuit"),
        ('[[recording]]\nfile = "x.csv"\ncolumns = { z = "dryer" }\n', "no column 'z'"),
        ('[[recording]]\nfile = "x.csv"\nscale = 0\ncolumns = { w = "dryer" }\n', "scale"),
        ('[[recording]]\nfile = "bad.csv"\ncolumns = { w = "dryer" }\n', "row 2, column 'w'"),
        ('[[recording]]\nfile = "torn.csv.gz"\ncolumns = { w = "dryer" }\n', "cannot be used"),
    ],
)
def test_wrong_home_files(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "x.csv").write_text("time,w\n2026-01-01 00:00:00,5\n")
    (tmp_path / "bad.csv").write_text("time,w\n2026-01-01 00:00:00,five\n")
    whole = (HOMES / "bldg0000006_winter_7d.csv.gz").read_bytes()
    (tmp_path / "torn.csv.gz").write_bytes(whole[: len(whole) // 2])
    path = tmp_path / "home.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=says):
        read_home(path, Plant.of(read_panel(DEMO)))


def test_impossible_values_are_left_out_and_told(tmp_path: Path) -> None:
    rows = ["time,w"]
    for second, value in enumerate(("10", "nan", "-5", "1e9", "20")):
        rows.append(f"2026-01-01 00:00:0{second},{value}")
    (tmp_path / "x.csv").write_text("\n".join(rows))
    path = tmp_path / "home.toml"
    path.write_text('[[recording]]\nfile = "x.csv"\ncolumns = { w = "dryer" }\n')
    home = read_home(path, Plant.of(read_panel(DEMO)))
    told = next(notes for notes in home.notes if notes.column == "w")
    assert (told.rows, told.blank, told.negative, told.glitches) == (2, 1, 1, 1)
    assert list(home.series[0].at_s) == [0.0, 1.0, 4.0]
    assert list(home.series[0].watts) == [10.0, 0.0, 20.0]


@pytest.mark.slow
def test_credit_from_a_derated_curve_survives_a_breaker_that_is_more_sensitive() -> None:
    """A tenth more sensitive than its curve says, over two recorded days."""
    trips, sheds, _, theta = mismatch.run(("credit_derated", 1.10))
    assert trips == 0
    assert sheds > 0
    assert theta < 1.0
