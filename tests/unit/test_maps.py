"""Register maps: those that ship, those that are wrong, and what recordings of real devices say."""

from __future__ import annotations

import itertools
import json
from fractions import Fraction
from pathlib import Path

import pytest

from panelctl.errors import ConfigError
from panelctl.modbus.capture import models_in
from panelctl.modbus.codec import decode_map, decode_value, encode_value
from panelctl.modbus.fields import Field
from panelctl.modbus.maps import load_map, map_names, parse_map

CAPTURES = Path("fixtures/captures")


@pytest.mark.parametrize("name", map_names())
def test_every_map_that_ships_is_right(name: str) -> None:
    loaded = load_map(name)
    assert loaded.source
    if loaded.verified:
        assert (CAPTURES / loaded.capture).is_file(), "evidence is a recording that is here"


def test_an_unknown_map_is_told_with_those_that_may_be_meant() -> None:
    with pytest.raises(ConfigError) as told:
        load_map("carlo_gavazi_em540")
    (problem,) = told.value.problems
    assert "did you mean carlo_gavazzi_em540 or " in problem.remedy
    assert f"`panelctl maps list` has all {len(map_names())}" in problem.remedy
    with pytest.raises(ConfigError) as nothing:
        load_map("xxxxxxxx")
    assert "did you mean" not in nothing.value.problems[0].remedy


def em540() -> dict[int, int]:
    plain = json.loads((CAPTURES / "carlo_gavazzi/em540-fw1.4.3.json").read_text())
    return {int(address): word for address, word in plain["raw"]["input"].items()}


def test_em540_recording_is_physical() -> None:
    found = decode_map(load_map("carlo_gavazzi_em540").points, em540())
    assert found["l1_v"] == Fraction("232.7")
    assert found["total_w"] == Fraction("-446.6")
    assert found["l1_w"] + found["l2_w"] + found["l3_w"] == found["total_w"]
    for leg in ("l1", "l2", "l3"):
        volt_amps = found[f"{leg}_v"] * found[f"{leg}_a"]
        assert abs(volt_amps - found[f"{leg}_va"]) < 1
        squares = float(found[f"{leg}_w"]) ** 2 + float(found[f"{leg}_var"]) ** 2
        # What distortion adds to the apparent power is the only difference allowed.
        assert 0.93 < squares**0.5 / float(found[f"{leg}_va"]) < 1.005
        ratio = float(found[f"{leg}_w"] / found[f"{leg}_va"])
        assert abs(abs(ratio) - abs(float(found[f"{leg}_power_factor"]))) < 0.01
    mean = (found["l1_v"] + found["l2_v"] + found["l3_v"]) / 3
    assert abs(mean - found["mean_ln_v"]) < Fraction("0.2")
    assert abs(float(found["l12_v"]) - 3**0.5 * float(found["mean_ln_v"])) < 3
    assert Fraction(49) < found["frequency_hz"] < Fraction(51)


def test_em540_model_code_and_voltage_share_an_address() -> None:
    plain = json.loads((CAPTURES / "carlo_gavazzi/em540-fw1.4.3.json").read_text())
    probes = json.loads(json.dumps(plain["probes"]))
    assert probes["model_code_alone"]["words"] == [1760]
    assert probes["voltage_l3_l1_block"]["words"][1] == 0
    assert 11 in load_map("carlo_gavazzi_em540").isolated


def test_the_bus_decoder_agrees_with_the_exact_one() -> None:
    words = em540()
    points = load_map("carlo_gavazzi_em540").points
    block = [words[a] for a in range(12, 22)]
    for name, inner, factor in (("l1_a", "ma", 1000), ("l2_w", "w", 1), ("l1_w", "w", 1)):
        point = points[name]
        exact = decode_value(point, [words[a] for a in range(point.address, point.end)])
        assert exact is not None
        fast = Field(point, point.address - 12, inner).decode(block)
        assert fast is not None
        assert abs(Fraction(fast) - exact * factor) <= Fraction(1, 2)


def sunspec(file: str) -> dict[int, int]:
    plain = json.loads((CAPTURES / file).read_text())
    return {int(address): word for address, word in plain["holding"].items()}


@pytest.mark.parametrize(
    ("file", "bases"),
    [
        ("solaredge/issue827_u1.json", (40188, 40362, 40536)),
        ("solaredge/issue565_u1.json", (40188, 40362)),
        ("solaredge/issue913_u1.json", (40188,)),
        ("solaredge/issue944_u1.json", (40188,)),
        ("solaredge/issue895_u1.json", (40188,)),
    ],
)
def test_sunspec_meters_of_real_devices(file: str, bases: tuple[int, ...]) -> None:
    words = sunspec(file)
    points = load_map("sunspec_meter").points
    for base in bases:
        assert words[base] == 203
        found = decode_map(points, {a - base: w for a, w in words.items() if a >= base})
        nominal_hz = 60 if found["frequency_hz"] > 55 else 50
        assert abs(found["frequency_hz"] - nominal_hz) < Fraction(1, 10)
        assert found["export_wh"] >= 0
        assert found["import_wh"] >= 0
        assert abs(found["total_w"]) < 30_000
        # Watts lie below volts times amps (120 or 230 V a phase), and flow the way the amps do.
        assert abs(found["total_w"]) < 245 * abs(found["total_a"])
        assert (found["total_w"] < 0) == (found["total_a"] < 0)
        if nominal_hz == 60 and abs(found["total_w"]) > 1000:
            assert 110 < found["total_w"] / found["total_a"] < 125, "a US split-phase service"


