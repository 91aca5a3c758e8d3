"""What a controller cannot be blamed for: faults, and what nobody could have reached."""

from __future__ import annotations

from panelctl.model.circuit import Role
from panelctl.sim.plant import PlantCircuit
from panelctl.sim.storm.faults import KINDS, Spoils
from panelctl.sim.storm.strike import Strike
from panelctl.sim.storm.world import World
from panelctl.units import NS_PER_S

REACHED_S = 4.0  # a device is back within a second, and orders are tried every two
LIE_LASTS_S = 6.0  # a reading is good for seconds
SETTLE_S = 20.0  # after a fault: units come back within a second, doubts and heat take longer


class Excuses:
    """The faults of a world, and whether they excuse what is seen.

    A fault of a branch circuit's meter, or of the link to it, excuses nothing: the legs are decided
    on by the mains. What does excuse is a fault of the mains, of a modulated load's own meter, of
    what takes orders, of the host or the grid.
    """

    def __init__(self, world: World) -> None:
        self.active: list[Strike] = []
        self._world = world
        self._calm_from_s = SETTLE_S
        self._cut_s: dict[str, float] = {}  # when a device or link could not be reached last
        self._lied_s: dict[str, float] = {}  # when a meter lied last
        panel = world.panel
        vital = {ref.device for ref in panel.service.currents}
        for circuit in panel.circuits:
            if circuit.role is Role.MODULATED or circuit.source is not None:
                vital |= {meter.current.device for meter in circuit.currents}
            if circuit.controlled:
                vital |= {circuit.relay_device or "", circuit.setpoint_device or ""}
        vital |= {ref.device for feeder in panel.feeders for ref in feeder.currents}
        self._vital = vital | {d.link for d in panel.devices if d.name in vital}
        self._link = {device.name: device.link for device in panel.devices}
        self._loads = [(item, item.circuit) for item in world.plant.circuits.values()]

    def _weighs(self, strike: Strike) -> bool:
        spoils = KINDS[strike.kind].spoils
        if spoils in (Spoils.LINK, Spoils.METER):
            return strike.target in self._vital or strike.target == "panel"
        return spoils is not Spoils.NOTHING

    def begins(self, strike: Strike) -> None:
        """A fault begins."""
        self.active.append(strike)

    def ends(self, strike: Strike) -> None:
        """A fault has ended."""
        self.active = [other for other in self.active if other is not strike]
        if KINDS[strike.kind].spoils is Spoils.METER:
            self._lied_s[strike.target] = self._world.now_s
        if KINDS[strike.kind].spoils is Spoils.LINK:
            self._cut_s[strike.target] = self._world.now_s
        if self._weighs(strike):
            self._calm_from_s = max(self._calm_from_s, self._world.now_s + SETTLE_S)

    def resets(self) -> None:
        """The main breaker was put in again: everything begins anew."""
        self._calm_from_s = max(self._calm_from_s, self._world.now_s + SETTLE_S)

    @property
    def calm(self) -> bool:
        """No fault that would excuse anything, now or a moment ago."""
        world = self._world
        if world.now_s < self._calm_from_s or not world.running:
            return False
        if any(self._weighs(strike) for strike in self.active):
            return False
        return world.gone_ns == 0 or (world.loop.now_ns - world.gone_ns) / NS_PER_S > SETTLE_S

    @property
    def lying(self) -> set[str]:
        """The meters that show what is not so, or did so lately."""
        now_s = self._world.now_s
        lately = {name for name, at_s in self._lied_s.items() if now_s - at_s < LIE_LASTS_S}
        return lately | {s.target for s in self.active if KINDS[s.kind].spoils is Spoils.METER}

    def out_of_reach(self, device: str | None) -> bool:
        """Whether a device could not be written to now, or a moment ago, whoever tried."""
        if device is None or not self._world.running:
            return True
        if not self.active and not self._cut_s:
            return False
        places = (device, self._link[device], "panel")
        now_s = self._world.now_s
        return any(
            KINDS[strike.kind].spoils is Spoils.LINK and strike.target in places
            for strike in self.active
        ) or any(now_s - self._cut_s.get(place, -REACHED_S) < REACHED_S for place in places)

    def beyond_control(self, item: PlantCircuit) -> bool:
        """Whether even a controller that knows everything could not take this load away now."""
        circuit = item.circuit
        if not circuit.controlled:
            return True
        relay = item.contact.welded or self.out_of_reach(circuit.relay_device)
        if item.node is not None:
            return relay and (item.node.ignores or self.out_of_reach(circuit.setpoint_device))
        if item.charger is not None:
            return relay and self.out_of_reach(circuit.setpoint_device)
        return relay

    def unpreventable(self, members: frozenset[str] | None = None) -> list[float]:
        """What nobody could take away now, A per leg; of these circuits alone, or of all."""
        legs = [0.0, 0.0]
        for item, circuit in self._loads:
            if members is not None and circuit.id not in members:
                continue
            beyond_a = 0.0
            if not circuit.controlled or self.beyond_control(item):
                beyond_a = item.current_a
            elif circuit.modulation is not None and not circuit.modulation.can_pause:
                beyond_a = min(item.current_a, circuit.modulation.min_a)
            if beyond_a:
                for leg in circuit.legs:
                    legs[leg] += beyond_a
        return legs
