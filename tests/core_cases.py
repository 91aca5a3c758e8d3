"""Random panels and random days for the core, as Hypothesis strategies and as plain builders."""

from __future__ import annotations

import dataclasses
from array import array
from dataclasses import dataclass

from hypothesis import strategies as st

from panelctl.core import thermal
from panelctl.core.backend import CoreLike, build_core
from panelctl.core.state.layout import MODULATED, SWITCHED, Changing, Fixed
from panelctl.model.metering import Quality

S = 1_000_000_000
MS = 1_000_000
LIMIT_MA = 160_000

SCALARS = {
    "fresh_ns": 500 * MS,
    "hold_ns": 2 * S,
    "shed_ns": 10 * S,
    "good_needed": 5,
    "confirm_ns": 500 * MS,
    "react_ns": 1200 * MS,
    "relay_confirm_ns": 1 * S,
    "relay_stale_ns": 3 * S,
    "close_settle_ns": 2 * S,
    "restore_hold_ns": 3 * S,
    "restore_interval_ns": 2 * S,
    "setpoint_margin_ma": 1_600,
    "restore_margin_ma": 8_000,
    "relief_ma": 200,
    "tolerance_ma": 500,
    "error_ppm": 10_000,
    "idle_margin_ma": 2_000,
    "idle_ns": 5 * S,
    "node_fault_ns": 2 * S,
    "node_open_ns": 5 * S,
    "stop_wait_ns": 60 * S,
    "stopped_ma": 500,
    "heal_ns": 10 * S,
    "moves_most": 3,
    "moves_ns": 600 * S,
}


@dataclass
class Load:
    """A load of a test panel; currents in mA."""

    kind: int = SWITCHED
    tier: int = 3
    legs: tuple[int, ...] = (0, 1)
    demand_ma: int = 20_000
    min_on_ns: int = 2 * S
    min_off_ns: int = 4 * S
    max_off_ns: int = 0
    inrush_ma: int = 0
    equal: bool = False
    safe_open: bool = True
    compute: bool = False
    floor_ma: int = 6_000
    max_ma: int = 48_000
    fallback_ma: int = 6_000
    can_pause: bool = True
    settle_ns: int = 600 * MS
    change_ns: int = 0
    step_ma: int = 10
    ramp_ma_s: int = 10_000_000
    rest_tier: int = 5
    weight: int = 1
    relay: bool = True
    curve: bool = False  # its own breaker is watched
    branch_ma: int = 30_000
    two_cts: bool = False  # on the neutral with what one leg draws more than the other
    wear_ns: int = 0


@dataclass
class Row:
    """A row behind the legs: `legs` that it sums up, which loads are on it, and its limit.

    A `metered` row has a slot of its own; `rating` counts modulated loads 1.25 times. A `neutral`
    row is what leg `legs[0]` carries more than the other; a `bus` row also carries the sources.
    """

    legs: tuple[int, ...] = (0, 1)
    every: int = 1  # one load in so many is on it
    limit_ma: int = 150_000
    metered: bool = False
    rating: bool = False
    neutral: bool = False
    bus: bool = False
    no_margin: bool = False


@dataclass
class SourceLeg:
    """One leg of a source: it relieves the legs' rows and adds to the bus rows of its leg."""

    leg: int = 0
    most_ma: int = 40_000
    share_ppm: int = 1_000_000
    window_ns: int = 2 * S
    battery: bool = False


@dataclass
class Heat:
    """The breaker of every row: where its curve ends, its poles, and whether it has credit."""

    ref_ma: int = 150_000
    share: float = 0.34
    fast_s: float = 10.6
    slow_s: float = 177.0
    credit: bool = False


@dataclass
class More:
    """What a test panel has besides loads on two legs."""

    rows: tuple[Row, ...] = ()
    heat: Heat | None = None
    hard: bool = False
    prior_ma: int = 20_000
    source_legs: tuple[SourceLeg, ...] = ()


def compute_load(**changes: object) -> Load:
    """A 12.5 kW node at 240 V with a 1.2 kW floor."""
    load = Load(
        kind=MODULATED,
        compute=True,
        tier=0,
        rest_tier=9,
        floor_ma=5_000,
        max_ma=52_000,
        fallback_ma=5_000,
        settle_ns=500 * MS,
        ramp_ma_s=20_000,
    )
    for name, value in changes.items():
        setattr(load, name, value)
    return load


def evse_load(**changes: object) -> Load:
    """A 48 A charger on both legs."""
    load = Load(kind=MODULATED, tier=4, rest_tier=5, step_ma=1_000, relay=False)
    for name, value in changes.items():
        setattr(load, name, value)
    return load


