"""Why a leg may be over its limit without anybody to blame: the excuses, in words."""

from __future__ import annotations

from enum import StrEnum


class Excuse(StrEnum):
    """What holds while a leg is over its limit. Of several the first in this order is named; the
    last two are none.
    """

    UNREACHED = "a device that could not be reached or told"
    LYING = "a meter that lied"
    RELAY = "a relay that did not obey"
    NODE = "a node that did not obey"
    AWAY = "no controller: killed, restarted, or its machine stood still"
    GRID = "the grid, or people who changed limits again and again"
    SETTLING = "up to 20 s after a fault or the start"
    LOWERED = "a limit that was lowered less than 3 s before"
    TIGHT = "a tight envelope: what cannot be opened was more than it"
    UNOPENABLE = "a circuit that cannot be opened"
    STOPPING = "a node that was asked to stop, and has its time"
    HIDDEN = "a meter that hid a load, or mains in doubt"
    SHORT = "no excuse is needed: 2 s are allowed"
    NONE = "no excuse: it is found"
