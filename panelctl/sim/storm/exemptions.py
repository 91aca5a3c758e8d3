"""What a controller cannot be blamed for: faults, and what nobody could have reached."""

from __future__ import annotations

from collections.abc import Callable

from panelctl.core.state.build import MOVES_MOST, MOVES_S
from panelctl.model.circuit import LegMeter, Role, SafeState
from panelctl.sim.devices import SimMeter
from panelctl.sim.plant import PlantCircuit
from panelctl.sim.storm.device_faults import comes_off
from panelctl.sim.storm.excuse import Excuse
from panelctl.sim.storm.faults import KINDS, Spoils
from panelctl.sim.storm.strike import Strike
from panelctl.sim.storm.world import World
from panelctl.units import NS_PER_S

REACHED_S = 4.0  # a device is back within a second, and orders are tried every two
LIE_LASTS_S = 6.0  # a reading is good for seconds
DOUBT_S, DOUBT_MOST_S = 60.0, 3_600.0  # core/decide/plausibility.py
NOTHING = frozenset({"zero", "ct_off"})  # a meter that shows nothing
TOO_MUCH = frozenset({"swapped", "frozen"})  # one that may show more than the mains
TELLS_S = 14.0  # it has so long to show it, then the mains are to be in doubt
PUT_RIGHT_S = 3.0  # what somebody else closed is opened again
LEFT_ALONE_S = 2 * MOVES_S + 20.0  # left alone from the last, which may be as much apart
SETTLE_S = 20.0  # after a fault: units come back within a second, doubts and heat take longer
EXCUSE_OF = {
    Spoils.LINK: Excuse.UNREACHED,
    Spoils.METER: Excuse.LYING,
    Spoils.RELAY: Excuse.RELAY,
    Spoils.NODE: Excuse.NODE,
    Spoils.HOST: Excuse.AWAY,
    Spoils.GRID: Excuse.GRID,
}
IN_ORDER = tuple(Excuse)


