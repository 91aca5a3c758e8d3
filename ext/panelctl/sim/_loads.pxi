"""What draws, and what switches it: contacts, compute nodes, chargers, the tank. Part of plant.pyx."""

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
    `lingers` makes it go on at its floor when it is asked to stop, as one that has much to save.
    It begins to follow `late_s` after it was told, and idles for `boots_s` when it has power again.
    """

    cdef public double floor_w, max_w, budget_w, lease_s, tau_s, draw_w, jobs_ratio, late_s, boots_s
    cdef public bint stopped, ignores, dead, lingers
    cdef double _asked_w, _asked_s, _wanted_w, _boots_s
    cdef bint _was_off

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
            self.draw_w = self._asked_w = self._wanted_w = 0.0
            self._was_off = True
            return
        if self._was_off:
            self._was_off = False
            self._boots_s = self.boots_s
        self.lease_s = max(0.0, self.lease_s - dt_s)
        allowed_w = self.budget_w if self.lease_s > 0 else min(self.budget_w, self.floor_w)
        wanted_w = min(self.max_w * self.jobs_ratio, max(allowed_w, 0.0))
        if self.stopped:
            wanted_w = self.floor_w if self.lingers else NODE_IDLE_W
        if self.ignores:
            wanted_w = self.max_w
        if self._boots_s > 0.0:
            self._boots_s -= dt_s
            wanted_w = min(wanted_w, NODE_IDLE_W)
        if self.late_s > 0.0:  # what it is asked for has to stand for so long
            if wanted_w != self._asked_w:
                self._asked_w, self._asked_s = wanted_w, self.late_s
            self._asked_s -= dt_s
            if self._asked_s <= 0.0:
                self._wanted_w = wanted_w
            wanted_w = self._wanted_w
        else:
            self._asked_w = self._wanted_w = wanted_w
        self.draw_w += (wanted_w - self.draw_w) * (1.0 - exp(-dt_s / self.tau_s))
        if fabs(wanted_w - self.draw_w) < THERE_W:
            self.draw_w = wanted_w


cdef class Charger:
    """A charging station with a car. A per leg; the car follows the pilot signal with a delay.

    `car_a` is the most the car takes; 0 without a car. It takes `takes_ratio` of what it is
    offered, begins `starts_s` after it is offered anything, rises by `ramp_a_per_s` at most (0: as it
    may), and goes on at `holds_a` when it is offered less than it can use.
    """

    cdef public double max_a, fallback_a, setpoint_a, patience_s, quiet_s, car_a, draw_a
    cdef public double takes_ratio, starts_s, ramp_a_per_s, holds_a
    cdef double _pilot_a, _look_s, _offered_s

    def __init__(self, double max_a, double fallback_a):
        self.max_a, self.fallback_a = max_a, fallback_a
        self.setpoint_a = fallback_a
        self.patience_s = 30.0
        self.takes_ratio = 1.0

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
        target_a = 0.0
        if self._pilot_a >= CAR_MIN_A and self.car_a > 0.0:
            self._offered_s += dt_s
            if self._offered_s >= self.starts_s:
                target_a = min(self.car_a, self._pilot_a * self.takes_ratio)
        else:
            self._offered_s = 0.0
            if self.draw_a > 0.0:
                target_a = min(self.car_a, self.holds_a)
        if not powered:
            self.draw_a = self._offered_s = 0.0
            return 0
        if self.ramp_a_per_s > 0.0:
            target_a = min(target_a, self.draw_a + self.ramp_a_per_s * CAR_TAU_S)
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
