"""What three units hold: each point another value, so that any that strays is seen."""

from __future__ import annotations

from fractions import Fraction

from panelctl.modbus.codec import encode_value
from panelctl.modbus.maps import RegisterMap, load_map

UNITS = {1: "carlo_gavazzi_em540", 2: "carlo_gavazzi_em540", 3: "wirenboard_wb_map12e"}
BASE = {"A": 10, "W": 1_000, "V": 118, "Wh": 50_000, "": 3}


def value(unit: int, known: RegisterMap, name: str) -> Fraction:
    """What a point of a unit shows, in its own unit."""
    point = known.points[name]
    number = list(known.points).index(name)
    if point.unit == "V":
        return Fraction(BASE["V"]) + Fraction(number, 10)
    return Fraction(BASE.get(point.unit, 7)) + unit * 3 + Fraction(number, 2)


def registers(unit: int) -> dict[tuple[str, int], int]:
    """The words of a unit, by table and address."""
    known = load_map(UNITS[unit])
    words: dict[tuple[str, int], int] = {}
    for name, point in known.points.items():
        if point.type == "text":
            held = [0x3030 + unit] * point.count
        else:
            held = encode_value(point, value(unit, known, name))
        words |= {(point.table, point.address + n): word for n, word in enumerate(held)}
    return words
