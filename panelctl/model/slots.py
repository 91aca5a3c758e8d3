"""Which readings the image of a panel holds, in which order, and where each comes from."""

from __future__ import annotations

from dataclasses import dataclass

from panelctl.model.metering import PointRef
from panelctl.model.panel import Panel, Service

LEGS = ("a", "b")
MOST_WH = 10**13  # more than any counter of a home shows


@dataclass(frozen=True, slots=True)
class Slot:
    """One reading of the image: name, unit (`ma`, `mv`, `mc`, `w`, `wh`, `state`), source.

    `least` and `most` bound what is plausible; a reading outside becomes IMPLAUSIBLE.
    """

    name: str
    unit: str
    source: PointRef
    least: int
    most: int


def image_slots(panel: Panel) -> list[Slot]:
    """Every slot of the panel's image; slots 0 and 1 are the mains currents of leg a and b."""
    service = panel.service
    # A service never sees five times its breaker for as long as a meter's window: 5x trips it.
    most_ma = int(service.breaker.rating_a * 5_000)
    nominal_mv = int(service.voltage_v * 500)
    slots: list[Slot] = []
    for leg, source in zip(LEGS, service.currents, strict=True):
        slots.append(Slot(f"main.{leg}_ma", "ma", source, -most_ma, most_ma))
    for leg, source in zip(LEGS, service.powers, strict=True):
        most_w = most_ma // 1000 * 150
        slots.append(Slot(f"main.{leg}_w", "w", source, -most_w, most_w))
    for leg, source in zip(LEGS, service.voltages, strict=True):
        slots.append(Slot(f"main.{leg}_mv", "mv", source, nominal_mv // 2, nominal_mv * 3 // 2))
    for name, counter in energy_counters(panel.service):
        slots.append(Slot(name, "wh", counter, -MOST_WH, MOST_WH))
    for feeder in panel.feeders:
        feeder_ma = int(feeder.breaker.rating_a * 5_000)
        for number, source in zip(feeder.legs, feeder.currents, strict=False):
            name = f"{feeder.id}.{LEGS[number]}_ma"
            slots.append(Slot(name, "ma", source, -feeder_ma, feeder_ma))
    if panel.heat_sink is not None:
        # A tank of drinking or heating water: neither ice nor steam.
        slots.append(Slot("heat.tank_mc", "mc", panel.heat_sink.sensor, -20_000, 120_000))
    for circuit in panel.circuits:
        # A branch circuit may show a motor's locked rotor, six times its rating, and a bit more.
        branch_ma = int(circuit.breaker.rating_a * 10_000)
        seen: set[PointRef] = set()
        for meter in circuit.currents:
            if meter.current not in seen:
                name = f"{circuit.id}.{LEGS[meter.leg]}_ma"
                slots.append(Slot(name, "ma", meter.current, -branch_ma, branch_ma))
                seen.add(meter.current)
        for index, source in enumerate(circuit.power):
            branch_w = branch_ma // 1000 * 250
            slots.append(Slot(f"{circuit.id}.{index}_w", "w", source, -branch_w, branch_w))
        for index, source in enumerate(circuit.energy):
            slots.append(Slot(f"{circuit.id}.{index}_wh", "wh", source, -MOST_WH, MOST_WH))
        if circuit.relay_device is not None:
            source = PointRef(circuit.relay_device, f"output_{circuit.relay_output}")
            slots.append(Slot(f"{circuit.id}.relay", "state", source, 0, 1))
    return slots


def energy_counters(service: Service) -> list[tuple[str, PointRef]]:
    """The counters at the main lugs, by the name of their slot."""
    both = (("main.import_wh", service.import_energy), ("main.export_wh", service.export_energy))
    return [(name, point) for name, point in both if point is not None]
