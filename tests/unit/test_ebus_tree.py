"""The eBus tree as a function of facts and records: shape, signs, what is not known, commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panelctl.config.load import parse_panel, read_panel
from panelctl.control.publish import Publisher
from panelctl.errors import CommandRefused
from panelctl.model.command import (
    CloseRelay,
    Envelope,
    Grid,
    LimitPower,
    OpenRelay,
    RequestLimit,
    SetTier,
    command_from_plain,
    command_to_plain,
)
from panelctl.model.keys import EnvelopeWindow
from panelctl.model.panel import Panel
from panelctl.model.record import CycleRecord
from panelctl.services.ebus.commands import number, priority
from panelctl.services.ebus.tree import Changes, Tree
from panelctl.services.hass import discovery
from panelctl.services.homie import ID
from tests.engine_rig import TANK, EngineRig, solar
from tests.records import WALL_S, hello_of, record_of

DEMO = Path("panelctl/sim/demo.toml")
BACKUP = """
[backup]
inverter_a = 40
shed_tier = 4
"""


FEEDER = """
[[feeder]]
id = "barn"
breaker_a = 100
circuits = ["evse"]
meter = { device = "mains", a = "l1_a", b = "l2_a" }
"""


class Site:
    """A panel's engine, and the tree of its records."""

    def __init__(self, panel: Panel) -> None:
        self.rig = EngineRig(panel)
        self.tree = Tree(hello_of(panel))
        self._publisher = Publisher(self.rig.engine)

    def record(self) -> CycleRecord:
        """The record of the moment."""
        now_ns = self.rig.now_ns - 100_000_000
        return record_of(self.rig.engine, now_ns, self._publisher, WALL_S + now_ns / 1e9)

    def values(self) -> dict[str, str | None]:
        """Every property's text now."""
        return self.tree.values(self.record())


@pytest.fixture(scope="module")
def site() -> Site:
    made = Site(parse_panel(DEMO.read_text() + BACKUP + TANK + solar(0.5, 60), "panel.toml"))
    made.rig.shown |= {
        "main.a_w": 1_000,
        "main.b_w": 1_400,
        "dryer.0_w": 2_000,
        "solar.a_ma": 10_000,
        "solar.b_ma": 10_000,
        "solar.0_w": -1_200,
        "solar.1_w": -1_100,
    }
    made.rig.run(10)
    return made


def test_ids_are_homies_and_nobodys_twice(site: Site) -> None:
    ids = [device.id for device in site.tree.devices]
    assert len(set(ids)) == len(ids)
    assert all(ID.fullmatch(part) for path in site.tree.leaves for part in path.split("/"))
    assert site.tree.devices[-1] is site.tree.root
    for device in site.tree.devices[:-1]:
        plain = device.describe(1)
        assert plain["root"] == plain["parent"] == site.tree.root.id


def test_signs(site: Site) -> None:
    values, root = site.values(), site.tree.root.id

    def number(path: str) -> float:
        return float(values[path] or "nan")

    assert number(f"{root}-lugs-up/meter/active-power") == 2_400
    assert number(f"{root}-dryer/meter/active-power") == -2_000
    assert number(f"{root}-solar/meter/active-power") == 2_300
    assert number(f"{root}-solar-device/meter/active-power") == 2_300
    flows = {name: number(f"{root}/power-flows/{name}") for name in ("grid", "pv", "site")}
    assert flows == {"grid": -2_400, "pv": -2_300, "site": 4_700}
    assert sum(flows.values()) == 0


def test_what_is_not_known_is_not_made_up(site: Site) -> None:
    panel = read_panel(DEMO)
    blind = Site(panel)
    blind.rig.run(10)
    blind.rig.unread = {name for name in blind.rig.engine.image.slot if ".acked" not in name}
    blind.rig.run(20)
    values, root = blind.values(), blind.tree.root.id
    assert values[f"{root}-lugs-up/meter/active-power"] is None
    assert values[f"{root}-lugs-up/meter/current-a"] is None
    assert values[f"{root}-dryer/meter/active-power"] is None
    assert values[f"{root}-dryer/switch/relay"] == "UNKNOWN"
    assert values[f"{root}/status/communication-state"] == "LOST"
    assert values[f"{root}/pcs/operator-import-limit"] is None
    assert values[f"{root}/pcs/requested-import-limit"] == "160.0", "nothing less was requested"
    assert values[f"{root}/control/headroom-a"] is None


