"""A simulated device's answer to a request PDU, and the faults that may spoil it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, NamedTuple

from pymodbus.pdu import DecodePDU, ExceptionResponse
from pymodbus.pdu.bit_message import WriteSingleCoilResponse
from pymodbus.pdu.register_message import WriteMultipleRegistersResponse

from panelctl.sim.devices import Refusal, SimDevice
from panelctl.units import NS_PER_MS

TABLES = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}
READ_REQUEST = struct.Struct(">BHH")  # function, address, count
ILLEGAL_FUNCTION = 1
FAULT_KINDS = (
    "dead",  # no reply
    "late",  # the reply comes so many ms later
    "slower",  # each reply later than the one before, by so many ms
    "short",  # the reply ends early
    "garbled",  # a byte of it is another, so that its checksum is wrong
    "foreign",  # it comes from another unit, with a right checksum
    "duplicate",  # it comes twice
    "echo",  # the request comes back before it, as from an adapter that hears itself
    "noise",  # bytes that mean nothing come before it
    "header",  # bytes that look like the beginning of a reply come before it
    "refuse",  # an exception reply with the fault's code
    "split",  # TCP: byte by byte
    "closed",  # TCP: the connection is ended in the place of a reply
)

_decoder = DecodePDU(True)


@dataclass(slots=True, eq=False)  # two faults that are alike are two: each is taken away by itself
class Fault:
    """A fault of one device's replies: its kind, for how many replies (-1: until taken away), by
    how many ms, and with which exception code.
    """

    kind: str
    times: int
    ms: float = 0.0
    code: int = 4
    struck: int = 0

    def take(self) -> bool:
        """Whether it strikes this reply."""
        if self.times == 0:
            return False
        self.times -= self.times > 0
        self.struck += 1
        return True

    @property
    def delay_ms(self) -> float:
        """How much later than usual this reply comes."""
        by_kind = {"late": self.ms, "slower": self.ms * self.struck}
        return by_kind.get(self.kind, 0.0)


def struck_by(faults: list[Fault]) -> Fault | None:
    """The fault that strikes this reply, if one does."""
    for fault in faults:
        if fault.take():
            return fault
    return None


def refusal(pdu: bytes, code: int) -> bytes:
    """The exception reply to a request."""
    return bytes([pdu[0] | 0x80, code])


def answer_pdu(device: SimDevice, pdu: bytes, time_s: float) -> bytes:
    """The reply's PDU."""
    function = pdu[0]
    if function in TABLES and len(pdu) == READ_REQUEST.size:
        return _answer_read(device, pdu, time_s)
    request: Any = _decoder.decode(pdu)
    reply: Any
    try:
        if request is None:
            raise Refusal(ILLEGAL_FUNCTION)
        if function == 5:
            device.write_coil(request.address, bool(request.bits[0]))
            reply = WriteSingleCoilResponse(address=request.address, bits=request.bits)
        elif function == 16:
            device.write_registers(request.address, list(request.registers))
            reply = WriteMultipleRegistersResponse(
                address=request.address, count=len(request.registers)
            )
        else:
            raise Refusal(ILLEGAL_FUNCTION)
    except Refusal as refusal:
        reply = ExceptionResponse(function, refusal.code)
    return bytes([reply.function_code]) + bytes(reply.encode())


def _answer_read(device: SimDevice, pdu: bytes, time_s: float) -> bytes:
    """Most of what is asked. Written out, since it is most of what a long simulation does."""
    function, address, count = READ_REQUEST.unpack(pdu)
    try:
        data = device.read(TABLES[function], address, count, time_s)
    except Refusal as refusal:
        return bytes((function | 0x80, refusal.code))
    return bytes((function, len(data))) + data


class TcpReply(NamedTuple):
    """A reply's bytes, when they are sent (ns after the request came), and how (a fault's kind)."""

    frame: bytes
    wait_ns: int
    kind: str


class Gateway:
    """What answers on a TCP connection: devices by unit id, each with its faults. No sockets."""

    def __init__(self, units: dict[int, SimDevice]) -> None:
        self.units = units
        self.faults: dict[int, list[Fault]] = {unit: [] for unit in units}
        self.requests = 0

    def reply(self, header: bytes, pdu: bytes, time_s: float) -> TcpReply | None:
        """The reply to a request, None for no reply."""
        self.requests += 1
        unit = header[6]
        device = self.units.get(unit)
        if device is None:
            return None
        struck = struck_by(self.faults[unit])
        kind = struck.kind if struck else ""
        if kind == "dead":
            return None
        answer = answer_pdu(device, pdu, time_s)
        if kind == "refuse":
            assert struck is not None
            answer = refusal(pdu, struck.code)
        wait_ms = device.device.turnround_ms
        if struck is not None:
            wait_ms += struck.delay_ms
        length = (len(answer) + 1).to_bytes(2, "big")
        sender = unit % 247 + 1 if kind == "foreign" else unit
        frame = header[:4] + length + bytes([sender]) + answer
        if kind == "short":
            frame = frame[:-2]
        if kind == "garbled":
            frame = bytes([frame[0] ^ 0x55]) + frame[1:]  # another transaction's number
        if kind == "noise":
            frame = b"\xff\x00\x7f" + frame
        if kind == "duplicate":
            frame *= 2
        return TcpReply(frame, int(wait_ms * NS_PER_MS), kind)
