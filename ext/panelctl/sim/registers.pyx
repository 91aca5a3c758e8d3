"""The registers of a simulated meter: what its points show, as words on the wire.

Compiled because most of what happens in a storm is a meter that is read. Which points there are,
and what they show, is devices.py's.
"""

from libc.math cimport floor, isfinite
from libc.stdlib cimport calloc, free

from panelctl.modbus.codec import FLOATS

cdef extern from "Python.h":
    object PyBytes_FromStringAndSize(const char *data, Py_ssize_t size)
    char *PyBytes_AsString(object data)

cdef int WORDS = 0x10000


cdef class Words:
    """The registers of one table. Those that are not there cannot be read."""

    cdef unsigned short *_words
    cdef unsigned char *_there

    def __cinit__(self):
        self._words = <unsigned short *>calloc(WORDS, sizeof(unsigned short))
        self._there = <unsigned char *>calloc(WORDS, 1)
        if self._words == NULL or self._there == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self._words)
        free(self._there)

    def __setitem__(self, int address, int word):
        if not 0 <= address < WORDS:
            raise IndexError(f"register {address}")
        self._words[address] = <unsigned short>word
        self._there[address] = True

    def data(self, int address, int count):
        """`count` registers from `address` as they go over the wire; None when one is missing."""
        cdef int n
        cdef unsigned short word
        cdef bytes data
        cdef char *to
        if not 0 <= address <= address + count <= WORDS:
            return None
        data = PyBytes_FromStringAndSize(NULL, 2 * count)
        to = PyBytes_AsString(data)
        for n in range(count):
            if not self._there[address + n]:
                return None
            word = self._words[address + n]
            to[2 * n] = word >> 8
            to[2 * n + 1] = word & 0xFF
        return data


cdef union _Bits:
    double wide
    float narrow
    unsigned long long whole
    unsigned int half


cdef class Shown:
    """One point of a meter: what it shows, and the registers that it stands in."""

    cdef readonly object point
    cdef object _source
    cdef Words _words
    cdef double _renewed_s, _offset, _factor, _least, _most
    cdef int _address, _count, _float  # bytes of a floating point number, 0 for an integer
    cdef bint _noisy, _low_first
    cdef unsigned long long _none, _top

    def __init__(self, point, source, Words words):
        cdef int address, bits = 16 * point.count
        self.point = point
        self._source, self._words = source, words
        self._renewed_s = -1.0
        self._noisy = point.unit != "Wh"  # a counter only goes on
        self._low_first = point.low_first
        self._address, self._count = point.address, point.count
        self._offset, self._factor = float(point.offset), float(1 / point.scale)
        self._float = 2 * point.count if point.type in FLOATS else 0
        self._least, self._most = 0.0, 2.0**bits
        if point.type[0] == "i":
            self._least, self._most = -(2.0 ** (bits - 1)), 2.0 ** (bits - 1)
        self._top = int(self._most) - 1
        # What stands for no number: a quiet NaN, or what an integer has in its place.
        quiet = "7FC0" if self._float == 4 else "7FF8"
        none = quiet.ljust(4 * point.count, "0") if self._float else "8000" * point.count
        self._none = int(none, 16)
        for address in range(point.address, point.end):
            words[address] = 0  # checks the address too: `_put` does not

    def value(self):
        """What it would show now, in its unit."""
        return self._source()

    def put(self, double value, dice, double noise, spoil, bint swapped):
        """Show this value, with its meter's noise and faults. See Window.renew."""
        if self._noisy:
            value *= 1.0 + noise * (2.0 * <double>dice() - 1.0)
        if spoil is not None:
            value = spoil(self.point, value)
        self._put(value, swapped)

    cdef void _put(self, double value, bint swapped) noexcept:
        """Put a value (in the point's unit) into the registers; `swapped`: in the wrong order."""
        cdef unsigned long long raw
        cdef _Bits bits
        cdef double scaled
        cdef int n, at
        if not isfinite(value):
            raw = self._none
        else:
            scaled = (value - self._offset) * self._factor
            if self._float == 8:
                bits.wide = scaled
                raw = bits.whole
            elif self._float:
                bits.narrow = <float>scaled
                raw = bits.half
            else:
                scaled = floor(scaled + 0.5)
                if scaled >= self._most:
                    raw = self._top
                else:
                    scaled = max(scaled, self._least)
                    raw = <unsigned long long>scaled if scaled > 0 else <long long>scaled
        for n in range(self._count):
            at = n if self._low_first != swapped else self._count - 1 - n
            self._words._words[self._address + at] = raw & 0xFFFF
            raw >>= 16


cdef class Window:
    """What one read of a meter shows: `count` registers from `address`, and the points in them."""

    cdef Words _words
    cdef int _address, _count
    cdef list _shown

    def __init__(self, Words words, int address, int count, shown):
        self._words, self._address, self._count = words, address, count
        self._shown = list(shown)

    def renew(self, double time_s, double window_s, dice, double noise, spoil, bint swapped):
        """Take new values for points that are older than a window. `dice` draws from 0 to 1, for
        `noise` (of the value); `spoil`, where there is one, says what a point shows instead of its
        value; `swapped`: its words change places.
        """
        cdef Shown shown
        for shown in self._shown:
            if time_s - shown._renewed_s < window_s:
                continue
            shown._renewed_s = time_s
            shown.put(shown._source(), dice, noise, spoil, swapped)

    def data(self):
        """The registers as they go over the wire; None when one of them is not there."""
        return self._words.data(self._address, self._count)
