"""The engine: a panel's decision, from the names of its circuits to the core's flat memory.

Rules
- Synchronous and pure: the image, the time and the commands come in, the plan is read from `self`.
- Every command is judged here and nowhere else: refused with a reason, or carried out at once.
- What outlives a restart (claims) is given out as plain data; storing it is control's work.
"""

from __future__ import annotations

from collections.abc import Iterable

from panelctl.core.chosen import COMPILED, build_core
from panelctl.core.image import Image
from panelctl.core.layout import MODULATED, SWITCHED, Changing, Fixed
from panelctl.errors import CommandRefused
from panelctl.model.circuit import Circuit, Role, SafeState
from panelctl.model.command import (
    MAX_EXPIRY_S,
    CloseRelay,
    Command,
    OpenRelay,
    RequestLimit,
    SetTier,
    Verdict,
)
from panelctl.model.limit import LimitName
from panelctl.model.panel import Panel
from panelctl.model.reason import Reason, State
from panelctl.model.relay import BY_HAND, Claim
from panelctl.model.slots import LEGS, image_slots
from panelctl.units import ma_from_a, ns_from_s, w_from_ma

ROWS = 2
GOOD_NEEDED = 5  # fresh mains readings in a row before anything may rise again (control.md A7)
RELAY_STALE_S = 3.0
CLOSE_SETTLE_S = 2.0  # a restored load may take this long to show its draw on its own meter
RELIEF_A = 0.2  # opening less than this relieves nothing
NODE_TOLERANCE_RATIO = 0.03  # how far above its budget a compute node may draw
CAR_TOLERANCE_RATIO = 0.10  # and a car above its pilot signal (IEC 61851-1 practice)
TOLERANCE_A = 0.5
SLACK_A = 2.0  # how much above its draw an unhungry load's set-point stays
IDLE_S = 5.0  # an unhungry load keeps its set-point for so long
WELDED_A = 0.5
STOP_WAIT_S = 60.0  # cap, ask to stop, and only then open
LOW_VOLTAGE_SHARE = 0.9  # assumed where the voltage cannot be read: fewer watts for the amps


