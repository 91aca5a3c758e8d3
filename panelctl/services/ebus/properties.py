"""How eBus properties are written down: short forms for nodes and for the kinds of values.

The names of capabilities and their properties are those of the eBus catalog (electrification-bus/
specification, data model 1.0). What eBus has no word for is under VENDOR.
"""

from __future__ import annotations

from collections.abc import Callable

from panelctl.services.ebus.record_view import RecordView
from panelctl.services.homie import Datatype, Node, Pace, Property, Value, Write

DEVICE = "energy.ebus.device."
CAPABILITY = "energy.ebus.capability."
VENDOR = "com.panelctl."
Reader = Callable[[RecordView], Value]
COMMUNICATION = "OK,DEGRADED,LOST,UNKNOWN"


def node(ident: str, *properties: Property | None, vendor: bool = False) -> Node:
    """A capability with those of its properties that there are."""
    kind = f"{VENDOR}capability.{ident}" if vendor else f"{CAPABILITY}{ident}"
    there = tuple(item for item in properties if item is not None)
    return Node(ident, _label(ident), kind, there)


def _label(ident: str) -> str:
    return ident.replace("-", " ").capitalize()


def text(ident: str, value: str | Reader) -> Property:
    """A text, or where one is read."""
    return Property(ident, _label(ident), Datatype.STRING, _reader(value))


def yes(ident: str, value: bool | Reader) -> Property:
    """Yes or no."""
    return Property(ident, _label(ident), Datatype.BOOLEAN, _reader(value))


def one_of(ident: str, words: str, value: str | Reader, write: Write | None = None) -> Property:
    """One of `words`, which stand between commas."""
    return Property(ident, _label(ident), Datatype.ENUM, _reader(value), format=words, write=write)


def whole(
    ident: str, unit: str, value: int | Reader, bounds: str = "", write: Write | None = None
) -> Property:
    """A whole number of units; `bounds` are low:high."""
    return Property(
        ident, _label(ident), Datatype.INTEGER, _reader(value), unit, bounds, write=write
    )


def measured(ident: str, unit: str, value: Reader, digits: int = 1) -> Property:
    """Something that is measured, and changes all the time."""
    return Property(
        ident, _label(ident), Datatype.FLOAT, value, unit, pace=Pace.MEASURED, digits=digits
    )


def counted(ident: str, value: Reader) -> Property:
    """A counter of energy, Wh."""
    return Property(ident, _label(ident), Datatype.FLOAT, value, "Wh", pace=Pace.COUNTED, digits=0)


def amount(
    ident: str, unit: str, value: float | Reader, bounds: str = "", write: Write | None = None
) -> Property:
    """A number that is set, not measured."""
    return Property(ident, _label(ident), Datatype.FLOAT, _reader(value), unit, bounds, write=write)


def _reader(value: Value | Reader) -> Reader:
    if callable(value):
        return value
    return lambda seen: value
