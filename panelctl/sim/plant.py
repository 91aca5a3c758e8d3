"""The physical truth of a simulated panel: what flows where, at this moment.

Rules
- Unity power factor and stiff voltage: a circuit draws its power over its legs, 120 V each.
- A source (PV, battery) gives `demand_w`; a battery that is charged gives less than 0.
- Set-points and relay orders take effect with the lag of the thing they are given to.
- Nothing in here knows what the controller believes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from panelctl.model.circuit import Circuit, Role
from panelctl.model.panel import Panel
from panelctl.sim.breakers import ThermalBreaker

RELAY_S = 0.015  # operate and release time of a power relay (HF32FV class)
NODE_TAU_S = 0.12
NODE_IDLE_W = 150.0
THERE_W = 0.1  # from here on it has arrived
CAR_TAU_S = 0.25
CAR_DELAY_S = 0.25  # a car looks at its pilot signal about so often
CAR_MIN_A = 6.0


@dataclass(slots=True)
class Contact:
    """A relay's contact. `welded` never opens, `stuck_open` never closes."""

    closed: bool = True
    ordered: bool = True
    moves_in_s: float = 0.0
    welded: bool = False
    stuck_open: bool = False
    takes_s: float = RELAY_S

    def order(self, closed: bool) -> None:
        """The board drives the coil."""
        if closed != self.ordered:
            self.ordered = closed
            self.moves_in_s = self.takes_s

    def step(self, dt_s: float) -> None:
        """Let the contact follow."""
        if self.closed == self.ordered:
            return
        self.moves_in_s -= dt_s
        if self.moves_in_s <= 0 and not (self.welded if self.closed else self.stuck_open):
            self.closed = self.ordered


@dataclass(slots=True)
class Node:
    """A compute node: draws up to its budget, falls to its floor when the lease runs out.

    `ignores` makes it draw `max_w` whatever it is told, until its power is cut; `dead` nothing.
    """

    floor_w: float
    max_w: float
    budget_w: float = 0.0
    lease_s: float = 0.0
    stopped: bool = False
    ignores: bool = False
    dead: bool = False
    tau_s: float = NODE_TAU_S
    draw_w: float = 0.0
    jobs_ratio: float = 1.0

    def tell(self, budget_w: float, lease_s: float, stop: bool) -> None:
        """Take a budget from the controller."""
        self.budget_w = budget_w
        self.lease_s = lease_s
        self.stopped = stop

    def step(self, powered: bool, dt_s: float) -> None:
        """Follow the budget with a lag."""
        if not powered or self.dead:
            self.draw_w = 0.0
            return
        self.lease_s = max(0.0, self.lease_s - dt_s)
        allowed_w = self.budget_w if self.lease_s > 0 else min(self.budget_w, self.floor_w)
        wanted_w = min(self.max_w * self.jobs_ratio, max(allowed_w, 0.0))
        if self.stopped:
            wanted_w = NODE_IDLE_W
        if self.ignores:
            wanted_w = self.max_w
        self.draw_w += (wanted_w - self.draw_w) * (1.0 - math.exp(-dt_s / self.tau_s))
        if abs(wanted_w - self.draw_w) < THERE_W:
            self.draw_w = wanted_w


