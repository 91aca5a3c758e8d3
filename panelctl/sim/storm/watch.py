"""Checkers: what a storm must never see, judged by the plant's truth.

S1 no breaker trips that a controller with perfect knowledge could have kept from tripping
S2 the limit is not passed for more than OVER_S in a time without faults
S3 a circuit that is always on is never opened by us
S4 minimum off times and the wear budgets of relays are kept
S5 what is shed was short of room on a leg that it is on, and the mains were read then
S6 without a mains reading the node goes to its floor, chargers to their fallback, in time
S7 the node is never handed more than the limit leaves, in a time without faults
V1 no wrong reading of a circuit is ever good, unless its meter lies
L1 when the faults have ended everything that fits comes back
M1 the controller's memory and its tasks do not grow
"""

from __future__ import annotations

import json
from collections import Counter, deque
from typing import Any

from panelctl.model.circuit import Role, SafeState
from panelctl.model.relay import Claim
from panelctl.sim.breakers import ThermalBreaker
from panelctl.sim.devices import SimNode
from panelctl.sim.plant import PlantCircuit
from panelctl.sim.storm.faults import KINDS, Spoils
from panelctl.sim.storm.figures import Figures, Sample, Sizes, Violation, Worst
from panelctl.sim.storm.readings import Readings
from panelctl.sim.storm.strike import Strike
from panelctl.sim.storm.world import STEP_NS, World
from panelctl.units import NS_PER_S

