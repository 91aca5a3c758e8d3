"""A simulated device's answer to a request PDU, and the faults that may spoil it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pymodbus.pdu import DecodePDU, ExceptionResponse
from pymodbus.pdu.bit_message import (
    ReadCoilsResponse,
    ReadDiscreteInputsResponse,
    WriteSingleCoilResponse,
)
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersResponse,
    ReadInputRegistersResponse,
    WriteMultipleRegistersResponse,
)

from panelctl.sim.devices import Refusal, SimDevice

READS: dict[int, tuple[str, Any]] = {
    1: ("coil", ReadCoilsResponse),
    2: ("discrete", ReadDiscreteInputsResponse),
    3: ("holding", ReadHoldingRegistersResponse),
    4: ("input", ReadInputRegistersResponse),
}
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


@dataclass(slots=True)
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


def refusal(pdu: bytes, code: int) -> bytes:
    """The exception reply to a request."""
    return bytes([pdu[0] | 0x80, code])


def answer_pdu(device: SimDevice, pdu: bytes, time_s: float) -> bytes:
    """The reply's PDU."""
    request: Any = _decoder.decode(pdu)
    function = pdu[0]
    try:
        if request is None:
            raise Refusal(ILLEGAL_FUNCTION)
        if function in READS:
            table, response = READS[function]
            values = device.read(table, request.address, request.count, time_s)
            if table in ("coil", "discrete"):
                reply = response(bits=[bool(value) for value in values])
            else:
                reply = response(registers=values)
        elif function == 5:
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
