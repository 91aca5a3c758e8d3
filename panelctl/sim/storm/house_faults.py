"""What happens around the panel: loads, the grid, the host that the controller runs on, people."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import count

from panelctl.model.record import VERSION
from panelctl.sim.network import Door
from panelctl.sim.plant import PlantCircuit
from panelctl.sim.storm.device_faults import board_reset
from panelctl.sim.storm.strike import Strike, Undo, nothing
from panelctl.sim.storm.targets import boards, plain, relays
from panelctl.sim.storm.wire_faults import reply
from panelctl.sim.storm.world import World

BOOT_S = 20.0  # of a gateway


def start(world: World, item: PlantCircuit, times: float) -> None:
    """A motor starts: so many times its running power for 0.3 s. One that is starting does not."""
    name = item.circuit.id
    if name in world.starting:
        return
    world.starting.add(name)
    running_w = item.demand_w
    most_w = item.breaker.rating_a * 7.0 * item.volts
    item.demand_w = min(running_w * times, most_w)
    raised_w = item.demand_w

    def run() -> None:
        world.starting.discard(name)
        if item.demand_w == raised_w:
            world.look()
            item.demand_w = running_w

    world.loop.call_later(0.3, run)


def inrush(world: World, strike: Strike) -> Undo:
    item = world.plant.circuits[strike.target]
    world.look()
    if item.demand_w < 500.0:
        item.demand_w = item.breaker.rating_a * 0.4 * item.volts
    start(world, item, 6.0)
    return nothing


def overload(world: World, strike: Strike) -> Undo:
    """More than its breaker carries for good, for as long as it lasts."""
    item = world.plant.circuits[strike.target]
    world.look()
    before_w = item.demand_w
    over_w = item.breaker.rating_a * (1.2 + 0.4 * strike.amount) * item.volts
    item.demand_w = over_w

    def undo() -> None:
        if item.demand_w == over_w:
            item.demand_w = before_w

    return undo


def motor_train(world: World, strike: Strike) -> Undo:
    for n, name in enumerate(plain(world)):
        item = world.plant.circuits[name]

        def go(item: PlantCircuit = item) -> None:
            world.look()
            item.demand_w = max(item.demand_w, item.breaker.rating_a * 0.3 * item.volts)
            start(world, item, 5.0)

        world.loop.call_later(n * (0.2 + strike.amount), go)
    return nothing


def all_on(world: World, strike: Strike) -> Undo:
    world.look()
    world.household.everything()
    return nothing


def outage(world: World, strike: Strike) -> Undo:
    world.look()
    on_again = world.hold(world.plant, "grid", False)

    def back() -> None:
        world.look()
        world.household.everything()
        on_again()

    return back


def blackout(world: World, strike: Strike) -> Undo:
    """An outage that takes the gateway and every device with it; boards come back as delivered.

    The gateway's clock goes on, as one with a battery does; only its name shows that it booted.
    """
    world.look()
    on_again = world.hold(world.plant, "grid", False)
    dead = [reply("dead")(world, replace(strike, target=name)) for name in world.devices]
    world.restart(strike.for_s + BOOT_S * (0.1 + strike.amount), orderly=False)
    world.clock.boot += "'"  # another run of its clock

    def back() -> None:
        world.look()
        world.household.everything()
        for name in boards(world):
            board_reset(world, replace(strike, target=name))
        for undo in (on_again, *dead):
            undo()

    return back


def sag(world: World, strike: Strike) -> Undo:
    return world.hold(world.plant, "volts", 120.0 * (0.95 - 0.1 * strike.amount))


def limit(world: World, strike: Strike) -> Undo:
    limit_a = round(world.panel.service.control_setting_a * (0.4 + 0.6 * strike.amount), 1)
    expires_s = max(1.0, strike.for_s * 2)
    world.say(do="limit", id=f"limit{strike.at_s:.0f}", limit_a=limit_a, expires_s=expires_s)

    def undo() -> None:
        world.say(do="limit", id="none", limit_a=None, expires_s=60)

    return undo


def limit_tight(world: World, strike: Strike) -> Undo:
    """An envelope of so little that the household and the node's floor may not fit into it."""
    return _envelope(world, strike, 0.4 * strike.amount)


def limit_lost(world: World, strike: Strike) -> Undo:
    """An envelope for a while; then its source is silent."""
    return _envelope(world, strike, 0.3 + 0.6 * strike.amount)


