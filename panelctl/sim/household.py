"""A neutral household on any panel: appliances that go on and off, cars that come, work for the
node, sun and a battery, all from a seed.

What has no relay stays inside what the panel file declares as uncontrolled, on each leg: that is
what the installer vouches for. What has one may all run at once. A storm lives in it, a demo of a
panel that has no story, and a campaign without a recorded home; each at its own pace.
"""

from __future__ import annotations

import heapq
import math
import random
from dataclasses import dataclass

from panelctl.model.circuit import Circuit, Role, SourceKind
from panelctl.model.panel import Panel
from panelctl.sim.plant import Plant, PlantCircuit

SMALL_RATIO = 0.25  # of its breaker a circuit without a relay mostly stays under
LARGE_RATIO = 0.75
FLICKER_RATIO = 0.03
DECLARED_RATIO = 0.95
TURN_S = 1.0  # how often small loads flicker
SUNRISE, SUNSET = 0.25, 0.8  # of a day
CLOUDS_LEAVE = 0.5  # of the sun, at least


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a load mostly stays on, and off, s. With `day_s` the sun follows a day of that
    length, which begins at six in the morning; without, sources give what they like. `flickers`:
    nobody else makes loads flicker.
    """

    on_s: float
    off_s: float
    day_s: float = 0.0
    flickers: bool = True


STORM = Pace(240.0, 420.0)
SHOW = Pace(15.0, 30.0, day_s=240.0, flickers=False)  # somebody watches
LIFE = Pace(900.0, 3600.0, day_s=86_400.0, flickers=False)


class Household:
    """Drives the loads of a plant from a seed. `calm` leaves only what always runs."""

    def __init__(self, panel: Panel, plant: Plant, seed: int, pace: Pace = STORM) -> None:
        self.calm = False
        self._pace = pace
        self._panel = panel
        self._plant = plant
        self._dice = random.Random(f"{seed} household")
        self._due: list[tuple[float, int]] = []
        self._items = list(plant.circuits.values())
        self._flicker_s = 0.0
        for n, item in enumerate(self._items):
            self._begin(item)
            heapq.heappush(self._due, (self._dice.expovariate(1.0 / pace.on_s), n))

    @property
    def next_s(self) -> float:
        """When something is due next."""
        return self._due[0][0]

    def tell(self, now_s: float) -> bool:
        """Let happen what is due; True when a load was raised."""
        pace, raised = self._pace, False
        while self._due[0][0] <= now_s:
            at_s, n = heapq.heappop(self._due)
            item = self._items[n]
            before_w = item.demand_w
            on = self._turn(item, at_s)
            raised = raised or item.demand_w > before_w + 1.0
            mean_s = pace.on_s if on else pace.off_s
            heapq.heappush(self._due, (at_s + self._dice.expovariate(1.0 / mean_s), n))
        if pace.flickers and now_s - self._flicker_s >= TURN_S:
            self._flicker_s = now_s
            for item in self._items:
                if item.demand_w > 0.0:
                    item.flicker_ratio = FLICKER_RATIO * (2.0 * self._dice.random() - 1.0)
        return raised

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
            item.demand_w = self._given_w(item.circuit, 0.0, self._dice.random())
        elif item.node is None and item.charger is None:
            self._small(item, self._dice.random() * 200.0)

    def _small(self, item: PlantCircuit, wanted_w: float) -> None:
        """What a load draws that is not switched by anybody, if there is room for it."""
        item.demand_w = wanted_w if self._may(item, wanted_w) else 0.0

    def _may(self, item: PlantCircuit, wanted_w: float) -> bool:
        """Whether a load may draw so much: it is managed, or there is room in what is declared."""
        return item.circuit.controlled or self._vouched_for(item, wanted_w)

    def _given_w(self, circuit: Circuit, at_s: float, size: float) -> float:
        """What a source gives: PV by the sun and clouds, a battery when there is none. It is never
        charged: that would be a load that nobody has declared.
        """
        assert circuit.source is not None
        if not self._pace.day_s:
            return self._watts(circuit, size)
        day = (at_s / self._pace.day_s + SUNRISE) % 1.0
        sun = max(0.0, math.sin(math.pi * (day - SUNRISE) / (SUNSET - SUNRISE)))
        if day > SUNSET or day < SUNRISE:
            sun = 0.0
        if circuit.source.kind is SourceKind.PV:
            return self._watts(circuit, sun * (CLOUDS_LEAVE + (1.0 - CLOUDS_LEAVE) * size))
        return 0.0 if sun else self._watts(circuit, 0.5 * size)

    def _turn(self, item: PlantCircuit, at_s: float) -> bool:
        """Another demand; whether it is one for long."""
        dice = self._dice
        roll, size = dice.random(), dice.random()
        if self.calm:
            return False
        if item.charger is not None:
            comes = roll < 0.6 and self._may(item, item.charger.max_a * item.volts)
            item.charger.car_a = item.charger.max_a if comes else 0.0
            return roll < 0.6
        if item.node is not None:
            item.node.jobs_ratio = 1.0 if roll < 0.7 else size
            return True
        if item.circuit.source is not None:
            item.demand_w = self._given_w(item.circuit, at_s, size)
            return True
        if item.circuit.controlled:
            item.demand_w = self._watts(item.circuit, 0.5 + 0.45 * size) if roll < 0.55 else 0.0
            return roll < 0.55
        ratio = LARGE_RATIO if roll < 0.15 else SMALL_RATIO
        self._small(item, self._watts(item.circuit, ratio * size))
        return item.demand_w > 0.0

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
                wants_w(other) * (1.0 + FLICKER_RATIO) / other.volts
                for other in self._items
                if other is not item
                and leg in other.circuit.legs
                and not other.circuit.controlled
                and other.circuit.source is None
            )
            if others_a + wanted_a > declared_a[leg] * DECLARED_RATIO:
                return False
        return True


def wants_w(item: PlantCircuit) -> float:
    """What a circuit's load draws if it may: its car, its node's floor, its appliances, W."""
    if item.charger is not None:
        return item.charger.car_a * item.volts
    return item.demand_w if item.node is None else item.node.floor_w
