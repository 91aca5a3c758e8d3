"""Recorded registers of real devices, decoded with the maps and judged by physics."""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest

from panelctl.errors import ConfigError
from panelctl.modbus.capture import Decoded, decode_all, decode_with, models_in, parse_capture
from panelctl.modbus.maps import load_map, map_names
from panelctl.modbus.physics import contradictions

CAPTURES = Path("fixtures/captures")
EM540 = "carlo_gavazzi/em540-fw1.4.3.json"
FILES = sorted(str(path.relative_to(CAPTURES)) for path in CAPTURES.glob("*/*.json"))


def decoded(file: str) -> list[Decoded]:
    tables = parse_capture((CAPTURES / file).read_text(), file)
    return (
        decode_with(load_map("carlo_gavazzi_em540"), tables)
        if file == EM540
        else (decode_all(tables))
    )


def numbers(found: Decoded) -> dict[str, float]:
    return {name: float(v) for name, v in found.values.items() if not isinstance(v, str)}


def one(file: str, name: str, nth: int = 0) -> dict[str, float]:
    return numbers([found for found in decoded(file) if found.map.id == name][nth])


@pytest.mark.parametrize("file", FILES)
def test_every_recording_decodes_and_nothing_in_it_contradicts_itself(file: str) -> None:
    found = decoded(file)
    assert sum(len(each.values) for each in found) >= 16
    for each in found:
        assert list(contradictions(numbers(each))) == [], each.map.id


VERIFIED = [name for name in map_names() if load_map(name).verified]


@pytest.mark.parametrize("name", VERIFIED)
def test_a_verified_map_decodes_its_own_recording(name: str) -> None:
    known = load_map(name)
    tables = parse_capture((CAPTURES / known.capture).read_text(), known.capture)
    values = [value for found in decode_with(known, tables) for value in found.values.values()]
    assert len(values) >= 5


def test_three_quarters_of_the_evidence_is_not_the_same_recording() -> None:
    assert len(VERIFIED) >= 10
    assert len({load_map(name).capture for name in VERIFIED}) >= 4


def test_two_models_of_one_inverter_agree() -> None:
    """A KACO shows itself in integers (103) and in floats (113)."""
    file = "kaco/blueplanet_86tl3.json"
    whole, real = one(file, "sunspec_inverter"), one(file, "sunspec_inverter_float")
    same = sorted(set(whole) & set(real))
    assert len(same) >= 15
    for name in same:
        step = 10.0 if name.endswith(("_va", "_var", "_w")) else 0.06  # what an integer can tell
        slack = max(0.01 * abs(real[name]), step)
        assert abs(whole[name] - real[name]) <= slack, name
    assert whole["dc_w"] > whole["total_w"], "what comes out went in before"
    # its module (160) carries what the inverter says of its direct current
    mppt = one(file, "sunspec_mppt")
    modules = [mppt[f"m{n}_dc_w"] for n in (1, 2) if f"m{n}_dc_w" in mppt]
    assert abs(sum(modules) - whole["dc_w"]) < 0.05 * whole["dc_w"]
    for n in (1, 2):
        product = mppt[f"m{n}_dc_a"] * mppt[f"m{n}_dc_v"]
        assert abs(product - mppt[f"m{n}_dc_w"]) < 0.06 * product + 10
    assert "m3_dc_w" not in mppt, "the next model of the chain is no module"


@pytest.mark.parametrize("file", [file for file in FILES if file.startswith("solaredge")])
def test_a_solaredge_inverter_is_physical(file: str) -> None:
    values = one(file, "sunspec_inverter")
    # A storage inverter that charges shows both below 0; then the loss has the other sign.
    if abs(values["dc_w"]) > 100:
        assert 0.95 < values["total_w"] / values["dc_w"] < 1.0
    assert 45 < values["frequency_hz"] < 65
    assert values["lifetime_wh"] > 1_000_000


def test_a_battery_gateway_of_the_new_models() -> None:
    file = "franklinwh/agate_sunspec_layout.json"
    names = [found.map.id for found in decoded(file)]
    assert {"sunspec_der_ac", "sunspec_der_capacity", "sunspec_der_storage"} <= set(names)
    grid, storage = one(file, "sunspec_der_ac"), one(file, "sunspec_der_storage")
    assert 0 <= storage["soc_pct"] <= 100
    assert abs(grid["l1_v"] * grid["total_a"] - grid["total_va"]) < 0.05 * grid["total_va"]


def test_the_serial_number_of_a_chain_is_a_text() -> None:
    found = next(f for f in decoded("kaco/blueplanet_86tl3.json") if f.map.id == "sunspec_common")
    assert found.values["maker"] == "KACO new energy"
    assert found.values["serial_number"] == "8.6TL00000000"


def test_a_sparse_recording_is_not_a_device() -> None:
    """Headers that nobody recorded are guessed from the powers of ten, and never inside a model."""
    words = parse_capture((CAPTURES / "solaredge/issue827_u1.json").read_text(), "x")["holding"]
    models = models_in(words)
    assert [model.id for model in models] == [103, 203, 203, 203]
    for before, after in pairwise(models):
        assert after.address >= before.address + 2 + before.length
    assert models_in({40000: 0x5375, 40001: 0x6E53, 40069: 103}) == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not JSON"),
        ("[]", "must be an object"),
        ("{}", "has none of"),
        ('{"holding": 3}', "words by address"),
        ('{"holding": {"70000": 1}}', "whole numbers"),
        ('{"holding": {"1": 70000}}', "whole numbers"),
        ('{"holding": {"a": 1}}', "whole numbers"),
        ('{"holding": {"1": null}}', "whole numbers"),
        ('{"holding": {"start": 1, "words": "xyz"}}', "whole numbers"),
    ],
)
def test_a_capture_out_of_shape_is_refused(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse_capture(text, "x.json")


GOOD = {
    "l1_v": 120.0, "l2_v": 121.0, "l1_a": 10.0, "l2_a": 5.0, "l1_w": 1_150.0, "l2_w": -600.0,
    "total_w": 550.0, "l1_va": 1_200.0, "l2_va": 605.0, "frequency_hz": 60.0, "total_va": 1_805.0,
    "total_var": 300.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("total_w", 900.0, "add up"),
        ("l1_va", 900.0, "is not 900 VA"),
        ("l1_w", 1_400.0, "more than"),
        ("total_var", 2_500.0, "make more than"),
        ("frequency_hz", 35.0, "no grid"),
        ("l1_v", 12.0, "no mains voltage"),
    ],
)
def test_what_cannot_be_true_together_is_said(name: str, value: float, says: str) -> None:
    assert list(contradictions(GOOD)) == []
    assert says in " ".join(contradictions(GOOD | {name: value}))


def test_a_wrong_word_order_shows() -> None:
    """The EM540's recording with its words the other way round is nonsense, and is told to be."""
    plain = json.loads((CAPTURES / EM540).read_text())["raw"]["input"]
    swapped = {str(int(a) ^ 1): word for a, word in plain.items()}
    tables = parse_capture(json.dumps({"input": swapped}), "x")
    (found,) = decode_with(load_map("carlo_gavazzi_em540"), tables)
    assert len(list(contradictions(numbers(found)))) >= 3
    right = decoded(EM540)[0].values
    assert right["total_w"] == Fraction("-446.6")
