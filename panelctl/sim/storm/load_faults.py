"""Loads as they are: what cars, hobs, heaters, compressors and nodes do that no file says.

Nothing of this is wrong, so nothing of it excuses anything but where it says so.
"""

from __future__ import annotations

from collections.abc import Callable

from panelctl.sim.plant import Charger, PlantCircuit
from panelctl.sim.storm.device_faults import the_node
from panelctl.sim.storm.house_faults import start
from panelctl.sim.storm.strike import Strike, Undo, nothing
from panelctl.sim.storm.world import World

# On and off, s: hobs by their energy regulators, an iron, a tankless heater, an oven.
PULSES_S = ((2.0, 3.0), (0.5, 0.5), (2.0, 2.0), (12.0, 25.0), (20.0, 20.0))
TANK_J_PER_K = 200.0 * 4186.0 / 60.0  # a small one, so that a storm sees it cycle
SET_C, BAND_C, ROOM_C, LOSS_W_PER_K = 60.0, 4.0, 20.0, 30.0
BEAT_S = 0.5


def the_charger(world: World, strike: Strike) -> Charger:
    charger = world.plant.circuits[strike.target].charger
    assert charger is not None
    return charger


def car(name: str, value: Callable[[float], float]) -> Callable[[World, Strike], Undo]:
    """A car with a habit, plugged in."""

    def begin(world: World, strike: Strike) -> Undo:
        charger = the_charger(world, strike)
        world.look()
        undone = [
            world.hold(charger, name, value(strike.amount)),
            world.hold(charger, "car_a", charger.max_a),
        ]

        def undo() -> None:
            world.look()
            for one in undone:
                one()

        return undo

    return begin


def car_leaves(world: World, strike: Strike) -> Undo:
    """It is plugged in, and unplugged after half the time."""
    charger = the_charger(world, strike)
    world.look()
    undone = [world.hold(charger, "car_a", charger.max_a)]

    def leave() -> None:
        world.look()
        undone.append(world.hold(charger, "car_a", 0.0))

    timer = world.loop.call_later(strike.for_s / 2, leave)

    def undo() -> None:
        timer.cancel()
        world.look()
        for one in undone:
            one()

    return undo


def node(name: str, value: Callable[[float], float]) -> Callable[[World, Strike], Undo]:
    """A node with a habit."""

    def begin(world: World, strike: Strike) -> Undo:
        return world.hold(the_node(world, strike), name, value(strike.amount))

    return begin


Drive = Callable[[World, Strike, PlantCircuit], Undo]


def alone(drive: Drive) -> Callable[[World, Strike], Undo]:
    """An appliance on a circuit that no other of these drives already; after it what was before."""

    def begin(world: World, strike: Strike) -> Undo:
        item = world.plant.circuits[strike.target]
        if strike.target in world.driven:
            return nothing
        world.driven.add(strike.target)
        before_w = item.demand_w
        still = drive(world, strike, item)

        def undo() -> None:
            still()
            world.look()
            world.driven.discard(strike.target)
            item.demand_w = before_w

        return undo

    return begin


def pulses(world: World, strike: Strike, item: PlantCircuit) -> Undo:
    """Full power and none, in turn: a hob, an iron, a tankless heater."""
    on_s, off_s = PULSES_S[min(int(strike.amount * len(PULSES_S)), len(PULSES_S) - 1)]
    full_w = item.breaker.rating_a * 0.7 * item.volts
    on = False
    timer = None

    def turn() -> None:
        nonlocal on, timer
        world.look()
        on = not on
        item.demand_w = full_w if on else 0.0
        timer = world.loop.call_later(on_s if on else off_s, turn)

    turn()

    def undo() -> None:
        if timer is not None:
            timer.cancel()

    return undo


def thermostat(world: World, strike: Strike, item: PlantCircuit) -> Undo:
    """A tank that heats by its temperature: what was missed comes back, and more than once."""
    full_w = item.breaker.rating_a * 0.6 * item.volts
    celsius = SET_C - 2 * BAND_C * strike.amount
    heats = True

    def beat() -> None:
        nonlocal celsius, heats
        world.look()
        gained_w = item.power_w - LOSS_W_PER_K * (celsius - ROOM_C)
        celsius += gained_w * BEAT_S / TANK_J_PER_K
        heats = celsius < SET_C if heats else celsius < SET_C - BAND_C
        item.demand_w = full_w if heats else 0.0

    return world.every(BEAT_S, beat)


def compressor(world: World, strike: Strike, item: PlantCircuit) -> Undo:
    """A motor that starts hard, and after it has lost its power only minutes later."""
    running_w = item.breaker.rating_a * 0.35 * item.volts
    rest_s = 20.0 + 160.0 * strike.amount
    ready_s = world.now_s
    runs = False

    def beat() -> None:
        nonlocal ready_s, runs
        world.look()
        if not item.powered or not world.plant.grid:
            if runs:
                runs, item.demand_w = False, 0.0
            ready_s = world.now_s + rest_s
        elif not runs and world.now_s >= ready_s:
            runs, item.demand_w = True, running_w
            start(world, item, 5.0)

    return world.every(BEAT_S, beat)
