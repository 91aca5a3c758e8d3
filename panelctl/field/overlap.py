"""How many questions a Modbus TCP server may be asked at once. It is tried, never assumed.

Rules
- A connection begins with one at a time. After SINGLES right answers two are tried at once; after
  PAIRS of such pairs were answered rightly it takes as many as the link allows.
- A question that was lost while another was under way puts it back to one, if its unit had been
  answering. When that unit is then lost alone too, it was the unit, and all is as it was.
"""

from __future__ import annotations

from panelctl.field.bus import LinkCounts, TurnQueue
from panelctl.units import NS_PER_S

SINGLES = 5
PAIRS = 20
AGAIN_FIRST_NS = 30 * NS_PER_S
AGAIN_MOST_NS = 600 * NS_PER_S


class Overlap:
    """What is known of one connection. `most` is the link's own limit."""

    def __init__(self, counts: LinkCounts, turns: TurnQueue, most: int) -> None:
        self._counts = counts
        self._turns = turns
        self._most = most
        self._right = 0  # answers since the present width
        self._again_ns = 0  # no trial before
        self._wait_ns = AGAIN_FIRST_NS
        self._suspect: tuple[int, int] | None = None  # the unit that was lost, and the width then
        self._silent: set[int] = set()  # units that were lost last time

    def connected(self) -> None:
        """A new connection: nothing is known of it."""
        self._wait_ns, self._again_ns, self._suspect = AGAIN_FIRST_NS, 0, None
        self._set(1)

    def answered(self, unit: int, overlapped: bool, now_ns: int) -> None:
        """A right answer; `overlapped`: another question was under way with it."""
        if self._silent:
            self._silent.discard(unit)
        width = self._counts.width
        if width >= self._most:
            return
        if self._suspect is not None and self._suspect[0] == unit:
            self._suspect = None  # alone it answers: it was the other question
        self._right += 1 if width == 1 else overlapped
        if width == 1 and self._right >= SINGLES and now_ns >= self._again_ns:
            self._set(min(2, self._most))
        elif width > 1 and self._right >= 2 * PAIRS:
            self._set(self._most)

    def lost(self, unit: int, overlapped: bool, now_ns: int) -> None:
        """No right answer."""
        before = unit in self._silent
        self._silent.add(unit)
        if self._suspect is not None and self._suspect[0] == unit and not overlapped:
            self._set(self._suspect[1])
            self._suspect, self._again_ns = None, 0
        elif overlapped and not before and self._counts.width > 1:
            self._suspect = (unit, self._counts.width)
            self._again_ns = now_ns + self._wait_ns
            self._wait_ns = min(2 * self._wait_ns, AGAIN_MOST_NS)
            self._set(1)

    def _set(self, width: int) -> None:
        self._counts.width = width
        self._right = 0
        self._turns.widen(width)
