"""Which breakers trip in a storm, whether somebody could have helped it, and when they are put in.

Beside the main breaker and each feeder's goes a shadow that carries only what nobody could take
away: where the shadow trips too, now or a little later, nobody is to blame.
"""

from __future__ import annotations

from panelctl.sim.breakers import ThermalBreaker
from panelctl.sim.judge import RESET_S
from panelctl.sim.storm.exemptions import Exemptions
from panelctl.sim.storm.figures import Figures, Found
from panelctl.sim.storm.world import STEP_NS, World
from panelctl.units import NS_PER_S

SHADOW_STEPS = 4  # of the plant, between two of the shadows
STEP_S = STEP_NS / NS_PER_S
MAIN = "main"


class _Shadow:
    """What a breaker would have carried anyway: all of `members`, or everything."""

    def __init__(self, rating_a: float, members: frozenset[str] | None) -> None:
        self.rating_a = rating_a
        self.members = members
        self.rest_a = [0.0, 0.0]
        self.breaker = ThermalBreaker(rating_a, 2)

    def would_trip(self, steps: int) -> bool:
        """Whether it trips by itself, `steps` after it was last looked at or a little later."""
        self.breaker.step(self.rest_a, steps * STEP_S)
        return self.breaker.tripped or any(
            self.breaker.step(self.rest_a, 1.0) for _ in range(int(RESET_S))
        )


class Tripping:
    """Watches the breakers of a world; `found` is told what could have been prevented."""

    def __init__(
        self,
        world: World,
        exemptions: Exemptions,
        figures: Figures,
        found: Found,
    ) -> None:
        self._plant = world.plant
        self._exemptions = exemptions
        self._figures = figures
        self._found = found
        rating_a = world.panel.service.breaker.rating_a
        self._shadows = {MAIN: _Shadow(rating_a, None)}
        for feeder in world.panel.feeders:
            members = frozenset(feeder.circuits)
            self._shadows[feeder.id] = _Shadow(feeder.breaker.rating_a, members)
        self._out_s: dict[str, float] = {}  # what tripped, and when it is put in again
        self._seen = self._steps = 0

    def step(self, now_s: float) -> None:
        """After each step of the plant."""
        self._steps += 1
        if self._steps % SHADOW_STEPS == 0:
            for shadow in self._shadows.values():
                shadow.rest_a = self._exemptions.unpreventable(shadow.members)
                shadow.breaker.step(shadow.rest_a, SHADOW_STEPS * STEP_S)
        if len(self._plant.trips) > self._seen:
            for name in self._plant.trips[self._seen :]:
                self._tripped(name, now_s)
            self._seen = len(self._plant.trips)

    def _tripped(self, name: str, now_s: float) -> None:
        self._figures.trips += 1
        self._out_s[name] = now_s + RESET_S
        shadow = self._shadows.get(name)
        if shadow is None:
            if self._plant.circuits[name].circuit.controlled:
                self._found("S1", f"the breaker of {name} tripped")
        elif not shadow.would_trip(self._steps % SHADOW_STEPS):
            self._figures.preventable_trips += 1
            self._found("S1", f"the {name} breaker tripped, and need not have")

    def put_in(self, now_s: float) -> None:
        """Somebody puts breakers in again, once it is time."""
        for name, at_s in list(self._out_s.items()):
            if now_s < at_s:
                continue
            del self._out_s[name]
            self._plant.reset(name)
            shadow = self._shadows.get(name)
            if shadow is not None:
                shadow.breaker = ThermalBreaker(shadow.rating_a, 2)
                self._exemptions.resets()
