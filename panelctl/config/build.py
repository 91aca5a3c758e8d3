"""From the panel file's tables to the `Panel` of the model. Only called on a file that passed."""

from __future__ import annotations

import math

from panelctl.config.curves import load_curve
from panelctl.config.schema import (
    CircuitTable,
    FeederTable,
    HeatSinkTable,
    PanelFile,
    SourceTable,
    split_link_url,
)
from panelctl.modbus.maps import load_map
from panelctl.model.breaker import Breaker
from panelctl.model.circuit import (
    Circuit,
    LegMeter,
    Modulation,
    Role,
    SafeState,
    Source,
    SourceKind,
)
from panelctl.model.metering import PointRef
from panelctl.model.panel import Backup, Device, Feeder, HeatSink, Link, Panel, Service, Timing

LOW_VOLTAGE_RATIO = 0.9  # a floor in watts must still be reachable at the lowest voltage
COMPUTE_STEP_A = 0.01


def build_panel(file: PanelFile) -> Panel:
    """The panel that `file` describes."""
    fast = {file.service.mains.device}
    for table in file.circuit:
        if table.role == "modulated" and table.meter is not None:
            fast.add(table.meter.device)
    fast |= {table.meter.device for table in file.feeder if table.meter is not None}
    fast |= {table.meter.device for table in file.circuit if table.meter and table.source}
    service = file.service
    mains = service.mains
    legs = (mains.a, mains.b)
    return Panel(
        name=file.panel.name,
        serial=file.panel.serial,
        service=Service(
            breaker=Breaker(
                service.main_breaker_a,
                2,
                service.rated_100_percent,
                load_curve(service.curve) if service.curve else None,
                service.derate,
            ),
            control_setting_a=service.control_setting_a,
            voltage_v=service.voltage_v,
            currents=_pair(mains.device, [leg.current for leg in legs]),
            powers=_pair(mains.device, [leg.power for leg in legs]),
            voltages=_pair(mains.device, [leg.voltage for leg in legs]),
            uncontrolled_a=(service.uncontrolled_a.a, service.uncontrolled_a.b),
            uncontrolled_basis=service.uncontrolled_a.basis,
            operator_limit_a=service.operator_limit_a,
            thermal_credit=service.thermal_credit,
            import_limit_w=service.import_limit_w,
            doe_default_a=service.doe_default_a,
            voltage_response=service.voltage_response,
            neutral_a=service.neutral_a,
            busbar_a=service.busbar_a,
            lease_default_w=service.lease_default_w,
            import_energy=_maybe(mains.device, mains.import_energy),
            export_energy=_maybe(mains.device, mains.export_energy),
        ),
        links=tuple(build_link(table.name, table.url) for table in file.link),
        devices=tuple(_device(file, index, fast) for index in range(len(file.device))),
        circuits=tuple(_circuit(file, table) for table in file.circuit),
        timing=Timing(**file.timing.model_dump()),
        feeders=tuple(_feeder(table) for table in file.feeder),
        backup=Backup(**file.backup.model_dump()) if file.backup else None,
        heat_sink=_heat_sink(file.heat_sink) if file.heat_sink else None,
        equal_tiers=tuple(file.ladder.equal_tiers),
    )


def build_link(name: str, url: str) -> Link:
    """The link of that name and URL. Raises ValueError when the URL is out of shape."""
    return Link(name=name, url=url, **split_link_url(url))  # type: ignore[arg-type]  # checked there


def _pair(device: str, points: list[str]) -> tuple[PointRef, PointRef]:
    return _point(device, points[0]), _point(device, points[1])


def _point(device: str, text: str) -> PointRef:
    """The point that is written so: one with a leading - is turned."""
    return PointRef(device, text.removeprefix("-"), text.startswith("-"))


def _maybe(device: str, point: str | None) -> PointRef | None:
    return None if point is None else PointRef(device, point)


def _feeder(table: FeederTable) -> Feeder:
    legs = tuple("ab".index(leg) for leg in table.legs)
    currents: tuple[PointRef, ...] = ()
    if meter := table.meter:
        points = [(meter.a, meter.b)[leg] for leg in legs]
        currents = tuple(_point(meter.device, point) for point in points if point)
    curve = load_curve(table.curve) if table.curve else None
    return Feeder(
        id=table.id,
        legs=legs,
        breaker=Breaker(table.breaker_a, len(legs), curve=curve, derate=table.derate),
        circuits=tuple(table.circuits),
        currents=currents,
        control_setting_a=table.control_setting_a,
    )


def _heat_sink(table: HeatSinkTable) -> HeatSink:
    return HeatSink(
        circuits=tuple(table.circuits),
        rejector_w=table.rejector_w,
        tank_w=table.tank_w,
        sensor=PointRef(table.sensor.device, table.sensor.point),
        full_c=table.full_c,
        band_c=table.band_c,
        stale_s=table.stale_s,
    )