def test_only_what_changed_and_is_due(site: Site) -> None:
    changes = Changes(site.tree)
    record = site.record()
    first = dict(changes.since(record))
    known = {path for path, text in site.tree.values(record).items() if text is not None}
    assert set(first) == known, "the first time everything is new"
    assert dict(changes.since(record)) == {}
    dryer = next(c for c in record["circuits"] if c["id"] == "dryer")
    dryer["w"], dryer["relay"] = 999, "OPEN"
    record["t_ns"] += 100_000_000
    root = site.tree.root.id
    switch = f"{root}-dryer/switch/relay"
    assert dict(changes.since(record)) == {switch: "OPEN", f"{switch}-requester": "UNKNOWN"}
    record["t_ns"] += 1_000_000_000
    assert dict(changes.since(record)) == {f"{root}-dryer/meter/active-power": "-999.0"}


def test_what_is_set_becomes_a_command(site: Site) -> None:
    root, leaves = site.tree.root.id, site.tree.leaves

    def made(path: str, text: str) -> object:
        write = leaves[f"{root}{path}"].property.write
        assert write is not None, path
        return write(text)

    assert made("-dryer/switch/relay", "OPEN") == OpenRelay("?", "dryer")
    assert made("-dryer/switch/relay", "CLOSED") == CloseRelay("?", "dryer")
    assert made("-dryer/decision/tier", "7") == SetTier("?", "dryer", 7)
    assert made("-dryer/load-shed/priority", "SOC_THRESHOLD") == SetTier("?", "dryer", 4)
    assert made("-dryer/load-shed/priority", "NEVER") == SetTier("?", "dryer", 3)
    assert made("/shed/asserted-islanding-state", "OFF_GRID") == Grid("?", True, None)
    limit = made("/pcs/requested-import-limit", "80.5")
    assert isinstance(limit, RequestLimit)
    assert limit.limit_a == 80.5
    assert made("/pcs/requested-import-limit", "160") == RequestLimit("?", None, 0.0)
    limit = made("-evse-device/charge-limit/owner-limit", "16")
    assert isinstance(limit, LimitPower)
    assert limit.limit_w == 16 * 240
    flex = {"mode": "SHED", "level": 100, "duration": 60}
    assert made("-compute-device/flex/request", json.dumps(flex)) == LimitPower(
        "?", "compute", 1200.0, 60
    )


def test_a_limit_in_watts_binds_in_amps(site: Site) -> None:
    """An envelope of total import: what it leaves each leg is the limit that is told."""
    other = Site(read_panel(DEMO))
    window = EnvelopeWindow(0.0, 600.0, None, 8_000.0)
    other.rig.step(Envelope("e", "utility", (window,)))
    other.rig.run(5)
    values, root = other.values(), other.tree.root.id
    assert values[f"{root}/pcs/binding-constraint"] == "DOE"
    assert values[f"{root}/pcs/doe-import-limit-active"] == "true"
    assert values[f"{root}/pcs/doe-import-limit-enablement"] == "ENABLED"
    told_a = float(values[f"{root}/pcs/import-limit"] or "nan")
    assert told_a == float(values[f"{root}/pcs/doe-import-limit"] or "nan")
    assert 30 <= told_a <= 8_000 / 240


def test_who_cannot_be_set(site: Site) -> None:
    """Always on, monitored, or without a relay: presence is permission, so it is not there."""
    settable = {path for path, leaf in site.tree.leaves.items() if leaf.property.write is not None}
    root = site.tree.root.id
    for circuit in ("refrigerator", "range", "solar"):
        assert not any(path.startswith(f"{root}-{circuit}/") for path in settable)
    for path, leaf in site.tree.leaves.items():
        assert ("settable" in leaf.property.describe()) is (path in settable)


@given(
    pick=st.integers(0, 10_000),
    text=st.one_of(
        st.text(max_size=60),
        st.floats().map(str),
        st.integers().map(str),
        st.dictionaries(
            st.sampled_from(["mode", "level", "duration", "x"]),
            st.one_of(st.none(), st.floats(), st.booleans(), st.sampled_from(["SHED", "NORMAL"])),
        ).map(json.dumps),
        st.just("[" * 5000),
    ),
)
def test_whatever_is_sent_is_a_command_or_refused_in_words(
    site: Site, pick: int, text: str
) -> None:
    writes = [leaf.property.write for leaf in site.tree.leaves.values() if leaf.property.write]
    try:
        command = writes[pick % len(writes)](text)
    except CommandRefused:
        return
    plain = json.loads(json.dumps(command_to_plain(command), allow_nan=False))
    assert command_from_plain({"v": 1, **plain}), "the controller's door takes it"


