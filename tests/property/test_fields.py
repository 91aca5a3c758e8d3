"""The compiled doors of registers, against the exact fractions of codec.py: both directions."""

from __future__ import annotations

import math
import struct
from array import array
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panelctl.modbus.codec import FLOATS, INNER, decode_value, encode_value, raw_unsigned
from panelctl.modbus.fields import Block, Field
from panelctl.modbus.filling import field_of, has_sign
from panelctl.modbus.maps import Point
from panelctl.model.metering import PointRef, Quality
from panelctl.model.slots import Slot
from panelctl.sim.registers import Shown, Window, Words

SCALES = [Fraction(1), Fraction(1, 10), Fraction(1, 100), Fraction(1, 1000), Fraction(10)]
SCALES += [Fraction(-1), Fraction(-1, 100), Fraction(1, 100_000), Fraction(3, 7), Fraction(1 << 40)]
SCALES += [Fraction(244141, 10**12), Fraction(10**7), Fraction((1 << 29) - 1), Fraction(1 << 26)]
SCALES += [Fraction(1, 1 << 58)]
TYPES = ["i16", "u16", "i32", "u32", "i64", "u64", "f32", "f64"]
UNITS = {"A": "ma", "V": "mv", "W": "w", "Wh": "wh", "°C": "mc"}
FEW_BITS = st.sampled_from([0, 0, 0, 1, 0x7FC0, 0x7FFF, 0x8000, 0xFFFF])  # where the edges lie


@st.composite
def points(draw: st.DrawFn, address: int = 0) -> Point:
    return Point(
        "p",
        "input",
        address,
        draw(st.sampled_from(TYPES)),
        scale=draw(st.sampled_from(SCALES)),
        unit=draw(st.sampled_from(sorted(UNITS))),
        low_first=draw(st.booleans()),
        invalid=draw(st.sampled_from([frozenset(), frozenset({0, 0x8000, 0xFFFFFFFF})])),
        invalid_high=draw(st.sampled_from([None, None, 0x7FFF])),
        offset=draw(st.sampled_from([Fraction(0), Fraction(0), Fraction(-40), Fraction(1, 3)])),
    )


def words_for(point: Point) -> st.SearchStrategy[list[int]]:
    """Anything, the edges, and for a float ordinary readings too."""
    word = st.integers(0, 0xFFFF) | FEW_BITS
    anything = st.lists(word, min_size=point.count, max_size=point.count)
    if point.type not in FLOATS:
        return anything
    plain = Point("p", "input", 0, point.type, low_first=point.low_first)
    halves = st.integers(-999, 999).map(lambda n: n / 2000)  # a unit's half is half a milli-unit
    numbers = halves | st.floats(-1e6, 1e6, width=32) | st.floats(-(2.0**40), 2.0**40, width=32)
    return anything | numbers.map(lambda number: encode_value(plain, Fraction(number)))


@settings(max_examples=300)
@given(st.data())
def test_a_turned_slot_is_turned_once_and_only_where_there_is_a_sign(data: st.DataObject) -> None:
    point = data.draw(points())
    words = data.draw(words_for(point))
    slot = Slot("s", UNITS[point.unit], PointRef("d", "p"), -(1 << 62), 1 << 62)
    as_it_is = field_of(point, 0, 0, slot).decode(words)
    turned = field_of(point, 0, 0, replace(slot, turned=True)).decode(words)
    if as_it_is is None:
        assert turned is None
    elif has_sign(point):
        assert turned is not None
        assert abs(turned + as_it_is) <= 1, "a half is rounded upwards both times"
    else:
        assert turned == as_it_is


