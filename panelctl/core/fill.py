"""Set-points, written to be read. ext/panelctl/core/_fill.pxi does the same in Cython.

Rules
- Down at once; up only on a fresh mains reading, into room that the meter has already shown.
- A load that has not come down yet is paid for by those after it.
"""

from __future__ import annotations

from panelctl.core.restore import Restore
from panelctl.model.reason import Reason

STILL_NS = 1_000_000_000_000


class Fill(Restore):
    """What modulated loads may draw."""

    def _set(self, house: list[int], reserve: list[int], now_ns: int) -> None:
        """Set-points: down at once to what the ladder gives, up into room that is really there."""
        f, s = self.fixed, self.state
        rows = f.rows
        fresh = now_ns - s.mains_ns[0] <= f.fresh_ns[0]
        fill = [
            f.scale[r] * (s.fill_ma[r] - s.wary_ma[r] - self._margin_of(r, f.fill_margin_ma[0]))
            - house[r]
            - reserve[r]
            for r in self.rows
        ]
        running = [i for i in self.modulated if not s.claims[i] and not s.stop[i]]
        running.sort(key=lambda i: (s.tier[i], i))
        order = sorted(running, key=lambda i: (f.rest_tier[i], i))
        room = list(fill)
        size = [0] * f.loads
        for i in self.modulated:
            if i in running:
                want = s.want_ma[i]
                if not self._may_change(i, now_ns):
                    want = min(want, s.set_ma[i])  # nothing is kept free that it cannot take yet
                size[i] = max(0, want - f.floor_ma[i])
                floor = f.floor_ma[i] if s.apart[i] else 0
                for r in self.rows:
                    room[r] -= f.coef[i * rows + r] * floor
            else:
                for r in self.rows:
                    room[r] -= self._charge(i, r)
        taken = self._serve(order, f.rest_tier, f.coef, size, room)
        extra = [0 for _ in self.rows]
        for i in order:
            # A load that has not come down yet is paid for by those after it, one that takes more
            # than it was ever told by itself.
            over = self._over(i)
            for r in self.rows:
                due = extra[r] + f.coef[i * rows + r] * over
                if f.coef[i * rows + r] and room[r] < due:
                    cut = min(taken[i], -((room[r] - due) // f.coef[i * rows + r]))
                    taken[i] -= cut
                    for q in self.rows:
                        room[q] += f.coef[i * rows + q] * cut
            target = f.floor_ma[i] + taken[i]
            target -= target % f.step_ma[i]
            target = max(target, f.floor_ma[i])
            if s.stale[i]:
                target = min(target, f.fallback_ma[i])
            if s.apart[i]:
                moving = self._above(i, f.floor_ma[i] + taken[i])
                for r in self.rows:
                    k = i * rows + r
                    drawn = s.meas_ma[k] + (self._error(s.meas_ma[k]) if moving else 0)
                    extra[r] += f.coef[k] * max(0, drawn - f.floor_ma[i] - taken[i])
            taken[i] = target
            if target < s.set_ma[i]:
                self._lower(i, target)
        for i in order:
            target = taken[i]
            reason = Reason.NONE
            if s.stale[i]:
                reason = Reason.STALE
            elif target < f.max_ma[i] and target < s.want_ma[i] - f.step_ma[i]:
                reason = Reason.LIMIT
            elif s.want_ma[i] == self._branch_top(i) < f.max_ma[i]:
                reason = Reason.HOT
            ramping = False
            # A load that draws more than it is allowed does not get more for it.
            if target > s.set_ma[i] and fresh and not s.stale[i] and not s.over_ns[i]:
                ramping = not self._climb(i, target, fill, now_ns)
            if ramping and reason == Reason.NONE:
                reason = Reason.RAMP
            row = -1
            if reason == Reason.LIMIT:
                for r in self.rows:
                    if f.coef[i * rows + r] and (row < 0 or room[r] < room[row]):
                        row = r
            short = s.want_ma[i] - target if reason == Reason.LIMIT else 0
            self._explain(i, int(reason), row, short, now_ns, 0)

    def _over(self, i: int) -> int:
        """How much more load `i` takes than it was told for a while, mA: within its tolerance, or
        it is soon at fault. As much as its meter may err is left out.
        """
        s = self.state
        if not s.apart[i]:
            return 0
        draw = self._draw(i)
        return max(0, draw - self._error(draw) - max(s.allow_ma[i], s.allowed_ma[i]))

    def _climb(self, i: int, target: int, fill: list[int], now_ns: int) -> bool:
        """Raise load `i` towards `target`; True when it got there."""
        f, s = self.fixed, self.state
        top = target
        for r in self.rows:
            if f.coef[i * f.rows + r]:
                free = fill[r]
                for k in self.modulated:
                    # One that draws more than its set-point has that much less to be given.
                    own = f.coef[k * f.rows + r] * max(s.set_ma[k], s.meas_ma[k * f.rows + r])
                    free -= own if k == i else self._charge(k, r)
                top = min(top, s.set_ma[i] + max(0, free) // f.coef[i * f.rows + r])
        elapsed = min(now_ns - s.step_ns[0], 1_000_000_000)
        grow = f.ramp_ma_s[i] * elapsed // 1_000_000_000
        still = min(now_ns - s.moved_ns[i], STILL_NS)
        if grow < f.step_ma[i] <= f.ramp_ma_s[i] * still // 1_000_000_000:
            grow = f.step_ma[i]  # a ramp slower than a step a cycle takes one step now and then
        top = min(top, max(f.floor_ma[i], s.set_ma[i] + grow))
        if top < f.floor_ma[i]:
            return False  # between nothing and its least it cannot run
        top = max(f.floor_ma[i], top - top % f.step_ma[i])
        if (
            top < target
            and f.change_ns[i]
            and any(not s.stale[k] and self._above(k, s.set_ma[k]) for k in self.modulated)
        ):
            return False  # somebody is giving way: a half step now would cost `change_ns`
        if top > s.set_ma[i]:
            self._raise(i, top, now_ns)
        return bool(top >= target)
