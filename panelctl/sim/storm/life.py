"""The household of a storm: appliances that go on and off, cars that come, work for the node.

What has no relay stays inside what the panel file declares as uncontrolled, on each leg: that is
what the installer vouches for. What has one may all run at once.
"""

from __future__ import annotations

import heapq
import random

from panelctl.model.circuit import Circuit, Role
from panelctl.model.panel import Panel
from panelctl.sim.plant import Plant, PlantCircuit

SMALL_RATIO = 0.25  # of its breaker a circuit without a relay mostly stays under
LARGE_RATIO = 0.75
ON_S, OFF_S = 240.0, 420.0
FLICKER_RATIO = 0.03
DECLARED_RATIO = 0.95
TURN_S = 1.0  # how often small loads flicker


class Household:
    """Drives the loads of a plant from a seed. `calm` leaves only what always runs."""

    def __init__(self, panel: Panel, plant: Plant, seed: int) -> None:
        self.calm = False
        self._panel = panel
        self._plant = plant
        self._dice = random.Random(f"{seed} household")
        self._due: list[tuple[float, int]] = []
        self._items = list(plant.circuits.values())
        self._flicker_s = 0.0
        for n, item in enumerate(self._items):
            self._begin(item)
            heapq.heappush(self._due, (self._dice.expovariate(1.0 / ON_S), n))

    def tell(self, now_s: float) -> None:
        """Let happen what is due."""
        while self._due[0][0] <= now_s:
            at_s, n = heapq.heappop(self._due)
            item = self._items[n]
            on = self._turn(item)
            heapq.heappush(
                self._due, (at_s + self._dice.expovariate(1.0 / (ON_S if on else OFF_S)), n)
            )
        if now_s - self._flicker_s >= TURN_S:
            self._flicker_s = now_s
            for item in self._items:
                if item.demand_w > 0.0:
                    item.flicker_ratio = FLICKER_RATIO * (2.0 * self._dice.random() - 1.0)

    def everything(self) -> None:
        """All that has a relay wants to run, as after an outage."""
        for item in self._items:
            circuit = item.circuit
            if circuit.role is Role.SWITCHED and item.node is None and item.charger is None:
                item.demand_w = self._watts(circuit, 0.95)
            if item.charger is not None:
                item.charger.car_a = item.charger.max_a

    def rest(self) -> None:
        """Leave little on, so that everything that may run has room."""
        self.calm = True
        for item in self._items:
            if item.charger is not None:
                item.charger.car_a = 0.0
            elif item.node is not None:
                item.node.jobs_ratio = 1.0
            elif item.circuit.source is None:
                item.demand_w = min(item.demand_w, 150.0)

    def _begin(self, item: PlantCircuit) -> None:
        if item.circuit.source is not None:
            item.demand_w = self._watts(item.circuit, self._dice.random())
        elif item.node is None and item.charger is None:
            item.demand_w = self._dice.random() * 200.0

    def _turn(self, item: PlantCircuit) -> bool:
        """Another demand; whether it is one for long."""
        dice = self._dice
        roll, size = dice.random(), dice.random()
        if self.calm:
            return False
        if item.charger is not None:
            item.charger.car_a = item.charger.max_a if roll < 0.6 else 0.0
            return roll < 0.6
        if item.node is not None:
            item.node.jobs_ratio = 1.0 if roll < 0.7 else size
            return True
        if item.circuit.source is not None:
            item.demand_w = self._watts(item.circuit, size)
            return True
        if item.circuit.controlled:
            item.demand_w = self._watts(item.circuit, 0.5 + 0.45 * size) if roll < 0.55 else 0.0
            return roll < 0.55
        ratio = LARGE_RATIO if roll < 0.15 else SMALL_RATIO
        wanted_w = self._watts(item.circuit, ratio * size)
        if not self._vouched_for(item, wanted_w):
            wanted_w = 0.0
        item.demand_w = wanted_w
        return wanted_w > 0.0

    def _watts(self, circuit: Circuit, ratio: float) -> float:
        """A share of what the circuit may draw for good: 80 % of its breaker, or its demand."""
        most_a = circuit.breaker.rating_a * 0.8
        if circuit.controlled:
            most_a = min(most_a, circuit.demand_a)
        return ratio * most_a * 120.0 * len(circuit.legs)

    def _vouched_for(self, item: PlantCircuit, wanted_w: float) -> bool:
        """Whether the legs stay inside what the panel file declares as uncontrolled."""
        declared_a = self._panel.service.uncontrolled_a
        wanted_a = wanted_w * (1.0 + FLICKER_RATIO) / item.volts
        for leg in item.circuit.legs:
            others_a = sum(
                other.demand_w * (1.0 + FLICKER_RATIO) / other.volts
                for other in self._items
                if other is not item
                and leg in other.circuit.legs
                and not other.circuit.controlled
                and other.circuit.source is None
            )
            if others_a + wanted_a > declared_a[leg] * DECLARED_RATIO:
                return False
        return True
