"""Whether curves, feeders, sources and what else is a constraint make sense together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from panelctl.config.circuit_checks import check_point
from panelctl.config.curves import load_curve
from panelctl.config.schema import CircuitTable, FeederTable, HeatSinkTable, PanelFile
from panelctl.errors import ConfigError, Problem
from panelctl.model.breaker import BETWEEN_RATIO, CONTINUOUS_RATIO, NEUTRAL_RATIO
from panelctl.model.circuit import MAX_SOURCE_LEGS

OWN_CONSTRAINTS = {"main", "import", "neutral", "busbar", "heat_sink"}


def check_constraints(file: PanelFile) -> Iterator[Problem]:
    """Every problem of constraints other than the legs' own limit."""
    service = file.service
    yield from _curve("service", service.curve)
    if service.thermal_credit and not _gives_credit(service.curve):
        yield Problem(
            "service.thermal_credit",
            "true",
            "needs a `curve` that is a minimum curve somebody vouches for, not an assumed one",
        )
    if service.thermal_credit and service.control_setting_a != service.main_breaker_a:
        yield Problem(
            "service.thermal_credit",
            "true",
            "is only for a breaker without a control setting: write its rating there, or leave it",
        )
    if service.doe_default_a is not None and service.doe_default_a > service.control_setting_a:
        yield Problem(
            "service.doe_default_a",
            f"{service.doe_default_a:g}",
            f"must be at most the control setting of {service.control_setting_a:g} A",
        )
    for circuit in file.circuit:
        if circuit.max_off_s and circuit.max_off_s <= circuit.min_off_s:
            yield Problem(
                f"circuit {circuit.id}.max_off_s",
                f"{circuit.max_off_s:g}",
                f"must be more than min_off_s = {circuit.min_off_s:g}",
            )
    yield from _lease(file)
    yield from _sources(file)
    yield from _branches(file)
    yield from _rooms(file)
    if file.heat_sink is not None:
        yield from _heat_sink(file, file.heat_sink)
    for name, count in Counter(feeder.id for feeder in file.feeder).items():
        if count > 1:
            yield Problem("feeder.id", name, f"{count} of them have this name; names are unique")
    taken = {circuit.id for circuit in file.circuit} | OWN_CONSTRAINTS
    for feeder in file.feeder:
        if feeder.id in taken:
            yield Problem("feeder.id", feeder.id, "is a circuit's name or a word of panelctl's own")
        yield from _feeder(file, feeder)


def _curve(path: str, name: str | None) -> Iterator[Problem]:
    if name is not None:
        try:
            load_curve(name)
        except ConfigError as error:
            yield Problem(f"{path}.curve", name, error.problems[0].remedy)


def _gives_credit(name: str | None) -> bool:
    try:
        return name is not None and load_curve(name).gives_credit
    except ConfigError:
        return True  # that there is no such curve is said already


def _feeder(file: PanelFile, feeder: FeederTable) -> Iterator[Problem]:
    path = f"feeder {feeder.id}"
    yield from _curve(path, feeder.curve)
    legs = {circuit.id: set(circuit.legs) for circuit in file.circuit}
    for name, count in Counter(feeder.circuits).items():
        if name not in legs:
            yield Problem(f"{path}.circuits", name, "is no circuit of this file")
        elif not legs[name] <= set(feeder.legs):
            remedy = f"is on leg {'+'.join(sorted(legs[name]))}, the feeder has {feeder.legs}"
            yield Problem(f"{path}.circuits", name, remedy)
        elif count > 1:
            yield Problem(f"{path}.circuits", name, f"stands there {count} times")
    highest_a = feeder.breaker_a * CONTINUOUS_RATIO
    if feeder.control_setting_a is not None and feeder.control_setting_a > highest_a:
        yield Problem(
            f"{path}.control_setting_a",
            f"{feeder.control_setting_a:g}",
            f"must be at most {highest_a:g}: 80 % of its breaker",
        )
    if feeder.meter is None:
        unseen = [
            c.id
            for c in file.circuit
            if c.id in feeder.circuits and (not c.armed or c.role not in ("switched", "modulated"))
        ]
        if unseen:
            remedy = f"is needed: {', '.join(unseen)} on it is not managed and cannot be added up"
            yield Problem(f"{path}.meter", "", remedy)
        return
    for leg in "ab":
        point = getattr(feeder.meter, leg)
        if (point is not None) != (leg in feeder.legs):
            remedy = "needs a point a leg that the feeder has, and no other"
            yield Problem(f"{path}.meter.{leg}", str(point), remedy)
        elif point is not None:
            yield from check_point(
                file, f"{path}.meter.{leg}", feeder.meter.device, point, "current"
            )


def _floor_w(file: PanelFile) -> int:
    """What the compute node is never asked to go below, W; 0 without one."""
    for circuit in file.circuit:
        if file.compute is not None and circuit.id == file.compute.circuit and circuit.setpoint:
            return circuit.setpoint.floor_w or 0
    return 0


def _lease(file: PanelFile) -> Iterator[Problem]:
    service, floor_w = file.service, _floor_w(file)
    if service.lease_default_w is not None and service.lease_default_w < floor_w:
        remedy = f"must be at least the compute node's floor of {floor_w} W: it could not be kept"
        yield Problem("service.lease_default_w", str(service.lease_default_w), remedy)
    if service.neutral_a is not None and service.neutral_a > service.main_breaker_a:
        remedy = "is above the main breaker, so nothing is reduced: leave it out"
        yield Problem("service.neutral_a", f"{service.neutral_a:g}", remedy)


