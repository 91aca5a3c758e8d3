"""What a panel file's tables mean together: every contradiction, and everything that is not safe.

Rules
- All problems of a file are reported at once, each with its path, its value and what to write.
- What cannot be safe is refused. What a person may take upon themselves (an unverified map, a
  relay board's own fail-safe) needs their word in the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from panelctl.config.circuit_checks import check_circuits, map_of
from panelctl.config.constraint_checks import check_constraints
from panelctl.config.schema import PanelFile, RelayTable
from panelctl.config.wiring_checks import check_wiring
from panelctl.errors import ConfigError, Problem
from panelctl.modbus.busplan import FAST_RATIO, LinkPlan, plan_bus
from panelctl.modbus.maps import FailSafe, RegisterMap, load_map
from panelctl.model.breaker import CONTINUOUS_RATIO, Breaker
from panelctl.model.panel import Panel
from panelctl.units import NS_PER_MS

REFRESH_S = 0.4  # how often an unchanged compute budget is renewed


def check_tables(file: PanelFile) -> list[Problem]:
    """What is wrong between the tables of a file that has the right shape."""
    return [
        *_service(file),
        *_names(file),
        *_devices(file),
        *check_circuits(file),
        *check_wiring(file),
        *_compute(file),
        *_demand(file),
        *_failsafes(file),
        *check_constraints(file),
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
    if service.control_setting_a > breaker.highest_setting_a and not service.thermal_credit:
        yield Problem(
            "service.control_setting_a",
            f"{service.control_setting_a:g}",
            f"must be at most {breaker.highest_setting_a:g} ({CONTINUOUS_RATIO:.0%} of the "
            f"{service.main_breaker_a:g} A breaker, which carries a setting as continuous load), "
            "unless the assembly is rated_100_percent",
        )
    if file.timing.shed_s <= file.timing.hold_s:
        yield Problem("timing.shed_s", f"{file.timing.shed_s:g}", "must be later than hold_s")
    if file.timing.hold_s <= file.timing.fresh_s:
        yield Problem("timing.hold_s", f"{file.timing.hold_s:g}", "must be later than fresh_s")
    least_lease_s = 2 * max(REFRESH_S, 1 / file.timing.rate_hz)
    if file.timing.lease_s < least_lease_s:
        yield Problem(
            "timing.lease_s",
            f"{file.timing.lease_s:g}",
            f"must be at least {least_lease_s:g}: one renewal may be lost before it runs out",
        )
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
                in_file = f"{error.file}: {problem}"  # which is a map's, unless there is none
                remedy = problem.remedy if error.file == table.map else in_file
                yield Problem(f"{path}.map", table.map, remedy)
            continue
        kind = links[table.link].url.partition(":")[0] if table.link in links else ""
        if kind == "rtu" and "rtu" not in known.links:
            yield Problem(f"{path}.link", table.link, f"{known.model} has no serial line")
        if kind.startswith("rtu") and not 1 <= table.unit <= 247:
            remedy = "a serial line has units 1 to 247; 0 and 255 are for tcp and udp"
            yield Problem(f"{path}.unit", str(table.unit), remedy)
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
    """Relay boards that by themselves darken a household circuit, or leave the node its power."""
    for table in file.device:
        known = map_of(file, table.name)
        if known is None or known.relay is None or table.accept_failsafe:
            continue
        path = f"device {table.name}"
        household = []
        for circuit in file.circuit:
            relay = circuit.relay
            if relay is None or relay.device != table.name:
                continue
            if file.compute is not None and circuit.id == file.compute.circuit:
                if why := _node_keeps_power(known, relay):
                    yield Problem(path, table.map, f'{why}; write accept_failsafe = "why"')
            elif _left_alone(known.failsafe, relay) == "OPEN":
                household.append(circuit.id)
        if household and known.failsafe is not None:
            does = "opens its outputs"
            if known.failsafe.safe_state_default == 1:
                does = "switches its outputs on, which opens normally closed contacts,"
            yield Problem(
                path,
                table.map,
                f"{known.model} as delivered {does} after {known.failsafe.timeout_s:g} s "
                f"without polling: {', '.join(household)} would lose power; set the board to keep "
                'its outputs, or write accept_failsafe = "why that is right here"',
            )


def _left_alone(failsafe: FailSafe | None, relay: RelayTable) -> str:
    """What becomes of a relay's load when nobody polls its board, as the board is delivered: KEPT,
    OPEN or CLOSED. One on the normally closed contact is open while the output is on.
    """
    if failsafe is None or failsafe.behaviour_default == 0:
        return "KEPT"
    on = failsafe.safe_state_default == 1
    return "CLOSED" if on != (relay.contact == "nc") else "OPEN"


def _node_keeps_power(known: RegisterMap, relay: RelayTable) -> str:
    """Why the compute node keeps its power when the controller dies; empty when it loses it."""
    if relay.contact == "nc":
        return (
            "the compute node is on a normally closed contact, so it has power whenever the "
            f"output of the {known.model} is off, or the board without power: use the other contact"
        )
    if known.failsafe is None:
        return (
            f"{known.model} has no timer of its own, so the compute relay stays "
            "closed when the controller dies"
        )
    if _left_alone(known.failsafe, relay) != "OPEN":
        return (
            f"{known.model} as delivered does not open its outputs without polling, so the compute "
            "relay stays closed when the controller dies: set the board to open them"
        )
    return ""


def _plan(plan: LinkPlan) -> Iterator[Problem]:
    if plan.fits:
        return
    cycle_ms = plan.period_ns / NS_PER_MS
    fast_ms, sweep_ms = plan.fast_ns / NS_PER_MS, plan.sweep_ns / NS_PER_MS
    used_ms = (plan.fast_ns + plan.write_ns + plan.longest_slow_ns) / NS_PER_MS
    rate_hz = plan.highest_hz
    lower = f"timing.rate_hz = {rate_hz:g} fits" if rate_hz else "no lower rate fits either"
    faster = "raise the baud rate, " if plan.link.rtu else ""
    yield Problem(
        f"link {plan.link.name}.url",
        plan.link.url,
        f"the plan does not fit: of a {cycle_ms:.0f} ms cycle the fast lane takes {fast_ms:.0f} ms "
        f"({FAST_RATIO:.0%} are waited for), with writes and a slow read {used_ms:.0f} ms, and a "
        f"sweep of the rest takes {sweep_ms:.0f} ms; {lower}; or {faster}spread the devices over "
        "more links",
    )
