"""From a panel to the fields that doubts need: which slots are held against which.

What each field means is fields.py's. Nothing here judges anything.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable, Sequence

from panelctl.core.decide.counters import ENERGY_LATCH_NS
from panelctl.core.decide.plausibility import LATCH_NS
from panelctl.core.state.layout import Changing, Fixed
from panelctl.model.circuit import Circuit, Role, SourceKind
from panelctl.model.panel import Panel
from panelctl.model.slots import LEGS, Slots
from panelctl.units import ns_from_s

DROP_MA = 15_000  # a fall of the mains by so much has to be confirmed by a second sample
DROP_DIVISOR = 8  # a fall by an eighth of the control setting, where that is more
INRUSH = 5  # times its breaker's rating no circuit draws for long
MAINS = "main"


class Watched:
    """The lists of one panel, and who they belong to: `items` are the names of the mains and of
    circuits with energy counters, in order.
    """

    def __init__(self, panel: Panel, slots: Slots, loads: list[Circuit]) -> None:
        self.lists: dict[str, list[int]] = defaultdict(list)
        self.items: list[str] = []
        self._legs: dict[str, array[int]] = defaultdict(lambda: array("q", [0, 0]))
        self._panel = panel
        self._slots = slots
        self._loads = loads
        self._sources = any(circuit.source is not None for circuit in panel.circuits)
        self._half_v = round(panel.service.voltage_v / 2)
        for leg in range(len(LEGS)):
            self._branches(leg)
            self._hides(leg)
        self.lists["watched_slot"] = sorted(set(self.lists["every_slot"]))
        self._energy()

    def fill(self, fixed: Fixed, state: Changing) -> None:
        """Put into the memory what is no list, and where the judging begins."""
        panel = self._panel
        for name, values in self._legs.items():
            getattr(fixed, name)[:] = values
        setting_ma = int(panel.service.control_setting_a * 1000)
        fixed.sources[0] = self._sources
        fixed.drop_ma[0] = max(DROP_MA, setting_ma // DROP_DIVISOR)
        fixed.branch_stale_ns[0] = ns_from_s(panel.timing.branch_stale_s)
        fixed.counters[0] = len(fixed.counter_slot)
        fixed.items[0] = len(self.items)
        fixed.watched[0] = len(fixed.watched_slot)
        for leg in range(len(LEGS)):
            state.leg_latch_ns[leg] = LATCH_NS
        for k in range(len(self.items)):
            state.item_waits[k] = 1
            state.item_latch_ns[k] = ENERGY_LATCH_NS

    def _span(self, name: str, slots: Iterable[int]) -> tuple[int, int]:
        """Put slots at the end of a list; where they lie."""
        first = len(self.lists[name])
        self.lists[name] += slots
        return first, len(self.lists[name])

    def _on_leg(self, leg: int, name: str, list_name: str, slots: Iterable[int]) -> None:
        span = self._span(list_name, slots)
        self._legs[f"{name}_first"][leg], self._legs[f"{name}_end"][leg] = span

    def _branches(self, leg: int) -> None:
        """What modulated loads, and all circuits, draw on a leg."""
        slots, circuits = self._slots, self._panel.circuits
        fast = [s for c in circuits if _modulated(c) for s in slots.circuit(c.id).on_leg(leg)]
        self._on_leg(leg, "fast", "fast_slot", fast)
        every = [s for c in circuits for s in slots.circuit(c.id).on_leg(leg)]
        self._on_leg(leg, "every", "every_slot", every)

    def _hides(self, leg: int) -> None:
        """The loads of a leg whose every circuit has a meter, and what the others show."""
        on_it = [circuit for circuit in self._panel.circuits if leg in circuit.legs]
        slots = {circuit.id: self._slots.circuit(circuit.id).on_leg(leg) for circuit in on_it}
        if self._sources or not all(slots.values()):
            return
        self._legs["hidden_judged"][leg] = 1
        numbered = [(i, slots.pop(c.id)) for i, c in enumerate(self._loads) if c.id in slots]
        self._on_leg(leg, "hides", "hides_load", [i for i, _ in numbered])
        for _, each in numbered:
            first, end = self._span("hides_slot", each)
            self.lists["hides_slot_first"].append(first)
            self.lists["hides_slot_end"].append(end)
        self._on_leg(leg, "others", "others_slot", [s for each in slots.values() for s in each])

    def _energy(self) -> None:
        """Every counter, and what each is held against."""
        panel, mains = self._panel, self._slots.mains
        most_w = self._most_w(panel.service.breaker.rating_a, len(LEGS))
        for slot in (mains.imported, mains.exported):
            if slot >= 0:
                self._counter(slot, most_w)
        if mains.imported >= 0:
            self._item(MAINS, (mains.imported,), mains.currents, mains.powers, 1, 1, True)
        for circuit in panel.circuits:
            if circuit.energy:
                self._circuit(circuit)

    def _circuit(self, circuit: Circuit) -> None:
        """A circuit with counters; the current of a single CT stands there once for each leg."""
        slots = self._slots.circuit(circuit.id)
        for each in slots.counters:
            self._counter(each, self._most_w(circuit.breaker.rating_a, len(circuit.legs)))
        watts = slots.powers
        # What a battery takes is not what it gives, and its counter counts one of them.
        if circuit.source is not None and circuit.source.kind is SourceKind.BATTERY:
            watts = ()
        single = circuit.balanced and len(circuit.energy) == 1
        watts_factor = 2 if circuit.balanced and len(circuit.power) == 1 else 1
        self._item(
            circuit.id, slots.counters, slots.currents, watts, 1 + single, watts_factor, not single
        )

    def _most_w(self, rating_a: float, legs: int) -> int:
        """What can flow through a counter behind such a breaker."""
        return int(rating_a * INRUSH * legs * self._half_v)

    def _counter(self, slot: int, most_w: int) -> None:
        self.lists["counter_slot"].append(slot)
        self.lists["counter_most_w"].append(most_w)

    def _item(
        self,
        name: str,
        counters: Sequence[int],
        amps: Sequence[int],
        watts: Sequence[int],
        factor: int,
        watts_factor: int,
        whole: bool,
    ) -> None:
        """The mains or a circuit: `counters` by their slots. Where one counter or one power point
        stands for both legs of a balanced load, it counts `factor` or `watts_factor` times.
        """
        self.items.append(name)
        numbers = [self.lists["counter_slot"].index(slot) for slot in counters]
        for what, values in (
            ("counter", self._span("item_counter", numbers)),
            ("amps", self._span("item_amps_slot", amps)),
            ("watts", self._span("item_watts_slot", watts)),
        ):
            self.lists[f"item_{what}_first"].append(values[0])
            self.lists[f"item_{what}_end"].append(values[1])
        load = next((i for i, circuit in enumerate(self._loads) if circuit.id == name), -1)
        for what, value in (
            ("volts", self._half_v),
            ("factor", factor),
            ("watts_factor", watts_factor),
            ("whole", int(whole)),
            ("mains", int(name == MAINS)),
            ("load", load),
        ):
            self.lists[f"item_{what}"].append(value)


def _modulated(circuit: Circuit) -> bool:
    return circuit.controlled and circuit.role is Role.MODULATED
