"""Other Modbus clients, asked to do what ours does on the same wire. Each gives a Run."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import minimalmodbus
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient, ModbusSerialClient
from pymodbus.exceptions import ModbusException

ADDRESSES = (0, 50)
TMODBUS = Path("build/bench/tmodbus")  # an environment of its own

logging.getLogger("pymodbus").setLevel(logging.CRITICAL + 1)  # it tells of every lost reply


@dataclass(slots=True)
class Run:
    """Questions that were answered, answers that belong to another question, and none at all."""

    asked: int = 0
    wrong: int = 0
    failed: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0

    @property
    def cpu_us(self) -> float:
        """CPU time of a transaction, us."""
        return self.cpu_s / max(self.asked, 1) * 1e6

    def note(self, value: int, expected: int) -> None:
        """An answer."""
        self.asked += 1
        self.wrong += value != expected


def _timed(run: Run, ask: Callable[[int], int | None], seconds: float, polls: int = 0) -> Run:
    """Ask for the two addresses in turn, for so long or so often."""
    begin_s, cpu_s, n = time.monotonic(), time.process_time(), 0
    while n < polls if polls else time.monotonic() - begin_s < seconds:
        address = ADDRESSES[n % 2]
        n += 1
        value = ask(address)
        if value is None:
            run.failed += 1
        else:
            run.note(value, address)
    run.seconds, run.cpu_s = time.monotonic() - begin_s, time.process_time() - cpu_s
    return run


def _pymodbus_sync(path: str, baud: int, count: int, seconds: float, polls: int = 0) -> Run:
    timeout_s = seconds if polls else 0.5
    client = ModbusSerialClient(path, baudrate=baud, stopbits=2, timeout=timeout_s, retries=0)
    client.connect()

    def ask(address: int) -> int | None:
        try:
            reply = client.read_input_registers(address, count=count, device_id=1)
        except ModbusException:
            return None
        return None if reply.isError() else int(reply.registers[0])

    try:
        return _timed(Run(), ask, seconds, polls)
    finally:
        client.close()


def _pymodbus_async(path: str, baud: int, count: int, seconds: float, polls: int = 0) -> Run:
    async def main() -> Run:
        timeout_s = seconds if polls else 0.5
        client = AsyncModbusSerialClient(
            path, baudrate=baud, stopbits=2, timeout=timeout_s, retries=0
        )
        await client.connect()
        run, n = Run(), 0
        begin_s, cpu_s = time.monotonic(), time.process_time()
        while n < polls if polls else time.monotonic() - begin_s < seconds:
            address = ADDRESSES[n % 2]
            n += 1
            try:
                reply = await client.read_input_registers(address, count=count, device_id=1)
            except ModbusException:
                run.failed += 1
                if not client.connected:
                    await client.connect()
                continue
            run.note(int(reply.registers[0]), address)
        run.seconds, run.cpu_s = time.monotonic() - begin_s, time.process_time() - cpu_s
        client.close()
        return run

    return asyncio.run(main())


def _minimalmodbus(path: str, baud: int, count: int, seconds: float, polls: int = 0) -> Run:
    device: Any = minimalmodbus.Instrument(path, 1)
    device.serial.baudrate, device.serial.stopbits = baud, 2
    device.serial.timeout = seconds if polls else 0.5

    def ask(address: int) -> int | None:
        try:
            return int(device.read_registers(address, count, 4)[0])
        except (OSError, ValueError):
            return None

    try:
        return _timed(Run(), ask, seconds, polls)
    finally:
        device.serial.close()


def _runs(python: str) -> bool:
    """Whether it is a Python, and not a version manager's stand-in that ends with an error."""
    return subprocess.run([python, "-V"], capture_output=True).returncode == 0


def tmodbus_python() -> str | None:
    """A Python of 3.12 or later that has tmodbus, set up under build/ on the first call; None where
    the machine has no such Python.
    """
    python = TMODBUS / "bin" / "python"
    if not python.exists():
        found = [shutil.which(f"python{version}") for version in ("3.13", "3.12")]
        newer = next((python for python in found if python and _runs(python)), None)
        if newer is None:
            return None
        subprocess.run([newer, "-m", "venv", str(TMODBUS)], check=True)
        install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*install, "tmodbus[async-serial]>=1.1,<2"], check=True)
    return str(python)


def _tmodbus(path: str, baud: int, count: int, seconds: float, polls: int = 0) -> Run:
    script = Path(__file__).with_name("tmodbus_peer.py")
    options = [path, str(baud), str(count), str(seconds), str(polls)]
    done = subprocess.run(
        [str(tmodbus_python()), str(script), *options], capture_output=True, text=True, check=True
    )
    return Run(*json.loads(done.stdout))


def _late(client: Any) -> Callable[[str, int, int, float], Run]:
    def poll(path: str, baud: int, polls: int, timeout_s: float) -> Run:
        run: Run = client(path, baud, 10, timeout_s, polls)
        return run

    return poll


def _pymodbus_tcp(port: int, questions: int) -> Run:
    async def main() -> Run:
        client = AsyncModbusTcpClient("127.0.0.1", port=port, timeout=1, retries=0)
        await client.connect()
        run = Run()
        begin_s, cpu_s = time.monotonic(), time.process_time()
        for _ in range(questions):
            reply = await client.read_input_registers(7, count=40, device_id=1)
            run.note(int(reply.registers[0]), 7)
        run.seconds, run.cpu_s = time.monotonic() - begin_s, time.process_time() - cpu_s
        client.close()
        return run

    return asyncio.run(main())


class _Bare(asyncio.Protocol):
    """The least that asyncio can do: bytes out, bytes in, a future."""

    def __init__(self) -> None:
        self.reply: asyncio.Future[bytes] | None = None

    def data_received(self, data: bytes) -> None:
        if self.reply is not None and not self.reply.done():
            self.reply.set_result(data)


def _raw_tcp(port: int, questions: int) -> Run:
    request = bytes([0, 1, 0, 0, 0, 6, 1, 4, 0, 7, 0, 40])

    async def main() -> Run:
        loop = asyncio.get_running_loop()
        transport, bare = await loop.create_connection(_Bare, "127.0.0.1", port)
        run = Run()
        begin_s, cpu_s = time.monotonic(), time.process_time()
        for _ in range(questions):
            bare.reply = loop.create_future()
            transport.write(request)
            data = await bare.reply
            run.note(data[9] << 8 | data[10], 7)
        run.seconds, run.cpu_s = time.monotonic() - begin_s, time.process_time() - cpu_s
        transport.close()
        return run

    return asyncio.run(main())


Client = Callable[[str, int, int, float], Run]


def rtu_clients() -> dict[str, Client]:
    """The clients that this machine can run, on a serial line."""
    clients: dict[str, Client] = {
        "pymodbus_async": _pymodbus_async,
        "pymodbus_sync": _pymodbus_sync,
        "minimalmodbus": _minimalmodbus,
    }
    if tmodbus_python() is not None:
        clients["tmodbus"] = _tmodbus
    return clients


def impatient_clients() -> dict[str, Client]:
    """The same, asking so often and no longer than a timeout."""
    return {name: _late(client) for name, client in rtu_clients().items()}


TCP: dict[str, Callable[[int, int], Run]] = {"pymodbus": _pymodbus_tcp, "raw": _raw_tcp}