@pytest.mark.parametrize(("table", "form"), [("discrete", "bit"), ("holding", "u16")])
def test_a_turned_contact_is_the_opposite(table: str, form: str) -> None:
    value, quality, sampled_ns = (array("q", [7]) for _ in range(3))
    slot = Slot("c.relay", "state", PointRef("board", "output_1"), 0, 1, turned=True)
    field = field_of(Point("output_1", table, 96, form), 1, 0, slot)
    block = Block([field], value, quality, sampled_ns)
    for word, wanted in ((0, 1), (1, 0)):
        block.store([9, word], 5)
        assert (value[0], quality[0]) == (wanted, Quality.GOOD)
    block.store([9, 2], 6)
    assert (value[0], quality[0]) == (0, Quality.IMPLAUSIBLE), "neither on nor off"


@settings(max_examples=1000)
@given(st.data())
def test_a_field_is_the_exact_value_rounded(data: st.DataObject) -> None:
    point = data.draw(points())
    before = data.draw(st.lists(st.integers(0, 0xFFFF), max_size=3))
    words = data.draw(words_for(point))
    inverted = data.draw(st.booleans())
    inner = UNITS[point.unit]
    exact = decode_value(point, words)
    field = Field(point, len(before), inner, inverted=inverted)
    fast = field.decode([*before, *words, 7])
    if exact is None:
        assert fast is None
        return
    assert fast is not None
    wanted = exact * INNER[point.unit, inner] * (-1 if inverted else 1)
    slack = abs(
        point.offset.denominator - 1
    )  # an offset that is no whole raw number is rounded too
    assert abs(fast - wanted) <= Fraction(1, 2) + Fraction(slack, 2)
    with pytest.raises(ValueError, match="registers of"):
        field.decode([*before, *words][:-1])


@given(st.data())
def test_a_power_of_ten_stands_in_a_register(data: st.DataObject) -> None:
    point = Point("p", "input", 0, "i16", unit="W", scale_point="q")
    word, power = data.draw(st.integers(0, 0xFFFF)), data.draw(st.integers(-12, 12))
    before, behind = (Field(point, 1 - at, "w", scale_offset=at) for at in (0, 1))
    exact = decode_value(point, [word], power)
    fast = before.decode([power & 0xFFFF, word])
    assert behind.decode([word, power & 0xFFFF]) == fast
    assert (fast is None) == (exact is None)
    assert exact is None or fast is None or abs(fast - exact) <= Fraction(1, 2)
    assert before.decode([0x8000, word]) is None
    with pytest.raises(ValueError, match="1 registers of 2"):
        behind.decode([word])


@settings(max_examples=500)
@given(st.data())
def test_a_block_stores_what_a_slot_may_hold_and_marks_the_rest(data: st.DataObject) -> None:
    """Two points, one behind the other, each with limits that lie at or beside its value."""
    first = data.draw(points())
    second = data.draw(points(first.count))
    words = [data.draw(words_for(point)) for point in (first, second)]
    value, quality, sampled_ns = array("q", [5] * 4), array("q", [0] * 4), array("q", [0] * 4)
    fields, wanted = [], []
    for point, of_it, slot in zip((first, second), words, (2, 1), strict=True):
        alone = Field(point, 0, UNITS[point.unit]).decode(of_it)
        edge = min(max(alone or 0, -(1 << 40)), 1 << 40)
        least, most = data.draw(
            st.sampled_from(
                [(edge, edge), (edge + 1, edge + 9), (edge - 9, edge - 1), (-1000, 1000)]
            )
        )
        fields.append(Field(point, point.address, UNITS[point.unit], slot, least, most))
        if alone is None:
            wanted.append((5, Quality.INVALID))
        elif least <= alone <= most:
            wanted.append((alone, Quality.GOOD))
        else:
            wanted.append((5, Quality.IMPLAUSIBLE))
    block = Block(fields, value, quality, sampled_ns)
    with pytest.raises(ValueError, match="registers of"):
        block.store([*words[0], *words[1][:-1]], 99)
    assert sampled_ns.tolist() == [0] * 4
    block.store([*words[0], *words[1]], 99)
    assert [(value[slot], quality[slot]) for slot in (2, 1)] == wanted
    assert sampled_ns.tolist() == [0, 99, 99, 0]
    assert (value[0], value[3], quality[0], quality[3]) == (5, 5, 0, 0)


