# cython: language_level=3
"""The compiled core's `serve` in one nogil loop, each solve timed as ladder.c times its own."""

from libc.stdint cimport int64_t as i64
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from panelctl.core._ladder cimport Rungs, Solver, serve


def many(Solver solver, i64[::1] size_ma, i64[::1] room_ma, i64[::1] taken_ma, i64[::1] ns):
    """Serve `len(ns)` homes; `ns` gets the time of each."""
    cdef Rungs rungs = solver.rungs
    cdef timespec begin, end
    cdef i64 h
    with nogil:
        for h in range(ns.shape[0]):
            rungs.size_ma = &size_ma[h * rungs.count]
            clock_gettime(CLOCK_MONOTONIC, &begin)
            serve(&rungs, &room_ma[h * rungs.rows], &taken_ma[h * rungs.count])
            clock_gettime(CLOCK_MONOTONIC, &end)
            ns[h] = (end.tv_sec - begin.tv_sec) * 1000000000 + end.tv_nsec - begin.tv_nsec
