"""Cases: what is replaced, what stays, and when none is written."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from panelctl.case.make import make_case
from panelctl.case.part import Part, around
from panelctl.config.load import parse_panel
from panelctl.control.describe import describe_panel
from panelctl.control.publish import Publisher
from panelctl.control.replay import replay
from panelctl.control.start import Start
from panelctl.control.store import Kept
from panelctl.errors import ConfigError
from panelctl.link.recording import header, line_of, read_recording
from panelctl.model.command import (
    AcceptDevice,
    Command,
    Grid,
    Lease,
    LimitPower,
    OpenRelay,
    SetTier,
)
from panelctl.model.record import CycleRecord
from tests.cases import FOLDER
from tests.engine_rig import TANK, EngineRig
from tests.records import DEMO, TIMING

WALL_S = 1_772_321_400.0  # 2026-02-28, 23:30 UTC
EXTRA = """
[[feeder]]
id = "annas_barn"
breaker_a = 60
circuits = ["dryer", "hot_tub"]

[backup]
inverter_a = 40
shed_tier = 4

[heat_sink]
circuits = ["compute"]
rejector_w = 4000
tank_w = 9000
sensor = { device = "tank", point = "tank_c" }
full_c = 60
"""
TEXT = (DEMO.read_text() + TANK + EXTRA).replace('name = "Dryer"', 'name = "Dryer of Anna Smith"')
TEXT = TEXT.replace("control_setting_a = 160", "control_setting_a = 160\nlease_default_w = 30000")
COMMANDS: dict[int, list[Command]] = {
    5: [Lease("from anna@example.org", "Smith & Sons", 17, 20_000.0, 300.0)],
    8: [OpenRelay("anna", "dryer"), OpenRelay("anna", "no_such_circuit")],
    9: [AcceptDevice("anna", "no_such_meter"), AcceptDevice("c1", "mains")],
    12: [LimitPower("m", "compute", 6_000.0, 60.0), SetTier("m", "hot_tub", 9)],
    14: [Grid("anna", True, 40.0)],
    20: [Grid("anna", False, None), SetTier("m", "compute", 3)],
}
SECRETS = [
    *("Smith", "Anna", "annas_barn", "dryer", "hot_tub", "anna", "no_such", "192.0.2"),
    *("example.org", "77-secret", "kitchen table", "line1", "branch1"),
]


def record_into(
    file: Path,
    text: str,
    steps: int = 60,
    commands: dict[int, list[Command]] = COMMANDS,
    shadow: bool = False,
) -> None:
    """A recording as the controller writes it, of a rig that is read steadily."""
    panel = parse_panel(text, "panel.toml")
    rig = EngineRig(panel.all_armed() if shadow else panel)
    start = Start(Kept(serials={"mains": "77-secret"}), rig.now_ns, WALL_S)
    start.resume(rig.engine)
    publisher = Publisher(rig.engine, shadow=shadow)
    with file.open("wb") as out:
        out.write(header(describe_panel(panel, text, start, shadow)))
        for number in range(steps):
            asked: Sequence[Command] = commands.get(number, [])
            out.write(line_of(stepped(rig, publisher, list(asked), number)))


def stepped(rig: EngineRig, publisher: Publisher, asked: list[Command], number: int) -> CycleRecord:
    now_ns = rig.now_ns
    rig.amps_ma = 10_000 + 700 * (number % 7)
    verdicts = rig.decide(asked)
    publisher.decided(now_ns, asked, verdicts)
    record = publisher.record(WALL_S + number / 10, {**TIMING})
    record["events"].append(
        {"what": "device", "device": "mains", "text": "SILENT: on the kitchen table"}
    )
    record["links"] = {}
    return json.loads(json.dumps(record))  # type: ignore[no-any-return]  # as it is read


@pytest.fixture
def night(tmp_path: Path) -> Path:
    file = tmp_path / "night.jsonl"
    record_into(file, TEXT)
    return file


def quiet(what: str, records: int) -> None:
    """Tell nobody."""


def test_nothing_says_whose_it_is_and_everything_that_decides_stays(night: Path) -> None:
    case = night.with_name("case.jsonl")
    made = make_case(night, case, Part(0.7, 4.0), quiet)
    text = case.read_text()
    assert [secret for secret in SECRETS if secret in text] == []
    before, after = (read_recording(file) for file in (night, case))
    records, originals = list(after.records), list(before.records)
    panel = parse_panel(after.hello["config"], "case")
    true = parse_panel(before.hello["config"], "house")
    for one, other in zip(panel.circuits, true.circuits, strict=True):
        for key in ("role", "legs", "breaker", "tier", "armed", "demand_a", "is_compute"):
            assert getattr(one, key) == getattr(other, key)
    assert [device.map for device in panel.devices] == [device.map for device in true.devices]
    assert made.records == len(records) == 34
    for mine, theirs in zip(records, originals[7:], strict=False):
        assert mine["seq"] == theirs["seq"]
        assert mine["decisions"] == theirs["decisions"]
        assert mine["legs"] == theirs["legs"]
        assert [c["w"] for c in mine["circuits"]] == [c["w"] for c in theirs["circuits"]]
        told = [verdict["accepted"] for verdict in theirs["verdicts"]]
        assert [verdict["accepted"] for verdict in mine["verdicts"]] == told
        hours = [datetime.fromtimestamp(r["wall_s"], UTC) for r in (mine, theirs)]
        assert hours[0].time() == hours[1].time()
        assert hours[0].date().isoformat() == "2001-01-01"
    whys = {v["why"] for r in records for v in r["verdicts"] if not v["accepted"]}
    assert any("there is no circuit 'u" in why for why in whys)
    assert records[0]["events"][-1] == {"what": "device", "device": "d1", "text": "SILENT"}


def test_a_case_of_a_case_is_one_too(night: Path) -> None:
    case, smaller = night.with_name("case.jsonl"), night.with_name("smaller.jsonl.gz")
    make_case(night, case, Part(0.5, 4.0), quiet)
    made = make_case(case, smaller, Part(1.0, 2.0), quiet)
    recording = read_recording(smaller)
    again = replay(parse_panel(recording.hello["config"], ""), recording)
    assert again.difference is None
    assert again.cycles == made.records == 11


def test_circuits_that_are_called_as_a_case_calls_them(tmp_path: Path) -> None:
    """`c1` may be anybody's dryer, and `limit` a word of every record."""
    file, case = tmp_path / "night.jsonl", tmp_path / "case.jsonl"
    text = TEXT.replace('"dryer"', '"c1"').replace('"hot_tub"', '"limit"')
    record_into(file, text, 30, {})
    make_case(file, case, Part(), quiet)
    idents = {circuit["id"] for circuit in read_recording(case).hello["circuits"]}
    assert not idents & {"c1", "limit"}
    assert "c1" not in case.read_text().replace("cx1", "")


