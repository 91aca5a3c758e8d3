"""A circuit of the panel as a Homie device: relay, meter, who gives way first, why it is off."""

from __future__ import annotations

from dataclasses import replace

from panelctl.model.keys import MAX_TIER
from panelctl.model.reason import Reason, Wait
from panelctl.model.record import CircuitRecord
from panelctl.model.wording import REASONS, WAITS, place
from panelctl.services.ebus import commands
from panelctl.services.ebus.facts import CircuitFacts, Facts
from panelctl.services.ebus.properties import (
    DEVICE,
    VENDOR,
    counted,
    measured,
    node,
    one_of,
    text,
    whole,
    yes,
)
from panelctl.services.ebus.record_view import RecordView
from panelctl.services.homie import Device, Node

RELAYS = "UNKNOWN,OPEN,CLOSED"
REQUESTERS = "USER,LOAD_SHED,PCS,CONFIGURATION,FAULT,NONE,UNKNOWN"
PRIORITIES = "UNKNOWN,NEVER,SOC_THRESHOLD"
WHY = ",".join(reason.name for reason in Reason)
WAIT = ",".join(wait.name for wait in Wait)


def device(facts: Facts, circuit: CircuitFacts) -> Device:
    """The device of a circuit."""
    nodes = [
        node(
            "info",
            text("name", circuit.name),
            text("spaces", ",".join(map(str, circuit.spaces))),
            text("tags", tag) if (tag := _tag(circuit)) else None,
            yes("dedicated", True) if circuit.fed else None,
        ),
        node(
            "breaker",
            whole("rating", "A", round(circuit.breaker_a)),
            whole("poles", "", len(circuit.legs), "1:4:1"),
        ),
        _meter(circuit),
        _pcs(circuit),
    ]
    nodes.insert(1, _switch(circuit))
    if circuit.half:  # eBus has no word for half a space, and clients read `spaces` as numbers
        nodes.append(node("place", text("label", circuit.places), vendor=True))
    if circuit.controlled:
        nodes.append(_decision(circuit))
    nodes.append(_load_shed(facts, circuit))
    if circuit.fed is not None:
        nodes.append(_connection(circuit))
    return Device(circuit.device, f"{DEVICE}circuit", circuit.name, nodes)


def _tag(circuit: CircuitFacts) -> str:
    """Of the registry: it has none for compute."""
    if circuit.charger:
        return "EVSE"
    return "OTHER" if circuit.compute else ""


def _switch(circuit: CircuitFacts) -> Node:
    """Also of a circuit without a relay, which is always closed: clients take what does not say
    otherwise for a switch.
    """
    switched = circuit.controlled and circuit.relay
    write = commands.relay(circuit.id) if switched else None

    def requester(seen: RecordView) -> str:
        # What nobody may switch is as the panel file wants it.
        return _requester(seen.circuit(circuit.id)) if switched else "CONFIGURATION"

    def relay(seen: RecordView) -> str:
        return str(seen.circuit(circuit.id)["relay"]) if circuit.relay else "CLOSED"

    return node(
        "switch",
        one_of("relay", RELAYS, relay, write),
        yes("relay-controllable", switched),
        one_of("relay-requester", REQUESTERS, requester),
    )


def _requester(plain: CircuitRecord) -> str:
    """Who holds it open; the strongest claim is the first."""
    claims = plain.get("claims")
    if not claims:
        return "NONE" if plain["relay"] == "CLOSED" else "UNKNOWN"
    return "UNKNOWN" if claims[0] == "FOUND" else str(claims[0])


def _meter(circuit: CircuitFacts) -> Node:
    """In the enclosure's frame: what a load draws is negative, and exported to it."""

    def power(seen: RecordView) -> float | None:
        watts = seen.watts(circuit.id)
        return None if watts is None else -float(watts)

    def current(seen: RecordView) -> float | None:
        plain = seen.circuit(circuit.id)
        return max(map(abs, plain["a"]), default=0.0) if plain["fresh"] else None

    direction = "imported-energy" if circuit.source else "exported-energy"
    counter = counted(direction, lambda seen: seen.circuit(circuit.id).get("wh"))
    return node(
        "meter",
        measured("current", "A", current, digits=2),
        measured("active-power", "W", power),
        counter if circuit.counted else None,
    )


def _pcs(circuit: CircuitFacts) -> Node:
    def rank(seen: RecordView) -> int:
        """1 gives way first: the compute node, then the largest tier."""
        return 1 if circuit.compute else 2 + MAX_TIER - int(seen.circuit(circuit.id)["tier"])

    return node(
        "pcs",
        yes("managed", circuit.controlled),
        whole("priority", "", rank) if circuit.controlled else None,
    )


def _load_shed(facts: Facts, circuit: CircuitFacts) -> Node:
    """What becomes of it off the grid. The compute node has no part in that: it falls to what the
    inverter's limit leaves, and stops where that is less than its floor.
    """
    tier = facts.backup_tier
    if tier is None or circuit.compute or not circuit.controlled:
        return node("load-shed", one_of("priority", PRIORITIES, "NEVER"))

    def read(seen: RecordView) -> str:
        return "SOC_THRESHOLD" if seen.circuit(circuit.id)["tier"] >= tier else "NEVER"

    write = commands.priority(circuit.id, tier, circuit.filed_tier)
    priority = one_of("priority", PRIORITIES, read, write)
    return node("load-shed", replace(priority, once=True))


def _decision(circuit: CircuitFacts) -> Node:
    """Why it is as it is, for people and programs: eBus has only who."""

    def words(seen: RecordView) -> str:
        plain = seen.circuit(circuit.id)
        said = REASONS[Reason[plain["why"]]].sentence
        if "wait" in plain:
            wait, constraint = Wait[plain["wait"]], plain.get("constraint")
            said += f"; {WAITS[wait].sentence}"
            if wait is Wait.NO_ROOM and constraint is not None:
                said += f" on {place(constraint)}"
        return said

    def tier(seen: RecordView) -> int:
        return int(seen.circuit(circuit.id)["tier"])

    write = None if circuit.compute else commands.tier(circuit.id)
    return node(
        "decision",
        one_of("why", WHY, lambda seen: str(seen.circuit(circuit.id)["why"])),
        one_of("wait", WAIT, lambda seen: str(seen.circuit(circuit.id).get("wait", "NONE"))),
        text("text", words),
        whole("tier", "", tier, f"0:{MAX_TIER}", write),
        vendor=True,
    )


def _connection(circuit: CircuitFacts) -> Node:
    kinds = {"pv": f"{DEVICE}pv", "battery": f"{DEVICE}bess"}
    kind = kinds.get(circuit.source or "", f"{DEVICE}evse")
    if circuit.compute:
        kind = f"{VENDOR}device.compute-node"

    def status(seen: RecordView) -> str:
        return "OK" if seen.circuit(circuit.id)["fresh"] else "LOST"

    return node(
        "connection",
        text("feeds-device-id", circuit.fed or ""),
        text("feeds-device-type", kind),
        one_of("feeds-device-status", "OK,LOST,DEGRADED", status),
    )
