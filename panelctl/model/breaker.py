"""Breakers protect: their rating and what a control setting may be. Trip curves belong elsewhere.

A control setting is treated as a continuous load, so it may be at most 80 % of the breaker, unless
the assembly is rated for 100 % (NEC 2023 220.70, NEC 2026 120.7).
"""

from __future__ import annotations

from dataclasses import dataclass

CONTINUOUS_SHARE = 0.80


@dataclass(frozen=True, slots=True)
class Breaker:
    """A breaker of `rating_a` amps per leg on `poles` legs."""

    rating_a: float
    poles: int
    rated_100_percent: bool = False

    @property
    def highest_setting_a(self) -> float:
        """The largest control setting (A per leg) that may be used behind this breaker."""
        return self.rating_a if self.rated_100_percent else self.rating_a * CONTINUOUS_SHARE
