"""What a panel file says about its circuits: spaces, meters, relays and set-points."""

from __future__ import annotations

from collections.abc import Iterator

from panelctl.config.schema import CircuitTable, PanelFile
from panelctl.errors import ConfigError, Problem
from panelctl.modbus.filling import has_sign
from panelctl.modbus.maps import Point, RegisterMap, load_map
from panelctl.model.breaker import CONTINUOUS_RATIO
from panelctl.model.panel import WRITES_A_TIMEOUT


def map_of(file: PanelFile, name: str) -> RegisterMap | None:
    """The register map of a device of this file, if both are there."""
    for table in file.device:
        if table.name == name:
            try:
                return load_map(table.map)
            except ConfigError:
                return None
    return None


DAY_S = 86_400
UNITS = {"current": "A", "power": "W", "voltage": "V", "temperature": "°C", "counter": "Wh"}


def check_circuits(file: PanelFile) -> Iterator[Problem]:
    """What is wrong with the meters, relays and set-points of mains and circuits."""
    outputs: dict[tuple[str, int], str] = {}
    told: dict[str, str] = {}
    points: dict[tuple[str, str], str] = {}
    mains = file.service.mains
    for leg in ("a", "b"):
        table = getattr(mains, leg)
        for what in ("current", "power", "voltage"):
            yield from check_point(
                file, f"service.mains.{leg}.{what}", mains.device, getattr(table, what), what
            )
    for key in ("import_energy", "export_energy"):
        point = getattr(mains, key)
        if point is not None:
            yield from check_point(file, f"service.mains.{key}", mains.device, point, "counter")
    for circuit in file.circuit:
        path = f"circuit {circuit.id}"
        two_pole = circuit.legs == "ab"
        if len(circuit.spaces) != (2 if two_pole else 1):
            yield Problem(
                f"{path}.spaces",
                str(circuit.spaces),
                "a circuit on both legs takes two spaces, on one leg one",
            )
        elif two_pole and abs(circuit.spaces[0] - circuit.spaces[1]) != 2:
            yield Problem(
                f"{path}.spaces", str(circuit.spaces), "a two-pole breaker sits in spaces n and n+2"
            )
        yield from _metering(file, circuit, points)
        yield from _control(file, circuit, outputs)
        if circuit.setpoint is not None:
            owner = told.setdefault(circuit.setpoint.device, circuit.id)
            if owner != circuit.id:
                yield Problem(
                    f"{path}.setpoint.device",
                    circuit.setpoint.device,
                    f"already takes the set-point of {owner}",
                )
    for table in file.device:
        if table.comm_timeout_s is not None and table.name not in told:
            remedy = "no circuit is told anything by this device: leave it out"
            path = f"device {table.name}.comm_timeout_s"
            yield Problem(path, f"{table.comm_timeout_s:g}", remedy)


def check_point(
    file: PanelFile, path: str, device: str, point: str, what: str
) -> Iterator[Problem]:
    if all(table.name != device for table in file.device):
        yield Problem(path, device, "is no device of this file")
        return
    known = map_of(file, device)
    name = point.removeprefix("-")
    if known is not None and name not in known.points:
        near = [one for one in known.points if one[-2:] == name[-2:]][:4]
        hint = f"; it has {', '.join(near)} …" if near else ""
        yield Problem(path, point, f"is no point of {device} ({known.model}){hint}")
    elif known is not None and known.points[name].unit != UNITS[what]:
        unit = known.points[name].unit or "no unit"
        yield Problem(path, point, f"is in {unit}; a {what} in {UNITS[what]} is needed here")
    elif known is not None and name != point:
        yield from _turned(path, point, what, known.points[name])


def _turned(path: str, text: str, what: str, point: Point) -> Iterator[Problem]:
    """What is wrong with a point that is to be taken the other way."""
    if what == "counter":
        remedy = "a counter is not turned: name the one that counts the other way"
        yield Problem(path, text, remedy)
    elif what not in ("current", "power"):
        yield Problem(path, text, f"a {what} has no direction: write {point.name}")
    elif not has_sign(point):
        remedy = f"is never below 0 and has no direction: write {point.name}"
        yield Problem(path, text, remedy + ", and turn the power" * (what == "current"))


