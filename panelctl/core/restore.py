"""Who may close, written to be read. ext/panelctl/core/_restore.pxi does the same in Cython.

Rules
- A relay never closes inside its minimum off time, on a reading that is not fresh, or while anybody
  but panelctl claims it open.
- One at a time, into room that lasted; later ranks give way, and nobody gives way in vain.
- A node that was stopped comes back last.
"""

from __future__ import annotations

from collections.abc import Sequence

from panelctl.core.keep import Keep
from panelctl.core.layout import LEG_ROWS, MODULATED, SWITCHED
from panelctl.core.standing import CLOSES_BY_ITSELF
from panelctl.model.reason import Reason, Wait


class Restore(Keep):
    """Who waits for room, and who gets it."""

    def _restore(self, house: list[int], now_ns: int) -> list[int]:
        """Who may close. Returns, per row, the room that is kept free for loads on their way up."""
        f, s = self.fixed, self.state
        rows = f.rows
        fresh = now_ns - s.mains_ns[0] <= f.fresh_ns[0]
        reserve = [0 for _ in self.rows]
        flying = [0 for _ in self.rows]
        for i in self.switched:
            settling = s.closed[i] == 1 and s.closed_ns[i] > 0
            if settling and now_ns - s.closed_ns[i] <= f.close_settle_ns[0]:
                for r in self.rows:
                    k = i * rows + r
                    reserve[r] += f.coef[k] * max(0, self._demand(i, r, now_ns) - s.meas_ma[k])
            if s.flying[i]:
                for r in self.rows:
                    flying[r] += f.plain[i * rows + r] * s.relief_of_ma[i * rows + r]
        margin = [
            0 if f.calm[r] else f.scale[r] * self._margin_of(r, f.restore_margin_ma[0])
            for r in self.rows
        ]
        top = [
            f.scale[r] * (min(s.limit_ma[r], s.fill_ma[r]) - s.wary_ma[r])
            - margin[r]
            - house[r]
            - reserve[r]
            for r in self.rows
        ]
        room = list(top)
        drawn = [0 for _ in self.rows]
        own = [0] * (f.loads * rows)  # what each modulated load counts with already
        for i in self.modulated:
            least = self._least(i, now_ns, True)
            leaving = self._leaving(i, now_ns)
            for r in self.rows:
                own[i * rows + r] = least[r]
                room[r] -= least[r]
                if leaving:
                    flying[r] += f.plain[i * rows + r] * self._inside(i, r)
                # A hair above its set-point is inside the restore margin.
                near = s.apart[i] and not self._above(i, s.set_ma[i])
                drawn[r] += f.coef[i * rows + r] * s.set_ma[i] if near else self._charge(i, r)
        rank = [self._rank(i) for i in self.loads]
        waiting = [i for i in self.loads if s.claims[i] == CLOSES_BY_ITSELF]
        waiting.sort(key=lambda i: (rank[i], i))
        coef = [0] * (f.loads * rows)
        size = [0] * f.loads
        worth = [0] * f.loads
        for i in waiting:
            may = not self._cooling(i) and not self._resting(i, now_ns)
            size[i] = int(may and not self._unseen(i, now_ns))
            worth[i] = 1
            for r in self.rows:
                need = f.coef[i * rows + r] * self._demand(i, r, now_ns)
                coef[i * rows + r] = max(need - own[i * rows + r], min(need, 1))
                if r < LEG_ROWS:
                    worth[i] += coef[i * rows + r]
        left = list(room)  # as the ladder leaves it to the load whose turn it is
        taken = self._serve(waiting, rank, coef, size, room, worth)
        chosen = -1
        displaced = pushing = False
        for i in waiting:
            if taken[i]:
                for r in self.rows:
                    left[r] -= coef[i * rows + r]
            if self._unseen(i, now_ns):
                s.fit_ns[i] = 0
                self._wait(i, int(Wait.BLIND), -1, 0)
                continue
            if self._cooling(i) or self._resting(i, now_ns):
                s.fit_ns[i] = 0
                self._wait(i, int(Wait.COOLING if self._cooling(i) else Wait.WORN), -1, 0)
                continue
            way: list[int] = []
            if not taken[i]:
                short = [
                    max(0, coef[i * rows + r] - left[r] - flying[r]) if coef[i * rows + r] else 0
                    for r in self.rows
                ]
                way = [] if displaced else self._who_gives_way(i, rank, short, now_ns)
                displaced = displaced or bool(way)  # only the first that can push others aside
                if not way and any(short):
                    row, missing = self._shortest(i, coef, left)
                    s.fit_ns[i] = 0
                    self._wait(i, int(Wait.NO_ROOM), row, missing)
                    continue
            if s.fit_ns[i] == 0 and fresh:
                s.fit_ns[i] = now_ns
            if now_ns - s.opened_ns[i] < f.min_off_ns[i]:
                self._wait(i, int(Wait.MIN_OFF), -1, 0)
                continue
            # Nobody of a later rank takes the room that an earlier one is having made.
            first = chosen < 0 and not pushing
            pushing = pushing or not taken[i]
            if not fresh or now_ns - s.fit_ns[i] < f.restore_hold_ns[0]:
                self._wait(i, int(Wait.STEADY), -1, 0)
            elif not first or (
                s.restored_ns[0] and now_ns - s.restored_ns[0] < f.restore_interval_ns[0]
            ):
                self._wait(i, int(Wait.STAGED), -1, 0)
            elif not taken[i]:
                row, missing = self._shortest(i, coef, left)
                for k in way:
                    self._shed(k, Reason.GAVE_WAY, row, missing, now_ns)
                self._wait(i, int(Wait.MAKING_ROOM), -1, 0)
            else:
                chosen = i
                self._wait(i, int(Wait.MAKING_ROOM), -1, 0)
        if chosen < 0:
            return reserve
        open_now = True
        for r in self.rows:
            need = coef[chosen * rows + r]
            if need and need > top[r] - drawn[r]:
                open_now = False
        for r in self.rows:
            reserve[r] += coef[chosen * rows + r]
        if not open_now:
            # The set-points must come down far enough to leave the restore margin free as well.
            for r in self.rows:
                if coef[chosen * rows + r]:
                    fill = f.scale[r] * self._margin_of(r, f.fill_margin_ma[0])
                    reserve[r] += max(0, margin[r] - fill)
        else:
            self._close(chosen, now_ns)
            if f.kind[chosen] == MODULATED:
                for r in self.rows:
                    reserve[r] -= coef[chosen * rows + r]
        return reserve

    def _who_gives_way(
        self, i: int, rank: Sequence[int], short: list[int], now_ns: int
    ) -> list[int]:
        """Closed loads of later tiers, the last first, that would make room for load `i`.

        None when all of them would not do, so that nobody is opened in vain.
        """
        f = self.fixed
        way: list[int] = []
        missing = list(short)
        later = [
            k
            for k in self.loads
            if rank[k] > rank[i] and (self._lingers(k, now_ns) or self._may_yield(k, now_ns))
        ]
        for k in sorted(later, key=lambda k: (-rank[k], -k)):
            relief = self._relief(k, now_ns)
            if any(missing[r] > 0 and relief[r] >= f.scale[r] * f.relief_ma[0] for r in self.rows):
                way.append(k)
                for r in self.rows:
                    missing[r] -= relief[r]
        return [] if any(ma > 0 for ma in missing) else way

    def _unseen(self, i: int, now_ns: int) -> bool:
        """Whether load `i` cannot be closed because its meter or its relay is not read."""
        return self.state.stale[i] != 0 or not self._relay_seen(i, now_ns)

    def _may_yield(self, k: int, now_ns: int) -> bool:
        """Whether load `k` may be opened, or paused, for the sake of another."""
        f, s = self.fixed, self.state
        if s.claims[k] or s.stale[k] or self._stays(k, now_ns):
            return False
        if f.kind[k] == SWITCHED:
            return s.closed[k] == 1 and self._relay_seen(k, now_ns)
        return f.can_pause[k] == 1 and s.set_ma[k] > 0 and not self._deaf(k, now_ns)

    def _relief(self, k: int, now_ns: int) -> list[int]:
        """Per row: how much more room there is for others without load `k`."""
        f, s, rows = self.fixed, self.state, self.fixed.rows
        if f.kind[k] == SWITCHED:
            return [f.plain[k * rows + r] * s.meas_ma[k * rows + r] for r in self.rows]
        return [
            least + f.plain[k * rows + r] * self._inside(k, r)
            for r, least in enumerate(self._least(k, now_ns, True))
        ]

    def _close(self, i: int, now_ns: int) -> None:
        """Close load `i`, or start a modulated one at its floor: nobody holds it open any more."""
        f, s = self.fixed, self.state
        s.claims[i] = 0
        s.restored_ns[0] = now_ns
        s.closed_ns[i] = now_ns
        s.fit_ns[i] = 0
        s.disturbed[0] = 1
        self._explain(i, int(Reason.NONE), -1, 0, now_ns, 0)
        if f.relay_slot[i] >= 0 and s.closed[i] == 0:
            s.closed[i] = 1
            s.order_ns[i] = now_ns
            s.awaits[i] = 1
            self._wear(i, now_ns)
        if f.kind[i] == MODULATED:
            self._raise(i, f.floor_ma[i], now_ns)
