"""From a panel to the core's flat memory: every load, every row, every limit that is always there.

What each field means is layout.py's. Nothing here decides anything.
"""

from __future__ import annotations

from dataclasses import dataclass

from panelctl.core.doubt.build import Watched
from panelctl.core.state.layout import MODULATED, SWITCHED, Changing, Fixed
from panelctl.core.thermal import ONE, TICK_BITS, Pole, decay_table
from panelctl.model.breaker import BETWEEN_RATIO, CONTINUOUS_RATIO, NEUTRAL_RATIO, Breaker, Curve
from panelctl.model.circuit import Circuit, Role, SafeState, SourceKind
from panelctl.model.limit import LimitName
from panelctl.model.panel import Panel
from panelctl.model.reason import Reason
from panelctl.model.slots import LEGS, Slots
from panelctl.units import ma_from_a, ns_from_s

GOOD_NEEDED = 5  # fresh mains readings in a row before anything may rise again (control.md A7)
RELAY_STALE_S = 3.0  # a read-back or voltage that is older counts for nothing
CLOSE_SETTLE_S = 2.0  # a restored load may take this long to show its draw on its own meter
RELIEF_A = 0.2  # opening less than this relieves nothing
NODE_TOLERANCE_RATIO = 0.03  # how far above its budget a compute node may draw
CAR_TOLERANCE_RATIO = 0.10  # how far a car may draw above its pilot signal (IEC 61851-1 practice)
TOLERANCE_A = 0.5  # how far above its set-point any load may draw
ERROR_RATIO = 0.01  # how much more than it shows a current meter of class 1 may measure
IDLE_MARGIN_A = 2.0  # how much above its draw the set-point of an idle load stays
IDLE_S = 5.0  # an idle load keeps its set-point for so long
HEAL_S = 10.0  # a relay that was at fault has to look healthy for so long
MOVES_MOST = 3  # somebody else may move a relay so often before it is left alone,
MOVES_S = 600.0  # counted from the first of them for so long; and left alone for as long
STOPPED_A = 0.5  # a load that was asked to stop and draws no more has stopped
STOP_WAIT_S = 60.0  # lower, ask to stop, and only then open
HIGH_VOLTAGE_RATIO = 1.06  # highest service voltage (254 V of 240 V, ANSI C84.1 range B)
MOST_RAMP_MA_S = 9_000_000  # as good as at once, and a quarter of an hour of it fits int64
RATING_SCALE = 4  # on a row of a breaker's rating a mA counts four, of a continuous load five


@dataclass(frozen=True, slots=True)
class Row:
    """A row: its name for people, the legs it sums up, who is on it (None: all), and its limit.

    `neutral`: what its leg carries more than the other one; only loads between a leg and the
    neutral are on it. `busbar`: sources behind the main lugs add to it; elsewhere they relieve.
    """

    name: str
    legs: tuple[int, ...]
    limit_a: float | None
    members: frozenset[str] | None = None
    slots: tuple[int, ...] = ()
    of_mains: bool = False
    rating: bool = False
    breaker: Breaker | None = None
    credit: bool = False
    neutral: bool = False
    busbar: bool = False


