"""A register map's file at the door: what is refused, where, in which words; and its schema."""

from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest

from panelctl.errors import ConfigError
from panelctl.modbus.mapfile import Bank, Form
from panelctl.modbus.maps import MAX_REGISTERS, WORDS, load_map, parse_map
from panelctl.modbus.mapschema import json_schema
from tests.unit.test_maps import HEAD

MAPS = sorted(Path("panelctl/modbus/maps").glob("*.toml"))
POINT = '[point.a]\naddress = 1\ntype = "u16"\n'
CHANNEL = '[[channels]]\ncount = 2\n[channels.point."ch{n}_a"]\naddress = 1\ntype = "u16"\n'
SETPOINT = (
    '[setpoint]\naddress = 1\ntype = "u16"\nunit = "A"\nleast = 6\nmost = 32\n'
    'persistence = "volatile"\n'
)
KINDS = {
    "integer": (int,), "number": (int, float), "boolean": (bool,), "string": (str,),
    "array": (list,), "object": (dict,),
}  # fmt: skip
HUGE = "0x" + "F" * 5000  # more digits than Python writes down


def said(text: str) -> list[str]:
    """Every problem of a map that begins as HEAD does."""
    with pytest.raises(ConfigError) as caught:
        parse_map(HEAD + text, "x.toml")
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (POINT + "unit = 3\n", "point.a.unit = 3: must be a text"),
        (POINT + "invalid = 3\n", "point.a.invalid = 3: must be a list"),
        (POINT + "invalid = [1, true]\n", "point.a.invalid[2] = True: must be a whole number"),
        (POINT + "scale = 0.1\n", "point.a.scale = 0.1: must be a decimal number as a text"),
        (POINT + 'scale = "1e9999999"\n', "point.a.scale = '1e9999999': must be a decimal number"),
        (POINT + f'scale = "0.{"1" * 80}"\n', "point.a.scale = '0.1111111"),
        (POINT + 'scale = "nan"\n', "point.a.scale = 'nan': must be a decimal number as a text"),
        (POINT + 'offset = "1/3"\n', "point.a.offset = '1/3': must be a decimal number as a text"),
        (POINT + 'word_order = "high"\n', "point.a.word_order = 'high': must be 'high_first' or"),
        (POINT.replace("1", "1.0"), "point.a.address = 1.0: must be a whole number"),
        (POINT.replace("1", "true"), "point.a.address = True: must be a whole number"),
        (POINT.replace("1", HUGE), "point.a.address = a very long number: must be less than"),
        ('reads_gaps = "yes"\n', "read.reads_gaps = 'yes': must be true or false"),
        ('gap_ms = "60"\n', "read.gap_ms = '60': must be a number"),
        ("gap_ms = true\n", "read.gap_ms = True: must be a number"),
        ("identify = 3\n[relay]\n", "read.identify = 3: is not a key of this table; remove it"),
        ("[identify]\naddress = 1\n", "identify = {'address': 1}: must be an array of tables"),
        ("[[serial]]\n", "serial = [{}]: must be a table"),
    ],
)
def test_wrong_types(text: str, told: str) -> None:
    assert any(problem.startswith(told) for problem in said(text)), said(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("gap_ms = -1\n", "read.gap_ms = -1: must be greater than or equal to 0"),
        ("gap_ms = 10001\n", "read.gap_ms = 10001: must be less than or equal to 10000"),
        ("gap_ms = nan\n", "read.gap_ms = nan: must be a finite number"),
        ("gap_ms = inf\n", "read.gap_ms = inf: must be a finite number"),
        ("align = 5\n", "read.align = 5: must be less than or equal to 4"),
        (CHANNEL.replace("2", "0"), "channels[1].count = 0: must be greater than or equal to 1"),
        (CHANNEL + "stride = 65536\n", "channels[1].point.ch{n}_a.stride = 65536: must be less"),
        (SETPOINT + "function = 5\n", "setpoint.function = 5: must be 6 or 16"),
        (SETPOINT + "function = 7\n", "setpoint.function = 7: must be 6 or 16"),
        (SETPOINT.replace("u16", "u32") + "function = 6\n", "setpoint.function = 6: writes one"),
        (SETPOINT.replace("u16", "text"), "setpoint.type = 'text': must be 'i16',"),
        (SETPOINT + 'scale = "0"\n', "setpoint.scale = '0': must not be 0"),
        (SETPOINT.replace("32", "5"), "setpoint.most = 5: is below `least`"),
    ],
)
def test_out_of_range(text: str, told: str) -> None:
    (problem,) = said(text)
    assert problem.startswith(told)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("[failsafe.timeout_s]\nfixed = 3\ndefaul = 3\n", "failsafe.timeout_s.defaul"),
        (CHANNEL + "strid = 3\n", "channels[1].point.ch{n}_a.strid"),
        (POINT + "stride = 3\n", "point.a.stride"),
        ("[[identify]]\naddress = 1\nvalue = 3\n", "identify[1].value"),
        (POINT + '"[key]" = 3\n', "point.a.[key]"),
    ],
)
def test_unknown_keys_are_named_where_they_stand(text: str, path: str) -> None:
    remedy = "is not a key of this table; remove it or correct its spelling"
    assert said(text) == [f"{path} = 3: {remedy}"]


