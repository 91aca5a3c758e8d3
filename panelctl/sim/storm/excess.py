"""For how long a leg, at the main lugs or of a feeder, is over its limit without excuse (S2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from panelctl.sim.judge import OVER_MOST_S, OVER_RATIO
from panelctl.sim.storm.excuse import Excuse
from panelctl.sim.storm.exemptions import Exemptions
from panelctl.sim.storm.figures import Figures, Found
from panelctl.sim.storm.in_force import KEPT_FROM_S, InForce
from panelctl.sim.storm.world import STEP_NS, World
from panelctl.units import NS_PER_S

OPENED_S = 0.5  # after its patience a relay is told, and moves
FOUND_S = (
    25.0  # what a meter hides takes some seconds to show, and to find (core/decide/missing_ct.py)
)
HIDDEN_RATIO, HIDDEN_A = 1 / 8, 7.0  # of the mains, and more, that others may not notice
BOUNDS_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
LONGER = f"longer than {BOUNDS_S[-1]:g} s"
STEP_S = STEP_NS / NS_PER_S


@dataclass(slots=True)
class _Place:
    """A leg that has a limit. `members` are the circuits that load it, None: all."""

    name: str
    leg: int
    members: frozenset[str] | None = None
    over_s: float = 0.0
    blame_s: float = 0.0  # the part of it that nothing excuses
    hidden_s: float = 0.0  # the part that a meter hid, and the mains gave away
    excuses: set[Excuse] = field(default_factory=set)  # that held since it began


class Excess:
    """Watches the legs of a world; `found` is told what lasted too long."""

    def __init__(
        self,
        world: World,
        exemptions: Exemptions,
        in_force: InForce,
        figures: Figures,
        found: Found,
    ) -> None:
        self._world = world
        self._plant = world.plant
        self._exemptions = exemptions
        self._in_force = in_force
        self._figures = figures
        self._found = found
        self._nodes = [item for item in world.plant.circuits.values() if item.node is not None]
        self._asked_s: dict[str, float] = {}  # since when a node has been asked to stop
        timing = world.panel.timing
        self._patience_s = timing.node_open_s - timing.node_fault_s + OPENED_S
        self._lugs = [_Place(f"leg {'ab'[leg]}", leg) for leg in (0, 1)]
        self._feeders = []
        for feeder in world.panel.feeders:
            limit_a = feeder.control_setting_a or feeder.breaker.rating_a
            members = frozenset(feeder.circuits)
            for leg in feeder.legs:
                place = _Place(f"leg {'ab'[leg]} of {feeder.id}", leg, members)
                self._feeders.append((place, world.plant.feeders[feeder.id], limit_a))

    def step(self, limits: tuple[float, float]) -> None:
        """After each step of the plant; `limits` are those of the lugs, A."""
        for item in self._nodes:
            if item.node is None or not item.node.stopped:
                self._asked_s.pop(item.circuit.id, None)
            else:
                self._asked_s.setdefault(item.circuit.id, self._world.now_s)
        for place, amps, limit_a in zip(self._lugs, self._plant.legs_a, limits, strict=True):
            if amps > limit_a * OVER_RATIO:
                self._figures.over_total_s += STEP_S
                self._note(place, self._over(place, amps, limit_a))
            elif place.over_s:
                self._end(place)
        for place, feeder, limit_a in self._feeders:
            amps = feeder.leg_a(place.leg)
            if amps > limit_a * OVER_RATIO:
                self._over(place, amps, limit_a)
            else:
                place.over_s = place.blame_s = 0.0

    def finish(self) -> None:
        """The storm is over, and so is what lasts."""
        for place in self._lugs:
            if place.over_s:
                self._end(place)

    def _end(self, place: _Place) -> None:
        self._figures.over_s[duration_class(place.over_s)] += 1
        place.over_s = place.blame_s = place.hidden_s = 0.0
        place.excuses.clear()

    def _note(self, place: _Place, excuse: Excuse) -> None:
        """Count what excuses a step in which a leg at the lugs is over."""
        seconds_s = self._figures.excused_s
        seconds_s[excuse] = seconds_s.get(excuse, 0.0) + STEP_S
        if excuse not in place.excuses:
            place.excuses.add(excuse)
            self._figures.excused[excuse] += 1

    def _saving_a(self, place: _Place) -> float:
        """What nodes draw that were asked to stop and may take that long over it."""
        saving_a = 0.0
        for item in self._nodes:
            since_s = self._asked_s.get(item.circuit.id)
            if since_s is None or self._world.now_s - since_s > self._patience_s:
                continue
            inside = place.members is None or item.circuit.id in place.members
            if item.node is not None and item.node.lingers and inside:
                saving_a += item.current_a
        return saving_a

    def _over(self, place: _Place, amps: float, limit_a: float) -> Excuse:
        """A step in which a place is over its limit, and what excuses it."""
        place.over_s += STEP_S
        excuse = self._exemptions.excuse
        if excuse is None and self._in_force.settled_s < KEPT_FROM_S:
            excuse = Excuse.LOWERED
        if excuse is not None:
            place.hidden_s = 0.0
            return excuse
        rest_a = self._exemptions.unseen(place.members)[place.leg]
        saving_a = self._saving_a(place)
        if rest_a + saving_a > limit_a:
            known_a = self._exemptions.unpreventable(place.members)[place.leg]
            before_s = place.hidden_s
            told = self._is_told(place, amps, limit_a - known_a - saving_a, rest_a - known_a)
            place.hidden_s = before_s + STEP_S if told else 0.0
            if before_s <= FOUND_S < place.hidden_s:
                what = f"{place.name} at {amps:.1f} A over {limit_a:.1f} A, behind a meter"
                self._found("S2", what)
            if place.hidden_s > FOUND_S:
                return Excuse.NONE
            return self._beyond(limit_a, known_a, saving_a)
        before_s = place.blame_s
        place.blame_s += STEP_S
        most_s = OVER_MOST_S + self._exemptions.lag_s  # nobody knows of it sooner
        if before_s <= most_s < place.blame_s:
            what = f"{place.name} at {amps:.1f} A for {most_s:.1f} s over {limit_a:.1f} A"
            self._found("S2", what)
        return Excuse.NONE if place.blame_s > most_s else Excuse.SHORT

    def _beyond(self, limit_a: float, known_a: float, saving_a: float) -> Excuse:
        """Why more than the limit is drawn by what nobody takes away: `known_a` cannot be."""
        if known_a > limit_a:
            lowered = limit_a < self._world.panel.service.control_setting_a
            return Excuse.TIGHT if lowered else Excuse.UNOPENABLE
        return Excuse.STOPPING if known_a + saving_a > limit_a else Excuse.HIDDEN

    def _is_told(self, place: _Place, amps: float, left_a: float, hidden_a: float) -> bool:
        """Whether the mains tell that meters hide so much, and its opening would help."""
        enough = hidden_a > amps * HIDDEN_RATIO + HIDDEN_A
        return place.members is None and left_a >= 0 and enough and self._exemptions.given_away


def duration_class(over_s: float) -> str:
    """In words, up to how long a limit was passed."""
    bound_s = next((bound_s for bound_s in BOUNDS_S if over_s <= bound_s), None)
    return LONGER if bound_s is None else f"up to {bound_s:g} s"


def by_duration(classes: Mapping[str, int]) -> dict[str, int]:
    """Such classes, the shortest first."""
    order = [*(duration_class(bound_s) for bound_s in BOUNDS_S), LONGER]
    return {name: classes[name] for name in order if name in classes}
