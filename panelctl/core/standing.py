"""How modulated loads stand: what each counts with, and whether it may stop, leaves or lingers.

ext/panelctl/core/_standing.pxi does the same in Cython.

Rules
- What a modulated load may draw and does not draw opens nobody's relay.
- Whoever was told to go counts as gone while it has time to obey, and then with what it draws.
"""

from __future__ import annotations

from panelctl.core.follow import Follow
from panelctl.model.relay import Claim

CLOSES_BY_ITSELF = int(Claim.PCS)  # the only claim that panelctl itself may take back


class Standing(Follow):
    """The household without the modulated loads, and each of those."""

    def _house(self) -> list[int]:
        """Per row: what flows without the modulated loads whose own meters were fresh."""
        f, s = self.fixed, self.state
        house = [f.scale[r] * s.flow_ma[r] for r in self.rows]
        for i in self.modulated:
            for r in self.rows:
                house[r] -= s.at_mains_ma[i * f.rows + r]
        return house

    def _least(self, i: int, now_ns: int, waits: bool) -> list[int]:
        """Per row: what modulated load `i` can be brought down to; within `react_ns`, or, for who
        `waits` until the room is really there, at all.
        """
        f, s = self.fixed, self.state
        if not s.apart[i]:
            return [0 for _ in self.rows]  # its draw is still inside the mains sum
        late = s.claims[i] != 0 and not self._leaving(i, now_ns)
        stays_up = self._disobeys(i) or f.settle_ns[i] > f.react_ns[0]
        if waits:
            stays_up = self._deaf(i, now_ns)
        floor = f.floor_ma[i] if s.set_ma[i] > 0 else 0
        least = []
        for r in self.rows:
            ma = floor
            if late or stays_up:
                ma = max(ma, s.meas_ma[i * f.rows + r])
            least.append(f.coef[i * f.rows + r] * ma)
        return least

    def _deaf(self, i: int, now_ns: int) -> bool:
        """Whether modulated load `i` has not done as it was told for so long that nobody waits."""
        f, s = self.fixed, self.state
        over_ns = now_ns - s.over_ns[i] if s.over_ns[i] else 0
        return self._disobeys(i) and over_ns >= f.node_fault_ns[0]

    def _flowing(self, i: int, now_ns: int) -> list[int]:
        """Per row: what of `_least` flows already. A charger without a car has its least current
        and takes nothing of it; when the car comes, that is an excess like any other. Not where a
        breaker's credit is used: so near to its heat there is no time to wait for the car.
        """
        f, s, rows = self.fixed, self.state, self.fixed.rows
        return [
            least if f.credit[r] else min(least, f.coef[i * rows + r] * s.meas_ma[i * rows + r])
            for r, least in enumerate(self._least(i, now_ns, False))
        ]

    def _inside(self, i: int, r: int) -> int:
        """What modulated load `i`, if its own meter is old, surely takes of the mains sum, mA.

        It is told no more than its fallback; what it drew last may be less than its floor.
        """
        f, s = self.fixed, self.state
        if s.apart[i]:
            return 0
        return min(f.floor_ma[i], s.meas_ma[i * f.rows + r]) if s.measured[i] else f.floor_ma[i]

    def _stays(self, i: int, now_ns: int) -> bool:
        """Whether load `i` is inside its minimum on time."""
        closed_ns = self.state.closed_ns[i]
        return closed_ns > 0 and now_ns - closed_ns < self.fixed.min_on_ns[i]

    def _may_pause(self, i: int) -> bool:
        """Whether modulated load `i` runs and may be told to stop for the sake of a limit."""
        return self.fixed.can_pause[i] == 1 and self.state.set_ma[i] > 0

    def _leaving(self, i: int, now_ns: int) -> bool:
        """Whether modulated load `i` was just told to go: its relay moves, or it may still obey."""
        f, s = self.fixed, self.state
        has_time = now_ns - s.opened_ns[i] < min(f.settle_ns[i], f.react_ns[0])
        return bool(s.flying[i] or (s.claims[i] and has_time))

    def _lingers(self, i: int, now_ns: int) -> bool:
        """Whether load `i` is a node that was stopped, had time to obey, and is closed."""
        f, s = self.fixed, self.state
        return (
            f.compute[i] == 1
            and f.relay_slot[i] >= 0
            and s.claims[i] != 0
            and s.closed[i] == 1
            and now_ns - s.opened_ns[i] >= f.node_open_ns[0] - f.node_fault_ns[0]
            and self._relay_seen(i, now_ns)
        )
