"""Relays control: their states, and who may claim one open. Breakers are not relays.

A relay closes only when no claim is left. The order of the claims decides which one is named to
people, not which one is obeyed: all of them are.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag


class RelayState(IntEnum):
    """What a relay's read-back says."""

    OPEN = 0
    CLOSED = 1
    UNKNOWN = -1


class Claim(IntFlag):
    """A party that holds a relay open. A larger value is named first."""

    NONE = 0
    FOUND = 1  # found open at start, nobody knows why: only a user may close it
    USER = 2
    LOAD_SHED = 4  # off-grid backup
    PCS = 8  # import limiting
    CONFIGURATION = 16  # locked by the configuration
    FAULT = 32

    @property
    def named(self) -> Claim:
        """The claim that is named to people: the strongest that is set."""
        return Claim(1 << (int(self).bit_length() - 1)) if self else Claim.NONE


# What a user may take back. What then still holds a circuit open is its room.
BY_HAND = Claim.USER | Claim.FOUND
