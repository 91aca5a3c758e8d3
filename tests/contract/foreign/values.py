"""What three units hold: no two points of one kind show the same, so any that strays is seen."""

from __future__ import annotations

from fractions import Fraction

from panelctl.modbus.codec import encode_value
from panelctl.modbus.maps import RegisterMap, load_map

UNITS = {1: "carlo_gavazzi_em540", 2: "carlo_gavazzi_em540", 3: "wirenboard_wb_map12e"}
LEAST = {"A": 4, "W": 1_000, "V": 110, "Wh": 50_000}  # what a panel takes for plausible
STEP = {"A": Fraction(1, 4), "W": Fraction(5), "V": Fraction(1, 10), "Wh": Fraction(100)}


def value(unit: int, known: RegisterMap, name: str) -> Fraction:
    """What a point of a unit shows, in its own unit of measurement."""
    point = known.points[name]
    place = unit - 1 + len(UNITS) * list(known.points).index(name)
    step = STEP.get(point.unit, max(point.scale, Fraction(1, 10)))
    return LEAST.get(point.unit, 3) + place * step


def text(unit: int, length: int) -> str:
    """What a text of so many characters says."""
    return f"0{unit}" * (length // 2)


def registers(unit: int) -> dict[tuple[str, int], int]:
    """The words of a unit, by table and address."""
    known = load_map(UNITS[unit])
    words: dict[tuple[str, int], int] = {}
    for name, point in known.points.items():
        if point.type == "text":
            shown = text(unit, 2 * point.count).encode()
            held = [shown[n] << 8 | shown[n + 1] for n in range(0, len(shown), 2)]
        else:
            held = encode_value(point, value(unit, known, name))
        words |= {(point.table, point.address + n): word for n, word in enumerate(held)}
    return words
