"""What of an engine outlives a restart: taken out, put back, and as plain data. All of it is here.

Rules
- Whatever a start takes over only makes it more careful, or is what people asked for.
- Plain data comes from files that may be torn or foreign: every value is checked, and one that is
  out of shape costs all of it (ValueError, KeyError, TypeError), never a start.
- Ends are monotonic times: `moved` puts them where they are on another boot's clock.
- Some of it changes in every cycle, heat all the time, and what was learned once an hour: `capture`
  takes anew what it is asked for and keeps the rest of the one before.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from enum import Flag, auto
from typing import TYPE_CHECKING, Any

from panelctl.core.doubt.energy import KeptCounts
from panelctl.core.limits.power_limits import KeptPowerLimits
from panelctl.core.plain import (
    MOST_COUNT,
    below,
    counts,
    fault_code,
    limits,
    monotonic_ns,
    whole,
)
from panelctl.core.state.layout import HOURS, LEG_ROWS, MAX_ROWS, MODULATED, STEP_BINS
from panelctl.model.doubt import Doubt
from panelctl.model.keys import (
    MAX_EXPIRY_S,
    MAX_LIMIT_A,
    MAX_TIER,
)
from panelctl.model.limit import Amount, KeptLimits, LimitName
from panelctl.model.reason import Reason, State
from panelctl.model.relay import Claim
from panelctl.model.slots import LEGS
from panelctl.units import NS_PER_S, ns_from_s

if TYPE_CHECKING:
    from panelctl.core.engine import Engine

Learned = dict[str, dict[str, dict[str, int]]]  # by row, hour and bin: the household's steps
Faults = dict[str, tuple[int, int, int]]  # a Reason (0: none now), how often, others' moves
Tiers = dict[str, tuple[int, int]]  # by circuit: the panel file's tier, and what a person made it

MOST_CLAIM = 63
MAX_FAULTS = 1_000
MOST_THERMAL = 64 << 32
MOST_S = 9e9  # a wall time of this century or two, and in ns within int64


class Part(Flag):
    """What is taken together."""

    STATE = auto()  # what people and programs asked, what is in doubt: may change in every cycle
    THERMAL = auto()  # changes all the time
    HISTORY = auto()  # what was learned and counted
    ALL = STATE | THERMAL | HISTORY


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Claims by circuit; the requested limit (A) with its end (monotonic, ns); the heat of watched
    breakers (fast and slow, in 2^-32); the envelope and the grid's state; what was in doubt about
    the mains; what people asked of circuits (power limits and tiers); since when the mains could
    not be seen (ns; 0: they could); the household's steps; and the energy counters with their
    totals, as they stood at `at_s`, wall time; and the faults of relays by circuit.
    """

    claims: dict[str, int] = field(default_factory=dict)
    limit_a: float | None = None
    until_ns: int = 0
    thermal: dict[str, list[int]] = field(default_factory=dict)
    limits: KeptLimits = field(default_factory=KeptLimits)
    doubts: tuple[Doubt, ...] = ()
    power_limits: KeptPowerLimits = field(default_factory=dict)
    tiers: Tiers = field(default_factory=dict)
    blind_ns: int = 0
    steps: Learned = field(default_factory=dict)
    energy: KeptCounts = field(default_factory=dict)
    at_s: float = 0.0
    faults: Faults = field(default_factory=dict)

    @property
    def settled(self) -> Snapshot:
        """The same without what comes and goes: programs renew ends, windows and leases all day."""
        power_limits = {ident: (limit_w, 0) for ident, (limit_w, _) in self.power_limits.items()}
        windows = [(0, 0, limit_a, import_w) for _, _, limit_a, import_w in self.limits.windows]
        limits = replace(self.limits, windows=windows, lease_number=0)
        return replace(self, power_limits=power_limits, blind_ns=0, until_ns=0, limits=limits)

    @property
    def of_old(self) -> Snapshot:
        """The same where it is known not to be the newest: what was held open then nobody but a
        person closes, who may have opened it since.
        """
        claims = {ident: claim | int(Claim.FOUND) for ident, claim in self.claims.items()}
        return replace(self, claims=claims)

    def moved(self, by_ns: int) -> Snapshot:
        """The same, with every end so much later. What was blind before says nothing of now."""
        windows = [
            (monotonic_ns(start_ns + by_ns), monotonic_ns(end_ns + by_ns), limit_a, import_w)
            for start_ns, end_ns, limit_a, import_w in self.limits.windows
        ]
        return replace(
            self,
            until_ns=monotonic_ns(self.until_ns + by_ns),
            limits=replace(self.limits, windows=windows),
            power_limits={
                ident: (limit_w, monotonic_ns(end_ns + by_ns))
                for ident, (limit_w, end_ns) in self.power_limits.items()
            },
            blind_ns=0,
        )

    def with_history(self, other: Snapshot) -> Snapshot:
        """The same, with another one's history."""
        return replace(self, steps=other.steps, energy=other.energy, at_s=other.at_s)

    # -- plain data -------------------------------------------------------------------------------

    def state_to_plain(self) -> dict[str, Any]:
        """State and heat, ready for JSON."""
        return {
            "claims": self.claims,
            "faults": self.faults,
            "limit_a": self.limit_a,
            "until_ns": self.until_ns,
            "thermal": self.thermal,
            "limits": asdict(self.limits),
            "doubts": list(self.doubts),
            "power_limits": {ident: list(limit) for ident, limit in self.power_limits.items()},
            "tiers": {ident: list(pair) for ident, pair in self.tiers.items()},
            "blind_ns": self.blind_ns,
        }

    def history_to_plain(self) -> dict[str, Any]:
        """What was learned and counted, ready for JSON."""
        return {"steps": self.steps, "energy": self.energy, "at_s": round(self.at_s, 3)}

    @classmethod
    def state_from_plain(cls, plain: dict[str, Any]) -> Snapshot:
        """What `state_to_plain` made of it. Raises ValueError, KeyError or TypeError."""
        limit_a, until_ns = plain["limit_a"], monotonic_ns(plain["until_ns"])
        power_limits = plain["power_limits"] if "power_limits" in plain else plain["caps"]  # of old
        thermal = plain["thermal"] if "thermal" in plain else plain["heat"]
        if limit_a is None or not 0 <= float(limit_a) <= MAX_LIMIT_A:
            limit_a, until_ns = None, 0
        return cls(
            claims={
                str(name): int(claim)
                for name, claim in dict(plain["claims"]).items()
                if isinstance(claim, int) and 0 < claim <= MOST_CLAIM
            },
            faults={
                str(name): (fault_code(code), whole(count, MAX_FAULTS), whole(moves, MAX_FAULTS))
                for name, (code, count, moves) in dict(plain.get("faults", {})).items()
            },  # earlier files have none
            limit_a=None if limit_a is None else float(limit_a),
            until_ns=until_ns,
            thermal={
                str(row): [int(fast), int(slow)]
                for row, (fast, slow) in dict(thermal).items()
                if 0 <= int(fast) <= MOST_THERMAL and 0 <= int(slow) <= MOST_THERMAL
            },
            limits=limits(plain["limits"]),
            doubts=tuple(Doubt(name) for name in plain["doubts"]),
            power_limits={
                str(ident): (whole(limit_w), monotonic_ns(until_ns))
                for ident, (limit_w, until_ns) in dict(power_limits).items()
            },
            tiers={
                str(ident): (whole(filed, MAX_TIER), whole(tier, MAX_TIER))
                for ident, (filed, tier) in dict(plain["tiers"]).items()
            },
            blind_ns=whole(plain["blind_ns"]),
        )

    @classmethod
    def history_from_plain(cls, plain: dict[str, Any]) -> Snapshot:
        """What `history_to_plain` made of it. Raises ValueError, KeyError or TypeError."""
        steps = dict(plain["steps"])
        at_s = float(plain.get("at_s", 0.0))  # earlier files have none,
        if len(steps) > MAX_ROWS or not 0 <= at_s <= MOST_S:
            raise ValueError("that is no history")
        learned = {
            str(row): {
                str(below(hour, HOURS)): {
                    str(below(number, STEP_BINS)): below(count, MOST_COUNT)
                    for number, count in dict(bins).items()
                }
                for hour, bins in dict(hours).items()
            }
            for row, hours in steps.items()
        }
        return cls(steps=learned, energy=counts(plain.get("energy", {})), at_s=at_s)


