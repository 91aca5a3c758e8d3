"""A simulated device for every device of a panel, showing what flows in its plant."""

from __future__ import annotations

from collections.abc import Callable

from panelctl.modbus.filling import has_sign
from panelctl.modbus.maps import load_map
from panelctl.model.metering import PointRef
from panelctl.model.panel import Panel
from panelctl.sim.devices import SimDevice, SimMeter, SimRelayBoard
from panelctl.sim.plant import Plant, PlantCircuit, PlantFeeder
from panelctl.sim.told import SimCharger, SimNode, node_points

Source = Callable[[], float]
Show = Callable[[PointRef, Source, Source], None]  # a point; what it shows; and what backwards


def build_devices(panel: Panel, plant: Plant, seed: int) -> dict[str, SimDevice]:
    """A simulated device for every device of the panel, showing this plant."""
    shown: dict[str, dict[str, Source]] = {d.name: {} for d in panel.devices}

    def add(source: PointRef, value: Source, backwards: Source | None = None) -> None:
        shown[source.device][source.point] = value
        device = panel.device(source.device)
        signed = has_sign(load_map(device.map).points[source.point])
        if backwards is not None and signed and source.turned != device.inverted:
            shown[source.device][source.point] = backwards

    for leg in (0, 1):
        _show_leg(panel, plant, leg, add)
    for feeder in plant.feeders.values():
        _show_feeder(feeder, add)
    if panel.service.import_energy is not None:
        add(panel.service.import_energy, lambda: plant.import_wh)
    if panel.service.export_energy is not None:
        add(panel.service.export_energy, lambda: plant.export_wh)
    for item in plant.circuits.values():
        _show_circuit(item, add)
    if panel.heat_sink is not None and (tank := plant.tank) is not None:
        add(panel.heat_sink.sensor, lambda: tank.temperature_c)
    devices: dict[str, SimDevice] = {}
    for device in panel.devices:
        known = load_map(device.map)
        if known.relay is not None:
            mine = [c for c in panel.circuits if c.relay_device == device.name]
            contacts = {c.relay_output: plant.circuits[c.id].contact for c in mine}
            by_rest = frozenset(c.relay_output for c in mine if c.relay_inverted)
            devices[device.name] = SimRelayBoard(device, contacts, by_rest)
            continue
        owner = next((c for c in panel.circuits if c.setpoint_device == device.name), None)
        fed = plant.circuits[owner.id] if owner else None
        if fed is not None and fed.node is not None:
            devices[device.name] = SimNode(device, node_points(fed.node), seed, fed.node)
        elif fed is not None and fed.charger is not None:
            devices[device.name] = SimCharger(device, shown[device.name], seed, fed.charger)
        else:
            devices[device.name] = SimMeter(device, shown[device.name], seed)
    return devices


def _show_leg(panel: Panel, plant: Plant, leg: int, add: Show) -> None:
    service = panel.service

    def watts() -> float:
        return plant.legs_a[leg] * plant.volts

    # A current is without a sign, the power has the direction; a meter that turns it has both.
    add(service.currents[leg], lambda: abs(plant.legs_a[leg]), lambda: -plant.legs_a[leg])
    add(service.powers[leg], watts, lambda: -watts())
    add(service.voltages[leg], lambda: plant.volts, lambda: plant.volts)


def _show_feeder(item: PlantFeeder, add: Show) -> None:
    for leg, current in zip(item.feeder.legs, item.feeder.currents, strict=False):
        add(
            current,
            lambda leg=leg: abs(item.leg_a(leg)),  # type: ignore[misc]  # a default argument
            lambda leg=leg: -item.leg_a(leg),  # type: ignore[misc]
        )


def _show_circuit(item: PlantCircuit, add: Show) -> None:
    circuit = item.circuit
    for meter in circuit.currents:
        add(meter.current, lambda: abs(item.current_a), lambda: -item.current_a)
    share = 1.0 / len(circuit.power) if circuit.power else 0.0
    if circuit.balanced:
        share /= 2.0  # a single CT is measured against one leg's voltage
    for source in circuit.power:
        add(source, lambda: item.power_w * share, lambda: -item.power_w * share)
    single = circuit.balanced and len(circuit.energy) == 1

    def counted() -> float:
        return abs(item.energy_wh) / (2 if single else len(circuit.energy))

    for source in circuit.energy:
        add(source, counted, counted)
