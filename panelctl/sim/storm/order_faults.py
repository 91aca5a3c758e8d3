"""What goes wrong with orders: refused, lost, acknowledged and not done, or undone by others."""

from __future__ import annotations

from collections.abc import Callable

from panelctl.sim.devices import SimRelayBoard
from panelctl.sim.server import Fault
from panelctl.sim.storm.device_faults import the_contact
from panelctl.sim.storm.strike import Strike, Undo, nothing
from panelctl.sim.storm.wire_faults import put
from panelctl.sim.storm.world import World
from panelctl.sim.told import SimCharger

DEVICE_FAILURE = 4
MOST_MOVES = 8


def writes(kind: str) -> Callable[[World, Strike], Undo]:
    """A fault that strikes writes and lets every read pass."""

    def begin(world: World, strike: Strike) -> Undo:
        return put(world, strike, Fault(kind, -1, code=DEVICE_FAILURE, writes=True))

    return begin


def somebody_switches(world: World, strike: Strike) -> Undo:
    """Somebody switches a relay by hand or by another tool: once, or again and again."""
    contact = the_contact(world, strike)

    def switch() -> None:
        world.look()
        contact.order(not contact.ordered)
        world.switched.setdefault(strike.target, []).append(world.now_s)

    if strike.amount < 0.5:
        switch()
        return nothing
    return world.every(max(0.5, strike.for_s / MOST_MOVES), switch)


def board_reboots(world: World, strike: Strike) -> Undo:
    """It is away for a while, and starts with every output as it is delivered."""
    board = world.devices[strike.target]
    assert isinstance(board, SimRelayBoard)
    back = put(world, strike, Fault("dead", -1))
    world.look()
    for output in board.contacts:
        board.drive(output, strike.amount < 0.5)
    world.resets.append((world.now_s, strike.target))

    def undo() -> None:
        back()
        world.resets.append((world.now_s, strike.target))

    return undo


def the_charger(world: World, strike: Strike) -> SimCharger:
    charger = world.devices[strike.target]
    assert isinstance(charger, SimCharger)
    return charger


def charger_keeps(world: World, strike: Strike) -> Undo:
    """It acknowledges each set-point and stays at the one before."""
    return world.hold(the_charger(world, strike), "keeps", True)


def charger_forgets(world: World, strike: Strike) -> Undo:
    """It goes back to its safe current sooner than its map says."""
    return world.hold(the_charger(world, strike).charger, "patience_s", 3.0 + 9.0 * strike.amount)


def charger_anew(world: World, strike: Strike) -> Undo:
    """It is away for a while, and starts with a set-point that nobody told it: its fuse's, or the
    one of an app.
    """
    charger = the_charger(world, strike)
    back = put(world, strike, Fault("dead", -1))

    def undo() -> None:
        world.look()
        charger.overwrite(round(6.0 + 26.0 * strike.amount, 1))
        back()

    return undo


def somebody_sets(world: World, strike: Strike) -> Undo:
    """Somebody else tells a charger another set-point: once, or again and again."""
    charger = the_charger(world, strike)

    def write() -> None:
        world.look()
        charger.overwrite(round(6.0 + 26.0 * strike.amount, 1))

    if strike.amount < 0.5:
        write()
        return nothing
    return world.every(max(1.0, strike.for_s / MOST_MOVES), write)