# -- taken from an engine, and put back -----------------------------------------------------------


def capture(engine: Engine, now_ns: int, wall_s: float, before: Snapshot, parts: Part) -> Snapshot:
    """The engine as it is now in these parts, and as it was before in the others."""
    made = before
    if Part.STATE in parts:
        claims = zip(engine.loads, engine.state.claims, strict=True)
        limit_a, until_ns = engine.requested(now_ns) or (None, 0)
        made = replace(
            made,
            claims={circuit.id: held for circuit, held in claims if held},
            faults=_faults(engine),
            limit_a=limit_a,
            until_ns=until_ns,
            limits=engine.limits.snapshot(),
            doubts=engine.plausibility.snapshot(),
            power_limits=engine.power_limits.snapshot(),
            tiers=dict(engine.moved),
            blind_ns=_blind_since_ns(engine),
        )
    if Part.THERMAL in parts:
        made = replace(made, thermal={n: [fast[k], slow[k]] for n, fast, slow, k in _poles(engine)})
    if Part.HISTORY in parts:
        made = replace(made, steps=_learned(engine), energy=engine.energy.snapshot(), at_s=wall_s)
    return made


def put(engine: Engine, kept: Snapshot, now_ns: int, wall_s: float) -> None:
    """Put an engine, before its first step, where the one that was taken left off. What the panel
    has no more is dropped.
    """
    ahead_ns = round(wall_s * NS_PER_S) - now_ns  # of the monotonic clock
    _put_claims(engine, kept.claims)
    _put_faults(engine, kept, now_ns)
    for name, fast, slow, k in _poles(engine):  # none starts colder than without
        if name in kept.thermal:
            fast[k] = max(fast[k], kept.thermal[name][0])
            slow[k] = max(slow[k], kept.thermal[name][1])
    engine.plausibility.resume(kept.doubts, now_ns)
    _put_learned(engine, kept.steps, ahead_ns)
    engine.energy.resume(kept.energy, round(kept.at_s * NS_PER_S) - ahead_ns)
    engine.limits.resume(kept.limits)
    engine.power_limits.resume(kept.power_limits, now_ns)
    _put_tiers(engine, kept.tiers)
    _put_blind(engine, kept.blind_ns, now_ns)
    in_time = now_ns < kept.until_ns <= now_ns + ns_from_s(MAX_EXPIRY_S)
    setting_a = engine.panel.service.control_setting_a
    if kept.limit_a is not None and in_time and kept.limit_a <= setting_a:
        amount = Amount(limit_a=kept.limit_a)
        engine.limits.put(LimitName.REQUESTED, amount, kept.until_ns, "user")