def _metering(
    file: PanelFile, circuit: CircuitTable, points: dict[tuple[str, str], str]
) -> Iterator[Problem]:
    path = f"circuit {circuit.id}.meter"
    meter = circuit.meter
    if meter is None:
        yield Problem(path, "", "is missing: a circuit without a meter cannot be shared fairly")
        return
    given = {"a": meter.a, "b": meter.b}
    used = [leg for leg in "ab" if given[leg] is not None]
    for leg in used:
        if leg not in circuit.legs:
            yield Problem(f"{path}.{leg}", str(given[leg]), f"the circuit is not on leg {leg}")
        yield from check_point(file, f"{path}.{leg}", meter.device, str(given[leg]), "current")
        name = str(given[leg]).removeprefix("-")
        owner = points.setdefault((meter.device, name), circuit.id)
        if owner != circuit.id:
            yield Problem(f"{path}.{leg}", str(given[leg]), f"is already the meter of {owner}")
    for n, name in enumerate(meter.power):
        yield from check_point(file, f"{path}.power[{n}]", meter.device, name, "power")
    for n, name in enumerate(meter.energy):
        yield from check_point(file, f"{path}.energy[{n}]", meter.device, name, "counter")
    missing = [leg for leg in circuit.legs if given[leg] is None]
    if meter.balanced:
        if circuit.legs != "ab" or len(used) != 1:
            yield Problem(
                f"{path}.balanced",
                "true",
                "is for a 240 V circuit with one CT, whose reading then counts on both legs",
            )
    elif missing:
        remedy = f"leg {missing[0]} has no meter point"
        if circuit.legs == "ab" and len(missing) == 1:
            remedy += "; write balanced = true if one CT measures a balanced 240 V load"
        yield Problem(path, "", remedy)


def _control(
    file: PanelFile, circuit: CircuitTable, outputs: dict[tuple[str, int], str]
) -> Iterator[Problem]:
    path = f"circuit {circuit.id}"
    if circuit.role in ("always-on", "monitored") and circuit.armed:
        yield Problem(
            f"{path}.armed",
            "true",
            f"a circuit whose role is {circuit.role} is never managed; remove armed, or give it "
            'the role "switched" or "modulated"',
        )
    if circuit.role == "always-on" and circuit.setpoint is not None:
        yield Problem(f"{path}.setpoint", "", "an always-on circuit takes no set-point")
    if circuit.role == "switched" and circuit.relay is None:
        yield Problem(f"{path}.relay", "", "is missing: a switched circuit needs a relay")
    if circuit.role == "modulated" and circuit.setpoint is None:
        yield Problem(f"{path}.setpoint", "", "is missing: a modulated circuit needs a set-point")
    if circuit.demand_a is not None and circuit.demand_a > circuit.breaker_a:
        yield Problem(
            f"{path}.demand_a",
            f"{circuit.demand_a:g}",
            f"is above the circuit's {circuit.breaker_a:g} A breaker",
        )
    most_a = file.service.control_setting_a - file.timing.restore_margin_a
    if circuit.role == "switched" and circuit.armed and _demand_a(circuit) > most_a:
        yield Problem(
            f"{path}.demand_a",
            f"{_demand_a(circuit):g}",
            f"could never be restored: a circuit closes only into {most_a:g} A of free room "
            "(control setting less restore_margin_a); give its true demand, or leave it monitored",
        )
    if circuit.relay is not None:
        yield from _relay(file, circuit, outputs)
    if circuit.setpoint is not None:
        yield from _setpoint(file, circuit)


def _demand_a(circuit: CircuitTable) -> float:
    if circuit.demand_a is not None:
        return circuit.demand_a
    return circuit.breaker_a * CONTINUOUS_RATIO


def _relay(
    file: PanelFile, circuit: CircuitTable, outputs: dict[tuple[str, int], str]
) -> Iterator[Problem]:
    relay = circuit.relay
    assert relay is not None
    path = f"circuit {circuit.id}.relay"
    known = map_of(file, relay.device)
    if all(table.name != relay.device for table in file.device):
        yield Problem(f"{path}.device", relay.device, "is no device of this file")
    elif known is not None and known.relay is None:
        yield Problem(f"{path}.device", relay.device, f"{known.model} has no relay outputs")
    elif known is not None and known.relay is not None and relay.output > known.relay.outputs:
        yield Problem(
            f"{path}.output",
            str(relay.output),
            f"{known.model} has outputs 1 to {known.relay.outputs}",
        )
    owner = outputs.setdefault((relay.device, relay.output), circuit.id)
    if owner != circuit.id:
        yield Problem(f"{path}.output", str(relay.output), f"is already the relay of {owner}")


