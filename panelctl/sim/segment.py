"""A simulated RS-485 segment: devices on a pair of wires, and how long everything takes on it.

A request takes the time of its characters, the device its turn-round, the reply its characters. A
request that begins before the line has been silent for 3.5 characters is counted: a real device may
answer it with errors. No input or output in here: line.py has a pty, bus.py a virtual port.
"""

from __future__ import annotations

from typing import NamedTuple

from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU

from panelctl.modbus.crc import rtu_bytes
from panelctl.modbus.wire import Wire
from panelctl.model.panel import Link
from panelctl.sim.devices import SimDevice
from panelctl.sim.server import Fault, answer_pdu, refusal, struck_by
from panelctl.units import NS_PER_MS

NOISE = {"noise": b"\xff\x00\x7f", "header": b"\x01\x04\xf0"}
TOLERANCE = 0.98  # the two processes' clock readings differ by some microseconds
MOST_REQUEST = 256
MOST_KNOWN = 1024  # requests that are asked again and again


class Request(NamedTuple):
    """A request that was heard, its last character sent at `end_ns`."""

    unit: int
    device: SimDevice
    pdu: bytes
    end_ns: int


class Segment:
    """The line, with devices by unit id. Faults strike a unit's replies."""

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

    def hear(self, data: bytes, now_ns: int, answering: bool) -> Request | None:
        """Bytes of a request; `answering` while a device still talks."""
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
        end_ns = self._start_ns + len(frame) * self.wire.char_ns
        self._input = b""
        self.quiet_ns = end_ns + self.wire.silence_ns
        self.requests += 1
        device = self.units.get(unit)
        return Request(unit, device, pdu, end_ns) if pdu and device is not None else None

    def spoken(self, at_ns: int) -> None:
        """Somebody has spoken until then."""
        self.quiet_ns = at_ns + self.wire.silence_ns

    def reply(self, request: Request, time_s: float) -> tuple[bytes, int] | None:
        """The reply's bytes and when the first of them is sent, ns; None for no reply."""
        faults = self.faults[request.unit]
        struck = struck_by(faults) if faults else None
        if struck is not None and struck.kind == "dead":
            return None
        answer = answer_pdu(request.device, request.pdu, time_s)
        start_ns = request.end_ns + self._turnround_ns[request.unit]
        if struck is None:
            return rtu_bytes(request.unit, answer), start_ns
        return _spoilt(request, answer, struck), start_ns + int(struck.delay_ms * NS_PER_MS)


def _spoilt(request: Request, answer: bytes, struck: Fault) -> bytes:
    """The frame of an answer that a fault has struck."""
    unit, kind = request.unit, struck.kind
    if kind == "refuse":
        answer = refusal(request.pdu, struck.code)
    frame = bytearray(rtu_bytes(unit % 247 + 1 if kind == "foreign" else unit, answer))
    if kind == "short":
        del frame[-3:]
    if kind == "garbled":
        frame[len(frame) // 2] ^= 0x55
    if kind == "duplicate":
        frame = frame * 2
    if kind == "echo":
        frame = bytearray(rtu_bytes(unit, request.pdu)) + frame
    if kind in NOISE:
        frame = bytearray(NOISE[kind]) + frame
    return bytes(frame)
