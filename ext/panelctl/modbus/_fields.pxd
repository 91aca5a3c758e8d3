"""Types of panelctl/modbus/fields_text.py."""

cimport cython

ctypedef long long i64

cdef i64 RAW_MOST
cdef double FLOAT_MOST, TO_WHOLE
cdef int GOOD, INVALID, IMPLAUSIBLE, NOTHING, FOUND, EXACTLY
cdef double[256] POWERS


@cython.locals(exponent=cython.int, mantissa=i64, number=cython.double)
cdef double narrow(i64 raw) noexcept


@cython.final
cdef class Field:
    cdef readonly int slot, size
    cdef object _point, _inner, _invalid
    cdef tuple _numbers  # what a raw integer is multiplied with and divided by, and what is added
    cdef int _offset, _count, _scale_offset
    cdef i64 _least, _most, _mul, _div, _add
    cdef long _invalid_high
    cdef bint _low_first, _signed, _float, _fast

    @cython.locals(found=cython.int, value=i64)
    cpdef object decode(self, list words)

    @cython.locals(raw=i64, n=cython.int, place=cython.int, number=cython.double)
    cdef (int, i64) combine(self, list words)

    cdef object exact(self, list words)

    @cython.locals(found=cython.int, value=i64)
    cdef (int, i64) judged(self, list words)


@cython.final
cdef class Block:
    cdef list _fields
    cdef int _size
    cdef i64[::1] _value, _quality, _sampled_ns

    @cython.locals(field=Field, quality=cython.int, value=i64)
    cpdef object store(self, list words, i64 sampled_ns)
