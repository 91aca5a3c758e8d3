"""Checkers: what a storm must never see, judged by the plant.

S1 no breaker trips that a controller with perfect knowledge could have kept from tripping
S2 no limit, of the lugs or of a feeder, is passed for more than 2 s while nothing excuses it
S3 a circuit that is always on is never opened by us
S4 minimum on and off times and the wear budgets of relays are kept
S5 what is shed was short of room on a leg that it is on, and the mains were read then
S6 without a mains reading the node goes to its floor, chargers to their fallback, in time
S7 the node is never handed more than the limit leaves, while nothing excuses it
V1 no wrong reading of the mains or of a circuit is ever good, unless its meter lies
L1 when the faults have ended everything that fits comes back
M1 the controller's memory and its tasks do not grow

S8 to S10, of what people feel, are in comfort.py; S11, of what they are shown, in readings.py; O1
to O4, of orders, in obedience.py and restraint.py.
"""

from __future__ import annotations

import json
from collections import Counter, deque

from panelctl.link.protocol import CALM, RECORD, as_record
from panelctl.model.circuit import Role, SafeState
from panelctl.model.record import CycleRecord, EventRecord
from panelctl.sim.plant import NODE_TAU_S
from panelctl.sim.storm.comfort import Comfort
from panelctl.sim.storm.excess import Excess
from panelctl.sim.storm.exemptions import Exemptions
from panelctl.sim.storm.figures import Figures, Sample, Sizes, Violation, Worst
from panelctl.sim.storm.in_force import InForce
from panelctl.sim.storm.obedience import Obedience
from panelctl.sim.storm.readings import Readings
from panelctl.sim.storm.restored import missing
from panelctl.sim.storm.restraint import Restraint
from panelctl.sim.storm.strike import Strike
from panelctl.sim.storm.tripping import SHADOW_STEPS, Tripping
from panelctl.sim.storm.world import STEP_NS, World
from panelctl.sim.told import SimNode
from panelctl.units import NS_PER_S

BLIND_SLACK_S = 2.0  # lease, charger and relay follow
SHED_SLACK_S = 5.0
SLOW_TAUS = 5.0  # a node that is slow has come down after so many of its time constants
UNREADABLE = frozenset(
    {"lost", "cable_out", "reset", "nan", "garbled", "refused", "short", "foreign"}
)
SHOWN = frozenset({"zero", "nan", "reversed", "ct_off", "wrapped"})  # of these the newest counts
# Of which faults, how long they may take to be found out (s), what of the node may be unnoticed (W)
# and whether everything has to be safe then. Mains that show nothing are convicted in a second or
# two by a node that draws, after 15 s by the household alone; when that doubt ends, the node draws
# a little more, to see (core/decide/plausibility.py).
BLIND = (
    (UNREADABLE, 0.0, 0.0, True),
    (frozenset({"zero"}), 6.0, 2_000.0, False),
    (frozenset({"zero"}), 17.0, 2_000.0, True),
)
SWITCHED_S = 0.3  # a hand's move is seen with one of the next steps of the plant
EXCUSES = frozenset({"open", "release", "fault", "cleared", "moved"})
NOTHING_A = 6.0  # of a house that draws no more, circuits cannot contradict mains that show nothing
FOLLOWS_S = 2.0  # what comes loose, or somebody closes, is opened again
HAND_SLACK_A = 3.0  # meters' noise and the skew of a cycle
HAND_SETTLED_S = 1.0
HAND_WINDOW = 24  # steps of the plant: a household that has just risen may not be known yet
EXCESS_WINDOW = 120  # steps: what is shed was confirmed for a second, and told a little later
NEAR_A = 3.0
STALLED_NS = 200_000_000  # so far nobody but a controller that stands still lies behind


