"""Which readings the image of a panel holds, in which order, and where each comes from."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace

from panelctl.model.circuit import Circuit
from panelctl.model.metering import PointRef
from panelctl.model.panel import Panel, Service

LEGS = ("a", "b")
IMPORTED, EXPORTED, TANK = "main.import_wh", "main.export_wh", "heat_sink.tank_mc"
FEEDER_NOISE_MA = 500
MOST_WH = 10**13  # more than any counter of a home shows


@dataclass(frozen=True, slots=True)
class Slot:
    """One reading of the image: name, unit (`ma`, `mv`, `mc`, `w`, `wh`, `state`), source.

    `least` and `most` bound what is plausible; a reading outside becomes IMPLAUSIBLE. `turned`:
    what its source says is taken with the other sign, a `state` as its opposite.
    """

    name: str
    unit: str
    source: PointRef
    least: int
    most: int
    turned: bool = False


@dataclass(frozen=True, slots=True)
class MainsSlots:
    """Where the readings at the main lugs lie, by leg; -1: there is none."""

    currents: tuple[int, int]
    powers: tuple[int, int]
    voltages: tuple[int, int]
    imported: int
    exported: int


@dataclass(frozen=True, slots=True)
class CircuitSlots:
    """Where a circuit's readings lie. `currents` has one for each of its legs that is metered: a
    single CT on a balanced load is there for both. `acked` is the last order that its relay board
    acknowledged, `refused` how often it refused the present one: to close, or below 0 to open.
    -1: there is none.
    """

    legs: tuple[int, ...]
    currents: tuple[int, ...]
    powers: tuple[int, ...]
    counters: tuple[int, ...]
    relay: int
    acked: int
    refused: int

    def current(self, leg: int) -> int:
        """The current of a leg, or -1."""
        return dict(zip(self.legs, self.currents, strict=True)).get(leg, -1)

    def on_leg(self, leg: int) -> list[int]:
        """The currents of a leg: one, or none."""
        return [n for each, n in zip(self.legs, self.currents, strict=True) if each == leg]


@dataclass(frozen=True, slots=True)
class FeederSlots:
    """Where a feeder's currents lie, by leg."""

    legs: tuple[int, ...]
    currents: tuple[int, ...]

    def current(self, leg: int) -> int:
        """The current of a leg, or -1 where the feeder has no meter."""
        return dict(zip(self.legs, self.currents, strict=False)).get(leg, -1)


class Slots:
    """The slots of a panel's image, by what they are of. `read` come from devices; after them come
    the last orders that relay boards acknowledged, and refused. Nobody else knows how a slot is
    called.
    """

    def __init__(self, panel: Panel) -> None:
        self.read = image_slots(panel)
        boards = [c.id for c in panel.circuits if c.relay_device is not None]
        of_boards = [f"{ident}.{what}" for what in ("acked", "refused") for ident in boards]
        self.names = [slot.name for slot in self.read] + of_boards
        number = {name: n for n, name in enumerate(self.names)}

        def mains(unit: str) -> tuple[int, int]:
            return (number[f"main.a_{unit}"], number[f"main.b_{unit}"])

        self.mains = MainsSlots(
            mains("ma"),
            mains("w"),
            mains("mv"),
            number.get(IMPORTED, -1),
            number.get(EXPORTED, -1),
        )
        self.tank = number.get(TANK, -1)
        self._circuits = {c.id: _circuit_slots(c, number) for c in panel.circuits}
        self._feeders = {
            f.id: FeederSlots(f.legs, tuple(number[f"{f.id}.{LEGS[leg]}_ma"] for leg in f.legs))
            if f.currents
            else FeederSlots((), ())
            for f in panel.feeders
        }

    def circuit(self, ident: str) -> CircuitSlots:
        """Those of a circuit. Raises KeyError."""
        return self._circuits[ident]

    def feeder(self, ident: str) -> FeederSlots:
        """Those of a feeder. Raises KeyError."""
        return self._feeders[ident]


def _current_slots(circuit: Circuit) -> dict[PointRef, str]:
    """One slot a meter point: it is named for the first leg of the circuit that has the point."""
    names: dict[PointRef, str] = {}
    for meter in circuit.currents:
        names.setdefault(meter.current, f"{circuit.id}.{LEGS[meter.leg]}_ma")
    return names


def _circuit_slots(circuit: Circuit, number: Mapping[str, int]) -> CircuitSlots:
    names = _current_slots(circuit)
    return CircuitSlots(
        tuple(meter.leg for meter in circuit.currents),
        tuple(number[names[meter.current]] for meter in circuit.currents),
        tuple(number[f"{circuit.id}.{n}_w"] for n in range(len(circuit.power))),
        tuple(number[f"{circuit.id}.{n}_wh"] for n in range(len(circuit.energy))),
        number.get(f"{circuit.id}.relay", -1),
        number.get(f"{circuit.id}.acked", -1),
        number.get(f"{circuit.id}.refused", -1),
    )


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
        slots.append(Slot(TANK, "mc", panel.heat_sink.sensor, -20_000, 120_000))
    for circuit in panel.circuits:
        # A branch circuit may show a motor's locked rotor, six times its rating, and a bit more.
        branch_ma = int(circuit.breaker.rating_a * 10_000)
        for source, name in _current_slots(circuit).items():
            slots.append(Slot(name, "ma", source, -branch_ma, branch_ma))
        for index, source in enumerate(circuit.power):
            branch_w = branch_ma // 1000 * 250
            slots.append(Slot(f"{circuit.id}.{index}_w", "w", source, -branch_w, branch_w))
        for index, source in enumerate(circuit.energy):
            slots.append(Slot(f"{circuit.id}.{index}_wh", "wh", source, -MOST_WH, MOST_WH))
        if circuit.relay_device is not None:
            output, inverted = f"output_{circuit.relay_output}", circuit.relay_inverted
            source = PointRef(circuit.relay_device, output, inverted)
            slots.append(Slot(f"{circuit.id}.relay", "state", source, 0, 1))
    turned = {device.name for device in panel.devices if device.inverted}
    # Loads only ever draw; so do feeders, which have no source behind them.
    noise_ma = {c.id: round(c.noise_a * 1000) for c in panel.circuits if c.source is None}
    noise_ma |= {feeder.id: FEEDER_NOISE_MA for feeder in panel.feeders}
    return [_in_our_sense(slot, turned, noise_ma) for slot in slots]


def _in_our_sense(slot: Slot, devices: Set[str], noise_ma: Mapping[str, int]) -> Slot:
    """The slot, marked where what its source says is turned: by its own point, or by its device
    (one of `devices`) as far as that has a direction. Both together leave it as it is.

    A current of what only draws (one of `noise_ma`: what that may show for nothing) that is below 0
    when it has been turned had no direction to begin with: to take it for nothing would hide a
    load.
    """
    turns = slot.source.device in devices and slot.unit in ("ma", "w")
    if turns == slot.source.turned:
        return slot
    owner, least = slot.name.partition(".")[0], slot.least
    if slot.unit == "ma" and owner in noise_ma:
        least = -noise_ma[owner]
    return replace(slot, turned=True, least=least)


def energy_counters(service: Service) -> list[tuple[str, PointRef]]:
    """The counters at the main lugs, by the name of their slot."""
    both = ((IMPORTED, service.import_energy), (EXPORTED, service.export_energy))
    return [(name, point) for name, point in both if point is not None]
