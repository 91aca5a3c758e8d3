"""A simulated device's answer to a request PDU, and the faults that may spoil it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from pymodbus.pdu import DecodePDU, ExceptionResponse
from pymodbus.pdu.bit_message import WriteSingleCoilResponse
from pymodbus.pdu.register_message import (
    WriteMultipleRegistersResponse,
    WriteSingleRegisterResponse,
)

from panelctl.sim.devices import Refusal, SimDevice

TABLES = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}
READ_REQUEST = struct.Struct(">BHH")  # function, address, count
ONE_WORD = 6
WRITES_WORDS = (ONE_WORD, 16)
ILLEGAL_FUNCTION = 1
ACKNOWLEDGEMENT = 5  # so many bytes of a write's request are its reply
FAULT_KINDS = (
    "dead",  # no reply
    "late",  # the reply comes so many ms later
    "slower",  # each reply later than the one before, by so many ms
    "short",  # the reply ends early
    "garbled",  # a byte of it is another, so that its checksum is wrong
    "foreign",  # it comes from another unit, with a right checksum
    "half",  # only its first half comes
    "duplicate",  # it comes twice
    "repeat",  # it comes in time, and the very same bytes once more so many ms later
    "drip",  # it comes byte by byte, one each so many ms
    "echo",  # the request comes back before it, as from an adapter that hears itself
    "noise",  # bytes that mean nothing come before it
    "header",  # bytes that look like the beginning of a reply come before it
    "refuse",  # an exception reply with the fault's code: nothing is done
    "ignored",  # a write is acknowledged, and nothing is done
    "split",  # TCP: byte by byte, quickly
    "closed",  # TCP: the connection is ended in the place of a reply
)

_decoder = DecodePDU(True)


@dataclass(slots=True, eq=False)  # two faults that are alike are two: each is taken away by itself
class Fault:
    """A fault of one device's replies: its kind, for how many replies (-1: until taken away), by
    how many ms, and with which exception code.

    It may strike only each nth reply (`every`), only reads that begin at one address (`at`), or
    only writes (`writes`).
    """

    kind: str
    times: int
    ms: float = 0.0
    code: int = 4
    every: int = 1
    at: int = -1
    writes: bool = False
    struck: int = 0
    passed: int = 0  # replies that it let pass since it struck last

    def spend(self, address: int = -1) -> bool:
        """Whether it strikes this reply: to a read from there on, or to a write (-1)."""
        if self.times == 0 or (self.at >= 0 and address != self.at):
            return False
        if self.writes and address >= 0:
            return False
        if self.passed < self.every - 1:
            self.passed += 1
            return False
        self.passed = 0
        self.times -= self.times > 0
        self.struck += 1
        return True

    @property
    def delay_ms(self) -> float:
        """How much later than usual this reply comes."""
        by_kind = {"late": self.ms, "slower": self.ms * self.struck}
        return by_kind.get(self.kind, 0.0)


def struck_by(faults: list[Fault], pdu: bytes = b"") -> Fault | None:
    """The fault that strikes the reply to this request, if one does."""
    address = -1
    if len(pdu) == READ_REQUEST.size and pdu[0] in TABLES:
        address = pdu[1] << 8 | pdu[2]
    for fault in faults:
        if fault.spend(address):
            return fault
    return None


def answered(device: SimDevice, pdu: bytes, time_s: float, struck: Fault | None) -> bytes:
    """The reply's PDU, of a device that may refuse: what it refuses it does not do."""
    if struck is not None and struck.kind == "refuse":
        return refusal(pdu, struck.code)
    if struck is not None and struck.kind == "ignored" and pdu[0] not in TABLES:
        return pdu[:ACKNOWLEDGEMENT]
    return answer_pdu(device, pdu, time_s)


def refusal(pdu: bytes, code: int) -> bytes:
    """The exception reply to a request."""
    return bytes([pdu[0] | 0x80, code])


def answer_pdu(device: SimDevice, pdu: bytes, time_s: float) -> bytes:
    """The reply's PDU."""
    function = pdu[0]
    if function in TABLES and len(pdu) == READ_REQUEST.size:
        return _answer_read(device, pdu, time_s)
    device.writes += 1
    request: Any = _decoder.decode(pdu)
    reply: Any
    try:
        if request is None:
            raise Refusal(ILLEGAL_FUNCTION)
        if function == 5:
            device.write_coil(request.address, bool(request.bits[0]))
            reply = WriteSingleCoilResponse(address=request.address, bits=request.bits)
        elif function in WRITES_WORDS and function == device.written_by(request.address):
            words = list(request.registers)
            device.write_registers(request.address, words)
            if function == ONE_WORD:
                reply = WriteSingleRegisterResponse(address=request.address, registers=words)
            else:
                reply = WriteMultipleRegistersResponse(address=request.address, count=len(words))
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
