"""What is said of the maps: the tables in the docs, the JSON Schema, lint, and one's own maps."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from panelctl.config.load import parse_panel
from panelctl.errors import ConfigError
from panelctl.modbus.maplint import lint
from panelctl.modbus.mappage import keys_table, maps_table
from panelctl.modbus.maps import hold_maps, load_map, map_names, parse_map
from tests.unit.test_maps import HEAD

PAGE = Path("docs/reference/register-maps.md")
HOW_TO = Path("docs/how-to/add-a-meter.md")
DEMO = Path("panelctl/sim/demo.toml")


def test_the_docs_hold_the_tables_that_the_maps_make() -> None:
    text = PAGE.read_text()
    assert maps_table() in text, "write it with `panelctl maps list --markdown`"
    assert keys_table() in text, "write it with `panelctl maps schema --markdown`"


def test_there_are_maps_for_what_panel_makers_use() -> None:
    maps = [load_map(name) for name in map_names()]
    assert len(maps) >= 50
    kinds = [known.kind for known in maps]
    assert kinds.count("relay") == 5
    assert kinds.count("branch_meter") >= 4
    assert kinds.count("evse") >= 8
    models = {model for known in maps for model in known.sunspec_models}
    wanted = {1, 103, 113, 123, 160, *range(201, 205), *range(211, 215), *range(701, 705)}
    assert wanted | {713, 802} <= models


@pytest.mark.parametrize("name", map_names())
def test_a_map_that_ships_has_nothing_wrong(name: str) -> None:
    known = load_map(name)
    told = {problem.path for problem in lint(known)}
    assert told <= {"identify", "failsafe"}, "what the sources do not tell"
    for point in known.points.values():
        assert point.count <= max(known.max_registers, 1)


def test_no_setpoint_that_ships_wears_out() -> None:
    for name in map_names():
        setpoint = load_map(name).setpoint
        assert setpoint is None or not setpoint.wears


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[point.power]\naddress = 1\ntype = "u16"\nunit = "W"\n', "ends with _w"),
        ('[point.total_w]\naddress = 1\ntype = "u16"\nunit = "kW"\n', "plain unit"),
        (
            (
                '[point.l1_a]\naddress = 1\ntype = "u32"\nunit = "A"\n'
                '[point.l2_a]\naddress = 2\ntype = "u32"\nunit = "A"\n'
            ),
            "overlaps",
        ),
        ('[point.name]\naddress = 1\ntype = "text"\nregisters = 30\n', "longer than one read"),
    ],
)
def test_lint_says_what_to_look_at_again(text: str, says: str) -> None:
    told = " ".join(str(problem) for problem in lint(parse_map(HEAD + text, "x")))
    assert says in told


def own_map() -> str:
    """The map that the how-to writes, from its page."""
    text = HOW_TO.read_text()
    return text.partition("```toml\n")[2].partition("```")[0]


def test_the_meter_of_the_how_to_is_a_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "acme_m3.toml").write_text(own_map())
    monkeypatch.setenv("PANELCTL_MAPS", str(tmp_path))
    hold_maps({})
    try:
        assert list(lint(load_map("acme_m3"))) == []
        text = DEMO.read_text().replace('export_energy = "export_wh"\n', "")
        text = text.replace(
            'map = "carlo_gavazzi_em540"', 'map = "acme_m3"\naccept_unverified = true', 1
        )
        assert parse_panel(text, "panel.toml").device("mains").map == "acme_m3"
        (tmp_path / "acme_m3.toml").write_text(own_map().replace('"acme_m3"', '"other"'))
        hold_maps({})
        with pytest.raises(ConfigError, match="must be the file's name"):
            load_map("acme_m3")
        hold_maps({})
        torn = own_map().replace("timeout_ms = 300", "timeout_ms = -3")
        (tmp_path / "acme_m3.toml").write_text(torn)
        with pytest.raises(ConfigError) as told:
            parse_panel(text, "panel.toml")
        where = "device mains.map = acme_m3: maps/acme_m3.toml: read.timeout_ms = -3: must be g"
        assert any(str(problem).startswith(where) for problem in told.value.problems)
        (tmp_path / "abb_terra_ac.toml").write_text(own_map())
        assert load_map("abb_terra_ac").vendor == "ABB", "what ships is not replaced"
    finally:
        hold_maps({})


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "panelctl", "maps", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_verb(tmp_path: Path) -> None:
    listed = json.loads(run("list", "--kind", "relay", "--json").stdout)
    assert len(listed) == 5
    shown = json.loads(run("show", "go_e_charger", "--json").stdout)
    assert {"l1_a", "total_w"} <= {point["name"] for point in shown["points"]}
    capture = "fixtures/captures/kaco/blueplanet_86tl3.json"
    found = json.loads(run("decode", capture, "--json").stdout)
    assert found[1]["values"]["total_w"] == 1000
    wrong = tmp_path / "x.toml"
    wrong.write_text(HEAD + "what = 1\n")
    done = run("lint", str(wrong), "panelctl/modbus/maps/eastron_sdm630.toml")
    assert done.returncode == 1
    assert "read.what" in done.stderr
    assert "eastron_sdm630.toml: right" in done.stdout
    nothing = tmp_path / "dump.json"
    nothing.write_text('{"holding": {"1": 1}}')
    assert run("decode", str(nothing)).returncode == 1
    assert run("show", "nothing_such").returncode == 2
