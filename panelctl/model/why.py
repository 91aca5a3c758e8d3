"""Why a circuit was as it was, from one CycleRecord alone: who, which row, by how much, what next.

Pure: text for people and plain data for programs. Finding the record is the caller's work.
"""

from __future__ import annotations

from dataclasses import dataclass

from panelctl.model.reason import Reason, Wait
from panelctl.model.record import CircuitRecord, CycleRecord, HelloRecord
from panelctl.model.relay import Claim


@dataclass(frozen=True, slots=True)
class Why:
    """An explanation. A and s; `row` and what follows are None where no row was to blame.

    `change` says what would have to change for the circuit to get more than it has.
    """

    circuit: str
    name: str
    off: bool
    why: str
    change: str
    who: str = ""
    since_s: float | None = None
    row: str | None = None
    short_a: float | None = None
    row_a: float | None = None
    limit_a: float | None = None
    binding: str | None = None
    source: str | None = None


REASONS = {
    Reason.NONE: "nothing holds it back",
    Reason.LIMIT: "there was not enough room",
    Reason.USER: "a user opened it",
    Reason.FOUND_OPEN: "it was open when the controller started",
    Reason.BLIND: "the mains could not be read",
    Reason.WELDED: "its relay was told to open and did not, or current still flowed",
    Reason.STUCK_OPEN: "its relay was told to close and did not",
    Reason.IGNORES_BUDGET: "it drew more than it was allowed",
    Reason.RAMP: "it is on its way up",
    Reason.UNREAD: "its relay has not been read back yet",
    Reason.STALE: "its own meter was not read",
    Reason.GAVE_WAY: "it made room for a circuit of an earlier tier",
    Reason.BACKUP: "the panel was off the grid with a battery that ran low",
    Reason.HOT: "its own breaker was too warm",
}
WAITS = {
    Wait.MIN_OFF: "its minimum off time has to end",
    Wait.STEADY: "the room that there is now has to last for a while",
    Wait.STAGED: "another circuit was restored just now; it is the next",
    Wait.MAKING_ROOM: "other loads are giving way for it",
    Wait.BLIND: "its meter, its relay and the mains have to be read",
    Wait.COOLING: "its breaker has to cool down",
    Wait.WORN: "its relay moved too often and has to rest",
}
BY_CLAIM = {
    Claim.FAULT: "somebody has to look at its relay or its load, and then close it by hand",
    Claim.CONFIGURATION: "an installer has to unlock it",
    Claim.LOAD_SHED: "the grid has to return, or the battery to charge",
    Claim.USER: "its user has to close it",
    Claim.FOUND: "its user has to close it",
}


def explain(hello: HelloRecord, record: CycleRecord, circuit: str) -> Why:
    """Why `circuit` was as it was in this cycle. Raises KeyError where there is no such circuit."""
    names = {c["id"]: c["name"] for c in hello["circuits"]}
    entry = next((c for c in record["circuits"] if c["id"] == circuit), None)
    if entry is None:
        raise KeyError(circuit)
    name = names.get(circuit, circuit)
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
    row = entry.get("leg")
    carried = {**record["legs"], **record["rows"]}.get(row) if row is not None else None
    binding = carried["binding"] if carried is not None else None
    source = next((x["source"] for x in record["limits"] if x["name"] == binding), None)
    off = entry.get("ordered", entry["relay"]) == "OPEN" or entry.get("set_a") == 0
    short_a = entry.get("wait_a", entry.get("by_a")) if row else None
    return Why(
        circuit=circuit,
        name=name,
        off=off,
        why=REASONS[reason],
        who=claims[0].name or "" if claims else "import limit" if reason is Reason.LIMIT else "",
        since_s=entry.get("since_s"),
        row=row,
        short_a=short_a,
        row_a=carried["a"] if carried is not None else None,
        limit_a=carried["limit_a"] if carried is not None else None,
        binding=binding,
        source=source,
        change=_change(entry, reason, claims, row, short_a),
    )


def _change(
    entry: CircuitRecord,
    reason: Reason,
    claims: list[Claim],
    row: str | None,
    short_a: float | None,
) -> str:
    for claim in claims:
        if claim in BY_CLAIM:
            return BY_CLAIM[claim]
    wait = Wait[entry["wait"]] if "wait" in entry else Wait.NONE
    if wait is Wait.MIN_OFF and "until_s" in entry:
        return f"{WAITS[wait]}, in {entry['until_s']:.0f} s"
    if wait in WAITS:
        return WAITS[wait]
    if row is not None and short_a is not None and reason in (Reason.LIMIT, Reason.GAVE_WAY):
        return f"{short_a:.1f} A more have to be free on {place(row)}"
    if reason is Reason.HOT:
        return WAITS[Wait.COOLING]
    if reason is Reason.RAMP:
        return "nothing: it rises by its ramp"
    if reason in (Reason.BLIND, Reason.UNREAD, Reason.STALE):
        return "the readings have to come back"
    return "nothing"


def place(row: str) -> str:
    """A row's name for people."""
    name, _, leg = row.partition(".")
    if row in ("a", "b"):
        return f"leg {row}"
    if name == "neutral":
        return f"the neutral (by leg {leg})"
    words = {
        "import": "the total import",
        "heat": "the heat sink",
        "busbar": f"leg {leg} of the busbar",
    }
    return words.get(name, row)


def sentence(why: Why) -> str:
    """The explanation in words."""
    state = "is off" if why.off else "is on"
    since = f" for {why.since_s:.0f} s" if why.since_s is not None else ""
    lines = [f"{why.name} {state}: {why.why}{since}."]
    if why.row is not None and why.limit_a is not None:
        short = f"; {why.short_a:.1f} A were missing" if why.short_a is not None else ""
        source = f" ({why.source})" if why.source else ""
        lines.append(
            f"{place(why.row).capitalize()} carried {why.row_a:.1f} A of {why.limit_a:.1f} A, "
            f"the limit by {why.binding}{source}{short}."
        )
    if why.who:
        lines.append(f"It is held by: {why.who}.")
    if why.change != "nothing":
        lines.append(f"For more, {why.change}.")
    return "\n".join(lines)