def _put_claims(engine: Engine, claims: dict[str, int]) -> None:
    state = engine.state
    for ident, claim in claims.items():
        i = engine.index.get(ident)
        if i is not None:
            state.claims[i] = claim
            state.reason[i] = int(Reason.USER if claim & Claim.USER else Reason.LIMIT)
            if engine.fixed.kind[i] == MODULATED:
                state.set_ma[i] = 0


def _put_faults(engine: Engine, kept: Snapshot, now_ns: int) -> None:
    """A claim of a fault that nobody has named ends as if its relay had not opened."""
    state = engine.state
    for i, circuit in enumerate(engine.loads):
        claimed = state.claims[i] & Claim.FAULT
        nameless = Reason.WELDED if circuit.modulation is None else Reason.IGNORES_BUDGET
        unsaid = (int(nameless), 1, 0) if claimed else (0, 0, 0)
        code, count, moves = kept.faults.get(circuit.id, unsaid)
        if code or count:
            state.fault[i], state.fault_ns[i], state.fault_count[i] = code, now_ns, max(count, 1)
        if claimed:
            state.reason[i] = code
        if moves:
            state.moves[i], state.moves_ns[i] = moves, now_ns


def _faults(engine: Engine) -> Faults:
    state, loads = engine.state, engine.loads
    told = zip(state.fault, state.fault_count, state.moves, strict=True)
    return {loads[i].id: known for i, known in enumerate(told) if any(known)}


def _put_tiers(engine: Engine, tiers: Tiers) -> None:
    """Where the panel file has changed, it counts."""
    for ident, (filed, tier) in tiers.items():
        i = engine.index.get(ident)
        if i is not None and engine.loads[i].tier == filed and not engine.loads[i].is_compute:
            engine.set_tier(i, tier)


def _blind_since_ns(engine: Engine) -> int:
    """Since when the mains cannot be seen, once that is HOLD or SHED; 0 while they can."""
    held = engine.now in (State.HOLD, State.SHED) and engine.state.good[0] == 0
    return engine.state.mains_ns[0] if held else 0


def _put_blind(engine: Engine, since_ns: int, now_ns: int) -> None:
    """Go on counting where an earlier run was blind: else restarts would put SHED off. What a
    reading takes to come is left.
    """
    most_ns = engine.fixed.shed_ns[0] - engine.fixed.hold_ns[0]
    if 0 < since_ns <= now_ns:
        engine.state.mains_ns[0] = max(since_ns, now_ns - most_ns)


def _poles(engine: Engine) -> Iterator[tuple[str, array[int], array[int], int]]:
    """Every watched pole: its name (a branch's is `circuit.leg`), and where its heats lie."""
    fixed, state = engine.fixed, engine.state
    for r, row in enumerate(engine.rows):
        if fixed.ref_ma[r]:
            yield row.name, state.fast, state.slow, r
    for i, circuit in enumerate(engine.loads):
        if fixed.branch_ref_ma[i]:
            for leg in circuit.legs:
                n = i * LEG_ROWS + leg
                yield f"{circuit.id}.{LEGS[leg]}", state.branch_fast, state.branch_slow, n


def _learned(engine: Engine) -> Learned:
    """By row and hour, the bins that are not empty."""
    steps: Learned = {}
    for r, row in enumerate(engine.rows):
        for hour in range(HOURS):
            first = (r * HOURS + hour) * STEP_BINS
            bins = engine.state.steps[first : first + STEP_BINS]
            if any(bins):
                kept = {str(n): count for n, count in enumerate(bins) if count}
                steps.setdefault(row.name, {})[str(hour)] = kept
    return steps


def _put_learned(engine: Engine, steps: Learned, hour_offset_ns: int) -> None:
    """`hour_offset_ns` is what the time of day is ahead of the monotonic clock."""
    engine.state.hour_offset_ns[0] = hour_offset_ns
    for r, row in enumerate(engine.rows):
        for hour, bins in steps.get(row.name, {}).items():
            for number, count in bins.items():
                place = (r * HOURS + int(hour)) * STEP_BINS + int(number)
                engine.state.steps[place] = count
