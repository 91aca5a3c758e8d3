"""A link of which only the answers are made up, for tests of those who ask."""

from __future__ import annotations

from collections.abc import Sequence

from panelctl.field.bus import Answer, LinkCounts, Turn, Ways
from panelctl.field.frames import Question


class MadeUpLink:
    """Always ready; `answer` says what a question gets."""

    def __init__(self) -> None:
        self.counts = LinkCounts()
        self.deaf = False  # replies are lost

    def meet(self, unit: int, gap_ms: float, late_ms: float) -> None: ...

    def when(self, ways: Ways) -> int:
        return 0

    async def ask(
        self, ways: Ways, timeout_ms: float, turn: Turn, sync: Sequence[Question] = ()
    ) -> Answer:
        return self.answer(ways if isinstance(ways, Question) else ways[0], turn)

    def answer(self, question: Question, turn: Turn) -> Answer:
        raise NotImplementedError

    async def close(self) -> None: ...
