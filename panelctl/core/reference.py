"""Who must open, who may close, who may draw how much, written to be read.

ext/panelctl/core/_core.pyx does the same in Cython. What the decision sees is sight.py's.

Rules
- Integers only. Divisions are of numbers that are not negative, so that floor and truncation agree.
- What is not known is charged as drawing, never as free.
- Down at once, up only on a fresh mains reading, into room that the meter has already shown.
- A relay moves after a confirmed excess (`confirm_ns`), never to no effect, and never closes inside
  its minimum off time or while anybody claims it open.
- A load that was told to give way is charged with what it still draws until its meter agrees.

The order of a step: meters, mains and state, limits and heat, relays, then either the fail-safe or
keep (who must open) → restore (who may close) → fill (set-points). A row's amounts are counted in
`scale` parts of a mA, so that the 1.25 of continuous loads is a whole number.
"""

from __future__ import annotations

from collections.abc import Sequence

from panelctl.core.ladder import Ladder, Segment, solve
from panelctl.core.layout import LEG_ROWS, MODULATED, SWITCHED
from panelctl.core.sight import GOOD, Sight
from panelctl.model.reason import Reason, State, Wait
from panelctl.model.relay import Claim

HOT_PPM = 900_000  # a breaker so near to tripping is relieved without waiting for confirmation
RELIEF_COUNTS = 4  # minimum off times
STAYS = 1 << 30  # worth of a load inside its minimum on time, among equals
NEVER_NS = 1 << 61
STILL_NS = 1_000_000_000_000
CLOSES_BY_ITSELF = int(Claim.PCS)  # the only claim that panelctl itself may take back


