"""Opening links by their kind, and the one door of read-only mode.

A simulated network offers a function of the same shape as `open_link`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from panelctl.clock import Clock
from panelctl.errors import ReadOnly
from panelctl.field.bus import Answer, BusLink, Turn, Ways
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

    def meet(self, unit: int, gap_ms: float, late_ms: float) -> None:
        """See BusLink."""
        self._link.meet(unit, gap_ms, late_ms)

    def when(self, ways: Ways) -> int:
        """See BusLink."""
        return self._link.when(ways)

    async def ask(
        self, ways: Ways, timeout_ms: float, turn: Turn, sync: Sequence[Question] = ()
    ) -> Answer:
        """See BusLink. Raises ReadOnly for a question that writes."""
        for question in (ways,) if isinstance(ways, Question) else ways:
            if question.writes:
                raise ReadOnly(f"function {question.function} writes, and this link is read-only")
        return await self._link.ask(ways, timeout_ms, turn, sync)

    async def close(self) -> None:
        """Give the port or the socket back."""
        await self._link.close()


def open_link(link: Link, clock: Clock) -> BusLink:
    """The real link: a serial port or one behind a server, a TCP connection or datagrams."""
    return RtuLink(link, clock) if link.rtu else TcpLink(link, clock)


def open_read_only(link: Link, clock: Clock) -> BusLink:
    """The real link, for looking only."""
    return ReadOnlyLink(open_link(link, clock))
