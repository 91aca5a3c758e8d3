"""Checkers for what people feel, and no limit says.

S8  no set-point turns again and again while the house stands still
S9  what may not stay off for long (`max_off_s`) does not, where it would fit
S10 nothing is started in vain: closed, and soon opened for room that nobody else has taken
"""

from __future__ import annotations

from collections import defaultdict

from panelctl.model.relay import Claim
from panelctl.sim.plant import PlantCircuit
from panelctl.sim.storm.exemptions import Exemptions
from panelctl.sim.storm.figures import Found
from panelctl.sim.storm.in_force import InForce
from panelctl.sim.storm.lately import Lately
from panelctl.sim.storm.world import World

STILL_A = 1.0  # so far a house moves that stands still: small loads flicker
SETTLED_S = 10.0  # after it moved, set-points may follow
WINDOW_S = 120.0
SWING_A, MOST_SWINGS = 2.5, 3  # a set-point may turn so often by more than a house explains
FINE_A, MOST_FINE = 1.0, 20  # and so often by a step of a charger
OFF_SLACK_S = 30.0
VAIN_S = 60.0  # what is opened sooner was closed in vain,
VAIN_WINDOW_S = 1_800.0
MOST_VAIN = 2  # if nothing else has changed: once may happen


class Swings:
    """How often a set-point has turned by so much and more, while nothing gave it cause."""

    def __init__(self, swing_a: float, most: int) -> None:
        self._swing_a = swing_a
        self._most = most
        self._turns = Lately(WINDOW_S)
        self._peak_a: float | None = None
        self._direction = 0.0

    def see(self, amps: float, now_s: float, still: bool) -> int:
        """The set-point now, A; how often it has turned, where that is too often."""
        if self._peak_a is None or (amps - self._peak_a) * self._direction > 0.0:
            self._peak_a = amps
        elif abs(amps - self._peak_a) >= self._swing_a:
            if self._direction and still:
                self._turns.note(now_s)
            self._direction = 1.0 if amps > self._peak_a else -1.0
            self._peak_a = amps
        turns = self._turns.count(now_s)
        if turns <= self._most:
            return 0
        self._turns.clear()
        return turns


class Comfort:
    """Watches set-points and relays of a world; `found` is told what would make people angry."""

    def __init__(
        self, world: World, exemptions: Exemptions, in_force: InForce, found: Found
    ) -> None:
        self._world = world
        self._exemptions = exemptions
        self._in_force = in_force
        self._found = found
        items = world.plant.circuits.items()
        self._modulated = {name: item for name, item in items if item.moves}
        self._swings = [(name, Swings(SWING_A, MOST_SWINGS)) for name in self._modulated]
        self._swings += [
            (name, Swings(FINE_A, MOST_FINE))
            for name, item in self._modulated.items()
            if item.charger is not None
        ]
        self._hasty = {
            name: item for name, item in items if item.circuit.max_off_s and item.circuit.controlled
        }
        self._off_s: dict[str, float] = {}  # since when it has been off, though it would fit
        self._still_s = 0.0  # since when the house has stood still
        self._before: tuple[float, ...] = ()
        self._closed: dict[str, tuple[float, list[float]]] = {}  # when, and what others drew then
        self._vain: dict[str, Lately] = defaultdict(lambda: Lately(VAIN_WINDOW_S))

    def disturbed(self) -> None:
        """A fault begins or ends."""
        self._still_s = self._world.now_s

    def heard(self) -> None:
        """A record has come."""
        world = self._world
        app, now_s = world.app, world.now_s
        if app is None or not world.running:
            self._still_s = now_s
            return
        self._look()
        still = self._exemptions.calm and now_s - self._still_s >= SETTLED_S
        for name, swings in self._swings:
            amps = app.engine.setpoint_a(app.engine.index[name])
            if turned := swings.see(amps, now_s, still):
                what = f"{name} turned {turned} times in {WINDOW_S:g} s, and nothing gave it cause"
                self._found("S8", what)
        for name, item in self._hasty.items():
            self._starves(name, item)

    def _others_a(self, but: PlantCircuit | None = None) -> list[float]:
        """What the legs carry besides what is modulated, and besides that circuit."""
        legs = list(self._world.plant.legs_a)
        for item in [*self._modulated.values(), *([but] if but is not None else [])]:
            if item.current_a:
                for leg in item.circuit.legs:
                    legs[leg] -= item.current_a
        return legs

    def _look(self) -> None:
        """Whether the house still stands still: loads, relays, cars, jobs, limits."""
        wants = [item.charger.car_a for item in self._modulated.values() if item.charger]
        wants += [item.node.jobs_ratio * 100 for item in self._modulated.values() if item.node]
        seen = (*self._others_a(), *self._in_force.limit_a(), *wants)
        moved = len(seen) != len(self._before) or any(
            abs(one - other) > STILL_A for one, other in zip(seen, self._before, strict=True)
        )
        if moved:
            self._before, self._still_s = seen, self._world.now_s

    def _starves(self, name: str, item: PlantCircuit) -> None:
        """S9: it is off, wants to run, and would fit beside what nobody switches."""
        world, circuit = self._world, item.circuit
        app = world.app
        assert app is not None
        engine = app.engine
        claims, now_s = engine.state.claims[engine.index[name]], world.now_s
        wish = item.demand_w if item.charger is None else item.charger.car_a
        wants = wish > 0.0 and not item.contact.closed and not claims & ~Claim.PCS
        if not wants or not self._exemptions.calm or not self._fits(item):
            self._off_s.pop(name, None)
            return
        off_s = now_s - self._off_s.setdefault(name, now_s)
        if off_s > circuit.max_off_s + OFF_SLACK_S:
            self._found("S9", f"{name} was off for {off_s:.0f} s, of {circuit.max_off_s:g} s")
            self._off_s.pop(name)

    def _fits(self, item: PlantCircuit) -> bool:
        """Whether it has room beside what is not switched, and the floors."""
        room = list(self._in_force.limit_a())
        for other in self._world.plant.circuits.values():
            circuit = other.circuit
            floor_a = circuit.modulation.min_a if circuit.modulation is not None else 0.0
            amps = min(other.current_a, floor_a) if circuit.controlled else other.current_a
            for leg in circuit.legs:
                room[leg] -= amps
        margin_a = self._world.believed.timing.restore_margin_a
        return all(room[leg] > item.circuit.demand_a + margin_a for leg in item.circuit.legs)

    def closed(self, name: str) -> None:
        """A relay was closed."""
        item = self._world.plant.circuits[name]
        self._closed[name] = (self._world.now_s, self._others_a(item))

    def shed(self, name: str, leg: int) -> None:
        """A circuit was opened because a leg was short of room."""
        now_s = self._world.now_s
        item = self._world.plant.circuits[name]
        if name not in self._closed or not self._exemptions.calm:
            return
        closed_s, others = self._closed.pop(name)
        grown_a = self._others_a(item)[leg] - others[leg]
        if now_s - closed_s > VAIN_S or grown_a > STILL_A or self._in_force.settled_s < VAIN_S:
            return
        if (times := self._vain[name].note(now_s)) > MOST_VAIN:
            self._vain[name].clear()
            self._found("S10", f"{name} was closed in vain {times} times")
