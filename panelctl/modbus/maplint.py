"""What is suspicious in a map that is right in form: for its author, not for the loader."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from panelctl.errors import Problem
from panelctl.modbus.maps import RegisterMap

# How a point's name ends, by its unit.
ENDINGS = {
    "A": "_a", "V": "_v", "W": "_w", "Wh": "_wh", "VA": "_va", "VAh": "_vah", "var": "_var",
    "varh": "_varh", "Hz": "_hz", "°C": "_c", "s": "_s",
}  # fmt: skip


def lint(known: RegisterMap) -> Iterator[Problem]:
    """Everything that its author should look at once more."""
    for point in known.points.values():
        path = f"point.{point.name}"
        ending = ENDINGS.get(point.unit)
        if ending is not None and not point.name.endswith(ending):
            yield Problem(path, point.unit, f"a name of a value in {point.unit} ends with {ending}")
        if point.unit in ("kW", "kWh", "mA", "kVA", "mV"):
            yield Problem(
                f"{path}.unit", point.unit, "write the plain unit, and the factor as scale"
            )
        if point.count > known.max_registers and point.table == known.table:
            yield Problem(path, str(point.count), "is longer than one read may be")
        if point.address % known.align or point.count % known.align:
            yield Problem(
                f"{path}.address", str(point.address), f"lies off the grid of {known.align}"
            )
    yield from _overlaps(known)
    if not known.marks and not known.sunspec_models and known.kind != "relay":
        yield Problem("identify", "", "is missing: `panelctl probe` cannot tell this device")
    if known.timeout_ms < known.turnround_ms:
        yield Problem("read.timeout_ms", str(known.timeout_ms), "is shorter than turnround_ms")
    if known.kind == "evse" and known.setpoint is None:
        yield Problem("setpoint", "", "is missing: a charger that takes none is only measured")
    if known.kind in ("evse", "heater", "relay") and known.failsafe is None:
        yield Problem("failsafe", "", "is missing: what does it do when nobody speaks to it?")


def _overlaps(known: RegisterMap) -> Iterator[Problem]:
    points = sorted(known.points.values(), key=lambda point: (point.table, point.address))
    for before, point in pairwise(points):
        same = (before.address, before.type) == (point.address, point.type)
        if before.table == point.table and point.address < before.end and not same:
            yield Problem(f"point.{point.name}", str(point.address), f"overlaps {before.name}")
