"""Storms over the whole application: repeatable, judged, replayed, made smaller."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from panelctl.config.load import parse_panel, read_panel
from panelctl.control.replay import replay
from panelctl.errors import ConfigError
from panelctl.link.recording import Recording, open_recording, read_recording
from panelctl.sim.server import struck_by
from panelctl.sim.storm.faults import DRAWN, KINDS
from panelctl.sim.storm.report import CHECKS
from panelctl.sim.storm.run import Result, plan, run
from panelctl.sim.storm.shrink import shrink
from panelctl.sim.storm.strike import PROFILES, Pace, Strike, read_schedule, to_text
from panelctl.sim.storm.world import World

DEMO = Path("panelctl/sim/demo.toml")
PANEL, TEXT = read_panel(DEMO), DEMO.read_text()
ROUGH = Pace(6.0, 30.0)


def storm(seed: int, seconds: float, strikes: list[Strike] | None = None) -> Result:
    if strikes is None:
        strikes = plan(PANEL, seed, seconds, ROUGH)
    return run(PANEL, TEXT, seed, seconds, strikes, 0.0, stop_at_first=True)


SHORT = """
from pathlib import Path
from panelctl.config.load import parse_panel, read_panel
from panelctl.sim.storm.run import plan, run
from panelctl.sim.storm.strike import Pace
demo = Path("panelctl/sim/demo.toml")
panel, text = read_panel(demo), demo.read_text()
print(run(panel, text, 5, 150.0, plan(panel, 5, 150.0, Pace(6.0, 30.0)), 0.0).digest)
"""


@pytest.mark.parametrize("hash_seed", ["0", "1", "4242"])
def test_one_seed_gives_one_digest_in_any_process(hash_seed: str) -> None:
    mine = storm(5, 150.0)
    other = subprocess.run(
        [sys.executable, "-c", SHORT],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        timeout=120,
    )
    assert other.returncode == 0, other.stderr
    assert other.stdout.strip() == mine.digest
    assert storm(6, 150.0).digest != mine.digest


def test_everything_that_is_checked_is_reported() -> None:
    """A report for machines has a case for each check."""
    text = "".join(path.read_text() for path in Path("panelctl/sim/storm").glob("*.py"))
    assert set(re.findall(r'found\("(\w+)"', text)) == set(CHECKS)


def test_every_kind_of_fault_is_drawn_and_survived() -> None:
    """All kinds within one storm; nothing is found."""
    seconds = 600.0
    result = storm(21, seconds)
    assert set(result.figures.strikes) == DRAWN - {"overload"}, "no breaker is watched there"
    assert result.violations == []


@pytest.mark.parametrize("first", [0, 1])
def test_faults_that_are_alike_end_one_by_one(first: int, tmp_path: Path) -> None:
    """Even if the one that is over was never noticed and the other one was."""
    world = World(PANEL, TEXT, 1, tmp_path)
    link = next(d.link for d in PANEL.devices if d.name == "node")
    faults = next(iter(world.wire(link).faults.values()))
    undone = [KINDS["lost"].begin(world, Strike(1.0, 9.0, "lost", "node", 0.5)) for _ in (0, 1)]
    undone.pop(first)()
    assert struck_by(faults) is not None
    undone[0]()
    assert faults == []
    world.loop.close()


@pytest.mark.parametrize("kinds", [("duplicate", "lost"), ("lost", "duplicate")])
def test_a_reply_that_is_lost_is_lost_whatever_else_is_wrong(
    kinds: tuple[str, str], tmp_path: Path
) -> None:
    world = World(PANEL, TEXT, 1, tmp_path)
    link = next(d.link for d in PANEL.devices if d.name == "mains")
    for kind in kinds:
        KINDS[kind].begin(world, Strike(1.0, 9.0, kind, "mains", 0.5))
    unit = next(d.unit for d in PANEL.devices if d.name == "mains")
    struck = struck_by(world.wire(link).faults[unit])
    assert struck is not None
    assert struck.kind == "dead"
    world.loop.close()


def test_motors_that_start_twice_run_as_before(tmp_path: Path) -> None:
    world = World(PANEL, TEXT, 1, tmp_path)
    item = world.plant.circuits["dishwasher"]
    item.demand_w = 800.0

    async def twice() -> None:
        for _ in (0, 1):
            KINDS["inrush"].begin(world, Strike(1.0, 0.3, "inrush", "dishwasher", 0.5))
            await asyncio.sleep(0.1)
        assert item.demand_w == 4_800.0
        await asyncio.sleep(1.0)

    world.loop.run_until_complete(twice())
    world.loop.close()
    assert item.demand_w == 800.0


ZERO_S = (30.0, 250.0)


@pytest.mark.parametrize("amount", [0.2, 0.9])
@pytest.mark.parametrize(
    "more",
    [
        [
            Strike(95.0, 20.0, "cable_out", "line2", 0.5),
            Strike(95.0, 20.0, "node_dies", "compute", 0.5),
        ],
        [
            Strike(100.0, 20.0, "cable_out", "line2", 0.5),
            Strike(100.0, 20.0, "lost", "compute_meter", 0.5),
        ],
        [Strike(80.0, 1.0, "reload", "panel", 0.5)],
        [Strike(80.0, 1.0, "kill", "panel", 0.5)],
    ],
    ids=["nothing to compare", "nothing read", "reload", "kill"],
)
def test_a_doubt_about_the_mains_does_not_end_for_want_of_evidence(
    more: list[Strike], amount: float
) -> None:
    """They show nothing, or next to nothing, all the time."""
    zero = Strike(ZERO_S[0], ZERO_S[1] - ZERO_S[0], "zero", "mains", amount)
    assert storm(1, 260.0, [zero, *more]).violations == []


def test_a_charger_is_told_after_a_stall_and_no_sooner() -> None:
    """It has just been given much; then the mains fail, and the controller stands still."""
    strikes = [
        Strike(10.0, 40.0, "lost", "charger", 0.5),
        Strike(30.0, 1.0, "all_on", "panel", 0.5),
        Strike(50.9, 20.0, "foreign", "mains", 0.3),
        Strike(51.8, 1.0, "stall", "panel", 0.49),
    ]
    for seed in (1, 2, 3, 4):
        assert storm(seed, 75.0, strikes).violations == []


@pytest.mark.parametrize("at_s", [40.0, 44.0, 48.0, 52.0])
def test_mains_that_only_the_household_convicts_stay_convicted_over_a_reload(at_s: float) -> None:
    """The node is away. Before the verdict at 45 s a reload begins anew, after it nothing does."""
    strikes = [
        Strike(10.0, 100.0, "node_dies", "compute", 0.5),
        Strike(30.0, 70.0, "zero", "mains", 0.2),
        Strike(at_s, 1.0, "reload", "panel", 0.5),
    ]
    result = storm(3, 100.0, strikes)
    assert result.violations == []
    assert result.figures.sheds > 0


@pytest.mark.parametrize("amount", [0.2, 0.9])
def test_mains_that_show_nothing_again_and_again_do_not_let_the_node_climb(amount: float) -> None:
    """The third time comes just when the second doubt would have ended by the clock."""
    strikes = [Strike(at_s, 45.0, "zero", "mains", amount) for at_s in (30.0, 140.0, 250.0)]
    assert storm(1, 300.0, strikes).violations == []


@pytest.mark.parametrize("amount", [0.1, 0.9], ids=["back", "forward"])
@pytest.mark.parametrize("kind", ["restart", "kill", "reload", "blackout"])
def test_a_limit_outlives_a_clock_that_is_set_and_an_end(kind: str, amount: float) -> None:
    """An envelope for four minutes; people's clock is set by an hour; then all starts anew."""
    strikes = [
        Strike(40.0, 240.0, "limit_lost", "panel", 0.1),
        Strike(60.0, 1.0, "clock_step", "panel", amount),
        Strike(70.0, 1.0, kind, "panel", 0.1),
    ]
    assert storm(3, 160.0, strikes).violations == []


