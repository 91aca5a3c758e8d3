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
from dataclasses import dataclass
from typing import Final

ONE: Final = 1 << 32
TICK_NS: Final = 10_000_000
TICK_MS: Final = 10
TICK_BITS: Final = 17  # longest step and longest forecast: 2^17 ticks, 22 minutes
MOST_U: Final = 8 << 16  # a current counts as at most 8 I_ref (GE's clamp)
HOT_START: Final = ONE * 81 // 100  # 0.9^2
PPM: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Pole:
    """A trip curve as two poles. A; `share` of the fast one 0 to 1; time constants in s."""

    ref_a: float
    share: float
    fast_s: float
    slow_s: float


def decay_table(tau_s: float) -> array[int]:
    """What is left of a difference after 2^k ticks, in 2^-32, for k = 0 .. TICK_BITS - 1."""
    tick_s = TICK_NS / 1e9
    return array("q", [round(ONE * math.exp(-tick_s * (1 << k) / tau_s)) for k in range(TICK_BITS)])
