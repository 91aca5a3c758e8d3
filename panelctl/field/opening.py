"""When a link is opened, given up and opened again. One rule for ports and connections. Sans-IO.

Rules
- What cannot be opened is tried again after a tenth of a second, then a little longer.
- A link on which nothing is heard three questions in a row is closed and opened again: a port whose
  adapter sits elsewhere now, or a gateway that lost its power, stays open for ever otherwise.
- One that has said nothing at all since it was opened may be deaf for a while yet: it gets
  FIRST_PATIENCE_NS, and each time in vain twice as long.
- How long it was deaf is learnt. When it was so twice running, nothing is asked before any more.
"""

from __future__ import annotations

from panelctl.field.bus import LinkCounts
from panelctl.units import NS_PER_MS

REOPEN_FIRST_NS = 100 * NS_PER_MS
REOPEN_MOST_NS = 300 * NS_PER_MS  # with one sweep a link that was lost is back within a second
SILENT_MOST = 3
FIRST_PATIENCE_NS = 1_200 * NS_PER_MS
MOST_PATIENCE_NS = 20_000 * NS_PER_MS
DEAF_LEAST_NS = 300 * NS_PER_MS  # shorter than this is a slow start, not a habit
DEAF_MOST_NS = 5_000 * NS_PER_MS
HEADROOM = 1.1


class Opening:
    """The state of one link. `settle_ms` is told in its URL, 0 for unknown."""

    def __init__(self, counts: LinkCounts, settle_ms: int) -> None:
        self.counts = counts
        self.settled_ns = 0  # nothing is asked before
        counts.settle_ms = settle_ms
        self._reopen_ns = 0
        self._backoff_ns = REOPEN_FIRST_NS
        self._patience_ns = FIRST_PATIENCE_NS
        self.opened_ns = 0  # when it was opened last
        self._silent = 0
        self._heard = False
        self._lost_some = False
        self._learnt_ms = 0  # when it was opened last
        self._told = settle_ms > 0

    @property
    def answers(self) -> bool:
        """Whether anything was heard since it was opened."""
        return self._heard

    def may_open(self, now_ns: int) -> bool:
        """Whether it is time to try."""
        return now_ns >= self._reopen_ns

    def failed(self, now_ns: int, error: str) -> None:
        """It could not be opened."""
        self.lost(now_ns, error)
        self._backoff_ns = min(2 * self._backoff_ns, REOPEN_MOST_NS)

    def opened(self, now_ns: int) -> None:
        """It is open."""
        counts = self.counts
        counts.reopened += 1
        counts.up, counts.since_ns = True, now_ns
        self._backoff_ns = REOPEN_FIRST_NS
        self.opened_ns = now_ns
        self._silent, self._heard, self._lost_some = 0, False, False
        self.settled_ns = now_ns + counts.settle_ms * NS_PER_MS

    def lost(self, now_ns: int, error: str) -> None:
        """It is not open any more."""
        counts = self.counts
        if counts.up or not counts.since_ns:
            counts.since_ns = now_ns
        counts.up, counts.error = False, error
        self._reopen_ns = now_ns + self._backoff_ns

    def heard(self, now_ns: int) -> None:
        """Something came."""
        self._silent = 0
        if self._heard:
            return
        self._heard = True
        self._patience_ns = FIRST_PATIENCE_NS
        if not self._told:
            self._learn(now_ns - self.opened_ns)

    def _learn(self, deaf_ns: int) -> None:
        """It was deaf for so long after it was opened, or not at all."""
        if not self._lost_some:
            if deaf_ns < DEAF_LEAST_NS:
                self._learnt_ms = 0
            return
        learnt_ms = int(deaf_ns * HEADROOM) // NS_PER_MS if deaf_ns < DEAF_MOST_NS else 0
        self.counts.settle_ms = min(self._learnt_ms, learnt_ms)
        self._learnt_ms = learnt_ms

    def silent(self, now_ns: int) -> bool:
        """A question was lost and nothing was heard meanwhile. True: give the link up."""
        self._silent += 1
        self._lost_some = True
        if self._silent < SILENT_MOST:
            return False
        if not self._heard:
            if now_ns - self.opened_ns < self._patience_ns:
                return False
            self._patience_ns = min(2 * self._patience_ns, MOST_PATIENCE_NS)
        return True
