"""What goes wrong between the controller and its devices: replies, cables, connections."""

from __future__ import annotations

from collections.abc import Callable

from panelctl.sim.network import Door, Host
from panelctl.sim.server import Fault
from panelctl.sim.storm.strike import Strike, Undo, nothing
from panelctl.sim.storm.world import World


def reply(kind: str, most_ms: float = 0.0, code: int = 4) -> Callable[[World, Strike], Undo]:
    """A fault of every reply of a device."""

    def begin(world: World, strike: Strike) -> Undo:
        device = world.devices[strike.target].device
        wire = world.wire(device.link)
        faults = wire.faults[device.unit]
        fault = Fault(kind, -1, round(most_ms * strike.amount**2 + 1.0, 3), code)
        faults.append(fault)

        def undo() -> None:
            if fault in faults:
                faults.remove(fault)

        return undo

    return begin


def cable_out(world: World, strike: Strike) -> Undo:
    if strike.target in world.lines:
        line = world.lines[strike.target]
        line.pull()

        def plug() -> None:
            line.cut = False

        return plug
    host = world.hosts[strike.target]
    host.host.door = Door.SILENT
    host.darken()
    return lambda: open_door(host.host)


def open_door(host: Host) -> None:
    host.door = Door.OPEN


def reset(world: World, strike: Strike) -> Undo:
    host = world.hosts[strike.target]
    host.host.door = Door.REFUSED
    host.reset()
    return lambda: open_door(host.host)


def half_open(world: World, strike: Strike) -> Undo:
    world.hosts[strike.target].darken()
    return nothing


def pieces(world: World, strike: Strike) -> Undo:
    line = world.lines[strike.target]
    line.fifo = 1 + int(15 * strike.amount)

    def undo() -> None:
        line.fifo = 0

    return undo


def two_masters(world: World, strike: Strike) -> Undo:
    """Somebody else asks on the line, without minding us."""
    line = world.lines[strike.target]
    gap_s = 0.03 + 0.4 * strike.amount
    running = [True]
    request = bytes.fromhex("630300000001")  # unit 99, a read; its checksum follows
    frame = request + bytes.fromhex("8c48")

    def speak() -> None:
        if running[0] and not line.cut:
            line.speak(frame)
        if running[0]:
            world.loop.call_later(gap_s, speak)

    speak()
    return lambda: running.__setitem__(0, False)
