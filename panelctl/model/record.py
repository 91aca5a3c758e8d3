"""The CycleRecord and the messages of the control socket: the narrow waist of panelctl.

Every message is one line of JSON with `v`, the version of the protocol. docs/reference/
control-socket.md describes each key; what is added later is added here and there at once.
"""

from __future__ import annotations

import sys
from typing import NotRequired

if sys.version_info >= (3, 12):
    from typing import TypedDict
else:
    from typing_extensions import TypedDict  # pydantic makes no schema of an older one

VERSION = 2


class ConstraintRecord(TypedDict):
    """A constraint that has a limit: a leg at the main lugs, the total import, a feeder's leg. A.

    `binding` names the limit that binds. `theta` is how near its breaker is to tripping (1: trips),
    `trip_s` how long it surely stands what flows now, where that is not for ever. `contingency_a`
    is left free for sources that may fall away, or for loads of the other leg that may go. `stale`
    is there, and true, while its own meter (a feeder's) cannot be read: `a` is what was read last.
    """

    a: float
    limit_a: float
    headroom_a: float
    binding: str
    theta: NotRequired[float]
    trip_s: NotRequired[float]
    contingency_a: NotRequired[float]
    stale: NotRequired[bool]


class ComputeRecord(TypedDict):
    """The compute circuit. W; `stop` is true while the node is asked to stop."""

    circuit: str
    budget_w: int
    draw_w: int
    floor_w: int
    max_w: int
    stop: bool


class MainsRecord(TypedDict):
    """The main lugs: W drawn from the grid (below 0: given to it), V of legs a and b to neutral;
    null while they cannot be read. `fresh`: the currents are. `age_s` is how old the older of the
    two legs' currents is; null before both have been read.
    """

    w: int | None
    v: list[float] | None
    fresh: bool
    age_s: float | None


class EnergyRecord(TypedDict):
    """What the counters at the main lugs say, Wh; null where there is none that was read."""

    import_wh: int | None
    export_wh: int | None


class CircuitRecord(TypedDict):
    """One circuit. `a` per leg it is on, `relay` is the read-back, `ordered` and `acked` what its
    relay was ordered last and what its board acknowledged last; `since_s` counts back from now.
    `over_s` is for how long it has drawn more than it was told.

    `why` and `wait` are codes of model/reason; `by_a` is how many amps were missing on
    `constraint`. `theta` and `trip_s` are of its own breaker, where that is watched; `firm_a` is
    what of a source's current counts as there to stay; `wh` is what it has drawn (a source: given).
    `power_limit_w` is the most that somebody lets it draw, for `power_limit_s` yet.
    """

    id: str
    w: int
    a: list[float]
    fresh: bool
    relay: str
    tier: int
    ordered: NotRequired[str]
    acked: NotRequired[str]
    over_s: NotRequired[float]
    why: NotRequired[str]
    constraint: NotRequired[str]
    by_a: NotRequired[float]
    since_s: NotRequired[float]
    until_s: NotRequired[float]
    wait: NotRequired[str]
    wait_a: NotRequired[float]
    claims: NotRequired[list[str]]
    set_a: NotRequired[float]
    theta: NotRequired[float]
    trip_s: NotRequired[float]
    firm_a: NotRequired[list[float]]
    power_limit_w: NotRequired[int]
    power_limit_s: NotRequired[float]
    wh: NotRequired[int]


class EventRecord(TypedDict):
    """Something that changed in this cycle."""

    what: str
    circuit: NotRequired[str]
    leg: NotRequired[str]
    constraint: NotRequired[str]
    by_a: NotRequired[float]
    link: NotRequired[str]
    device: NotRequired[str]
    text: NotRequired[str]


class LimitRecord(TypedDict):
    """A named limit that is in force: A by constraint, who set it; `until_s` counts from now."""

    name: str
    source: str
    limit_a: dict[str, float]
    until_s: NotRequired[float]


class DeviceRecord(TypedDict):
    """A device on a link. `state` is OK, SILENT, REFUSES, STRANGER or NEW; `since_s` counts back
    from now. Counts since the start; times in ms: to its answers (p50, p99), what it is waited for
    at most. `age_s` is how old its last answer is, `refused` how many of its reads it refuses now.
    """

    state: str
    since_s: float | None
    good: int
    timeouts: int
    refusals: int
    bad: int
    age_s: float | None
    p50_ms: float | None
    p99_ms: float | None
    wait_ms: float
    refused: NotRequired[int]
    serial: NotRequired[str]
    error: NotRequired[str]


class LinkRecord(TypedDict):
    """A link and the devices on it. Counts since the start. `fast_ms` is what a round of the fast
    lane takes, `planned_ms` what it should; `width` how many questions are under way at once.
    """

    state: str
    since_s: float | None
    questions: int
    timeouts: int
    strays: int
    noisy: int
    shifts: int
    opened: int
    width: int
    fast_ms: float
    planned_ms: float
    sweeps: int
    echo: NotRequired[bool]
    settle_ms: NotRequired[int]
    error: NotRequired[str]
    remark: NotRequired[str]
    devices: dict[str, DeviceRecord]


class UnitRecord(TypedDict):
    """Of a device that is read, since the start: answers, questions without one in time, answers
    to something else, exceptions. `dead` is 1 after three misses in a row.
    """

    good: int
    timeouts: int
    bad: int
    refused: int
    dead: int


