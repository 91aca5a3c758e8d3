"""What a storm says of itself: a verdict, totals, and what excused each second over the limit."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from panelctl.config.load import read_panel_and_text
from panelctl.sim.storm import report
from panelctl.sim.storm.excess import BOUNDS_S, by_duration, duration_class
from panelctl.sim.storm.excuse import Excuse
from panelctl.sim.storm.exemptions import EXCUSE_OF
from panelctl.sim.storm.faults import Spoils
from panelctl.sim.storm.figures import Figures, Violation
from panelctl.sim.storm.run import Result, plan, run
from panelctl.sim.storm.strike import Pace, Strike, to_text
from panelctl.sim.storm.verdict import all_storms, one_storm, verdict

PANEL, TEXT = read_panel_and_text(Path("panelctl/sim/demo.toml"))


def came_to(seed: int, violations: list[Violation], **figures: object) -> Result:
    made = Figures(**figures)  # type: ignore[arg-type]  # by name
    return Result(seed, 7200.0, [], violations, made, f"d{seed}", [])


def test_the_verdict_says_what_in_how_many_and_how_long() -> None:
    calm = came_to(1, [])
    over = came_to(
        2,
        [Violation(9.0, "S2", "leg a"), Violation(99.0, "S2", "leg b"), Violation(5.0, "O1", "x")],
        excused_s={str(Excuse.NONE): 5.25, str(Excuse.SHORT): 4.0},
        excused=Counter({str(Excuse.NONE): 2, str(Excuse.SHORT): 2}),
        over_total_s=9.25,
        over_s=Counter({"up to 5 s": 2, "up to 0.5 s": 1, "longer than 30 s": 1}),
    )
    assert verdict([calm]) == "verdict: nothing was found in 1 storm (2.00 h): every check held"
    assert verdict([calm, over, calm]) == (
        "verdict: found S2 twice in 1 of 3 storms, 5.2 s at the main lugs without an excuse; "
        "O1 once in 1 of 3 storms"
    )
    lines = all_storms([calm, over])
    assert lines[0] == "all 2 storms: 4.00 h, 0 faults"
    assert "once up to 0.5 s, twice up to 5 s, once longer than 30 s" in lines[2]
    assert lines[3:] == [
        "    4.0 s, twice: no excuse is needed: 2 s are allowed",
        "    5.2 s, twice: no excuse: it is found",
    ]
    assert all_storms([over]) == [], "its own lines have said it"
    assert "  O1 at 5.000 s: x" in one_storm(over, 100.0)
    summary = report.summary([calm, over])
    assert list(summary["times_over_limit"]) == ["up to 0.5 s", "up to 5 s", "longer than 30 s"]
    assert summary["excuses"][str(Excuse.NONE)] == {"times": 2, "seconds": 5.2}


def test_classes_are_in_order_and_complete() -> None:
    for bound_s in BOUNDS_S:
        assert duration_class(bound_s) == f"up to {bound_s:g} s"
        assert duration_class(bound_s + 0.01) != duration_class(bound_s)
    names = [duration_class(bound_s) for bound_s in (*BOUNDS_S, 1e9)]
    assert list(by_duration(Counter(reversed(names)))) == names
    assert set(EXCUSE_OF) == set(Spoils) - {Spoils.NOTHING, Spoils.SLOW}, "those excuse nothing"


def test_a_tight_envelope_is_an_excuse_and_is_named() -> None:
    """Of nothing at all: what stays on is more."""
    strikes = [Strike(30.0, 60.0, "limit_tight", "panel", 0.0)]
    figures = run(PANEL, TEXT, 1, 120.0, strikes, 0.0).figures
    assert figures.excused[Excuse.LOWERED] == figures.excused[Excuse.TIGHT] == 2, "on both legs"
    assert figures.excused_s[Excuse.TIGHT] > 80.0
    assert figures.over_s["longer than 30 s"] == 2
    assert figures.excused.keys() <= {Excuse.LOWERED, Excuse.TIGHT, Excuse.SHORT}


@pytest.mark.parametrize("seed", [4, 7, 11])
def test_every_second_over_the_limit_has_its_reason(seed: int) -> None:
    strikes = plan(PANEL, seed, 240.0, Pace(5.0, 20.0))
    figures = run(PANEL, TEXT, seed, 240.0, strikes, 0.0).figures
    assert figures.over_total_s > 0.0
    assert sum(figures.excused_s.values()) == pytest.approx(figures.over_total_s)
    assert figures.excused.keys() == figures.excused_s.keys()
    assert all(figures.excused_s[name] > 0.0 for name in figures.excused)
    assert max(figures.excused.values()) <= sum(figures.over_s.values())
    assert Excuse.NONE not in figures.excused


def test_the_verb_ends_with_the_verdict(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "panelctl", "storm"]
    more = ["--seed", "3", "--seeds", "2", "--days", "0.015"]
    done = subprocess.run([*words, *more], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.strip().split("\n")
    assert lines[-1].startswith("verdict: nothing was found in 2 storms (0.72 h)")
    assert any(line.startswith("all 2 storms") for line in lines)
    file = tmp_path / "s.json"
    file.write_text(to_text(3, 120.0, [Strike(30.0, 60.0, "limit_tight", "panel", 0.0)]))
    more = ["--schedule", str(file), "--json"]
    done = subprocess.run([*words, *more], capture_output=True, text=True, timeout=300)
    plain = json.loads(done.stdout)
    assert plain["verdict"].startswith("verdict: found L1 once"), "there was no time to come back"
    seconds = sum(excuse["seconds"] for excuse in plain["summary"]["excuses"].values())
    assert seconds == pytest.approx(plain["summary"]["seconds_over_limit"], abs=0.5)


def test_every_excuse_is_in_the_docs() -> None:
    text = Path("docs/how-to/storm-your-panel.md").read_text()
    rows = [f"| {excuse} |" for excuse in Excuse]
    assert all(row in text for row in rows)
    assert sorted(rows, key=text.index) == rows, "in the order in which they are named"
