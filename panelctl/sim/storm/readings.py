"""V1: no reading of a circuit is good and wrong, unless its own meter lies."""

from __future__ import annotations

from collections.abc import Iterator

from panelctl.sim.storm.world import World
from panelctl.units import NS_PER_S

READ_S = 6.0  # so long a load has to run evenly before its reading is judged
READ_OLD_NS = 3 * NS_PER_S
ERROR_SHARE, ERROR_A = 0.15, 0.5  # flicker of small loads, and the meters' noise


class Readings:
    """Compares the controller's image with the plant."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._settled: dict[str, tuple[int, float]] = {}  # how often a load changed, since when
        self._lied_s: dict[str, float] = {}  # when a meter lied last

    def wrong(self, lying: set[str], now_ns: int) -> Iterator[str]:
        """What is wrong and good. `lying` are the meters that have a fault now."""
        app, now_s = self._world.app, self._world.now_s
        for name in lying:
            self._lied_s[name] = now_s
        if app is None or not self._world.running:
            return
        image = app.engine.image
        for name, item in self._world.plant.circuits.items():
            if item.moves:
                continue
            turns, since_s = self._settled.get(name, (-1, 0.0))
            if item.turns != turns:
                self._settled[name] = (item.turns, now_s)
                continue
            if now_s - since_s < READ_S or item.breaker.tripped:
                continue
            for meter in item.circuit.currents:
                slot = image.slot.get(f"{name}.{'ab'[meter.leg]}_ma", -1)
                lied_s = self._lied_s.get(meter.current.device, -READ_S)
                if now_s - lied_s < READ_S or not image.good(slot, now_ns, READ_OLD_NS):
                    continue
                true_a, shown_a = abs(item.current_a), abs(image.value[slot]) / 1000
                if abs(true_a - shown_a) > ERROR_A + ERROR_SHARE * true_a:
                    yield f"{name} is read at {shown_a:.1f} A, and draws {true_a:.1f} A"
