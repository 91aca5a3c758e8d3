"""Who must open, written to be read. ext/panelctl/core/_keep.pxi does the same in Cython.

Rules
- A relay moves after a confirmed excess (`confirm_ns`), and never to no effect.
- The closed loads are served by the ladder under the shed limit; who is not served must open.
- The node's floor stands before the household of its tier: it is capped first and stopped last.
- A node that was stopped has no place to keep: where it is still in the way, its relay opens first.
- While its floor fits, a node is not stopped for being on its way there; the others bridge.
"""

from __future__ import annotations

from collections.abc import Sequence

from panelctl.core.ladder import Ladder, Segment, solve
from panelctl.core.layout import LEG_ROWS, SWITCHED
from panelctl.core.standing import CLOSES_BY_ITSELF, Standing
from panelctl.model.command import MAX_TIER
from panelctl.model.reason import Reason

HOT_PPM = 900_000  # a breaker so near to tripping is relieved without waiting for confirmation
STAYS = 1 << 30  # worth of a load inside its minimum on time, among equals
STOPS_LAST = 1 << 38  # worth of the node's floor among equals: more than all others together
LAST_RANK = MAX_TIER + 2  # of a node that was stopped


class Keep(Standing):
    """Who may stay on the rows as they are."""

    def _serve(
        self,
        order: Sequence[int],
        tier: Sequence[int],
        coef: Sequence[int],
        size: Sequence[int],
        room: list[int],
        among: Sequence[int] | None = None,
    ) -> list[int]:
        """What the ladder gives each load; `room` is what is left afterwards.

        `among` holds what each is worth in a tier of equal rank, where the loads are taken whole
        or not at all; without it they are continuous.
        """
        f, s = self.fixed, self.state
        segments = [
            Segment(
                tier[i],
                size[i],
                {r: coef[i * f.rows + r] for r in self.rows},
                among is not None,
                f.weight[i],
                among[i] if among is not None else 0,
                among is not None and f.equal_tier[s.tier[i]] == 1 and not s.promoted[i],
                s.closed[i] == 1,
            )
            for i in order
        ]
        ladder = Ladder(segments, room)
        solve(ladder)
        room[:] = ladder.room_ma
        taken = [0] * f.loads
        for a, i in enumerate(order):
            taken[i] = ladder.taken_ma[a]
        return taken

    def _promote(self, now_ns: int) -> None:
        """Who was off for as long as it may be is served before every tier, until it has run."""
        f, s = self.fixed, self.state
        for i in self.switched:
            if s.claims[i] == CLOSES_BY_ITSELF:
                if f.max_off_ns[i] and now_ns - s.opened_ns[i] >= f.max_off_ns[i]:
                    s.promoted[i] = 1
            elif s.claims[i] or now_ns - s.closed_ns[i] >= f.min_on_ns[i]:
                s.promoted[i] = 0

    def _rank(self, i: int) -> int:
        """The tier that load `i` is served on: 0 for one that was promoted, else from 1.

        A node that was stopped comes after the whole household, and pushes nobody aside.
        """
        s = self.state
        if self.fixed.compute[i] and s.claims[i]:
            return LAST_RANK
        return 0 if s.promoted[i] else s.tier[i] + 1

    def _leaves(self, i: int, now_ns: int) -> int:
        """Whether load `i` gives way before others of its tier."""
        return int(not (self.fixed.compute[i] or self._stays(i, now_ns)))

    def _shortest(self, i: int, coef: Sequence[int], room: Sequence[int]) -> tuple[int, int]:
        """The row on which load `i` is missing most, and by how many mA."""
        row, short = -1, 0
        for r in self.rows:
            need = coef[i * self.fixed.rows + r]
            missing = (need - room[r]) // self.fixed.scale[r] if need > room[r] else 0
            if need and need > room[r] and (row < 0 or missing > short):
                row, short = r, missing
        return row, short

    def _keep(self, house: list[int], now_ns: int) -> None:
        """Which closed loads must open: served in rank order under the limit itself."""
        f, s = self.fixed, self.state
        rows = f.rows
        room = [f.scale[r] * s.shed_ma[r] - house[r] for r in self.rows]
        order: list[int] = []
        coef = [0] * (f.loads * rows)
        size = [0] * f.loads
        worth = [0] * f.loads
        rank = [self._rank(i) for i in self.loads]
        for i in self.switched:
            if s.flying[i]:
                for r in self.rows:
                    room[r] += f.plain[i * rows + r] * s.relief_of_ma[i * rows + r]
            elif s.closed[i] == 1 and not s.claims[i] and self._relay_seen(i, now_ns):
                for r in self.rows:
                    k = i * rows + r
                    draw = self._draw_on(i, r)
                    # Less than this is not worth a relay operation.
                    if f.coef[k] and f.plain[k] * draw >= f.scale[r] * f.relief_ma[0]:
                        coef[k] = f.coef[k] * draw
                        size[i] = 1
                        room[r] += f.plain[k] * draw
                        if r < LEG_ROWS:
                            worth[i] += draw
                if size[i]:
                    worth[i] += STAYS if self._stays(i, now_ns) else 1
                    order.append(i)
        comes_down = -1
        ahead = [0 for _ in self.rows]  # what the node on its way down takes above its floor
        for i in self.modulated:
            need = self._flowing(i, now_ns)
            for r in self.rows:
                inside = self._inside(i, r)
                need[r] += f.coef[i * rows + r] * inside
                room[r] += f.plain[i * rows + r] * inside
            if self._leaving(i, now_ns):
                continue
            lingers = self._lingers(i, now_ns)
            if not lingers and not self._may_pause(i):
                for r in self.rows:
                    room[r] -= need[r]
                continue
            if f.compute[i] and not lingers and s.apart[i] and self._above(i, f.floor_ma[i]):
                for r in self.rows:
                    ahead[r] = max(0, need[r] - f.coef[i * rows + r] * f.floor_ma[i])
                    need[r] -= ahead[r]
                comes_down = i if any(ahead) else -1
            for r in self.rows:
                if not lingers or need[r] >= f.scale[r] * f.relief_ma[0]:
                    coef[i * rows + r] = need[r]
            size[i] = 1
            worth[i] = STOPS_LAST if f.compute[i] and not lingers else 1
            order.append(i)
        # Inside a tier the node is kept first, then who is still inside its minimum on time.
        order.sort(key=lambda i: (rank[i], self._leaves(i, now_ns), i))
        before = list(room)
        taken = self._serve(order, rank, coef, size, room, worth)
        if comes_down >= 0 and taken[comes_down]:
            order.remove(comes_down)
            room = [before[r] - ahead[r] - coef[comes_down * rows + r] for r in self.rows]
            taken = self._serve(order, rank, coef, size, room, worth)
        must = [i for i in order if not taken[i]]
        over = [r for r in self.rows if s.row_ma[r] > s.shed_ma[r]]
        if not must and not over:
            s.excess_ns[0] = 0
        elif s.excess_ns[0] == 0:
            s.excess_ns[0] = now_ns
        fresh = now_ns - s.mains_ns[0] <= f.fresh_ns[0]
        hot = any(s.theta_ppm[r] > HOT_PPM for r in over)
        if not must or not fresh or (now_ns - s.excess_ns[0] < f.confirm_ns[0] and not hot):
            return
        for i in must:
            row, short = self._shortest(i, coef, room)
            self._shed(i, Reason.LIMIT, row, short, now_ns)

    def _cool(self, now_ns: int) -> None:
        """Open a circuit before its own breaker trips: hot, overloaded, confirmed by a sample."""
        f, s = self.fixed, self.state
        for i in self.switched:
            newest_ns = max(s.branch_seen_ns[i * LEG_ROWS + leg] for leg in range(LEG_ROWS))
            hot = s.hot_ns[i] and newest_ns - s.hot_ns[i] >= f.confirm_ns[0]
            if hot and s.closed[i] == 1 and not s.claims[i] and self._relay_seen(i, now_ns):
                self._shed(i, Reason.HOT, -1, 0, now_ns)

    def _shed(self, i: int, reason: Reason, row: int, short: int, now_ns: int) -> None:
        """Open a load until there is room for it again; a modulated one is paused first."""
        s = self.state
        before = s.claims[i]
        s.claims[i] |= CLOSES_BY_ITSELF
        if self.fixed.kind[i] == SWITCHED or before:
            self._order_open(i, now_ns)
        else:
            self._lower(i, 0)
            s.opened_ns[i] = now_ns
        if before in (0, CLOSES_BY_ITSELF):  # else the other's reason stays
            until_ns = now_ns + self.fixed.min_off_ns[i]
            self._explain(i, int(reason), row, short, now_ns, until_ns)
