"""What a household misses while its circuits are open, and how it comes back.

A tank stays cold, a car stays empty: what a load with a relay of ours could not draw it draws
later, at its own power, as soon as it may. What has none, and was off in a trip, does not come
back.

Rules
- What is missing is what was wanted less what flowed, by the plant's counter of each circuit.
- While something is missing a load wants the most that it ever wants in its recording.
- Somebody waits while a load that wants something gets nothing.
- What is still missing in the end is lost.
"""

from __future__ import annotations

from dataclasses import dataclass

from panelctl.sim.fold.wishes import Wish
from panelctl.sim.plant import Plant, PlantCircuit

LEAST_WH = 0.5  # less than a step's worth of a large load: nobody comes back for that
DRAWS_A = 0.2


@dataclass(slots=True)
class Waited:
    """What was missed. `later_wh` was drawn later than it was wanted, `lost_wh` never."""

    wanted_wh: float = 0.0
    served_wh: float = 0.0
    later_wh: float = 0.0
    lost_wh: float = 0.0
    waited_s: float = 0.0
    interruptions: int = 0


@dataclass(slots=True)
class _Load:
    item: PlantCircuit
    wish: Wish
    wanted_w: float = 0.0
    missing_wh: float = 0.0
    known_wh: float = 0.0  # its counter when it was looked at last

    @property
    def asks_w(self) -> float:
        """What it would draw if it could."""
        more = self.missing_wh > LEAST_WH
        return max(self.wish.most_w, self.wanted_w) if more else self.wanted_w


class Waiting:
    """Drives the loads of a plant by what they want, and by what they miss."""

    def __init__(self, plant: Plant, household: list[Wish]) -> None:
        self.total = Waited()
        self._loads: dict[str, _Load] = {}
        self._looked_s = 0.0
        for wish in household:
            item = plant.circuits[wish.circuit.id]
            if not wish.gives:
                self._loads[wish.circuit.id] = _Load(item, wish, known_wh=item.energy_wh)

    def want(self, circuit: str, watts: float) -> float:
        """A load wants something else from now on; what it asks for then, W. Look first."""
        load = self._loads.get(circuit)
        if load is None:
            return watts
        load.wanted_w = watts
        return load.asks_w

    def look(self, now_s: float) -> list[tuple[str, float]]:
        """Account for what has passed; the loads that ask for something else from now on, W."""
        passed_s, self._looked_s = now_s - self._looked_s, now_s
        changed = []
        for name, load in self._loads.items():
            asked_w = load.asks_w
            if asked_w <= 0.0 and load.item.energy_wh == load.known_wh:
                continue
            self._account(load, passed_s)
            if load.asks_w != asked_w:
                changed.append((name, load.asks_w))
        return changed

    def _account(self, load: _Load, passed_s: float) -> None:
        total, counted_wh = self.total, load.item.energy_wh
        served_wh, load.known_wh = counted_wh - load.known_wh, counted_wh
        wanted_wh = load.wanted_w * passed_s / 3600.0
        total.wanted_wh += wanted_wh
        total.served_wh += served_wh
        if served_wh <= 0.0 and load.asks_w > 0.0:
            total.waited_s += passed_s
        short_wh = wanted_wh - served_wh
        if short_wh < 0.0:
            back_wh = min(load.missing_wh, -short_wh)
            load.missing_wh -= back_wh
            total.later_wh += back_wh
        elif load.item.circuit.controlled:
            load.missing_wh += short_wh
        else:
            total.lost_wh += short_wh

    def caught_up_s(self, now_s: float) -> float:
        """When the next load has caught up, as everything is now; infinite for never."""
        soonest_s = float("inf")
        for load in self._loads.values():
            more_w = load.item.power_w - load.wanted_w
            if load.missing_wh > LEAST_WH and more_w > 1.0:
                wanted_wh = load.wanted_w * (now_s - self._looked_s) / 3600.0
                back_wh = load.item.energy_wh - load.known_wh - wanted_wh  # since it was looked at
                left_wh = load.missing_wh - back_wh - LEAST_WH / 2
                soonest_s = min(soonest_s, now_s + left_wh / more_w * 3600.0)
        return soonest_s

    def opens(self, item: PlantCircuit) -> None:
        """A circuit is being opened, or has lost its power: an interruption if it was drawing."""
        if item.current_a > DRAWS_A and item.circuit.id in self._loads:
            self.total.interruptions += 1

    def finish(self, now_s: float) -> Waited:
        """It is over: what is missing now is lost."""
        self.look(now_s)
        self.total.lost_wh += sum(load.missing_wh for load in self._loads.values())
        return self.total
