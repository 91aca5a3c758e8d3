"""A relay board of a server that nobody here wrote: `python -m tests.contract.foreign.board SERVER
PLACE KIND`. SERVER is pymodbus or modbus_tk, PLACE a port (0: any) or the path of a line, KIND is
coils or words. Says where it is, then does what it reads: `refuse CODE`, `ignore`, `delay SECONDS`,
`obey`; `show` says its outputs, on or off. It starts with all of them on.
"""

from __future__ import annotations

import asyncio
import json
import struct
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from tests.contract.foreign.serve import LOOPBACK, ready

UNIT = 31
OUTPUTS = 8
WORDS_AT = 1  # where a board that is told by words has its registers: 1 is on, 2 is off
ON, OFF = 1, 2


@dataclass
class Vices:
    """What it does wrong now."""

    refuse: int = 0
    ignore: bool = False
    delay: float = 0.0

    def listen(self, show: Callable[[], list[bool]]) -> None:
        """Do what is asked for, until nobody asks any more."""
        for line in sys.stdin:
            verb, _, number = line.strip().partition(" ")
            if verb == "show":
                ready(json.dumps(show()))
                continue
            for each in fields(self):
                setattr(self, each.name, each.default)
            if verb == "refuse":
                self.refuse = int(number)
            elif verb == "ignore":
                self.ignore = True
            elif verb == "delay":
                self.delay = float(number)
            ready("done")


async def pymodbus(place: str, words: bool, vices: Vices) -> None:
    from pymodbus.constants import ExcCodes
    from pymodbus.server import ModbusSerialServer, ModbusTcpServer
    from pymodbus.simulator import DataType, SimData, SimDevice

    outputs = [True] * OUTPUTS

    async def asked(
        function: int, start: int, at: int, count: int, held: list[int], new: Any
    ) -> ExcCodes | None:
        if new is None:
            if function not in (5, 6):  # else it is what is acknowledged
                show(held)
            return None
        await asyncio.sleep(vices.delay)
        if vices.refuse:
            return ExcCodes(vices.refuse)
        if not vices.ignore:
            outputs[at - WORDS_AT if words else at] = new[0] == ON if words else bool(new[0])
        return None

    def show(held: list[int]) -> None:
        if words:
            held[:] = [int(on) for on in outputs]
        else:
            held[0] = sum(on << n for n, on in enumerate(outputs))

    bits = [SimData(0, values=[True] * 16, datatype=DataType.BITS)]
    registers = [
        SimData(WORDS_AT + n, values=1, datatype=DataType.REGISTERS) for n in range(OUTPUTS)
    ]
    device = SimDevice(
        UNIT, simdata=(bits, bits, registers, registers), action=asked, use_bit_addressing=True
    )
    server: Any
    if place.isdigit():
        server = ModbusTcpServer(device, address=(LOOPBACK, int(place)))
    else:
        server = ModbusSerialServer(device, port=place, baudrate=115200)
    await server.serve_forever(background=True)
    if place.isdigit():
        place = server.transport.sockets[0].getsockname()[1]
    ready(place)
    await asyncio.to_thread(vices.listen, lambda: list(outputs))
    await server.shutdown()


def modbus_tk(place: str, words: bool, vices: Vices) -> None:
    import serial
    from modbus_tk import defines, modbus_rtu, modbus_tcp
    from modbus_tk.exceptions import ModbusError

    server: Any
    if place.isdigit():
        server = modbus_tcp.TcpServer(port=int(place), address=LOOPBACK)
    else:
        server = modbus_rtu.RtuServer(serial.Serial(place, 115200, timeout=0))
    slave = server.add_slave(UNIT)
    slave.add_block("outputs", defines.HOLDING_REGISTERS if words else defines.COILS,
                    WORDS_AT if words else 0, OUTPUTS)  # fmt: skip

    slave.set_values("outputs", WORDS_AT if words else 0, [1] * OUTPUTS)

    def asked(request: bytes) -> bytes:
        # Waits for nothing: answering late is the vice that is tried, in the server's own thread.
        time.sleep(vices.delay)  # 0 but for the tests of late answers
        if vices.refuse:
            raise ModbusError(vices.refuse)
        at, value = struct.unpack(">HH", request[1:5])
        if not vices.ignore:
            slave.set_values("outputs", at, [int(value == ON if words else value == 0xFF00)])
        return request[1:]

    slave._fn_code_map[6 if words else 5] = asked
    server.start()
    if place.isdigit():
        while server._sock is None or not server._sock.getsockname()[1]:
            threading.Event().wait(0.01)  # its thread makes it
        place = server._sock.getsockname()[1]
    ready(place)
    first = WORDS_AT if words else 0
    vices.listen(lambda: [bool(on) for on in slave.get_values("outputs", first, OUTPUTS)])
    server.stop()


if __name__ == "__main__":
    name, where, kind = sys.argv[1:]
    if name == "pymodbus":
        asyncio.run(pymodbus(where, kind == "words", Vices()))
    else:
        modbus_tk(where, kind == "words", Vices())
