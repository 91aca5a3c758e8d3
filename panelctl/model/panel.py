"""The whole panel as the configuration describes it, after every check has passed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from panelctl.model.breaker import Breaker
from panelctl.model.circuit import Circuit, Role
from panelctl.model.metering import PointRef

WRITES_A_TIMEOUT = 3  # a device's timer is fed so often, so that one write may be lost


@dataclass(frozen=True, slots=True)
class Link:
    """A wire to devices, its URL already taken apart.

    `kind` is the URL's scheme: `rtu` (a serial port), `tcp` and `udp` (Modbus TCP, in a stream or
    in datagrams), `rtu+tcp` and `rtu+udp` (RTU frames through a serial server; `baud` is that of
    the line behind it).
    """

    name: str
    url: str
    kind: str
    host: str = ""
    port: int = 0
    path: str = ""
    baud: int = 0
    parity: str = "N"
    stop_bits: int = 1
    silence_us: int | None = None  # a fixed silence instead of 3.5 characters
    inflight: int = 4  # questions that a TCP gateway is asked at once at most, one a unit
    settle_ms: int = 0  # it is deaf for so long after it was opened

    @property
    def rtu(self) -> bool:
        """Whether frames carry a unit and a checksum, and no number: one question at a time."""
        return self.kind.startswith("rtu")

    @property
    def where(self) -> str:
        """The port or the host, for people."""
        return self.path or f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Device:
    """A Modbus device: its unit id on a link and the register map it follows. Times in ms.

    `gap_ms` is the pause that it needs after an answer before it is asked again.
    """

    name: str
    link: str
    unit: int
    map: str
    timeout_ms: int
    turnround_ms: float
    late_ms: int
    gap_ms: float = 0.0
    fast: bool = False  # read in every cycle
    inverted: bool = False  # it counts export as positive: its currents and powers are turned
    writes_per_day: int = 0  # what the register of its set-point stands in the long run; 0: any
    comm_timeout_s: float = 0.0  # as set in it: what it was told so long ago is void; 0: unsaid
    unverified_accepted: bool = False
    failsafe_accepted: bool = False


@dataclass(frozen=True, slots=True)
class Service:
    """The main lugs: the breaker, the control setting and the meter. A per leg, V leg to leg."""

    breaker: Breaker
    control_setting_a: float
    voltage_v: float
    currents: tuple[PointRef, PointRef]
    powers: tuple[PointRef, PointRef]
    voltages: tuple[PointRef, PointRef]
    uncontrolled_a: tuple[float, float]
    uncontrolled_basis: str
    operator_limit_a: float | None = None
    thermal_credit: bool = False  # no control setting: a short excess is borne, by the curve
    import_limit_w: int | None = None
    doe_default_a: float | None = None  # what holds while no dynamic envelope is known
    voltage_response: bool = False
    neutral_a: float | None = None  # what a reduced neutral carries
    busbar_a: float | None = None  # what the busbar carries, where sources feed it
    import_energy: PointRef | None = None  # counters of what was drawn from the grid,
    export_energy: PointRef | None = None  # and of what was given to it
    lease_default_w: int | None = None  # our share of a transformer while no lease is known


@dataclass(frozen=True, slots=True)
class Feeder:
    """A subpanel behind a breaker of its own: what its legs carry, by its meter or by its circuits.

    Its constraints are of the breaker's rating: continuous loads count 1.25 times there, unless it
    has a control setting of its own (A per leg).
    """

    id: str
    legs: tuple[int, ...]
    breaker: Breaker
    circuits: tuple[str, ...]
    currents: tuple[PointRef, ...] = ()  # one a leg, or none
    control_setting_a: float | None = None


@dataclass(frozen=True, slots=True)
class Backup:
    """What feeds the panel off the grid: A per leg that the inverter gives, and who is shed first.

    Off grid and below the lower state of charge, circuits of `shed_tier` and later stay open until
    the upper one is passed. `inverter_w` is what it gives on both legs together.
    """

    inverter_a: float
    shed_tier: int
    inverter_w: int | None = None


@dataclass(frozen=True, slots=True)
class HeatSink:
    """Where the heat of `circuits` goes: W. A tank takes `tank_w` while it is cold, less and less
    from `full_c` - `band_c` on, and nothing from `full_c` on or when `sensor` cannot be read;
    a cooler takes `rejector_w` at any time.
    """

    circuits: tuple[str, ...]
    rejector_w: int
    tank_w: int
    sensor: PointRef
    full_c: float
    band_c: float
    stale_s: float


@dataclass(frozen=True, slots=True)
class Timing:
    """How fast the controller runs and how patient it is. Times in s, margins in A per leg."""

    rate_hz: float = 10.0
    branch_sweep_s: float = 1.0
    readback_s: float = 1.0
    fresh_s: float = 0.5
    hold_s: float = 2.0
    shed_s: float = 10.0
    confirm_s: float = 0.5
    react_s: float = 1.2
    relay_confirm_s: float = 1.0
    restore_hold_s: float = 60.0
    restore_interval_s: float = 30.0
    branch_stale_s: float = 3.0
    setpoint_margin_a: float = 1.6
    restore_margin_a: float = 8.0
    node_fault_s: float = 2.0
    node_open_s: float = 5.0
    lease_s: float = 1.5


@dataclass(frozen=True, slots=True)
class Panel:
    """Everything the controller has to know. Built by config, never changed while it runs."""

    name: str
    serial: str
    service: Service
    links: tuple[Link, ...]
    devices: tuple[Device, ...]
    circuits: tuple[Circuit, ...]
    timing: Timing
    feeders: tuple[Feeder, ...] = ()
    backup: Backup | None = None
    heat_sink: HeatSink | None = None
    equal_tiers: tuple[int, ...] = ()

    def device(self, name: str) -> Device:
        """The device of that name. Raises KeyError."""
        for device in self.devices:
            if device.name == name:
                return device
        raise KeyError(name)

    def disarmed(self) -> Panel:
        """The same panel, with nothing that panelctl may write to."""
        circuits = tuple(replace(circuit, armed=False) for circuit in self.circuits)
        return replace(self, circuits=circuits, heat_sink=None)

    def all_armed(self) -> Panel:
        """The same panel, with everything armed that can be switched or modulated."""
        circuits = tuple(
            replace(circuit, armed=circuit.role in (Role.SWITCHED, Role.MODULATED))
            for circuit in self.circuits
        )
        return replace(self, circuits=circuits)

    @property
    def compute(self) -> Circuit | None:
        """The compute circuit, if the panel has one."""
        return next((circuit for circuit in self.circuits if circuit.is_compute), None)
