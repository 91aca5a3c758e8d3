"""What stands behind circuits, as devices of their own: the compute node, chargers, PV, batteries,
and the tank that takes the node's heat. Their meters are in the device's own frame.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

from panelctl.services.ebus import commands
from panelctl.services.ebus.facts import CircuitFacts, Facts
from panelctl.services.ebus.properties import (
    COMMUNICATION,
    DEVICE,
    VENDOR,
    amount,
    counted,
    measured,
    node,
    one_of,
    text,
    whole,
    yes,
)
from panelctl.services.ebus.record_view import RecordView
from panelctl.services.homie import Datatype, Device, Node, Property, Value

FLEX_FORMAT = (
    '{"type":"object","additionalProperties":false,"properties":{"mode":{"enum":["SHED","NORMAL"]},'
    '"level":{"type":"number","minimum":0,"maximum":100},"intensity":{"type":"string"},'
    f'"duration":{{"type":"number","minimum":1,"maximum":{commands.FLEX_MOST_S:.0f}}},'
    '"cause":{"type":"string"}},"required":["mode"],'
    '"if":{"properties":{"mode":{"const":"SHED"}}},"then":{"required":["level","duration"]}}'
)


def devices(facts: Facts) -> list[Device]:
    """All of them, in the order of the panel file."""
    made = []
    for circuit in facts.circuits:
        if circuit.compute:
            made.append(_compute(facts, circuit))
        elif circuit.charger:
            made.append(_charger(circuit))
        elif circuit.source:
            made.append(_source(circuit))
    if facts.heats:
        made.append(_tank(facts))
    if facts.backup_tier is not None:
        made.append(_mid(facts))
    return made


def _status(circuit: CircuitFacts) -> Node:
    def read(seen: RecordView) -> str:
        return "OK" if seen.circuit(circuit.id)["fresh"] else "LOST"

    return node("status", one_of("communication-state", COMMUNICATION, read))


def _draw(circuit: CircuitFacts, *more: Property) -> Node:
    """A consumer: + is what it draws."""

    def power(seen: RecordView) -> float | None:
        return seen.watts(circuit.id)

    energy = counted("imported-energy", lambda seen: seen.circuit(circuit.id).get("wh"))
    return node(
        "meter", measured("active-power", "W", power), energy if circuit.counted else None, *more
    )


def _compute(facts: Facts, circuit: CircuitFacts) -> Device:
    def budget(seen: RecordView) -> float | None:
        record = seen.record["compute"]
        return None if record is None else float(record["budget_w"])

    def stop(seen: RecordView) -> bool | None:
        record = seen.record["compute"]
        return None if record is None else record["stop"]

    nodes = [
        node("info", text("model", "compute node")),
        _status(circuit),
        _draw(circuit),
        _flex(circuit),
        node(
            "power-budget",
            measured("budget", "W", budget, digits=0),
            whole("floor", "W", round(circuit.floor_w)),
            whole("ceiling", "W", round(circuit.max_w)),
            whole("lease", "ms", round(facts.lease_s * 1000)),
            yes("stop", stop),
            amount("power-limit", "W", lambda seen: seen.circuit(circuit.id).get("power_limit_w")),
            vendor=True,
        ),
    ]
    kind = f"{VENDOR}device.compute-node"
    return Device(circuit.fed or "", kind, f"{circuit.name} (node)", nodes)


def _flex(circuit: CircuitFacts) -> Node:
    def active(seen: RecordView) -> Value:
        plain = seen.circuit(circuit.id)
        if "power_limit_w" not in plain:
            return None
        above_w = circuit.max_w - circuit.floor_w
        level = 100.0 * (circuit.max_w - plain["power_limit_w"]) / above_w if above_w else 0.0
        ends_s = round((seen.record["wall_s"] + plain["power_limit_s"]) / 10.0) * 10
        return {"mode": "SHED", "level": round(level), "ends-at": _stamp(ends_s)}

    def response(seen: RecordView) -> str:
        plain = seen.circuit(circuit.id)
        if plain.get("why") == "IGNORES_BUDGET":
            return "NOT_FOLLOWING"
        return "CURTAILED" if "power_limit_w" in plain else "NONE"

    request = Property(
        "request",
        "Request",
        Datatype.JSON,
        lambda seen: None,  # what is in force is `active-request`
        format=FLEX_FORMAT,
        write=commands.flex(circuit) if circuit.controlled else None,
    )
    return node(
        "flex",
        request,
        Property("active-request", "Active request", Datatype.JSON, active),
        one_of("response", "NONE,CURTAILED,BOOSTED,NOT_FOLLOWING", response),
    )


def _stamp(wall_s: float) -> str:
    """ISO 8601, UTC."""
    return datetime.fromtimestamp(wall_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _charger(circuit: CircuitFacts) -> Device:
    def allowed(seen: RecordView) -> float | None:
        return seen.circuit(circuit.id).get("set_a")

    least, most = math.ceil(circuit.min_a), int(circuit.max_a)

    def limit(seen: RecordView) -> int:
        power_limit_w = seen.circuit(circuit.id).get("power_limit_w")
        return (
            most
            if power_limit_w is None
            else min(most, max(least, int(power_limit_w / circuit.volts)))
        )

    write = commands.charge_limit(circuit) if circuit.controlled else None
    nodes = [
        node("info", text("model", "charging station")),
        _status(circuit),
        _draw(circuit, amount("advertised-current", "A", allowed)),
        node(
            "charge-limit",
            whole("installer-max", "A", most),
            whole("owner-limit", "A", limit, f"{least}:{most}", write),
        ),
    ]
    return Device(circuit.fed or "", f"{DEVICE}evse", f"{circuit.name} (charger)", nodes)


def _source(circuit: CircuitFacts) -> Device:
    """PV and batteries: + is what they give."""

    def power(seen: RecordView) -> float | None:
        watts = seen.watts(circuit.id)
        return None if watts is None else -float(watts)

    nodes = [
        node("info", text("model", "PV" if circuit.source == "pv" else "battery")),
        node("meter", measured("active-power", "W", power)),
    ]
    if circuit.source == "battery":
        nodes.append(_status(circuit))
    kind = "pv" if circuit.source == "pv" else "bess"
    return Device(circuit.fed or "", f"{DEVICE}{kind}", circuit.name, nodes)


def _mid(facts: Facts) -> Device:
    """What takes the panel off the grid. We know that it has; not what it does otherwise."""
    battery = next((c.fed for c in facts.circuits if c.source == "battery"), None)

    def forming(seen: RecordView) -> str | None:
        return battery if seen.islanded else "GRID"

    nodes = [
        node("info", text("model", "microgrid interconnect")),
        node(
            "grid",
            one_of(
                "islanding-state",
                "ON_GRID,OFF_GRID,UNKNOWN",
                lambda seen: "OFF_GRID" if seen.islanded else "ON_GRID",
            ),
            text("grid-forming-entity", forming),
        ),
    ]
    return Device(f"{facts.root}-mid", f"{DEVICE}mid", "Microgrid interconnect", nodes)


def _tank(facts: Facts) -> Device:
    def temperature(seen: RecordView) -> float | None:
        tank_c = seen.record["tank_c"]
        return None if tank_c is None else float(tank_c)

    nodes = [
        node("info", text("model", "heat tank")),
        node("water-heater", measured("tank-temperature", "°C", temperature)),
    ]
    return Device(f"{facts.root}-tank", f"{DEVICE}water-heater", "Heat tank", nodes)
