"""What fills a slot of the image: a point of a block, in the sign and sense of the panel file.

The one place where a reading is turned. What is written to a relay is turned in field/outputs.py.
"""

from __future__ import annotations

from dataclasses import replace

from panelctl.modbus.codec import FLOATS
from panelctl.modbus.fields import Field
from panelctl.modbus.maps import Point
from panelctl.model.slots import Slot


def has_sign(point: Point) -> bool:
    """Whether a point can be below 0: what cannot has no direction, and is never turned."""
    return point.type[0] == "i" or point.type in FLOATS or point.scale < 0 or point.offset < 0


def opposite(point: Point) -> Point:
    """The same point of a contact, read as its opposite: 1 where the output is off."""
    return replace(point, scale=-point.scale, offset=1 - point.offset)


def field_of(point: Point, offset: int, number: int, slot: Slot, scale_offset: int = -1) -> Field:
    """The field of a point that stands `offset` registers into its block, for slot `number` of the
    image. Raises ValueError when the point is not in the slot's unit.
    """
    turned = slot.turned and has_sign(point)
    if slot.unit == "state":
        point = opposite(point) if slot.turned else point
        turned = False
    return Field(
        point, offset, slot.unit, number, slot.least, slot.most, scale_offset, inverted=turned
    )