def _sources(file: PanelFile) -> Iterator[Problem]:
    sources = [circuit for circuit in file.circuit if circuit.source is not None]
    if file.service.busbar_a is not None and not sources:
        remedy = "has no effect: no circuit has a `source`; leave it out"
        yield Problem("service.busbar_a", f"{file.service.busbar_a:g}", remedy)
    if sum(len(circuit.legs) for circuit in sources) > MAX_SOURCE_LEGS:
        yield Problem(
            "circuit.source", str(len(sources)), f"at most {MAX_SOURCE_LEGS} legs of sources"
        )
    for circuit in sources:
        path = f"circuit {circuit.id}"
        if circuit.role != "monitored":
            remedy = 'must be "monitored": panelctl measures a source and does not switch it'
            yield Problem(f"{path}.role", circuit.role, remedy)
        if circuit.source and circuit.source.kind == "battery" and file.backup is not None:
            remedy = (
                "does not go with [backup]: off the grid the inverter's limit is watched at the "
                "main lugs, and this battery is behind them"
            )
            yield Problem(f"{path}.source", "battery", remedy)
        for feeder in file.feeder:
            if circuit.id in feeder.circuits:
                remedy = f"is a source: what it adds to the bus of {feeder.id} would not be watched"
                yield Problem(f"feeder {feeder.id}.circuits", circuit.id, remedy)
        powers = circuit.meter.power if circuit.meter else []
        if circuit.source and circuit.source.kind == "battery" and len(powers) not in (1, 2):
            remedy = "needs one or two power points: they tell whether the battery gives or takes"
            yield Problem(f"{path}.meter.power", str(powers), remedy)


def _branches(file: PanelFile) -> Iterator[Problem]:
    for circuit in file.circuit:
        if circuit.curve is None:
            continue
        path = f"circuit {circuit.id}"
        yield from _curve(path, circuit.curve)
        yield from _curve_end(path, circuit)
        if not circuit.armed or circuit.role not in ("switched", "modulated"):
            remedy = (
                "has no effect: panelctl cannot relieve this breaker; arm the circuit or leave it"
            )
            yield Problem(f"{path}.curve", circuit.curve, remedy)


def _curve_end(path: str, circuit: CircuitTable) -> Iterator[Problem]:
    try:
        end_a = load_curve(str(circuit.curve)).ref_ratio * circuit.breaker_a * circuit.derate
    except ConfigError:
        return  # that there is no such curve is said already
    least_a = CONTINUOUS_RATIO * circuit.breaker_a
    if end_a < least_a:
        remedy = f"ends the curve at {end_a:.1f} A, below the {least_a:g} A that it may well draw"
        yield Problem(f"{path}.derate", f"{circuit.derate:g}", remedy)


def _rooms(file: PanelFile) -> Iterator[Problem]:
    """Circuits that could never close again, and floors that could never be kept."""
    neutral_a, margin_a = file.service.neutral_a, file.timing.restore_margin_a
    for circuit in file.circuit:
        balanced = circuit.meter is not None and circuit.meter.balanced
        if neutral_a is None or not circuit.armed or (len(circuit.legs) == 2 and balanced):
            continue
        room_a = neutral_a * NEUTRAL_RATIO - (margin_a if circuit.role == "switched" else 0.0)
        need_a = _need_a(circuit, file.service.voltage_v)
        if need_a > room_a:
            remedy = (
                f"leaves {room_a:g} A for {circuit.id}, which needs {need_a:g} A: it could never "
                "close. panelctl keeps 80 % of it, less restore_margin_a"
            )
            yield Problem("service.neutral_a", f"{neutral_a:g}", remedy)
    busbar_a, setting_a = file.service.busbar_a, file.service.control_setting_a
    if busbar_a is not None and busbar_a < setting_a:
        remedy = f"is below the control setting of {setting_a:g} A: the lugs alone could pass it"
        yield Problem("service.busbar_a", f"{busbar_a:g}", remedy)


def _need_a(circuit: CircuitTable, voltage_v: float) -> float:
    """What must be free on the neutral before a circuit runs, A."""
    if circuit.setpoint is not None:
        if len(circuit.legs) == 2:
            return 0.0  # what one leg draws more is measured, not reserved
        return circuit.setpoint.min_a or (circuit.setpoint.floor_w or 0) / (voltage_v / 2)
    demand_a = circuit.demand_a or CONTINUOUS_RATIO * circuit.breaker_a
    return demand_a * BETWEEN_RATIO if len(circuit.legs) == 2 else demand_a


def _heat_sink(file: PanelFile, sink: HeatSinkTable) -> Iterator[Problem]:
    known = {circuit.id: circuit for circuit in file.circuit}
    for name, count in Counter(sink.circuits).items():
        circuit = known.get(name)
        if circuit is None:
            yield Problem("heat_sink.circuits", name, "is no circuit of this file")
        elif not circuit.armed or circuit.role not in ("switched", "modulated"):
            yield Problem(
                "heat_sink.circuits", name, "is not managed, so its heat cannot be limited"
            )
        elif count > 1:
            yield Problem("heat_sink.circuits", name, f"stands there {count} times")
    floor_w = _floor_w(file)
    if sink.rejector_w < floor_w:
        remedy = (
            f"must be at least the compute node's floor of {floor_w} W: it goes on when the tank "
            "is full or cannot be read"
        )
        yield Problem("heat_sink.rejector_w", str(sink.rejector_w), remedy)
    sensor = sink.sensor
    yield from check_point(file, "heat_sink.sensor", sensor.device, sensor.point, "temperature")
