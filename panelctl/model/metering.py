"""Which meter channel shows which current, and how far a reading may be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Quality(IntEnum):
    """How far the value of an image slot may be trusted. Only GOOD ever enters a decision."""

    NEVER = 0  # no reading yet
    GOOD = 1
    INVALID = 2  # the device marked it as not available
    IMPLAUSIBLE = 3  # outside what this quantity can be


@dataclass(frozen=True, slots=True)
class PointRef:
    """One point of one device, by the names in the panel file and the register map. `turned`: it
    is taken with the other sign, or a contact as the opposite of what its output is.
    """

    device: str
    point: str
    turned: bool = False

    def __str__(self) -> str:
        return f"{self.device}.{self.point}"
