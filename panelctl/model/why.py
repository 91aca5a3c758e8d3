"""Why a circuit was as it was, from one CycleRecord alone: who, what bound, by how much, what next.

Pure: text for people and plain data for programs. Finding the record is the caller's work.
"""

from __future__ import annotations

from dataclasses import dataclass

from panelctl.model.fault import FAULTS, NOTHING_ENDS, Fault
from panelctl.model.limit import LimitName
from panelctl.model.reason import Reason, Wait
from panelctl.model.record import CircuitRecord, CycleRecord, FaultRecord, HelloRecord
from panelctl.model.relay import Claim
from panelctl.model.wording import CLAIMS, LIMITS, ORDERS, REASONS, WAITS, place

OVER_S = 2.0  # a load takes its time to come down to a new set-point


@dataclass(frozen=True, slots=True)
class Why:
    """An explanation. A and s; `constraint` and what follows are None where none was to
    blame.

    `faults` are those of its orders (model/fault.py), the one that holds it open first.
    `told_only`: its relay's board shows what it was told, not where the contact is.
    `off` is what its relay reads, or a set-point of 0; `relay` may be UNKNOWN. `order` says in what
    the order differs from what is, and why; empty where it does not. `change` says what would have
    to change for the circuit to get more than it has.
    """

    circuit: str
    name: str
    off: bool
    why: str
    change: str
    relay: str = "NONE"
    order: str = ""
    who: str = ""
    since_s: float | None = None
    constraint: str | None = None
    short_a: float | None = None
    flows_a: float | None = None
    limit_a: float | None = None
    binding: str | None = None
    source: str | None = None
    faults: tuple[str, ...] = ()
    told_only: bool = False


def explain(hello: HelloRecord, record: CycleRecord, circuit: str) -> Why:
    """Why `circuit` was as it was in this cycle. Raises KeyError where there is no such circuit."""
    facts = {c["id"]: c for c in hello["circuits"]}
    entry = next((c for c in record["circuits"] if c["id"] == circuit), None)
    if entry is None:
        raise KeyError(circuit)
    name = facts[circuit]["name"] if circuit in facts else circuit
    if "why" not in entry:
        return Why(
            circuit=circuit,
            name=name,
            off=entry["relay"] == "OPEN",
            why="panelctl does not control it",
            change="an installer has to give it a role and arm it",
        )
    reason = Reason[entry["why"]]
    claims = [Claim[claim] for claim in entry.get("claims", [])]
    constraint = entry.get("constraint")
    carried = {**record["legs"], **record["constraints"]}.get(constraint or "")
    binding = carried["binding"] if carried is not None else None
    faults = sorted(
        (f for f in record["faults"] if f["circuit"] == circuit), key=lambda f: not f["holds"]
    )
    holding = faults[0] if faults and faults[0]["holds"] else None
    source = next((x["source"] for x in record["limits"] if x["name"] == binding), None)
    off = entry["relay"] == "OPEN" or entry.get("set_a") == 0
    short_a = entry.get("wait_a", entry.get("by_a")) if constraint else None
    return Why(
        circuit=circuit,
        name=name,
        off=off,
        relay=entry["relay"],
        told_only=circuit in facts and not facts[circuit]["shows_contact"],
        order=_order(record, entry),
        why=FAULTS[Fault(holding["fault"])].sentence if holding else REASONS[reason].sentence,
        who=claims[0].name or "" if claims else "import limit" if reason is Reason.LIMIT else "",
        since_s=holding["since_s"] if holding else entry.get("since_s"),
        faults=tuple(fault["fault"] for fault in faults),
        constraint=constraint,
        short_a=short_a,
        flows_a=carried["a"] if carried is not None else None,
        limit_a=carried["limit_a"] if carried is not None else None,
        binding=binding,
        source=source,
        change=_mended(holding, circuit)
        if holding
        else _change(entry, reason, claims, constraint, short_a),
    )


