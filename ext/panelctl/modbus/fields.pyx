"""A block of registers into the slots of an image: whole numbers of the unit a slot is named for.

Compiled because every reading passes it. What a value is exactly is codec.py's, with fractions; here
everything is worked out beforehand, and what cannot be done in 64 bits is left to codec.py. A test
holds the two against each other.
"""

from libc.math cimport rint

from fractions import Fraction

from panelctl.modbus.codec import FLOATS, INNER, decode_value, raw_number
from panelctl.model.metering import Quality

ctypedef long long i64

cdef int GOOD = Quality.GOOD
cdef int INVALID = Quality.INVALID
cdef int IMPLAUSIBLE = Quality.IMPLAUSIBLE
cdef i64 RAW_MOST = 1 << 32
cdef i64 MUL_MOST = 1 << 29  # times 32 bits: exact, in a double too where they are a float's
cdef i64 ADD_MOST = 1 << 61
cdef double FLOAT_MOST = 1e9  # and so far from 64 bits
cdef int NO_SCALE = 0x8000  # what a power of ten is when there is none
cdef enum:
    NOTHING, FOUND, EXACTLY


cdef union _Bits:
    float narrow
    unsigned int whole


cdef class Field:
    """One point of a block, and the slot that it fills: of the image, in the unit `inner`, when it
    lies in `least` to `most`. `scale_offset` is where its power of ten stands in the block, -1 for
    none. Raises ValueError when the point has no such unit.
    """

    cdef readonly int slot
    cdef object _point, _inner, _invalid
    cdef tuple _numbers  # what a raw integer is multiplied with and divided by, and what is added
    cdef int _offset, _count, _scale_offset, _size
    cdef i64 _least, _most, _mul, _div, _add
    cdef long _invalid_high
    cdef bint _low_first, _signed, _float, _fast

    def __init__(
        self,
        point,
        int offset,
        str inner,
        int slot=0,
        i64 least=-(1 << 62),
        i64 most=1 << 62,
        int scale_offset=-1,
        bint inverted=False,
    ):
        key = (point.unit, inner)
        if key not in INNER:
            raise ValueError(f"{point.name} is in {point.unit or 'no unit'}, not in {inner}")
        sign = -1 if inverted else 1
        factor = point.scale * INNER[key] * sign
        # What is added before the division rounds to nearest, and holds the map's own offset.
        add = round(point.offset * INNER[key] * sign * factor.denominator) + factor.denominator // 2
        self.slot, self._least, self._most = slot, least, most
        self._point, self._inner = point, Fraction(INNER[key]) * sign
        self._offset, self._count, self._scale_offset = offset, point.count, scale_offset
        self._size = max(offset + point.count, scale_offset + 1)
        self._low_first, self._signed = point.low_first, point.type.startswith("i")
        self._float = point.type in FLOATS
        self._invalid = point.invalid or None
        self._invalid_high = -1 if point.invalid_high is None else point.invalid_high
        plain = not point.offset and factor.denominator == 1 if self._float else abs(add) < ADD_MOST
        small = abs(factor.numerator) < MUL_MOST and factor.denominator < ADD_MOST
        self._fast = point.count <= (2 if self._float else 4) and scale_offset < 0 and plain and small
        self._numbers = factor.numerator, factor.denominator, add
        if self._fast:
            self._mul, self._div, self._add = self._numbers

    def decode(self, list words):
        """The integer in the block's registers, or None where they mean "not available". Raises
        ValueError when the block is too short.
        """
        cdef i64 value = 0
        if len(words) < self._size:
            raise ValueError(f"{len(words)} registers of {self._size}")
        found = self._take(words, &value)
        if found == EXACTLY:
            return self._exact(words)
        return value if found else None

    cdef int _take(self, list words, i64 *value) except -1:
        """NOTHING, FOUND, or EXACTLY for what cannot be done in 64 bits."""
        cdef i64 raw = 0
        cdef int n, count = self._count
        cdef _Bits bits
        if not self._fast:
            return EXACTLY
        for n in range(count):
            if raw >= RAW_MOST:
                return EXACTLY
            raw = raw << 16 | <i64>words[self._offset + (count - 1 - n if self._low_first else n)]
        if raw >= RAW_MOST:
            return EXACTLY
        if self._invalid is not None and raw in self._invalid:
            return NOTHING
        if self._invalid_high >= 0 and raw >> (16 * count - 16) == self._invalid_high:
            return NOTHING
        if self._float:
            bits.whole = <unsigned int>raw
            if not -FLOAT_MOST < bits.narrow < FLOAT_MOST:
                return EXACTLY
            value[0] = <i64>rint(<double>bits.narrow * self._mul)
            return FOUND
        if self._signed and raw >> (16 * count - 1):
            raw -= <i64>1 << (16 * count)
        raw = raw * self._mul + self._add
        value[0] = raw // self._div if raw >= 0 else -((self._div - 1 - raw) // self._div)
        return FOUND

    cdef object _exact(self, list words):
        scale = None
        taken = words[self._offset : self._offset + self._count]
        if not self._float and self._scale_offset < 0:
            raw = raw_number(self._point, taken)
            mul, div, add = self._numbers
            return None if raw is None else (raw * mul + add) // div
        if self._scale_offset >= 0:
            scale = words[self._scale_offset]
            if scale == NO_SCALE:
                return None
            scale -= 0x10000 if scale & 0x8000 else 0
        value = decode_value(self._point, taken, scale)
        return None if value is None else round(value * self._inner)


cdef class Block:
    """The fields of one read, and the arrays (int64, of one length) of the image that they go into.
    Raises IndexError for a slot that they do not have.
    """

    cdef list _fields
    cdef int _size
    cdef i64[::1] _value, _quality, _sampled_ns

    def __init__(self, list fields, value, quality, sampled_ns):
        self._fields = fields
        self._size = max([(<Field>field)._size for field in fields], default=0)
        self._value, self._quality, self._sampled_ns = value, quality, sampled_ns
        for field in fields:
            if not 0 <= field.slot < len(value):
                raise IndexError(f"slot {field.slot} of {len(value)}")

    def store(self, list words, i64 sampled_ns):
        """Put the block's registers, which came at that time, into the image. What is no number, or
        none that a slot may hold, is marked and leaves the slot's last value. Raises ValueError, with
        nothing stored, when the block is too short.
        """
        cdef Field field
        cdef i64 value
        cdef int found
        if len(words) < self._size:
            raise ValueError(f"{len(words)} registers of {self._size}")
        for field in self._fields:
            value = 0
            found = field._take(words, &value)
            if found == EXACTLY:
                exact = field._exact(words)
                found = NOTHING if exact is None else FOUND
                if found:  # what does not fit into 64 bits lies beyond the slot's least or most too
                    value = max(field._least - 1, min(field._most + 1, exact))
            if not found:
                self._quality[field.slot] = INVALID
            elif field._least <= value <= field._most:
                self._value[field.slot] = value
                self._quality[field.slot] = GOOD
            else:
                self._quality[field.slot] = IMPLAUSIBLE
            self._sampled_ns[field.slot] = sampled_ns
