"""The thermal memory of a breaker: how near it is to tripping, in whole numbers.

A pole has a fast and a slow heat. With u = I / I_ref (I_ref is where the curve ends, derated), each
goes towards u^2 with its own time constant; theta = share * fast + (1 - share) * slow; it trips at
theta = 1. This is the two-pole form of the hot curve of IEC 60255-149. One time constant cannot
follow a real curve at both ends.

Rules
- Heats are counted in 2^-32. A step is exact for a current that stood still: time goes by in ticks
  of 10 ms, and `keep` holds what is left of a difference after 1, 2, 4 ... ticks.
- Nothing here gives room away: the bands scale the effective limit and are at most 1, unless the
  pole has credit (a breaker without a control setting, of known minimum trip curve).
- Never start cold: after an outage the heat is what 90 % of I_ref leaves, or more if it is known.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

ONE: Final = 1 << 32
TICK_NS: Final = 10_000_000
TICK_BITS: Final = 17  # longest step and longest forecast: 2^17 ticks, 22 minutes
MOST_U: Final = 8 << 16  # a current counts as at most 8 I_ref (GE's clamp)
HOT_START: Final = ONE * 81 // 100  # 0.9^2
PPM: Final = 1_000_000

# Bands over theta in ppm: (theta, factor in ppm), in between on a straight line.
FILL_BAND: Final = ((750_000, PPM), (920_000, 700_000), (920_001, 450_000))
SHED_BAND: Final = ((800_000, PPM), (920_000, 970_000))
CREDIT_BAND: Final = ((800_000, 1_250_000), (920_000, 970_000))


@dataclass(frozen=True, slots=True)
class Pole:
    """A trip curve as two poles. A; `share` of the fast one 0 to 1; time constants in s."""

    ref_a: float
    share: float
    fast_s: float
    slow_s: float


def keep_table(tau_s: float) -> array[int]:
    """What is left of a difference after 2^k ticks, in 2^-32, for k = 0 .. TICK_BITS - 1."""
    tick_s = TICK_NS / 1e9
    return array("q", [round(ONE * math.exp(-tick_s * (1 << k) / tau_s)) for k in range(TICK_BITS)])


def times(x: int, part: int) -> int:
    """x * part / 2^32 for 0 <= x < 2^40 and 0 <= part <= 2^32, without leaving int64."""
    return ((x >> 16) * part >> 16) + ((x & 0xFFFF) * part >> 32)


def squared(ma: int, ref_ma: int) -> int:
    """u^2 in 2^-32."""
    u = min((ma << 16) // ref_ma, MOST_U)
    return u * u


def approach(heat: int, goal: int, part: int) -> int:
    """Heat after a time that leaves `part` of its distance to `goal`."""
    if heat >= goal:
        return goal + times(heat - goal, part)
    return goal - times(goal - heat, part)


def advance(heat: int, goal: int, ticks: int, keep: Sequence[int]) -> int:
    """Heat after so many ticks of a steady current; at most 2^TICK_BITS - 1 of them."""
    for k in range(TICK_BITS):
        if ticks >> k & 1:
            heat = approach(heat, goal, keep[k])
    return heat


def theta(fast: int, slow: int, share: int) -> int:
    """How near the pole is to tripping, in 2^-32."""
    return times(fast, share) + times(slow, ONE - share)


def ticks_to_trip(
    fast: int, slow: int, goal: int, share: int, keep_fast: Sequence[int], keep_slow: Sequence[int]
) -> int:
    """How many ticks of this current the pole surely stands; -1 when it is more than can be told.

    Bisection from the longest span down: TICK_BITS steps.
    """
    ticks = 0
    for k in range(TICK_BITS - 1, -1, -1):
        later_fast = approach(fast, goal, keep_fast[k])
        later_slow = approach(slow, goal, keep_slow[k])
        if theta(later_fast, later_slow, share) < ONE:
            fast, slow = later_fast, later_slow
            ticks += 1 << k
    return -1 if ticks == (1 << TICK_BITS) - 1 else ticks


def band(points: Sequence[tuple[int, int]], theta_ppm: int) -> int:
    """The factor at `theta_ppm`, ppm."""
    if theta_ppm <= points[0][0]:
        return points[0][1]
    for (low, above), (high, below) in pairwise(points):
        if theta_ppm <= high:
            return above - (above - below) * (theta_ppm - low) // (high - low)
    return points[-1][1]
