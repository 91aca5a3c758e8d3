"""Opening links by their kind, and the one door of read-only mode.

A simulated network offers a function of the same shape as `open_link`.
"""

from __future__ import annotations

from collections.abc import Callable

from panelctl.clock import Clock
from panelctl.errors import ReadOnly
from panelctl.field.bus import Answer, BusLink, Turn
from panelctl.field.frames import Question
from panelctl.field.rtu import RtuLink
from panelctl.field.tcp import TcpLink
from panelctl.model.panel import Link

OpenLink = Callable[[Link, Clock], BusLink]


class ReadOnlyLink:
    """A link through which nothing is written, whoever asks: only read functions pass."""

    def __init__(self, link: BusLink) -> None:
        self.counts = link.counts
        self._link = link

    async def ask(self, question: Question, timeout_ms: int, turn: Turn) -> Answer:
        """See BusLink. Raises ReadOnly for a question that writes."""
        if question.writes:
            raise ReadOnly(f"function {question.function} writes, and this link is read-only")
        return await self._link.ask(question, timeout_ms, turn)

    async def close(self) -> None:
        """Give the port or the socket back."""
        await self._link.close()


def open_link(link: Link, clock: Clock) -> BusLink:
    """The real link: a serial port or a TCP connection."""
    return TcpLink(link, clock) if link.kind == "tcp" else RtuLink(link, clock)


def open_read_only(link: Link, clock: Clock) -> BusLink:
    """The real link, for looking only."""
    return ReadOnlyLink(open_link(link, clock))
