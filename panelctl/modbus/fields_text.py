"""A block of registers into the slots of an image: whole numbers of the unit a slot is named for.

Compiled (into _fields, with the types of ext/panelctl/modbus/_fields.pxd) because every reading
passes it. What a value is exactly is codec.py's, with fractions; here everything is worked out
beforehand, and what cannot be done in 64 bits is left to codec.py. A test holds the two against
each other.
"""

from array import array
from fractions import Fraction

from panelctl.modbus.codec import FLOATS, INNER, decode_value, raw_number
from panelctl.modbus.maps import Point
from panelctl.model.metering import Quality

GOOD = int(Quality.GOOD)
INVALID = int(Quality.INVALID)
IMPLAUSIBLE = int(Quality.IMPLAUSIBLE)
RAW_MOST = 1 << 32
MUL_MOST = 1 << 29  # times 32 bits: exact
FLOAT_MUL_MOST = 1 << 20  # and exact in a double, where it is a float's
ADD_MOST = 1 << 61
FLOAT_MOST = 1e9  # and so far from 64 bits
NO_SCALE = 0x8000  # what a power of ten is when there is none
NOTHING, FOUND, EXACTLY = 0, 1, 2
POWERS = [2.0 ** (exponent - 150) for exponent in range(256)]  # of a float's last place
TO_WHOLE = 1.5 * 2.0**52  # added and taken off again: rounds to nearest, halves to even


def narrow(raw: int) -> float:
    """The number whose 32 bits these are (IEEE 754); far beyond FLOAT_MOST for what is none."""
    exponent = raw >> 23 & 0xFF
    mantissa = raw & 0x7FFFFF
    if exponent == 0:
        exponent = 1
    else:
        mantissa |= 0x800000
    number = mantissa * POWERS[exponent]
    return -number if raw >> 31 else number


