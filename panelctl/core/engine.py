"""The engine: a panel's decision, from the names of its circuits to the core's flat memory.

Rules
- Synchronous and pure: the image, the time and the commands come in, the plan is read from `self`.
- Commands are judged in orders.py and nowhere else: refused with a reason, or carried out at once.
- What outlives a restart is snapshot.py's; storing it is control's work.
"""

from __future__ import annotations

from collections.abc import Iterable

from panelctl.core.backend import COMPILED, build_core
from panelctl.core.doubt.energy import Energy
from panelctl.core.doubt.missing_ct import MissingCt
from panelctl.core.doubt.plausibility import Plausibility
from panelctl.core.limits.named import Limits
from panelctl.core.limits.power_limits import PowerLimits
from panelctl.core.orders import carry_out
from panelctl.core.snapshot import Part, Snapshot, Tiers, capture, put
from panelctl.core.state.build import Memory
from panelctl.core.state.image import Image
from panelctl.core.state.layout import MODULATED
from panelctl.errors import CommandRefused
from panelctl.model.command import Command, Verdict
from panelctl.model.doubt import Doubt
from panelctl.model.limit import LimitName
from panelctl.model.panel import Panel
from panelctl.model.reason import Reason, State
from panelctl.model.relay import Claim
from panelctl.model.slots import Slots
from panelctl.units import NS_PER_S, ns_from_s, w_from_ma

# From one restore to the next on mains that are not proven: what the first one draws convicts them
# within 15 s (decide/plausibility.py), or proves them.
SUSPECT_INTERVAL_NS = 20 * NS_PER_S
STATES = tuple(State)
LOW_VOLTAGE_RATIO = 0.9  # assumed where the voltage cannot be read: fewer watts for the amps


