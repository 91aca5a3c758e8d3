"""A simulated panel as a process: plant, devices, wires, story and bench on one event loop."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from panelctl.clock import Clock
from panelctl.model.panel import Panel
from panelctl.sim.bench_socket import BenchSocket
from panelctl.sim.build import build_devices
from panelctl.sim.devices import SimMeter, SimRelayBoard
from panelctl.sim.judge import Judge
from panelctl.sim.plant import Plant
from panelctl.sim.player import Player
from panelctl.sim.told import SimCharger, SimNode
from panelctl.sim.wires import SimWire, start_wire, wire_of
from panelctl.units import NS_PER_MS, NS_PER_S

STEP_NS = 10 * NS_PER_MS
FLICKER_S = 1.0  # small loads change by a few watts about so often
FLICKER_RATIO = 0.06
FLICKER_MOST_W = 1000.0


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the simulated panel can be reached: link URLs by name, and the bench's socket; and
    what drives the loads: `story`, `home` or `household`.
    """

    links: dict[str, str]
    bench: str
    loads: str


class House:
    """The simulated panel. `player` drives the loads, whatever that is."""

    def __init__(
        self,
        panel: Panel,
        plant: Plant,
        player: Player,
        seed: int,
        clock: Clock,
        loads: str = "story",
    ) -> None:
        self.plant = plant
        self.judge = Judge(panel, plant)
        self._panel = panel
        self._player = player
        self._loads = loads
        self._clock = clock
        self._random = random.Random(f"{seed} flicker")
        self._story_ns = 0
        self._flicker_s = 0.0
        self.wires: list[SimWire] = []
        devices = build_devices(panel, plant, seed)
        self._meters = [d for d in devices.values() if isinstance(d, SimMeter) and d.measuring]
        for link in panel.links:
            units = {d.device.unit: d for d in devices.values() if d.device.link == link.name}
            self.wires.append(wire_of(link, units, clock, lambda: plant.time_s))
        for device in devices.values():
            if isinstance(device, SimNode):
                device.on_budget = self._budget
            elif isinstance(device, SimRelayBoard):
                device.on_order = self._switched
            elif isinstance(device, SimCharger):
                device.on_lower = self._corrected
        self.bench = BenchSocket(plant, self.judge, self.wires, self.begin, self._stepped)

    async def start(self, bench: Path) -> Endpoints:
        """Open all wires and the bench."""
        for wire in self.wires:
            await start_wire(wire)
        await self.bench.start(bench)
        self._player.begin()
        return Endpoints({w.link.name: w.url for w in self.wires}, str(bench), self._loads)

    async def run(self) -> None:
        """Let time pass, until cancelled."""
        last_ns = tick_ns = self._clock.now_ns()
        while True:
            tick_ns += STEP_NS
            await self._clock.sleep_until(tick_ns)
            now_ns = self._clock.now_ns()
            raised = False
            if self._story_ns:
                raised = self._player.tell((now_ns - self._story_ns) / NS_PER_S)
            self._flick()
            dt_s = (now_ns - last_ns) / NS_PER_S
            last_ns = now_ns
            self.plant.step(dt_s)
            for meter in self._meters:
                meter.follow(self.plant.time_s)
            self.judge.step(dt_s)
            if raised:
                self.judge.stepped(now_ns)
            tick_ns = max(tick_ns, now_ns - STEP_NS)

    def stop(self) -> None:
        """Close everything."""
        self.bench.stop()
        for wire in self.wires:
            wire.stop()

    def begin(self) -> None:
        """Begin the story and the judgement."""
        self._story_ns = self._clock.now_ns()
        self.judge.watching = True

    def _stepped(self) -> None:
        self.plant.step(1e-6)
        self.judge.stepped(self._clock.now_ns())

    def _budget(self, budget_w: float) -> None:
        self.judge.budget_written(budget_w, self._clock.now_ns())

    def _switched(self, output: int, closed: bool) -> None:
        if not closed:
            self._corrected()

    def _corrected(self) -> None:
        self.judge.corrected(self._clock.now_ns())

    def _flick(self) -> None:
        """Small loads are never quite still."""
        if self.plant.time_s - self._flicker_s < FLICKER_S:
            return
        self._flicker_s = self.plant.time_s
        for item in self.plant.circuits.values():
            small = item.demand_w < FLICKER_MOST_W
            item.flicker_ratio = FLICKER_RATIO * self._random.uniform(-1.0, 1.0) if small else 0.0
