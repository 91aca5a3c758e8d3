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

cdef extern from "Python.h":
    object PyBytes_FromStringAndSize(const char *data, Py_ssize_t size)
    char *PyBytes_AsString(object data)

include "_loads.pxi"


cdef class PlantFeeder:
    """What feeds a subpanel: its breaker, and what its legs carry."""

    cdef readonly object feeder
    cdef readonly ThermalBreaker breaker
    cdef double[2] _amps

    def __init__(self, feeder):
        self.feeder = feeder
        self._put_in()

    def _put_in(self):
        self.breaker = ThermalBreaker(self.feeder.breaker.rating_a, 2)

    def leg_a(self, int leg):
        """What leg 0 or 1 carries, A."""
        if not 0 <= leg <= 1:
            raise IndexError(f"leg {leg}")
        return self._amps[leg]


cdef class PlantCircuit:
    """One branch circuit: its appliance's wish, its breaker and its contact.

    `turns`: how often its demand or its power has changed. `moves`: it has a node or a charger,
    which go on by themselves. `volts`: across the load at 240 V leg to leg.
    """

    cdef readonly object circuit
    cdef readonly ThermalBreaker breaker
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
    cdef tuple _feeders  # which its current passes on its way

    def __init__(self, circuit, feeders=()):
        modulation = circuit.modulation
        self.circuit = circuit
        self._feeders = tuple(feeders)
        self._put_in()
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

    def _put_in(self):
        self.breaker = ThermalBreaker(self.circuit.breaker.rating_a, len(self.circuit.legs))

    cdef bint _fed(self, bint main_closed) noexcept:
        """Whether every breaker on the way to its own is closed."""
        cdef PlantFeeder feeder
        for feeder in self._feeders:
            if feeder.breaker.tripped:
                return False
        return main_closed

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

    cdef readonly dict circuits, feeders
    cdef public ThermalBreaker main
    cdef readonly list legs_a, bus_a, trips
    cdef public double volts
    cdef readonly double time_s, neutral_a, import_wh, export_wh
    cdef readonly Tank tank
    cdef public bint grid
    cdef list _items, _nodes, _fed_by
    cdef double _a, _b  # legs_a
    cdef double _main_a

    def __init__(self, panel):
        self.feeders = {feeder.id: PlantFeeder(feeder) for feeder in panel.feeders}
        self._fed_by = list(self.feeders.values())
        self.circuits = {
            circuit.id: PlantCircuit(
                circuit, [item for item in self._fed_by if circuit.id in item.feeder.circuits]
            )
            for circuit in panel.circuits
        }
        self._main_a = panel.service.breaker.rating_a
        self.reset("main")
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

    def reset(self, name):
        """Somebody puts a breaker in again: "main", a feeder's or a circuit's; it is cool by then."""
        if name == "main":
            self.main = ThermalBreaker(self._main_a, 2)
        elif name in self.feeders:
            self.feeders[name]._put_in()
        else:
            self.circuits[name]._put_in()

    def step(self, double dt_s):
        """Let `dt_s` pass."""
        cdef PlantCircuit item
        cdef PlantFeeder feeder
        cdef bint fed, changed = False
        cdef bint main_closed = self.grid and not self.main.tripped
        cdef double grid_wh, node_w
        self.time_s += dt_s
        for item in self._items:
            fed = item._fed(main_closed) if item._feeders else main_closed
            if (item.moves or item._changes(fed)) and item._flow(fed, dt_s):
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
        for feeder in self._fed_by:
            if feeder.breaker.carry(feeder._amps[0], feeder._amps[1], dt_s):
                self.trips.append(feeder.feeder.id)
        if self.tank is not None:
            node_w = 0.0
            for item in self._nodes:
                node_w += item.current_a * item.volts
            self.tank.step(node_w, dt_s)

    def carries(self, double for_s):
        """Whether no breaker would trip within `for_s` if everything went on as it is."""
        cdef PlantCircuit item
        cdef PlantFeeder feeder
        if not self.main.would_carry(self._a, self._b, for_s):
            return False
        for feeder in self._fed_by:
            if not feeder.breaker.would_carry(feeder._amps[0], feeder._amps[1], for_s):
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
        cdef PlantFeeder feeder
        for feeder in self._fed_by:
            feeder._amps = legs
        for item in self._items:
            current_a = item.current_a
            if current_a != 0.0:
                for leg in range(2):
                    if item._on[leg]:
                        legs[leg] += current_a
                        if current_a > 0.0:
                            bus[leg] += current_a
                        for feeder in item._feeders:
                            feeder._amps[leg] += current_a
        self._a, self._b = legs[0], legs[1]
        self.legs_a, self.bus_a = [legs[0], legs[1]], [bus[0], bus[1]]
        self.neutral_a = fabs(legs[0] - legs[1])
        return 0

    def orders(self):
        """How each circuit's contact is ordered: a byte for each, 1 for closed."""
        cdef PlantCircuit item
        cdef Py_ssize_t n = 0
        cdef bytes told = PyBytes_FromStringAndSize(NULL, len(self._items))
        cdef char *to = PyBytes_AsString(told)
        for item in self._items:
            to[n] = item.contact.ordered
            n += 1
        return told

    def household_a(self, int leg):
        """What leg 0 or 1 carries apart from the compute circuits, A."""
        cdef PlantCircuit item
        if not 0 <= leg <= 1:
            raise IndexError(f"leg {leg}")
        cdef double nodes_a = 0.0
        for item in self._nodes:
            if item._on[leg]:
                nodes_a += item.current_a
        return (self._b if leg else self._a) - nodes_a