class Exemptions:
    """The faults of a world, and whether they excuse what is seen.

    A fault of a branch circuit's meter, or of the link to it, excuses nothing but, for S2, that
    circuit: the legs are decided on by the mains. What does excuse is a fault of the mains, of a
    modulated load's own meter, of what takes orders, of the host or the grid.
    """

    def __init__(self, world: World) -> None:
        self.active: list[Strike] = []
        self._world = world
        self._calm_from_s = SETTLE_S
        self._cut_s: dict[str, float] = {}  # when a device or link could not be reached last
        self._cut_now: set[str] = set()  # what cannot be reached,
        self._cut_ns = -1  # and when that was found out
        self._all_reached = False  # whether everything could be when loads were last summed up
        self._lied_s: dict[str, float] = {}  # when a meter lied last
        self._slow_s: dict[str, float] = {}  # when one was slow last,
        self._lags_s: dict[str, float] = {}  # and how slow
        self._leaked_s: dict[str, float] = {}
        self._lies = 0  # of the mains, which are doubted for twice as long each time
        self._doubted_s = 0.0  # until when they may be: a controller then is as if blind
        panel = world.panel
        self._mains = {ref.device for ref in panel.service.currents}
        vital = set(self._mains)
        for circuit in panel.circuits:
            if circuit.role is Role.MODULATED or circuit.source is not None:
                vital |= {meter.current.device for meter in circuit.currents}
            if circuit.controlled:
                vital |= {circuit.relay_device or "", circuit.setpoint_device or ""}
        vital |= {ref.device for feeder in panel.feeders for ref in feeder.currents}
        self._vital = vital | {d.link for d in panel.devices if d.name in vital}
        self._link = {device.name: device.link for device in panel.devices}
        loads = [(item, item.circuit) for item in world.plant.circuits.values()]
        self._managed = [load for load in loads if load[1].controlled]
        self._others = [load for load in loads if not load[1].controlled]
        self._metered = all(
            circuit.source is None and {m.leg for m in circuit.currents} == set(circuit.legs)
            for circuit in panel.circuits
        )

    def _weighs(self, strike: Strike) -> bool:
        spoils = KINDS[strike.kind].spoils
        if spoils in (Spoils.LINK, Spoils.METER):
            return strike.target in self._vital or strike.target == "panel"
        return spoils not in (Spoils.NOTHING, Spoils.SLOW)

    def begun(self, strike: Strike) -> None:
        """A fault has begun: what a meter shows may be of a while ago now."""
        meter, name = self._world.devices.get(strike.target), strike.target
        if isinstance(meter, SimMeter) and meter.measuring is not None:
            others = [s for s in self.active if s.target == name and s is not strike]
            slow = any(KINDS[s.kind].spoils is Spoils.SLOW for s in others)
            lately = self._world.now_s - self._slow_s.get(name, -LIE_LASTS_S) < LIE_LASTS_S
            before_s = self._lags_s.get(name, 0.0) if slow or lately else 0.0
            self._lags_s[name] = max(meter.measuring.reaction_s, before_s)

    def begins(self, strike: Strike) -> None:
        """A fault begins."""
        self.active.append(strike)
        self._cut_ns = -1

    def ends(self, strike: Strike) -> None:
        """A fault has ended."""
        self.active = [other for other in self.active if other is not strike]
        self._cut_ns = -1
        if KINDS[strike.kind].spoils is Spoils.SLOW:
            self._slow_s[strike.target] = self._world.now_s
        if KINDS[strike.kind].spoils is Spoils.METER:
            self._lied_s[strike.target] = self._world.now_s
            if strike.target in self._mains or self._outdoes(strike):
                doubt_s = min(DOUBT_S * 2**self._lies, DOUBT_MOST_S)
                self._doubted_s = self._world.now_s + doubt_s + SETTLE_S
                self._lies += 1
        if strike.kind == "phantom":
            self._leaked_s[strike.target] = self._world.now_s
        if KINDS[strike.kind].spoils is Spoils.LINK:
            self._cut_s[strike.target] = self._world.now_s
        if self._weighs(strike):
            self._calm_from_s = max(self._calm_from_s, self._world.now_s + SETTLE_S)

    def _outdoes(self, strike: Strike) -> bool:
        """Whether a circuit's meter can have shown more than the mains for so long that the mains
        are doubted.
        """
        return strike.kind in TOO_MUCH and strike.for_s > TELLS_S

    @property
    def _doubted(self) -> bool:
        """Whether the mains may be in doubt although they can be read."""
        return self._world.now_s < self._doubted_s or any(map(self._outdoes, self.active))

    def starts(self) -> None:
        """A controller starts anew: what it doubted then it doubts for a minute from now."""
        if self._doubted:
            self._doubted_s = max(self._doubted_s, self._world.now_s + DOUBT_S + SETTLE_S)

    def resets(self) -> None:
        """The main breaker was put in again: everything begins anew."""
        self._calm_from_s = max(self._calm_from_s, self._world.now_s + SETTLE_S)

    @property
    def calm(self) -> bool:
        """No fault that would excuse anything, now or a moment ago."""
        return self.excuse is None

    @property
    def excuse(self) -> Excuse | None:
        """The fault that excuses whatever is seen; None: there is none, nor was a moment ago."""
        world = self._world
        found = [EXCUSE_OF[KINDS[s.kind].spoils] for s in self.active if self._weighs(s)]
        gone_s = (world.loop.now_ns - world.gone_ns) / NS_PER_S if world.gone_ns else SETTLE_S + 1.0
        if not world.running or gone_s <= SETTLE_S:
            found.append(Excuse.AWAY)
        if found:
            return min(found, key=IN_ORDER.index)
        return Excuse.SETTLING if world.now_s < self._calm_from_s else None

    @property
    def lying(self) -> set[str]:
        """The meters that show what is not so now, or did so lately: what is false or of a while
        ago.
        """
        return self._untrue(Spoils.METER, self._lied_s) | self._untrue(Spoils.SLOW, self._slow_s)

    def _untrue(self, spoils: Spoils, ended_s: dict[str, float]) -> set[str]:
        """The meters that have such a fault, or had one lately."""
        now_s = self._world.now_s
        lately = {name for name, at_s in ended_s.items() if now_s - at_s < LIE_LASTS_S}
        return lately | {s.target for s in self.active if KINDS[s.kind].spoils is spoils}

    @property
    def lag_s(self) -> float:
        """How long after a step the slowest meter that is decided by surely shows it."""
        slow = self._untrue(Spoils.SLOW, self._slow_s)
        lag_s = [self._lags_s.get(name, 0.0) for name in slow & self._vital]
        return max(lag_s, default=0.0)

    @property
    def leaking(self) -> set[str]:
        """The meters that show a little where nothing flows, or did so lately: everything has to
        hold nevertheless.
        """
        now_s = self._world.now_s
        lately = {name for name, at_s in self._leaked_s.items() if now_s - at_s < LIE_LASTS_S}
        return lately | {s.target for s in self.active if s.kind == "phantom"}

    def out_of_reach(self, device: str | None) -> bool:
        """Whether a device could not be written to now, or a moment ago, whoever tried."""
        if device is None or not self._world.running:
            return True
        cut = self._cut()
        return device in cut or self._link[device] in cut or "panel" in cut

    def _cut(self) -> set[str]:
        """The devices and links that cannot be reached now, or could not a moment ago."""
        if self._cut_ns != self._world.loop.now_ns:
            self._cut_ns, now_s = self._world.loop.now_ns, self._world.now_s
            self._cut_now = {n for n, at_s in self._cut_s.items() if now_s - at_s < REACHED_S}
            for strike in self.active:
                if KINDS[strike.kind].spoils is Spoils.LINK:
                    self._cut_now.add(strike.target)
        return self._cut_now

    def beyond_control(self, item: PlantCircuit) -> bool:
        """Whether even a controller that knows everything could not take this load away now."""
        circuit = item.circuit
        if not circuit.controlled:
            return True
        alone = self._left_alone(circuit.id)
        relay = item.contact.welded or alone or self.out_of_reach(circuit.relay_device)
        if item.node is not None:
            return relay and (item.node.ignores or self.out_of_reach(circuit.setpoint_device))
        if item.charger is not None:
            return relay and self.out_of_reach(circuit.setpoint_device)
        return relay

    def _left_alone(self, name: str) -> bool:
        """Whether somebody else has just moved this relay, or so often that nobody fights."""
        moves, now_s = self._world.switched.get(name, ()), self._world.now_s
        if not moves or now_s - moves[-1] < PUT_RIGHT_S:
            return bool(moves)
        return sum(now_s - at_s < LEFT_ALONE_S for at_s in moves) > MOVES_MOST

    def unpreventable(self, members: frozenset[str] | None = None) -> list[float]:
        """What nobody could take away now, A per leg; of these circuits alone, or of all."""
        return self._sum(members, self._beyond_a)

    def unseen(self, members: frozenset[str] | None = None) -> list[float]:
        """The same, and what a controller does not take away because it cannot know of it: while
        the mains may be doubted, what stays on when they are not read; behind a circuit's own meter
        that lies, the circuit.
        """
        doubted = self._doubted
        false = self._untrue(Spoils.METER, self._lied_s)
        untrue = {name: {s.kind for s in self.active if s.target == name} for name in false}

        def lies(meter: LegMeter) -> bool:
            kinds = untrue.get(meter.current.device)
            off = kinds == {"ct_off"}  # the other transformers show what flows
            return kinds is not None and (not off or comes_off(meter.current.point))

        def hidden_a(item: PlantCircuit) -> float:
            circuit = item.circuit
            if any(map(lies, circuit.currents)):
                return item.current_a
            if doubted and circuit.modulation is not None:
                return max(self._beyond_a(item), min(item.current_a, circuit.modulation.min_a))
            if doubted and circuit.safe_state is SafeState.HOLD:
                return item.current_a
            return self._beyond_a(item)

        return self._sum(members, hidden_a)

    @property
    def given_away(self) -> bool:
        """Whether the mains tell that a meter shows nothing: no other meter lies, all are read."""
        if not self._metered or self._doubted:
            return False
        spoiling = {s.target: s.kind for s in self.active if KINDS[s.kind].spoils is Spoils.METER}
        known = NOTHING.issuperset(spoiling.values()) and self.lying == set(spoiling)
        return known and not self._cut()

    def _beyond_a(self, item: PlantCircuit) -> float:
        circuit = item.circuit
        # Most relays obey, and most of the time all are reached: then there is nothing to look at.
        alone = item.contact.welded or circuit.id in self._world.switched
        obeys = self._all_reached and circuit.relay_device and not alone
        if not obeys and self.beyond_control(item):
            return item.current_a
        if circuit.modulation is not None and not circuit.modulation.can_pause:
            return min(item.current_a, circuit.modulation.min_a)
        return 0.0

    def _sum(
        self, members: frozenset[str] | None, part_a: Callable[[PlantCircuit], float]
    ) -> list[float]:
        """A sum over loads, A per leg: of those that nobody controls all, of the others a part."""
        legs = [0.0, 0.0]
        self._all_reached = self._world.running and not self._cut()
        for item, circuit in self._others:
            if (amps := item.current_a) and (members is None or circuit.id in members):
                for leg in circuit.legs:
                    legs[leg] += amps
        for item, circuit in self._managed:
            inside = members is None or circuit.id in members
            if inside and item.current_a and (amps := part_a(item)):
                for leg in circuit.legs:
                    legs[leg] += amps
        return legs
