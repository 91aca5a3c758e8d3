"""What codes are called for people: one wording for each, which every view uses.

A code that has none here fails a test, and so does a view that shows a code itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from panelctl.model.doubt import Doubt
from panelctl.model.fault import FAULTS, Fault
from panelctl.model.limit import LimitName
from panelctl.model.reason import Reason, State, Wait
from panelctl.model.record import CircuitRecord, EventRecord, FaultRecord
from panelctl.model.relay import Claim


@dataclass(frozen=True, slots=True)
class Wording:
    """A code in a few words for a column of a table, and as the rest of a sentence."""

    short: str
    sentence: str


REASONS = {
    Reason.NONE: Wording("", "nothing holds it back"),
    Reason.LIMIT: Wording("import limit", "there was not enough room"),
    Reason.USER: Wording("opened by its user", "a user opened it"),
    Reason.FOUND_OPEN: Wording("was open at start", "it was open when the controller started"),
    Reason.BLIND: Wording("mains not readable", "the mains could not be read"),
    **{
        Reason[name]: Wording(kind.short, kind.sentence)
        for name, kind in FAULTS.items()
        if name in Reason.__members__
    },
    Reason.RAMP: Wording("on its way up", "it is on its way up"),
    Reason.UNREAD: Wording("relay not read yet", "its relay has not been read back yet"),
    Reason.STALE: Wording("its meter is not read", "its own meter was not read"),
    Reason.GAVE_WAY: Wording(
        "made room for another", "it made room for a circuit of an earlier tier"
    ),
    Reason.BACKUP: Wording(
        "battery runs low", "the panel was off the grid with a battery that ran low"
    ),
    Reason.HOT: Wording("its breaker is warm", "its own breaker was too warm"),
}
WAITS = {
    Wait.NONE: Wording("", "it waits for nothing"),
    Wait.MIN_OFF: Wording("minimum off time", "its minimum off time has to end"),
    Wait.NO_ROOM: Wording("no room yet", "more room is needed"),
    Wait.STEADY: Wording("room must last", "the room that there is now has to last for a while"),
    Wait.STAGED: Wording(
        "another one first", "another circuit was restored just now; it is the next"
    ),
    Wait.MAKING_ROOM: Wording("others give way", "other loads are giving way for it"),
    Wait.BLIND: Wording("cannot be read", "its meter, its relay and the mains have to be read"),
    Wait.COOLING: Wording("its breaker cools down", "its breaker has to cool down"),
    Wait.WORN: Wording("its relay rests", "its relay moved too often and has to rest"),
}
DOUBTS = {
    Doubt.DROP: "it fell by much, and once only so far",
    Doubt.ERRATIC: "it falls by much again and again",
    Doubt.FROZEN: "the mains meter stands still while circuits move",
    Doubt.BRANCHES: "circuits draw more than the mains meter shows",
    Doubt.UNPROVEN: "the mains meter has to prove itself",
    Doubt.ENERGY: "its counter counts more than its amps can carry",
    Doubt.HIDDEN: "it may draw more than it shows",
    Doubt.STILL: "its energy counter stands still",
}
LIMITS = {
    LimitName.FSR: "the control setting",
    LimitName.DOE: "the utility's envelope",
    LimitName.VOLTAGE: "low voltage",
    LimitName.OFF_GRID: "the inverter, off the grid",
    LimitName.REQUESTED: "a limit that was asked for",
    LimitName.OPERATOR: "the operator's limit",
    LimitName.THERMAL: "a breaker that is warm",
    LimitName.LEASE: "a share of the transformer",
    LimitName.HEAT_SINK: "the heat sink",
}
# Who holds it open, and what has to happen before it may close.
CLAIMS = {
    Claim.FAULT: Wording(
        "a fault", "its fault has to end, or somebody to look at it and acknowledge it"
    ),
    Claim.CONFIGURATION: Wording("the installer", "an installer has to unlock it"),
    Claim.PCS: Wording("the import limit", "there has to be room for it"),
    Claim.LOAD_SHED: Wording("off-grid backup", "the grid has to return, or the battery to charge"),
    Claim.USER: Wording("its user", "its user has to close it"),
    Claim.FOUND: Wording("somebody unknown", "its user has to close it"),
}
# Of an order that does not stand: a format of the record's keys.
ORDERS = {
    "REFUSED": "its device refuses the {of}'s order ({ordered}), {refused} times in "
    "{since_s:.0f} s",
    "LOST": "the {of}'s order ({ordered}) has not been acknowledged for {since_s:.0f} s",
    "CONTRADICTED": "the {of} is ordered {ordered}, and the device reads {reads}, "
    "for {since_s:.0f} s",
    "FOLLOWED": "somebody else told its device {reads}, which it is left at for {until_s:.0f} s "
    "yet; by panelctl it would be {ordered}",
}
STATES = {
    State.NORMAL: "the mains are seen",
    State.DEGRADED: "some readings are old: nothing is raised on them",
    State.HOLD: "the mains are not seen: nothing closes",
    State.SHED: "the mains have not been seen for long: circuits go to their safe state",
}
EVENTS = {
    "state": "state",
    "limit": "binding limit",
    "shed": "shed",
    "open": "opened",
    "release": "claim taken back",
    "fault": "FAULT",
    "cleared": "fault is over",
    "moved": "moved by somebody else",
    "restore": "restored",
    "relay": "relay",
    "throttle": "throttled",
    "order": "ORDER",
    "foreign": "FOREIGN: somebody else wrote",
    "ignores": "FAULT: does not do as it is told",
    "obeys": "does as it is told again",
    "doubt": "not believed",
    "link": "link",
    "device": "device",
}
_CODES = {
    **{state.name: f"{state.name}, {text}" for state, text in STATES.items()},
    **{str(doubt): text for doubt, text in DOUBTS.items()},
    **{str(claim.name): f"held by {wording.short}" for claim, wording in CLAIMS.items()},
    **{reason.name: wording.short for reason, wording in REASONS.items()},
    **{name.value: kind.short for name, kind in FAULTS.items()},
}


def times(count: int) -> str:
    """How often."""
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


def place(constraint: str) -> str:
    """A constraint's name for people."""
    name, _, leg = constraint.partition(".")
    if constraint in ("a", "b"):
        return f"leg {constraint}"
    if name == "neutral":
        return f"the neutral (by leg {leg})"
    names = {
        "main": "the mains",
        "import": "the total import",
        "heat_sink": "the heat sink",
        "busbar": f"leg {leg} of the busbar",
    }
    return names.get(name, f"leg {leg} of {name}" if leg else constraint)