def test_reloads_do_not_put_off_what_happens_without_the_mains() -> None:
    strikes = [Strike(30.0, 40.0, "lost", "mains", 0.5)]
    strikes += [Strike(at_s, 1.0, "reload", "panel", 0.5) for at_s in (34.5, 38.0)]
    assert storm(1, 75.0, strikes).violations == []


def test_a_feeders_breaker_is_kept_and_one_that_is_not_known_is_missed() -> None:
    """An EV charger that could draw more than its subpanel's breaker carries."""
    text = (
        TEXT
        + """
[[feeder]]
id = "barn"
breaker_a = 40
circuits = ["evse", "dryer", "hot_tub"]
"""
    )
    panel = parse_panel(text, "panel.toml")
    strikes = plan(panel, 1, 900.0, replace(PROFILES["storm"], rest_s=60.0))
    assert run(panel, text, 1, 900.0, strikes, 0.0).violations == []
    blind = replace(panel, feeders=())
    found = run(panel, text, 1, 900.0, strikes, 0.0, controller=blind).violations
    assert {violation.check for violation in found} == {"S1", "S2"}
    assert all("barn" in violation.what for violation in found)


@pytest.mark.parametrize("lingers", [False, True])
def test_a_tight_envelope_stops_the_node_and_opens_one_that_lingers(
    lingers: bool, tmp_path: Path
) -> None:
    """19.2 A for two minutes: less than the floor and what stays closed, once the fridge runs."""
    file = tmp_path / "storm.jsonl.gz"
    strikes = [Strike(40.0, 120.0, "limit_tight", "panel", 0.3)]
    if lingers:
        strikes.append(Strike(30.0, 200.0, "node_lingers", "compute", 0.5))
    with open_recording(file) as tape:
        result = run(PANEL, TEXT, 1, 480.0, strikes, 0.0, record=tape)
    assert result.violations == []
    records = list(read_recording(file).records)
    told = [e for r in records for e in r["events"] if e.get("circuit") == "compute"]
    assert [e["what"] for e in told if e["what"] != "throttle"] == (
        ["shed", "relay", "restore"] if lingers else ["shed", "restore"]
    )
    nodes = [node for r in records if (node := r["compute"]) is not None]
    assert any(node["stop"] and node["budget_w"] == 0 for node in nodes)
    assert nodes[-1]["budget_w"] > 12_000, "all of it is back"


