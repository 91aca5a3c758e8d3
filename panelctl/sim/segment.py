"""A simulated RS-485 segment: devices on a pair of wires, and how long everything takes on it.

A request takes the time of its characters, the device its turn-round, the reply its characters. A
request that begins before the line has been silent for 3.5 characters is counted: a real device may
answer it with errors. No input or output in here: line.py has a pty, serial_server.py a socket,
bus.py a virtual port. Every vice is off until somebody turns it on.
"""

from __future__ import annotations

from itertools import cycle
from typing import NamedTuple

from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU

from panelctl.modbus.crc import rtu_bytes
from panelctl.modbus.wire import Wire
from panelctl.model.panel import Link
from panelctl.sim.devices import SimDevice
from panelctl.sim.server import Fault, answered, struck_by
from panelctl.units import NS_PER_MS

NOISE = {"noise": b"\xff\x00\x7f", "header": b"\x01\x04\xf0"}
TOLERANCE = 0.98  # the two processes' clock readings differ by some microseconds
HISS = (0xFF, 0x00, 0xFE, 0x80, 0xFF, 0xF8, 0x00)  # what a line that nobody holds sounds like
STALE_NS = 50 * NS_PER_MS  # the beginning of a request that does not go on is forgotten
MOST_REQUEST = 256
MOST_KNOWN = 1024  # requests that are asked again and again


class Request(NamedTuple):
    """A request that was heard, its last character sent at `end_ns`."""

    unit: int
    device: SimDevice
    pdu: bytes
    end_ns: int


Reply = tuple[bytes, int, Fault | None]  # a frame, when it begins (ns), and what struck it


