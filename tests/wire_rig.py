"""What tests of the simulated wires share: devices that show where they were read, and frames."""

from __future__ import annotations

import struct

from panelctl.modbus.crc import rtu_bytes
from panelctl.model.panel import Device
from panelctl.sim.devices import SimDevice


class Numbered(SimDevice):
    """A device whose registers hold their own address, and `mark` in the high byte."""

    def __init__(self, unit: int, turnround_ms: float = 2.0, mark: int | None = None) -> None:
        self.device = Device(f"unit{unit}", "line", unit, "none", 100, turnround_ms, 1000)
        self.mark = unit if mark is None else mark
        self.written: list[tuple[int, list[int]]] = []

    def read(self, table: str, address: int, count: int, time_s: float) -> bytes:
        words = [self.mark << 8 | (address + n) & 0xFF for n in range(count)]
        return struct.pack(f">{count}H", *words)

    def write_registers(self, address: int, words: list[int]) -> None:
        self.written.append((address, words))


def read_pdu(address: int, count: int) -> bytes:
    """A read of holding registers."""
    return struct.pack(">BHH", 3, address, count)


def shown(mark: int, address: int, count: int) -> bytes:
    """The reply's PDU."""
    words = [mark << 8 | address + n for n in range(count)]
    return struct.pack(f">BB{count}H", 3, 2 * count, *words)


def mbap(number: int, unit: int, pdu: bytes) -> bytes:
    """A frame of Modbus TCP."""
    return struct.pack(">HHHB", number, 0, len(pdu) + 1, unit) + pdu


def rtu(unit: int, address: int, count: int) -> bytes:
    """A read on a line."""
    return rtu_bytes(unit, read_pdu(address, count))


def answered(unit: int, address: int, count: int, mark: int | None = None) -> bytes:
    """Its reply."""
    return rtu_bytes(unit, shown(unit if mark is None else mark, address, count))