class OrderRecord(TypedDict):
    """An order that its device refuses or does not follow, or that was lost: `of` relay or
    set-point, what is `ordered`, REFUSED, LOST or CONTRADICTED, for how long it has been given (or
    contradicted: then `reads` is what the device says or does), and how often each happened. Or
    FOLLOWED: somebody else told the device less (`reads`), which it is left at for `until_s` yet;
    `ordered` is what it would have else.
    """

    circuit: str
    of: str
    ordered: str
    state: str
    since_s: float
    refused: int
    lost: int
    reads: NotRequired[str]
    until_s: NotRequired[float]
    error: NotRequired[str]


class FaultRecord(TypedDict):
    """A circuit that does not do as it is told: which fault (model/fault.py), since when. `holds`:
    it holds the circuit open now. `since_s` counts back from now.
    """

    circuit: str
    fault: str
    since_s: float
    holds: bool


class TimingRecord(TypedDict):
    """How the cycles went since the record before: the latest begin after its tick and the longest
    work, in µs. `overruns` are ticks skipped since the start; `complete`: all fast reads were
    through in their share of the cycle, each time.
    """

    late_us: int
    work_us: int
    overruns: int
    complete: bool


class DecisionRecord(TypedDict):
    """One decision: when, and what of the latched image was read or acknowledged since the one
    before, by slot (model/slots.py), so that a recording replays to the bit. `age_ns` counts back
    from `t_ns`; -1 for a slot that was never read.
    """

    t_ns: int
    slots: list[int]
    value: list[int]
    quality: list[int]
    age_ns: list[int]


class WindowRecord(TypedDict):
    """A window of an envelope, in s from now: A per leg, W of total import, or both."""

    start_s: float
    end_s: float
    limit_a: float | None
    import_w: float | None


class CommandRecord(TypedDict):
    """A command as it came: what `do` names (model/command.py), with its own keys."""

    do: str
    id: str
    circuit: NotRequired[str]
    device: NotRequired[str]
    tier: NotRequired[int]
    limit_a: NotRequired[float | None]
    limit_w: NotRequired[float | None]
    import_w: NotRequired[float]
    expires_s: NotRequired[float]
    source: NotRequired[str]
    number: NotRequired[int]
    windows: NotRequired[list[WindowRecord]]
    islanded: NotRequired[bool]
    soc: NotRequired[float | None]


class VerdictRecord(TypedDict):
    """What became of the command `id`: accepted, or refused with a `why` for people."""

    id: str
    accepted: bool
    why: str


class CycleRecord(TypedDict):
    """Everything about the newest cycle, and what was decided since the record before.

    `seq` numbers the records and `cycle` the decisions, both from 1. With `shadow` nothing is
    written, and relays and currents are as they would be. Commands and events belong to
    the last decision: one that has any is published at once.
    """

    v: int
    seq: int
    cycle: int
    t_ns: int
    wall_s: float
    shadow: bool
    state: str
    legs: dict[str, ConstraintRecord]
    constraints: dict[str, ConstraintRecord]
    limits: list[LimitRecord]
    compute: ComputeRecord | None
    circuits: list[CircuitRecord]
    mains: MainsRecord
    energy: EnergyRecord
    tank_c: float | None
    doubts: dict[str, list[str]]
    events: list[EventRecord]
    commands: list[CommandRecord]
    verdicts: list[VerdictRecord]
    units: dict[str, UnitRecord]
    links: dict[str, LinkRecord]
    orders: list[OrderRecord]
    faults: list[FaultRecord]
    timing: TimingRecord
    decisions: list[DecisionRecord]


class HelloSetpoint(TypedDict):
    """Between what a modulated circuit is told to draw: A per leg, and W where it has any."""

    min_a: float
    max_a: float
    floor_w: float
    max_w: float


class HelloCircuit(TypedDict):
    """What the panel file says of a circuit. `half` is A or B for each space of a tandem's, or
    empty; `legs` is a, b or ab; `relay`: it has one of ours; `seen`: whose board shows where the
    contact is, not only what it was told; `counted`: it has energy counters;
    `source` is pv or battery; `set` is of a modulated one.
    """

    id: str
    name: str
    spaces: list[int]
    half: str
    legs: str
    breaker_a: float
    role: str
    armed: bool
    tier: int
    compute: bool
    relay: bool
    shows_contact: bool
    counted: bool
    source: str | None
    set: HelloSetpoint | None


class HelloRecord(TypedDict):
    """What every reader is told first: the panel's fixed facts, its file, and what the controller
    started from (control/start.py), so that a recording from the first cycle on replays.

    `backup_tier`: off the grid circuits of this tier and later are shed. `feeders` are legs by id;
    `shadow`: nothing is written to any device, and what is decided is on how the house would be.
    `heats` are circuits whose heat goes into a tank; `lease_s` is how long a budget holds that is
    not renewed.
    """

    name: str
    serial: str
    main_breaker_a: float
    control_setting_a: float
    voltage_v: float
    rate_hz: float
    lease_s: float
    shadow: bool
    backup_tier: int | None
    feeders: dict[str, str]
    heats: list[str]
    circuits: list[HelloCircuit]
    config: str
    start: dict[str, object]