def test_what_is_missing_is_named_with_its_meaning() -> None:
    assert said("[point.point]\n[[channels]]\n[setpoint]\n")[:4] == [
        "point.point.address: is missing: wire address, from 0",
        "point.point.type: is missing: how it is written down",
        "channels[1].count: is missing: how many",
        "channels[1].point: is missing: values of one channel; {n} in the name is its number",
    ]
    with pytest.raises(ConfigError) as caught:
        parse_map("schema = 1\n", "x.toml")
    assert len(caught.value.problems) == len(json_schema()["required"]) - 1


def test_everything_is_said_at_once() -> None:
    """Wrong types, unknown keys, and what the keys of one table mean together."""
    relay = "[relay]\noutputs = 2\ncoil = 0\nstate = 0\nclose = 1\n"
    text = HEAD.replace("= 10\n", "= 1000\n").replace('"unverified"', '"verified"')
    text += "gap = 3\n" + POINT.replace("u16", "text") + "not = 1\nnote = 1\n"
    text += CHANNEL.replace("{n}", "") + "address_ = 1\n" + relay + "[failsafe]\ntimeout_s = {}\n"
    with pytest.raises(ConfigError) as caught:
        parse_map(text, "x.toml")
    assert {problem.path: problem.remedy for problem in caught.value.problems} == {
        "capture": "a verified map names the recording it decodes",
        "read.max_registers": "Modbus reads at most 125 of this table at once",
        "read.gap": "is not a key of this table; remove it or correct its spelling",
        "point.a.registers": "a text needs it, and nothing else takes it",
        "point.a.note": "must be a text",
        "point.a.not": "is not a key of this table; remove it or correct its spelling",
        "channels[1].point.ch_a": "must hold {n}, the number of the channel",
        "channels[1].point.ch_a.address_": (
            "is not a key of this table; remove it or correct its spelling"
        ),
        "relay": "`close` and `open` go together",
        "failsafe.timeout_s": "needs `fixed`, or `address` and `default`",
    }


@pytest.mark.parametrize(
    ("point", "told"),
    [
        ("", "setpoint.readback = a: names no point of this map"),
        (POINT + 'unit = "W"\n', "setpoint.readback = a: is in W, and the set-point in A"),
        (
            POINT + 'unit = "A"\nscale_point = "b"\n' + POINT.replace("a", "b", 1),
            "setpoint.readback = a: its scale must be fixed, not read from a point",
        ),
    ],
)
def test_a_setpoint_is_read_back_where_its_number_can_be_compared(point: str, told: str) -> None:
    assert said(SETPOINT + 'readback = "a"\n' + point) == [told]