class Core(Sight):
    """The decision over one panel's flat memory. Every result is a field of `state`."""

    # -- what people and services ask -------------------------------------------------------------

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

    # -- one step ---------------------------------------------------------------------------------

    def step(self, now_ns: int) -> None:
        """Decide on the latched image. Changes `state` only; bounded, no allocation that grows."""
        s = self.state
        if s.boot_ns[0] == 0:
            s.boot_ns[0] = s.mains_ns[0] = s.step_ns[0] = s.heat_ns[0] = now_ns
            for i in self.loads:
                s.since_ns[i] = now_ns
        self._measure(now_ns)
        self._see_mains(now_ns)
        self._limits(now_ns)
        self._follow_relays(now_ns)
        self._watch_budgets(now_ns)
        if s.state[0] in (State.HOLD, State.SHED):
            self._fail_safe(now_ns)
        else:
            house = self._house()
            self._learn(house, now_ns)
            self._promote(now_ns)
            self._keep(house, now_ns)
            reserve = self._restore(house, now_ns)
            self._set(house, reserve, now_ns)
        self._stop_and_open(now_ns)
        for r in self.rows:
            s.headroom_ma[r] = s.limit_ma[r] - s.row_ma[r]
        s.step_ns[0] = now_ns

    def _follow_relays(self, now_ns: int) -> None:
        f, s = self.fixed, self.state
        for i in self.loads:
            slot = f.relay_slot[i]
            if slot < 0:
                s.closed[i] = 1
                continue
            seen = self._relay_seen(i, now_ns)
            position = int(self.value[slot] != 0)
            if s.closed[i] < 0:
                if seen:
                    self._adopt(i, position, now_ns)
                continue
            since_order = now_ns - s.order_ns[i]
            if s.flying[i]:
                shown = seen and position == 0 and self.sampled_ns[slot] > s.order_ns[i]
                if (shown and self._rows_newer(i, self.sampled_ns[slot])) or (
                    since_order > f.relay_confirm_ns[0]
                ):
                    s.flying[i] = 0
            if s.awaits[i] and seen and position == s.closed[i]:
                s.awaits[i] = int(self.sampled_ns[slot] <= s.order_ns[i])
            settled_ns = self._told_ns(i) + f.relay_confirm_ns[0]
            if s.claims[i] & Claim.FAULT or now_ns <= settled_ns:
                continue
            if seen and self.sampled_ns[slot] > settled_ns and position != s.closed[i]:
                reason = Reason.WELDED if position else Reason.STUCK_OPEN
                self._fault(i, int(reason), now_ns)
            elif s.closed[i] == 0 and not s.stale[i]:
                for r in self.rows:
                    meter = f.slot[i * f.rows + r]
                    if (
                        meter >= 0
                        and self.sampled_ns[meter] > settled_ns
                        and s.meas_ma[i * f.rows + r] > f.welded_ma[0]
                    ):
                        self._fault(i, int(Reason.WELDED), now_ns)
                        break

    def _rows_newer(self, i: int, sampled_ns: int) -> bool:
        """Whether the mains and every metered row of load `i` were read after `sampled_ns`."""
        f, s = self.fixed, self.state
        return s.mains_ns[0] > sampled_ns and all(
            s.row_seen_ns[r] > sampled_ns
            for r in self.rows[LEG_ROWS:]
            if f.row_slot[r] >= 0 and f.plain[i * f.rows + r]
        )

    def _told_ns(self, i: int) -> int:
        """When the relay was told its present order; in the far future while it may not know it.

        A relay that was found where it is, or has followed once, knows its order.
        """
        f, s = self.fixed, self.state
        slot = f.told_slot[i]
        if slot < 0 or not s.awaits[i]:
            return s.order_ns[i]
        if self.sampled_ns[slot] < s.order_ns[i] or self.value[slot] != s.closed[i]:
            return NEVER_NS
        return self.sampled_ns[slot]

    def _adopt(self, i: int, position: int, now_ns: int) -> None:
        """Take over a relay as it was found at start; claims that outlived a restart still hold."""
        s = self.state
        s.closed[i] = position
        s.order_ns[i] = now_ns
        if position and not s.claims[i]:
            s.closed_ns[i] = 0
            self._explain(i, int(Reason.NONE), -1, 0, now_ns, 0)
        elif position and self.fixed.kind[i] == SWITCHED:
            self._order_open(i, now_ns)
        elif not position:
            s.opened_ns[i] = now_ns
            if self.fixed.kind[i] == MODULATED:
                self._lower(i, 0)
            if not s.claims[i]:
                s.claims[i] = int(Claim.FOUND)
                self._explain(i, int(Reason.FOUND_OPEN), -1, 0, now_ns, 0)

    def _fault(self, i: int, reason: int, now_ns: int) -> None:
        s = self.state
        s.claims[i] |= int(Claim.FAULT)
        if s.closed[i] != 0:
            s.opened_ns[i] = now_ns
        s.closed[i] = 0
        s.flying[i] = 0
        s.fit_ns[i] = 0
        if self.fixed.kind[i] == MODULATED:
            self._lower(i, 0)
        self._explain(i, reason, -1, 0, now_ns, 0)

    def _watch_budgets(self, now_ns: int) -> None:
        """A modulated load may draw what it was allowed within its settling time, and no more."""
        f, s = self.fixed, self.state
        for i in self.modulated:
            if now_ns - s.bucket_ns[i] >= f.settle_ns[i]:
                # Two buckets of one settling time each: a lowered set-point binds in one to two.
                s.allowed_ma[i] = s.allow_ma[i]
                s.allow_ma[i] = s.set_ma[i]
                s.bucket_ns[i] = now_ns
            # A node that is asked to stop may idle below its floor while it shuts down.
            least = f.floor_ma[i] if f.compute[i] else 0
            if s.stale[i] or not self._above(i, max(s.set_ma[i], least)):
                s.over_ns[i] = 0
            elif s.over_ns[i] == 0:
                s.over_ns[i] = now_ns
            self._watch_wish(i, now_ns)
            late = s.over_ns[i] and now_ns - s.over_ns[i] >= f.node_fault_ns[0]
            if late and (f.compute[i] or f.relay_slot[i] >= 0) and self._disobeys(i):
                if not s.stop[i]:
                    s.stop[i] = now_ns
                    s.claims[i] |= int(Claim.FAULT)
                    self._lower(i, 0)
                    self._explain(i, int(Reason.IGNORES_BUDGET), -1, 0, now_ns, 0)
                patience_ns = f.node_open_ns[0] - f.node_fault_ns[0]
                if now_ns - s.stop[i] >= patience_ns and f.relay_slot[i] >= 0:
                    self._order_open(i, now_ns)

    def _stop_and_open(self, now_ns: int) -> None:
        """Cap, then ask to stop, then open: a user's claim on a modulated load that has a relay."""
        f, s = self.fixed, self.state
        for i in self.modulated:
            if f.relay_slot[i] >= 0 and s.claims[i] & Claim.USER and s.closed[i] == 1:
                idle = not s.stale[i] and self._draw(i) <= f.welded_ma[0]
                if idle or now_ns - s.opened_ns[i] >= f.stop_wait_ns[0]:
                    self._order_open(i, now_ns)

    def _fail_safe(self, now_ns: int) -> None:
        f, s = self.fixed, self.state
        s.excess_ns[0] = 0
        for i in self.modulated:
            self._lower(i, min(s.set_ma[i], f.fallback_ma[i]))
            if not s.claims[i]:
                self._explain(i, int(Reason.BLIND), -1, 0, now_ns, 0)
        for i in self.switched:
            s.fit_ns[i] = 0
            if s.claims[i]:
                self._wait(i, int(Wait.BLIND), -1, 0)
            elif s.state[0] == State.SHED and f.safe_open[i] and s.closed[i] == 1:
                s.claims[i] |= int(Claim.PCS)
                self._order_open(i, now_ns)
                self._explain(i, int(Reason.BLIND), -1, 0, now_ns, now_ns + f.min_off_ns[i])

    # -- what the rows carry ----------------------------------------------------------------------

    def _house(self) -> list[int]:
        """Per row: what flows without the modulated loads whose own meters were fresh."""
        f, s = self.fixed, self.state
        house = [f.scale[r] * s.row_ma[r] for r in self.rows]
        for i in self.modulated:
            for r in self.rows:
                house[r] -= s.at_mains_ma[i * f.rows + r]
        return house

    def _least(self, i: int) -> list[int]:
        """Per row: what modulated load `i` can surely be brought down to in time."""
        f, s = self.fixed, self.state
        if not s.apart[i]:
            return [0 for _ in self.rows]  # its draw is still inside the mains sum
        slow = f.settle_ns[i] > f.react_ns[0]
        floor = f.floor_ma[i] if s.set_ma[i] > 0 else 0
        least = []
        for r in self.rows:
            ma = floor
            if slow or self._disobeys(i):
                ma = max(ma, s.meas_ma[i * f.rows + r])
            least.append(f.coef[i * f.rows + r] * ma)
        return least

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
        """The tier that load `i` is served on: 0 for one that was promoted, else from 1."""
        return 0 if self.state.promoted[i] else self.state.tier[i] + 1

    def _stays(self, i: int, now_ns: int) -> bool:
        """Whether load `i` is inside its minimum on time."""
        closed_ns = self.state.closed_ns[i]
        return closed_ns > 0 and now_ns - closed_ns < self.fixed.min_on_ns[i]

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
        for i in self.modulated:
            least = self._least(i)
            if f.can_pause[i] and not f.compute[i] and s.set_ma[i] > 0 and s.apart[i]:
                for r in self.rows:
                    coef[i * rows + r] = least[r]
                size[i] = worth[i] = 1
                order.append(i)
            else:
                for r in self.rows:
                    room[r] -= least[r]
        # Inside a tier, a load still inside its minimum on time is kept before the others.
        order.sort(key=lambda i: (rank[i], 0 if self._stays(i, now_ns) else 1, i))
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

    def _shed(self, i: int, reason: Reason, row: int, short: int, now_ns: int) -> None:
        """Open a switched load, pause a modulated one, until there is room for it again."""
        s = self.state
        s.claims[i] |= int(Claim.PCS)
        if self.fixed.kind[i] == SWITCHED:
            self._order_open(i, now_ns)
        else:
            self._lower(i, 0)
            s.opened_ns[i] = now_ns
        self._explain(i, int(reason), row, short, now_ns, now_ns + self.fixed.min_off_ns[i])

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
        margin = [f.scale[r] * self._margin_of(r, f.restore_margin_ma[0]) for r in self.rows]
        top = [
            f.scale[r] * min(s.limit_ma[r], s.fill_ma[r]) - margin[r] - house[r] - reserve[r]
            for r in self.rows
        ]
        room = list(top)
        drawn = [0 for _ in self.rows]
        for i in self.modulated:
            least = self._least(i)
            for r in self.rows:
                room[r] -= least[r]
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
            size[i] = worth[i] = 1
            for r in self.rows:
                coef[i * rows + r] = f.coef[i * rows + r] * self._demand(i, r, now_ns)
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
            if s.stale[i] or (f.relay_slot[i] >= 0 and not self._relay_seen(i, now_ns)):
                s.fit_ns[i] = 0
                self._wait(i, int(Wait.BLIND), -1, 0)
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
        f, s = self.fixed, self.state
        way: list[int] = []
        missing = list(short)
        later = [
            k
            for k in self.switched
            if rank[k] > rank[i]
            and s.closed[k] == 1
            and not s.claims[k]
            and not s.stale[k]
            and not self._stays(k, now_ns)
            and self._relay_seen(k, now_ns)
        ]
        for k in sorted(later, key=lambda k: (-rank[k], -k)):
            helps = False
            for r in self.rows:
                e = k * f.rows + r
                relief = f.plain[e] * s.meas_ma[e]
                if missing[r] > 0 and relief >= f.scale[r] * f.relief_ma[0]:
                    helps = True
            if helps:
                way.append(k)
                for r in self.rows:
                    missing[r] -= f.plain[k * f.rows + r] * s.meas_ma[k * f.rows + r]
        return [] if any(ma > 0 for ma in missing) else way

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
        if f.kind[i] == MODULATED:
            self._raise(i, f.floor_ma[i], now_ns)

    def _set(self, house: list[int], reserve: list[int], now_ns: int) -> None:
        """Set-points: down at once to what the ladder gives, up into room that is really there."""
        f, s = self.fixed, self.state
        rows = f.rows
        fresh = now_ns - s.mains_ns[0] <= f.fresh_ns[0]
        fill = [
            f.scale[r] * (s.fill_ma[r] - self._margin_of(r, f.fill_margin_ma[0]))
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
            # A load that has not come down yet is paid for by those after it.
            for r in self.rows:
                if f.coef[i * rows + r] and room[r] < extra[r]:
                    cut = min(taken[i], -((room[r] - extra[r]) // f.coef[i * rows + r]))
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

    def _climb(self, i: int, target: int, fill: list[int], now_ns: int) -> bool:
        """Raise load `i` towards `target`; True when it got there."""
        f, s = self.fixed, self.state
        top = target
        for r in self.rows:
            if f.coef[i * f.rows + r]:
                free = fill[r]
                for k in self.modulated:
                    # What it draws above its set-point is already its own.
                    own = f.coef[k * f.rows + r] * s.set_ma[k]
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

    # -- small words ------------------------------------------------------------------------------

    def _relay_seen(self, i: int, now_ns: int) -> bool:
        slot = self.fixed.relay_slot[i]
        if slot < 0:
            return True
        age = now_ns - self.sampled_ns[slot]
        return self.quality[slot] == GOOD and age <= self.fixed.relay_stale_ns[0]

    def _draw(self, i: int) -> int:
        return max(self.state.meas_ma[i * self.fixed.rows + r] for r in range(LEG_ROWS))

    def _demand(self, i: int, r: int, now_ns: int) -> int:
        """What must be free on row `r` before load `i` may close or start.

        What it drew when it was opened counts as well, for so long as that may not have been a
        start: otherwise a motor that was shed while it started would never be restored.
        """
        f, s = self.fixed, self.state
        k = i * f.rows + r
        if f.kind[i] == MODULATED:
            return f.floor_ma[i]
        inrush_ma = f.inrush_ma[k] if s.hard[r] else 0
        drew_ma = s.relief_of_ma[k] if self._drew_lately(i, now_ns) else 0
        return max(f.demand_ma[k], drew_ma, inrush_ma)

    def _drew_lately(self, i: int, now_ns: int) -> bool:
        return now_ns - self.state.opened_ns[i] < RELIEF_COUNTS * self.fixed.min_off_ns[i]

    def _margin_of(self, r: int, least_ma: int) -> int:
        """What is kept free of row `r`, mA: on a hard limit also what the household may rise by."""
        return max(least_ma, self.state.margin_ma[r]) if self.state.hard[r] else least_ma

    def _error(self, ma: int) -> int:
        """How much more than it shows a meter may have measured, mA."""
        return ma * self.fixed.error_ppm[0] // 1_000_000

    def _charge(self, i: int, r: int) -> int:
        """What modulated load `i` must be counted with on row `r`: drawn or allowed, the larger.

        This is the envelope: whatever its ramp does meanwhile, it stays between the two.
        """
        f, s = self.fixed, self.state
        k = i * f.rows + r
        if not s.apart[i]:
            return 0
        return f.coef[k] * max(s.meas_ma[k] + self._error(s.meas_ma[k]), s.set_ma[i])

    def _watch_wish(self, i: int, now_ns: int) -> None:
        """A load that uses all it is allowed would take more; one that does not is followed down.

        It is followed only after `idle_ns`, so that a load on its way up is not taken for idle.
        """
        f, s = self.fixed, self.state
        draw, allowed = self._draw(i), s.set_ma[i]
        if allowed > 0 and not s.stale[i] and draw >= allowed - max(500, allowed * 3 // 100):
            s.hungry_ns[i] = now_ns
        if f.compute[i] or (s.hungry_ns[i] and now_ns - s.hungry_ns[i] <= f.idle_ns[0]):
            s.want_ma[i] = f.max_ma[i]
        else:
            follow = draw + draw * 5 // 100 + f.slack_ma[0]
            s.want_ma[i] = max(f.floor_ma[i], min(allowed, follow))

    def _disobeys(self, i: int) -> bool:
        s = self.state
        return self._above(i, max(s.allow_ma[i], s.allowed_ma[i]))

    def _may_change(self, i: int, now_ns: int) -> bool:
        s = self.state
        return not s.raised_ns[i] or now_ns - s.raised_ns[i] >= self.fixed.change_ns[i]

    def _above(self, i: int, ma: int) -> bool:
        f = self.fixed
        return self._draw(i) > ma + ma * f.tolerance_ppm[i] // 1_000_000 + f.tolerance_ma[0]

    def _lower(self, i: int, ma: int) -> None:
        if ma < self.state.set_ma[i]:
            self.state.set_ma[i] = ma
            self.state.moved_ns[i] = self.state.step_ns[0]

    def _raise(self, i: int, ma: int, now_ns: int) -> None:
        s = self.state
        s.set_ma[i] = ma
        s.raised_ns[i] = now_ns
        s.moved_ns[i] = now_ns
        s.allow_ma[i] = max(s.allow_ma[i], ma)

    def _order_open(self, i: int, now_ns: int) -> None:
        f, s = self.fixed, self.state
        if s.closed[i] == 1 and f.relay_slot[i] >= 0:
            s.closed[i] = 0
            s.order_ns[i] = now_ns
            s.awaits[i] = 1
            s.flying[i] = 1
            s.disturbed[0] = 1
            for r in self.rows:
                k = i * f.rows + r
                s.relief_of_ma[k] = s.meas_ma[k] if s.measured[i] else 0
        if f.kind[i] == SWITCHED:
            s.opened_ns[i] = now_ns

    def _explain(self, i: int, reason: int, row: int, ma: int, now_ns: int, until_ns: int) -> None:
        s = self.state
        if s.reason[i] != reason:
            s.since_ns[i] = now_ns
        s.reason[i] = reason
        s.reason_row[i] = row
        s.reason_ma[i] = ma
        s.until_ns[i] = until_ns
        self._wait(i, int(Wait.NONE), -1, 0)

    def _wait(self, i: int, wait: int, row: int, ma: int) -> None:
        s = self.state
        s.wait[i] = wait
        s.wait_row[i] = row
        s.wait_ma[i] = ma
