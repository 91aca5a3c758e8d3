"""The simulated wire of each kind of link."""

from __future__ import annotations

from collections.abc import Callable

from panelctl.clock import Clock
from panelctl.model.panel import Link
from panelctl.sim.devices import SimDevice
from panelctl.sim.line import SimLine
from panelctl.sim.serial_server import SimSerialServer
from panelctl.sim.tcp import SimHost
from panelctl.sim.udp import SimUdpHost

SimWire = SimLine | SimSerialServer | SimHost | SimUdpHost
WIRES: dict[str, type[SimLine] | type[SimSerialServer] | type[SimHost] | type[SimUdpHost]] = {
    "rtu": SimLine,
    "rtu+tcp": SimSerialServer,
    "rtu+udp": SimSerialServer,
    "tcp": SimHost,
    "udp": SimUdpHost,
}


def wire_of(
    link: Link, units: dict[int, SimDevice], clock: Clock, time_s: Callable[[], float]
) -> SimWire:
    """What stands at the other end of a link: devices by unit id."""
    return WIRES[link.kind](link, units, clock, time_s)


async def start_wire(wire: SimWire) -> None:
    """Open it for whoever asks."""
    if isinstance(wire, SimLine):
        wire.start()
    else:
        await wire.start()
