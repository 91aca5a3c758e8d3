"""A simulated RS-485 line: a pty with the wire time of its baud rate, and devices on it.

A request takes the time of its characters, the device its turn-round, the reply its characters; a
reply comes in pieces, as a UART's FIFO hands it over. A request that begins before the line has
been silent for 3.5 characters is counted: a real device may answer it with errors.
"""

from __future__ import annotations

import asyncio
import os
import tty
from collections.abc import Callable

from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU

from panelctl.clock import Clock
from panelctl.modbus.wire import Wire
from panelctl.model.panel import Link
from panelctl.sim.devices import SimDevice
from panelctl.sim.server import Fault, answer_pdu, refusal
from panelctl.units import NS_PER_MS

FIFO = 16
CHUNK = 1024
NOISE = {"noise": b"\xff\x00\x7f", "header": b"\x01\x04\xf0"}
TOLERANCE = 0.98  # the two processes' clock readings differ by some microseconds


class SimLine:
    """A line with devices by unit id. `path` is the port to open."""

    def __init__(
        self,
        link: Link,
        units: dict[int, SimDevice],
        clock: Clock,
        time_s: Callable[[], float],
    ) -> None:
        self.link = link
        self.units = units
        self.faults: dict[int, list[Fault]] = {unit: [] for unit in units}
        self.requests = 0
        self.violations = 0
        self.collisions = 0
        self._clock = clock
        self._time_s = time_s
        self._wire = Wire.rtu(link.baud, link.parity, link.stop_bits, link.silence_us)
        self._framer = FramerRTU(DecodePDU(True))
        self._input = bytearray()
        self._start_ns = 0
        self._quiet_ns = 0
        self._replies: set[asyncio.Task[None]] = set()
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)

    @property
    def url(self) -> str:
        """The URL to give the controller."""
        query = self.link.url.partition("?")[2]
        return f"rtu://{self.path}?{query}"

    def start(self) -> None:
        """Listen."""
        asyncio.get_running_loop().add_reader(self._master, self._readable)

    def stop(self) -> None:
        """Cut the cable: whoever has the port open gets an error."""
        asyncio.get_running_loop().remove_reader(self._master)
        for task in self._replies:
            task.cancel()
        os.close(self._slave)
        os.close(self._master)

    def speak(self, data: bytes) -> None:
        """Somebody else speaks: another master, a bad contact."""
        self._quiet_ns = self._clock.now_ns() + self._wire.silence_ns
        os.write(self._master, data)

    def _readable(self) -> None:
        try:
            data = os.read(self._master, CHUNK)
        except (BlockingIOError, OSError):
            return
        now_ns = self._clock.now_ns()
        if not self._input:
            self._start_ns = now_ns
            if self._replies:
                self.collisions += 1
            silence_ns = self._wire.silence_ns
            if now_ns < self._quiet_ns - int((1 - TOLERANCE) * silence_ns):
                self.violations += 1
        self._input += data
        used, unit, _, pdu = self._framer.decode(bytes(self._input))
        if not used and len(self._input) < 256:
            return
        end_ns = self._start_ns + len(self._input) * self._wire.char_ns
        self._input.clear()
        self._quiet_ns = end_ns + self._wire.silence_ns
        self.requests += 1
        device = self.units.get(unit)
        if not pdu or device is None:
            return
        task = asyncio.create_task(self._reply(device, unit, pdu, end_ns))
        self._replies.add(task)
        task.add_done_callback(self._replies.discard)

    async def _reply(self, device: SimDevice, unit: int, pdu: bytes, end_ns: int) -> None:
        turnround_ns = int(device.device.turnround_ms * NS_PER_MS)
        struck = next((fault for fault in self.faults[unit] if fault.take()), None)
        kind = struck.kind if struck else ""
        if kind == "dead":
            return
        await self._clock.sleep_until(end_ns)
        answer = answer_pdu(device, pdu, self._time_s())
        if kind == "refuse":
            assert struck is not None
            answer = refusal(pdu, struck.code)
        sender = unit % 247 + 1 if kind == "foreign" else unit
        frame = bytearray(self._framer.encode(answer, sender, 0))
        if kind == "short":
            del frame[-3:]
        if kind == "garbled":
            frame[len(frame) // 2] ^= 0x55
        if kind == "duplicate":
            frame = frame * 2
        if kind == "echo":
            frame = bytearray(self._framer.encode(pdu, unit, 0)) + frame
        if kind in NOISE:
            frame = bytearray(NOISE[kind]) + frame
        start_ns = end_ns + max(turnround_ns, self._wire.silence_ns)
        if struck is not None:
            start_ns += int(struck.delay_ms * NS_PER_MS)
        for offset in range(0, len(frame), FIFO):
            piece = bytes(frame[offset : offset + FIFO])
            piece_end_ns = start_ns + (offset + len(piece)) * self._wire.char_ns
            await self._clock.sleep_until(piece_end_ns)
            self._quiet_ns = self._clock.now_ns() + self._wire.silence_ns
            try:
                os.write(self._master, piece)
            except OSError:
                return
