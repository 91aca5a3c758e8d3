"""What goes wrong between the controller and its devices: replies, cables, connections."""

from __future__ import annotations

from collections.abc import Callable

from panelctl.modbus.busplan import plan_bus
from panelctl.sim.network import Door
from panelctl.sim.server import Fault
from panelctl.sim.storm.strike import Strike, Undo, nothing
from panelctl.sim.storm.world import World

SILENT = frozenset({"dead", "garbled", "foreign", "short", "half", "drip", "refuse"})
ILLEGAL_ADDRESS = 2
UNPLUGGED_S = 0.5
MOST_SHIFT = 4  # requests that a gateway lags behind


def put(world: World, strike: Strike, fault: Fault) -> Undo:
    """Put a fault on a device's replies."""
    device = world.devices[strike.target].device
    faults = world.wire(device.link).faults[device.unit]
    # Of several, one strikes: what cannot be read cannot, whatever else is wrong with it.
    faults.insert(0 if fault.kind in SILENT else len(faults), fault)
    return lambda: faults.remove(fault)


def reply(kind: str, most_ms: float = 0.0, code: int = 4) -> Callable[[World, Strike], Undo]:
    """A fault of every reply of a device."""

    def begin(world: World, strike: Strike) -> Undo:
        return put(world, strike, Fault(kind, -1, round(most_ms * strike.amount**2 + 1.0, 3), code))

    return begin


def just_too_late(every: int) -> Callable[[World, Strike], Undo]:
    """Each nth reply comes when nobody waits for it any more, and not long after."""

    def begin(world: World, strike: Strike) -> Undo:
        return put(world, strike, Fault("late", -1, _too_late_ms(world, strike), every=every))

    return begin


def _too_late_ms(world: World, strike: Strike) -> float:
    timeout_ms = world.devices[strike.target].device.timeout_ms
    return round(timeout_ms * (1.2 + 0.3 * strike.amount), 3)


def repeat(world: World, strike: Strike) -> Undo:
    return put(world, strike, Fault("repeat", -1, round(10.0 + 50.0 * strike.amount, 3)))


def drip(world: World, strike: Strike) -> Undo:
    return put(world, strike, Fault("drip", -1, 20.0))


def block_refused(world: World, strike: Strike) -> Undo:
    """The device does not have one of the blocks that it is asked for."""
    device = world.devices[strike.target]
    reads = [read for plan in plan_bus(world.panel) for read in plan.fast + plan.slow]
    mine = {read.block.span.address for read in reads if read.device.name == strike.target}
    starts = sorted(mine or {point.address for point in device.map.points.values()})
    at = starts[min(int(strike.amount * len(starts)), len(starts) - 1)]
    return put(world, strike, Fault("refuse", -1, code=ILLEGAL_ADDRESS, at=at))


def shift(world: World, strike: Strike) -> Undo:
    """A gateway that has lost step, until it is left alone for a moment."""
    host = world.hosts[strike.target]
    host.begin_shift(min(1 + int(MOST_SHIFT * strike.amount), MOST_SHIFT))
    return host.end_shift


def stamped(world: World, strike: Strike) -> Undo:
    """A gateway that sends a late reply under whatever number was asked last."""
    host = world.hosts[world.devices[strike.target].device.link]
    own = world.hold(host, "stamps", "number" if strike.amount < 0.5 else "unit")
    on_time = put(world, strike, Fault("late", -1, _too_late_ms(world, strike), every=2))

    def undo() -> None:
        on_time()
        own()

    return undo


def settle(world: World, strike: Strike) -> Undo:
    """Pulled out and put in again, and deaf for a while after each opening."""
    wire = world.lines.get(strike.target) or world.hosts[strike.target]
    hears = world.hold(wire, "settle_s", 1.0 + strike.amount)
    plug = cable_out(world, strike)
    timer = world.loop.call_later(UNPLUGGED_S, plug)

    def undo() -> None:
        timer.cancel()
        plug()
        hears()

    return undo


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


def standstill(world: World, strike: Strike) -> Undo:
    """Nothing behind a host is answered or done until it goes on; then everything is, at once."""
    host = world.hosts[strike.target]
    host.stand_still()
    return host.go_on


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


def echo_adapter(world: World, strike: Strike) -> Undo:
    return world.hold(world.lines[strike.target], "echo", True)


def hiss(world: World, strike: Strike) -> Undo:
    """Nobody holds the line while nobody talks."""
    line = world.lines[strike.target]
    calm = world.hold(line, "hiss_ms", round(3.0 + 17.0 * strike.amount, 3))
    line.hiss(line.hiss_ms)

    def undo() -> None:
        calm()
        line.hiss(line.hiss_ms)

    return undo