def test_home_assistant_gets_what_the_tree_has(site: Site) -> None:
    ((topic, text),) = discovery(site.tree, "ebus/5", {})
    plain = json.loads(text)
    assert topic == f"homeassistant/device/{site.tree.root.id}/config"
    paths = {f"ebus/5/{path}" for path in site.tree.leaves}
    for component in plain["components"].values():
        assert component["state_topic"] in paths
        if "command_topic" in component:
            path = component["state_topic"].removeprefix("ebus/5/")
            assert site.tree.leaves[path].property.write is not None
    dryer = plain["components"][f"{site.tree.root.id}_dryer_meter_active_power".replace("-", "_")]
    assert "* -1" in dryer["value_template"], "what it draws is positive for people"


@pytest.mark.parametrize(
    "text",
    ["", " 100", "100 ", "+100", "1_0", "１００", "0x10", "nan", "inf", "1e999", "--1", "1."],
)
def test_a_number_is_written_as_homie_wants_it(text: str) -> None:
    with pytest.raises(CommandRefused):
        number(text, 0, 160)


def test_numbers() -> None:
    assert [number(text, 0, 160) for text in ("0", "100", "12.5", "1e2")] == [0, 100, 12.5, 100]
    with pytest.raises(CommandRefused, match="whole"):
        number("12.5", 0, 160, whole=True)


def test_a_feeder_whose_meter_is_not_read_shows_no_current() -> None:
    made = Site(parse_panel(DEMO.read_text() + FEEDER, "panel.toml"))
    made.rig.shown |= {"barn.a_ma": 12_000, "barn.b_ma": 11_000}
    made.rig.run(5)
    path = f"{made.tree.root.id}-barn/meter/current-a"
    assert made.values()[path] == "12.00"
    made.rig.unread = {"barn.a_ma"}
    made.rig.run(5)
    assert made.values()[path] is None
    assert made.record()["constraints"]["barn.a"]["stale"]


def test_off_the_grid_nothing_flows_from_it() -> None:
    made = Site(parse_panel(DEMO.read_text() + BACKUP, "panel.toml"))
    made.rig.shown |= {"main.a_w": 1_000, "main.b_w": 1_400}
    made.rig.run(5)
    root = made.tree.root.id
    values = made.values()
    assert values[f"{root}-mid/grid/islanding-state"] == "ON_GRID"
    assert values[f"{root}-mid/grid/grid-forming-entity"] == "GRID"
    assert values[f"{root}/power-flows/grid"] == "-2400.0"
    made.rig.step(Grid("g", True, 80.0))
    made.rig.run(1)
    values = made.values()
    assert values[f"{root}-mid/grid/islanding-state"] == "OFF_GRID"
    assert values[f"{root}-mid/grid/grid-forming-entity"] is None, "no battery that we know"
    assert values[f"{root}/power-flows/grid"] == "0.0", "what the lugs carry is the inverter's"
    assert values[f"{root}/power-flows/site"] == "2400.0"


def test_a_priority_that_goes_back_and_forth_finds_its_tier_again() -> None:
    assert priority("x", 4, 6)("NEVER") == SetTier("?", "x", 3)
    assert priority("x", 4, 6)("SOC_THRESHOLD") == SetTier("?", "x", 6)
    assert priority("x", 4, 2)("NEVER") == SetTier("?", "x", 2)
    assert priority("x", 4, 2)("SOC_THRESHOLD") == SetTier("?", "x", 4)


def test_a_charger_without_a_limit_shows_its_largest_current(site: Site) -> None:
    path = f"{site.tree.root.id}-evse-device/charge-limit/owner-limit"
    assert site.values()[path] == "48"


def test_a_circuit_without_a_relay_is_no_switch(site: Site) -> None:
    values, root = site.values(), site.tree.root.id
    assert values[f"{root}-refrigerator/switch/relay-controllable"] == "false"
    assert values[f"{root}-solar/switch/relay"] == "CLOSED"
    assert values[f"{root}-solar/switch/relay-requester"] == "CONFIGURATION"
    assert values[f"{root}-dryer/switch/relay-controllable"] == "true"


def test_ids_of_feeders_are_nobodys_twice_either() -> None:
    text = DEMO.read_text() + BACKUP + FEEDER.replace("barn", "mid")
    ids = [device.id for device in Site(parse_panel(text, "panel.toml")).tree.devices]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(("most_w", "shown"), [(50_000.0, "48"), (2_400.0, "10"), (1_440.0, "6")])
def test_a_limit_is_shown_inside_its_bounds(most_w: float, shown: str) -> None:
    made = Site(read_panel(DEMO))
    made.rig.run(5)
    assert made.rig.step(LimitPower("1", "evse", most_w, 600.0)) == []
    assert made.values()[f"{made.tree.root.id}-evse-device/charge-limit/owner-limit"] == shown
