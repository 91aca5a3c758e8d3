"""Registers to whole numbers and back, by a map's points. No device and no image knows this room.

A value is turned into an integer of the unit that the caller wants (milliamps, watts …) with exact
fractions, rounded to nearest. A pattern that a map marks as invalid never becomes a number.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from fractions import Fraction

from panelctl.modbus.maps import Point

# How many of the inner unit one of the map's unit is: the image holds integers of the inner unit.
INNER: dict[tuple[str, str], int] = {
    ("A", "ma"): 1000,
    ("V", "mv"): 1000,
    ("°C", "mc"): 1000,
    ("W", "w"): 1,
    ("Wh", "wh"): 1,
    ("", "state"): 1,
}


FLOATS = {"f32": ">f", "f64": ">d"}


def raw_unsigned(point: Point, words: Sequence[int]) -> int:
    """The registers of a point put together as one unsigned number, by its word order."""
    ordered = reversed(words) if point.low_first else iter(words)
    raw = 0
    for word in ordered:
        raw = raw << 16 | word
    return raw


def raw_number(point: Point, words: Sequence[int]) -> int | float | None:
    """The unscaled number in a point's registers, or None when they mean "not available"."""
    raw = raw_unsigned(point, words)
    bits = 16 * point.count
    if raw in point.invalid:
        return None
    if point.invalid_high is not None and raw >> (bits - 16) == point.invalid_high:
        return None
    if point.type in FLOATS:
        number: float = struct.unpack(FLOATS[point.type], raw.to_bytes(bits // 8, "big"))[0]
        return number if math.isfinite(number) else None
    if point.type.startswith("i") and raw >> (bits - 1):
        return raw - (1 << bits)
    return raw


def decode_value(point: Point, words: Sequence[int], scale: int | None = None) -> Fraction | None:
    """The value of a point in its own unit; `scale` is its power of ten where a register holds it.

    None when the registers mean "not available", or the power of ten is none, and for a text.
    """
    if point.type == "text":
        return None
    raw = raw_number(point, words)
    if raw is None:
        return None
    value = Fraction(raw) * point.scale
    if point.scale_point is not None:
        if scale is None or not -10 <= scale <= 10:
            return None
        value *= Fraction(10) ** scale
    return value + point.offset


def decode_text(point: Point, words: Sequence[int]) -> str:
    """The text in a point's registers, two characters a register, up to the first NUL."""
    raw = b"".join(word.to_bytes(2, "big") for word in words)
    return raw.partition(b"\0")[0].decode("ascii", "replace").strip()


def decode_map(points: Mapping[str, Point], words: Mapping[int, int]) -> dict[str, Fraction]:
    """Every point whose registers are all in `words` (by address), in the point's own unit."""
    found: dict[str, Fraction] = {}

    def taken(point: Point) -> list[int] | None:
        span = range(point.address, point.end)
        return [words[a] for a in span] if all(a in words for a in span) else None

    for name, point in points.items():
        registers = taken(point)
        if registers is None:
            continue
        scale = None
        if point.scale_point is not None:
            source = points[point.scale_point]
            scale_words = taken(source)
            raw = raw_number(source, scale_words) if scale_words is not None else None
            scale = None if raw is None else int(raw)
        value = decode_value(point, registers, scale)
        if value is not None:
            found[name] = value
    return found


def encode_value(point: Point, value: float | Fraction) -> list[int]:
    """The registers that hold `value` (in the point's unit). Raises ValueError out of range."""
    scaled = (Fraction(value) - point.offset) / point.scale
    bits = 16 * point.count
    if point.type in FLOATS:
        raw = int.from_bytes(struct.pack(FLOATS[point.type], float(scaled)), "big")
    else:
        raw = round(scaled)
        low, high = (
            (-(1 << (bits - 1)), 1 << (bits - 1)) if point.type[0] == "i" else (0, 1 << bits)
        )
        if not low <= raw < high:
            raise ValueError(f"{point.name}: {float(value):g} does not fit {point.type}")
        raw &= (1 << bits) - 1
    words = [raw >> shift & 0xFFFF for shift in range(bits - 16, -1, -16)]
    return words[::-1] if point.low_first else words
