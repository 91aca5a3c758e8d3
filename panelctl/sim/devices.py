"""Simulated Modbus devices: the plant's truth as registers, through the same maps.

A register that a map does not have is refused as a real device refuses it. Meters show a value with
a little noise, renewed once a window. The same map on both sides cancels a wrong map out; only a
recording of a real device can prove one, which is why maps carry their evidence.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable

from panelctl.modbus.codec import decode_value, encode_value
from panelctl.modbus.filling import has_sign
from panelctl.modbus.identity import SERIAL
from panelctl.modbus.maps import Point, RegisterMap, load_map
from panelctl.model.metering import PointRef
from panelctl.model.panel import Device, Panel
from panelctl.sim.plant import Charger, Contact, Node, Plant, PlantCircuit, PlantFeeder
from panelctl.sim.registers import Shown, Window, Words

ILLEGAL_ADDRESS = 2
ILLEGAL_VALUE = 3
METER_WINDOW_S = 0.02
MODEL_CODE = (1760).to_bytes(2, "big")  # of an EM540
NODE_MARK = (0x504E, 1)  # "PN", and the map's version
Source = Callable[[], float]
Show = Callable[[PointRef, Source, Source], None]  # a point; what it shows; and what backwards
NOISE_RATIO = 0.001  # a class 0.5 meter's noise, well inside its error


class Refusal(Exception):
    """The device answers with this Modbus exception code."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(code)


class SimDevice:
    """A device's registers and bits. Subclasses say what stands in them."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.map: RegisterMap = load_map(device.map)
        self.serial = zlib.crc32(device.name.encode())  # its serial number
        self.writes = 0  # how often it was told something

    def serial_words(self) -> dict[int, int]:
        """The registers that hold its serial number, by address; empty where its map has none."""
        point = self.map.points.get(SERIAL)
        if point is None:
            return {}
        if point.type == "text":
            text = f"{self.serial:010d}".encode()[: 2 * point.count].ljust(2 * point.count, b"\0")
            words = [int.from_bytes(text[n : n + 2], "big") for n in range(0, len(text), 2)]
        else:
            words = encode_value(point, self.serial)
        return dict(zip(range(point.address, point.end), words, strict=True))

    def read(self, table: str, address: int, count: int, time_s: float) -> bytes:
        """Registers or bits, as they go over the wire. Raises Refusal."""
        raise Refusal(ILLEGAL_ADDRESS)

    def write_coil(self, address: int, on: bool) -> None:
        """Drive a coil. Raises Refusal."""
        raise Refusal(ILLEGAL_ADDRESS)

    def write_registers(self, address: int, words: list[int]) -> None:
        """Write holding registers. Raises Refusal."""
        raise Refusal(ILLEGAL_ADDRESS)


class SimMeter(SimDevice):
    """A meter: each point shows what a function of the plant returns, in the point's unit."""

    def __init__(
        self,
        device: Device,
        shown: dict[str, Callable[[], float]],
        seed: int,
        window_s: float = METER_WINDOW_S,
    ) -> None:
        super().__init__(device)
        self.words = {"holding": Words(), "input": Words()}
        for point in self.map.points.values():
            if point.table in self.words:
                for address in range(point.address, point.end):
                    self.words[point.table][address] = 0
        if SERIAL in self.map.points:
            for address, word in self.serial_words().items():
                self.words[self.map.points[SERIAL].table][address] = word
        legs = [shown[name] for name in ("l1_w", "l2_w", "l3_w") if name in shown]
        if legs and "total_w" in self.map.points:
            shown = {"total_w": lambda: sum(leg() for leg in legs), **shown}
        self._shown = [
            Shown(self.map.points[name], source, self.words[self.map.points[name].table])
            for name, source in shown.items()
        ]
        self._windows: dict[tuple[str, int, int], Window] = {}  # of what is read
        self._random = random.Random(f"{seed} {device.name}")
        self.window_s = window_s
        self.frozen = False
        self.swapped = False  # the words of what it shows stand in the wrong order
        self.spoil: Callable[[Point, float], float] | None = None  # what it shows instead
        if self.map.id == "carlo_gavazzi_em540":
            for undocumented in range(52):
                self.words["input"][undocumented] = 0

    def read(self, table: str, address: int, count: int, time_s: float) -> bytes:
        """Registers; each point in them takes a new value once a window."""
        if count == 1 and address in self.map.isolated:
            return MODEL_CODE  # an EM540's hides behind a single-register read
        place = (table, address, count)
        window = self._windows.get(place) or self._look(*place)
        if not self.frozen:
            dice, spoil = self._random.random, self.spoil
            window.renew(time_s, self.window_s, dice, NOISE_RATIO, spoil, self.swapped)
        data = window.data()
        if data is None:
            raise Refusal(ILLEGAL_ADDRESS)
        return data

    def _look(self, table: str, address: int, count: int) -> Window:
        """Where such a read looks."""
        words, span = self.words.get(table), range(address, address + count)
        if words is None or count > self.map.max_registers:
            raise Refusal(ILLEGAL_ADDRESS)
        shown = [s for s in self._shown if s.point.table == table and s.point.address in span]
        window = self._windows[table, address, count] = Window(words, address, count, shown)
        return window