@pytest.mark.parametrize("words", [[0x7FFF], [0x7FFF, 0], [0x7FFF, 0x1234]])
def test_a_highest_register_that_means_nothing(words: list[int]) -> None:
    kind = {1: "i16", 2: "i32"}[len(words)]
    for low_first in (False, True):
        point = Point("p", "input", 0, kind, unit="W", low_first=low_first, invalid_high=0x7FFF)
        ordered = words[::-1] if low_first else words
        assert Field(point, 0, "w").decode(ordered) is None is decode_value(point, ordered)


@pytest.mark.parametrize("number", [-1.7, -0.5, 0.5, 1.5, 2.5, 1e9, -1e12, 1e20, -3e38])
def test_floats_of_every_size(number: float) -> None:
    """The last ones fit no slot, and no 64 bits either."""
    point = Point("p", "input", 0, "f32", unit="W")
    words = encode_value(point, number)
    exact = decode_value(point, words)
    assert exact is not None
    assert Field(point, 0, "w").decode(words) == round(exact)


def test_a_block_refuses_what_it_cannot_hold() -> None:
    point = Point("p", "input", 0, "i32", unit="W")
    zero = [array("q", bytes(8)) for _ in range(3)]
    with pytest.raises(ValueError, match="1 registers of 2"):
        Block([Field(point, 0, "w")], *zero).store([1], 1)
    with pytest.raises(IndexError, match="slot 1 of 1"):
        Block([Field(point, 0, "w", slot=1)], *zero)
    with pytest.raises(ValueError, match="p is in W, not in ma"):
        Field(point, 0, "ma")


def shown_words(point: Point, value: float, swapped: bool = False) -> list[int]:
    words = Words()
    window = Window(words, point.address, point.count, [Shown(point, lambda: value, words)])
    window.renew(0.0, 0.02, lambda: 0.5, 0.001, None, swapped)
    data = window.data()
    assert data is not None
    return list(struct.unpack(f">{point.count}H", data))


@given(points(), st.floats(-1e20, 1e20) | st.floats(-300.0, 300.0))
def test_a_simulated_meter_shows_what_the_map_says(point: Point, value: float) -> None:
    words = shown_words(point, value)
    assert shown_words(point, value, swapped=True) == words[::-1]
    if point.type[0] == "f":
        scaled = (value - float(point.offset)) * float(1 / point.scale)
        put = struct.pack(">f" if point.count == 2 else ">d", scaled)
        assert raw_unsigned(point, words).to_bytes(2 * point.count, "big") == put
        return
    scaled = math.floor((value - float(point.offset)) * float(1 / point.scale) + 0.5)
    bits = 16 * point.count
    least, most = (
        (-(1 << bits - 1), (1 << bits - 1) - 1) if point.type[0] == "i" else (0, (1 << bits) - 1)
    )
    raw = max(least, min(most, scaled))
    plain = Point("p", "input", 0, point.type, low_first=point.low_first)
    assert words == encode_value(plain, raw)


@given(points())
def test_no_number_is_shown_as_none(point: Point) -> None:
    raw = raw_unsigned(point, shown_words(point, math.nan))
    if point.type[0] == "f":
        plain = Point("p", "input", 0, point.type, low_first=point.low_first)
        assert decode_value(plain, shown_words(plain, math.inf)) is None
    else:
        assert raw == int("8000" * point.count, 16)


def test_registers_that_are_not_there_cannot_be_read() -> None:
    words = Words()
    words[3] = 0xABCD
    assert words.data(3, 1) == b"\xab\xcd"
    assert words.data(2, 2) is words.data(3, 2) is words.data(0x10000, 1) is None
    assert words.data(-1, 1) is None
    with pytest.raises(IndexError):
        words[0x10000] = 1
