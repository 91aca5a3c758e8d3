"""What became of each order: given, acknowledged, refused, lost or contradicted; and what people
are told of it.

Rules
- What is ordered, what was acknowledged and what is are three things. This is the second; the first
  is the engine's, the third is what is read back.
- A device that refuses says so itself: told with the second refusal of one order. One that says
  nothing may be starting anew: told after LOST_NS.
- One that was acknowledged and is not followed is CONTRADICTED: whoever compares (setpoints.py)
  says so, and when it is over.
- What was told is told once more when it is over. Nothing here decides anything.
- FOLLOWED is no trouble of an order, and stands beside them: somebody else told the device less
  than we would, and that is what it has for a while (setpoints.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from panelctl.errors import DeviceRefused, FieldError
from panelctl.field.frames import BUSY_CODES, UNREACHED
from panelctl.model.fault import LOST_S
from panelctl.model.record import EventRecord, OrderRecord
from panelctl.units import NS_PER_S, ns_from_s

REFUSALS = 2  # the first may be a device that was busy
LOST_NS = ns_from_s(LOST_S)
MOST_TEXT = 120
WRONG = ("REFUSED", "LOST", "CONTRADICTED")
FOLLOWED = "FOLLOWED"
TOLD = (*WRONG, "ACKNOWLEDGED", "WITHDRAWN")  # how an event about an order begins
Key = tuple[str, str]  # the circuit, and `relay` or `set-point`


@dataclass(slots=True)
class Order:
    """One order that is in force. `since_ns` is when it was given; the counts are its own."""

    ordered: str
    since_ns: int
    open: bool = True  # it has not been acknowledged
    refused: int = 0
    lost: int = 0
    error: str = ""
    reads: str = ""  # what its device says or does instead, since `astray_ns`
    astray_ns: int = 0
    told: str = ""  # the state that people were told of

    def state(self, now_ns: int) -> str:
        """PENDING, ACKNOWLEDGED, CONTRADICTED, REFUSED or LOST."""
        if self.open and self.refused >= REFUSALS:
            return "REFUSED"
        if self.open and now_ns - self.since_ns >= LOST_NS:
            return "LOST"
        if self.reads:  # of the order before, too: it is not where it is wanted
            return "CONTRADICTED"
        return "PENDING" if self.open else "ACKNOWLEDGED"


def refuses(error: FieldError) -> bool:
    """Whether the device itself refuses: neither a gateway that does not reach it, nor one that is
    busy and may do it yet.
    """
    return isinstance(error, DeviceRefused) and error.code not in (*UNREACHED, *BUSY_CODES)


class Orders:
    """The orders of a panel's outputs."""

    def __init__(self) -> None:
        self._orders: dict[Key, Order] = {}
        self._remarks: list[EventRecord] = []
        self._followed: dict[Key, tuple[str, str, float, float]] = {}

    def follow(self, key: Key, wanted: str, reads: str, since_s: float, until_s: float) -> None:
        """The device is left at what it `reads`, where we would have it `wanted`: that began
        `since_s` ago and ends in `until_s`.
        """
        self._followed[key] = (wanted, reads, since_s, until_s)

    def follow_no_more(self, key: Key) -> None:
        """What it is to have is ours to say again."""
        self._followed.pop(key, None)

    def give(self, key: Key, ordered: str, now_ns: int) -> None:
        """This is what is wanted now, and does not stand yet. One that comes before the last was
        acknowledged goes on with its counts: a budget changes all the time.
        """
        before = self._orders.get(key)
        if before is None:
            self._orders[key] = Order(ordered, now_ns)
        elif before.open:
            before.ordered = ordered
        else:
            after = self._orders[key] = Order(ordered, now_ns, told=before.told)
            after.reads, after.astray_ns = before.reads, before.astray_ns

    def refused(self, key: Key) -> int:
        """How often the device has refused it so far."""
        order = self._orders.get(key)
        return order.refused if order is not None else 0

    def withdraw(self, key: Key) -> None:
        """What is wanted now is what is: an order that never stood is none any more."""
        order = self._orders.get(key)
        if order is not None and order.open:
            del self._orders[key]
            if order.told:
                text = f"WITHDRAWN: {key[1]} {order.ordered}"
                self._remarks.append({"what": "order", "circuit": key[0], "text": text})

    def acknowledge(self, key: Key) -> None:
        """The device has taken it."""
        if (order := self._orders.get(key)) is not None:
            order.open = False

    def compare(self, key: Key, reads: str | None, now_ns: int) -> None:
        """What its device says or does instead of what it has taken; None when it follows."""
        if (order := self._orders.get(key)) is None:
            return
        if reads is None:
            order.reads = ""
        else:
            order.astray_ns = order.astray_ns if order.reads else now_ns
            order.reads = reads

    def remark(self, event: EventRecord) -> None:
        """Something of an output that people are to hear once."""
        self._remarks.append(event)

    def fail(self, key: Key, error: FieldError, now_ns: int) -> None:
        """The device has refused it, or nothing was heard. One that it had taken before is given
        anew: what is not repeated in time is not kept by every device.
        """
        order = self._orders.get(key)
        if order is None:
            return
        if not order.open and not order.reads:  # a contradiction says more
            order.open, order.since_ns, order.refused, order.lost = True, now_ns, 0, 0
        if refuses(error):
            order.refused += 1
        else:
            order.lost += 1
        order.error = str(error)[:MOST_TEXT]

    def records(self, now_ns: int) -> tuple[list[OrderRecord], list[EventRecord]]:
        """The orders that do not stand, and the events since the last call."""
        records: list[OrderRecord] = []
        events, self._remarks = self._remarks, []
        for (circuit, of), order in self._orders.items():
            state = order.state(now_ns)
            wrong = state in WRONG
            if wrong:
                records.append(_record(circuit, of, order, state, now_ns))
            if wrong and order.told != state:
                order.told = state
                why = f": {order.error}" if order.error else ""
                if state == "CONTRADICTED":
                    why = f", the device reads {order.reads}"
                text = f"{state}: {of} {order.ordered}{why}"
                events.append({"what": "order", "circuit": circuit, "text": text})
            elif state == "ACKNOWLEDGED" and order.told:
                order.told = ""
                text = f"ACKNOWLEDGED: {of} {order.ordered}"
                events.append({"what": "order", "circuit": circuit, "text": text})
        for (circuit, of), (wanted, reads, since_s, until_s) in self._followed.items():
            records.append(
                {
                    "circuit": circuit,
                    "of": of,
                    "ordered": wanted,
                    "state": FOLLOWED,
                    "since_s": round(since_s, 1),
                    "refused": 0,
                    "lost": 0,
                    "reads": reads,
                    "until_s": round(until_s, 1),
                }
            )
        return records, events


def _record(circuit: str, of: str, order: Order, state: str, now_ns: int) -> OrderRecord:
    contradicted = state == "CONTRADICTED"
    since_ns = order.astray_ns if contradicted else order.since_ns
    record: OrderRecord = {
        "circuit": circuit,
        "of": of,
        "ordered": order.ordered,
        "state": state,
        "since_s": round((now_ns - since_ns) / NS_PER_S, 1),
        "refused": order.refused,
        "lost": order.lost,
    }
    if contradicted:
        record["reads"] = order.reads
    elif order.error:
        record["error"] = order.error
    return record
