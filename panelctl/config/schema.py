"""The panel file's shape: which keys there are, their types, units and ranges (pydantic).

What the keys mean together (does the plan fit, is it safe) is judged in checks.py. Imported only
where a file is read: the running controller never loads it.
"""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from panelctl.model.breaker import DEFAULT_DERATE

Ident = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")]
Amps = Annotated[float, Field(ge=0, le=1200, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
Tier = Annotated[int, Field(ge=0, le=99)]
Derate = Annotated[float, Field(gt=0.5, le=1)]
Signed = Annotated[str, Field(description="a point; with a leading - it is taken the other way")]


class Strict(BaseModel):
    """An unknown key is an error: a misspelt option must not be an option left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PanelTable(Strict):
    """Who the panel is."""

    name: Annotated[str, Field(min_length=1, max_length=80)]
    serial: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,40}$")]


class UncontrolledTable(Strict):
    """What the household may draw on each leg that panelctl cannot switch off, and who says so."""

    a: Amps
    b: Amps
    basis: Annotated[
        str,
        Field(min_length=3, description="e.g. 'NEC 220.87, 12 months' or 'calculated, NEC 220.83'"),
    ]


class MeterLegs(Strict):
    """The points of the mains meter for one leg."""

    current: Signed
    power: Signed
    voltage: str


class MainsTable(Strict):
    """The meter at the main lugs."""

    device: Ident
    a: MeterLegs
    b: MeterLegs
    import_energy: str | None = None
    export_energy: str | None = None


class ServiceTable(Strict):
    """The service: main breaker, control setting (A per leg) and what else draws on it."""

    main_breaker_a: Annotated[float, Field(gt=0, le=1200)]
    rated_100_percent: bool = False
    control_setting_a: Annotated[float, Field(gt=0, le=1200)]
    voltage_v: Annotated[float, Field(ge=200, le=260)] = 240.0
    operator_limit_a: Amps | None = None
    curve: str | None = None
    derate: Derate = DEFAULT_DERATE
    thermal_credit: bool = False
    import_limit_w: Annotated[int, Field(gt=0, le=1_000_000)] | None = None
    doe_default_a: Amps | None = None
    voltage_response: bool = False
    neutral_a: Annotated[float, Field(gt=0, le=1200)] | None = None
    busbar_a: Annotated[float, Field(gt=0, le=2000)] | None = None
    lease_default_w: Annotated[int, Field(gt=0, le=1_000_000)] | None = None
    mains: MainsTable
    uncontrolled_a: UncontrolledTable


class TimingTable(Strict):
    """Speed and patience of the controller. Seconds and amps per leg; the defaults fit a home."""

    rate_hz: Annotated[float, Field(ge=1, le=20)] = 10.0
    branch_sweep_s: Annotated[float, Field(ge=0.2, le=2)] = 1.0
    readback_s: Annotated[float, Field(ge=0.2, le=2)] = 1.0
    fresh_s: Annotated[float, Field(ge=0.1, le=2)] = 0.5
    hold_s: Annotated[float, Field(ge=0.5, le=2)] = 2.0
    shed_s: Annotated[float, Field(ge=2, le=10)] = 10.0
    confirm_s: Annotated[float, Field(ge=0.2, le=1)] = 0.5
    react_s: Annotated[float, Field(ge=0.5, le=2)] = 1.2
    relay_confirm_s: Annotated[float, Field(ge=0.3, le=5)] = 1.0
    restore_hold_s: Annotated[float, Field(ge=1, le=3600)] = 60.0
    restore_interval_s: Annotated[float, Field(ge=0.5, le=3600)] = 30.0
    branch_stale_s: Annotated[float, Field(ge=3, le=60)] = 3.0
    setpoint_margin_a: Annotated[float, Field(ge=0, le=50)] = 1.6
    restore_margin_a: Annotated[float, Field(ge=0, le=100)] = 8.0
    node_fault_s: Annotated[float, Field(ge=1, le=10)] = 2.0
    node_open_s: Annotated[float, Field(ge=2, le=30)] = 5.0
    lease_s: Annotated[float, Field(ge=0.5, le=10)] = 1.5


class LinkTable(Strict):
    """A wire to devices: `tcp://host:502` or `rtu:///dev/serial/by-id/usb-…?baud=115200`; also
    `udp://host:502`, `rtu+tcp://host:port?baud=9600` and `rtu+udp://host:port?baud=9600`.
    """

    name: Ident
    url: str

    @field_validator("url")
    @classmethod
    def _shape(cls, url: str) -> str:
        split_link_url(url)
        return url


class DeviceTable(Strict):
    """A Modbus device on a link."""

    name: Ident
    link: Ident
    unit: Annotated[int, Field(ge=0, le=255)] = 1
    map: str
    timeout_ms: Annotated[int, Field(ge=5, le=5000)] | None = None
    turnround_ms: Annotated[float, Field(ge=0, le=1000)] | None = None
    gap_ms: (
        Annotated[
            float, Field(ge=0, le=2000, description="pause it needs after an answer; the map's own")
        ]
        | None
    ) = None
    invert: bool = False
    writes_per_day: Annotated[
        int, Field(ge=0, le=1_000_000, description="what its set-point's register stands; 0: any")
    ] = 0
    comm_timeout_s: (
        Annotated[
            float,
            Field(ge=1, le=86_400, description="its timer, where it is set shorter than the map's"),
        ]
        | None
    ) = None
    accept_unverified: bool = False
    accept_failsafe: Annotated[
        str, Field(description="why the board's own fail-safe is acceptable here")
    ] = ""


class RelayTable(Strict):
    """The relay of a circuit."""

    device: Ident
    output: Annotated[int, Field(ge=1, le=64)]
    contact: Annotated[
        Literal["no", "nc"],
        Field(description="which the load is on; nc, normally closed: an output that is on opens"),
    ] = "no"
    ops_per_day: Annotated[int, Field(ge=0, le=100_000)] = 60


class MeterTable(Strict):
    """The current transformers of a circuit: a point a leg, or a single one on a balanced load."""

    device: Ident
    a: Signed | None = None
    b: Signed | None = None
    power: list[Signed] = []
    energy: Annotated[list[str], Field(max_length=3)] = []
    balanced: bool = False


class SetpointTable(Strict):
    """How a modulated load is told what it may draw. A per leg, W for a compute node, seconds."""

    device: Ident
    min_a: Amps | None = None
    max_a: Amps | None = None
    fallback_a: Amps | None = None
    floor_w: Annotated[int, Field(ge=0, le=200_000)] | None = None
    max_w: Annotated[int, Field(gt=0, le=200_000)] | None = None
    can_pause: bool = True
    settle_s: Annotated[float, Field(gt=0, le=30)] = 5.0
    change_s: Seconds = 5.0
    step_a: Annotated[float, Field(gt=0, le=16)] = 1.0
    ramp_per_s: Annotated[
        float, Field(gt=0, le=1e6, allow_inf_nan=False, description="A/s, W/s for a compute node")
    ] = 1000.0
    rest_tier: Tier | None = None
    weight: Annotated[int, Field(ge=1, le=100)] = 1


class SourceTable(Strict):
    """A circuit that feeds the panel, and how much of that is there to stay."""

    kind: Literal["pv", "battery"]
    firm_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    window_s: Annotated[float, Field(ge=1, le=3600)] = 60.0


class CircuitTable(Strict):
    """A branch circuit."""

    id: Ident
    name: Annotated[str, Field(min_length=1, max_length=40)]
    spaces: Annotated[list[Annotated[int, Field(ge=1, le=84)]], Field(min_length=1, max_length=2)]
    tandem: Annotated[
        Literal["A", "B", "AB", "BA", "AA", "BB"] | None,
        Field(description="which half of each space, where tandem breakers share it"),
    ] = None
    legs: Literal["a", "b", "ab"]
    breaker_a: Annotated[float, Field(gt=0, le=400)]
    role: Literal["always-on", "switched", "modulated", "monitored"]
    armed: bool = False
    tier: Tier = 0
    demand_a: Amps | None = None
    meter: MeterTable | None = None
    relay: RelayTable | None = None
    setpoint: SetpointTable | None = None
    min_on_s: Seconds = 180.0
    min_off_s: Seconds = 300.0
    max_off_s: Seconds = 0.0
    inrush_a: Annotated[float, Field(ge=0, le=4000)] = 0.0
    continuous: bool | None = None
    noise_a: Annotated[
        float,
        Field(ge=0.05, le=5, description="what it may show with its relay open: a neighbour's"),
    ] = 1.0
    safe_state: Literal["hold", "open"] = "open"
    curve: str | None = None
    derate: Derate = DEFAULT_DERATE
    source: SourceTable | None = None


class FeederMeter(Strict):
    """The meter of a feeder: a point a leg that it has."""

    device: Ident
    a: Signed | None = None
    b: Signed | None = None


class FeederTable(Strict):
    """A subpanel behind its own breaker. A per leg."""

    id: Ident
    legs: Literal["a", "b", "ab"] = "ab"
    breaker_a: Annotated[float, Field(gt=0, le=400)]
    control_setting_a: Annotated[float, Field(gt=0, le=400)] | None = None
    curve: str | None = None
    derate: Derate = DEFAULT_DERATE
    circuits: Annotated[list[Ident], Field(min_length=1, max_length=64)]
    meter: FeederMeter | None = None


class BackupTable(Strict):
    """What feeds the panel off the grid."""

    inverter_a: Annotated[float, Field(gt=0, le=1200)]
    inverter_w: Annotated[int, Field(gt=0, le=1_000_000)] | None = None
    shed_tier: Tier


class SensorTable(Strict):
    """A temperature that some device shows."""

    device: Ident
    point: str


class HeatSinkTable(Strict):
    """Where the compute node's heat goes: W, °C, s."""

    circuits: Annotated[list[Ident], Field(min_length=1, max_length=16)]
    rejector_w: Annotated[int, Field(ge=0, le=200_000)]
    tank_w: Annotated[int, Field(ge=0, le=200_000)]
    sensor: SensorTable
    full_c: Annotated[float, Field(ge=20, le=95)]
    band_c: Annotated[float, Field(ge=0.5, le=30)] = 5.0
    stale_s: Annotated[float, Field(ge=1, le=600)] = 30.0


class LadderTable(Strict):
    """How loads of one tier stand to each other: strictly in turn, unless listed here."""

    equal_tiers: Annotated[list[Tier], Field(max_length=100)] = []


class ComputeTable(Strict):
    """Which circuit feeds the compute node."""

    circuit: Ident


class PanelFile(Strict):
    """The whole file."""

    schema_: Annotated[Literal[1], Field(alias="schema")]
    panel: PanelTable
    service: ServiceTable
    timing: TimingTable = TimingTable()
    link: Annotated[list[LinkTable], Field(min_length=1, max_length=16)]
    device: Annotated[list[DeviceTable], Field(min_length=1, max_length=64)]
    circuit: Annotated[list[CircuitTable], Field(min_length=1, max_length=128)]
    compute: ComputeTable | None = None
    feeder: Annotated[list[FeederTable], Field(max_length=8)] = []
    backup: BackupTable | None = None
    heat_sink: HeatSinkTable | None = None
    ladder: LadderTable = LadderTable()


NETWORKS = ("tcp", "udp", "rtu+tcp", "rtu+udp")
KINDS = ("rtu", *NETWORKS)
LINE_OPTIONS = {"baud": (19200, 1200, 1_000_000), "stop": (1, 1, 2), "silence_us": (0, 0, 100_000)}
SETTLE = {"settle_ms": (0, 0, 10_000)}  # default, least, most
SHAPES = (
    "write tcp://host:port, rtu:///dev/serial/by-id/…?baud=115200, udp://host:port, "
    "rtu+tcp://host:port?baud=9600 or rtu+udp://host:port?baud=9600"
)


def split_link_url(url: str) -> dict[str, str | int | None]:
    """The parts of a link's URL. Raises ValueError that says what to write instead."""
    parts = urlsplit(url)
    kind = parts.scheme
    if kind not in KINDS:
        raise ValueError(SHAPES)
    network, line = kind in NETWORKS, kind.startswith("rtu")
    if network and (not parts.hostname or parts.path):
        raise ValueError(f"write {kind}://host:port")
    if not network and (parts.netloc or not parts.path.startswith("/")):
        raise ValueError("an rtu link names an absolute path: rtu:///dev/ttyX?baud=115200")
    given = {key: values[-1] for key, values in parse_qs(parts.query, True).items()}
    ranges = dict(SETTLE)
    if line:
        ranges |= LINE_OPTIONS
    elif kind == "tcp":
        ranges["inflight"] = (4, 1, 8)
    known = {*ranges, "parity"} if line else set(ranges)
    if unknown := sorted(set(given) - known):
        raise ValueError(f"{unknown[0]} is not an option of {kind}; it has {', '.join(known)}")
    numbers = {key: _number(key, given.get(key), *bounds) for key, bounds in ranges.items()}
    found: dict[str, str | int | None] = {"kind": kind, "settle_ms": numbers["settle_ms"]}
    if network:
        found |= {"host": parts.hostname, "port": _port(parts.port, kind)}
    else:
        found["path"] = parts.path
    if line:
        parity = given.get("parity", "N").upper()
        if parity not in ("N", "E", "O"):
            raise ValueError("parity must be N, E or O")
        silence_us = numbers["silence_us"] or None
        found |= {"baud": numbers["baud"], "parity": parity, "stop_bits": numbers["stop"]}
        found["silence_us"] = silence_us
    if kind == "tcp":
        found["inflight"] = numbers["inflight"]
    return found


def _port(port: int | None, kind: str) -> int:
    if port is None and kind.startswith("rtu"):
        raise ValueError(f"a serial server has no usual port: write {kind}://host:port?baud=9600")
    return 502 if port is None else port


def _number(key: str, text: str | None, default: int, least: int, most: int) -> int:
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise ValueError(f"{key} must be a whole number between {least} and {most}")
    return int(text)