class Field:
    """One point of a block, and the slot that it fills: of the image, in the unit `inner`, when it
    lies in `least` to `most`. `scale_offset` is where its power of ten stands in the block, -1 for
    none. Raises ValueError when the point has no such unit.
    """

    def __init__(
        self,
        point: Point,
        offset: int,
        inner: str,
        slot: int = 0,
        least: int = -(1 << 62),
        most: int = 1 << 62,
        scale_offset: int = -1,
        inverted: bool = False,
    ) -> None:
        key = (point.unit, inner)
        if key not in INNER:
            raise ValueError(f"{point.name} is in {point.unit or 'no unit'}, not in {inner}")
        sign = -1 if inverted else 1
        factor = point.scale * INNER[key] * sign
        # What is added before the division rounds to nearest, and holds the map's own offset.
        add = round(point.offset * INNER[key] * sign * factor.denominator) + factor.denominator // 2
        self.slot = slot
        self._least = least
        self._most = most
        self._point = point
        self._inner = Fraction(INNER[key]) * sign
        self._offset = offset
        self._count = point.count
        self._scale_offset = scale_offset
        self.size = max(offset + point.count, scale_offset + 1)
        self._low_first = point.low_first
        self._signed = point.type.startswith("i")
        self._float = point.type in FLOATS
        self._invalid = point.invalid or None
        self._invalid_high = -1 if point.invalid_high is None else point.invalid_high
        self._numbers = factor.numerator, factor.denominator, add
        if self._float:
            small = factor.denominator == 1 and abs(factor.numerator) <= FLOAT_MUL_MOST
            plain = point.count <= 2 and not point.offset
        else:
            small = abs(factor.numerator) < MUL_MOST and factor.denominator < ADD_MOST
            plain = point.count <= 4 and abs(add) < ADD_MOST
        self._fast = small and plain and scale_offset < 0
        self._mul, self._div, self._add = self._numbers if self._fast else (0, 1, 0)

    def decode(self, words: list[int]) -> int | None:
        """The integer in the block's registers, or None where they mean "not available". Raises
        ValueError when the block is too short.
        """
        if len(words) < self.size:
            raise ValueError(f"{len(words)} registers of {self.size}")
        found, value = self.combine(words)
        if found == EXACTLY:
            return self.exact(words)
        return value if found else None

    def combine(self, words: list[int]) -> tuple[int, int]:
        """FOUND with the value, NOTHING, or EXACTLY for what cannot be done in 64 bits."""
        if not self._fast:
            return EXACTLY, 0
        raw = 0
        for n in range(self._count):
            if raw >= RAW_MOST:
                return EXACTLY, 0
            place = self._count - 1 - n if self._low_first else n
            raw = raw << 16 | words[self._offset + place]
        if raw >= RAW_MOST:
            return EXACTLY, 0
        if self._invalid is not None and raw in self._invalid:
            return NOTHING, 0
        if self._invalid_high >= 0 and raw >> (16 * self._count - 16) == self._invalid_high:
            return NOTHING, 0
        if self._float:
            number = narrow(raw)
            if not -FLOAT_MOST < number < FLOAT_MOST:
                return EXACTLY, 0
            number = number * self._mul + TO_WHOLE - TO_WHOLE
            return FOUND, int(number)
        if self._signed and raw >> (16 * self._count - 1):
            raw -= 2 * (raw >> (16 * self._count - 1) << (16 * self._count - 1))
        raw = raw * self._mul + self._add
        if raw >= 0:  # rounded down, where C would round towards 0
            return FOUND, raw // self._div
        return FOUND, -((self._div - 1 - raw) // self._div)

    def exact(self, words: list[int]) -> int | None:
        """The same, with fractions."""
        taken = words[self._offset : self._offset + self._count]
        if not self._float and self._scale_offset < 0:
            raw = raw_number(self._point, taken)
            mul, div, add = self._numbers
            return None if raw is None else int((raw * mul + add) // div)
        scale = None
        if self._scale_offset >= 0:
            scale = words[self._scale_offset]
            if scale == NO_SCALE:
                return None
            scale -= 0x10000 if scale & 0x8000 else 0
        value = decode_value(self._point, taken, scale)
        return None if value is None else round(value * self._inner)

    def judged(self, words: list[int]) -> tuple[int, int]:
        """The quality of the block's registers, and the value where that is GOOD."""
        found, value = self.combine(words)
        if found == EXACTLY:
            exact = self.exact(words)
            found = NOTHING if exact is None else FOUND
            if exact is not None:  # what does not fit into 64 bits lies beyond the bounds too
                value = max(self._least - 1, min(self._most + 1, exact))
        if not found:
            return INVALID, 0
        if self._least <= value <= self._most:
            return GOOD, value
        return IMPLAUSIBLE, 0


class Block:
    """The fields of one read, and the arrays (int64, of one length) of the image that they go into.
    Raises IndexError for a slot that they do not have.
    """

    def __init__(
        self,
        fields: list[Field],
        value: "array[int]",
        quality: "array[int]",
        sampled_ns: "array[int]",
    ) -> None:
        self._fields = fields
        self._size = max([field.size for field in fields], default=0)
        self._value = value
        self._quality = quality
        self._sampled_ns = sampled_ns
        for field in fields:
            if not 0 <= field.slot < len(value):
                raise IndexError(f"slot {field.slot} of {len(value)}")

    def store(self, words: list[int], sampled_ns: int) -> None:
        """Put the block's registers, which came at that time, into the image. What is no number, or
        none that a slot may hold, is marked and leaves the slot's last value. Raises ValueError,
        with nothing stored, when the block is too short.
        """
        if len(words) < self._size:
            raise ValueError(f"{len(words)} registers of {self._size}")
        for field in self._fields:
            quality, value = field.judged(words)
            if quality == GOOD:
                self._value[field.slot] = value
            self._quality[field.slot] = quality
            self._sampled_ns[field.slot] = sampled_ns
