"""A home on a virtual clock with a charger that does as real ones do, and how long it costs what.

The plant knows the truth: seconds above the control setting are counted there, on the worse leg.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from panelctl.config.load import parse_panel
from panelctl.model.record import CycleRecord, EventRecord
from panelctl.sim.storm.world import STEP_NS, World
from panelctl.sim.told import SimCharger, SimNode
from panelctl.units import NS_PER_S

HOME = Path("fixtures/panels/home_100a.toml")
SAFE_A = 20.0
OVER_RATIO = 1.01
EVSE = """
[[link]]
name = "evse"
url = "tcp://192.0.2.20:502"

[[device]]
name = "charger"
link = "evse"
map = "{map}"
turnround_ms = 20
accept_unverified = true
{more}
[[circuit]]
id = "evse"
name = "EV charger"
spaces = [18, 20]
legs = "ab"
breaker_a = 50
role = "modulated"
armed = true
tier = 5
meter = {{ device = "charger", a = "l1_a", b = "l2_a" }}
min_off_s = 4

[circuit.setpoint]
device = "charger"
min_a = 6
max_a = 32
fallback_a = 6
rest_tier = 7
settle_s = 1.0
change_s = 2
"""


@dataclass
class ChargerWorld:
    """The home. `run` lets seconds pass; `watch` is called after each step of the plant."""

    world: World
    over_s: float = 0.0  # above the control setting
    worst_a: float = 0.0
    records: list[CycleRecord] = field(default_factory=list)
    told: list[tuple[float, float]] = field(default_factory=list)  # when it was told what, A

    def __post_init__(self) -> None:
        self.world.household.tell = lambda now_s: False  # type: ignore[method-assign]  # by hand
        for item in self.world.plant.circuits.values():
            if item.node is None and item.charger is None:
                item.demand_w = 0.0
        self.world.after_step.append(self._look)
        self.world.line = self._heard
        write = self.charger.write_registers

        def heard(address: int, words: list[int]) -> None:
            write(address, words)
            self.told.append((self.world.now_s, self.charger.charger.setpoint_a))

        self.charger.write_registers = heard  # type: ignore[method-assign]  # to listen

    @property
    def charger(self) -> SimCharger:
        """The simulated charger."""
        device = self.world.devices["charger"]
        assert isinstance(device, SimCharger)
        return device

    @property
    def node(self) -> SimNode:
        """The simulated node."""
        device = self.world.devices["node"]
        assert isinstance(device, SimNode)
        return device

    @property
    def drawn_a(self) -> float:
        """What the car draws."""
        return self.charger.charger.draw_a

    @property
    def ordered_a(self) -> float:
        """What the controller wants it to be told."""
        app = self.world.app
        assert app is not None
        return app.engine.setpoint_a(app.engine.index["evse"])

    def events(self, what: str) -> list[EventRecord]:
        """The events of one kind, so far."""
        return [e for record in self.records for e in record["events"] if e["what"] == what]

    def draws(self, ident: str, watts: float) -> None:
        """A load of the home."""
        self.world.plant.circuits[ident].demand_w = watts

    def run(self, seconds: float) -> None:
        """Let time pass."""
        until_ns = self.world.loop.now_ns + round(seconds * NS_PER_S)
        self.world.loop.run_until_complete(self._until(until_ns))
        self.world.look()

    def until(self, condition: Callable[[], object], most_s: float) -> float:
        """Let time pass until `condition` holds; how long it took, s."""
        began_s = self.world.now_s
        while not condition():
            assert self.world.now_s - began_s < most_s, self.records[-1]["orders"]
            self.run(0.05)
        return self.world.now_s - began_s

    async def _until(self, at_ns: int) -> None:
        await self.world.clock.sleep_until(at_ns)

    def _look(self, now_ns: int) -> None:
        limit_a = self.world.panel.service.control_setting_a
        worst_a = max(self.world.plant.legs_a)
        self.worst_a = max(self.worst_a, worst_a)
        if worst_a > limit_a * OVER_RATIO:
            self.over_s += STEP_NS / NS_PER_S

    def _heard(self, line: bytes) -> None:
        plain = json.loads(line)
        if "decisions" in plain:
            self.records.append(plain)


@contextmanager
def charger_world(
    known: str = "alfen_eve", more: str = "", seed: int = 1
) -> Iterator[ChargerWorld]:
    """A home with a charger of that map, and `more` lines of its device's table; its controller
    runs. A car is there that takes all it is given.
    """
    text = HOME.read_text() + EVSE.format(map=known, more=more)
    with tempfile.TemporaryDirectory() as folder:
        world = World(parse_panel(text, "panel.toml"), text, seed, Path(folder))
        found = ChargerWorld(world)
        found.charger.charger.fallback_a = SAFE_A
        found.charger.charger.car_a = 32.0
        world.start()
        listener = world.loop.create_task(world.listen())
        try:
            yield found
        finally:
            listener.cancel()
            world.loop.run_until_complete(world.kill())
            world.loop.close()


@dataclass(frozen=True)
class Ceiling:
    """What a safe current above the told one came to."""

    over_limit_s: float
    worst_a: float
    falls: int
    opened: int  # household circuits that were opened


def ceiling(
    known: str = "alfen_eve", more: str = "", range_a: float = 28.0, patience_s: float = 10.0
) -> Ceiling:
    """A charger that goes to 20 A when it hears nothing for `patience_s`, two minutes on a limit
    of 80 A: told to pause beside a household that leaves no room, or, with less of the range, 6 A.
    """
    with charger_world(known, more) as home:
        charger = home.charger.charger
        charger.patience_s = patience_s
        for ident, watts in {
            "range": range_a * 240, "heating_1": 40 * 240, "exterior": 4 * 120, "lights": 4 * 120,
        }.items():  # fmt: skip
            home.draws(ident, watts)
        home.run(5.0)  # it has found out what there is
        home.over_s, home.worst_a, falls, was_up = 0.0, 0.0, 0, False
        for _ in range(1200):
            home.run(0.1)
            up = charger.quiet_s >= charger.patience_s
            falls += up and not was_up
            was_up = up
        opened = sum(not item.contact.closed for item in home.world.plant.circuits.values())
        return Ceiling(round(home.over_s, 3), round(home.worst_a, 1), falls, opened)