def test_what_was_recorded_in_shadow_is_a_case_too(tmp_path: Path) -> None:
    file, case = tmp_path / "night.jsonl", tmp_path / "case.jsonl"
    unarmed = (DEMO.read_text() + TANK).replace("armed = true", "armed = false")
    record_into(file, unarmed, shadow=True)
    make_case(file, case, Part(2.0), quiet)
    recording = read_recording(case)
    assert recording.hello["shadow"]
    assert not any(circuit["armed"] for circuit in recording.hello["circuits"])
    again = replay(parse_panel(recording.hello["config"], ""), recording)
    assert again.difference is None
    assert again.cycles == 40


def test_any_name_may_stand_in_a_panel_file(tmp_path: Path) -> None:
    """Also what is something to a regular expression, or to TOML; and in a comment."""
    file, case = tmp_path / "night.jsonl", tmp_path / "case.jsonl"
    name = "Küche (Anna's) [1+1] \\\\d.*"
    text = TEXT.replace("Dryer of Anna Smith", name) + "\n# the meter hangs behind Anna's coats\n"
    record_into(file, text)
    make_case(file, case, Part(), quiet)
    assert "Anna" not in case.read_text()


def test_what_an_other_version_decided_is_no_case(night: Path) -> None:
    lines = night.read_text().splitlines(keepends=True)
    record = json.loads(lines[40])
    record["state"] = "SHED"
    lines[40] = json.dumps(record) + "\n"
    night.write_text("".join(lines))
    case = night.with_name("case.jsonl")
    with pytest.raises(ConfigError, match="record 40 of it comes out otherwise in state"):
        make_case(night, case, Part(), quiet)
    assert [path.name for path in night.parent.iterdir()] == ["night.jsonl"]
    night.write_text("".join([lines[0], *lines[5:]]))
    with pytest.raises(ConfigError, match="first cycle"):
        make_case(night, case, Part(), quiet)