class Engine:
    """Decides for one panel. `image` is what the field fills, `state` what the core decided."""

    def __init__(self, panel: Panel, compiled: bool = COMPILED) -> None:
        self.panel = panel
        self.slots = image_slots(panel)
        # Besides what is read: the last order that each relay board acknowledged.
        told = [f"{circuit.id}.told" for circuit in panel.circuits if circuit.relay_device]
        self.image = Image([slot.name for slot in self.slots] + told)
        self.loads: list[Circuit] = [c for c in panel.circuits if c.controlled]
        self.index = {circuit.id: i for i, circuit in enumerate(self.loads)}
        self.fixed = Fixed(len(self.loads), ROWS)
        self.state = Changing(self.fixed, len(LimitName))
        self._write_fixed()
        image = self.image
        self.core = build_core(
            self.fixed, self.state, image.value, image.quality, image.sampled_ns, compiled
        )
        self._voltage_slots = [image.slot[f"main.{leg}_mv"] for leg in LEGS]
        self._circuits = {circuit.id: circuit for circuit in panel.circuits}
        self.compute = next((i for i, c in enumerate(self.loads) if c.is_compute), -1)

    # -- one cycle --------------------------------------------------------------------------------

    def step(self, now_ns: int, commands: Iterable[Command] = ()) -> list[Verdict]:
        """Judge the commands, decide on the latched image, and return a verdict per command."""
        verdicts = []
        for command in commands:
            try:
                self._judge(command, now_ns)
                verdicts.append(Verdict(command.id, True))
            except CommandRefused as refusal:
                verdicts.append(Verdict(command.id, False, refusal.why))
        self.core.step(now_ns)
        return verdicts

    # -- the plan ---------------------------------------------------------------------------------

    @property
    def now(self) -> State:
        """The state of the controller."""
        return State(self.state.state[0])

    def mains_fresh(self, now_ns: int) -> bool:
        """Whether the mains reading is fresh: only then is the compute lease renewed."""
        return now_ns - self.state.mains_ns[0] <= self.fixed.fresh_ns[0]

    def voltage_mv(self, now_ns: int) -> int:
        """Leg to leg, mV: measured, or a low assumption where it cannot be read."""
        total = 0
        for slot in self._voltage_slots:
            if not self.image.good(slot, now_ns, ns_from_s(RELAY_STALE_S)):
                return int(self.panel.service.voltage_v * 1000 * LOW_VOLTAGE_SHARE)
            total += self.image.value[slot]
        return total

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
        return max(modulation.floor_w, min(modulation.max_w, watts))

    def stop_modulated(self) -> None:
        """Orderly stop: every modulated load to its fallback; relays stay as they are."""
        for i in range(self.fixed.loads):
            if self.fixed.kind[i] == MODULATED:
                self.state.set_ma[i] = min(self.state.set_ma[i], self.fixed.fallback_ma[i])

    # -- what outlives a restart ------------------------------------------------------------------

    def claims(self) -> dict[str, int]:
        """The claims to open, by circuit, that have to survive a restart."""
        return {
            circuit.id: self.state.claims[i]
            for i, circuit in enumerate(self.loads)
            if self.state.claims[i]
        }

    def take_claims(self, claims: dict[str, int]) -> None:
        """Put back what `claims()` gave out, before the first step. Unknown ones are dropped."""
        for ident, claim in claims.items():
            i = self.index.get(ident)
            if i is not None:
                self.state.claims[i] = claim
                self.state.reason[i] = int(Reason.USER if claim & Claim.USER else Reason.LIMIT)
                if self.fixed.kind[i] == MODULATED:
                    self.state.set_ma[i] = 0

    def requested(self, now_ns: int) -> tuple[float, int] | None:
        """The requested limit in force (A) and its end (ns), which also outlive a restart."""
        k = int(LimitName.REQUESTED)
        until_ns = self.state.limit_until_ns[k]
        if not self.state.limit_on[k] or now_ns >= until_ns:
            return None
        return self.state.limit_value_ma[k * ROWS] / 1000, until_ns

    def take_request(self, limit_a: float, left_s: float, now_ns: int) -> None:
        """Put a requested limit back for the time that it has left (s)."""
        if 0 < left_s <= MAX_EXPIRY_S and limit_a <= self.panel.service.control_setting_a:
            self._set_limit(LimitName.REQUESTED, limit_a, now_ns + ns_from_s(left_s))

    # -- commands ---------------------------------------------------------------------------------

    def _judge(self, command: Command, now_ns: int) -> None:
        match command:
            case OpenRelay(_, ident):
                i = self._managed(ident)
                self.core.claim(i, int(Claim.USER), int(Reason.USER), now_ns)
            case CloseRelay(_, ident):
                self._close(self._managed(ident), now_ns)
            case RequestLimit(_, limit_a, expires_s):
                self._request(limit_a, expires_s, now_ns)
            case SetTier(_, ident, tier):
                i = self._managed(ident)
                if self.loads[i].is_compute:
                    raise CommandRefused("the compute load stands after the household")
                self.state.tier[i] = tier

    def _managed(self, ident: str) -> int:
        circuit = self._circuits.get(ident)
        if circuit is None:
            raise CommandRefused(f"there is no circuit {ident!r}")
        if circuit.role is Role.ALWAYS_ON:
            raise CommandRefused(f"{circuit.name} is always on and never switched")
        if circuit.role is Role.MONITORED:
            raise CommandRefused(f"{circuit.name} is monitored only: it has no relay of ours")
        if not circuit.armed:
            raise CommandRefused(f"{circuit.name} is not armed: an installer has to arm it first")
        return self.index[ident]

    def _close(self, i: int, now_ns: int) -> None:
        claims = Claim(self.state.claims[i])
        name = self.loads[i].name
        if claims & ~BY_HAND:
            self.core.release(i, int(BY_HAND), now_ns)
            if claims & BY_HAND:
                return
            raise CommandRefused(f"{name} is held open by {claims.named.name}, not by a user")
        if not claims:
            raise CommandRefused(f"{name} is not open")
        self.core.release(i, int(BY_HAND), now_ns)

    def _request(self, limit_a: float | None, expires_s: float, now_ns: int) -> None:
        k = int(LimitName.REQUESTED)
        if limit_a is None:
            self.state.limit_on[k] = 0
            return
        setting = self.panel.service.control_setting_a
        if limit_a > setting:
            raise CommandRefused(f"{limit_a:g} A is above the control setting of {setting:g} A")
        self._set_limit(LimitName.REQUESTED, limit_a, now_ns + ns_from_s(expires_s))

    def _set_limit(self, name: LimitName, limit_a: float, until_ns: int) -> None:
        k = int(name)
        self.state.limit_on[k] = 1
        self.state.limit_until_ns[k] = until_ns
        for r in range(ROWS):
            self.state.limit_value_ma[k * ROWS + r] = ma_from_a(limit_a)

    # -- from the panel to flat memory ------------------------------------------------------------

    def _write_fixed(self) -> None:
        panel, fixed, timing = self.panel, self.fixed, self.panel.timing
        for name, seconds in (
            ("fresh_ns", timing.fresh_s),
            ("hold_ns", timing.hold_s),
            ("shed_ns", timing.shed_s),
            ("confirm_ns", timing.confirm_s),
            ("react_ns", timing.react_s),
            ("relay_confirm_ns", timing.relay_confirm_s),
            ("relay_stale_ns", RELAY_STALE_S),
            ("close_settle_ns", CLOSE_SETTLE_S),
            ("restore_hold_ns", timing.restore_hold_s),
            ("restore_interval_ns", timing.restore_interval_s),
            ("node_fault_ns", timing.node_fault_s),
            ("node_open_ns", timing.node_open_s),
            ("stop_wait_ns", STOP_WAIT_S),
            ("idle_ns", IDLE_S),
        ):
            getattr(fixed, name)[0] = ns_from_s(seconds)
        for name, amps in (
            ("fill_margin_ma", timing.fill_margin_a),
            ("restore_margin_ma", timing.restore_margin_a),
            ("relief_ma", RELIEF_A),
            ("tolerance_ma", TOLERANCE_A),
            ("slack_ma", SLACK_A),
            ("welded_ma", WELDED_A),
        ):
            getattr(fixed, name)[0] = ma_from_a(amps)
        fixed.good_needed[0] = GOOD_NEEDED
        for r in range(ROWS):
            fixed.row_slot[r] = self.image.slot[f"main.{LEGS[r]}_ma"]
            fixed.row_slot2[r] = -1
        for i, circuit in enumerate(self.loads):
            self._write_load(i, circuit)
        service = panel.service
        setting = min(service.control_setting_a, service.breaker.highest_setting_a)
        self._set_limit(LimitName.FSR, setting, 0)
        if service.operator_limit_a is not None:
            self._set_limit(LimitName.OPERATOR, service.operator_limit_a, 0)

    def _write_load(self, i: int, circuit: Circuit) -> None:
        fixed, state, timing = self.fixed, self.state, self.panel.timing
        fixed.kind[i] = MODULATED if circuit.modulation else SWITCHED
        fixed.compute[i] = circuit.is_compute
        fixed.relay_slot[i] = self.image.slot.get(f"{circuit.id}.relay", -1)
        fixed.told_slot[i] = self.image.slot.get(f"{circuit.id}.told", -1)
        tolerance = NODE_TOLERANCE_RATIO if circuit.is_compute else CAR_TOLERANCE_RATIO
        fixed.tolerance_ppm[i] = round(tolerance * 1_000_000)
        fixed.min_on_ns[i] = ns_from_s(circuit.min_on_s)
        fixed.min_off_ns[i] = ns_from_s(circuit.min_off_s)
        fixed.safe_open[i] = circuit.safe_state is SafeState.OPEN
        stale_s = timing.fresh_s if circuit.modulation else timing.branch_stale_s
        fixed.stale_ns[i] = ns_from_s(stale_s)
        state.tier[i] = circuit.tier
        state.closed[i] = -1
        state.reason[i] = int(Reason.UNREAD)
        first = {
            meter.current: f"{circuit.id}.{LEGS[meter.leg]}_ma"
            for meter in reversed(circuit.currents)
        }
        for r in range(ROWS):
            fixed.slot[i * ROWS + r] = fixed.slot2[i * ROWS + r] = -1
        for meter in circuit.currents:
            k = i * ROWS + meter.leg
            fixed.coef[k] = fixed.plain[k] = 1
            fixed.slot[k] = self.image.slot[first[meter.current]]
            fixed.demand_ma[k] = ma_from_a(circuit.demand_a)
        modulation = circuit.modulation
        if modulation is None:
            return
        fixed.rest_tier[i] = modulation.rest_tier
        fixed.weight[i] = modulation.weight
        fixed.floor_ma[i] = ma_from_a(modulation.min_a)
        fixed.max_ma[i] = ma_from_a(modulation.max_a)
        fixed.fallback_ma[i] = ma_from_a(modulation.fallback_a)
        fixed.can_pause[i] = modulation.can_pause
        fixed.settle_ns[i] = ns_from_s(modulation.settle_s)
        fixed.change_ns[i] = ns_from_s(modulation.change_s)
        fixed.step_ma[i] = max(1, ma_from_a(modulation.step_a))
        fixed.ramp_ma_s[i] = ma_from_a(modulation.ramp_a_per_s)
        state.set_ma[i] = fixed.fallback_ma[i]
        state.allow_ma[i] = state.allowed_ma[i] = fixed.max_ma[i]
