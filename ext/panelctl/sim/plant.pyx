"""The physical truth of a simulated panel: what flows where, at this moment.

Compiled because campaigns step it some millions of times; everything can be read and set from
Python as before.

Rules
- Unity power factor and stiff voltage: a circuit draws its power over its legs, 120 V each.
- A source (PV, battery) gives `demand_w`; a battery that is charged gives less than 0.
- Set-points and relay orders take effect with the lag of the thing they are given to.
- Nothing in here knows what the controller believes.
"""

from libc.math cimport exp, fabs

from panelctl.sim.breakers cimport ThermalBreaker

from panelctl.model.circuit import Role

RELAY_S = 0.015  # operate and release time of a power relay (HF32FV class)
NODE_TAU_S = 0.12
cdef double NODE_IDLE_W = 150.0
cdef double THERE_W = 0.1  # from here on it has arrived
cdef double CAR_TAU_S = 0.25
CAR_DELAY_S = 0.25  # a car looks at its pilot signal about so often
cdef double CAR_MIN_A = 6.0
cdef double J_PER_LITRE = 4186.0  # and kelvin


cdef class Contact:
    """A relay's contact. `welded` never opens, `stuck_open` never closes."""

    cdef public bint closed, ordered, welded, stuck_open
    cdef public double moves_in_s, takes_s

    def __init__(self):
        self.closed = self.ordered = True
        self.takes_s = RELAY_S

    def order(self, bint closed):
        """The board drives the coil."""
        if closed != self.ordered:
            self.ordered = closed
            self.moves_in_s = self.takes_s

    cdef void step(self, double dt_s) noexcept:
        """Let the contact follow."""
        if self.closed == self.ordered:
            return
        self.moves_in_s -= dt_s
        if self.moves_in_s <= 0 and not (self.welded if self.closed else self.stuck_open):
            self.closed = self.ordered


cdef class Node:
    """A compute node: draws up to its budget, falls to its floor when the lease runs out.

    `ignores` makes it draw `max_w` whatever it is told, until its power is cut; `dead` nothing.
    """

    cdef public double floor_w, max_w, budget_w, lease_s, tau_s, draw_w, jobs_ratio
    cdef public bint stopped, ignores, dead

    def __init__(self, double floor_w, double max_w):
        self.floor_w, self.max_w = floor_w, max_w
        self.tau_s = NODE_TAU_S
        self.jobs_ratio = 1.0

    def tell(self, double budget_w, double lease_s, bint stop):
        """Take a budget from the controller."""
        self.budget_w, self.lease_s, self.stopped = budget_w, lease_s, stop

    cdef void step(self, bint powered, double dt_s) noexcept:
        """Follow the budget with a lag."""
        cdef double allowed_w, wanted_w
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
        self.draw_w += (wanted_w - self.draw_w) * (1.0 - exp(-dt_s / self.tau_s))
        if fabs(wanted_w - self.draw_w) < THERE_W:
            self.draw_w = wanted_w


