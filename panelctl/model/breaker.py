"""Breakers protect: their rating, what a control setting may be, and how they heat up.

A control setting is treated as a continuous load, so it may be at most 80 % of the breaker, unless
the assembly is rated for 100 % (NEC 2023 220.70, NEC 2026 120.7).
"""

from __future__ import annotations

from dataclasses import dataclass

CONTINUOUS_RATIO = 0.80  # of a breaker's rating that a continuous load may use (NEC 210.20, 215.3)
# Of a neutral. Two currents that cancel as numbers do so less as vectors, where power factors
# differ: 40 A at 1.0 against 40 A at 0.8 leave 25 A.
NEUTRAL_RATIO = 0.80
BETWEEN_RATIO = 0.25  # share of its demand that a load between the legs may draw to the neutral


# What is taken off a curve before it is trusted: the meter's error, a hot enclosure, the unit's own
# tolerance. A breaker 10 % more sensitive than its curve trips a controller that believed it.
DEFAULT_DERATE = 0.90


@dataclass(frozen=True, slots=True)
class Curve:
    """A trip curve as a fast and a slow heat (core/thermal): ratios to the rating, seconds.

    `gives_credit` tells a minimum curve that somebody vouches for from one that is assumed or
    bounds the time to trip from above: those may lower a limit and never raise one.
    """

    name: str
    ref_ratio: float
    fast_share: float
    fast_s: float
    slow_s: float
    gives_credit: bool


@dataclass(frozen=True, slots=True)
class Breaker:
    """A breaker of `rating_a` amps per leg on `poles` legs.

    `curve` is watched when it is given, with its reference lowered to `derate` of itself.
    """

    rating_a: float
    poles: int
    rated_100_percent: bool = False
    curve: Curve | None = None
    derate: float = DEFAULT_DERATE

    @property
    def highest_setting_a(self) -> float:
        """The largest control setting (A per leg) that may be used behind this breaker."""
        return self.rating_a if self.rated_100_percent else self.rating_a * CONTINUOUS_RATIO