def _device(file: PanelFile, index: int, fast: set[str]) -> Device:
    table = file.device[index]
    known = load_map(table.map)
    return Device(
        name=table.name,
        link=table.link,
        unit=table.unit,
        map=table.map,
        timeout_ms=table.timeout_ms or known.timeout_ms,
        turnround_ms=known.turnround_ms if table.turnround_ms is None else table.turnround_ms,
        gap_ms=known.gap_ms if table.gap_ms is None else table.gap_ms,
        late_ms=known.late_ms,
        fast=table.name in fast,
        inverted=table.invert,
        writes_per_day=table.writes_per_day,
        comm_timeout_s=table.comm_timeout_s or 0.0,
        unverified_accepted=table.accept_unverified,
        failsafe_accepted=bool(table.accept_failsafe),
    )


def _shows_contact(file: PanelFile, device: str) -> bool:
    board = load_map(next(table.map for table in file.device if table.name == device)).relay
    return board is not None and board.shows_contact


def _circuit(file: PanelFile, table: CircuitTable) -> Circuit:
    legs = tuple("ab".index(leg) for leg in table.legs)
    is_compute = file.compute is not None and file.compute.circuit == table.id
    modulation = _modulation(file, table, is_compute)
    currents: list[LegMeter] = []
    power: tuple[PointRef, ...] = ()
    energy: tuple[PointRef, ...] = ()
    if meter := table.meter:
        points = {0: meter.a, 1: meter.b}
        shared = meter.a or meter.b or ""
        currents = [LegMeter(leg, _point(meter.device, points[leg] or shared)) for leg in legs]
        power = tuple(_point(meter.device, point) for point in meter.power)
        energy = tuple(PointRef(meter.device, point) for point in meter.energy)
    demand_a = table.demand_a
    if demand_a is None:
        demand_a = modulation.min_a if modulation else table.breaker_a * 0.8
    return Circuit(
        id=table.id,
        name=table.name,
        spaces=tuple(table.spaces),
        half=table.tandem or "",
        legs=legs,
        breaker=Breaker(
            table.breaker_a,
            len(legs),
            curve=load_curve(table.curve) if table.curve else None,
            derate=table.derate,
        ),
        role=Role(table.role),
        armed=table.armed,
        tier=table.tier,
        demand_a=demand_a,
        currents=tuple(currents),
        power=power,
        energy=energy,
        balanced=table.meter is not None and table.meter.balanced,
        relay_device=table.relay.device if table.relay else None,
        relay_output=table.relay.output if table.relay else 0,
        relay_inverted=table.relay is not None and table.relay.contact == "nc",
        shows_contact=table.relay is None or _shows_contact(file, table.relay.device),
        ops_per_day=table.relay.ops_per_day if table.relay else 0.0,
        setpoint_device=table.setpoint.device if table.setpoint else None,
        modulation=modulation,
        min_on_s=table.min_on_s,
        min_off_s=table.min_off_s,
        max_off_s=table.max_off_s,
        inrush_a=table.inrush_a,
        continuous=table.role == "modulated" if table.continuous is None else table.continuous,
        noise_a=table.noise_a,
        safe_state=SafeState(table.safe_state),
        is_compute=is_compute,
        source=_source(table.source) if table.source else None,
    )


def _source(table: SourceTable) -> Source:
    return Source(SourceKind(table.kind), table.firm_share, table.window_s)


def _modulation(file: PanelFile, table: CircuitTable, is_compute: bool) -> Modulation | None:
    given = table.setpoint
    if given is None or table.role != "modulated":
        return None
    rest_tier = table.tier if given.rest_tier is None else given.rest_tier
    if is_compute:
        voltage_v = file.service.voltage_v
        floor_w, max_w = given.floor_w or 0, given.max_w or 0
        floor_a = math.ceil(floor_w / (voltage_v * LOW_VOLTAGE_RATIO) * 1000) / 1000
        return Modulation(
            min_a=floor_a,
            max_a=round(max_w / voltage_v, 3),
            fallback_a=floor_a,
            can_pause=given.can_pause,
            settle_s=given.settle_s,
            change_s=0.0,
            step_a=COMPUTE_STEP_A,
            ramp_a_per_s=given.ramp_per_s / voltage_v,
            rest_tier=rest_tier,
            weight=given.weight,
            floor_w=floor_w,
            max_w=max_w,
        )
    min_a, max_a = given.min_a or 0.0, given.max_a or 0.0
    return Modulation(
        min_a=min_a,
        max_a=max_a,
        fallback_a=min_a if given.fallback_a is None else given.fallback_a,
        can_pause=given.can_pause,
        settle_s=given.settle_s,
        change_s=given.change_s,
        step_a=given.step_a,
        ramp_a_per_s=given.ramp_per_s,
        rest_tier=rest_tier,
        weight=given.weight,
    )