def _binding(text: str) -> str:
    """Of "a: FSR" what limits leg a."""
    leg, _, name = text.partition(": ")
    return f"{place(leg)} by {LIMITS[LimitName[name]]}" if name in LimitName.__members__ else text


def event_text(event: EventRecord, names: Mapping[str, str]) -> str:
    """One event in a line; `names` are those of circuits, by id."""
    parts = [EVENTS.get(event["what"], event["what"])]
    if "circuit" in event:
        parts.append(names.get(event["circuit"], event["circuit"]))
    for thing in (event.get("link"), event.get("device")):
        if thing is not None:
            parts.append(thing)
    if "leg" in event:
        parts.append(place(event["leg"]))
    text = event.get("text", "")
    if event["what"] == "limit":
        text = ", ".join(_binding(each) for each in text.split(", "))
    if text and "constraint" not in event:
        parts.append(_CODES.get(text, text))
    if "constraint" in event and "by_a" in event:
        parts.append(f"{event['by_a']:.1f} A too much on {place(event['constraint'])}")
    return " · ".join(parts)


def reason_text(circuit: CircuitRecord, faults: Sequence[FaultRecord] = ()) -> str:
    """Why a circuit is as it is and what it waits for, in few words; `faults` are the record's."""
    reason = Reason[circuit.get("why", "NONE")]
    mine = [fault for fault in faults if fault["circuit"] == circuit["id"]]
    parts = [FAULTS[Fault(fault["fault"])].short for fault in mine]
    if reason is not Reason.NONE and reason.name not in [fault["fault"] for fault in mine]:
        parts.append(REASONS[reason].short)
    constraint = circuit.get("constraint")
    if "wait" in circuit:
        wait = WAITS[Wait[circuit["wait"]]].short
        if "wait_a" in circuit and constraint is not None:
            wait += f" ({circuit['wait_a']:.1f} A on {place(constraint)})"
        parts.append(wait)
    elif "by_a" in circuit and constraint is not None and reason is Reason.LIMIT:
        parts.append(f"{circuit['by_a']:.1f} A on {place(constraint)}")
    if "until_s" in circuit:
        parts.append(f"≥ {circuit['until_s']:.0f} s")
    return ", ".join(parts)
