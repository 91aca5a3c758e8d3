"""Checkers of readings: what is good, and what people are shown of it.

V1  no reading of the mains or a circuit is good and wrong, unless its own meter lies
S11 nor is what people are shown of it
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from panelctl.model.record import CycleRecord
from panelctl.sim.plant import PlantCircuit
from panelctl.sim.storm.world import World
from panelctl.units import NS_PER_S

READ_S = 6.0  # so long a load has to run evenly before its reading is judged
READ_OLD_NS = 3 * NS_PER_S
MAINS_OLD_NS = NS_PER_S // 2
SEEN_STEPS = 48  # of the plant: a little more than a second
ERROR_RATIO, ERROR_A = 0.15, 0.5  # flicker of small loads, and the meters' noise


class Readings:
    """Compares the controller's image with the plant."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._settled: dict[str, tuple[int, float]] = {}  # how often a load changed, since when
        self._legs: deque[tuple[float, float]] = deque(maxlen=SEEN_STEPS)

    def see(self, legs_a: list[float]) -> None:
        """What the legs carry after this step of the plant."""
        self._legs.append((legs_a[0], legs_a[1]))

    def _mains(self, lying: set[str], now_ns: int) -> Iterator[str]:
        """A good reading of a leg lies between the least and the most of the last second."""
        app = self._world.app
        assert app is not None
        image = app.engine.image
        for leg, source in enumerate(self._world.panel.service.currents):
            if source.device in lying or not image.good(leg, now_ns, MAINS_OLD_NS):
                continue
            seen = [abs(legs[leg]) for legs in self._legs]
            shown_a = abs(image.value[leg]) / 1000
            if not min(seen) * 0.95 - ERROR_A <= shown_a <= max(seen) * 1.05 + ERROR_A:
                true = f"{min(seen):.1f} to {max(seen):.1f} A"
                yield f"leg {'ab'[leg]} is read at {shown_a:.1f} A, and carries {true}"

    def wrong(self, lying: set[str], now_ns: int) -> Iterator[str]:
        """What is wrong and good. `lying` are the meters that have a fault now."""
        app = self._world.app
        if app is None or not self._world.running:
            return
        if len(self._legs) == SEEN_STEPS:
            yield from self._mains(lying, now_ns)
        image = app.engine.image
        for name, item in self._world.plant.circuits.items():
            if not self._even(name, item):
                continue
            slots = app.engine.slots.circuit(name).currents
            for meter, slot in zip(item.circuit.currents, slots, strict=True):
                if meter.current.device in lying or not image.good(slot, now_ns, READ_OLD_NS):
                    continue
                true_a, shown_a = abs(item.current_a), abs(image.value[slot]) / 1000
                if _apart(true_a, shown_a):
                    yield f"{name} is read at {shown_a:.1f} A, and draws {true_a:.1f} A"

    def shown_wrong(self, record: CycleRecord, lying: set[str]) -> Iterator[str]:
        """What a record shows as fresh, and is not so."""
        for circuit in record["circuits"]:
            item = self._world.plant.circuits[circuit["id"]]
            devices = {meter.current.device for meter in item.circuit.currents}
            if not circuit["fresh"] or devices & lying or not self._even(circuit["id"], item):
                continue
            for shown_a in circuit["a"]:
                if _apart(abs(item.current_a), abs(shown_a)):
                    name, true_a = circuit["id"], abs(item.current_a)
                    yield f"{name} is shown at {shown_a:.1f} A, and draws {true_a:.1f} A"

    def _even(self, name: str, item: PlantCircuit) -> bool:
        """Whether a load has run evenly for so long that its reading is to be right."""
        if item.moves:
            return False
        now_s = self._world.now_s
        turns, since_s = self._settled.get(name, (-1, 0.0))
        if item.turns != turns:
            self._settled[name] = (item.turns, now_s)
            return False
        return now_s - since_s >= READ_S and not item.breaker.tripped


def _apart(true_a: float, shown_a: float) -> bool:
    return abs(true_a - shown_a) > ERROR_A + ERROR_RATIO * true_a
