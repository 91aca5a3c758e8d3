"""How long a Modbus transaction holds the wire. Arithmetic only.

RTU (serial line guide V1.02): a request and its reply are each followed by a silence of 3.5
characters; above 19200 baud the guide recommends a fixed 1.75 ms, which a link may be told to keep.
"""

from __future__ import annotations

from dataclasses import dataclass

SILENT_CHARS = 3.5
READ_REQUEST_CHARS = 8  # unit, function, address, count, CRC
WRITE_CHARS = 8  # a single coil or register, request and reply alike
REPLY_OVERHEAD_CHARS = 5  # unit, function, byte count, CRC
TCP_ROUND_NS = 1_000_000  # a round trip on a wired home network, apart from the device's own time


@dataclass(frozen=True, slots=True)
class Wire:
    """The speed of a link. `char_ns` 0 is a network: only the device's own time counts."""

    char_ns: int
    silence_ns: int

    @classmethod
    def rtu(cls, baud: int, parity: str, stop_bits: int, silence_us: int | None = None) -> Wire:
        """A serial line; a character is a start bit, eight data bits, parity and stop bits."""
        bits = 1 + 8 + (parity != "N") + stop_bits
        char_ns = bits * 1_000_000_000 // baud
        silence = silence_us * 1000 if silence_us is not None else int(SILENT_CHARS * char_ns)
        return cls(char_ns, silence)

    @classmethod
    def tcp(cls) -> Wire:
        """A Modbus TCP connection."""
        return cls(0, 0)

    def reply_chars(self, table: str, count: int) -> int:
        """Characters in the reply to a read of `count` registers or bits."""
        data = 2 * count if table in ("holding", "input") else (count + 7) // 8
        return REPLY_OVERHEAD_CHARS + data

    def read_ns(self, table: str, count: int, turnround_ns: int) -> int:
        """One read, from the first bit of the request until the next request may start."""
        if self.char_ns == 0:
            return TCP_ROUND_NS + turnround_ns
        chars = READ_REQUEST_CHARS + self.reply_chars(table, count)
        return chars * self.char_ns + max(turnround_ns, self.silence_ns) + self.silence_ns

    def write_ns(self, turnround_ns: int, chars: int = 2 * WRITE_CHARS) -> int:
        """One write and its echo, until the next request may start."""
        if self.char_ns == 0:
            return TCP_ROUND_NS + turnround_ns
        return chars * self.char_ns + max(turnround_ns, self.silence_ns) + self.silence_ns
