"""What a panel file's tables mean together: every contradiction, and everything that is not safe.

Rules
- All problems of a file are reported at once, each with its path, its value and what to write.
- What cannot be safe is refused. What a person may take upon themselves (an unverified map, a
  relay board's own fail-safe) needs their word in the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from panelctl.config.schema import CircuitTable, PanelFile
from panelctl.errors import ConfigError, Problem
from panelctl.modbus.busplan import LinkPlan, plan_bus
from panelctl.modbus.maps import RegisterMap, load_map
from panelctl.model.breaker import CONTINUOUS_SHARE, Breaker
from panelctl.model.panel import Panel
from panelctl.units import NS_PER_MS


def check_tables(file: PanelFile) -> list[Problem]:
    """What is wrong between the tables of a file that has the right shape."""
    return [
        *_service(file),
        *_names(file),
        *_devices(file),
        *_circuits(file),
        *_compute(file),
        *_demand(file),
        *_failsafes(file),
    ]


def check_plan(panel: Panel) -> list[Problem]:
    """What is wrong with the bus plan of a panel whose tables are right."""
    try:
        plans = plan_bus(panel)
    except ConfigError as error:
        return [Problem(f"device map {error.file}", p.value, p.remedy) for p in error.problems]
    return [problem for plan in plans for problem in _plan(plan)]


def _service(file: PanelFile) -> Iterator[Problem]:
    service = file.service
    breaker = Breaker(service.main_breaker_a, 2, service.rated_100_percent)
    if service.control_setting_a > breaker.highest_setting_a:
        yield Problem(
            "service.control_setting_a",
            f"{service.control_setting_a:g}",
            f"must be at most {breaker.highest_setting_a:g} ({CONTINUOUS_SHARE:.0%} of the "
            f"{service.main_breaker_a:g} A breaker, which carries a setting as continuous load), "
            "unless the assembly is rated_100_percent",
        )
    if file.timing.shed_s <= file.timing.hold_s:
        yield Problem("timing.shed_s", f"{file.timing.shed_s:g}", "must be later than hold_s")
    if file.timing.hold_s <= file.timing.fresh_s:
        yield Problem("timing.hold_s", f"{file.timing.hold_s:g}", "must be later than fresh_s")
    if file.timing.node_open_s <= file.timing.node_fault_s:
        yield Problem(
            "timing.node_open_s", f"{file.timing.node_open_s:g}", "must be later than node_fault_s"
        )


def _names(file: PanelFile) -> Iterator[Problem]:
    for table, names in (
        ("link", [t.name for t in file.link]),
        ("device", [t.name for t in file.device]),
        ("circuit", [t.id for t in file.circuit]),
    ):
        for name, count in Counter(names).items():
            if count > 1:
                yield Problem(table, name, f"{count} of them have this name; names are unique")
    for url, count in Counter(t.url for t in file.link).items():
        if count > 1:
            yield Problem("link", url, "two links have this URL; devices on one wire share a link")
    spaces: dict[int, str] = {}
    for circuit in file.circuit:
        for space in circuit.spaces:
            if space in spaces:
                yield Problem(
                    f"circuit {circuit.id}.spaces",
                    str(space),
                    f"is already taken by {spaces[space]}",
                )
            spaces[space] = circuit.id


def _map(file: PanelFile, name: str) -> RegisterMap | None:
    for table in file.device:
        if table.name == name:
            try:
                return load_map(table.map)
            except ConfigError:
                return None
    return None


def _devices(file: PanelFile) -> Iterator[Problem]:
    links = {table.name: table for table in file.link}
    units: dict[tuple[str, int], str] = {}
    for table in file.device:
        path = f"device {table.name}"
        if table.link not in links:
            yield Problem(f"{path}.link", table.link, f"is no link; there is {_any(links)}")
        seen = units.setdefault((table.link, table.unit), table.name)
        if seen != table.name:
            yield Problem(
                f"{path}.unit",
                str(table.unit),
                f"is also the unit id of {seen} on {table.link}; set another one on the device",
            )
        try:
            known = load_map(table.map)
        except ConfigError as error:
            for problem in error.problems:
                yield Problem(f"{path}.map", problem.value or table.map, problem.remedy)
            continue
        kind = "tcp" if table.link in links and links[table.link].url.startswith("tcp") else "rtu"
        if kind not in known.links and table.link in links and kind == "rtu":
            yield Problem(f"{path}.link", table.link, f"{known.model} has no serial line")
        if not known.verified and not table.accept_unverified:
            yield Problem(
                f"{path}.map",
                table.map,
                f"is unverified ({known.confidence}): no recording of a real {known.model} has "
                "been decoded with it; compare its readings with the device's display and write "
                "accept_unverified = true",
            )


def _any(names: object) -> str:
    listed = ", ".join(sorted(names)) if isinstance(names, dict) else str(names)
    return listed or "none"


def _circuits(file: PanelFile) -> Iterator[Problem]:
    outputs: dict[tuple[str, int], str] = {}
    points: dict[tuple[str, str], str] = {}
    mains = file.service.mains
    for leg in ("a", "b"):
        table = getattr(mains, leg)
        for what in ("current", "power", "voltage"):
            yield from _point(
                file, f"service.mains.{leg}.{what}", mains.device, getattr(table, what)
            )
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


def _point(file: PanelFile, path: str, device: str, point: str) -> Iterator[Problem]:
    if all(table.name != device for table in file.device):
        yield Problem(path, device, "is no device of this file")
        return
    known = _map(file, device)
    if known is not None and point not in known.points:
        near = [name for name in known.points if name[-2:] == point[-2:]][:4]
        hint = f"; it has {', '.join(near)} …" if near else ""
        yield Problem(path, point, f"is no point of {device} ({known.model}){hint}")


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
        yield from _point(file, f"{path}.{leg}", meter.device, str(given[leg]))
        owner = points.setdefault((meter.device, str(given[leg])), circuit.id)
        if owner != circuit.id:
            yield Problem(f"{path}.{leg}", str(given[leg]), f"is already the meter of {owner}")
    for n, name in enumerate(meter.power):
        yield from _point(file, f"{path}.power[{n}]", meter.device, name)
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
    return circuit.breaker_a * CONTINUOUS_SHARE


def _relay(
    file: PanelFile, circuit: CircuitTable, outputs: dict[tuple[str, int], str]
) -> Iterator[Problem]:
    relay = circuit.relay
    assert relay is not None
    path = f"circuit {circuit.id}.relay"
    known = _map(file, relay.device)
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


def _setpoint(file: PanelFile, circuit: CircuitTable) -> Iterator[Problem]:
    given = circuit.setpoint
    assert given is not None
    path = f"circuit {circuit.id}.setpoint"
    known = _map(file, given.device)
    if all(table.name != given.device for table in file.device):
        yield Problem(f"{path}.device", given.device, "is no device of this file")
        return
    if known is not None and known.setpoint is None:
        yield Problem(f"{path}.device", given.device, f"{known.model} takes no set-point")
        return
    in_watts = known is not None and known.setpoint is not None and known.setpoint.point.unit == "W"
    low, high = (given.floor_w, given.max_w) if in_watts else (given.min_a, given.max_a)
    names = ("floor_w", "max_w") if in_watts else ("min_a", "max_a")
    for name, value in zip(names, (low, high), strict=True):
        if value is None:
            yield Problem(f"{path}.{name}", "", "is missing")
    if low is None or high is None:
        return
    if not 0 < low <= high:
        yield Problem(f"{path}.{names[0]}", f"{low:g}", f"must lie above 0 and up to {names[1]}")
    amps = high / file.service.voltage_v if in_watts else high
    if amps > circuit.breaker_a * CONTINUOUS_SHARE:
        yield Problem(
            f"{path}.{names[1]}",
            f"{high:g}",
            f"is {amps:.1f} A: a continuous load may use {CONTINUOUS_SHARE:.0%} of its "
            f"{circuit.breaker_a:g} A breaker, {circuit.breaker_a * CONTINUOUS_SHARE:g} A",
        )
    if known is not None and known.setpoint is not None and not in_watts:
        limit = known.setpoint.most
        if high > limit:
            yield Problem(f"{path}.max_a", f"{high:g}", f"{known.model} takes at most {limit:g} A")
    if given.fallback_a is not None and low and given.fallback_a > low:
        yield Problem(
            f"{path}.fallback_a",
            f"{given.fallback_a:g}",
            f"must be at most min_a ({low:g}): it is what the load gets when nobody can see",
        )


def _compute(file: PanelFile) -> Iterator[Problem]:
    if file.compute is None:
        return
    for circuit in file.circuit:
        if circuit.id != file.compute.circuit:
            continue
        if circuit.role != "modulated":
            yield Problem(f"circuit {circuit.id}.role", circuit.role, 'must be "modulated"')
        if circuit.legs != "ab":
            yield Problem(f"circuit {circuit.id}.legs", circuit.legs, 'must be "ab": 240 V')
        return
    yield Problem("compute.circuit", file.compute.circuit, "is no circuit of this file")


def _demand(file: PanelFile) -> Iterator[Problem]:
    """Declared uncontrolled demand plus minimum operating currents, against the control setting.

    NEC 120.7(C) asks for the minimum operating current where controlled loads share a service.
    """
    service = file.service
    for leg in ("a", "b"):
        total = getattr(service.uncontrolled_a, leg)
        parts = [f"{total:g} A uncontrolled"]
        for circuit in file.circuit:
            given = circuit.setpoint
            if leg not in circuit.legs or given is None or circuit.role != "modulated":
                continue
            is_compute = file.compute is not None and file.compute.circuit == circuit.id
            if is_compute:
                least = (given.floor_w or 0) / service.voltage_v
            else:
                least = 0.0 if given.can_pause else (given.min_a or 0.0)
            total += least
            parts.append(f"{least:.1f} A {circuit.id}")
        if total > service.control_setting_a:
            yield Problem(
                f"service.uncontrolled_a.{leg}",
                f"{getattr(service.uncontrolled_a, leg):g}",
                f"{' + '.join(parts)} is {total:.1f} A, above the control setting of "
                f"{service.control_setting_a:g} A: panelctl could not keep it",
            )


def _failsafes(file: PanelFile) -> Iterator[Problem]:
    for table in file.device:
        known = _map(file, table.name)
        if known is None or known.relay is None or table.accept_failsafe:
            continue
        mine = [c for c in file.circuit if c.relay and c.relay.device == table.name]
        path = f"device {table.name}"
        failsafe = known.failsafe
        if failsafe is None:
            for circuit in mine:
                if file.compute is not None and circuit.id == file.compute.circuit:
                    yield Problem(
                        path,
                        table.map,
                        f"{known.model} has no timer of its own, so the compute relay stays "
                        'closed when the controller dies; write accept_failsafe = "why"',
                    )
            continue
        if failsafe.behaviour_default == 0 or failsafe.safe_state_default == 1:
            continue
        household = [
            c.id for c in mine if not (file.compute is not None and c.id == file.compute.circuit)
        ]
        if household:
            yield Problem(
                path,
                table.map,
                f"{known.model} as delivered opens its outputs after {failsafe.timeout_s:g} s "
                f"without polling: {', '.join(household)} would lose power; set the board to keep "
                'its outputs, or write accept_failsafe = "why that is right here"',
            )


def _plan(plan: LinkPlan) -> Iterator[Problem]:
    if plan.fits:
        return
    cycle_ms = plan.period_ns / NS_PER_MS
    used_ms = (plan.fast_ns + plan.write_ns + plan.longest_slow_ns) / NS_PER_MS
    sweep_ms = plan.sweep_ns / NS_PER_MS
    yield Problem(
        f"link {plan.link.name}.url",
        plan.link.url,
        f"the plan does not fit: {used_ms:.0f} ms of a {cycle_ms:.0f} ms cycle for the fast lane "
        f"and writes, and {sweep_ms:.0f} ms for a sweep of the rest; raise the baud rate, spread "
        "the devices over more links, or lower timing.rate_hz",
    )
