"""What devices do wrong: meters that lie, relays that do not follow, a node that does not obey."""

from __future__ import annotations

from collections.abc import Callable

from panelctl.modbus.maps import Point
from panelctl.sim.devices import METER_WINDOW_S, SimMeter, SimRelayBoard
from panelctl.sim.measuring import Measuring
from panelctl.sim.plant import Contact, Node
from panelctl.sim.storm.strike import Strike, Undo, nothing
from panelctl.sim.storm.wire_faults import reply
from panelctl.sim.storm.world import World
from panelctl.sim.told import SimNode


def the_contact(world: World, strike: Strike) -> Contact:
    return world.plant.circuits[strike.target].contact


def the_meter(world: World, strike: Strike) -> SimMeter:
    device = world.devices[strike.target]
    assert isinstance(device, SimMeter)
    return device


def frozen(world: World, strike: Strike) -> Undo:
    return world.hold(the_meter(world, strike), "frozen", True)


def swapped(world: World, strike: Strike) -> Undo:
    return world.hold(the_meter(world, strike), "swapped", True)


def own_clock(world: World, strike: Strike) -> Undo:
    return world.hold(the_meter(world, strike), "window_s", 0.1 + 0.9 * strike.amount)


def measures(ways: Callable[[float], Measuring]) -> Callable[[World, Strike], Undo]:
    """A meter that comes by what it shows in another way."""

    def begin(world: World, strike: Strike) -> Undo:
        return world.hold(the_meter(world, strike), "measuring", ways(strike.amount))

    return begin


def seldom(amount: float) -> Measuring:
    return Measuring(0.2 * 50.0**amount)


def averages(amount: float) -> Measuring:
    return Measuring(0.2 * 25.0**amount, mean=True)


def smooths(amount: float) -> Measuring:
    return Measuring(0.1, filter_s=0.2 * 25.0**amount)


def shows_old(amount: float) -> Measuring:
    """What it shows is of the beginning of the interval before, or older."""
    return Measuring(0.2 + 0.8 * amount, late_s=0.2 + 1.8 * amount)


def apart(amount: float) -> Measuring:
    return Measuring(0.1 + 0.9 * amount, apart=True)


def deadband(amount: float) -> Measuring:
    return Measuring(METER_WINDOW_S, deadband_a=0.1 + 0.4 * amount)


def coarse(amount: float) -> Measuring:
    return Measuring(METER_WINDOW_S, digit_a=0.1 if amount < 0.5 else 0.5)


def spoil(change: Callable[[Point, float, float], float]) -> Callable[[World, Strike], Undo]:
    """A meter that shows something else."""

    def begin(world: World, strike: Strike) -> Undo:
        def shown(point: Point, value: float) -> float:
            return change(point, value, strike.amount)

        return world.hold(the_meter(world, strike), "spoil", shown)

    return begin


def zero(point: Point, value: float, amount: float) -> float:
    """Nothing; or what an open transformer still picks up, so that its digits move."""
    return 0.01 * value if amount >= 0.5 and point.unit in ("A", "W") else 0.0


def nan(point: Point, value: float, amount: float) -> float:
    return float("nan")


def reversed(point: Point, value: float, amount: float) -> float:
    return -value if point.unit == "W" else value


def ct_off(point: Point, value: float, amount: float) -> float:
    """One transformer has come off."""
    return 0.0 if comes_off(point.name) and point.unit in ("A", "W") else value


def phantom(point: Point, value: float, amount: float) -> float:
    """Transformers that pick up a neighbour's current where there is none of their own."""
    least_a = 0.55 + 0.3 * amount
    return max(value, least_a) if point.unit == "A" and 0.0 <= value < least_a else value


def comes_off(point: str) -> bool:
    """Whether it is the transformer of this point: the first leg's, or the first channel's."""
    return any(point.startswith(f"{head}1_") for head in ("l", "ch", "g"))


def counter_wraps(point: Point, value: float, amount: float) -> float:
    return value % (10.0 + 1_000.0 * amount) if point.unit == "Wh" else value


def welded(world: World, strike: Strike) -> Undo:
    return world.hold(the_contact(world, strike), "welded", True)


def stuck_open(world: World, strike: Strike) -> Undo:
    return world.hold(the_contact(world, strike), "stuck_open", True)


def slow_relay(world: World, strike: Strike) -> Undo:
    return world.hold(the_contact(world, strike), "takes_s", 0.05 + 0.4 * strike.amount)


def chatter(world: World, strike: Strike) -> Undo:
    contact = the_contact(world, strike)

    def flip() -> None:
        world.look()
        if contact.ordered:
            contact.closed = not contact.closed

    return world.every(0.05 + 0.3 * strike.amount, flip)


def board_reset(world: World, strike: Strike) -> Undo:
    """The board starts anew: every output as it is delivered."""
    board = world.devices[strike.target]
    assert isinstance(board, SimRelayBoard)
    world.look()
    for output in board.contacts:
        board.drive(output, strike.amount < 0.5)
    world.resets.append((world.now_s, strike.target))
    return nothing


def node_ignores(world: World, strike: Strike) -> Undo:
    return world.hold(the_node(world, strike), "ignores", True)


def node_lingers(world: World, strike: Strike) -> Undo:
    return world.hold(the_node(world, strike), "lingers", True)


def node_slow(world: World, strike: Strike) -> Undo:
    return world.hold(the_node(world, strike), "tau_s", 0.12 + 0.6 * strike.amount)


def node_oscillates(world: World, strike: Strike) -> Undo:
    node = the_node(world, strike)

    def flip() -> None:
        node.jobs_ratio = 0.0 if node.jobs_ratio > 0.5 else 1.0

    still = world.every(0.2 + 1.5 * strike.amount, flip)

    def undo() -> None:
        still()
        node.jobs_ratio = 1.0

    return undo


def node_dies(world: World, strike: Strike) -> Undo:
    """It is off and says nothing; when it is back, it draws all it can for a moment."""
    node = the_node(world, strike)
    device = next(n for n, d in world.devices.items() if isinstance(d, SimNode) and d.node is node)
    answer = reply("dead")(world, Strike(strike.at_s, strike.for_s, "", device, 0.0))
    revive = world.hold(node, "dead", True)

    def undo() -> None:
        world.look()
        answer()
        revive()
        if strike.amount > 0.5:
            world.loop.call_later(0.8, world.hold(node, "ignores", True))

    return undo


def node_lies(world: World, strike: Strike) -> Undo:
    """What it says of itself is half of the truth; its circuit has a meter of its own."""
    device = next(n for n, d in world.devices.items() if isinstance(d, SimNode))
    half = spoil(lambda point, value, amount: value / 2)
    return half(world, Strike(strike.at_s, strike.for_s, "", device, strike.amount))


def the_node(world: World, strike: Strike) -> Node:
    node = world.plant.circuits[strike.target].node
    assert node is not None
    return node