class Watch:
    """Watches a world. `violations` are in order of time."""

    def __init__(self, world: World) -> None:
        self.violations: list[Violation] = []
        self.figures = Figures()
        self._world = world
        self._panel = world.panel
        self._plant = world.plant
        self.exemptions = Exemptions(world)
        self.in_force = InForce(world)
        self._tripping = Tripping(world, self.exemptions, self.figures, self._found)
        self._over = Excess(world, self.exemptions, self.in_force, self.figures, self._found)
        self._obedience = Obedience(world, self.exemptions, self.figures, self._found)
        self._restraint = Restraint(world, self._found)
        self._comfort = Comfort(world, self.exemptions, self.in_force, self._found)
        self._excess: deque[tuple[float, float]] = deque(maxlen=EXCESS_WINDOW)
        self._blind_s = [0.0 for _ in BLIND]
        self._app = world.app
        self._blinding: list[Strike] = []
        self._stalled_s = 0.0  # of the time in which it is blind
        self._read_ns = 0
        self._house: deque[tuple[float, float]] = deque(maxlen=HAND_WINDOW)
        self._relays = {
            n: item for n, item in self._plant.circuits.items() if item.circuit.relay_device
        }
        self._nodes = [item for item in self._plant.circuits.values() if item.node is not None]
        self._orders = self._plant.orders()
        self._ordered = {n: item.contact.ordered for n, item in self._relays.items()}
        self._opened_s: dict[str, float] = {}
        self._closed_s: dict[str, float] = {}
        self._moves: Counter[str] = Counter()
        self._excused: Counter[str] = Counter()  # moves that people or a board made
        self._steps = 0
        self.worst = Worst()
        self.sizes = Sizes(world.loop)
        self._readings = Readings(world)
        self._obedience.on_shown = self._shown
        self._told_blind: set[str] = set()
        self._unsafe_s: dict[str, float] = {}  # since when a circuit is closed that is to be open
        self._ignored_s = -BLIND_SLACK_S  # when a node did last not do as it was told
        world.after_step.append(self._step)
        world.line = self._line
        for device in (d for d in world.devices.values() if isinstance(d, SimNode)):
            device.on_budget = self._handed
        self._mains = {ref.device for ref in world.panel.service.currents}
        links = {d.link for d in world.panel.devices if d.name in self._mains}
        self._mains_places = self._mains | links

    def begins(self, strike: Strike) -> None:
        """A fault begins."""
        self.figures.strikes[strike.kind] += 1
        self.exemptions.begins(strike)
        self._comfort.disturbed()
        self._weigh_blind()

    def ends(self, strike: Strike) -> None:
        """A fault has ended."""
        self.exemptions.ends(strike)
        self._obedience.ends(strike)
        self._comfort.disturbed()
        self._weigh_blind()

    def _weigh_blind(self) -> None:
        """Which faults keep the mains from being read, or make them show what is not."""
        strikes = [s for s in self.exemptions.active if s.target in self._mains_places]
        shown = [s for s in strikes if s.kind in SHOWN]
        self._blinding = [s for s in strikes if s.kind not in SHOWN or s is shown[-1]]

    # -- each step of the plant -------------------------------------------------------------------

    def _step(self, now_ns: int) -> None:
        plant, dt_s, now_s = self._plant, STEP_NS / NS_PER_S, self._world.now_s
        legs = plant.legs_a
        limits = self.in_force.limit_a()
        self._steps += 1
        if self._steps % SHADOW_STEPS == 0:
            node_a = sum(item.current_a for item in self._nodes)
            self.worst.see(Sample(round(now_s, 3), legs[0], legs[1], min(limits), node_a))
        self._tripping.step(now_s)
        self._over.step(limits)
        self._excess.append((legs[0] - limits[0], legs[1] - limits[1]))
        self._readings.see(legs)
        self._house.append((plant.household_a(0), plant.household_a(1)))
        for item in self._nodes:
            assert item.node is not None
            self.figures.compute_wh += item.power_w * dt_s / 3600.0
            if item.node.ignores:
                self._ignored_s = now_s
        orders = plant.orders()
        if orders != self._orders:
            self._orders = orders
            self._contacts()
        self._blind(now_ns, dt_s)
        if now_ns - self._read_ns >= NS_PER_S:
            self._read_ns = now_ns
            self.figures.seconds += 1
            self.figures.judged_s += self.exemptions.calm and not self._plant.main.tripped
            for what in self._readings.wrong(self._untrue, now_ns):
                self._found("V1", what)
            self._tripping.put_in(now_s)

    @property
    def _untrue(self) -> set[str]:
        """The meters whose readings nobody is blamed for."""
        return self.exemptions.lying | self.exemptions.leaking

    def _shown(self, record: CycleRecord) -> None:
        """People look at a record."""
        for what in self._readings.shown_wrong(record, self._untrue):
            self._found("S11", what)

    def _contacts(self) -> None:
        now_s = self._world.now_s
        before = self._ordered
        for name, item in self._relays.items():
            ordered = item.contact.ordered
            if ordered is before[name]:
                continue
            before[name] = ordered
            circuit = item.circuit
            by_board = self._reset_within(circuit.relay_device, 2.0)
            self._moves[name] += 1
            self.figures.relay_moves += 1
            if by_board or self._by_hand(name, now_s):
                self._excused[name] += 2  # and it is put right again
                self._opened_s.pop(name, None)
                continue
            if circuit.role is Role.ALWAYS_ON and not ordered:
                self._found("S3", f"{name} is always on, and its relay was opened")
            if ordered:
                self._closed_s[name] = now_s
                self._comfort.closed(name)
            if not ordered:
                self._opened_s[name] = now_s
            elif name in self._opened_s:
                off_s = now_s - self._opened_s.pop(name)
                if off_s < circuit.min_off_s - 0.5 and not item.node:
                    self._found(
                        "S4", f"{name} was closed after {off_s:.1f} of {circuit.min_off_s:g} s"
                    )

    def _by_hand(self, name: str, now_s: float) -> bool:
        """Whether somebody else has just moved this relay."""
        moves = self._world.switched.get(name)
        return moves is not None and now_s - moves[-1] < SWITCHED_S

    def _reset_within(self, board: str | None, seconds: float) -> bool:
        """Whether a relay board has started anew, its outputs as delivered, so short a time ago."""
        since_s = self._world.now_s - seconds
        return any(at_s > since_s and name == board for at_s, name in self._world.resets)

    def _blind(self, now_ns: int, dt_s: float) -> None:
        """How long the mains cannot be read, or show nothing at all, which has to be noticed."""
        if self._world.loop.now_ns - now_ns > STALLED_NS:  # the controller saw nothing of this
            self._stalled_s += dt_s
        timing, running, strikes = self._panel.timing, self._world.running, self._blinding
        anew, self._app = self._app is not self._world.app, self._world.app
        if anew:
            self.exemptions.starts()
        if not strikes and not any(self._blind_s):
            return  # nothing was counted, and nothing was told
        unread = any(strike.kind in UNREADABLE for strike in strikes)
        for n, (kinds, slack_s, unseen_w, whole) in enumerate(BLIND):
            blind = running and any(strike.kind in kinds for strike in strikes)
            if blind and unread and kinds is not UNREADABLE:
                continue  # what it shows is found out while it can be read
            if kinds is not UNREADABLE and max(self._plant.legs_a) < NOTHING_A:
                blind = False  # without power, mains that show nothing are right
            if anew and self._blind_s[n] < slack_s:
                blind = False  # what speaks against the mains is gathered anew; a verdict is kept
            self._blind_s[n] = self._blind_s[n] + dt_s if blind else 0.0
            if self._steps % SHADOW_STEPS:
                continue
            blind_s = self._blind_s[n] - slack_s
            late_s = blind_s - timing.hold_s - BLIND_SLACK_S
            if late_s > 0:
                self._must_be_low(unseen_w, whole, late_s)
            if blind_s > timing.shed_s + SHED_SLACK_S + self._stalled_s and whole:
                self._must_be_safe()
        if not any(self._blind_s):
            self._told_blind.clear()
            self._unsafe_s.clear()
            self._stalled_s = 0.0
        for item in self._nodes:
            assert item.node is not None
            high = item.node.draw_w > item.node.floor_w * 1.05 and self._obeys
            if high and not self.exemptions.out_of_reach(item.circuit.setpoint_device):
                self.figures.failsafe_s = max(self.figures.failsafe_s, self._blind_s[0])

    @property
    def _obeys(self) -> bool:
        """Whether the node does as it is told, and has done for long enough to have come down."""
        return self._world.now_s - self._ignored_s >= BLIND_SLACK_S

    def _found_blind(self, name: str, what: str) -> None:
        """Once for a circuit and a blind time."""
        if name not in self._told_blind:
            self._told_blind.add(name)
            self._found("S6", what)

    def _must_be_low(self, unseen_w: float, whole: bool, late_s: float) -> None:
        unseen_a = unseen_w / self._panel.service.voltage_v
        for name, item in self._plant.circuits.items():
            modulation = item.circuit.modulation
            if modulation is None or self.exemptions.out_of_reach(item.circuit.setpoint_device):
                continue
            if item.node is not None and self._obeys:
                if late_s < SLOW_TAUS * (item.node.tau_s - NODE_TAU_S):
                    continue
                if item.node.draw_w > item.node.floor_w * 1.05 + unseen_w:
                    self._found_blind(name, f"blind, and {name} draws {item.node.draw_w:.0f} W")
            elif (
                item.charger is not None
                and whole
                and late_s > self._stalled_s  # a node has a lease, and is not waited for
                and item.circuit.controlled
                and item.charger.draw_a
                > max(item.charger.fallback_a, modulation.min_a) + 1.0 + unseen_a
            ):
                self._found_blind(name, f"blind, and {name} draws {item.charger.draw_a:.1f} A")

    def _must_be_safe(self) -> None:
        now_s = self._world.now_s
        for name, item in self._plant.circuits.items():
            circuit = item.circuit
            if not (
                circuit.controlled
                and circuit.role is Role.SWITCHED
                and circuit.safe_state is SafeState.OPEN
                and not self.exemptions.beyond_control(item)
                and item.contact.closed
                and not self._reset_within(circuit.relay_device, SHED_SLACK_S)
            ):
                self._unsafe_s.pop(name, None)
            elif now_s - self._unsafe_s.setdefault(name, now_s) > FOLLOWS_S:
                self._found_blind(name, f"blind for long, and {name} is still closed")

    # -- what is handed out and said --------------------------------------------------------------

    def _handed(self, budget_w: float) -> None:
        self._world.look()
        if not self.exemptions.calm or not self._house or self.exemptions.lag_s:
            return
        node = self._nodes[0]
        assert node.node is not None
        if budget_w <= node.node.floor_w or node.node.ignores:
            return
        limits = self.in_force.limit_a()
        if self.in_force.settled_s < HAND_SETTLED_S:
            return
        left_a = min(
            limits[leg] - min(house[leg] for house in self._house) for leg in node.circuit.legs
        )
        given_a = budget_w / node.volts
        if given_a > left_a + HAND_SLACK_A:
            self._found("S7", f"{given_a:.1f} A handed out, {left_a:.1f} A were left")

    def _line(self, line: bytes) -> None:
        if not line.startswith(RECORD):
            return
        self._comfort.heard()
        if CALM in line:
            self._obedience.heard(line, None)
            return
        record = as_record(json.loads(line))
        self._obedience.heard(line, record)
        for event in record["events"]:
            if event["what"] == "shed":
                self.figures.sheds += 1
                self._shed(record, event)
            elif event["what"] == "restore":
                self.figures.restores += 1
            elif (
                event["what"] in ("open", "fault", "cleared", "moved", "release")
                and "circuit" in event
            ):
                self._excused[event["circuit"]] += 2  # a person, or a relay that does not obey

    def _shed(self, record: CycleRecord, event: EventRecord) -> None:
        circuit = self._plant.circuits[event["circuit"]].circuit
        on_s = self._world.now_s - self._closed_s.get(circuit.id, -circuit.min_on_s)
        if event.get("text") == "GAVE_WAY" and on_s < circuit.min_on_s - 0.5:
            self._found("S4", f"{circuit.id} gave way after {on_s:.1f} of {circuit.min_on_s:g} s")
        if event.get("text") != "LIMIT":
            return
        place = event.get("constraint")
        if place is None or event.get("by_a", 0) <= 0:
            self._found("S5", f"{circuit.id} was shed, and no leg was short")
            return
        if place not in ("a", "b"):
            return
        leg = "ab".index(place)
        self._comfort.shed(circuit.id, leg)
        drew = next(c for c in record["circuits"] if c["id"] == circuit.id)
        if drew["fresh"] and max(drew["a"], default=1.0) < 0.1 and "set_a" not in drew:
            self._found("S5", f"{circuit.id} was shed, and drew nothing")
        if leg not in circuit.legs:
            self._found("S5", f"{circuit.id} was shed for leg {place}, which it is not on")
        near_a = max(excess[leg] for excess in self._excess)
        if self.exemptions.calm and near_a < -NEAR_A:
            self._found("S5", f"{circuit.id} was shed, and leg {place} was not near its limit")
        age_s = record["mains"]["age_s"]
        if age_s is None or age_s > self._panel.timing.hold_s:
            self._found("S5", f"{circuit.id} was shed on a reading {age_s} s old")

    # -- the end ----------------------------------------------------------------------------------

    def finish(self, days: float, rested: bool) -> None:
        """Judge what can only be judged at the end; `rested`: the faults have ended long ago."""
        self._over.finish()
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
        if rested:
            for what in missing(self._world):
                self._found("L1", what)

    def _found(self, check: str, what: str) -> None:
        self.violations.append(Violation(round(self._world.now_s, 3), check, what))