cdef class Charger:
    """A charging station with a car. A per leg; the car follows the pilot signal with a delay.

    `car_a` is the most the car takes; 0 without a car.
    """

    cdef public double max_a, fallback_a, setpoint_a, patience_s, quiet_s, car_a, draw_a
    cdef double _pilot_a, _look_s

    def __init__(self, double max_a, double fallback_a):
        self.max_a, self.fallback_a = max_a, fallback_a
        self.setpoint_a = fallback_a
        self.patience_s = 30.0

    def tell(self, double setpoint_a):
        """Take a set-point from the controller."""
        self.setpoint_a = setpoint_a
        self.quiet_s = 0.0

    cdef int step(self, bint powered, double dt_s) except -1:
        """Let the car follow."""
        cdef double allowed_a, target_a
        self.quiet_s += dt_s
        allowed_a = self.setpoint_a if self.quiet_s < self.patience_s else self.fallback_a
        self._look_s = round(<object>(self._look_s - dt_s), 9)  # alike in many steps and in one
        if self._look_s <= 0:
            self._pilot_a = min(allowed_a, self.max_a)
            self._look_s += CAR_DELAY_S * (1 + -<object>self._look_s // CAR_DELAY_S)
        target_a = min(self.car_a, self._pilot_a) if self._pilot_a >= CAR_MIN_A else 0.0
        if not powered:
            self.draw_a = 0.0
            return 0
        self.draw_a += (target_a - self.draw_a) * (1.0 - exp(-dt_s / CAR_TAU_S))
        if target_a == 0.0 and self.draw_a < 0.1:
            self.draw_a = 0.0
        return 0


cdef class Tank:
    """Water that takes the node's heat above a cooler's, and gives `use_w` to the house."""

    cdef public double cooler_w, litres, temperature_c, use_w

    def __init__(self, double cooler_w):
        self.cooler_w = cooler_w
        self.litres, self.temperature_c, self.use_w = 200.0, 50.0, 1000.0

    cdef void step(self, double node_w, double dt_s) noexcept:
        """Warm up or cool down."""
        cdef double gain_w = max(node_w - self.cooler_w, 0.0) - self.use_w
        self.temperature_c += gain_w * dt_s / (J_PER_LITRE * self.litres)


cdef class PlantCircuit:
    """One branch circuit: its appliance's wish, its breaker and its contact.

    `turns`: how often its demand or its power has changed. `moves`: it has a node or a charger,
    which go on by themselves. `volts`: across the load at 240 V leg to leg.
    """

    cdef readonly object circuit
    cdef public ThermalBreaker breaker
    cdef readonly Contact contact
    cdef public double demand_w, flicker_ratio, current_a
    cdef readonly Node node
    cdef readonly Charger charger
    cdef readonly int opened, turns
    cdef readonly bint moves
    cdef readonly double volts
    cdef double _still_s  # for so long the current has been the same and is not accounted for yet
    cdef double _energy_wh
    cdef double _known_w, _known_ratio  # what the present current follows from: demand, flicker,
    cdef bint _known_powered  # and whether anything could flow
    cdef bint _source
    cdef bint[2] _on  # the legs that it is on

    def __init__(self, circuit):
        modulation = circuit.modulation
        self.circuit = circuit
        self.breaker = ThermalBreaker(circuit.breaker.rating_a, len(circuit.legs))
        self.contact = Contact()
        if modulation is not None and circuit.is_compute:
            self.node = Node(float(modulation.floor_w), float(modulation.max_w))
        elif modulation is not None and circuit.role is Role.MODULATED:
            self.charger = Charger(modulation.max_a, modulation.fallback_a)
        self.moves = self.node is not None or self.charger is not None
        self.volts = 120.0 * len(circuit.legs)
        self._known_w = -1.0
        self._source = circuit.source is not None
        for leg in range(2):
            self._on[leg] = leg in circuit.legs

    cdef bint _changes(self, bint main_closed) noexcept:
        """Whether another current may flow in the next step, of what does not move by itself."""
        cdef Contact contact = self.contact
        return (
            contact.closed != contact.ordered
            or self._known_w != self.demand_w
            or self._known_ratio != self.flicker_ratio
            or self._known_powered != (contact.closed and main_closed and not self.breaker.tripped)
        )

    @property
    def powered(self):
        """Whether anything can flow."""
        return self.contact.closed and not self.breaker.tripped

    @property
    def power_w(self):
        """Watts that flow into the circuit now; below 0 for a source that gives."""
        return self.current_a * self.volts

    @property
    def energy_wh(self):
        """What has flowed into the circuit, Wh."""
        return self._energy_wh + self.current_a * self.volts * self._still_s / 3600.0

    cdef int _flow(self, bint main_closed, double dt_s) except -1:
        """Let `dt_s` pass; 1 when another current flows at its end."""
        cdef Contact contact = self.contact
        cdef double current_a
        cdef bint powered, was_closed
        if contact.closed != contact.ordered:
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
            self.turns += self._known_w != self.demand_w or self._known_powered != powered
            self._known_w, self._known_ratio = self.demand_w, self.flicker_ratio
            self._known_powered = powered
            current_a = 0.0
            if powered:
                current_a = self.demand_w * (1.0 + self.flicker_ratio) / self.volts
        if self._source:
            current_a = -current_a
        if current_a == self.current_a:
            return 0
        self._settle()
        self.current_a = current_a
        return 1

    cdef bint _settle(self) noexcept:
        """Account for the time in which nothing changed; True when the breaker tripped in it."""
        cdef double still_s = self._still_s
        if still_s == 0.0:
            return False
        self._still_s = 0.0
        self._energy_wh += self.current_a * self.volts * still_s / 3600.0
        return self.breaker.carry(self.current_a, self.current_a, still_s)


cdef class Plant:
    """The whole panel.

    `legs_a` are the currents at the main lugs, `neutral_a` of its neutral, `bus_a` what all loads
    of a leg draw; `trips` is what has tripped, `grid` False in an outage; `import_wh` and
    `export_wh` went through the main lugs.
    """

    cdef readonly dict circuits
    cdef public ThermalBreaker main
    cdef readonly list legs_a, bus_a, trips
    cdef public double volts
    cdef readonly double time_s, neutral_a, import_wh, export_wh
    cdef readonly Tank tank
    cdef public bint grid
    cdef list _items, _nodes
    cdef double _a, _b  # legs_a

    def __init__(self, panel):
        self.circuits = {circuit.id: PlantCircuit(circuit) for circuit in panel.circuits}
        self.main = ThermalBreaker(panel.service.breaker.rating_a, 2)
        self.legs_a, self.bus_a, self.trips = [0.0, 0.0], [0.0, 0.0], []
        self.volts = 120.0
        self.grid = True
        if panel.heat_sink:
            self.tank = Tank(float(panel.heat_sink.rejector_w))
        self._items = list(self.circuits.values())
        self._nodes = [item for item in self._items if item.node is not None]

    @classmethod
    def of(cls, panel):
        """A plant with the circuits of a panel, everything closed and nothing on."""
        return cls(panel)

    def step(self, double dt_s):
        """Let `dt_s` pass."""
        cdef PlantCircuit item
        cdef bint changed = False
        cdef bint main_closed = self.grid and not self.main.tripped
        cdef double grid_wh, node_w
        self.time_s += dt_s
        for item in self._items:
            if (item.moves or item._changes(main_closed)) and item._flow(main_closed, dt_s):
                changed = True
            item._still_s += dt_s
            # Below what its breaker carries for ever nothing can trip: then it is settled later.
            if fabs(item.current_a) > item.breaker.holds_a and item._settle():
                self.trips.append(item.circuit.id)
        if changed:
            self._add_up()
        grid_wh = (self._a + self._b) * self.volts * dt_s / 3600.0
        if grid_wh >= 0.0:
            self.import_wh += grid_wh
        else:
            self.export_wh -= grid_wh
        if self.main.carry(self._a, self._b, dt_s):
            self.trips.append("main")
        if self.tank is not None:
            node_w = 0.0
            for item in self._nodes:
                node_w += item.current_a * item.volts
            self.tank.step(node_w, dt_s)

    def carries(self, double for_s):
        """Whether no breaker would trip within `for_s` if everything went on as it is."""
        cdef PlantCircuit item
        if not self.main.would_carry(self._a, self._b, for_s):
            return False
        for item in self._items:
            if not item.breaker.would_carry(item.current_a, item.current_a, item._still_s + for_s):
                return False
        return True

    cdef int _add_up(self) except -1:
        cdef PlantCircuit item
        cdef double[2] legs = [0.0, 0.0]
        cdef double[2] bus = [0.0, 0.0]
        cdef double current_a
        cdef int leg
        for item in self._items:
            current_a = item.current_a
            if current_a != 0.0:
                for leg in range(2):
                    if item._on[leg]:
                        legs[leg] += current_a
                        if current_a > 0.0:
                            bus[leg] += current_a
        self._a, self._b = legs[0], legs[1]
        self.legs_a, self.bus_a = [legs[0], legs[1]], [bus[0], bus[1]]
        self.neutral_a = fabs(legs[0] - legs[1])
        return 0

    def household_a(self, int leg):
        """What the leg carries apart from the compute circuits, A."""
        cdef PlantCircuit item
        cdef double nodes_a = 0.0
        for item in self._nodes:
            if item._on[leg]:
                nodes_a += item.current_a
        return (self._b if leg else self._a) - nodes_a
