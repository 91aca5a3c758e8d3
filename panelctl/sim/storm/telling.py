"""Whether people are told in time of orders that are not followed.

O3 an order that is not followed is told of within 3 s by an event; a charger or a node that takes
   its set-point and does something else has its settling time besides. Not while people see that
   its device is silent or a stranger, nor while the controller's machine stands still
"""

from __future__ import annotations

from collections.abc import Iterable

from panelctl.field.orders import WRONG
from panelctl.field.setpoints import OVER
from panelctl.model.fault import Fault
from panelctl.model.record import CycleRecord, EventRecord
from panelctl.sim.storm.figures import Figures, Found

TOLD_S = 3.0
ASK_S = 1.5  # from then on each record is read for it
BEAT_S = 0.25  # between two records, and a step of the plant
RELAY, SETPOINT = "relay", "set-point"
# What is told once, and over when the order is followed.
ONCE = frozenset({"moved", "foreign"})
JUDGED = frozenset(
    {Fault.WELDED, Fault.STUCK_OPEN, Fault.REFUSED_OPEN, Fault.REFUSED_CLOSE, Fault.MOVED}
)
OF_RELAYS = JUDGED | {Fault.RELAY_LOST}
Order = tuple[str, str]  # the circuit, and which of the two


class Telling:
    """Since when each order is not followed, and what people have heard of it."""

    def __init__(self, figures: Figures, found: Found) -> None:
        self._figures = figures
        self._found = found
        self._against_s: dict[Order, float] = {}
        self._heard: dict[Order, set[str]] = {}  # what stands, of what events told
        self._told: set[Order] = set()  # of those that are not followed

    def anew(self, record: CycleRecord) -> None:
        """Another controller runs: it knows nothing of before but the faults that it shows."""
        self._against_s.clear()
        self._told.clear()
        self._heard.clear()
        for fault in record["faults"]:
            self._heard.setdefault((fault["circuit"], _of(fault["fault"])), set()).add("fault")

    def stood_still(self, for_s: float) -> None:
        """The controller's machine did: nobody could be told."""
        for order in self._against_s:
            self._against_s[order] += for_s

    def events(self, events: Iterable[EventRecord], now_s: float) -> None:
        """People hear these."""
        for event in events:
            name, what, text = event.get("circuit", ""), event["what"], event.get("text", "")
            if what == "order":
                of = SETPOINT if f" {SETPOINT} " in text else RELAY
                self._hear((name, of), what, text.startswith(WRONG), now_s)
            elif what in ("fault", "cleared"):  # a circuit has one of them at most
                for of in (RELAY, SETPOINT):
                    self._hear((name, of), "fault", what == "fault" and of == _of(text), now_s)
            elif what in ("ignores", "obeys"):
                self._hear((name, SETPOINT), "ignores", what == "ignores", now_s)
            elif what in ONCE:
                stands = not text.startswith(OVER)
                self._hear((name, RELAY if what == "moved" else SETPOINT), what, stands, now_s)

    def _hear(self, order: Order, word: str, stands: bool, now_s: float) -> None:
        heard = self._heard.setdefault(order, set())
        if not stands:
            heard.discard(word)
            return
        heard.add(word)
        if order in self._against_s:
            self._tell(order, now_s)

    def follows(self, order: Order) -> None:
        """This order is followed."""
        if self._against_s.pop(order, None) is not None:
            self._told.discard(order)
        if order in self._heard:
            self._heard[order] -= ONCE

    def does_not(self, order: Order, since_s: float, now_s: float) -> bool:
        """It is not: people have to hear of it, from `since_s` on. Returns whether what they see
        has to be looked at.
        """
        since_s = self._against_s.setdefault(order, since_s)
        if order not in self._told and self._heard.get(order):
            self._tell(order, now_s)
        return order not in self._told and now_s - since_s > ASK_S

    def see(self, order: Order, unknown: bool, now_s: float) -> None:
        """What people see says that it is `unknown`, or does not."""
        if unknown:
            self._against_s[order] = now_s  # once it is seen, people have to hear of it
        elif now_s - self._against_s[order] > TOLD_S + BEAT_S:
            self._tell(order, now_s)
            self._found("O3", f"the {order[1]} of {order[0]} does not follow, and nobody is told")

    def _tell(self, order: Order, now_s: float) -> None:
        if order not in self._told:
            self._told.add(order)
            untold_s = now_s - self._against_s[order]
            self._figures.untold_s = max(self._figures.untold_s, untold_s)


def _of(fault: str) -> str:
    """Of which order a fault is."""
    return RELAY if fault in OF_RELAYS else SETPOINT