class SimRelayBoard(SimDevice):
    """A relay board: coils drive contacts, discrete inputs show where the contacts really are.

    `contacts` are those of the loads, by output; a load whose output is one of `closed_by_rest` is
    on the normally closed contact, and open while its coil is driven.
    """

    def __init__(
        self,
        device: Device,
        contacts: dict[int, Contact],
        closed_by_rest: frozenset[int] = frozenset(),
    ) -> None:
        super().__init__(device)
        assert self.map.relay is not None
        self.contacts = contacts
        self._closed_by_rest = closed_by_rest
        self._outputs = self.map.relay.outputs
        self._coil = self.map.relay.coil
        self._state = self.map.points["output_1"].address
        self._spare = Contact()
        self.on_order: Callable[[int, bool], None] = lambda output, closed: None

    def _contact(self, output: int) -> Contact:
        return self.contacts.get(output, self._spare)

    def read(self, table: str, address: int, count: int, time_s: float) -> bytes:
        """Coils (as ordered) or discrete inputs (as they are); or its serial number."""
        if table in ("holding", "input"):
            return self._read_serial(table, address, count)
        first = {"coil": self._coil, "discrete": self._state}.get(table)
        if first is None or not first <= address <= address + count <= first + self._outputs:
            raise Refusal(ILLEGAL_ADDRESS)
        bits = 0
        for n in range(count):
            output = address - first + n + 1
            contact = self._contact(output)
            closed = contact.ordered if table == "coil" else contact.closed
            bits |= (closed != (output in self._closed_by_rest)) << n
        return bits.to_bytes((count + 7) // 8, "little")

    def _read_serial(self, table: str, address: int, count: int) -> bytes:
        words = self.serial_words()
        if not words or table != self.map.points[SERIAL].table:
            raise Refusal(ILLEGAL_ADDRESS)
        if not all(n in words for n in range(address, address + count)):
            raise Refusal(ILLEGAL_ADDRESS)
        return b"".join(words[n].to_bytes(2, "big") for n in range(address, address + count))

    def write_coil(self, address: int, on: bool) -> None:
        """Drive an output."""
        if not self._coil <= address < self._coil + self._outputs:
            raise Refusal(ILLEGAL_ADDRESS)
        output = address - self._coil + 1
        if output in self.contacts:
            self.on_order(output, on != (output in self._closed_by_rest))
        self.drive(output, on)

    def drive(self, output: int, on: bool) -> None:
        """Let current through the coil of an output, or take it away."""
        self._contact(output).order(on != (output in self._closed_by_rest))


class SimCharger(SimMeter):
    """A charging station that takes a set-point.

    Real ones have vices: it `keeps` its old value and acknowledges all the same; takes whole
    multiples of `rounds_a`; `refuses` with that Modbus exception (0: none). One that goes back to
    its safe current sooner than its map says has a `charger.patience_s` of its own.
    """

    def __init__(
        self, device: Device, shown: dict[str, Callable[[], float]], seed: int, charger: Charger
    ) -> None:
        super().__init__(device, shown, seed)
        self.charger = charger
        self.on_lower: Callable[[], None] = lambda: None
        self.keeps = False
        self.rounds_a = 0.0
        self.refuses = 0
        self.stopped = False  # by its own register for that
        self._kept_a = charger.setpoint_a
        if self.map.failsafe is not None:
            charger.patience_s = self.map.failsafe.timeout_s

    @property
    def told_a(self) -> float:
        """What it goes by: what it was told last, or its safe current when that is long ago."""
        charger = self.charger
        return charger.setpoint_a if charger.quiet_s < charger.patience_s else charger.fallback_a

    def read(self, table: str, address: int, count: int, time_s: float) -> bytes:
        """Registers, its set-point among them."""
        _show_told(self, table, self._kept_a if self.stopped else self.told_a)
        return super().read(table, address, count, time_s)

    def write_registers(self, address: int, words: list[int]) -> None:
        """Take the set-point: 0 for a pause where it has no other way, or `least` to `most`."""
        setpoint, pause = self.map.setpoint, self.map.pause
        if setpoint is None or address != setpoint.point.address:
            self._pause("holding", address, words[0])
            return
        if self.refuses:
            raise Refusal(self.refuses)
        value = decode_value(setpoint.point, words) if len(words) == setpoint.point.count else None
        paused = value == 0 and pause is None
        if value is None or not (paused or setpoint.least <= value <= setpoint.most):
            raise Refusal(ILLEGAL_VALUE)
        if not self.keeps:
            told_a = float(value)
            self.overwrite(told_a // self.rounds_a * self.rounds_a if self.rounds_a else told_a)

    def write_coil(self, address: int, on: bool) -> None:
        """Stop or run, where it has a coil for that."""
        self._pause("coil", address, int(on))

    def overwrite(self, value_a: float) -> None:
        """Somebody tells it another set-point, past everything that it would refuse."""
        self._kept_a = value_a
        self._tell()

    def _pause(self, table: str, address: int, word: int) -> None:
        pause = self.map.pause
        if pause is None or (pause.table, pause.address) != (table, address):
            raise Refusal(ILLEGAL_ADDRESS)
        if word not in (pause.stop, pause.run):
            raise Refusal(ILLEGAL_VALUE)
        self.stopped = word == pause.stop
        self._tell()

    def _tell(self) -> None:
        value_a = 0.0 if self.stopped else self._kept_a
        if value_a < self.charger.setpoint_a:
            self.on_lower()
        self.charger.tell(value_a)


class SimNode(SimMeter):
    """A compute node that takes a budget with a lease; `refuses` with that exception (0: none)."""

    def __init__(
        self, device: Device, shown: dict[str, Callable[[], float]], seed: int, node: Node
    ) -> None:
        super().__init__(device, shown, seed)
        self.node = node
        self.on_budget: Callable[[float], None] = lambda budget_w: None
        self.words["holding"][0], self.words["holding"][1] = NODE_MARK
        self.refuses = 0

    def read(self, table: str, address: int, count: int, time_s: float) -> bytes:
        """Registers, the budget that it goes by among them."""
        _show_told(self, table, self.node.budget_w)
        return super().read(table, address, count, time_s)

    def write_registers(self, address: int, words: list[int]) -> None:
        """Take budget, lease and request in one write."""
        setpoint = self.map.setpoint
        if setpoint is None or address != setpoint.point.address or len(words) != 5:
            raise Refusal(ILLEGAL_ADDRESS)
        if self.refuses:
            raise Refusal(self.refuses)
        budget_w = words[0] << 16 | words[1]
        if budget_w > setpoint.most or words[3] not in (0, 1):
            raise Refusal(ILLEGAL_VALUE)
        self.node.tell(float(budget_w), words[2] / 1000.0, words[3] == 1)
        self.on_budget(float(budget_w))


def _show_told(device: SimMeter, table: str, value: float) -> None:
    """Put what it was told where it shows it, without a meter's noise."""
    point = device.map.setpoint.readback if device.map.setpoint is not None else None
    if point is not None and point.table == table:
        for address, word in enumerate(encode_value(point, value), point.address):
            device.words[table][address] = word


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
            devices[device.name] = SimNode(device, _node_points(fed.node), seed, fed.node)
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


def _node_points(node: Node) -> dict[str, Callable[[], float]]:
    return {
        "total_w": lambda: node.draw_w,
        "lease_left_s": lambda: node.lease_s,
        "floor_w": lambda: node.floor_w,
        "top_w": lambda: node.max_w,
    }
