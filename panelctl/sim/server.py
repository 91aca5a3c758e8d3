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
FAULT_KINDS = ("dead", "late", "short", "garbled", "foreign", "duplicate", "refuse")

_decoder = DecodePDU(True)


@dataclass(slots=True)
class Fault:
    """A fault of one device's replies: its kind, for how many replies, and by how many ms."""

    kind: str
    times: int
    ms: float = 0.0

    def take(self) -> bool:
        """Whether it strikes this reply."""
        if self.times == 0:
            return False
        self.times -= self.times > 0
        return True


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
