"""Named limits on the current of each leg at the main lugs. The smallest one binds."""

from __future__ import annotations

from enum import IntEnum


class LimitName(IntEnum):
    """Every source of a limit, in the order in which a tie is named.

    FSR is the installer's control setting (feed service rating); it is always there.
    """

    FSR = 0
    DOE = 1
    VOLTAGE = 2
    OFF_GRID = 3
    REQUESTED = 4
    OPERATOR = 5
    THERMAL = 6
