"""The compiled ladder for other compiled modules. Rules and words are in panelctl/core/ladder/reference.py."""

from libc.stdint cimport int64_t as i64

cdef extern from *:
    """
    /* The panel's own sizes; a larger build of the same source names larger ones. */
    #ifndef PANELCTL_MAX_SEGMENTS
    #define PANELCTL_MAX_SEGMENTS 256
    #define PANELCTL_MAX_ROWS 32
    #endif
    #define PANELCTL_MAX_ENTRIES (8 * PANELCTL_MAX_SEGMENTS)
    #define PANELCTL_MAX_EVENTS (PANELCTL_MAX_SEGMENTS + PANELCTL_MAX_ROWS)
    """
    enum:
        MAX_SEGMENTS "PANELCTL_MAX_SEGMENTS"
        MAX_ROWS "PANELCTL_MAX_ROWS"
        MAX_ENTRIES "PANELCTL_MAX_ENTRIES"
        MAX_EVENTS "PANELCTL_MAX_EVENTS"


cdef struct Rung:  # one segment, in the order of serving
    int id  # its number: where its size and what it has taken are found
    int tier
    int predecessor  # a number, or -1
    int first  # the rows that it touches: entries first up to end
    int end
    short weight
    signed char discrete
    signed char equal


cdef struct Entry:
    int row
    int coefficient


cdef struct Rungs:
    int count
    int rows
    const Rung *rung
    const Entry *entry
    const i64 *size_ma
    const i64 *value
    const i64 *was_on


cdef bint serve(const Rungs *p, i64 *room_ma, i64 *taken_ma) noexcept nogil


cdef class Solver:
    cdef list _kept
    cdef Rung rung[MAX_SEGMENTS]
    cdef Entry entry[MAX_ENTRIES]
    cdef Rungs rungs
    cdef i64 *size_ma
    cdef i64 *room_ma
    cdef i64 *taken_ma
    cdef i64 *_bind(self, object field) except? NULL
