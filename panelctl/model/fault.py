"""What can be wrong with an order: the one table of it, for programs, for people and for the docs.

What holds a circuit open is the core's (core/decide/faults.py) and is named like its Reason; the
rest is what the field knows of orders that do not stand (field/orders.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """A relay or a load that does not do as it is told."""

    WELDED = "WELDED"
    STUCK_OPEN = "STUCK_OPEN"
    REFUSED_OPEN = "REFUSED_OPEN"
    REFUSED_CLOSE = "REFUSED_CLOSE"
    MOVED = "MOVED"
    IGNORES_BUDGET = "IGNORES_BUDGET"
    RELAY_LOST = "RELAY_LOST"
    SETPOINT_REFUSED = "SETPOINT_REFUSED"
    SETPOINT_LOST = "SETPOINT_LOST"
    SETPOINT_CONTRADICTED = "SETPOINT_CONTRADICTED"
    IGNORES_SETPOINT = "IGNORES_SETPOINT"


@dataclass(frozen=True, slots=True)
class Kind:
    """Of a fault: a few words and the rest of a sentence for people, what raises it, whether it
    holds the circuit open, what ends it without anybody, and what a person may do.
    """

    short: str
    sentence: str
    raised: str
    ends: str
    person: str
    holds: bool = False


LOST_S = 1.8  # so long an order may be without an acknowledgement before people are told,
LASTS_S = 1.0  # and a set-point contradicted
ACK = "look at it; `panelctl fault ack` ends it at once"
NOTHING_ENDS = "nothing"
NOTHING = "look at it; it ends by itself"
SEEN_OPEN = (
    "its relay read open and no current above `noise_a`, for 10 s, twice as long each time it "
    "comes back within an hour"
)
FAULTS: Mapping[Fault, Kind] = {
    Fault.WELDED: Kind(
        "WELDED: does not open",
        "its relay was told to open and did not, or current still flowed",
        "its relay reads closed, or its circuit carries more than `noise_a`, both sampled 1 s and "
        "more after its board acknowledged the order to open, or was heard again after 3 s in "
        "which it was not (where the board shows only what it was told, a contact that sticks "
        "closed is seen by its current alone)",
        SEEN_OPEN,
        ACK,
        holds=True,
    ),
    Fault.STUCK_OPEN: Kind(
        "STUCK: does not close",
        "its relay was told to close and did not",
        "its relay reads open 1 s and more after its board acknowledged the order to close, or was "
        "heard again after 3 s in which it was not (where "
        "the board shows only what it was told, a contact that sticks open is not seen)",
        "it is tried again after 10 s, twice as long each time; once it reads closed it is over",
        ACK,
        holds=True,
    ),
    Fault.REFUSED_OPEN: Kind(
        "REFUSED: its board does not open it",
        "its relay board refuses the order to open it",
        "its board refused the order to open twice (busy, or not reached by its gateway, is no "
        "refusal); from the first time on nothing is expected of it, and others are shed",
        SEEN_OPEN + "; until then it is ordered again every few seconds",
        ACK,
        holds=True,
    ),
    Fault.REFUSED_CLOSE: Kind(
        "REFUSED: its board does not close it",
        "its relay board refuses the order to close it",
        "its board refused the order to close twice",
        "it is tried again after 10 s, twice as long each time; once it reads closed it is over",
        ACK,
        holds=True,
    ),
    Fault.MOVED: Kind(
        "moved by somebody else",
        "somebody else moved its relay more than three times in ten minutes",
        "its relay followed its order and was then found elsewhere, more than three times in ten "
        "minutes: it is left alone for ten minutes, and then told again",
        "ten minutes and more later, " + SEEN_OPEN,
        ACK,
        holds=True,
    ),
    Fault.IGNORES_BUDGET: Kind(
        "ignores its budget",
        "it drew more than it was allowed",
        "a load that has a relay, or the compute node, drew more than its set-point and its "
        "tolerance for 2 s; after 5 s its relay opens",
        NOTHING_ENDS,
        "find out why; `panelctl fault ack` lets it start again",
        holds=True,
    ),
    Fault.RELAY_LOST: Kind(
        "its board does not answer",
        "its relay's order has not been acknowledged",
        f"the order was not acknowledged for {LOST_S:g} s, and not refused: its board may be "
        "starting anew",
        "the acknowledgement",
        NOTHING,
    ),
    Fault.SETPOINT_REFUSED: Kind(
        "refuses its set-point",
        "its device refuses its set-point",
        "the device refused the write twice",
        "the acknowledgement of a set-point",
        NOTHING,
    ),
    Fault.SETPOINT_LOST: Kind(
        "its set-point is not acknowledged",
        "its set-point has not been acknowledged",
        f"the write, or its repetition, was not acknowledged for {LOST_S:g} s, and not refused",
        "the acknowledgement",
        NOTHING,
    ),
    Fault.SETPOINT_CONTRADICTED: Kind(
        "has another set-point",
        "its device shows another set-point than it acknowledged",
        "what the device reads, or what the load's meter shows, contradicts the acknowledged "
        f"set-point for {LASTS_S:g} s; it is written again at once, three times, and then more "
        "seldom (to raise it only within `writes_per_day`)",
        "read-back and meter agree with it",
        NOTHING,
    ),
    Fault.IGNORES_SETPOINT: Kind(
        "draws more than it is told",
        "it draws more than it is told",
        "a load without a relay draws more than its set-point and its tolerance for 2 s",
        "it draws no more than that",
        NOTHING,
    ),
}
OF_ORDERS = {
    ("relay", "LOST"): Fault.RELAY_LOST,
    ("set-point", "REFUSED"): Fault.SETPOINT_REFUSED,
    ("set-point", "LOST"): Fault.SETPOINT_LOST,
    ("set-point", "CONTRADICTED"): Fault.SETPOINT_CONTRADICTED,
}  # what an order that does not stand is; a relay that is refused is judged by the core