def test_a_recording_of_a_storm_replays_to_the_bit(tmp_path: Path) -> None:
    file = tmp_path / "storm.jsonl.gz"
    strikes = [
        s
        for s in plan(PANEL, 8, 200.0, Pace(4.0, 10.0))
        if s.kind
        not in ("kill", "reload", "restart", "blackout")  # a recording ends with the controller
    ]
    with open_recording(file) as tape:
        result = run(PANEL, TEXT, 8, 200.0, strikes, 0.0, record=tape)
    assert result.figures.crashes == 0
    recording = read_recording(file)
    hello, records = recording.hello, list(recording.records)
    again = replay(PANEL, Recording(hello, iter(records)))
    assert again.difference is None
    assert again.cycles == len(records) >= 1_800
    assert any(record["commands"] for record in records)

    changed = json.loads(json.dumps(records))
    changed[500]["decisions"][0]["value"][0] += 30_000
    other = replay(PANEL, Recording(hello, iter(changed))).difference
    assert other is not None
    assert other.seq == 501
    with pytest.raises(ConfigError, match="first cycle"):
        replay(PANEL, Recording(hello, iter(records[5:])))
    with pytest.raises(ConfigError, match="starts from"):
        replay(PANEL, Recording({**hello, "start": {}}, iter(records)))


def test_a_quicker_cycle_publishes_no_more_and_replays_all_the_same(tmp_path: Path) -> None:
    """At 20 Hz: ten records a second, each with both decisions, and one at once for an event."""
    panel = replace(PANEL, timing=replace(PANEL.timing, rate_hz=20.0))
    file = tmp_path / "quick.jsonl.gz"
    strikes = [
        Strike(20.0, 20.0, "limit_tight", "panel", 0.5),
        Strike(50.0, 5.0, "lost", "mains", 0.5),
    ]
    with open_recording(file) as tape:
        run(panel, TEXT, 3, 70.0, strikes, 0.0, record=tape)
    recording = read_recording(file)
    hello, records = recording.hello, list(recording.records)
    calm = [r for r in records if not (r["events"] or r["verdicts"])]
    span_s = (records[-1]["t_ns"] - records[0]["t_ns"]) / 1e9
    cycles = sum(len(record["decisions"]) for record in records)
    assert len(calm) <= 10 * span_s + 1
    assert cycles > 15 * span_s, "it does run at more than ten cycles a second"
    assert {len(record["decisions"]) for record in records} >= {1, 2}
    for record in records:
        assert record["decisions"][-1]["t_ns"] == record["t_ns"]
    for number, record in enumerate(records[:-1]):
        following = records[number + 1]
        assert following["cycle"] == record["cycle"] + len(following["decisions"])
    told = [record for record in records if record["verdicts"]]
    assert told
    assert all(record["commands"] for record in told)
    again = replay(panel, Recording(hello, iter(records)))
    assert again.difference is None
    assert again.cycles == cycles


