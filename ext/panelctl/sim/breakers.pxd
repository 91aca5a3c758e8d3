"""What plant.pyx uses of a breaker without Python in between."""

cdef class ThermalBreaker:
    cdef public bint tripped
    cdef readonly double rating_a, holds_a
    cdef double _haste, _dt_s, _fast_share, _slow_share
    cdef double[2] _fast, _slow
    cdef int _legs
    cdef bint carry(self, double a, double b, double dt_s) noexcept
    cdef bint would_carry(self, double a, double b, double for_s) noexcept