OVER_RATIO = 1.01
OVER_S = 2.0
SETTLE_S = 20.0  # after a fault: units come back within a second, doubts and heat take longer
BLIND_SLACK_S = 2.0  # lease, charger and relay follow
SHED_SLACK_S = 5.0
BLIND = (
    (frozenset({"lost", "cable_out", "reset"}), 0.0),
    (frozenset({"zero"}), 6.0),  # found out by what the circuits draw
)
HAND_SLACK_A = 3.0  # meters' noise and the skew of a cycle
SHADOW_STEPS = 4  # of the plant, between two of the shadow
HAND_WINDOW = 24  # steps of the plant: a household that has just risen may not be known yet
BOUNDS_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Watch:
    """Watches a world. `violations` are in order of time."""

    def __init__(self, world: World) -> None:
        self.violations: list[Violation] = []
        self.figures = Figures()
        self._world = world
        self._panel = world.panel
        self._plant = world.plant
        self._active: list[tuple[Strike, Spoils]] = []
        self._calm_from_s = SETTLE_S  # from here on no fault has been there for a while
        self._shadow = ThermalBreaker(world.panel.service.breaker.rating_a, 2)
        self._over_s = [0.0, 0.0]
        self._blind_s = [0.0 for _ in BLIND]
        self._lowered_ns = self._read_ns = 0
        self._limits_ma = (0, 0)
        self._house: deque[tuple[float, float]] = deque(maxlen=HAND_WINDOW)
        self._relays = {
            n: item for n, item in self._plant.circuits.items() if item.circuit.relay_device
        }
        self._nodes = [item for item in self._plant.circuits.values() if item.node is not None]
        self._ordered = {n: item.contact.ordered for n, item in self._relays.items()}
        self._opened_s: dict[str, float] = {}
        self._moves: Counter[str] = Counter()
        self._excused: Counter[str] = Counter()  # moves that people or a board made
        self._seen_trips = self._steps = 0
        self.worst = Worst()
        self.sizes = Sizes(world.loop)
        self._readings = Readings(world)
        world.after_step.append(self._step)
        world.line = self._line
        world.told = self._told
        self._wanted: dict[str, tuple[float, float]] = {}  # limits that were accepted: A, until (s)
        for device in (d for d in world.devices.values() if isinstance(d, SimNode)):
            device.on_budget = self._handed
        self._mains = {ref.device for ref in world.panel.service.currents}
        self._mains_links = {d.link for d in world.panel.devices if d.name in self._mains}

    # -- strikes ----------------------------------------------------------------------------------

    def begins(self, strike: Strike) -> None:
        """A fault begins."""
        spoils = KINDS[strike.kind].spoils
        self.figures.strikes[strike.kind] += 1
        self._active.append((strike, spoils))

    def ends(self, strike: Strike) -> None:
        """A fault has ended."""
        self._active = [(s, spoils) for s, spoils in self._active if s is not strike]
        if KINDS[strike.kind].spoils is not Spoils.NOTHING:
            self._calm_from_s = max(self._calm_from_s, self._world.now_s + SETTLE_S)

    @property
    def calm(self) -> bool:
        """No fault that would excuse anything, now or a moment ago."""
        if any(spoils is not Spoils.NOTHING for _, spoils in self._active):
            return False
        gone_s = (self._world.loop.now_ns - self._world.gone_ns) / NS_PER_S
        alone = self._world.running and (self._world.gone_ns == 0 or gone_s > SETTLE_S)
        return alone and self._world.now_s >= self._calm_from_s

    def _out_of_reach(self, device: str | None) -> bool:
        """Whether a device could not be written to now, whoever tried."""
        if device is None or not self._world.running:
            return True
        link = self._panel.device(device).link
        return any(
            spoils is Spoils.LINK and strike.target in (device, link, "panel")
            for strike, spoils in self._active
        )

    def _beyond_control(self, item: PlantCircuit) -> bool:
        """Whether even a controller that knows everything could not take this load away now."""
        circuit = item.circuit
        if not circuit.controlled:
            return True
        relay = item.contact.welded or self._out_of_reach(circuit.relay_device)
        if item.node is not None:
            deaf = item.node.ignores or self._out_of_reach(circuit.setpoint_device)
            return relay and deaf
        if item.charger is not None:
            return relay and self._out_of_reach(circuit.setpoint_device)
        return relay

    # -- each step of the plant -------------------------------------------------------------------

    def _step(self, now_ns: int) -> None:
        plant, dt_s = self._plant, STEP_NS / NS_PER_S
        legs = plant.legs_a
        limits = self._limit_a()
        self._steps += 1
        if self._steps % SHADOW_STEPS == 0:
            node_a = sum(item.current_a for item in self._nodes)
            at_s = round(self._world.now_s, 3)
            self.worst.see(Sample(at_s, legs[0], legs[1], min(limits), node_a))
            self._shadow.step(self._unpreventable(), SHADOW_STEPS * dt_s)
        if len(plant.trips) > self._seen_trips:
            self._tripped()
        for leg in (0, 1):
            if legs[leg] > limits[leg] * OVER_RATIO:
                self._over_s[leg] += dt_s
                self.figures.over_total_s += dt_s
                if self._over_s[leg] > OVER_S and self._over_s[leg] - dt_s <= OVER_S:
                    self._passed(leg, limits[leg], now_ns)
            elif self._over_s[leg]:
                bound = next((b for b in BOUNDS_S if self._over_s[leg] <= b), None)
                self.figures.over_s[f"<= {bound:g} s" if bound else "longer"] += 1
                self._over_s[leg] = 0.0
        self._house.append((plant.household_a(0), plant.household_a(1)))
        self._contacts()
        self._blind(dt_s)
        if now_ns - self._read_ns >= NS_PER_S:
            self._read_ns = now_ns
            lying = {s.target for s, spoils in self._active if spoils is Spoils.METER}
            for what in self._readings.wrong(lying, now_ns):
                self._found("V1", what)
        for item in self._nodes:
            self.figures.compute_wh += item.power_w * dt_s / 3600.0

    def _unpreventable(self) -> list[float]:
        legs = [0.0, 0.0]
        if self._active or not self._world.running:
            for item in self._plant.circuits.values():
                if item.current_a and self._beyond_control(item):
                    for leg in item.circuit.legs:
                        legs[leg] += item.current_a
            return legs
        for leg in (0, 1):
            legs[leg] = self._plant.legs_a[leg]
        for item in self._plant.circuits.values():
            if item.current_a and item.circuit.controlled and not item.contact.welded:
                for leg in item.circuit.legs:
                    legs[leg] -= item.current_a
        return legs

    def _tripped(self) -> None:
        for name in self._plant.trips[self._seen_trips :]:
            self.figures.trips += 1
            if name == "main" and not self._shadow.tripped:
                self.figures.preventable_trips += 1
                self._found("S1", "the main breaker tripped, and need not have")
            elif name != "main" and self._plant.circuits[name].circuit.controlled:
                self._found("S1", f"the breaker of {name} tripped")
        self._seen_trips = len(self._plant.trips)

    def _limit_a(self) -> tuple[float, float]:
        setting_a = self._panel.service.control_setting_a
        app = self._world.app
        if app is None or not self._world.running:
            return setting_a, setting_a
        limits = app.engine.state.limit_ma
        now = (limits[0], limits[1])
        setting_a = min([setting_a, *self._asked_a()])
        if self._limits_ma[0] and min(a - b for a, b in zip(now, self._limits_ma, strict=True)) < 0:
            self._lowered_ns = self._world.loop.now_ns
        self._limits_ma = now
        a, b = now
        if not a or not b:
            return setting_a, setting_a
        return min(a / 1000, setting_a), min(b / 1000, setting_a)

    def _told(self, line: bytes) -> None:
        """An answer to a command: a limit that was accepted has to be kept from now on."""
        if b'"accepted":true' not in line:
            return
        ident = json.loads(line)["answer"]["id"]
        command = next((c for c in reversed(self._world.said) if c["id"] == ident), None)
        if command is None or command["do"] not in ("limit", "envelope"):
            return
        now_s = self._world.now_s
        if command["do"] == "limit":
            if command["limit_a"] is None:
                self._wanted.pop("limit", None)
            else:
                self._wanted["limit"] = (command["limit_a"], now_s + command["expires_s"])
        else:
            window = command["windows"][0]
            self._wanted["envelope"] = (window["limit_a"], now_s + window["end_s"])
        self._lowered_ns = self._world.loop.now_ns

    def _asked_a(self) -> list[float]:
        """The limits that people and utilities have set, and that are still in force."""
        now_s = self._world.now_s
        return [limit_a for limit_a, until_s in self._wanted.values() if now_s < until_s - 0.5]

    def _passed(self, leg: int, limit_a: float, now_ns: int) -> None:
        lowered_s = (now_ns - self._lowered_ns) / NS_PER_S
        if not self.calm or (self._lowered_ns and lowered_s < OVER_S + 1.0):
            return
        if self._unpreventable()[leg] > limit_a:
            return
        legs_a = self._plant.legs_a[leg]
        self._found(
            "S2", f"leg {'ab'[leg]} at {legs_a:.1f} A for {OVER_S:g} s over {limit_a:.1f} A"
        )

    def _contacts(self) -> None:
        now_s = self._world.now_s
        for name, item in self._relays.items():
            ordered = item.contact.ordered
            if ordered is self._ordered[name]:
                continue
            self._ordered[name] = ordered
            circuit = item.circuit
            by_board = any(
                now_s - at_s < 2.0 and board == circuit.relay_device
                for at_s, board in self._world.resets
            )
            self._moves[name] += 1
            self.figures.relay_moves += 1
            if by_board:
                self._excused[name] += 2  # and it is put right again
                self._opened_s.pop(name, None)
                continue
            if circuit.role is Role.ALWAYS_ON and not ordered:
                self._found("S3", f"{name} is always on, and its relay was opened")
            if not ordered:
                self._opened_s[name] = now_s
            elif name in self._opened_s:
                off_s = now_s - self._opened_s.pop(name)
                if off_s < circuit.min_off_s - 0.5 and not item.node:
                    self._found(
                        "S4", f"{name} was closed after {off_s:.1f} of {circuit.min_off_s:g} s"
                    )

    def _blind(self, dt_s: float) -> None:
        """How long the mains cannot be read, or show nothing at all, which has to be noticed."""
        timing = self._panel.timing
        for n, (kinds, slack_s) in enumerate(BLIND):
            blind = self._world.running and any(
                strike.kind in kinds and (strike.target in self._mains | self._mains_links)
                for strike, _ in self._active
            )
            before_s = self._blind_s[n]
            self._blind_s[n] = before_s + dt_s if blind else 0.0
            for due_s, check in (
                (timing.hold_s + BLIND_SLACK_S + slack_s, self._must_be_low),
                (timing.shed_s + SHED_SLACK_S + slack_s, self._must_be_safe),
            ):
                if before_s < due_s <= self._blind_s[n]:
                    check()

    def _must_be_low(self) -> None:
        for name, item in self._plant.circuits.items():
            modulation = item.circuit.modulation
            if modulation is None or self._out_of_reach(item.circuit.setpoint_device):
                continue
            if item.node is not None and not item.node.ignores:
                if item.node.draw_w > item.node.floor_w * 1.05:
                    self._found("S6", f"blind, and {name} draws {item.node.draw_w:.0f} W")
            elif (
                item.charger is not None
                and item.circuit.controlled
                and item.charger.draw_a > max(item.charger.fallback_a, modulation.min_a) + 1.0
            ):
                self._found("S6", f"blind, and {name} draws {item.charger.draw_a:.1f} A")

    def _must_be_safe(self) -> None:
        for name, item in self._plant.circuits.items():
            circuit = item.circuit
            if (
                circuit.controlled
                and circuit.role is Role.SWITCHED
                and circuit.safe_state is SafeState.OPEN
                and not self._beyond_control(item)
                and item.contact.closed
            ):
                self._found("S6", f"blind for long, and {name} is still closed")

    # -- what is handed out and said --------------------------------------------------------------

    def _handed(self, budget_w: float) -> None:
        self._world.look()
        if not self.calm or not self._house:
            return
        node = self._nodes[0]
        assert node.node is not None
        if budget_w <= node.node.floor_w or node.node.ignores:
            return
        limits = self._limit_a()
        if (self._world.loop.now_ns - self._lowered_ns) / NS_PER_S < 1.0 and self._lowered_ns:
            return
        left_a = min(
            limits[leg] - min(house[leg] for house in self._house) for leg in node.circuit.legs
        )
        given_a = budget_w / node.volts
        if given_a > left_a + HAND_SLACK_A:
            self._found("S7", f"{given_a:.1f} A handed out, {left_a:.1f} A were left")

    def _line(self, line: bytes) -> None:
        if b'"events":[]' in line or b'"seq"' not in line:
            return
        record = json.loads(line)
        for event in record["events"]:
            if event["what"] == "shed":
                self.figures.sheds += 1
                self._shed(record, event)
            elif event["what"] == "restore":
                self.figures.restores += 1
            elif event["what"] in ("open", "fault", "release") and "circuit" in event:
                self._excused[event["circuit"]] += 2  # a person, or a relay that does not obey

    def _shed(self, record: dict[str, Any], event: dict[str, Any]) -> None:
        if event.get("text") != "LIMIT":
            return
        circuit = self._plant.circuits[event["circuit"]].circuit
        row = event.get("leg")
        if row is None or event.get("by_a", 0) <= 0:
            self._found("S5", f"{circuit.id} was shed, and no leg was short")
            return
        if row not in ("a", "b"):
            return
        leg = "ab".index(row)
        drew = next(c for c in record["circuits"] if c["id"] == circuit.id)
        if drew["fresh"] and max(drew["a"], default=1.0) < 0.1 and "set_a" not in drew:
            self._found("S5", f"{circuit.id} was shed, and drew nothing")
        if leg not in circuit.legs:
            self._found("S5", f"{circuit.id} was shed for leg {row}, which it is not on")
        age_s = record["image"]["age_ns"][leg] / NS_PER_S
        if record["image"]["quality"][leg] == 0 or age_s > self._panel.timing.hold_s:
            self._found("S5", f"{circuit.id} was shed on a reading {age_s:.1f} s old")

    # -- the end ----------------------------------------------------------------------------------

    def finish(self, days: float, rested: bool) -> None:
        """Judge what can only be judged at the end; `rested`: the faults have ended long ago."""
        app = self._world.app
        for what in self.sizes.grown():
            self._found("M1", what)
        for error in self._world.crashes:
            self.figures.crashes += 1
            self._found("crash", f"the controller ended with {type(error).__name__}: {error}")
        for item in self._plant.circuits.values():
            circuit = item.circuit
            moves = self._moves[circuit.id] - self._excused[circuit.id]
            if circuit.ops_per_day and moves > 22 + circuit.ops_per_day * days * 1.2:
                self._found("S4", f"{circuit.id} was moved {moves} times in {days:g} days")
        if not rested or app is None or not self._world.running or self._plant.main.tripped:
            return
        if app.engine.now.name != "NORMAL":
            self._found("L1", f"the faults have ended, and the state is {app.engine.now.name}")
        for i, circuit in enumerate(app.engine.loads):
            item = self._plant.circuits[circuit.id]
            if item.breaker.tripped or not circuit.controlled:
                continue
            if not item.contact.closed:
                claims = Claim(app.engine.state.claims[i])
                self._found("L1", f"{circuit.id} is still open: {claims!r}")
            if item.node is not None and item.node.draw_w < item.node.max_w * 0.9:
                self._found("L1", f"there is room, and the node draws {item.node.draw_w:.0f} W")

    def _found(self, check: str, what: str) -> None:
        self.violations.append(Violation(round(self._world.now_s, 3), check, what))
