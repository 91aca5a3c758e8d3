"""One foreign Modbus server with the units of values.py: `python -m tests.contract.foreign.serve
NAME [PORT]`. Prints its port, or the path of its pty; ends when its input does.
"""

from __future__ import annotations

import asyncio
import os
import socketserver
import sys
import threading
import tty
from collections.abc import Callable
from typing import Any

from tests.contract.foreign.values import UNITS, registers

TABLES = {"input": 4, "holding": 3}
LOOPBACK = "127.0.0.1"


def ready(where: object) -> None:
    """Say where it is."""
    print(where, flush=True)


def wait_for_end() -> None:
    """Until whoever started it is done."""
    sys.stdin.read()


def line() -> tuple[str, str]:
    """Two ports with a wire between them."""
    masters, paths = [], []
    for _ in range(2):
        master, port = os.openpty()
        tty.setraw(master)
        tty.setraw(port)
        masters.append(master)
        paths.append(os.ttyname(port))

    def carry(here: int, there: int) -> None:
        while True:
            os.write(there, os.read(here, 1024))

    for here, there in (masters, masters[::-1]):
        threading.Thread(target=carry, args=(here, there), daemon=True).start()
    return paths[0], paths[1]


def pymodbus_units() -> Any:
    from pymodbus.simulator import DataType, SimData, SimDevice

    devices = []
    for unit in UNITS:
        blocks: dict[str, list[Any]] = {"input": [], "holding": []}
        for (table, address), word in sorted(registers(unit).items()):
            blocks[table].append(SimData(address, values=word, datatype=DataType.REGISTERS))
        holding = blocks["holding"] or [SimData(0, values=0, datatype=DataType.REGISTERS)]
        bits = [SimData(0, values=False, datatype=DataType.BITS)]
        devices.append(SimDevice(unit, simdata=(bits, bits, holding, blocks["input"])))
    return devices


def pymodbus_tcp(port: int) -> None:
    from pymodbus.server import ModbusTcpServer

    async def main() -> None:
        server: Any = ModbusTcpServer(pymodbus_units(), address=(LOOPBACK, port))
        await server.serve_forever(background=True)
        ready(server.transport.sockets[0].getsockname()[1])
        await asyncio.to_thread(wait_for_end)
        await server.shutdown()

    asyncio.run(main())


def pymodbus_rtu(port: int) -> None:
    from pymodbus.server import ModbusSerialServer

    async def main() -> None:
        theirs, ours = line()
        server: Any = ModbusSerialServer(pymodbus_units(), port=theirs, baudrate=115200)
        await server.serve_forever(background=True)
        ready(ours)
        await asyncio.to_thread(wait_for_end)
        await server.shutdown()

    asyncio.run(main())


def modbus_tk_tcp(port: int) -> None:
    from modbus_tk import modbus_tcp

    server = modbus_tcp.TcpServer(port=port, address=LOOPBACK)
    add_units(server)
    server.start()
    while server._sock is None or not server._sock.getsockname()[1]:
        threading.Event().wait(0.01)  # its thread makes it
    ready(server._sock.getsockname()[1])
    wait_for_end()
    server.stop()


def add_units(server: Any) -> None:
    """A slave a unit; neighbouring registers in one block, since it reads no further than one."""
    for unit in UNITS:
        slave = server.add_slave(unit)
        runs: list[tuple[str, int, list[int]]] = []
        for (table, address), word in sorted(registers(unit).items()):
            if runs and runs[-1][0] == table and runs[-1][1] + len(runs[-1][2]) == address:
                runs[-1][2].append(word)
            else:
                runs.append((table, address, [word]))
        for table, address, words in runs:
            name = f"{table}{address}"
            slave.add_block(name, TABLES[table], address, len(words))
            slave.set_values(name, address, words)


def modbus_tk_rtu(port: int) -> None:
    import serial
    from modbus_tk import modbus_rtu

    theirs, ours = line()
    server = modbus_rtu.RtuServer(serial.Serial(theirs, 115200, timeout=0))
    add_units(server)
    server.start()
    ready(ours)
    wait_for_end()
    server.stop()


def umodbus_tcp(port: int) -> None:
    from umodbus import conf
    from umodbus.server.tcp import RequestHandler, get_server

    conf.SIGNED_VALUES = False

    class Threading(socketserver.ThreadingTCPServer):
        allow_reuse_address = True  # else its port is not free for a minute after it was killed

    server: Any = get_server(Threading, (LOOPBACK, port), RequestHandler)
    server.daemon_threads = True
    held = {unit: registers(unit) for unit in UNITS}
    for table, function in TABLES.items():

        def read(slave_id: int, function_code: int, address: int, table: str = table) -> int:
            return held[slave_id][table, address]

        for unit, words in held.items():
            addresses = [address for kind, address in words if kind == table]
            server.route(slave_ids=[unit], function_codes=[function], addresses=addresses)(read)

    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    ready(server.server_address[1])
    wait_for_end()
    server.shutdown()


SERVERS: dict[str, Callable[[int], None]] = {
    "pymodbus": pymodbus_tcp,
    "pymodbus_rtu": pymodbus_rtu,
    "modbus_tk": modbus_tk_tcp,
    "modbus_tk_rtu": modbus_tk_rtu,
    "umodbus": umodbus_tcp,
}

if __name__ == "__main__":
    SERVERS[sys.argv[1]](int(sys.argv[2]) if len(sys.argv) > 2 else 0)
