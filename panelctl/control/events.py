"""What changed between two decisions: the events that people are told."""

from __future__ import annotations

from array import array

from panelctl.control.bulk import Bulk
from panelctl.core.engine import Engine
from panelctl.core.state.layout import LEG_ROWS
from panelctl.model.doubt import Doubt
from panelctl.model.fault import OF_ORDERS, Fault
from panelctl.model.limit import LimitName
from panelctl.model.reason import Reason, State
from panelctl.model.record import EventRecord, FaultRecord, OrderRecord
from panelctl.model.relay import BY_HAND, Claim
from panelctl.model.slots import LEGS
from panelctl.units import NS_PER_S

DROPS = {(leg, Doubt.DROP) for leg in LEGS}  # every large load that stops is one
LIMIT_NAMES = tuple(name.name for name in LimitName)
WATCHED = ("claims", "closed", "reason", "fault", "moves", "moves_ns")


class Events:
    """Remembers what the last decision was, to tell what changed."""

    def __init__(self, engine: Engine, bulk: Bulk) -> None:
        self._engine = engine
        self._bulk = bulk
        self._circuits = {circuit.id for circuit in engine.panel.circuits}
        self._before: tuple[array[int], ...] = ()  # of WATCHED
        self._state: State | None = None
        self._binding: tuple[int, ...] = ()
        self._doubts: set[tuple[str, Doubt]] = set()  # that have been told
        self._modulated = [i for i, load in enumerate(engine.loads) if load.modulation is not None]
        self._ignoring: set[int] = set()  # that draw more than they are told

    def since(self, now_ns: int, doubts: dict[str, list[Doubt]]) -> list[EventRecord]:
        """The events of the decision at `now_ns`, after which these readings are in doubt."""
        return [
            *self._states(),
            *self._of_doubts(doubts),
            *self._of_circuits(),
            *self._ignored(now_ns),
        ]

    def faults(self, now_ns: int, orders: list[OrderRecord]) -> list[FaultRecord]:
        """Every fault that there is now; `orders` are those that do not stand."""
        state, loads = self._engine.state, self._engine.loads
        found = [
            _fault(loads[i].id, Fault[Reason(code).name], now_ns - state.fault_ns[i], held)
            for i, code in enumerate(state.fault)
            if code
            for held in [bool(state.claims[i] & Claim.FAULT)]
        ]
        for order in orders:
            fault = OF_ORDERS.get((order["of"], order["state"]))
            if fault is not None:
                found.append(_fault(order["circuit"], fault, order["since_s"] * NS_PER_S, False))
        for i in self._ignoring:
            if state.fault[i] != Reason.IGNORES_BUDGET and state.over_ns[i]:
                over_ns = now_ns - state.over_ns[i]
                found.append(_fault(loads[i].id, Fault.IGNORES_SETPOINT, over_ns, False))
        return found

    def _states(self) -> list[EventRecord]:
        engine, state = self._engine, self._engine.state
        events: list[EventRecord] = []
        now = engine.now
        if now is not self._state:
            events.append({"what": "state", "text": now.name})
            self._state = now
        binding = tuple(state.binding[:LEG_ROWS])
        if self._binding and binding != self._binding:
            text = ", ".join(f"{LEGS[r]}: {LIMIT_NAMES[binding[r]]}" for r in range(LEG_ROWS))
            events.append({"what": "limit", "text": text})
        self._binding = binding
        return events

    def _of_doubts(self, all_doubts: dict[str, list[Doubt]]) -> list[EventRecord]:
        events: list[EventRecord] = []
        doubts = {(name, why) for name, all_of in all_doubts.items() for why in all_of}
        doubts -= DROPS
        for name, why in sorted(doubts - self._doubts):
            doubt: EventRecord = {"what": "doubt", "text": str(why)}
            if name in self._circuits:
                doubt["circuit"] = name
            else:
                doubt["leg"] = name
            events.append(doubt)
        self._doubts = doubts
        return events

    def _of_circuits(self) -> list[EventRecord]:
        state = self._engine.state
        events: list[EventRecord] = []
        before, after = self._before, tuple(getattr(state, name)[:] for name in WATCHED)
        if before != after:
            self._before = after
            for i in range(len(self._engine.loads)) if before else ():
                old, new = (tuple(field[i] for field in fields) for fields in (before, after))
                if old != new:
                    events += self._of_fault(i, old[1:2] + old[3:], new[3:])
                    events += self._changes(i, old[:3], new[:3])
        return events

    def _of_fault(self, i: int, old: tuple[int, ...], new: tuple[int, ...]) -> list[EventRecord]:
        """A fault that came or ended, a relay that somebody else moved."""
        ident = self._engine.loads[i].id
        events: list[EventRecord] = []
        (ordered, fault_before, *moves_before), (fault, *moves) = old, new
        if moves[0] and moves != moves_before:
            found = "OPEN" if ordered == 1 else "CLOSED"
            events.append({"what": "moved", "circuit": ident, "text": found})
        if fault and fault != fault_before:
            events.append({"what": "fault", "circuit": ident, "text": Reason(fault).name})
        elif fault_before and not fault:
            events.append({"what": "cleared", "circuit": ident, "text": Reason(fault_before).name})
        return events

    def _changes(self, i: int, old: tuple[int, ...], new: tuple[int, ...]) -> list[EventRecord]:
        state, ident = self._engine.state, self._engine.loads[i].id
        (claims_before, closed_before, reason_before), (claims, closed, reason) = old, new
        events: list[EventRecord] = []
        asked_for = reason == Reason.LIMIT and state.reason_row[i] < 0  # opened and closed at once
        came = claims & ~claims_before
        if came & Claim.PCS and not claims_before and reason == Reason.MOVED:
            pass  # told as `moved`
        elif came & Claim.PCS and not claims_before and not asked_for:
            event: EventRecord = {"what": "shed", "circuit": ident, "text": Reason(reason).name}
            if state.reason_row[i] >= 0:
                event["constraint"] = self._engine.rows[state.reason_row[i]].name
                event["by_a"] = state.reason_ma[i] / 1000
            events.append(event)
        elif came & Claim.PCS and not claims_before:
            events.append({"what": "release", "circuit": ident})
        elif came and not claims_before & ~claims & (BY_HAND | Claim.FAULT):
            if came != Claim.FAULT:  # told as `fault`
                named = str((Claim(came) & ~Claim.FAULT).named.name)
                events.append({"what": "open", "circuit": ident, "text": named})
        elif claims_before & ~claims & BY_HAND:
            events.append({"what": "release", "circuit": ident})
        elif claims_before & ~claims & Claim.FAULT:
            pass  # told as `cleared`
        elif claims_before and not claims:
            events.append({"what": "restore", "circuit": ident})
        elif closed_before >= 0 and closed != closed_before:
            events.append(
                {"what": "relay", "circuit": ident, "text": "OPEN" if not closed else "CLOSED"}
            )
        modulated = self._engine.loads[i].modulation is not None
        if modulated and not claims and reason == Reason.LIMIT != reason_before:
            events.append({"what": "throttle", "circuit": ident})
        return events

    def _ignored(self, now_ns: int) -> list[EventRecord]:
        """Modulated loads that draw more than they are told for so long that it is no delay."""
        engine, state = self._engine, self._engine.state
        events: list[EventRecord] = []
        for i in self._modulated:
            over_ns = state.over_ns[i]
            ignores = over_ns != 0 and now_ns - over_ns >= engine.fixed.node_fault_ns[0]
            if ignores is (i in self._ignoring):
                continue
            ident = engine.loads[i].id
            if ignores:
                self._ignoring.add(i)
                drawn_a, told_a = self._bulk.most_ma(i) / 1000, state.set_ma[i] / 1000
                text = f"draws {drawn_a:.1f} A, told {told_a:.1f} A"
                events.append({"what": "ignores", "circuit": ident, "text": text})
            else:
                self._ignoring.discard(i)
                events.append({"what": "obeys", "circuit": ident})
        return events


def _fault(circuit: str, fault: Fault, since_ns: float, holds: bool) -> FaultRecord:
    since_s = round(since_ns / NS_PER_S, 1)
    return {"circuit": circuit, "fault": str(fault), "since_s": since_s, "holds": holds}