class Rig:
    """A core with its memory, and the readings written by hand."""

    def __init__(
        self,
        loads: list[Load],
        compiled: bool,
        limit_ma: int = LIMIT_MA,
        start_ns: int = S,
        more: More | None = None,
    ) -> None:
        more = more or More()
        rows = 2 + len(more.rows)
        fixed = Fixed(len(loads), rows, len(more.source_legs))
        state = Changing(fixed, 7)
        slots = 4  # the mains' currents, then its powers
        for name, value in SCALARS.items():
            getattr(fixed, name)[0] = value
        for r in range(rows):
            fixed.row_slot[r], fixed.row_slot2[r] = (r, -1) if r < 2 else (-1, -1)
            fixed.sign_slot[r] = 2 + r if r < 2 else -1
            state.hard[r] = more.hard
            fixed.prior_ma[r] = more.prior_ma
            if more.heat:
                self._watch_heat(fixed, r, more.heat)
        for r, row in enumerate(more.rows, 2):
            fixed.scale[r] = 4 if row.rating else 1
            fixed.row_stale_ns[r] = 3 * S
            fixed.no_margin[r] = row.no_margin
            if row.metered:
                fixed.row_slot[r] = slots
                slots += 1
            elif row.neutral or row.bus:
                leg = row.legs[0]
                fixed.row_slot[r], fixed.sign_slot[r] = leg, 2 + leg
                if row.neutral:
                    fixed.less_slot[r], fixed.sign_slot2[r] = 1 - leg, 3 - leg
            elif row.every == 1 and not row.rating:  # the total: both mains readings
                fixed.row_slot[r], fixed.row_slot2[r] = row.legs[0], row.legs[-1]
                fixed.sign_slot[r], fixed.sign_slot2[r] = 2 + row.legs[0], 2 + row.legs[-1]
                if len(row.legs) == 1:
                    fixed.row_slot2[r] = -1
        for i, load in enumerate(loads):
            fixed.kind[i] = load.kind
            fixed.compute[i] = load.compute
            fixed.rest_tier[i] = load.rest_tier
            fixed.weight[i] = load.weight
            fixed.stale_ns[i] = (500 * MS) if load.kind == MODULATED else 3 * S
            if load.equal:
                fixed.equal_tier[load.tier] = 1
            for name in (
                "min_on_ns",
                "min_off_ns",
                "max_off_ns",
                "floor_ma",
                "max_ma",
                "fallback_ma",
            ):
                getattr(fixed, name)[i] = getattr(load, name)
            fixed.wear_ns[i] = load.wear_ns
            for name in ("settle_ns", "change_ns", "step_ma", "ramp_ma_s"):
                getattr(fixed, name)[i] = getattr(load, name)
            fixed.safe_open[i] = load.safe_open
            fixed.can_pause[i] = load.can_pause
            fixed.relay_slot[i] = fixed.acked_slot[i] = fixed.refused_slot[i] = -1
            fixed.noise_ma[i] = 500
            fixed.tolerance_ppm[i] = 30_000 if load.compute else 100_000
            state.tier[i] = load.tier
            state.closed[i] = -1
            if load.kind == MODULATED:
                state.set_ma[i] = load.fallback_ma
            for r in range(rows):
                fixed.slot[i * rows + r] = fixed.slot2[i * rows + r] = -1
                if r in load.legs:
                    fixed.limit_coef[i * rows + r] = fixed.meter_coef[i * rows + r] = 1
                    fixed.slot[i * rows + r] = slots
                    fixed.demand_ma[i * rows + r] = load.demand_ma
                    fixed.inrush_ma[i * rows + r] = load.inrush_ma
                    slots += 1
            if load.curve:
                self._watch_branch(fixed, i, load)
            for r, row in enumerate(more.rows, 2):
                k, on = i * rows + r, [leg for leg in row.legs if leg in load.legs]
                fixed.slot[k] = fixed.slot2[k] = -1
                if row.neutral and len(load.legs) == 2:
                    if load.two_cts:
                        mine = fixed.slot[i * rows + row.legs[0]]
                        fixed.slot[k] = mine
                        fixed.slot2[k] = fixed.slot[i * rows + 1 - row.legs[0]]
                        fixed.limit_coef[k] = fixed.meter_coef[k] = int(load.kind != MODULATED)
                        fixed.opposite_leg[k] = 1
                        fixed.demand_ma[k] = load.demand_ma // 4
                    continue
                if row.neutral or row.bus:
                    on = on[:1] if row.legs[0] in on else []
                    fixed.opposite_leg[k] = row.neutral and not on
                if on and (i % row.every == 0 or row.neutral or row.bus):
                    heavy = row.rating and load.kind == MODULATED
                    fixed.meter_coef[k] = len(on) * fixed.scale[r]
                    fixed.limit_coef[k] = len(on) * (5 if heavy else fixed.scale[r])
                    fixed.slot[k] = fixed.slot[i * rows + on[0]]
                    if len(on) > 1:
                        fixed.slot2[k] = fixed.slot[i * rows + on[1]]
                    fixed.demand_ma[k], fixed.inrush_ma[k] = load.demand_ma, load.inrush_ma
            if load.relay:
                fixed.relay_slot[i] = slots
                fixed.acked_slot[i] = slots + 1
                fixed.refused_slot[i] = slots + 2
                slots += 3
        for j, source_leg in enumerate(more.source_legs):
            fixed.source_slot[j], fixed.source_w_slot[j], fixed.source_w_slot2[j] = slots, -1, -1
            slots += 1
            if source_leg.battery:
                fixed.source_w_slot[j] = slots
                slots += 1
            fixed.source_stale_ns[j] = 3 * S
            fixed.source_most_ma[j] = source_leg.most_ma
            fixed.source_firm_ppm[j] = source_leg.share_ppm
            fixed.source_window_ns[j] = source_leg.window_ns
            for r in range(rows):
                row_of = more.rows[r - 2] if r >= 2 else Row(legs=(r,))
                on_it = source_leg.leg in row_of.legs
                fixed.relieves[j * rows + r] = on_it and not row_of.bus
                fixed.adds[j * rows + r] = on_it and row_of.bus
        state.limit_on[0] = 1
        for r in range(rows):
            state.limit_value_ma[r] = more.rows[r - 2].limit_ma if r >= 2 else limit_ma
        self.more = more
        self.loads = loads
        self.fixed = fixed
        self.state = state
        self.now_ns = start_ns
        self.value = array("q", bytes(8 * slots))
        self.quality = array("q", bytes(8 * slots))
        self.sampled_ns = array("q", bytes(8 * slots))
        self.core: CoreLike = build_core(
            fixed, state, self.value, self.quality, self.sampled_ns, compiled
        )

    @staticmethod
    def _watch_heat(fixed: Fixed, r: int, heat: Heat) -> None:
        fixed.ref_ma[r] = heat.ref_ma
        fixed.share[r] = round(heat.share * thermal.ONE)
        fixed.credit[r] = heat.credit
        bits = thermal.TICK_BITS
        fixed.decay_fast[r * bits : (r + 1) * bits] = thermal.decay_table(heat.fast_s)
        fixed.decay_slow[r * bits : (r + 1) * bits] = thermal.decay_table(heat.slow_s)

    @staticmethod
    def _watch_branch(fixed: Fixed, i: int, load: Load) -> None:
        """A fast residential curve (control.md A5), derated by a tenth."""
        fixed.branch_ma[i] = load.branch_ma
        fixed.branch_ref_ma[i] = load.branch_ma * 945 // 1000
        most = load.branch_ma * 4 // 5 if load.kind == MODULATED else load.branch_ma
        fixed.branch_most_ma[i] = most
        fixed.branch_share[i] = round(0.34 * thermal.ONE)
        bits = thermal.TICK_BITS
        fixed.branch_decay_fast[i * bits : (i + 1) * bits] = thermal.decay_table(10.6)
        fixed.branch_decay_slow[i * bits : (i + 1) * bits] = thermal.decay_table(177.0)

    def read(self, slot: int, value: int, quality: Quality = Quality.GOOD) -> None:
        """Put a reading into a slot, sampled now."""
        if slot >= 0:
            self.value[slot] = value
            self.quality[slot] = quality
            self.sampled_ns[slot] = self.now_ns

    def read_all(
        self,
        house_ma: tuple[int, int],
        draws_ma: list[int],
        given_ma: tuple[int, ...] = (),
    ) -> None:
        """Fresh readings of everything: relays follow at once, open loads draw nothing.

        `given_ma` is what each leg of a source gives; a battery that is charged has it negative.
        The mains shows what is left: its currents without a sign, its powers with one.
        """
        mains = list(house_ma)
        for j, source_leg in enumerate(self.more.source_legs):
            given = given_ma[j] if j < len(given_ma) else 0
            mains[source_leg.leg] -= given
            self.read(self.fixed.source_slot[j], abs(given))
            self.read(self.fixed.source_w_slot[j], -given * 120 // 1000)
        for i, load in enumerate(self.loads):
            closed = self.state.closed[i] != 0
            draw = draws_ma[i] if closed else 0
            for r in load.legs:
                mains[r] += draw
                self.read(self.fixed.slot[i * self.fixed.rows + r], draw)
            relay = self.fixed.relay_slot[i]
            self.read(relay, int(closed))
            if relay >= 0:  # read a little before the mains, as on a line
                self.sampled_ns[relay] -= 20 * MS
            told = self.fixed.acked_slot[i]
            if told >= 0 and (self.value[told] != closed or not self.sampled_ns[told]):
                self.read(told, int(closed))
        for r in range(2):
            self.read(r, abs(mains[r]))
            self.read(2 + r, mains[r] * 120 // 1000)
        for r, row in enumerate(self.more.rows, 2):
            if row.metered:
                self.read(self.fixed.row_slot[r], self.flows(r, draws_ma))

    def flows(self, r: int, draws_ma: list[int]) -> int:
        """What the loads on row `r` really draw, mA."""
        rows, total = self.fixed.rows, 0
        for i, load in enumerate(self.loads):
            on = self.fixed.meter_coef[i * rows + r] // self.fixed.scale[r]
            if on and (self.state.closed[i] != 0 or load.kind == MODULATED):
                total += on * draws_ma[i]
        return total

    def step(self, after_ns: int = 100 * MS) -> None:
        """One step, `after_ns` later."""
        self.core.step(self.now_ns)
        self.now_ns += after_ns


def loads() -> st.SearchStrategy[list[Load]]:
    """Panels of up to ten loads, with at most one compute load."""
    switched = st.builds(
        Load,
        tier=st.integers(0, 6),
        legs=st.sampled_from([(0,), (1,), (0, 1)]),
        demand_ma=st.integers(0, 60_000),
        min_on_ns=st.sampled_from([0, S, 3 * S]),
        min_off_ns=st.sampled_from([0, S, 3 * S]),
        max_off_ns=st.sampled_from([0, 5 * S]),
        inrush_ma=st.integers(0, 90_000),
        safe_open=st.booleans(),
        curve=st.booleans(),
        branch_ma=st.integers(5_000, 60_000),
        two_cts=st.booleans(),
        wear_ns=st.sampled_from([0, S, 60 * S]),
    )
    modulated = st.builds(
        Load,
        kind=st.just(MODULATED),
        tier=st.integers(0, 6),
        rest_tier=st.integers(3, 7),
        legs=st.sampled_from([(0,), (1,), (0, 1)]),
        floor_ma=st.integers(1, 8_000),
        max_ma=st.integers(8_000, 80_000),
        fallback_ma=st.integers(1, 8_000),
        can_pause=st.booleans(),
        settle_ns=st.sampled_from([300 * MS, 900 * MS, 5 * S]),
        change_ns=st.sampled_from([0, S]),
        step_ma=st.sampled_from([1, 10, 1_000]),
        ramp_ma_s=st.integers(1, 100_000),
        weight=st.integers(1, 5),
        relay=st.booleans(),
        curve=st.booleans(),
        branch_ma=st.integers(10_000, 100_000),
    )
    compute = st.builds(
        compute_load,
        tier=st.integers(0, 6),
        rest_tier=st.integers(6, 9),
        can_pause=st.booleans(),
        min_off_ns=st.integers(0, 5 * S),
        relay=st.booleans(),
    ).map(lambda load: [load])
    some = st.lists(st.one_of(switched, modulated), max_size=9)
    equals = st.sets(st.integers(0, 6))

    def together(parts: tuple[list[Load], list[Load], set[int]]) -> list[Load]:
        panel = parts[0] + parts[1]
        for load in panel:
            load.equal = load.tier in parts[2]
        return panel

    return st.tuples(some, st.one_of(st.just([]), compute), equals).map(together)


def mores() -> st.SearchStrategy[More]:
    """Rows behind the legs, breakers that are watched, hard limits: or nothing of it."""
    rows = st.builds(
        Row,
        legs=st.sampled_from([(0,), (1,), (0, 1)]),
        every=st.integers(1, 3),
        limit_ma=st.integers(5_000, 300_000),
        metered=st.booleans(),
        rating=st.booleans(),
        no_margin=st.booleans(),
    )
    sides = st.builds(
        Row,
        legs=st.sampled_from([(0,), (1,)]),
        limit_ma=st.integers(5_000, 200_000),
        neutral=st.booleans(),
        bus=st.just(True),
    ).map(lambda row: dataclasses.replace(row, bus=not row.neutral))
    source_legs = st.builds(
        SourceLeg,
        leg=st.integers(0, 1),
        most_ma=st.integers(0, 60_000),
        share_ppm=st.sampled_from([0, 500_000, 1_000_000]),
        window_ns=st.sampled_from([S, 10 * S]),
        battery=st.booleans(),
    )
    heat = st.builds(Heat, ref_ma=st.integers(20_000, 200_000), credit=st.booleans())
    return st.builds(
        More,
        rows=st.lists(st.one_of(rows, sides), max_size=4).map(tuple),
        heat=st.one_of(st.none(), heat),
        hard=st.booleans(),
        prior_ma=st.integers(0, 60_000),
        source_legs=st.lists(source_legs, max_size=2).map(tuple),
    )
