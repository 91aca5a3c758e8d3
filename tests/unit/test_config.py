"""The panel file at the door: what is refused, where, and with which remedy; all at once."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panelctl.config.child import read_panel_in_child
from panelctl.config.load import parse_panel, read_panel, replace_links, schema
from panelctl.errors import ConfigError
from panelctl.modbus.maps import load_map
from panelctl.model.circuit import Role

DEMO = Path("panelctl/sim/demo.toml")
TEXT = DEMO.read_text()


def problems(text: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        parse_panel(text, "panel.toml")
    return {problem.path: problem.remedy for problem in caught.value.problems}


def changed(old: str, new: str) -> str:
    assert old in TEXT
    return TEXT.replace(old, new, 1)


def test_the_demos_panel() -> None:
    panel = read_panel(DEMO)
    assert len(panel.circuits) == 32
    compute = panel.compute
    assert compute is not None
    assert compute.modulation is not None
    assert compute.modulation.max_w == 12_500
    by_id = {circuit.id: circuit for circuit in panel.circuits}
    assert by_id["heat_strips"].balanced
    assert by_id["heat_strips"].currents[0].current == by_id["heat_strips"].currents[1].current
    assert by_id["dryer"].currents[0].current != by_id["dryer"].currents[1].current
    assert not by_id["range"].controlled
    assert by_id["medical"].role is Role.ALWAYS_ON


def test_a_panel_read_apart_is_the_same() -> None:
    checked = read_panel_in_child(DEMO)
    assert (checked.panel, checked.text) == (read_panel(DEMO), DEMO.read_text())
    assert checked.maps == {device.map: load_map(device.map) for device in checked.panel.devices}
    with pytest.raises(ConfigError, match="cannot be read"):
        read_panel_in_child(Path("nowhere.toml"))


@pytest.mark.parametrize(
    ("old", "new", "path", "says"),
    [
        ("control_setting_a = 160", "control_setting_a = 170", "service.control_setting_a", "160"),
        ("a = 76", "a = 156", "service.uncontrolled_a.a", "above the control setting"),
        ("115200", "9600", "link line1.url", "does not fit"),
        ('role = "always-on"', 'role = "always-on"\narmed = true', "circuit well_pump.armed",
         "never managed"),
        ("unit = 12", "unit = 11", "device branch2.unit", "set another one"),
        ('accept_failsafe = "', '# "', "device relays1", "would lose power"),
        ("accept_unverified = true", "", "device branch1.map", "unverified"),
        ('meter = { device = "compute_meter"', 'metre = { device = "compute_meter"',
         "circuit[1] (compute).metre", "not a key"),
        ('a = "l1_a", b = "l2_a", power = ["total_w"]', 'a = "l1_a", power = ["total_w"]',
         "circuit evse.meter", "balanced = true"),
        ("spaces = [5, 7]", "spaces = [5, 6]", "circuit range.spaces", "n and n+2"),
        ("spaces = [5, 7]", "spaces = [3, 5]", "circuit range.spaces", "already taken"),
        ('map = "carlo_gavazzi_em540"', 'map = "em999"', "device mains.map", "not known"),
        ('link = "line1"', 'link = "line9"', "device mains.link", "no link"),
        ('current = "l1_a"', 'current = "l1_amps"', "service.mains.a.current", "no point"),
        ("rtu:///dev/ttyAMA0?baud=115200", "serial:/dev/x", "link[1] (line1).url", "rtu:///"),
        ("rtu:///dev/ttyAMA0?baud=115200", "rtu:///dev/x?baud=fast", "link[1] (line1).url",
         "baud"),
        ("max_a = 48", "max_a = 50", "circuit evse.setpoint.max_a", "48 A"),
        ("fallback_a = 6", "fallback_a = 16", "circuit evse.setpoint.fallback_a", "0 or min_a"),
        ("demand_a = 24", "demand_a = 40", "circuit dryer.demand_a", "30 A breaker"),
        ("rate_hz = 10", "rate_hz = nan", "timing.rate_hz", "less than or equal"),
        ("rate_hz = 10", "rate_hz = 0", "timing.rate_hz", "greater than or equal to 1"),
        ("voltage_v = 240", "voltage_v = 24000", "service.voltage_v", "less than or equal"),
        ('circuit = "compute"', 'circuit = "nobody"', "compute.circuit", "no circuit"),
        ('output = 1 }', 'output = 9 }', "circuit compute.relay.output", "outputs 1 to 6"),
        ("schema = 1", "schema = 2", "schema", "1"),
        ("rate_hz = 10", f"rate_hz = 0x{'F' * 5000}", "timing.rate_hz", "must be"),
    ],
)  # fmt: skip
def test_refusals(old: str, new: str, path: str, says: str) -> None:
    found = problems(changed(old, new))
    assert path in found, found
    assert says in found[path]


def test_a_circuit_without_a_meter() -> None:
    text = changed('meter = { device = "branch1", a = "ch1_a", b = "ch2_a"', "#")
    assert "is missing" in problems(text)["circuit range.meter"]


def test_a_charger_is_not_given_less_than_it_runs_at() -> None:
    text = changed('map = "abb_terra_ac"', 'map = "phoenix_charx"')
    text = text.replace("min_a = 6", "min_a = 5").replace("fallback_a = 6", "fallback_a = 5")
    assert "at least 6 A" in problems(text)["circuit evse.setpoint.min_a"]


@pytest.mark.parametrize(
    ("device", "more", "key", "says"),
    [
        ("charger", "comm_timeout_s = 0.5", "device[11] (charger).comm_timeout_s", "equal to 1"),
        ("charger", "comm_timeout_s = nan", "device[11] (charger).comm_timeout_s", "equal to"),
        ("node", "comm_timeout_s = 10", "device node.comm_timeout_s", "set timing.lease_s"),
        ("mains", "comm_timeout_s = 10", "device mains.comm_timeout_s", "no circuit is told"),
        ("charger", "writes_per_day = 50", "device charger.writes_per_day", "8,640 writes a day"),
        (
            "charger",
            "writes_per_day = 50\ncomm_timeout_s = 10",
            "device charger.writes_per_day",
            "25,920 writes a day",
        ),
    ],
)
def test_a_devices_timer_is_one_that_can_be_fed(
    device: str, more: str, key: str, says: str
) -> None:
    found = problems(changed(f'name = "{device}"\nlink', f'name = "{device}"\n{more}\nlink'))
    assert key in found, found
    assert says in found[key]


def test_a_timer_shorter_than_three_cycles_is_refused() -> None:
    text = changed("rate_hz = 10", "rate_hz = 2").replace(
        'name = "charger"\nlink', 'name = "charger"\ncomm_timeout_s = 1\nlink'
    )
    assert "3 writes" in problems(text)["device charger.comm_timeout_s"]


def test_a_charger_that_knows_no_timer_may_be_told_one() -> None:
    text = changed('map = "abb_terra_ac"', 'map = "phoenix_charx"\ncomm_timeout_s = 10')
    panel = parse_panel(text, "panel.toml")
    assert panel.device("charger").comm_timeout_s == 10.0
    assert panel.device("node").comm_timeout_s == 0.0


def test_a_circuit_that_could_never_be_restored() -> None:
    text = changed("demand_a = 42", "demand_a = 60").replace(
        "control_setting_a = 160", "control_setting_a = 66"
    )
    text = text.replace("a = 76", "a = 20").replace("b = 74", "b = 20")
    assert "never be restored" in problems(text)["circuit heat_strips.demand_a"]


def test_everything_wrong_is_said_at_once() -> None:
    text = changed("control_setting_a = 160", "control_setting_a = 170")
    text = text.replace("unit = 12", "unit = 11").replace("spaces = [5, 7]", "spaces = [5, 6]")
    assert {
        "service.control_setting_a",
        "device branch2.unit",
        "circuit range.spaces",
    } <= set(problems(text))


def test_files_that_are_no_files(tmp_path: Path) -> None:
    for name, content in (("a", b"\xff\xfe"), ("b", b"schema = "), ("c", b"x" * 1_100_000)):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ConfigError):
            read_panel(path)


def test_links_are_replaced_by_name() -> None:
    panel = read_panel(DEMO)
    other = replace_links(panel, {"node": "tcp://127.0.0.1:1502"})
    assert other.links[3].port == 1502
    with pytest.raises(ConfigError, match="no link"):
        replace_links(panel, {"nobody": "tcp://127.0.0.1:1502"})
    with pytest.raises(ConfigError, match="host:port"):
        replace_links(panel, {"node": "tcp://"})


def test_the_schema_is_json_schema() -> None:
    plain = schema()
    assert plain["additionalProperties"] is False
    assert "circuit" in plain["properties"]


@settings(max_examples=60)
@given(st.data())
def test_no_text_makes_the_reader_fall_over(data: st.DataObject) -> None:
    """A number of the file replaced by anything: it is read, or refused as a whole."""
    lines = TEXT.splitlines()
    at = data.draw(st.sampled_from([n for n, line in enumerate(lines) if "=" in line]))
    value = data.draw(
        st.one_of(
            st.integers().map(str),
            st.floats().map(lambda x: "nan" if math.isnan(x) else repr(x)),
            st.sampled_from(["true", '""', "[]", "{}", "inf", "-inf", '"ü"', "2026-01-01"]),
        )
    )
    key = lines[at].split("=")[0]
    lines[at] = f"{key}= {value}"
    with suppress(ConfigError):
        parse_panel("\n".join(lines), "panel.toml")
