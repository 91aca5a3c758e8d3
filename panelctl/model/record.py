"""The CycleRecord and the messages of the control socket: the narrow waist of panelctl.

Every message is one line of JSON with `v`, the version of the protocol. docs/reference/
control-socket.md describes each key; what is added later is added here and there at once.
"""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

VERSION = 1


class RowRecord(TypedDict):
    """A row that has a limit: a leg at the main lugs, the total import, a feeder's leg. A.

    `binding` names the limit that binds. `theta` is how near its breaker is to tripping (1: trips),
    `trip_s` how long it surely stands what flows now, where that is not for ever. `wary_a` is left
    free for sources that may fall away, or for loads of the other leg that may go. `stale` is
    there, and true, while a row's own meter (a feeder's) cannot be read: `a` is what was read last.
    """

    a: float
    limit_a: float
    headroom_a: float
    binding: str
    theta: NotRequired[float]
    trip_s: NotRequired[float]
    wary_a: NotRequired[float]
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
    null while they cannot be read. `fresh`: the currents are.
    """

    w: int | None
    v: list[float] | None
    fresh: bool


class EnergyRecord(TypedDict):
    """What the counters at the main lugs say, Wh; null where there is none that was read."""

    import_wh: int | None
    export_wh: int | None


class CircuitRecord(TypedDict):
    """One circuit. `a` per leg it is on, `relay` is the read-back, `since_s` counts back from now.

    `why` and `wait` are codes of model/reason; `by_a` is how many amps were missing on `leg`, which
    names a row. `theta` and `trip_s` are of its own breaker, where that is watched; `firm_a` is
    what of a source's current counts as there to stay; `wh` is what it has drawn (a source: given).
    `cap_w` is the most that somebody lets it draw, for `cap_s` yet.
    """

    id: str
    w: int
    a: list[float]
    fresh: bool
    relay: str
    tier: int
    ordered: NotRequired[str]
    why: NotRequired[str]
    leg: NotRequired[str]
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
    cap_w: NotRequired[int]
    cap_s: NotRequired[float]
    wh: NotRequired[int]


class EventRecord(TypedDict):
    """Something that changed in this cycle."""

    what: str
    circuit: NotRequired[str]
    leg: NotRequired[str]
    by_a: NotRequired[float]
    link: NotRequired[str]
    device: NotRequired[str]
    text: NotRequired[str]


class LimitRecord(TypedDict):
    """A named limit that is in force: A by row, who set it; `until_s` counts from now."""

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


class TimingRecord(TypedDict):
    """How the cycle went."""

    late_us: int
    work_us: int
    overruns: int
    complete: bool


class ImageRecord(TypedDict):
    """The latched image that was decided on, so that a recording replays to the bit."""

    value: list[int]
    quality: list[int]
    age_ns: list[int]


class CycleRecord(TypedDict):
    """Everything about one control cycle."""

    v: int
    seq: int
    t_ns: int
    wall_s: float
    state: str
    legs: dict[str, RowRecord]
    rows: dict[str, RowRecord]
    limits: list[LimitRecord]
    compute: ComputeRecord | None
    circuits: list[CircuitRecord]
    mains: MainsRecord
    energy: EnergyRecord
    tank_c: float | None
    doubts: dict[str, list[str]]
    events: list[EventRecord]
    commands: list[dict[str, Any]]
    verdicts: list[dict[str, Any]]
    units: dict[str, dict[str, int]]
    links: dict[str, LinkRecord]
    timing: TimingRecord
    image: ImageRecord
