"""What is odd about a link, in words for people: one remark a link. It never makes a reply right.

A remark needs evidence: the same oddity three times. It goes away after a minute and twenty right
answers in a row without it. A gateway that answers as another unit also seems to have lost step now
and then, where both units are asked alike; one that has lost step never seems to be the other.
"""

from __future__ import annotations

from panelctl.field.bus import LinkCounts
from panelctl.field.frames import Question, is_rtu
from panelctl.modbus.crc import crc16
from panelctl.units import NS_PER_S

EVIDENCE = 3
CLEARED_BY = 20
KEPT_NS = 60 * NS_PER_S
SHIFTED = "it answers with the replies to earlier questions; panelctl pauses and asks anew"
NEXT_NUMBER = "it answers with another transaction number: its replies cannot be told apart"
NEVER_SILENT = "somebody never stops talking on it"


class Diagnosis:
    """The remark of one link."""

    def __init__(self, counts: LinkCounts) -> None:
        self._counts = counts
        self._evidence: dict[str, int] = {}
        self._fine = 0
        self._noted_ns = 0

    def note(self, remark: str, now_ns: int, weight: int = 1) -> None:
        """One more piece of evidence."""
        self._fine, self._noted_ns = 0, now_ns
        seen = self._evidence[remark] = self._evidence.get(remark, 0) + weight
        if seen >= EVIDENCE and (remark != SHIFTED or not self._counts.remark):
            self._counts.remark = remark

    def fine(self, now_ns: int) -> None:
        """A right answer."""
        if self._evidence:
            self._fine += 1
            if self._fine >= CLEARED_BY and now_ns - self._noted_ns >= KEPT_NS:
                self._evidence.clear()
                self._counts.remark = ""


def as_unit(unit: int, asked: int) -> str:
    """The remark on a gateway that does not repeat the unit."""
    return f"asked as unit {asked} it answers as unit {unit}: use the unit id that it answers as"


def rtu_framing(host: str, port: int) -> str:
    """The remark on a serial server that was taken for a Modbus TCP gateway."""
    return f"this is RTU framing: use rtu+tcp://{host}:{port}?baud=…"


def speaks_rtu(asked: list[Question], data: bytes) -> bool:
    """Whether what came on a Modbus TCP connection answers one of these questions in RTU."""
    return any(is_rtu(question, data) for question in asked)


def foreign_unit(question: Question, data: bytes) -> int | None:
    """The unit of a frame in `data` that would be the reply if it came from the unit asked."""
    size = 1 + question.reply_len + 2
    for start in range(len(data) - size + 1):
        frame = data[start : start + size]
        if frame[1:].startswith(question.reply_head) and crc16(frame) == 0:
            return frame[0] if frame[0] != question.unit else None
    return None
