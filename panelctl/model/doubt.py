"""Why a reading is not believed: the words that decide/plausibility, counters and hidden set."""

from __future__ import annotations

from enum import StrEnum


class Doubt(StrEnum):
    """Why a reading is not believed."""

    DROP = "DROP"
    ERRATIC = "ERRATIC"
    FROZEN = "FROZEN"
    BRANCHES = "BRANCHES"
    UNPROVEN = "UNPROVEN"  # believed, within bounds
    ENERGY = "ENERGY"  # what was counted is more than these currents carry
    HIDDEN = "HIDDEN"  # this circuit may draw more than it shows
    STILL = "STILL"  # a counter stands still; decides nothing
