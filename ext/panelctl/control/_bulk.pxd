"""Types of panelctl/control/bulk_text.py."""

cimport cython

ctypedef long long i64

cdef int GOOD, WELDED
cdef double PER_S
cdef i64 TENTH_NS, EXACT_NS
cdef dict REASONS, NAMES, WAITS

cdef list _names(i64 claims)


@cython.locals(rest_ns=i64, whole=i64)
cdef double _tenths(i64 ns) except? -1.0


@cython.final
cdef class Place:
    cdef object ident, tier
    cdef readonly int i  # where it is looked up by name
    cdef int relay, acked
    cdef i64 noise_ma
    cdef list amps, watts, source_legs
    cdef int factor
    cdef bint shows_contact, modulated, watched


@cython.final
cdef class Bulk:
    cdef list _places, _rows
    cdef dict _by_load
    cdef object _engine
    cdef double _half_v
    cdef i64 _stale_ns
    cdef i64[::1] _value, _quality, _sampled_ns, _read_quality
    cdef i64[::1] _told_value, _told_quality, _told_ns
    cdef i64[::1] _tier, _closed, _claims, _firm_ma, _set_ma, _theta_ppm, _trip_ms
    cdef i64[::1] _fault, _reason, _reason_row, _reason_ma, _since_ns, _until_ns, _over_ns
    cdef i64[::1] _wait, _wait_row, _wait_ma

    @cython.locals(slot=cython.int, at_ns=i64, mark=i64, slots=list, value=list, quality=list, age_ns=list)
    cpdef object decision(self, i64 now_ns)

    @cython.locals(slot=cython.int, most=i64, place=Place)
    cpdef object most_ma(self, int i)

    cpdef object load_w(self, int i)

    @cython.locals(slot=cython.int, total=i64)
    cdef i64 _watts(self, Place place) except *

    @cython.locals(slot=cython.int, total=i64)
    cdef i64 _nominal(self, Place place) except *

    @cython.locals(slot=cython.int)
    cdef str _relay(self, Place place, i64 oldest_ns)

    @cython.locals(slot=cython.int, oldest_ns=i64, fresh=cython.bint, record=dict, amps_a=list)
    cdef dict _record(self, Place place, object totals_wh, i64 now_ns)

    @cython.locals(i=cython.int)
    cdef object _decided(self, dict record, Place place, i64 now_ns)
