"""What must hold whatever a household and its people do, in any order, over minutes: a machine of
states over the fold, judged by the plant. The same is lived twice, with and without what stands
still, and has to end in the same memory.
"""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from panelctl.config.load import read_panel
from panelctl.model.circuit import Role
from panelctl.model.command import CloseRelay, Command, OpenRelay, RequestLimit, SetTier
from panelctl.sim.fold.campaign import resize
from panelctl.sim.fold.day import Day

DEMO = read_panel(Path("panelctl/sim/demo.toml"))
SWITCHED = [c.id for c in DEMO.circuits if c.role is Role.SWITCHED and c.controlled]
PLAIN = [c.id for c in DEMO.circuits if not c.is_compute and c.role is not Role.MODULATED]
OVER_S = 2.0
ROUND = 0.01  # of a contact's own time, s


class Household(RuleBasedStateMachine):
    """Loads, cars, people and limits on the demo's panel."""

    @initialize(service_a=st.sampled_from([100.0, 200.0]), seed=st.integers(0, 99))
    def begin(self, service_a: float, seed: int) -> None:
        panel = resize(DEMO, service_a)
        self.days = [Day(panel, seed, skipping) for skipping in (True, False)]
        self.day = self.days[0]
        for day in self.days:
            day.orders = []
        self.limit_a = panel.service.control_setting_a
        self.fixed_a = 0.0
        self.by_hand: set[str] = set()
        self.pass_time(12.0)

    def each(self, circuit: str, watts: float) -> None:
        for day in self.days:
            day.want(circuit, watts)

    def say(self, *commands: Command) -> None:
        for day in self.days:
            day.say(*commands)

    @rule(circuit=st.sampled_from(PLAIN), share=st.sampled_from([0.0, 0.2, 0.5, 0.75]))
    def load(self, circuit: str, share: float) -> None:
        item = self.day.plant.circuits[circuit]
        self.each(circuit, item.circuit.breaker.rating_a * share * item.volts)

    @rule(car_a=st.sampled_from([0.0, 10.0, 48.0]))
    def car(self, car_a: float) -> None:
        self.each("evse", car_a * 240.0)

    @rule(circuit=st.sampled_from(SWITCHED), number=st.integers(0, 999))
    def opened(self, circuit: str, number: int) -> None:
        self.by_hand.add(circuit)
        self.say(OpenRelay(f"o{number}", circuit))

    @precondition(lambda self: self.by_hand)
    @rule()
    def closed(self) -> None:
        self.say(*(CloseRelay(f"c{name}", name) for name in sorted(self.by_hand)))
        self.by_hand.clear()

    @rule(share=st.sampled_from([0.4, 0.7, None]), number=st.integers(0, 999))
    def limit(self, share: float | None, number: int) -> None:
        amps = None if share is None else self.day.panel.service.control_setting_a * share
        self.say(RequestLimit(f"l{number}", amps, 600.0))

    @rule(circuit=st.sampled_from(SWITCHED), tier=st.integers(1, 20))
    def tier(self, circuit: str, tier: int) -> None:
        self.say(SetTier(f"t{tier}", circuit, tier))

    @rule(span_s=st.sampled_from([0.3, 2.0, 7.0, 40.0, 200.0]))
    def pass_time(self, span_s: float) -> None:
        for day in self.days:
            day.pass_time(span_s)

    @invariant()
    def nothing_trips_and_nothing_lasts(self) -> None:
        if not hasattr(self, "days"):
            return
        plant, outcome = self.day.plant, self.day.outcome
        assert "main" not in plant.trips or not outcome.preventable_trips
        fixed = [0.0, 0.0]
        for item in plant.circuits.values():
            if not item.circuit.controlled:
                for leg in item.circuit.legs:
                    fixed[leg] += item.current_a
            if item.circuit.role is Role.ALWAYS_ON:
                assert item.contact.ordered, f"{item.circuit.id} is always on"
        self.fixed_a = max(self.fixed_a, *fixed)
        if self.fixed_a < self.limit_a:
            assert outcome.longest_over_s <= OVER_S + ROUND

    def teardown(self) -> None:
        """Both lives gave the same orders at the same times, and nobody closed too early."""
        if not hasattr(self, "days"):
            return
        orders, stepped = (day.orders for day in self.days)
        assert orders == stepped
        assert orders is not None
        opened_ns: dict[str, int] = {}
        for at_ns, closed, _ in orders:
            for circuit, is_closed in zip(self.day.engine.loads, closed, strict=True):
                if is_closed == 0:
                    opened_ns.setdefault(circuit.id, at_ns)
                elif circuit.id in opened_ns:
                    off_s = (at_ns - opened_ns.pop(circuit.id)) / 1e9
                    assert off_s >= circuit.min_off_s or circuit.is_compute, circuit.id


TestHousehold = Household.TestCase
TestHousehold.settings = settings(
    max_examples=60,
    stateful_step_count=20,
    suppress_health_check=[HealthCheck.too_slow],
)