def test_the_walk_finds_every_model_of_a_real_chain() -> None:
    models = models_in(sunspec("kaco/blueplanet_86tl3.json"))
    ids = [model.id for model in models]
    assert ids[:2] == [1, 103]
    assert {113, 120, 121, 122, 123, 160} <= set(ids)
    for before, after in itertools.pairwise(models):
        assert after.address == before.address + 2 + before.length


def test_the_walk_ends_on_a_loop_and_on_nothing() -> None:
    assert models_in({}) == []
    loop = {40000: 0x5375, 40001: 0x6E53}
    loop |= dict.fromkeys(range(40002, 65536), 0)
    assert len(models_in(loop)) <= 64


HEAD = """
schema = 1
id = "x"
vendor = "v"
model = "m"
kind = "meter"
links = ["rtu"]
evidence = "unverified"
confidence = "none"
source = "none"
[read]
table = "input"
max_registers = 10
timeout_ms = 100
"""


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('[point.a]\naddress = 1\ntype = "i24"\n', "point.a.type"),
        ('[point.a]\naddress = 70000\ntype = "u16"\n', "point.a.address"),
        ('[point.a]\naddress = 65535\ntype = "u32"\n', "point.a.address"),
        ('[point.a]\naddress = 1\ntype = "u16"\nscale = "x"\n', "point.a.scale"),
        ('[point.a]\naddress = 1\ntype = "u16"\nscale = 1\n', "point.a.scale"),
        ('[point.a]\naddress = 1\ntype = "u16"\nscale = "0"\n', "point.a.scale"),
        ('[point.a]\naddress = 1\ntype = "u16"\nscal = "1"\n', "point.a.scal"),
        ('[point.a]\naddress = true\ntype = "u16"\n', "point.a.address"),
        ('[point.a]\naddress = 1\ntype = "u16"\nscale_point = "b"\n', "point.a.scale_point"),
        ('[point.a]\naddress = 1\ntype = "text"\n', "point.a.registers"),
        ('[point.a]\naddress = 1\ntype = "bit"\n', "point.a.type"),
        ('[point.a]\naddress = 1\ntype = "u16"\ninvalid = [-1]\n', "point.a.invalid[1]"),
        ("[point]\na = 3\n", "point.a"),
        ("point = 3\n", "read.point"),
        (
            (
                '[point.ch1_a]\naddress = 1\ntype = "u16"\n[[channels]]\ncount = 1\n'
                '[channels.point."ch{n}_a"]\naddress = 1\ntype = "u16"\n'
            ),
            "point",
        ),
        (
            '[[channels]]\ncount = 2\n[channels.point.ch_a]\naddress = 1\ntype = "u16"\n',
            "channels[1].point.ch_a",
        ),
        ("[relay]\noutputs = 2\ncoil = 0\nstate = 0\nclose = 1\n", "relay"),
        ("[failsafe]\ntimeout_s = {}\n", "failsafe.timeout_s"),
        (
            (
                '[setpoint]\naddress = 1\ntype = "u16"\nunit = "A"\nleast = 9\nmost = 3\n'
                'persistence = "volatile"\n'
            ),
            "setpoint.most",
        ),
    ],
)
def test_a_wrong_map_is_refused_with_its_place(text: str, path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_map(HEAD + text, "x.toml")
    assert path in [problem.path for problem in caught.value.problems]


def test_a_map_reports_everything_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_map(HEAD.replace('"meter"', '"metre"').replace("= 10", "= 9999") + "x = 1\n", "x")
    assert {p.path for p in caught.value.problems} >= {"kind", "read.max_registers", "read.x"}
    with pytest.raises(ConfigError, match="at most 125"):
        parse_map(HEAD.replace("= 10", "= 1000"), "x")


def test_values_that_do_not_fit_are_refused() -> None:
    point = load_map("abb_terra_ac").setpoint
    assert point is not None
    assert encode_value(point.point, 16.5) == [0, 16500]
    with pytest.raises(ValueError, match="does not fit"):
        encode_value(point.point, -1)


def test_mixed_word_orders() -> None:
    points = load_map("wirenboard_wb_map12e").points
    assert not points["ch5_a"].low_first
    assert points["ch5_import_wh"].low_first
    assert points["ch5_a"].address == 5142 + 4096 + 2