class Segment:
    """The line, with devices by unit id. Faults strike a unit's replies. And the line's own vices:

    - `echo`: the adapter hears itself: what is sent comes back, before any reply.
    - `needs_gap_ms`: so long after its own answer a unit hears no request.
    - `hiss_ms`: a byte of noise comes so often; see hiss().
    - `twins`: two devices with one unit id, which answer in turn.
    - `deaf_until_ns`, and `settle_s` after each opening: what is sent before is not heard.
    """

    def __init__(self, link: Link, units: dict[int, SimDevice]) -> None:
        self.units = units
        self.faults: dict[int, list[Fault]] = {unit: [] for unit in units}
        self.requests = 0
        self.violations = 0
        self.collisions = 0
        self.wire = Wire.rtu(link.baud, link.parity, link.stop_bits, link.silence_us)
        self._tolerated_ns = int((1 - TOLERANCE) * self.wire.silence_ns)
        self.quiet_ns = 0  # from here on the line has been silent for long enough
        self._turnround_ns = {
            unit: max(int(device.device.turnround_ms * NS_PER_MS), self.wire.silence_ns)
            for unit, device in units.items()
        }
        self._framer = FramerRTU(DecodePDU(True))
        self._input = b""
        self._known: dict[bytes, tuple[int, bytes]] = {}
        self._start_ns = 0
        self.echo = False
        self.needs_gap_ms: dict[int, float] = {}
        self.gap_broken = 0  # requests that were not heard for it
        self.hiss_ms = 0.0
        self.twins: dict[int, SimDevice] = {}
        self.deaf_until_ns = 0
        self.settle_s = 0.0
        self._ended_ns: dict[int, int] = {}  # the last answer of a unit that needs a gap
        self._drips_ns: dict[int, int] = {}  # until when a unit is busy with its own slow reply
        self._twins_turn: set[int] = set()
        self._noise = cycle(HISS)

    def hear(self, data: bytes, now_ns: int, answering: bool) -> Request | None:
        """Bytes of a request; `answering` while a device still talks."""
        char_ns = self.wire.char_ns
        if self._input and now_ns > self._start_ns + len(self._input) * char_ns + STALE_NS:
            self._input = b""
        if not self._input:
            self._start_ns = now_ns
            self.collisions += answering
            self.violations += now_ns < self.quiet_ns - self._tolerated_ns
        frame = self._input + data
        found = self._known.get(frame)
        if found is None:
            used, unit, _, pdu = self._framer.decode(frame)
            if not used and len(frame) < MOST_REQUEST:
                self._input = frame
                return None
            found = (unit, pdu)
            if len(self._known) < MOST_KNOWN:
                self._known[frame] = found
        unit, pdu = found
        end_ns = self._start_ns + len(frame) * char_ns
        self._input = b""
        self.quiet_ns = end_ns + self.wire.silence_ns
        self.requests += 1
        device = self.units.get(unit)
        if not pdu or device is None:
            return None
        if (self.needs_gap_ms or self._drips_ns) and self._deaf(unit):
            return None
        if self.twins:
            device = self._whose_turn(unit, device)
        return Request(unit, device, pdu, end_ns)

    def spoken(self, at_ns: int) -> None:
        """Somebody has spoken until then."""
        self.quiet_ns = at_ns + self.wire.silence_ns

    def reply(self, request: Request, time_s: float) -> Reply | None:
        """The reply's bytes, when the first of them is sent, and the fault; None for no reply."""
        unit = request.unit
        faults = self.faults[unit]
        struck = struck_by(faults, request.pdu) if faults else None
        if struck is not None and struck.kind == "dead":
            return None
        answer = answered(request.device, request.pdu, time_s, struck)
        start_ns = request.end_ns + self._turnround_ns[unit]
        if struck is None:
            frame = rtu_bytes(unit, answer)
        else:
            frame = _spoilt(request, answer, struck)
            start_ns += int(struck.delay_ms * NS_PER_MS)
        drips = struck is not None and struck.kind == "drip"
        if drips or self.needs_gap_ms:
            end_ns = self.pieces(frame, start_ns, len(frame), struck)[-1][1]
            self._ended_ns[unit] = end_ns
            if drips:
                self._drips_ns[unit] = end_ns
        return frame, start_ns, struck

    def pieces(
        self, frame: bytes, start_ns: int, size: int, struck: Fault | None
    ) -> list[tuple[bytes, int]]:
        """A reply in pieces of `size` characters, and when the last of each has come, ns."""
        char_ns, kind = self.wire.char_ns, struck.kind if struck else ""
        gap_ns = int(struck.ms * NS_PER_MS) if struck else 0
        if kind == "drip":
            first_ns, step_ns = start_ns + char_ns, max(gap_ns, char_ns)
            return [(frame[n : n + 1], first_ns + n * step_ns) for n in range(len(frame))]
        found = [
            (frame[n : n + size], start_ns + min(n + size, len(frame)) * char_ns)
            for n in range(0, len(frame), size)
        ]
        if kind == "repeat":
            again_ns = len(frame) * char_ns + gap_ns
            found += [(piece, at_ns + again_ns) for piece, at_ns in found]
        return found

    def noise(self) -> bytes:
        """The next byte of a line that hisses."""
        return bytes([next(self._noise)])

    def _deaf(self, unit: int) -> bool:
        """Whether the unit does not hear the request that began just now."""
        start_ns = self._start_ns
        if start_ns < self._drips_ns.get(unit, 0):
            return True
        self._drips_ns.pop(unit, None)
        gap_ns = self.needs_gap_ms.get(unit, 0.0) * NS_PER_MS
        if not 0 <= start_ns - self._ended_ns.get(unit, start_ns + 1) < gap_ns:
            return False
        self.gap_broken += 1
        return True

    def _whose_turn(self, unit: int, first: SimDevice) -> SimDevice:
        """Which of two devices with one unit id answers."""
        twin = self.twins.get(unit)
        if twin is None:
            return first
        self._twins_turn ^= {unit}
        return first if unit in self._twins_turn else twin


def _spoilt(request: Request, answer: bytes, struck: Fault) -> bytes:
    """The frame of an answer that a fault has struck."""
    unit, kind = request.unit, struck.kind
    frame = bytearray(rtu_bytes(unit % 247 + 1 if kind == "foreign" else unit, answer))
    if kind == "short":
        del frame[-3:]
    if kind == "half":
        del frame[len(frame) // 2 :]
    if kind == "garbled":
        frame[len(frame) // 2] ^= 0x55
    if kind == "duplicate":
        frame = frame * 2
    if kind == "echo":
        frame = bytearray(rtu_bytes(unit, request.pdu)) + frame
    if kind in NOISE:
        frame = bytearray(NOISE[kind]) + frame
    return bytes(frame)
