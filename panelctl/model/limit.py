"""Named limits at the main lugs: who may set one, how much it is, and for how long.

The smallest one binds. Putting them in force is core/limits' work.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum


class LimitName(IntEnum):
    """Every source of a limit, in the order in which a tie is named.

    FSR is the installer's control setting (feed service rating); it is always there. LEASE is this
    home's share of a transformer, HEAT_SINK what can be done with the compute node's heat.
    """

    FSR = 0
    DOE = 1
    VOLTAGE = 2
    OFF_GRID = 3
    REQUESTED = 4
    OPERATOR = 5
    THERMAL = 6
    LEASE = 7
    HEAT_SINK = 8


@dataclass(frozen=True, slots=True)
class Amount:
    """How much: A on each leg, W of total import, or both. None: it says nothing about that."""

    limit_a: float | None = None
    import_w: float | None = None

    def stricter(self, other: Amount) -> Amount:
        """The smaller of both, each for itself."""
        return Amount(_least(self.limit_a, other.limit_a), _least(self.import_w, other.import_w))


def _least(one: float | None, two: float | None) -> float | None:
    known = [amount for amount in (one, two) if amount is not None]
    return min(known) if known else None


@dataclass(frozen=True, slots=True)
class Window:
    """A limit from `start_ns` up to `end_ns` (monotonic)."""

    start_ns: int
    end_ns: int
    amount: Amount


@dataclass(frozen=True, slots=True)
class KeptLimits:
    """What of the limits outlives a restart: the grid's state, the envelope's windows, and the
    number of the newest lease (a lease itself does not: the default holds until the next).

    A window is its start and end (monotonic, ns), A per leg and W in all.
    """

    off_grid: bool = False
    shedding: bool = False
    source: str = ""
    windows: list[tuple[int, int, float | None, float | None]] = field(default_factory=list)
    lease_number: int = 0
