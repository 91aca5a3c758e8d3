"""Breakers that really trip: a two-pole thermal memory per pole, and a magnetic trip.

dx/dt = (u^2 - x) / tau for a fast and a slow pole, u = I / (1.05 x rating); it trips when the
weighted sum reaches 1. The constants fit an illustrative fast residential minimum curve (90 s at
1.35, 12 s at 2, 4 s at 3 times the rating, cold): an assumption, on the careful side.
"""

from libc.math cimport exp, fabs

PICK_UP = 1.05
FAST_WEIGHT = 0.34
FAST_TAU_S = 10.6
SLOW_TAU_S = 177.0
MAGNETIC = 8.0  # times the rating: at once
PRELOAD = 0.64  # a breaker that has carried 0.8 of its rating for hours

cdef double _FAST_WEIGHT = FAST_WEIGHT, _MAGNETIC = MAGNETIC
cdef double _FAST_TAU_S = FAST_TAU_S, _SLOW_TAU_S = SLOW_TAU_S


cdef class ThermalBreaker:
    """One breaker on one or two legs; `rating_a` per leg, `holds_a` it carries for ever.

    `sensitivity` above 1 is a unit that picks up so much earlier than its curve says and is three
    times as much faster (3 %: time constants shortened by 9 %).
    """

    def __init__(self, double rating_a, int legs, double sensitivity=1.0):
        if not 1 <= legs <= 2:
            raise ValueError(f"a breaker of {legs} poles")
        self.rating_a = rating_a
        self.holds_a = PICK_UP * rating_a / sensitivity
        self._haste = 1.0 + 3.0 * (sensitivity - 1.0)
        self._legs = legs
        for pole in range(2):
            self._fast[pole] = self._slow[pole] = PRELOAD

    def carries(self, currents_a, double for_s):
        """Whether these currents would not make it trip within `for_s`."""
        return self.would_carry(currents_a[0], currents_a[self._legs - 1], for_s)

    def step(self, currents_a, double dt_s):
        """Carry these currents for `dt_s`, exactly; True when that made it trip."""
        return self.carry(currents_a[0], currents_a[self._legs - 1], dt_s)

    cdef bint would_carry(self, double a, double b, double for_s) noexcept:
        """Nobody trips below `holds_a`. Above, the heat may dip, but once it has risen to where the
        breaker trips it stays above: to look at the end is enough.
        """
        cdef double[2] fast = self._fast
        cdef double[2] slow = self._slow
        cdef bint trips
        if self.tripped or (fabs(a) <= self.holds_a and fabs(b) <= self.holds_a):
            return True
        trips = self.carry(a, b, for_s)
        self._fast, self._slow, self.tripped = fast, slow, False
        return not trips

    cdef bint carry(self, double a, double b, double dt_s) noexcept:
        """`step`; a breaker of one leg takes no notice of `b`."""
        cdef int pole
        cdef double u, current_a
        if self.tripped:
            return False
        if dt_s != self._dt_s:
            self._dt_s = dt_s
            self._fast_share = 1.0 - exp(-dt_s * self._haste / _FAST_TAU_S)
            self._slow_share = 1.0 - exp(-dt_s * self._haste / _SLOW_TAU_S)
        for pole in range(self._legs):
            current_a = b if pole else a
            u = current_a / self.holds_a
            self._fast[pole] += (u * u - self._fast[pole]) * self._fast_share
            self._slow[pole] += (u * u - self._slow[pole]) * self._slow_share
            if (
                _FAST_WEIGHT * self._fast[pole] + (1 - _FAST_WEIGHT) * self._slow[pole] >= 1.0
                or current_a >= _MAGNETIC * self.rating_a
            ):
                self.tripped = True
        return self.tripped
