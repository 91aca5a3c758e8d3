"""Relays and set-points against what they were told, written to be read; and the fail-safe.

ext/panelctl/core/_relays.pxi and _small.pxi do the same in Cython.

Rules
- A relay is judged only after its board acknowledged the order and `relay_confirm_ns` went by.
- A modulated load is judged against the highest set-point of its last one to two settling times.
- Whoever may be drawing is charged as drawing.
"""

from __future__ import annotations

from panelctl.core.heat import Heat
from panelctl.core.layout import LEG_ROWS, MODULATED, SWITCHED
from panelctl.core.sight import GOOD
from panelctl.model.reason import Reason, State, Wait
from panelctl.model.relay import Claim

RELIEF_COUNTS = 4  # minimum off times
NEVER_NS = 1 << 61
WEAR_BURST = 20  # operations that a relay may make as fast as the other rules let it


class Follow(Heat):
    """Relays, set-points and what holds them."""

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
                late = since_order > f.relay_confirm_ns[0]
                if late and not position and not s.awaits[i]:
                    s.opened_ns[i] = now_ns  # its board could not be reached: it rests from now on
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
            # It may have closed just before the start; what it draws is seen by now.
            s.closed_ns[i] = max(1, now_ns - self.fixed.close_settle_ns[0] - 1)
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
                    s.stop[i] = s.opened_ns[i] = now_ns
                    s.claims[i] |= int(Claim.FAULT)
                    self._lower(i, 0)
                    self._explain(i, int(Reason.IGNORES_BUDGET), -1, 0, now_ns, 0)
                patience_ns = f.node_open_ns[0] - f.node_fault_ns[0]
                if now_ns - s.stop[i] >= patience_ns and f.relay_slot[i] >= 0:
                    self._order_open(i, now_ns)

    def _watch_wish(self, i: int, now_ns: int) -> None:
        """A load that uses all it is allowed would take more; one that does not is followed down.

        It is followed only after `idle_ns`, so that a load on its way up is not taken for idle.
        """
        f, s = self.fixed, self.state
        draw, allowed = self._draw(i), s.set_ma[i]
        if allowed > 0 and not s.stale[i] and draw >= allowed - max(500, allowed * 3 // 100):
            s.hungry_ns[i] = now_ns
        if f.compute[i] or (s.hungry_ns[i] and now_ns - s.hungry_ns[i] <= f.idle_ns[0]):
            s.want_ma[i] = self._branch_top(i)
        else:
            follow = draw + draw * 5 // 100 + f.slack_ma[0]
            s.want_ma[i] = max(f.floor_ma[i], min(allowed, follow, self._branch_top(i)))

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
        for i in self.loads:
            s.fit_ns[i] = 0
            if s.claims[i]:
                self._wait(i, int(Wait.BLIND), -1, 0)
        for i in self.switched:
            shed = s.state[0] == State.SHED and f.safe_open[i] and s.closed[i] == 1
            if shed and not s.claims[i]:
                s.claims[i] |= int(Claim.PCS)
                self._order_open(i, now_ns)
                self._explain(i, int(Reason.BLIND), -1, 0, now_ns, now_ns + f.min_off_ns[i])

    def _order_open(self, i: int, now_ns: int) -> None:
        f, s = self.fixed, self.state
        if s.closed[i] == 1 and f.relay_slot[i] >= 0:
            s.closed[i] = 0
            s.order_ns[i] = now_ns
            s.awaits[i] = 1
            s.flying[i] = 1
            self._wear(i, now_ns)
            s.disturbed[0] = 1
            for r in self.rows:
                k = i * f.rows + r
                s.relief_of_ma[k] = self._draw_on(i, r)
            s.opened_ns[i] = now_ns
        elif f.kind[i] == SWITCHED:
            s.opened_ns[i] = now_ns

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
        return max(f.demand_ma[k], drew_ma, inrush_ma, f.relief_ma[0])

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

    def _wear(self, i: int, now_ns: int) -> None:
        """Note an operation of load `i`'s relay."""
        s = self.state
        s.worn_ns[i] = max(s.worn_ns[i], now_ns) + self.fixed.wear_ns[i]

    def _resting(self, i: int, now_ns: int) -> bool:
        """Whether the relay of load `i` moved so often that it has to rest before it closes.

        Whoever was off for as long as it may be does not wait for its relay.
        """
        spent_ns = self.state.worn_ns[i] - now_ns
        worn = spent_ns > WEAR_BURST * self.fixed.wear_ns[i]
        return worn and not self.state.promoted[i]

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