def test_a_schedule_is_made_as_small_as_it_can_be() -> None:
    strikes = [Strike(float(n), 1.0, "late", "mains", 0.5) for n in range(40)]
    needed = {strikes[7], strikes[31]}
    runs = 0

    def fails(part: list[Strike]) -> bool:
        nonlocal runs
        runs += 1
        return needed <= set(part)

    assert set(shrink(strikes, fails, 200)) == needed
    assert runs < 60
    assert len(shrink(strikes, fails, 5)) < 40, "what was reached within the runs that were given"
    assert shrink(strikes, lambda part: True, 10) == []


def test_a_schedule_comes_back_from_its_file(tmp_path: Path) -> None:
    strikes = plan(PANEL, 3, 600.0, PROFILES["hurricane"])
    file = tmp_path / "storm.json"
    file.write_text(to_text(3, 600.0, strikes))
    assert read_schedule(file, set(KINDS)) == (3, 600.0, strikes)
    for text in (
        "{}",
        "[",
        '{"format": "panelctl-storm"}',
        to_text(3, 1.0, [Strike(1, 1, "x", "y", 0)]),
    ):
        file.write_text(text)
        with pytest.raises(ConfigError, match="schedule"):
            read_schedule(file, set(KINDS))


def test_the_command_keeps_and_repeats_a_failure(tmp_path: Path) -> None:
    """A node that is never told anything again: its faults end, and it does not come back."""
    file = tmp_path / "s.json"
    strikes = [Strike(30.0, 300.0, "lost", "node", 0.5), Strike(20.0, 1.0, "inrush", "dryer", 0.1)]
    file.write_text(to_text(1, 330.0, strikes))
    command = [sys.executable, "-m", "panelctl", "storm", "--schedule", str(file)]
    command += ["--config", str(DEMO.resolve())]
    done = subprocess.run(
        [*command, "--json", "--junit", "j.xml", "--plot", "p.svg", "--out", "new/s.json"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=600,
    )
    assert done.returncode == 1, done.stderr
    plain = json.loads(done.stdout)
    assert plain == json.loads((tmp_path / "new" / "s.json").read_text())
    (told,) = plain["storms"]
    summary = plain["summary"]
    assert summary["digests"] == {"1": told["digest"]}
    assert summary["violations"] == {"L1": len(told["violations"])}
    assert summary["faults_by_kind"] == {"inrush": 1, "lost": 1}
    assert summary["failsafe_seconds"]["max"] < 5.0
    assert {v["check"] for v in told["violations"]} == {"L1"}
    kept = json.loads((tmp_path / "storm-1.json").read_text())
    assert [strike["kind"] for strike in kept["strikes"]] == ["lost"]
    assert "<failure" in (tmp_path / "j.xml").read_text()
    assert "<polyline" in (tmp_path / "p.svg").read_text()
    assert "panelctl storm --schedule storm-1.json" in done.stderr


def test_kinds_are_drawn_by_name(tmp_path: Path) -> None:
    """Those that are open are only drawn where they are named."""
    assert KINDS.keys() > DRAWN
    base = [sys.executable, "-m", "panelctl", "storm"]

    def storm_of(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*base, *more], capture_output=True, text=True, timeout=300, cwd=tmp_path
        )

    listed = storm_of("--kinds", "list")
    assert listed.returncode == 0
    assert {line.split()[0] for line in listed.stdout.splitlines()} == set(KINDS)
    assert sum("(open:" in line for line in listed.stdout.splitlines()) == len(KINDS) - len(DRAWN)
    wrong = storm_of("--kinds", "averages,nonsense")
    assert wrong.returncode == 2
    assert "nonsense: no such kind" in wrong.stderr
    home = str(Path("fixtures/panels/home_100a.toml").resolve())
    nowhere = storm_of("--kinds", "car_holds", "--config", home)
    assert nowhere.returncode == 2
    assert "has nothing that car_holds could strike" in nowhere.stderr
    assert {strike.kind for strike in plan(PANEL, 1, 600.0, ROUGH, {"averages"})} == {"averages"}
    assert "averages" not in {strike.kind for strike in plan(PANEL, 1, 2600.0, ROUGH)}