class Engine:
    """Decides for one panel. `image` is what the field fills, `state` what the core decided."""

    def __init__(self, panel: Panel, compiled: bool = COMPILED) -> None:
        self.panel = panel
        self.slots = Slots(panel)
        self.image = Image(self.slots.names)
        memory = Memory(panel, self.slots)
        self.rows, self.loads, self.source_legs = memory.rows, memory.loads, memory.source_legs
        self.fixed, self.state = memory.fixed, memory.state
        self.limits = Limits(panel, self.fixed, self.state, self.rows)
        self.power_limits = PowerLimits(panel, self.fixed, self.loads)
        self.index = {circuit.id: i for i, circuit in enumerate(self.loads)}
        image = self.image
        self.core = build_core(
            self.fixed, self.state, image.value, image.quality, image.sampled_ns, compiled
        )
        self.plausibility = Plausibility(self.fixed, self.state)
        self.energy = Energy(memory.counted, self.slots, self.fixed, self.state)
        self.hidden = MissingCt(self.loads, self.state)
        self.circuits = {circuit.id: circuit for circuit in panel.circuits}
        self.compute = next((i for i, c in enumerate(self.loads) if c.is_compute), -1)
        self._interval_ns = self.fixed.restore_interval_ns[0]
        self.moved: Tiers = {}  # the tiers that people have set

    # -- one cycle --------------------------------------------------------------------------------

    def step(self, now_ns: int, commands: Iterable[Command] = ()) -> list[Verdict]:
        """Judge the readings and the commands, decide, and return a verdict per command."""
        self.core.check_readings(now_ns)
        verdicts = []
        for command in commands:
            try:
                carry_out(self, command, now_ns)
                verdicts.append(Verdict(command.id, True))
            except CommandRefused as refusal:
                verdicts.append(Verdict(command.id, False, refusal.why))
        self.limits.refresh(now_ns, self._voltage_mv(now_ns), self._tank_mc(now_ns))
        self._back_up(now_ns)
        self.power_limits.refresh(now_ns)
        self._go_slowly(self.plausibility.suspect)
        self.core.step(now_ns)
        return verdicts

    def _go_slowly(self, suspect: bool) -> None:
        """On mains that are not proven, little is drawn and little restored before they are."""
        self.power_limits.probe(suspect)
        interval_ns = max(self._interval_ns, SUSPECT_INTERVAL_NS if suspect else 0)
        self.fixed.restore_interval_ns[0] = interval_ns

    # -- the plan ---------------------------------------------------------------------------------

    @property
    def now(self) -> State:
        """The state of the controller."""
        return STATES[self.state.state[0]]

    @property
    def doubts(self) -> dict[str, list[Doubt]]:
        """Which readings are in doubt: by leg of the mains, by circuit; `main` is both legs."""
        found = {**self.plausibility.doubts, **self.energy.doubts}
        for name, doubts in self.hidden.doubts.items():
            found[name] = [*found.get(name, []), *doubts]
        return found

    def mains_fresh(self, now_ns: int) -> bool:
        """Whether the mains reading is fresh: only then is the compute lease renewed."""
        return now_ns - self.state.mains_ns[0] <= self.fixed.fresh_ns[0]

    def voltage_mv(self, now_ns: int) -> int:
        """Leg to leg, mV: measured, or a low assumption where it cannot be read."""
        measured = self._voltage_mv(now_ns)
        if measured is not None:
            return measured
        return int(self.panel.service.voltage_v * 1000 * LOW_VOLTAGE_RATIO)

    def _voltage_mv(self, now_ns: int) -> int | None:
        image, stale_ns = self.image, self.fixed.relay_stale_ns[0]
        total_mv = 0
        for slot in self.slots.mains.voltages:
            if not image.good(slot, now_ns, stale_ns):
                return None
            total_mv += image.value[slot]
        return total_mv

    def _tank_mc(self, now_ns: int) -> int | None:
        """The temperature of the tank that takes the compute node's heat, m°C."""
        sink = self.panel.heat_sink
        slot = self.slots.tank
        if sink is None or not self.image.good(slot, now_ns, ns_from_s(sink.stale_s)):
            return None
        return self.image.value[slot]

    def setpoint_a(self, i: int) -> float:
        """What load `i` may draw, A per leg."""
        return self.state.set_ma[i] / 1000

    def budget_w(self, i: int, now_ns: int) -> int:
        """What load `i` may draw, W: its current at the present voltage, inside its own range."""
        set_ma = self.state.set_ma[i]
        modulation = self.loads[i].modulation
        assert modulation is not None
        if set_ma == 0:
            return 0
        if set_ma <= self.fixed.floor_ma[i]:
            return modulation.floor_w
        watts = w_from_ma(set_ma, self.voltage_mv(now_ns))
        limit_w = self.power_limits.limit_w(i)
        return max(modulation.floor_w, min(modulation.max_w, watts, limit_w or modulation.max_w))

    def stop_modulated(self) -> None:
        """Orderly stop: every modulated load to its fallback; relays stay as they are."""
        for i in range(self.fixed.loads):
            if self.fixed.kind[i] == MODULATED:
                self.state.set_ma[i] = min(self.state.set_ma[i], self.fixed.fallback_ma[i])

    # -- what outlives a restart ------------------------------------------------------------------

    def snapshot(
        self,
        now_ns: int,
        wall_s: float,
        before: Snapshot | None = None,
        parts: Part = Part.ALL,
    ) -> Snapshot:
        """What has to outlive a restart: these parts as they are, the others as they were."""
        return capture(self, now_ns, wall_s, before or Snapshot(), parts)

    def resume(self, kept: Snapshot, now_ns: int, wall_s: float) -> None:
        """Go on, before the first step, where the engine that it was taken of left off."""
        put(self, kept, now_ns, wall_s)

    def set_tier(self, i: int, tier: int) -> None:
        """Move load `i` to another tier than the panel file's, or back."""
        self.state.tier[i] = tier
        circuit = self.loads[i]
        if tier == circuit.tier:
            self.moved.pop(circuit.id, None)
        else:
            self.moved[circuit.id] = (circuit.tier, tier)

    def requested(self, now_ns: int) -> tuple[float, int] | None:
        """The requested limit in force (A) and its end (ns)."""
        k = int(LimitName.REQUESTED)
        until_ns = self.state.limit_until_ns[k]
        if not self.state.limit_on[k] or now_ns >= until_ns:
            return None
        return self.state.limit_value_ma[k * self.fixed.rows] / 1000, until_ns

    def _back_up(self, now_ns: int) -> None:
        """Off the grid with a low battery, circuits of the shed tier and later stay open."""
        backup = self.panel.backup
        if backup is None:
            return
        for i, circuit in enumerate(self.loads):
            held = self.state.claims[i] & Claim.LOAD_SHED
            wanted = self.limits.shedding and self.state.tier[i] >= backup.shed_tier
            if wanted and not held and not circuit.is_compute:
                self.core.claim(i, int(Claim.LOAD_SHED), int(Reason.BACKUP), now_ns)
            elif held and not wanted:
                self.core.release(i, int(Claim.LOAD_SHED), now_ns)
