"""What a panel file says of how things are wired: which contact, which way round, which half."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from panelctl.cli.check import command
from panelctl.cli.named import named
from panelctl.config.load import parse_panel
from panelctl.errors import ConfigError
from panelctl.modbus.maps import hold_maps, load_map
from panelctl.model.slots import image_slots
from panelctl.services.ebus.circuits import device
from panelctl.services.ebus.facts import read_facts
from panelctl.services.ebus.record_view import RecordView
from tests.records import demo_record, hello_of

TEXT = Path("panelctl/sim/demo.toml").read_text()
BOARD = "wirenboard_wb_mr6cu"
ONE, SAME_LEG, OTHER_LEG = "kitchen_1", "disposal", "kitchen_2"
ACCEPTED = 'accept_failsafe = "set'  # of the first board


def changed(*pairs: tuple[str, str]) -> str:
    text = TEXT
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new, 1)
    return text


def problems(text: str) -> list[tuple[str, str]]:
    with pytest.raises(ConfigError) as caught:
        parse_panel(text, "panel.toml")
    return [(problem.path, problem.remedy) for problem in caught.value.problems]


@pytest.fixture
def board() -> Iterator[None]:
    yield
    hold_maps({})


def delivered(safe_state: int, behaviour: int = 1) -> None:
    """The relay boards come with another fail-safe."""
    hold_maps({})
    known = load_map(BOARD)
    assert known.failsafe is not None
    failsafe = replace(known.failsafe, safe_state_default=safe_state, behaviour_default=behaviour)
    hold_maps({BOARD: replace(known, failsafe=failsafe)})


NODE_NC = ('"relays1", output = 1', '"relays1", output = 1, contact = "nc"')
HEATER_NC = ('"relays1", output = 6', '"relays1", output = 6, contact = "nc"')
UNASKED = (ACCEPTED, '# "')


@pytest.mark.usefixtures("board")
@pytest.mark.parametrize(
    ("safe_state", "nc", "dark"),
    [(0, False, True), (0, True, False), (1, False, False), (1, True, True)],
)
def test_who_loses_power_when_nobody_polls_a_board(safe_state: int, nc: bool, dark: bool) -> None:
    delivered(safe_state)
    said = problems(changed(UNASKED, *[HEATER_NC] * nc))
    would = "".join(remedy for _, remedy in said if "would lose power" in remedy)
    assert ("water_heater" in would) == dark
    assert ("normally closed" in would) == (dark and nc)


@pytest.mark.usefixtures("board")
@pytest.mark.parametrize(
    ("safe_state", "behaviour", "nc", "says"),
    [
        (0, 1, False, ""),
        (0, 1, True, "use the other contact"),
        (1, 1, True, "use the other contact"),
        (1, 1, False, "does not open its outputs"),
        (0, 0, False, "does not open its outputs"),
    ],
)
def test_the_node_loses_its_power_when_nobody_polls_its_board(
    safe_state: int, behaviour: int, nc: bool, says: str
) -> None:
    delivered(safe_state, behaviour)
    said: list[str] = []
    try:
        parse_panel(changed(UNASKED, *[NODE_NC] * nc), "panel.toml")
    except ConfigError as error:
        said = [problem.remedy for problem in error.problems]
    node = [remedy for remedy in said if "lose power" not in remedy]
    assert bool(node) == bool(says)
    assert all(says in remedy and "accept_failsafe" in remedy for remedy in node)


def test_a_normally_closed_contact_is_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "panel.toml"
    path.write_text(changed(HEATER_NC))
    said = CliRunner().invoke(command, [str(path)])
    assert said.exit_code == 0, said.output
    assert "warning: circuit water_heater: its load is on a normally closed contact" in said.output
    path.write_text(TEXT)
    assert "warning" not in CliRunner().invoke(command, [str(path)]).output


def test_a_contact_is_no_or_nc() -> None:
    said = problems(changed((HEATER_NC[0], '"relays1", output = 6, contact = "open"')))
    assert any(path.endswith("relay.contact") and "'nc'" in remedy for path, remedy in said)


@pytest.mark.parametrize(
    ("old", "new", "path", "says"),
    [
        ('voltage = "l1_v"', 'voltage = "-l1_v"', "service.mains.a.voltage", "no direction"),
        ('energy = ["import_wh"]', 'energy = ["-import_wh"]', "circuit compute.meter.energy[0]",
         "the one that counts the other way"),
        ('a = "ch6_a"', 'a = "-ch6_a"', "circuit water_heater.meter.a", "turn the power"),
        ('a = "ch6_a"', 'a = "-ch99_a"', "circuit water_heater.meter.a", "no point"),
        ('a = "ch6_a"', 'a = "--ch6_a"', "circuit water_heater.meter.a", "no point"),
        ('a = "ch6_a"', 'a = "-ch7_a"', "circuit heat_pump.meter.a", "the meter of water_heater"),
        ('power = ["ch6_w"]', 'power = ["-ch7_w"]', "circuit heat_pump.meter.power[0]",
         "stands elsewhere as -ch7_w"),
        ('power = ["l1_w", "l2_w"]', 'power = ["l1_w", "-l1_w"]',
         "circuit compute.meter.power[1]", "one direction"),
    ],
)  # fmt: skip
def test_what_cannot_be_turned(old: str, new: str, path: str, says: str) -> None:
    said = problems(changed((old, new)))
    assert any(at == path and says in remedy for at, remedy in said), said


def test_a_turned_channel_of_a_turned_device_is_as_it_should_be() -> None:
    turned_device = ("unit = 2\n", "unit = 2\ninvert = true\n")
    turned_leg = ('b = "l2_a", power = ["l1_w", "l2_w"]', 'b = "-l2_a", power = ["l1_w", "-l2_w"]')

    def slots(*pairs: tuple[str, str]) -> dict[str, tuple[bool, bool]]:
        read = image_slots(parse_panel(changed(*pairs), "panel.toml"))
        mine = [slot for slot in read if slot.source.device == "compute_meter"]
        return {slot.name: (slot.turned, slot.least < -10_000) for slot in mine}

    assert slots() == {
        "compute.a_ma": (False, True), "compute.b_ma": (False, True),
        "compute.0_w": (False, True), "compute.1_w": (False, True),
        "compute.0_wh": (False, True),
    }  # fmt: skip
    # What a load seems to give when its current was turned is not believed.
    assert slots(turned_leg) == {
        **slots(), "compute.1_w": (True, True), "compute.b_ma": (True, False),
    }  # fmt: skip
    assert slots(turned_device, turned_leg) == {
        **slots(), "compute.a_ma": (True, False), "compute.0_w": (True, True),
    }  # fmt: skip


def test_read_shows_a_turned_point_as_the_panel_takes_it(tmp_path: Path) -> None:
    path = tmp_path / "panel.toml"

    def turned(device: str, *pairs: tuple[str, str]) -> frozenset[str]:
        path.write_text(changed(*pairs))
        return named(device, path, None, None).turned

    heater = ('power = ["ch6_w"]', 'power = ["-ch6_w"]')
    assert turned("branch1") == turned("branch2", heater) == frozenset()
    assert turned("branch1", heater) == {"ch6_w"}
    both = turned("branch1", heater, ("unit = 11\n", "unit = 11\ninvert = true\n"))
    assert "ch6_w" not in both
    assert {"ch5_w", "ch7_w"} < both
    assert "ch5_a" not in both, "it has no sign"


def tandems(*circuits: tuple[str, str, str]) -> str:
    """The demo with tandem breakers: of each circuit its spaces, its halves, and its legs."""
    text = TEXT
    for ident, spaces, halves in circuits:
        begin = text.index(f'id = "{ident}"')
        at = text.index("spaces = ", begin)
        end = text.index("\n", at)
        tandem = f'\ntandem = "{halves}"' if halves else ""
        text = f"{text[:at]}spaces = {spaces}{tandem}{text[end:]}"
    return text


def test_two_halves_share_a_space() -> None:
    panel = parse_panel(tandems((ONE, "[60]", "A"), (SAME_LEG, "[60]", "B")), "panel.toml")
    shown = {c.id: (c.spaces, c.half) for c in panel.circuits if c.half}
    assert shown == {ONE: ((60,), "A"), SAME_LEG: ((60,), "B")}
    quad = tandems(("water_heater", "[60, 62]", "AB"), ("heat_pump", "[60, 62]", "BA"))
    assert {c.half for c in parse_panel(quad, "panel.toml").circuits} == {"", "AB", "BA"}
    alone = tandems((ONE, "[60]", "A"))
    assert parse_panel(alone, "panel.toml").circuits, "the other half may be spare"


@pytest.mark.parametrize(
    ("circuits", "path", "says"),
    [
        (((0, "[60]", ""), (1, "[60]", "")), "circuit {1}.spaces", "already taken by {0}"),
        (((0, "[60]", "A"), (1, "[60]", "")), "circuit {1}.spaces", "already taken by {0}"),
        (((0, "[60]", ""), (1, "[60]", "B")), "circuit {1}.spaces", "already taken by {0}"),
        (((0, "[60]", "A"), (1, "[60]", "A")), "circuit {1}.tandem", "is already the half"),
        (((0, "[60]", "A"), (2, "[60]", "B")), "circuit {2}.legs", "on one leg"),
        (((0, "[60]", "AB"),), "circuit {0}.tandem", "a letter for each space"),
        (((0, "[60]", "C"),), "tandem", "'A', 'B'"),
        (((3, "[60, 62]", "AB"), (0, "[62]", "B")), "circuit {0}.tandem", "already the half"),
        (((3, "[60, 62]", "A"),), "circuit {3}.tandem", "a letter for each space"),
    ],
)
def test_what_two_breakers_cannot_share(
    circuits: tuple[tuple[int, str, str], ...], path: str, says: str
) -> None:
    names = (ONE, SAME_LEG, OTHER_LEG, "water_heater")
    said = problems(tandems(*((names[n], spaces, halves) for n, spaces, halves in circuits)))
    path, says = path.format(*names), says.format(*names)
    assert any(at.endswith(path) and says in remedy for at, remedy in said), said


def test_the_half_is_shown_beside_the_space() -> None:
    panel = parse_panel(tandems((ONE, "[60]", "A"), (SAME_LEG, "[60]", "B")), "panel.toml")
    hello = hello_of(panel)
    told = {c["id"]: (c["spaces"], c["half"]) for c in hello["circuits"]}
    assert told[ONE] == ([60], "A")
    assert told["water_heater"] == ([10, 12], "")
    facts = read_facts(hello)
    shown = {}
    for circuit in facts.circuits:
        nodes = {node.id: node for node in device(facts, circuit).nodes}
        seen = RecordView(demo_record())
        values = [p.read(seen) for p in nodes["info"].properties if p.id == "spaces"]
        values += [p.read(seen) for p in nodes["place"].properties] if "place" in nodes else []
        shown[circuit.id] = values
    assert shown[SAME_LEG] == ["60", "60B"]
    assert shown["water_heater"] == ["10,12"]


def test_what_a_circuit_may_show_when_it_is_open() -> None:
    heater = 'id = "water_heater"\n'
    panel = parse_panel(changed((heater, heater + "noise_a = 1.2\n")), "panel.toml")
    assert {c.noise_a for c in panel.circuits} == {0.5, 1.2}
    for wrong in ("0.04", "5.1", "nan", '"much"'):
        said = problems(changed((heater, f"{heater}noise_a = {wrong}\n")))
        assert any(path.endswith("noise_a") for path, _ in said), said
