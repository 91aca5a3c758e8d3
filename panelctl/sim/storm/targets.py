"""Where a fault may strike: names of devices, links and circuits of a world."""

from __future__ import annotations

from panelctl.model.circuit import Role
from panelctl.sim.devices import SimMeter, SimRelayBoard
from panelctl.sim.storm.world import World
from panelctl.sim.told import SimCharger, SimNode


def devices(world: World) -> list[str]:
    return list(world.devices)


def meters(world: World) -> list[str]:
    return [n for n, d in world.devices.items() if type(d) is SimMeter]


def counting(world: World) -> list[str]:
    panel = world.panel
    points = [p for c in panel.circuits for p in c.energy]
    points += [p for p in (panel.service.import_energy, panel.service.export_energy) if p]
    return sorted({point.device for point in points})


def rtu(world: World) -> list[str]:
    return list(world.lines)


def tcp(world: World) -> list[str]:
    return list(world.hosts)


def networked(world: World) -> list[str]:
    return [n for n, d in world.devices.items() if d.device.link in world.hosts]


def links(world: World) -> list[str]:
    return [*world.lines, *world.hosts]


def boards(world: World) -> list[str]:
    return [n for n, d in world.devices.items() if isinstance(d, SimRelayBoard)]


def chargers(world: World) -> list[str]:
    return [n for n, d in world.devices.items() if isinstance(d, SimCharger)]


def written(world: World) -> list[str]:
    """What is written to: boards, chargers, nodes."""
    return [
        n for n, d in world.devices.items() if isinstance(d, SimRelayBoard | SimCharger | SimNode)
    ]


def relays(world: World) -> list[str]:
    return [c.id for c in world.panel.circuits if c.relay_device is not None and c.controlled]


def nodes(world: World) -> list[str]:
    return [n for n, item in world.plant.circuits.items() if item.node is not None]


def appliances(world: World) -> list[str]:
    """Where a load may pulse, rest or heat: what nobody switches stays inside what the panel file
    declares as uncontrolled.
    """
    return [n for n in plain(world) if world.plant.circuits[n].circuit.controlled]


def cars(world: World) -> list[str]:
    return [n for n, item in world.plant.circuits.items() if item.charger is not None]


def plain(world: World) -> list[str]:
    return [
        n
        for n, item in world.plant.circuits.items()
        if item.circuit.role is Role.SWITCHED and item.node is None and item.charger is None
    ]


def watched(world: World) -> list[str]:
    circuits = world.plant.circuits
    return [n for n in plain(world) if circuits[n].circuit.breaker.curve is not None]


def panel(world: World) -> list[str]:
    return ["panel"]