def _mended(fault: FaultRecord, circuit: str) -> str:
    """What ends a fault that holds a circuit open."""
    kind = FAULTS[Fault(fault["fault"])]
    ends = "" if kind.ends == NOTHING_ENDS else f"{kind.ends}; or "
    return f"{ends}somebody has to look at it: panelctl fault ack {circuit}"


def _order(record: CycleRecord, entry: CircuitRecord) -> str:
    """Where what is ordered is not what is: what is known of the order."""
    trouble = [order for order in record["orders"] if order["circuit"] == entry["id"]]
    said = [ORDERS[order["state"]].format(**order) for order in trouble]
    said += [f"that is {order['error']}" for order in trouble if order.get("error")]
    ordered, relay = entry.get("ordered"), entry["relay"]
    if ordered is not None and relay == "UNKNOWN":
        said.insert(0, f"its relay is ordered {ordered} and cannot be read")
    elif ordered is not None and relay not in ("NONE", ordered):
        said.insert(0, f"its relay is ordered {ordered} and reads {relay}")
    over_s = entry.get("over_s")
    if over_s is not None and over_s >= OVER_S and "set_a" in entry:
        said.append(
            f"it is told {entry['set_a']:.1f} A and draws {max(entry['a'], default=0.0):.1f} A, "
            f"for {over_s:.0f} s"
        )
    return "; ".join(said)


def _change(
    entry: CircuitRecord,
    reason: Reason,
    claims: list[Claim],
    constraint: str | None,
    short_a: float | None,
) -> str:
    for claim in claims:
        if claim is not Claim.PCS:
            return CLAIMS[claim].sentence
    wait = Wait[entry["wait"]] if "wait" in entry else Wait.NONE
    if wait is Wait.MIN_OFF and "until_s" in entry:
        return f"{WAITS[wait].sentence}, in {entry['until_s']:.0f} s"
    if wait not in (Wait.NONE, Wait.NO_ROOM):
        return WAITS[wait].sentence
    if constraint is not None and short_a is not None and reason in (Reason.LIMIT, Reason.GAVE_WAY):
        return f"{short_a:.1f} A more have to be free on {place(constraint)}"
    if reason is Reason.HOT:
        return WAITS[Wait.COOLING].sentence
    if reason is Reason.RAMP:
        return "nothing: it rises by its ramp"
    if reason in (Reason.BLIND, Reason.UNREAD, Reason.STALE):
        return "the readings have to come back"
    return "nothing"


def sentence(why: Why) -> str:
    """The explanation in words."""
    state = "is off" if why.off else "is on"
    if why.relay == "UNKNOWN":
        state = "may be on or off"
    since = f" for {why.since_s:.0f} s" if why.since_s is not None else ""
    lines = [f"{why.name} {state}: {why.why}{since}."]
    if why.constraint is not None and why.limit_a is not None:
        short = f"; {why.short_a:.1f} A were missing" if why.short_a is not None else ""
        source = f" ({why.source})" if why.source else ""
        by = LIMITS[LimitName[why.binding]] if why.binding else "its limit"
        lines.append(
            f"{place(why.constraint).capitalize()} carried {why.flows_a:.1f} A of the "
            f"{why.limit_a:.1f} A that {by} allows{source}{short}."
        )
    for fault in why.faults[1:] if why.who == "FAULT" else why.faults:
        kind = FAULTS[Fault(fault)]
        lines.append(f"It has a fault: {kind.sentence}. What ends it: {kind.ends}.")
    if why.order:
        lines.append(f"{why.order[:1].upper()}{why.order[1:]}.")
    if why.told_only and why.relay in ("OPEN", "CLOSED"):
        lines.append(f"Its relay was told {why.relay}; its board does not show where it is.")
    if why.who:
        who = CLAIMS[Claim[why.who]].short if why.who in Claim.__members__ else why.who
        lines.append(f"It is held open by: {who}.")
    if why.change != "nothing":
        lines.append(f"For more, {why.change}.")
    return "\n".join(lines)