@dataclass(slots=True)
class Charger:
    """A charging station with a car. A per leg; the car follows the pilot signal with a delay."""

    max_a: float
    fallback_a: float
    setpoint_a: float = 0.0
    patience_s: float = 30.0
    quiet_s: float = 0.0
    car_a: float = 0.0  # the most the car takes; 0 without a car
    draw_a: float = 0.0
    _pilot_a: float = 0.0
    _look_s: float = 0.0

    def tell(self, setpoint_a: float) -> None:
        """Take a set-point from the controller."""
        self.setpoint_a = setpoint_a
        self.quiet_s = 0.0

    def step(self, powered: bool, dt_s: float) -> None:
        """Let the car follow."""
        self.quiet_s += dt_s
        allowed_a = self.setpoint_a if self.quiet_s < self.patience_s else self.fallback_a
        self._look_s = round(self._look_s - dt_s, 9)  # alike in many steps and in one long one
        if self._look_s <= 0:
            self._pilot_a = min(allowed_a, self.max_a)
            self._look_s += CAR_DELAY_S * (1 + -self._look_s // CAR_DELAY_S)
        target_a = min(self.car_a, self._pilot_a) if self._pilot_a >= CAR_MIN_A else 0.0
        if not powered:
            self.draw_a = 0.0
            return
        self.draw_a += (target_a - self.draw_a) * (1.0 - math.exp(-dt_s / CAR_TAU_S))
        if target_a == 0.0 and self.draw_a < 0.1:
            self.draw_a = 0.0


@dataclass(slots=True)
class Tank:
    """Water that takes the node's heat above a cooler's, and gives `use_w` to the house."""

    cooler_w: float
    litres: float = 200.0
    temperature_c: float = 50.0
    use_w: float = 1000.0

    def step(self, node_w: float, dt_s: float) -> None:
        """Warm up or cool down; 4186 J warm a litre by a degree."""
        gain_w = max(node_w - self.cooler_w, 0.0) - self.use_w
        self.temperature_c += gain_w * dt_s / (4186.0 * self.litres)


@dataclass(slots=True)
class PlantCircuit:
    """One branch circuit: its appliance's wish, its breaker and its contact."""

    circuit: Circuit
    breaker: ThermalBreaker
    contact: Contact
    demand_w: float = 0.0
    flicker_ratio: float = 0.0
    node: Node | None = None
    charger: Charger | None = None
    current_a: float = 0.0
    opened: int = 0
    turns: int = 0  # how often its demand or its power has changed
    moves: bool = False  # it has a node or a charger, which go on by themselves
    volts: float = 0.0  # across the load at 240 V leg to leg
    still_s: float = 0.0  # for so long the current has been the same and is not accounted for yet
    _energy_wh: float = 0.0
    _known_w: float = -1.0  # what the present current follows from: the demand,
    _known_ratio: float = 0.0  # its flicker,
    _known_powered: bool = False  # and whether anything could flow

    def __post_init__(self) -> None:
        self.volts = 120.0 * len(self.circuit.legs)

    def changes(self, main_closed: bool) -> bool:
        """Whether another current may flow in the next step, of what does not move by itself."""
        contact = self.contact
        closed = contact.closed
        return (
            closed is not contact.ordered
            or self._known_w != self.demand_w
            or self._known_ratio != self.flicker_ratio
            or self._known_powered is not (closed and main_closed and not self.breaker.tripped)
        )

    @property
    def powered(self) -> bool:
        """Whether anything can flow."""
        return self.contact.closed and not self.breaker.tripped

    @property
    def power_w(self) -> float:
        """Watts that flow into the circuit now; below 0 for a source that gives."""
        return self.current_a * self.volts

    @property
    def energy_wh(self) -> float:
        """What has flowed into the circuit, Wh."""
        return self._energy_wh + self.power_w * self.still_s / 3600.0

    def flow(self, main_closed: bool, dt_s: float) -> bool:
        """Let `dt_s` pass; True when another current flows at its end."""
        contact = self.contact
        if contact.closed is not contact.ordered:
            was_closed = contact.closed
            contact.step(dt_s)
            self.opened += was_closed and not contact.closed
        powered = contact.closed and not self.breaker.tripped and main_closed
        if self.node is not None:
            self.node.step(powered, dt_s)
            current_a = self.node.draw_w / self.volts
        elif self.charger is not None:
            self.charger.step(powered, dt_s)
            current_a = self.charger.draw_a
        else:
            self.turns += self._known_w != self.demand_w or self._known_powered is not powered
            self._known_w, self._known_ratio = self.demand_w, self.flicker_ratio
            self._known_powered = powered
            demand_w = self.demand_w * (1.0 + self.flicker_ratio)
            current_a = demand_w / self.volts if powered else 0.0
        if self.circuit.source is not None:
            current_a = -current_a
        if current_a == self.current_a:
            return False
        self.settle()
        self.current_a = current_a
        return True

    def settle(self) -> bool:
        """Account for the time in which nothing changed; True when the breaker tripped in it."""
        if self.still_s == 0.0:
            return False
        still_s, self.still_s = self.still_s, 0.0
        self._energy_wh += self.power_w * still_s / 3600.0
        return self.breaker.step([self.current_a], still_s)


@dataclass
class Plant:
    """The whole panel. `legs_a` are the currents at the main lugs, `trips` what has tripped."""

    circuits: dict[str, PlantCircuit]
    main: ThermalBreaker
    legs_a: list[float] = field(default_factory=lambda: [0.0, 0.0])
    volts: float = 120.0
    time_s: float = 0.0
    trips: list[str] = field(default_factory=list)
    bus_a: list[float] = field(default_factory=lambda: [0.0, 0.0])  # what all loads of a leg draw
    neutral_a: float = 0.0  # at the main lugs
    tank: Tank | None = None
    grid: bool = True  # False: an outage
    import_wh: float = 0.0  # through the main lugs
    export_wh: float = 0.0

    def __post_init__(self) -> None:
        self._items = list(self.circuits.values())
        self._nodes = [item for item in self._items if item.node is not None]

    @classmethod
    def of(cls, panel: Panel) -> Plant:
        """A plant with the circuits of a panel, everything closed and nothing on."""
        circuits = {}
        for circuit in panel.circuits:
            plant = PlantCircuit(
                circuit,
                ThermalBreaker(circuit.breaker.rating_a, len(circuit.legs)),
                Contact(),
            )
            modulation = circuit.modulation
            if modulation is not None and circuit.is_compute:
                plant.node = Node(float(modulation.floor_w), float(modulation.max_w))
            elif modulation is not None and circuit.role is Role.MODULATED:
                plant.charger = Charger(modulation.max_a, modulation.fallback_a)
                plant.charger.setpoint_a = modulation.fallback_a
            plant.moves = plant.node is not None or plant.charger is not None
            circuits[circuit.id] = plant
        tank = Tank(float(panel.heat_sink.rejector_w)) if panel.heat_sink else None
        return cls(circuits, ThermalBreaker(panel.service.breaker.rating_a, 2), tank=tank)

    def step(self, dt_s: float) -> None:
        """Let `dt_s` pass."""
        self.time_s += dt_s
        changed = False
        main_closed = self.grid and not self.main.tripped
        for item in self._items:
            if (item.moves or item.changes(main_closed)) and item.flow(main_closed, dt_s):
                changed = True
            item.still_s += dt_s
            # Below what its breaker carries for ever nothing can trip: then it is settled later.
            if abs(item.current_a) > item.breaker.holds_a and item.settle():
                self.trips.append(item.circuit.id)
        if changed:
            self._add_up()
        grid_wh = (self.legs_a[0] + self.legs_a[1]) * self.volts * dt_s / 3600.0
        if grid_wh >= 0.0:
            self.import_wh += grid_wh
        else:
            self.export_wh -= grid_wh
        if self.main.step(self.legs_a, dt_s):
            self.trips.append("main")
        if self.tank is not None:
            node_w = sum(item.power_w for item in self._nodes)
            self.tank.step(node_w, dt_s)

    def carries(self, for_s: float) -> bool:
        """Whether no breaker would trip within `for_s` if everything went on as it is."""
        return self.main.carries(self.legs_a, for_s) and all(
            item.breaker.carries([item.current_a], item.still_s + for_s) for item in self._items
        )

    def _add_up(self) -> None:
        legs, bus = [0.0, 0.0], [0.0, 0.0]
        for item in self._items:
            current_a = item.current_a
            if current_a != 0.0:
                for leg in item.circuit.legs:
                    legs[leg] += current_a
                    if current_a > 0.0:
                        bus[leg] += current_a
        self.legs_a, self.bus_a, self.neutral_a = legs, bus, abs(legs[0] - legs[1])

    def household_a(self, leg: int) -> float:
        """What the leg carries apart from the compute circuits, A."""
        return self.legs_a[leg] - sum(
            [item.current_a for item in self._nodes if leg in item.circuit.legs]
        )
