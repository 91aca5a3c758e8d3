"""The experimenter's bench of a simulated panel: a Unix socket of JSON lines.

It shows the plant's truth and turns its knobs: loads, cars, contacts, the node, and the faults of
each device. Only the simulation has one; a controller never sees it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from panelctl.sim.judge import Judge
from panelctl.sim.plant import Plant
from panelctl.sim.segment import Segment
from panelctl.sim.server import FAULT_KINDS, Fault
from panelctl.sim.told import SimCharger
from panelctl.sim.wires import SimWire

WATCH_S = 0.1
MOST_LINE = 65536


class BenchSocket:
    """Serves the bench's socket. `begin` starts story and judgement."""

    def __init__(
        self,
        plant: Plant,
        judge: Judge,
        wires: list[SimWire],
        begin: Callable[[], None],
        stepped: Callable[[], None],
    ) -> None:
        self._plant = plant
        self._judge = judge
        self._wires = wires
        self._begin = begin
        self._stepped = stepped
        self._server: asyncio.Server | None = None

    async def start(self, path: Path) -> None:
        """Listen at `path`."""
        self._server = await asyncio.start_unix_server(self._serve, path, limit=MOST_LINE)

    def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                try:
                    message = json.loads(line)
                    if message.get("do") == "watch":
                        while True:
                            await self._send(writer, self._truth())
                            await asyncio.sleep(WATCH_S)
                    answer = self._do(message)
                except (ValueError, KeyError, TypeError, AttributeError) as error:
                    answer = {"error": f"{type(error).__name__}: {error}"}
                await self._send(writer, answer)
        except (ConnectionError, asyncio.CancelledError):
            pass  # the experimenter went, or the simulation ends
        finally:
            writer.close()

    async def _send(self, writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
        writer.write(json.dumps(message).encode() + b"\n")
        await writer.drain()

    def _truth(self) -> dict[str, Any]:
        lines = {
            wire.link.name: {
                "requests": wire.requests,
                "violations": wire.violations,
                "collisions": wire.collisions,
            }
            for wire in self._wires
            if isinstance(wire, Segment)
        }
        devices = [device for wire in self._wires for device in wire.units.values()]
        writes = sum(device.writes for device in devices)
        return {**self._judge.truth(), "lines": lines, "writes": writes}

    def _do(self, message: dict[str, Any]) -> dict[str, Any]:
        verb = message["do"]
        if verb == "truth":
            return self._truth()
        if verb == "begin":
            self._begin()
        elif verb == "demand":
            item = self._plant.circuits[message["circuit"]]
            raised = float(message["w"]) > item.demand_w
            item.demand_w = float(message["w"])
            if raised:
                self._stepped()
        elif verb == "car":
            charger = self._plant.circuits[message["circuit"]].charger
            assert charger is not None
            charger.car_a = float(message["a"])
        elif verb == "charger":
            self._charger(message)
        elif verb == "contact":
            contact = self._plant.circuits[message["circuit"]].contact
            contact.welded = bool(message.get("welded", False))
            contact.stuck_open = bool(message.get("stuck_open", False))
            if "closed" in message:
                contact.closed = contact.ordered = bool(message["closed"])
        elif verb == "node":
            node = next(p.node for p in self._plant.circuits.values() if p.node is not None)
            node.ignores = bool(message["ignores"])
        elif verb == "fault":
            self._fault(message)
        else:
            raise ValueError(f"do = {verb!r} is not known at this bench")
        return {"done": verb}

    def _charger(self, message: dict[str, Any]) -> None:
        """What a charger does with its set-points (told.py), or what somebody else writes."""
        found = [unit for wire in self._wires for unit in wire.units.values()]
        charger = next(unit for unit in found if unit.device.name == message["device"])
        if not isinstance(charger, SimCharger):
            raise ValueError(f"{message['device']} is no charger")
        charger.keeps = bool(message.get("keeps", charger.keeps))
        charger.rounds_a = float(message.get("rounds_a", charger.rounds_a))
        charger.refuses = int(message.get("refuses", charger.refuses))
        if "overwrite_a" in message:
            charger.overwrite(float(message["overwrite_a"]))

    def _fault(self, message: dict[str, Any]) -> None:
        kind = message["kind"]
        for wire in self._wires:
            for unit, device in wire.units.items():
                if device.device.name != message["device"]:
                    continue
                wire.faults[unit].clear()
                if kind == "none":
                    return
                if kind not in FAULT_KINDS:
                    raise ValueError(f"kind = {kind!r}: one of {', '.join(FAULT_KINDS)}")
                fault = Fault(
                    kind,
                    int(message.get("times", -1)),
                    float(message.get("ms", 0)),
                    int(message.get("code", 4)),
                    int(message.get("every", 1)),
                    int(message.get("at", -1)),
                    bool(message.get("writes", False)),
                )
                wire.faults[unit].append(fault)
                return
        raise ValueError(f"there is no device {message['device']!r}")


class BenchClient:
    """A blocking client of the bench, for the demo and the tests."""

    def __init__(self, path: Path, timeout_s: float = 5.0) -> None:
        import socket

        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout_s)
        self._socket.connect(str(path))
        self._file = self._socket.makefile("rwb")

    def ask(self, **message: Any) -> dict[str, Any]:
        """Send one message and return the answer. Raises ValueError when the bench refuses."""
        self._file.write(json.dumps(message).encode() + b"\n")
        self._file.flush()
        answer: dict[str, Any] = json.loads(self._file.readline())
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer

    def truth(self) -> dict[str, Any]:
        """The plant's truth now."""
        return self.ask(do="truth")

    def close(self) -> None:
        """End the connection."""
        self._file.close()
        self._socket.close()
