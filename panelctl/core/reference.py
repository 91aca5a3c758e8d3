"""The decision over one panel, written to be read: what is asked of it, and the order of a step.

The parts of a step have a file each, here and in ext/panelctl/core, where the same is in Cython:
sight (what is seen), heat (limits and breakers), follow (relays and set-points against what they
were told), standing (how modulated loads stand), keep (who must open), restore (who may close),
fill (set-points).

Rules
- Integers only. Divisions are of numbers that are not negative, so that floor and truncation agree.
- What is not known is charged as drawing, never as free.
- Down at once, up only on a fresh mains reading, into room that the meter has already shown.
- A relay moves after a confirmed excess (`confirm_ns`), never to no effect, and never closes inside
  its minimum off time or while anybody claims it open.
- A load that was told to give way is charged with what it still draws until its meter agrees.

The order of a step: meters, mains and state, limits and heat, relays, then either the fail-safe or
keep → restore → fill. A row's amounts are counted in `scale` parts of a mA, so that the 1.25 of
continuous loads is a whole number.
"""

from __future__ import annotations

from panelctl.core.fill import Fill
from panelctl.core.layout import MODULATED, SWITCHED
from panelctl.core.standing import CLOSES_BY_ITSELF
from panelctl.model.reason import Reason, State


class Core(Fill):
    """The decision over one panel's flat memory. Every result is a field of `state`."""

    def claim(self, i: int, claim: int, reason: int, now_ns: int) -> None:
        """Add a claim to hold load `i` open; a modulated load is paused. Raises IndexError."""
        self._check(i)
        s = self.state
        s.claims[i] |= claim
        s.fit_ns[i] = 0
        if self.fixed.kind[i] == SWITCHED:
            self._order_open(i, now_ns)
        elif s.set_ma[i] > 0:
            self._lower(i, 0)
            s.opened_ns[i] = now_ns
        self._explain(i, reason, -1, 0, now_ns, 0)

    def release(self, i: int, claims: int, now_ns: int) -> None:
        """Take these claims back. What then holds load `i` open is its room. Raises IndexError."""
        self._check(i)
        s = self.state
        held = s.claims[i] & ~claims
        if s.claims[i] == held:
            return
        s.stop[i] = 0
        s.over_ns[i] = 0
        s.claims[i] = held | (CLOSES_BY_ITSELF if held == 0 else 0)
        self._explain(i, int(Reason.LIMIT), -1, 0, now_ns, 0)

    def _check(self, i: int) -> None:
        if not 0 <= i < self.fixed.loads:
            raise IndexError(f"load {i} of {self.fixed.loads}")

    def step(self, now_ns: int) -> None:
        """Decide on the latched image. Changes `state` only; bounded, no allocation that grows."""
        s = self.state
        if s.boot_ns[0] == 0:
            s.boot_ns[0] = s.step_ns[0] = s.heat_ns[0] = now_ns
            s.mains_ns[0] = s.mains_ns[0] or now_ns  # blind since before the start, maybe
            for i in self.loads:
                s.since_ns[i] = now_ns
                if s.claims[i] and self.fixed.kind[i] == MODULATED:
                    s.opened_ns[i] = now_ns  # it may have been paused just before the start
        self._measure(now_ns)
        self._see_sources(now_ns)
        self._see_mains(now_ns)
        self._be_wary()
        self._limits(now_ns)
        self._follow_relays(now_ns)
        self._watch_budgets(now_ns)
        if s.state[0] in (State.HOLD, State.SHED):
            self._fail_safe(now_ns)
        else:
            house = self._house()
            self._learn(house, now_ns)
            self._promote(now_ns)
            self._cool(now_ns)
            self._keep(house, now_ns)
            reserve = self._restore(house, now_ns)
            self._set(house, reserve, now_ns)
        self._stop_and_open(now_ns)
        for r in self.rows:
            s.headroom_ma[r] = s.limit_ma[r] - s.row_ma[r]
        s.step_ns[0] = now_ns