def test_a_case_in_which_a_name_is_left_is_not_written(
    night: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from panelctl.case.names import Names

    monkeypatch.setattr(Names, "source", lambda self, text: text)
    case = night.with_name("case.jsonl")
    with pytest.raises(ConfigError, match="Smith & Sons"):
        make_case(night, case, Part(), quiet)
    assert not case.exists()
    assert not list(night.parent.glob(".new*"))


def test_a_map_of_ones_own_is_named(
    night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = Path("panelctl/modbus/maps/mypv_ac_thor.toml").read_text()
    maps = tmp_path / "maps"
    maps.mkdir()
    (maps / "my_own.toml").write_text(mine.replace('id = "mypv_ac_thor"', 'id = "my_own"'))
    monkeypatch.setenv("PANELCTL_MAPS", str(maps))
    record_into(night, TEXT.replace('"mypv_ac_thor"', '"my_own"'), 5, {})
    with pytest.raises(ConfigError, match=r"device\[12\].map = my_own: is a map of your own"):
        make_case(night, night.with_name("case.jsonl"), Part(), quiet)


def test_a_part_is_asked_for_by_time_or_by_record(night: Path) -> None:
    part = around(night, 30)
    assert part.from_s == 0.0
    assert part.to_s == pytest.approx(62.9)
    with pytest.raises(ConfigError, match="is no record of it: it has 1 to 60"):
        around(night, 61)
    with pytest.raises(ConfigError, match=r"it goes from 0 to 5\.9 s"):
        make_case(night, night.with_name("case.jsonl"), Part(100.0), quiet)


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_a_bad_night_is_decided_as_it_was(path: Path) -> None:
    """`python -m tests.cases` makes those of storms anew after a change that is meant."""
    recording = read_recording(path)
    again = replay(parse_panel(recording.hello["config"], path.name), recording)
    assert again.difference is None
    assert again.cycles > 0


def panelctl(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "panelctl", *words],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=60,
    )


def test_the_verb_says_what_it_did(night: Path) -> None:
    folder = night.parent
    start = datetime.fromtimestamp(WALL_S)
    done = panelctl("case", night.name, "--from", f"{start:%H:%M:%S}", "--to", "3s", folder=folder)
    assert done.returncode == 0, done.stderr
    assert "it replays to the bit" in done.stdout
    assert "1 feeder" in done.stdout
    assert panelctl("replay", "case.jsonl.gz", folder=folder).returncode == 0
    again = panelctl("case", night.name, folder=folder)
    assert again.returncode == 1
    assert "is there already" in again.stderr
    words = ("case", night.name, "--around", "20", "--out", "b.jsonl", "--json")
    plain = json.loads(panelctl(*words, folder=folder).stdout)
    assert plain["replays"]
    assert plain["records"] == 60
    assert plain["bytes"] == (folder / "b.jsonl").stat().st_size
    for wrong in (["--from", "soon"], ["--from", "3", "--to", "1"], ["--around", "3", "--to", "4"]):
        assert panelctl("case", night.name, *wrong, "--out", "x", folder=folder).returncode == 2
    torn = folder / "torn.jsonl"
    torn.write_text("no recording\n")
    done = panelctl("case", torn.name, "--out", "x", folder=folder)
    assert done.returncode == 2
    assert "torn.jsonl" in done.stderr
    assert "Traceback" not in done.stderr