def rows_of(panel: Panel, slots: Slots) -> list[Row]:
    """The legs at the main lugs, the total import, each leg of each feeder, and what the panel has
    of a reduced neutral, a busbar that sources feed, and a sink for the compute node's heat.
    """
    service = panel.service
    setting_a = service.control_setting_a
    if not service.thermal_credit:
        setting_a = min(setting_a, service.breaker.highest_setting_a)
    rows = [
        Row(
            name=leg,
            legs=(number,),
            limit_a=setting_a,
            slots=(slots.mains.currents[number],),
            of_mains=True,
            rating=service.thermal_credit,
            breaker=service.breaker,
            credit=service.thermal_credit,
        )
        for number, leg in enumerate(LEGS)
    ]
    import_a = None
    if service.import_limit_w is not None:
        import_a = total_a(service.import_limit_w, panel)
    rows.append(Row("import", (0, 1), import_a, slots=slots.mains.currents, of_mains=True))
    for feeder in panel.feeders:
        for leg in feeder.legs:
            setting = feeder.control_setting_a
            rows.append(
                Row(
                    name=f"{feeder.id}.{LEGS[leg]}",
                    legs=(leg,),
                    limit_a=feeder.breaker.rating_a if setting is None else setting,
                    members=frozenset(feeder.circuits),
                    slots=tuple(n for n in (slots.feeder(feeder.id).current(leg),) if n >= 0),
                    rating=setting is None,
                    breaker=feeder.breaker,
                )
            )
    for leg, name in enumerate(LEGS):
        mains = (slots.mains.currents[leg],)
        if service.neutral_a is not None:
            limit_a = service.neutral_a * NEUTRAL_RATIO
            rows.append(
                Row(f"neutral.{name}", (leg,), limit_a, slots=mains, of_mains=True, neutral=True)
            )
        if any(circuit.source for circuit in panel.circuits):
            busbar_a = service.busbar_a or service.breaker.rating_a
            rows.append(
                Row(f"busbar.{name}", (leg,), busbar_a, slots=mains, of_mains=True, busbar=True)
            )
    if (sink := panel.heat_sink) is not None:
        most_a = total_a(sink.rejector_w + sink.tank_w, panel)
        rows.append(Row("heat_sink", (0, 1), most_a, frozenset(sink.circuits)))
    return rows


def source_legs_of(panel: Panel) -> list[tuple[Circuit, int]]:
    """Every leg of every source."""
    return [(circuit, leg) for circuit in panel.circuits if circuit.source for leg in circuit.legs]


def total_a(watts: float, panel: Panel) -> float:
    """The sum of both legs' currents (A) that is never more than so many watts."""
    return watts / (panel.service.voltage_v * HIGH_VOLTAGE_RATIO / 2)


