"""A panel's days at the controller's own pace: plant, readings, Engine.step, orders; at 10 Hz.

What stands still is left out (quiescence.py); a test shows that this changes no decision. Noise
does not stand still: every NOISE_S it is another one for NOISE_STEPS steps in a row, each of which
is made, and the last of them holds until the next; and it is another one with each change.
"""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

from panelctl.core.engine import Engine
from panelctl.model.command import Command
from panelctl.model.metering import Quality
from panelctl.model.panel import Feeder, Panel
from panelctl.sim.breakers import ThermalBreaker
from panelctl.sim.devices import NOISE_RATIO
from panelctl.sim.fold.quiescence import Snapshot, Stillness
from panelctl.sim.fold.waiting import Waited, Waiting
from panelctl.sim.fold.wishes import Wish, wishes
from panelctl.sim.homes.recorded import Home
from panelctl.sim.judge import OVER_RATIO, RESET_S
from panelctl.sim.plant import Contact, Plant
from panelctl.sim.truth import COUNTERS, HEAT_SINK, MAINS, truth
from panelctl.units import NS_PER_S, ns_from_s

START_NS = 3600 * NS_PER_S
SETTLED_STEPS = 2  # run before a change comes, so that everything has been seen fresh
FEWEST_STEPS = 6  # to leave out less is not worth looking
NOISE_S, NOISE_STEPS = 180.0, 5


@dataclass(slots=True)
class Outcome:
    """What a run came to. Times in s, energies in Wh; `house` is the household by second."""

    seconds: float = 0.0
    trips: int = 0
    preventable_trips: int = 0
    branch_trips: int = 0
    over_s: float = 0.0
    longest_over_s: float = 0.0
    sheds: int = 0
    relay_moves: int = 0
    node_wh: float = 0.0
    steps: int = 0
    household: Waited = field(default_factory=Waited)
    house: list[tuple[float, float]] = field(default_factory=list)


def changes(household: list[Wish]) -> Iterator[tuple[float, str, float]]:
    """What the household wants differently, in order: (s since the beginning, circuit, W)."""
    return iter(
        sorted(
            (at_s, wish.circuit.id, watts)
            for wish in household
            for at_s, watts in zip(wish.from_s, wish.watts, strict=True)
        )
    )


