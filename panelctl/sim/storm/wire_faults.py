"""What goes wrong between the controller and its devices: replies, cables, connections."""

from __future__ import annotations

from collections.abc import Callable

from panelctl.sim.network import Door
from panelctl.sim.server import Fault
from panelctl.sim.storm.strike import Strike, Undo, nothing
from panelctl.sim.storm.world import World

SILENT = frozenset({"dead", "garbled", "foreign", "short", "refuse"})


def reply(kind: str, most_ms: float = 0.0, code: int = 4) -> Callable[[World, Strike], Undo]:
    """A fault of every reply of a device."""

    def begin(world: World, strike: Strike) -> Undo:
        device = world.devices[strike.target].device
        wire = world.wire(device.link)
        faults = wire.faults[device.unit]
        fault = Fault(kind, -1, round(most_ms * strike.amount**2 + 1.0, 3), code)
        # Of several, one strikes: what cannot be read cannot, whatever else is wrong with it.
        faults.insert(0 if kind in SILENT else len(faults), fault)

        return lambda: faults.remove(fault)

    return begin


def cable_out(world: World, strike: Strike) -> Undo:
    if strike.target in world.lines:
        line = world.lines[strike.target]
        plug = world.hold(line, "cut", True)
        line.pull()
        return plug
    host = world.hosts[strike.target]
    host.darken()
    return world.hold(host.host, "door", Door.SILENT)


def reset(world: World, strike: Strike) -> Undo:
    host = world.hosts[strike.target]
    host.reset()
    return world.hold(host.host, "door", Door.REFUSED)


def half_open(world: World, strike: Strike) -> Undo:
    world.hosts[strike.target].darken()
    return nothing


def pieces(world: World, strike: Strike) -> Undo:
    return world.hold(world.lines[strike.target], "fifo", 1 + int(15 * strike.amount))


def two_masters(world: World, strike: Strike) -> Undo:
    """Somebody else asks on the line, without minding us."""
    line = world.lines[strike.target]
    frame = bytes.fromhex("6303000000018c48")  # unit 99, a read of one register

    def speak() -> None:
        if not line.cut:
            line.speak(frame)

    return world.every(0.03 + 0.4 * strike.amount, speak)