class Memory:
    """The flat memory of a panel, filled: `fixed` and `state`, and what their numbers stand for."""

    def __init__(self, panel: Panel, slots: Slots) -> None:
        self.rows = rows_of(panel, slots)
        self.loads = [circuit for circuit in panel.circuits if circuit.controlled]
        self.source_legs = source_legs_of(panel)
        watched = Watched(panel, slots, self.loads)
        self.fixed = Fixed(len(self.loads), len(self.rows), len(self.source_legs), watched.lists)
        self.state = Changing(self.fixed, len(LimitName))
        watched.fill(self.fixed, self.state)
        self.counted = watched.items  # the names of what has energy counters
        self._slots = slots
        self._panel = panel
        self._scalars()
        for r, row in enumerate(self.rows):
            self._row(r, row)
        for i, circuit in enumerate(self.loads):
            self._load(i, circuit)
        for j, (circuit, leg) in enumerate(self.source_legs):
            self._source_leg(j, circuit, leg)
        for tier in panel.equal_tiers:
            self.fixed.equal_tier[tier] = 1

    def _scalars(self) -> None:
        fixed, timing = self.fixed, self._panel.timing
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
            ("heal_ns", HEAL_S),
            ("moves_ns", MOVES_S),
        ):
            getattr(fixed, name)[0] = ns_from_s(seconds)
        for name, amps in (
            ("setpoint_margin_ma", timing.setpoint_margin_a),
            ("restore_margin_ma", timing.restore_margin_a),
            ("relief_ma", RELIEF_A),
            ("stopped_ma", STOPPED_A),
            ("tolerance_ma", TOLERANCE_A),
            ("idle_margin_ma", IDLE_MARGIN_A),
        ):
            getattr(fixed, name)[0] = ma_from_a(amps)
        fixed.error_ppm[0] = round(ERROR_RATIO * 1_000_000)
        fixed.good_needed[0] = GOOD_NEEDED
        fixed.moves_most[0] = MOVES_MOST

    def _row(self, r: int, row: Row) -> None:
        fixed, timing = self.fixed, self._panel.timing
        mains = self._slots.mains
        fixed.row_slot[r], fixed.row_slot2[r] = [*row.slots, -1, -1][:2]
        if row.of_mains:
            signs = [mains.powers[leg] for leg in row.legs]
            fixed.sign_slot[r], fixed.sign_slot2[r] = [*signs, -1][:2]
        if row.neutral:
            other = 1 - row.legs[0]
            fixed.less_slot[r] = mains.currents[other]
            fixed.sign_slot2[r] = mains.powers[other]
        its_own = row.slots and not row.of_mains  # what is of the mains, the state judges
        fixed.row_stale_ns[r] = ns_from_s(timing.fresh_s) if its_own else 0
        fixed.scale[r] = RATING_SCALE if row.rating else 1
        outside = [
            circuit
            for circuit in self._panel.circuits
            if not circuit.controlled
            and circuit.source is None
            and (row.members is None or circuit.id in row.members)
        ]
        largest_a = max((circuit.demand_a for circuit in outside), default=0.0)
        fixed.prior_ma[r] = ma_from_a(largest_a)
        fixed.no_margin[r] = row.name == "heat_sink"
        if row.limit_a is not None:
            self.limit(LimitName.FSR, r, ma_from_a(row.limit_a))
        breaker = row.breaker
        if breaker is None or breaker.curve is None:
            return
        pole = pole_of(breaker, breaker.curve)
        fixed.ref_ma[r] = ma_from_a(pole.ref_a)
        fixed.share[r] = round(pole.share * ONE)
        fixed.credit[r] = row.credit and breaker.curve.gives_credit
        fixed.decay_fast[r * TICK_BITS : (r + 1) * TICK_BITS] = decay_table(pole.fast_s)
        fixed.decay_slow[r * TICK_BITS : (r + 1) * TICK_BITS] = decay_table(pole.slow_s)

    def _source_leg(self, j: int, circuit: Circuit, leg: int) -> None:
        """One leg of a source: where it is read, and which rows it relieves or loads."""
        fixed, slots, source = self.fixed, self._slots.circuit(circuit.id), circuit.source
        assert source is not None
        fixed.source_slot[j] = slots.current(leg)
        powers = slots.powers if source.kind is SourceKind.BATTERY else ()
        fixed.source_w_slot[j], fixed.source_w_slot2[j] = [*powers, -1, -1][:2]
        fixed.source_stale_ns[j] = ns_from_s(self._panel.timing.fresh_s)
        fixed.source_most_ma[j] = ma_from_a(circuit.breaker.rating_a)
        fixed.source_firm_ppm[j] = round(source.firm_share * 1_000_000)
        fixed.source_window_ns[j] = ns_from_s(source.window_s)
        for r, row in enumerate(self.rows):
            metered_here = row.slots and (row.members is None or circuit.id in row.members)
            if leg not in row.legs or not metered_here:
                continue
            k = j * fixed.rows + r
            if row.busbar:
                fixed.adds[k] = 1
            elif not row.neutral or len(circuit.legs) == 1:
                fixed.relieves[k] = 1

    def limit(self, name: LimitName, r: int, ma: int) -> None:
        """Put a named limit on row `r`, for good."""
        self.state.limit_on[int(name)] = 1
        self.state.limit_value_ma[int(name) * self.fixed.rows + r] = ma

    def _load(self, i: int, circuit: Circuit) -> None:
        fixed, state, timing = self.fixed, self.state, self._panel.timing
        fixed.kind[i] = MODULATED if circuit.modulation else SWITCHED
        fixed.compute[i] = circuit.is_compute
        fixed.relay_slot[i] = self._slots.circuit(circuit.id).relay
        fixed.acked_slot[i] = self._slots.circuit(circuit.id).acked
        fixed.refused_slot[i] = self._slots.circuit(circuit.id).refused
        fixed.noise_ma[i] = ma_from_a(circuit.noise_a)
        tolerance = NODE_TOLERANCE_RATIO if circuit.is_compute else CAR_TOLERANCE_RATIO
        fixed.tolerance_ppm[i] = round(tolerance * 1_000_000)
        fixed.min_on_ns[i] = ns_from_s(circuit.min_on_s)
        fixed.min_off_ns[i] = ns_from_s(circuit.min_off_s)
        fixed.max_off_ns[i] = ns_from_s(circuit.max_off_s)
        if circuit.ops_per_day:
            fixed.wear_ns[i] = ns_from_s(86_400 / circuit.ops_per_day)
        fixed.safe_open[i] = circuit.safe_state is SafeState.OPEN
        stale_s = timing.fresh_s if circuit.modulation else timing.branch_stale_s
        fixed.stale_ns[i] = ns_from_s(stale_s)
        state.tier[i] = circuit.tier
        state.closed[i] = -1
        state.reason[i] = int(Reason.UNREAD)
        for r, row in enumerate(self.rows):
            self._load_on_row(i, circuit, r, row)
        self._branch(i, circuit)
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
        fixed.ramp_ma_s[i] = min(ma_from_a(modulation.ramp_a_per_s), MOST_RAMP_MA_S)
        state.set_ma[i] = fixed.fallback_ma[i]
        state.peak_setpoint_ma[i] = state.prev_peak_setpoint_ma[i] = fixed.max_ma[i]

    def _branch(self, i: int, circuit: Circuit) -> None:
        """The breaker of the load's own circuit, where it is watched."""
        fixed, breaker = self.fixed, circuit.breaker
        if breaker.curve is None:
            return
        pole = pole_of(breaker, breaker.curve)
        most_a = breaker.rating_a * (CONTINUOUS_RATIO if circuit.continuous else 1.0)
        fixed.branch_ref_ma[i] = ma_from_a(pole.ref_a)
        fixed.branch_share[i] = round(pole.share * ONE)
        fixed.branch_most_ma[i] = ma_from_a(most_a)
        fixed.branch_ma[i] = ma_from_a(breaker.rating_a)
        span = slice(i * TICK_BITS, (i + 1) * TICK_BITS)
        fixed.branch_decay_fast[span] = decay_table(pole.fast_s)
        fixed.branch_decay_slow[span] = decay_table(pole.slow_s)

    def _load_on_row(self, i: int, circuit: Circuit, r: int, row: Row) -> None:
        fixed, k = self.fixed, i * self.fixed.rows + r
        fixed.slot[k] = fixed.slot2[k] = -1
        if row.members is not None and circuit.id not in row.members:
            return
        if row.neutral and len(circuit.legs) == 2:
            self._between_legs(k, circuit, row)
            return
        legs = sorted({meter.leg for meter in circuit.currents} & set(row.legs))
        fixed.opposite_leg[k] = row.neutral and not legs
        if not legs:
            return
        slots = [self._slots.circuit(circuit.id).current(leg) for leg in legs]
        fixed.slot[k], fixed.slot2[k] = [*slots, -1][:2]
        fixed.meter_coef[k] = len(legs) * fixed.scale[r]
        heavy = row.rating and circuit.continuous
        fixed.limit_coef[k] = len(legs) * (RATING_SCALE + 1) if heavy else fixed.meter_coef[k]
        fixed.demand_ma[k] = ma_from_a(circuit.demand_a)
        fixed.inrush_ma[k] = ma_from_a(circuit.inrush_a)

    def _between_legs(self, k: int, circuit: Circuit, row: Row) -> None:
        """A load on both legs and the neutral: in the neutral flows what one leg draws more.

        With one CT (`balanced`) somebody vouches that there is no such difference.
        """
        fixed = self.fixed
        if circuit.balanced:
            return
        slots, leg = self._slots.circuit(circuit.id), row.legs[0]
        fixed.slot[k], fixed.slot2[k] = slots.current(leg), slots.current(1 - leg)
        # A set-point says nothing about the difference, which is measured and the household's.
        fixed.limit_coef[k] = fixed.meter_coef[k] = int(circuit.role is not Role.MODULATED)
        fixed.opposite_leg[k] = 1
        fixed.demand_ma[k] = ma_from_a(circuit.demand_a * BETWEEN_RATIO)


def pole_of(breaker: Breaker, curve: Curve) -> Pole:
    """The curve of a breaker of its rating, with its end lowered to what is trusted of it."""
    ref_a = curve.ref_ratio * breaker.rating_a * breaker.derate
    return Pole(ref_a, curve.fast_share, curve.fast_s, curve.slow_s)