def _envelope(world: World, strike: Strike, share: float) -> Undo:
    limit_a = round(world.panel.service.control_setting_a * share, 1)
    windows = [
        {"start_s": 0, "end_s": max(2.0, strike.for_s), "limit_a": limit_a},
    ]
    world.say(do="envelope", id=f"doe{strike.at_s:.0f}", source="utility", windows=windows)
    return nothing


def stall(world: World, strike: Strike) -> Undo:
    for_s = 0.3 + 4.7 * strike.amount
    world.loop.stall(int(for_s * 1e9))
    world.stalled_s += for_s
    return nothing


def kill(world: World, strike: Strike) -> Undo:
    world.restart(0.1 + 3.0 * strike.amount, orderly=False)
    return nothing


def restart(world: World, strike: Strike) -> Undo:
    world.restart(0.1 + strike.amount, orderly=True)
    return nothing


def reload(world: World, strike: Strike) -> Undo:
    """Another panel file, which is right."""
    world.edit(f"\n# edited at {strike.at_s:g} s\n", 1.0 + strike.amount)
    return nothing


def reload_wrong(world: World, strike: Strike) -> Undo:
    """Another panel file, which has a mistake: the controller goes on as if nothing were."""
    mistakes = ("\n[[circuit]\n", "\n[servce]\nx = 1\n", '\n[[circuit]]\nid = "alone"\n', "\x00")
    world.edit(mistakes[int(strike.amount * 3.999)])
    return nothing


def clock_step(world: World, strike: Strike) -> Undo:
    if world.running:  # nobody sets the clock of a machine that is off
        world.clock.offset_s += 7200.0 * (strike.amount - 0.5)
    return nothing


def disk_full(world: World, strike: Strike) -> Undo:
    return world.fill_disk()


def no_descriptors(world: World, strike: Strike) -> Undo:
    """Nothing can be opened anew, and every connection was just lost."""
    undone = [world.hold(line, "full", True) for line in world.lines.values()]
    for host in world.hosts.values():
        undone.append(world.hold(host.host, "door", Door.FULL))
        host.reset()

    def undo() -> None:
        for one in undone:
            one()

    return undo


def reader_stuck(world: World, strike: Strike) -> Undo:
    return world.stuck_reader()


def burst(world: World, strike: Strike) -> Undo:
    circuits = [c.id for c in world.panel.circuits]
    for n in range(200):
        do = ("open", "close")[n % 2] if strike.amount < 0.5 else "open"
        world.say(do=do, id=f"b{n}", circuit=circuits[n % len(circuits)])
    return lambda: let_go(world)


def contradictory(world: World, strike: Strike) -> Undo:
    names = relays(world) or ["none"]
    numbers = count()

    def speak() -> None:
        n = next(numbers)
        name = names[n // 2 % len(names)]
        world.say(do=("open", "close")[n % 2], id=f"c{n}", circuit=name)
        world.say(do="limit", id=f"l{n}", limit_a=(None, 60)[n % 2], expires_s=30)
        world.say(do="tier", id=f"t{n}", circuit=name, tier=n % 100)

    still = world.every(0.05 + 0.5 * strike.amount, speak)

    def undo() -> None:
        still()
        world.say(do="limit", id="none", limit_a=None, expires_s=60)
        let_go(world)

    return undo


def malformed(world: World, strike: Strike) -> Undo:
    for text in (
        b"\xff\xfe\x00",
        b"[]",
        b"{}" * 100,
        b'{"v":%d,"do":"limit","id":"x","limit_a":1e400,"expires_s":5}' % VERSION,
        b'{"v":%d,"do":"open","id":"x","circuit":"%s"}' % (VERSION, b"a" * 300),
        b'{"v":%d,"do":"tier","id":"x","circuit":"dryer","tier":-1}' % VERSION,
        b'{"v":%d,"do":"watch"}' % (VERSION + 1),
        json.dumps({"v": VERSION, "do": "envelope", "id": "x", "windows": [[]] * 9}).encode(),
        b"[" * 3000,
        b"x" * 5000,
    ):
        world.shout(text + b"\n")
    return nothing


def let_go(world: World) -> None:
    """People take back what they opened."""
    for name in relays(world):
        world.say(do="close", id=f"again-{name}", circuit=name)
