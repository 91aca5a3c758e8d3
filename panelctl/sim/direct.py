"""Plant and engine face to face: no bus, no event loop, no wall clock. For days instead of seconds.

The plant's truth is written straight into the image, the engine's decision straight to the plant.
What the bus and the loop add (delays, losses) is not in here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from panelctl.core.engine import Engine
from panelctl.model.circuit import Role
from panelctl.model.metering import Quality
from panelctl.model.panel import Panel
from panelctl.sim.judge import OVER_RATIO, Judge
from panelctl.sim.plant import Plant
from panelctl.sim.player import Player
from panelctl.sim.truth import COUNTERS, truth
from panelctl.units import NS_PER_S

START_NS = NS_PER_S
SHOWN_S = 1e-3  # how long a new load flows before the meters are read


@dataclass(slots=True)
class DirectRun:
    """A panel's plant under its engine. Figures are per second of plant time."""

    panel: Panel
    plant: Plant
    player: Player
    engine: Engine = field(init=False)
    judge: Judge = field(init=False)
    seconds_over: int = 0
    seconds_preventable: int = 0
    sheds: int = 0
    restores: int = 0
    _over_before: int = 0
    _steps: int = 0
    _sources: list[tuple[int, str, str]] = field(init=False)

    def __post_init__(self) -> None:
        self.engine = Engine(self.panel)
        self.judge = Judge(self.panel, self.plant)
        self.judge.watching = True
        self.player.begin()
        self._sources = []
        for slot, name in enumerate(self.engine.image.names):
            owner, _, what = name.partition(".")
            self._sources.append((slot, owner, what))

    def step(self, dt_s: float = 1.0) -> None:
        """Tell the story, read, decide, write, and let the rest of `dt_s` pass."""
        self._steps += 1
        self.player.tell(self._steps * dt_s)
        self.plant.step(SHOWN_S)
        now_ns = START_NS + round(self._steps * dt_s * NS_PER_S)
        self._read(now_ns)
        before = list(self.engine.state.claims)
        self.engine.step(now_ns)
        self._write(before)
        self.plant.step(dt_s - SHOWN_S)
        self.judge.step(dt_s)
        self._count()

    def _read(self, now_ns: int) -> None:
        image = self.engine.image
        for slot, owner, what in self._sources:
            if what == "acked":
                self._tell(slot, owner, now_ns)
            elif not what.endswith(COUNTERS):
                image.put(slot, round(truth(self.plant, owner, what)), Quality.GOOD, now_ns)
        image.latch()

    def _tell(self, slot: int, owner: str, now_ns: int) -> None:
        """An order is acknowledged in the step after it was given."""
        image = self.engine.image
        ordered = int(self.plant.circuits[owner].contact.ordered)
        if image.next_value[slot] != ordered or not image.next_sampled_ns[slot]:
            image.put(slot, ordered, Quality.GOOD, now_ns)

    def _write(self, claims_before: list[int]) -> None:
        engine, plant = self.engine, self.plant
        state = engine.state
        for i, circuit in enumerate(engine.loads):
            item = plant.circuits[circuit.id]
            if circuit.relay_device is not None and state.closed[i] >= 0:
                item.contact.order(bool(state.closed[i]))
            if item.node is not None:
                now_ns = state.step_ns[0]
                item.node.tell(engine.budget_w(i, now_ns), 1e9, bool(state.claims[i]))
            elif item.charger is not None:
                item.charger.tell(engine.setpoint_a(i))
            self.sheds += not claims_before[i] and bool(state.claims[i])
            self.restores += bool(claims_before[i]) and not state.claims[i]

    def _count(self) -> None:
        """A second over the limit was preventable when the one before was over too, and there was
        something managed on that leg that could still have been opened.
        """
        over = [leg for leg in (0, 1) if self.plant.legs_a[leg] > self.judge.limit_a * OVER_RATIO]
        if not over:
            self._over_before = 0
            return
        self.seconds_over += 1
        self._over_before += 1
        if self._over_before < 2:
            return
        relief = any(
            item.circuit.controlled
            and item.circuit.role is Role.SWITCHED
            and item.current_a > 0.2
            and any(leg in over for leg in item.circuit.legs)
            for item in self.plant.circuits.values()
        )
        node_above = any(
            item.node is not None and item.node.draw_w > item.node.floor_w * 1.05
            for item in self.plant.circuits.values()
        )
        self.seconds_preventable += relief or node_above