def test_what_only_the_whole_map_shows_is_said_at_once() -> None:
    text = POINT + 'scale_point = "b"\n[point.c]\naddress = 65535\ntype = "u32"\n'
    assert said(text + '[point.d]\naddress = 1\ntype = "bit"\n') == [
        "point.a.scale_point = b: names no point of this map",
        "point.c.address = 65535: the value would end above register 65535",
        "point.d.type = bit: bits stand in coils and discrete inputs, numbers in registers",
    ]


def against(value: Any, schema: Any, path: str = "") -> list[str]:
    """What a JSON Schema has against a value, of the words that the schema of a map uses."""
    if "$ref" in schema:
        schema = json_schema()["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    if type(value) not in KINDS[schema["type"]]:
        return [f"{path} is no {schema['type']}"]
    found = []
    if value not in schema.get("enum", [value]):
        found.append(f"{path} is none of {schema['enum']}")
    least, most = schema.get("minimum", value), schema.get("maximum", value)
    if isinstance(value, int | float) and not least <= value <= most:
        found.append(f"{path} is out of range")
    if "pattern" in schema and not re.search(schema["pattern"], value):
        found.append(f"{path} does not match")
    if isinstance(value, list):
        for item in value:
            found += against(item, schema["items"], f"{path}[]")
    if isinstance(value, dict):
        found += [f"{path}.{key} is missing" for key in {*schema.get("required", ())} - {*value}]
        known, other = schema.get("properties", {}), schema["additionalProperties"]
        for key, item in value.items():
            if key not in known and other is False:
                found.append(f"{path}.{key} is unknown")
            else:
                found += against(item, known.get(key, other), f"{path}.{key}")
    return found


@pytest.mark.parametrize("path", MAPS, ids=lambda path: path.stem)
def test_the_json_schema_accepts_every_map_that_ships(path: Path) -> None:
    assert against(tomllib.loads(path.read_text()), json_schema()) == []


def test_the_json_schema_refuses_what_the_reader_refuses() -> None:
    plain = tomllib.loads(HEAD + POINT + "unit = 3\nscal = 1\ninvalid = [-1]\n[relay]\n")
    del plain["id"]
    assert sorted(against(plain, json_schema())) == [
        ".id is missing",
        ".point.a.invalid[] is out of range",
        ".point.a.scal is unknown",
        ".point.a.unit is no string",
        ".relay.coil is missing",
        ".relay.outputs is missing",
        ".relay.state is missing",
    ]


def test_the_json_schema_is_plain() -> None:
    schema = json_schema()
    assert json.loads(json.dumps(schema)) == schema
    assert '"null"' not in json.dumps(schema), "TOML has none"
    for table in (schema, *schema["$defs"].values()):
        for name, key in table["properties"].items():
            assert key["description"], f"{table['title']}.{name}: say what it is for"


def test_the_shape_and_the_loaded_form_know_the_same_words() -> None:
    assert get_args(Bank) == tuple(MAX_REGISTERS)
    assert get_args(get_args(Form)[0]) == tuple(WORDS)


def test_maps_that_are_handed_over_need_no_checker() -> None:
    """The controller gets its maps from a child process; pydantic would cost it 12 MB."""
    code = (
        "import pickle, sys\n"
        "from panelctl.modbus import busplan, capture, codec, identity, maps\n"
        "maps.hold_maps(pickle.load(sys.stdin.buffer))\n"
        "known = maps.load_map('eastron_sdm630')\n"
        "print(known.id, 'pydantic' in sys.modules, 'pydantic_core' in sys.modules)"
    )
    handed = pickle.dumps({"eastron_sdm630": load_map("eastron_sdm630")})
    done = subprocess.run([sys.executable, "-c", code], input=handed, capture_output=True)
    assert done.stdout.decode().split() == ["eastron_sdm630", "False", "False"], done.stderr