def _timer(file: PanelFile, name: str, known: RegisterMap) -> Iterator[Problem]:
    """What the timer of a set-point's device asks for, and its register can stand."""
    assert known.setpoint is not None
    device = next(table for table in file.device if table.name == name)
    timeout_s, path = device.comm_timeout_s, f"device {name}"
    if timeout_s is not None and known.setpoint.lease:
        remedy = f"a {known.model} is told its own lease: set timing.lease_s, and leave this out"
        yield Problem(f"{path}.comm_timeout_s", f"{timeout_s:g}", remedy)
    elif timeout_s is not None and timeout_s / WRITES_A_TIMEOUT < 1 / file.timing.rate_hz:
        remedy = (
            f"cannot be kept: it takes {WRITES_A_TIMEOUT} writes, and there are "
            f"{file.timing.rate_hz:g} cycles a second; set a longer one in the device and here"
        )
        yield Problem(f"{path}.comm_timeout_s", f"{timeout_s:g}", remedy)
    timer_s = known.timer_s(timeout_s or 0.0)
    if not device.writes_per_day or not timer_s:
        return
    times = f"{DAY_S / (timer_s / WRITES_A_TIMEOUT):,.0f} writes a day"
    remedy = (
        "is not for a device whose timer has to be fed by writes: leave it out"
        f" ({timer_s:g} s of it take {times})"
    )
    yield Problem(f"{path}.writes_per_day", str(device.writes_per_day), remedy)


def _setpoint(file: PanelFile, circuit: CircuitTable) -> Iterator[Problem]:
    given = circuit.setpoint
    assert given is not None
    path = f"circuit {circuit.id}.setpoint"
    known = map_of(file, given.device)
    if all(table.name != given.device for table in file.device):
        yield Problem(f"{path}.device", given.device, "is no device of this file")
        return
    if known is None:
        return  # its map is wrong, and told about where it is named
    if known.setpoint is None:
        yield Problem(f"{path}.device", given.device, f"{known.model} takes no set-point")
        return
    if known.setpoint.wears:
        remedy = f"the set-point of a {known.model} is in EEPROM, which its writes would wear out"
        yield Problem(f"{path}.device", given.device, remedy)
        return
    yield from _timer(file, given.device, known)
    in_watts = known.setpoint.point.unit == "W"
    low, high = (given.floor_w, given.max_w) if in_watts else (given.min_a, given.max_a)
    is_compute = file.compute is not None and file.compute.circuit == circuit.id
    if in_watts != is_compute:
        remedy = "takes watts: only the circuit named in [compute] is told watts"
        if is_compute:
            remedy = "takes amps: the compute circuit needs a device that is told watts"
        yield Problem(f"{path}.device", given.device, f"{known.model} {remedy}")
        return
    names = ("floor_w", "max_w") if in_watts else ("min_a", "max_a")
    for name, value in zip(names, (low, high), strict=True):
        if value is None:
            yield Problem(f"{path}.{name}", "", "is missing")
    if low is None or high is None:
        return
    if not 0 < low <= high:
        yield Problem(f"{path}.{names[0]}", f"{low:g}", f"must lie above 0 and up to {names[1]}")
    amps = high / file.service.voltage_v if in_watts else high
    if amps > circuit.breaker_a * CONTINUOUS_RATIO:
        yield Problem(
            f"{path}.{names[1]}",
            f"{high:g}",
            f"is {amps:.1f} A: a continuous load may use {CONTINUOUS_RATIO:.0%} of its "
            f"{circuit.breaker_a:g} A breaker, {circuit.breaker_a * CONTINUOUS_RATIO:g} A",
        )
    if known is not None and known.setpoint is not None and not in_watts:
        limit = known.setpoint.most
        if high > limit:
            yield Problem(f"{path}.max_a", f"{high:g}", f"{known.model} takes at most {limit:g} A")
        if low < known.setpoint.least:
            remedy = f"{known.model} takes at least {known.setpoint.least:g} A"
            yield Problem(f"{path}.min_a", f"{low:g}", remedy)
    if given.fallback_a is not None and given.fallback_a not in (0, low):
        yield Problem(
            f"{path}.fallback_a",
            f"{given.fallback_a:g}",
            f"must be 0 or min_a ({low:g}): it is what the load gets when nobody can see",
        )