class Day:
    """One panel under its engine. `orders` collects what was decided, where a test wants it."""

    def __init__(self, panel: Panel, seed: int, skipping: bool = True) -> None:
        self.panel = panel
        self.plant = Plant.of(panel)
        self.engine = Engine(panel)
        self.outcome = Outcome()
        self.orders: list[tuple[int, tuple[int, ...], tuple[int, ...]]] | None = None
        self._skipping = skipping
        self._dice = random.Random(f"{seed} noise")
        self._step_ns = ns_from_s(1 / panel.timing.rate_hz)
        self._step_s = self._step_ns / NS_PER_S
        self._now_ns = START_NS
        self._limit_a = panel.service.control_setting_a * OVER_RATIO
        self._over_s = 0.0
        self._shadow = ThermalBreaker(panel.service.breaker.rating_a, 2)
        self._still = Stillness(self.engine, self._step_ns)
        self._before: Snapshot | None = None  # of the step before, where nothing moved in it
        self._trips = 0
        self._legs: list[float] = []
        self._rest = [0.0, 0.0]
        self._node_w = 0.0
        self._out_s: dict[str, float] = {}  # by breaker: until somebody puts it in again
        self._commands: list[Command] = []
        self._claims = [0] * len(self.engine.loads)
        self._obeyed: tuple[bytes, ...] = ()  # the orders that the plant has
        self._by_owner: dict[str, list[tuple[int, str, bool]]] = {}  # slot, what, without noise
        self._relays: list[tuple[int, Contact, str]] = []
        for slot, name in enumerate(self.engine.image.names):
            owner, _, what = name.partition(".")
            if what in ("relay", "acked"):
                self._relays.append((slot, self.plant.circuits[owner].contact, what))
            elif not what.endswith(COUNTERS):
                exact = what.endswith("mv") or owner == HEAT_SINK
                self._by_owner.setdefault(owner, []).append((slot, what, exact))
        self._waiting: Waiting | None = None
        self._turned = False  # something was opened, closed or told since a look at what waits
        self._renewed = False  # the noise, since the readings were shown last
        self._shown: dict[str, tuple[float, float]] = {}
        self._noise = dict.fromkeys([MAINS, *self.plant.circuits], 1.0)
        self._all = array("q", bytes(8 * len(self.engine.image.names)))
        self._good = array("q", [int(Quality.GOOD)] * len(self.engine.image.names))
        self._managed = [item for item in self.plant.circuits.values() if item.circuit.controlled]
        self._nodes = [item for item in self.plant.circuits.values() if item.node is not None]
        for item in self.plant.circuits.values():
            if item.charger is not None:
                item.charger.patience_s = math.inf  # it is told at each step, left out or not
        self._show()

    def run(self, home: Home, begin_s: float, span_s: float, scale: float) -> Outcome:
        """Live through `span_s` of a recorded home."""
        household = wishes(self.panel, home, begin_s, span_s, scale)
        waiting = self._waiting = Waiting(self.plant, household)
        story = changes(household)
        following = next(story, None)
        begin_ns, end_ns = self._now_ns, self._now_ns + ns_from_s(span_s)
        caught_up_s, noise_s = math.inf, NOISE_S
        while self._now_ns < end_ns:
            now_s = (self._now_ns - begin_ns) / NS_PER_S
            due = following is not None and following[0] <= now_s
            if due or self._turned or caught_up_s <= now_s:
                self._turned = False
                for circuit, watts in waiting.look(now_s):
                    self.want(circuit, watts)
            if due or noise_s <= now_s:
                self._draw_noise()
            if noise_s <= now_s:
                lasts = (now_s % NOISE_S) < NOISE_STEPS * self._step_s
                noise_s = now_s + self._step_s if lasts else (now_s // NOISE_S + 1) * NOISE_S
            while following is not None and following[0] <= now_s:
                self.want(following[1], waiting.want(following[1], following[2]))
                following = next(story, None)
            caught_up_s = waiting.caught_up_s(now_s)
            following_s = span_s if following is None else following[0]
            due_s = min(span_s, caught_up_s, noise_s, following_s)
            self._one(begin_ns + ns_from_s(due_s))
        self.outcome.household = waiting.finish(span_s)
        self.outcome.seconds = span_s
        return self.outcome

    def pass_time(self, span_s: float) -> None:
        """Let so long pass, in which nobody in the house does anything."""
        end_ns = self._now_ns + ns_from_s(span_s)
        while self._now_ns < end_ns:
            self._one(end_ns)

    def say(self, *commands: Command) -> None:
        """Commands for the next step; what became of them is in the plan."""
        self._commands += commands
        self._before = None

    def want(self, circuit: str, watts: float) -> None:
        """What a circuit's load wants from now on, W; of a charger, what its car does."""
        item = self.plant.circuits[circuit]
        if item.charger is not None:
            item.charger.car_a = watts / item.volts
        else:
            item.demand_w = watts

    def _one(self, due_ns: int) -> None:
        """A step, and what can be left out after it."""
        self._now_ns += self._step_ns
        self.outcome.steps += 1
        legs_before = self.plant.legs_a
        self.plant.step(self._step_s)
        moved = self.plant.legs_a is not legs_before  # a new list for every change
        self._judge(self._step_s)
        if moved or self._renewed:
            self._show()
        self._read_back()
        image, now_ns = self.engine.image, self._now_ns
        stamps = array("q", [now_ns]) * len(self._all)
        image.next_value[:] = self._all
        image.next_quality[:] = self._good
        image.next_sampled_ns[:] = stamps
        image.latch()
        self.engine.step(now_ns, self._commands)
        self._commands = []
        changed = self._obey()
        if moved or changed or self._renewed:
            self._before = None
            self._renewed = False
        elif self._skipping and self._still.possible and not self._out_s:
            self._skip(due_ns)

    def _skip(self, due_ns: int) -> None:
        quiet = self._still
        if due_ns - self._now_ns < FEWEST_STEPS * self._step_ns:
            return
        before, now = self._before, quiet.capture(self._now_ns)
        self._before = now
        if before is None:
            return
        until_ns = min(quiet.until_ns(before, now), self._plausible_ns(), due_ns)
        steps = (until_ns - self._now_ns) // self._step_ns - SETTLED_STEPS
        while steps > 0 and not self._carries(steps * self._step_ns / NS_PER_S):
            steps //= 2  # the moment of a trip is not known beforehand: come nearer to it
        if steps > 0:
            quiet.skip(before, now, steps)
            passed_ns = steps * self._step_ns
            passed_s = passed_ns / NS_PER_S
            self._now_ns += passed_ns
            self.plant.step(passed_s)
            self._judge(passed_s)
            self._before = None

    def _carries(self, for_s: float) -> bool:
        """Whether neither a breaker nor the shadow would trip so soon."""
        return self.plant.carries(for_s) and self._shadow.carries(self._rest, for_s)

    def _plausible_ns(self) -> int:
        """When what judges the readings will look at something again by itself."""
        engine = self.engine
        return (
            engine.plausibility.rests_until_ns(self._now_ns)
            if engine.hidden.rests
            else self._now_ns
        )

    def _draw_noise(self) -> None:
        """Every meter's error, until the household changes again."""
        for name in self._noise:
            self._noise[name] = 1.0 + NOISE_RATIO * (2.0 * self._dice.random() - 1.0)
        self._renewed = True

    def _show(self) -> None:
        """Bring the readings up to what flows."""
        plant, values = self.plant, self._all
        for owner, slots in self._by_owner.items():
            noise = self._noise.get(owner, 1.0)
            item = plant.circuits.get(owner)
            if item is not None:
                now = (item.current_a, noise)
                if now == self._shown.get(owner):
                    continue
                self._shown[owner] = now
            for slot, what, exact in slots:
                values[slot] = round(truth(plant, owner, what) * (1.0 if exact else noise))

    def _read_back(self) -> None:
        """Relays as they are, and the last order that was acknowledged."""
        values = self._all
        for slot, contact, what in self._relays:
            values[slot] = contact.closed if what == "relay" else contact.ordered

    def _obey(self) -> bool:
        """Orders to the plant; whether one is new. Relays are seen and acknowledged at once."""
        engine, state = self.engine, self.engine.state
        orders = (state.closed.tobytes(), state.set_ma.tobytes(), state.claims.tobytes())
        if orders == self._obeyed:
            return False
        self._obeyed = orders
        changed = False
        for i, circuit in enumerate(engine.loads):
            item = self.plant.circuits[circuit.id]
            if circuit.relay_device is not None and state.closed[i] >= 0:
                closed = bool(state.closed[i])
                if item.contact.ordered is not closed:
                    if not closed and self._waiting is not None:
                        self._waiting.opens(item)
                    item.contact.order(closed)
                    self.outcome.relay_moves += 1
                    changed = True
            if item.node is not None:
                budget_w = float(engine.budget_w(i, self._now_ns))
                stop = bool(state.claims[i])
                if budget_w != item.node.budget_w or stop is not item.node.stopped:
                    changed = True
                item.node.tell(budget_w, 1e12, stop)
            elif item.charger is not None:
                if engine.setpoint_a(i) != item.charger.setpoint_a:
                    changed = True
                item.charger.tell(engine.setpoint_a(i))
            self.outcome.sheds += not self._claims[i] and bool(state.claims[i])
            self._claims[i] = state.claims[i]
        self._turned = self._turned or changed
        if changed and self.orders is not None:
            self.orders.append((self._now_ns, tuple(state.closed), tuple(state.set_ma)))
        return changed

    def _tripped(self, names: list[str]) -> None:
        """Breakers have tripped: the main one, or those of feeders and circuits."""
        self._out_s |= dict.fromkeys(names, RESET_S)
        self._turned = True
        if self._waiting is not None:
            for item in self.plant.circuits.values():
                behind = item.circuit.id in names or MAINS in names
                if behind or any(item.circuit.id in f.circuits for f in self._feeders(names)):
                    self._waiting.opens(item)
        mains = names.count(MAINS)
        self.outcome.trips += mains
        kept = self._shadow.carries(self._rest, RESET_S)  # without us it would not trip so soon
        self.outcome.preventable_trips += mains if kept and not self._shadow.tripped else 0
        self.outcome.branch_trips += len(names) - mains

    def _feeders(self, names: list[str]) -> list[Feeder]:
        return [feeder for feeder in self.panel.feeders if feeder.id in names]

    def _reset(self, name: str) -> None:
        """Somebody puts a breaker in again."""
        del self._out_s[name]
        self._turned = True
        self.plant.reset(name)
        if name == MAINS:
            self._shadow = ThermalBreaker(self.panel.service.breaker.rating_a, 2)

    def _judge(self, dt_s: float) -> None:
        plant, outcome = self.plant, self.outcome
        legs = plant.legs_a
        if legs is not self._legs:
            self._legs = legs
            self._rest = [legs[0], legs[1]]
            for item in self._managed:
                if item.current_a:
                    for leg in item.circuit.legs:
                        self._rest[leg] -= item.current_a
            self._node_w = sum(item.power_w for item in self._nodes)
        self._shadow.step(self._rest, dt_s)
        if legs[0] > self._limit_a or legs[1] > self._limit_a:
            outcome.over_s += dt_s
            self._over_s += dt_s
            outcome.longest_over_s = max(outcome.longest_over_s, self._over_s)
        else:
            self._over_s = 0.0
        for name, left_s in list(self._out_s.items()):
            self._out_s[name] = left_s - dt_s
            if left_s <= dt_s:
                self._reset(name)
        if len(plant.trips) > self._trips:
            self._tripped(plant.trips[self._trips :])
            self._trips = len(plant.trips)
        outcome.node_wh += self._node_w * dt_s / 3600.0
        whole = round((self._now_ns - START_NS) / NS_PER_S)
        if len(outcome.house) < whole:
            node_a = sum(item.current_a for item in self._nodes)
            house = (legs[0] - node_a, legs[1] - node_a)
            outcome.house += [house] * (whole - len(outcome.house))
