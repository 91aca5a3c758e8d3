# cython: language_level=3
"""The decision in Cython. Every rule is written down, readable, in panelctl/core/reference.py.

Rules
- The step touches no Python object and allocates nothing: it works on int64 memory bound once.
- Only numbers that are not negative are divided, so C's truncation equals Python's floor.
- The order of operations is the reference's; tests hold the two equal to the bit.
- Names: f_ is what the panel is made of, s_ what changes (panelctl/core/layout.py has the fields).
"""

from libc.stdint cimport int64_t as i64

from panelctl.core._ladder cimport MAX_ENTRIES, Entry, Rung, Rungs, serve

ctypedef i64 *cells

cdef i64 NEVER_NS = (<i64>1) << 61
cdef i64 STILL_NS = 1000000000000
cdef i64 HOUR_NS = 3600000000000
cdef i64 NO_LIMIT_MA = (<i64>1) << 36
cdef i64 ONE = (<i64>1) << 32
cdef i64 STAYS = 1 << 30

cdef enum:
    MAX_LOADS = 128
    MAX_ROWS = 32
    LEG_ROWS = 2
    HOURS = 24
    STEP_BINS = 48
    SWITCHED = 0
    MODULATED = 1
    GOOD = 1
    # State
    HOLD = 0
    NORMAL = 1
    DEGRADED = 2
    SHED = 3
    # Reason
    R_NONE = 0
    R_LIMIT = 1
    R_USER = 2
    R_FOUND_OPEN = 3
    R_BLIND = 4
    R_WELDED = 5
    R_STUCK_OPEN = 6
    R_IGNORES_BUDGET = 7
    R_RAMP = 8
    R_UNREAD = 9
    R_STALE = 10
    R_GAVE_WAY = 11
    # Wait
    W_NONE = 0
    W_MIN_OFF = 1
    W_NO_ROOM = 2
    W_STEADY = 3
    W_STAGED = 4
    W_MAKING_ROOM = 5
    W_BLIND = 6
    # Claim
    C_FOUND = 1
    C_USER = 2
    C_PCS = 8
    C_FAULT = 32
    # LimitName
    L_THERMAL = 6
    # panelctl/core/thermal.py
    TICK_NS = 10000000
    TICK_BITS = 17
    MOST_U = 524288
    PPM = 1000000
    HOT_PPM = 900000
    # panelctl/core/sight.py
    SEEN = 1024
    PRIOR = 2048
    FORGET_BITS = 4
    TAIL_BITS = 10
    MARGIN_BITS = 2
    # panelctl/core/reference.py
    RELIEF_COUNTS = 4
    L_FSR = 0


cdef inline i64 _min(i64 a, i64 b) noexcept nogil:
    return a if a < b else b


cdef inline i64 _max(i64 a, i64 b) noexcept nogil:
    return a if a > b else b


# The thermal memory, as in panelctl/core/thermal.py.

cdef inline i64 times(i64 x, i64 part) noexcept nogil:
    return (((x >> 16) * part) >> 16) + (((x & 0xFFFF) * part) >> 32)


cdef inline i64 approach(i64 heat, i64 goal, i64 part) noexcept nogil:
    if heat >= goal:
        return goal + times(heat - goal, part)
    return goal - times(goal - heat, part)


cdef inline i64 theta_of(i64 fast, i64 slow, i64 share) noexcept nogil:
    return times(fast, share) + times(slow, ONE - share)


cdef i64 ticks_to_trip(
    i64 fast, i64 slow, i64 goal, i64 share, const i64 *keep_fast, const i64 *keep_slow
) noexcept nogil:
    cdef i64 ticks = 0, later_fast, later_slow
    cdef int k
    for k in range(TICK_BITS - 1, -1, -1):
        later_fast = approach(fast, goal, keep_fast[k])
        later_slow = approach(slow, goal, keep_slow[k])
        if theta_of(later_fast, later_slow, share) < ONE:
            fast = later_fast
            slow = later_slow
            ticks += 1 << k
    return -1 if ticks == (1 << TICK_BITS) - 1 else ticks


cdef inline i64 slope(i64 low, i64 above, i64 high, i64 below, i64 theta_ppm) noexcept nogil:
    if theta_ppm <= low:
        return above
    if theta_ppm <= high:
        return above - (above - below) * (theta_ppm - low) // (high - low)
    return below


cdef inline i64 fill_band(i64 theta_ppm) noexcept nogil:
    return 450000 if theta_ppm > 920000 else slope(750000, PPM, 920000, 700000, theta_ppm)


cdef inline i64 shed_band(i64 theta_ppm, bint credit) noexcept nogil:
    return slope(800000, 1250000 if credit else PPM, 920000, 970000, theta_ppm)


cdef inline int bin_of(i64 step_ma) noexcept nogil:
    cdef int octave = 0
    if step_ma < 2:
        return 0
    while step_ma >> (octave + 1):
        octave += 1
    octave = 2 * octave + ((step_ma >> (octave - 1)) & 1)
    return octave if octave < STEP_BINS else STEP_BINS - 1


cdef inline i64 bin_top_ma(int number) noexcept nogil:
    cdef int octave = number >> 1
    if octave == 0:
        return 2
    return (<i64>2 << octave) if number & 1 else (<i64>3 << (octave - 1))


cdef class Core:
    """The decision over one panel's flat memory. Every result is a field of `state`."""
    cdef readonly object fixed, state, value, quality, sampled_ns
    cdef list _views
    cdef int n, rows, limits
    cdef cells value_
    cdef cells quality_
    cdef cells sampled_
    cdef cells f_kind, f_compute, f_rest_tier, f_weight, f_relay_slot, f_told_slot
    cdef cells f_tolerance_ppm, f_stale_ns, f_min_on_ns, f_min_off_ns, f_max_off_ns, f_safe_open
    cdef cells f_floor_ma, f_max_ma, f_fallback_ma, f_can_pause, f_settle_ns, f_change_ns
    cdef cells f_step_ma, f_ramp_ma_s, f_coef, f_plain, f_slot, f_slot2, f_demand_ma
    cdef cells f_inrush_ma, f_row_slot, f_row_slot2, f_row_stale_ns, f_scale, f_ref_ma, f_share
    cdef cells f_credit, f_prior_ma, f_next_state, f_equal_tier, f_keep_fast, f_keep_slow, f_fresh_ns
    cdef cells f_hold_ns, f_shed_ns, f_good_needed, f_confirm_ns, f_react_ns, f_relay_confirm_ns
    cdef cells f_relay_stale_ns, f_close_settle_ns, f_restore_hold_ns, f_restore_interval_ns
    cdef cells f_fill_margin_ma, f_restore_margin_ma, f_relief_ma, f_tolerance_ma, f_error_ppm
    cdef cells f_slack_ma, f_idle_ns, f_welded_ma, f_node_fault_ns, f_node_open_ns
    cdef cells f_stop_wait_ns
    cdef cells s_tier, s_promoted, s_closed, s_claims, s_flying, s_order_ns
    cdef cells s_opened_ns, s_closed_ns, s_awaits, s_stale, s_measured, s_fit_ns, s_apart
    cdef cells s_set_ma, s_moved_ns, s_raised_ns, s_allow_ma, s_allowed_ma, s_bucket_ns
    cdef cells s_over_ns, s_want_ma, s_hungry_ns, s_stop, s_reason, s_reason_row, s_reason_ma
    cdef cells s_since_ns, s_until_ns, s_wait, s_wait_row, s_wait_ma, s_meas_ma, s_at_mains_ma
    cdef cells s_relief_of_ma, s_row_ma, s_row_old, s_row_seen_ns, s_limit_ma, s_shed_ma, s_fill_ma, s_binding
    cdef cells s_headroom_ma, s_fast, s_slow, s_theta_ppm, s_trip_ms, s_hard, s_margin_ma
    cdef cells s_window_from_ma, s_window_top_ma, s_steps, s_limit_on, s_limit_until_ns
    cdef cells s_limit_value_ma, s_boot_ns, s_step_ns, s_mains_ns, s_good, s_state, s_excess_ns
    cdef cells s_restored_ns, s_heat_ns, s_window_ns, s_disturbed, s_hour, s_hour_offset_ns

    def __init__(self, fixed, state, value, quality, sampled_ns):
        self.fixed = fixed
        self.state = state
        self.value = value
        self.quality = quality
        self.sampled_ns = sampled_ns
        self._views = []
        self.n = fixed.loads
        self.rows = fixed.rows
        self.limits = state.limits
        if self.n > MAX_LOADS or self.rows > MAX_ROWS:
            raise ValueError("too many loads or rows")
        if sum(1 for number in fixed.coef if number) > MAX_ENTRIES:
            raise ValueError(f"the loads are on more than {MAX_ENTRIES} rows in all")
        self.value_ = self._bind(value)
        self.quality_ = self._bind(quality)
        self.sampled_ = self._bind(sampled_ns)
        self.f_kind = self._bind(fixed.kind)
        self.f_compute = self._bind(fixed.compute)
        self.f_rest_tier = self._bind(fixed.rest_tier)
        self.f_weight = self._bind(fixed.weight)
        self.f_relay_slot = self._bind(fixed.relay_slot)
        self.f_told_slot = self._bind(fixed.told_slot)
        self.f_tolerance_ppm = self._bind(fixed.tolerance_ppm)
        self.f_stale_ns = self._bind(fixed.stale_ns)
        self.f_min_on_ns = self._bind(fixed.min_on_ns)
        self.f_min_off_ns = self._bind(fixed.min_off_ns)
        self.f_max_off_ns = self._bind(fixed.max_off_ns)
        self.f_safe_open = self._bind(fixed.safe_open)
        self.f_floor_ma = self._bind(fixed.floor_ma)
        self.f_max_ma = self._bind(fixed.max_ma)
        self.f_fallback_ma = self._bind(fixed.fallback_ma)
        self.f_can_pause = self._bind(fixed.can_pause)
        self.f_settle_ns = self._bind(fixed.settle_ns)
        self.f_change_ns = self._bind(fixed.change_ns)
        self.f_step_ma = self._bind(fixed.step_ma)
        self.f_ramp_ma_s = self._bind(fixed.ramp_ma_s)
        self.f_coef = self._bind(fixed.coef)
        self.f_plain = self._bind(fixed.plain)
        self.f_slot = self._bind(fixed.slot)
        self.f_slot2 = self._bind(fixed.slot2)
        self.f_demand_ma = self._bind(fixed.demand_ma)
        self.f_inrush_ma = self._bind(fixed.inrush_ma)
        self.f_row_slot = self._bind(fixed.row_slot)
        self.f_row_slot2 = self._bind(fixed.row_slot2)
        self.f_row_stale_ns = self._bind(fixed.row_stale_ns)
        self.f_scale = self._bind(fixed.scale)
        self.f_ref_ma = self._bind(fixed.ref_ma)
        self.f_share = self._bind(fixed.share)
        self.f_credit = self._bind(fixed.credit)
        self.f_prior_ma = self._bind(fixed.prior_ma)
        self.f_next_state = self._bind(fixed.next_state)
        self.f_equal_tier = self._bind(fixed.equal_tier)
        self.f_keep_fast = self._bind(fixed.keep_fast)
        self.f_keep_slow = self._bind(fixed.keep_slow)
        self.f_fresh_ns = self._bind(fixed.fresh_ns)
        self.f_hold_ns = self._bind(fixed.hold_ns)
        self.f_shed_ns = self._bind(fixed.shed_ns)
        self.f_good_needed = self._bind(fixed.good_needed)
        self.f_confirm_ns = self._bind(fixed.confirm_ns)
        self.f_react_ns = self._bind(fixed.react_ns)
        self.f_relay_confirm_ns = self._bind(fixed.relay_confirm_ns)
        self.f_relay_stale_ns = self._bind(fixed.relay_stale_ns)
        self.f_close_settle_ns = self._bind(fixed.close_settle_ns)
        self.f_restore_hold_ns = self._bind(fixed.restore_hold_ns)
        self.f_restore_interval_ns = self._bind(fixed.restore_interval_ns)
        self.f_fill_margin_ma = self._bind(fixed.fill_margin_ma)
        self.f_restore_margin_ma = self._bind(fixed.restore_margin_ma)
        self.f_relief_ma = self._bind(fixed.relief_ma)
        self.f_tolerance_ma = self._bind(fixed.tolerance_ma)
        self.f_error_ppm = self._bind(fixed.error_ppm)
        self.f_slack_ma = self._bind(fixed.slack_ma)
        self.f_idle_ns = self._bind(fixed.idle_ns)
        self.f_welded_ma = self._bind(fixed.welded_ma)
        self.f_node_fault_ns = self._bind(fixed.node_fault_ns)
        self.f_node_open_ns = self._bind(fixed.node_open_ns)
        self.f_stop_wait_ns = self._bind(fixed.stop_wait_ns)
        self.s_tier = self._bind(state.tier)
        self.s_promoted = self._bind(state.promoted)
        self.s_closed = self._bind(state.closed)
        self.s_claims = self._bind(state.claims)
        self.s_flying = self._bind(state.flying)
        self.s_order_ns = self._bind(state.order_ns)
        self.s_opened_ns = self._bind(state.opened_ns)
        self.s_closed_ns = self._bind(state.closed_ns)
        self.s_awaits = self._bind(state.awaits)
        self.s_stale = self._bind(state.stale)
        self.s_measured = self._bind(state.measured)
        self.s_fit_ns = self._bind(state.fit_ns)
        self.s_apart = self._bind(state.apart)
        self.s_set_ma = self._bind(state.set_ma)
        self.s_moved_ns = self._bind(state.moved_ns)
        self.s_raised_ns = self._bind(state.raised_ns)
        self.s_allow_ma = self._bind(state.allow_ma)
        self.s_allowed_ma = self._bind(state.allowed_ma)
        self.s_bucket_ns = self._bind(state.bucket_ns)
        self.s_over_ns = self._bind(state.over_ns)
        self.s_want_ma = self._bind(state.want_ma)
        self.s_hungry_ns = self._bind(state.hungry_ns)
        self.s_stop = self._bind(state.stop)
        self.s_reason = self._bind(state.reason)
        self.s_reason_row = self._bind(state.reason_row)
        self.s_reason_ma = self._bind(state.reason_ma)
        self.s_since_ns = self._bind(state.since_ns)
        self.s_until_ns = self._bind(state.until_ns)
        self.s_wait = self._bind(state.wait)
        self.s_wait_row = self._bind(state.wait_row)
        self.s_wait_ma = self._bind(state.wait_ma)
        self.s_meas_ma = self._bind(state.meas_ma)
        self.s_at_mains_ma = self._bind(state.at_mains_ma)
        self.s_relief_of_ma = self._bind(state.relief_of_ma)
        self.s_row_ma = self._bind(state.row_ma)
        self.s_row_old = self._bind(state.row_old)
        self.s_row_seen_ns = self._bind(state.row_seen_ns)
        self.s_limit_ma = self._bind(state.limit_ma)
        self.s_shed_ma = self._bind(state.shed_ma)
        self.s_fill_ma = self._bind(state.fill_ma)
        self.s_binding = self._bind(state.binding)
        self.s_headroom_ma = self._bind(state.headroom_ma)
        self.s_fast = self._bind(state.fast)
        self.s_slow = self._bind(state.slow)
        self.s_theta_ppm = self._bind(state.theta_ppm)
        self.s_trip_ms = self._bind(state.trip_ms)
        self.s_hard = self._bind(state.hard)
        self.s_margin_ma = self._bind(state.margin_ma)
        self.s_window_from_ma = self._bind(state.window_from_ma)
        self.s_window_top_ma = self._bind(state.window_top_ma)
        self.s_steps = self._bind(state.steps)
        self.s_limit_on = self._bind(state.limit_on)
        self.s_limit_until_ns = self._bind(state.limit_until_ns)
        self.s_limit_value_ma = self._bind(state.limit_value_ma)
        self.s_boot_ns = self._bind(state.boot_ns)
        self.s_step_ns = self._bind(state.step_ns)
        self.s_mains_ns = self._bind(state.mains_ns)
        self.s_good = self._bind(state.good)
        self.s_state = self._bind(state.state)
        self.s_excess_ns = self._bind(state.excess_ns)
        self.s_restored_ns = self._bind(state.restored_ns)
        self.s_heat_ns = self._bind(state.heat_ns)
        self.s_window_ns = self._bind(state.window_ns)
        self.s_disturbed = self._bind(state.disturbed)
        self.s_hour = self._bind(state.hour)
        self.s_hour_offset_ns = self._bind(state.hour_offset_ns)

    cdef i64 *_bind(self, object field) except? NULL:
        cdef i64[::1] view = field
        self._views.append(view)  # keeps the memory where it is
        return &view[0] if view.shape[0] else NULL

    # -- what people and services ask ---------------------------------------------------------

    def claim(self, int i, i64 claim, i64 reason, i64 now_ns):
        """Add a claim to hold load `i` open; a modulated load is paused."""
        self._check(i)
        self.s_claims[i] |= claim
        self.s_fit_ns[i] = 0
        if self.f_kind[i] == SWITCHED:
            self._order_open(i, now_ns)
        elif self.s_set_ma[i] > 0:
            self._lower(i, 0)
            self.s_opened_ns[i] = now_ns
        self._explain(i, reason, -1, 0, now_ns, 0)

    def release(self, int i, i64 claims, i64 now_ns):
        """Take these claims back. What then holds load `i` open is its room."""
        self._check(i)
        cdef i64 held = self.s_claims[i] & ~claims
        if self.s_claims[i] == held:
            return
        self.s_stop[i] = 0
        self.s_over_ns[i] = 0
        self.s_claims[i] = held | (C_PCS if held == 0 else 0)
        self._explain(i, R_LIMIT, -1, 0, now_ns, 0)

    cdef int _check(self, int i) except -1:
        if not 0 <= i < self.n:
            raise IndexError(f"load {i} of {self.n}")
        return 0

    # -- one step -----------------------------------------------------------------------------

    def step(self, i64 now_ns):
        """Decide on the latched image. Changes `state` only; bounded, no allocation."""
        with nogil:
            self._step(now_ns)

    cdef void _step(self, i64 now_ns) noexcept nogil:
        cdef i64 house[MAX_ROWS]
        cdef i64 reserve[MAX_ROWS]
        cdef int i, r
        if self.s_boot_ns[0] == 0:
            self.s_boot_ns[0] = now_ns
            self.s_mains_ns[0] = now_ns
            self.s_step_ns[0] = now_ns
            self.s_heat_ns[0] = now_ns
            for i in range(self.n):
                self.s_since_ns[i] = now_ns
        self._measure(now_ns)
        self._see_mains(now_ns)
        self._limits(now_ns)
        self._follow_relays(now_ns)
        self._watch_budgets(now_ns)
        if self.s_state[0] == HOLD or self.s_state[0] == SHED:
            self._fail_safe(now_ns)
        else:
            self._house(house)
            self._learn(house, now_ns)
            self._promote(now_ns)
            self._keep(house, now_ns)
            self._restore(house, reserve, now_ns)
            self._set(house, reserve, now_ns)
        self._stop_and_open(now_ns)
        for r in range(self.rows):
            self.s_headroom_ma[r] = self.s_limit_ma[r] - self.s_row_ma[r]
        self.s_step_ns[0] = now_ns

    cdef inline bint _fresh(self, i64 slot, i64 stale_ns, i64 now_ns) noexcept nogil:
        return slot < 0 or (
            self.quality_[slot] == GOOD and now_ns - self.sampled_[slot] <= stale_ns
        )

    cdef inline i64 _drawn(self, i64 slot) noexcept nogil:
        return _max(self.value_[slot], 0) if slot >= 0 else 0

    cdef void _measure(self, i64 now_ns) noexcept nogil:
        cdef int i, r, k
        cdef i64 one, two, total, meters
        for r in range(LEG_ROWS, self.rows):
            one = self.f_row_slot[r]
            two = self.f_row_slot2[r]
            self.s_row_old[r] = not (
                self._fresh(one, self.f_row_stale_ns[r], now_ns)
                and self._fresh(two, self.f_row_stale_ns[r], now_ns)
            )
        for i in range(self.n):
            self.s_stale[i] = 0
            for r in range(self.rows):
                k = i * self.rows + r
                one = self.f_slot[k]
                two = self.f_slot2[k]
                meters = (one >= 0) + (two >= 0)
                if meters == 0:
                    continue
                if self._fresh(one, self.f_stale_ns[i], now_ns) and (
                    self._fresh(two, self.f_stale_ns[i], now_ns)
                ):
                    total = self._drawn(one) + self._drawn(two)
                    self.s_meas_ma[k] = (total + meters - 1) // meters
                else:
                    self.s_stale[i] = 1
                if self.s_row_old[r]:
                    self.s_stale[i] = 1
            if not self.s_stale[i]:
                self.s_measured[i] = 1

    cdef void _see_mains(self, i64 now_ns) noexcept nogil:
        cdef int i, r, k, age
        cdef bint good = True, whole = True
        cdef i64 age_ns, sampled = self.sampled_[self.f_row_slot[0]]
        for r in range(LEG_ROWS):
            sampled = _min(sampled, self.sampled_[self.f_row_slot[r]])
            if self.quality_[self.f_row_slot[r]] != GOOD:
                good = False
        if good and sampled > self.s_mains_ns[0]:
            self.s_mains_ns[0] = sampled
            for r in range(LEG_ROWS):
                self.s_row_ma[r] = _max(self.value_[self.f_row_slot[r]], 0)
            for i in range(self.n):
                if self.f_kind[i] != MODULATED:
                    continue
                self.s_apart[i] = 1 - self.s_stale[i]
                for r in range(self.rows):
                    k = i * self.rows + r
                    if r < LEG_ROWS or self.f_row_slot[r] < 0:
                        self.s_at_mains_ma[k] = (
                            self.s_apart[i] * self.f_plain[k] * self.s_meas_ma[k]
                        )
                    else:
                        self.s_at_mains_ma[k] *= self.s_apart[i]
            for r in range(LEG_ROWS, self.rows):
                self._see_row(r)
            if now_ns - sampled <= self.f_fresh_ns[0]:
                self.s_good[0] = _min(self.s_good[0] + 1, self.f_good_needed[0])
        age_ns = now_ns - self.s_mains_ns[0]
        if age_ns > self.f_fresh_ns[0]:
            self.s_good[0] = 0
        age = (
            (age_ns > self.f_fresh_ns[0])
            + (age_ns > self.f_hold_ns[0])
            + (age_ns > self.f_shed_ns[0])
        )
        for i in range(self.n):
            if self.s_stale[i]:
                whole = False
        self.s_state[0] = self.f_next_state[
            ((self.s_state[0] * 4 + age) * 2 + (self.s_good[0] >= self.f_good_needed[0])) * 2
            + whole
        ]

    cdef void _see_row(self, int r) noexcept nogil:
        cdef i64 one = self.f_row_slot[r], two = self.f_row_slot2[r], sampled
        cdef int i, k
        if one < 0:
            self.s_row_ma[r] = self._sum_of_loads(r)
            return
        sampled = self.sampled_[one]
        if two >= 0:
            sampled = _min(sampled, self.sampled_[two])
        if self.s_row_old[r] or sampled <= self.s_row_seen_ns[r]:
            return
        self.s_row_seen_ns[r] = sampled
        self.s_row_ma[r] = self._drawn(one) + self._drawn(two)
        for i in range(self.n):
            if self.f_kind[i] == MODULATED:
                k = i * self.rows + r
                self.s_at_mains_ma[k] = self.s_apart[i] * self.f_plain[k] * self.s_meas_ma[k]

    cdef i64 _sum_of_loads(self, int r) noexcept nogil:
        cdef int i, k
        cdef i64 total = 0
        for i in range(self.n):
            k = i * self.rows + r
            if self.f_kind[i] == SWITCHED:
                if not self.s_stale[i]:
                    total += self.f_plain[k] * self.s_meas_ma[k]
                elif self.s_closed[i] != 0 or self.s_claims[i] & C_FAULT:
                    total += self.f_plain[k] * _max(self.s_meas_ma[k], self.f_demand_ma[k])
            elif self.s_apart[i]:
                total += self.s_at_mains_ma[k]
            else:
                total += self.f_plain[k] * _max(self.s_meas_ma[k], self.s_set_ma[i])
        return total // self.f_scale[r]

    cdef inline i64 _draw_on(self, int i, int r) noexcept nogil:
        cdef int k = i * self.rows + r
        return self.s_meas_ma[k] if self.s_measured[i] else self.f_demand_ma[k]

    cdef void _limits(self, i64 now_ns) noexcept nogil:
        cdef int r, k, best
        cdef i64 until_ns, value, limit_ma, others_ma
        cdef i64 ticks = _min(
            (now_ns - self.s_heat_ns[0]) // TICK_NS, ((<i64>1) << TICK_BITS) - 1
        )
        self.s_heat_ns[0] += ticks * TICK_NS
        for r in range(self.rows):
            best = -1
            limit_ma = NO_LIMIT_MA
            others_ma = NO_LIMIT_MA
            for k in range(self.limits):
                until_ns = self.s_limit_until_ns[k]
                if self.s_limit_on[k] and (until_ns == 0 or now_ns < until_ns):
                    value = self.s_limit_value_ma[k * self.rows + r]
                    if value < limit_ma:
                        limit_ma = value
                        best = k
                    if k != L_FSR:
                        others_ma = _min(others_ma, value)
            self.s_limit_ma[r] = limit_ma
            self.s_shed_ma[r] = limit_ma
            self.s_fill_ma[r] = limit_ma
            self.s_binding[r] = best
            if self.f_ref_ma[r] > 0:
                self._heat(r, ticks, others_ma, now_ns)

    cdef void _heat(self, int r, i64 ticks, i64 others_ma, i64 now_ns) noexcept nogil:
        cdef const i64 *keep_fast = &self.f_keep_fast[r * TICK_BITS]
        cdef const i64 *keep_slow = &self.f_keep_slow[r * TICK_BITS]
        cdef i64 ma = self.s_row_ma[r], fast = self.s_fast[r], slow = self.s_slow[r]
        cdef i64 u, goal, theta_ppm, left, borne
        cdef int k
        if now_ns - self.s_mains_ns[0] > self.f_fresh_ns[0] or self.s_row_old[r]:
            ma = _max(ma, _min(self.s_limit_ma[r], self.f_ref_ma[r]))
        u = _min((ma << 16) // self.f_ref_ma[r], MOST_U)
        goal = u * u
        for k in range(TICK_BITS):
            if (ticks >> k) & 1:
                fast = approach(fast, goal, keep_fast[k])
                slow = approach(slow, goal, keep_slow[k])
        self.s_fast[r] = fast
        self.s_slow[r] = slow
        theta_ppm = theta_of(fast, slow, self.f_share[r]) * PPM >> 32
        self.s_theta_ppm[r] = theta_ppm
        self.s_trip_ms[r] = -1
        if goal > ONE:
            left = ticks_to_trip(fast, slow, goal, self.f_share[r], keep_fast, keep_slow)
            if left >= 0:
                self.s_trip_ms[r] = left * (TICK_NS // 1000000)
        if self.s_limit_ma[r] == NO_LIMIT_MA:
            return
        self.s_shed_ma[r] = self.s_limit_ma[r] * shed_band(theta_ppm, False) // PPM
        if self.f_credit[r] and not self.s_hard[r]:
            borne = self.s_limit_value_ma[L_FSR * self.rows + r] * shed_band(theta_ppm, True) // PPM
            self.s_shed_ma[r] = _max(self.s_shed_ma[r], _min(others_ma, borne))
        self.s_fill_ma[r] = self.s_limit_ma[r] * fill_band(theta_ppm) // PPM
        if self.s_fill_ma[r] < self.s_limit_ma[r]:
            self.s_binding[r] = L_THERMAL
        self.s_limit_ma[r] = _min(self.s_limit_ma[r], self.s_shed_ma[r])

    cdef void _learn(self, const i64 *house, i64 now_ns) noexcept nogil:
        cdef int r, k, first
        cdef i64 hour, rise
        for r in range(self.rows):
            self.s_window_top_ma[r] = _max(self.s_window_top_ma[r], house[r])
        if now_ns - self.s_window_ns[0] < self.f_react_ns[0]:
            return
        hour = (now_ns + self.s_hour_offset_ns[0]) // HOUR_NS % HOURS
        for r in range(self.rows):
            if r >= LEG_ROWS and not self.s_hard[r]:
                continue
            first = <int>(r * HOURS + hour) * STEP_BINS
            if hour != self.s_hour[0]:
                for k in range(first, first + STEP_BINS):
                    self.s_steps[k] -= self.s_steps[k] >> FORGET_BITS
            if self.s_window_ns[0] and not self.s_disturbed[0]:
                rise = self.s_window_top_ma[r] - self.s_window_from_ma[r]
                self.s_steps[first + bin_of(rise // self.f_scale[r])] += SEEN
            self.s_margin_ma[r] = _min(self._margin(r, first), self.s_limit_ma[r] >> MARGIN_BITS)
        self.s_hour[0] = hour
        self.s_window_ns[0] = now_ns
        self.s_disturbed[0] = 0
        for r in range(self.rows):
            self.s_window_from_ma[r] = house[r]
            self.s_window_top_ma[r] = house[r]

    cdef i64 _margin(self, int r, int first) noexcept nogil:
        cdef int k, expected = bin_of(self.f_prior_ma[r])
        cdef i64 total = PRIOR, above = 0
        for k in range(STEP_BINS):
            total += self.s_steps[first + k]
        for k in range(STEP_BINS - 1, -1, -1):
            above += self.s_steps[first + k] + (PRIOR if k == expected else 0)
            if above > total >> TAIL_BITS:
                return bin_top_ma(k)
        return 0

    cdef void _follow_relays(self, i64 now_ns) noexcept nogil:
        cdef int i, r
        cdef i64 slot, meter, since_order, settled_ns, position
        cdef bint seen
        for i in range(self.n):
            slot = self.f_relay_slot[i]
            if slot < 0:
                self.s_closed[i] = 1
                continue
            seen = self._relay_seen(i, now_ns)
            position = 1 if self.value_[slot] != 0 else 0
            if self.s_closed[i] < 0:
                if seen:
                    self._adopt(i, position, now_ns)
                continue
            since_order = now_ns - self.s_order_ns[i]
            if self.s_flying[i]:
                if (
                    seen and position == 0 and self.sampled_[slot] > self.s_order_ns[i]
                    and self._rows_newer(i, self.sampled_[slot])
                ) or since_order > self.f_relay_confirm_ns[0]:
                    self.s_flying[i] = 0
            if self.s_awaits[i] and seen and position == self.s_closed[i]:
                self.s_awaits[i] = 1 if self.sampled_[slot] <= self.s_order_ns[i] else 0
            settled_ns = self._told_ns(i) + self.f_relay_confirm_ns[0]
            if self.s_claims[i] & C_FAULT or now_ns <= settled_ns:
                continue
            if seen and self.sampled_[slot] > settled_ns and position != self.s_closed[i]:
                self._fault(i, R_WELDED if position else R_STUCK_OPEN, now_ns)
            elif self.s_closed[i] == 0 and not self.s_stale[i]:
                for r in range(self.rows):
                    meter = self.f_slot[i * self.rows + r]
                    if (
                        meter >= 0 and self.sampled_[meter] > settled_ns
                        and self.s_meas_ma[i * self.rows + r] > self.f_welded_ma[0]
                    ):
                        self._fault(i, R_WELDED, now_ns)
                        break

    cdef bint _rows_newer(self, int i, i64 sampled_ns) noexcept nogil:
        cdef int r
        if self.s_mains_ns[0] <= sampled_ns:
            return False
        for r in range(LEG_ROWS, self.rows):
            if self.f_row_slot[r] >= 0 and self.f_plain[i * self.rows + r] and (
                self.s_row_seen_ns[r] <= sampled_ns
            ):
                return False
        return True

    cdef i64 _told_ns(self, int i) noexcept nogil:
        cdef i64 slot = self.f_told_slot[i]
        if slot < 0 or not self.s_awaits[i]:
            return self.s_order_ns[i]
        if self.sampled_[slot] < self.s_order_ns[i] or self.value_[slot] != self.s_closed[i]:
            return NEVER_NS
        return self.sampled_[slot]

    cdef void _adopt(self, int i, i64 position, i64 now_ns) noexcept nogil:
        self.s_closed[i] = position
        self.s_order_ns[i] = now_ns
        if position and not self.s_claims[i]:
            self.s_closed_ns[i] = 0
            self._explain(i, R_NONE, -1, 0, now_ns, 0)
        elif position and self.f_kind[i] == SWITCHED:
            self._order_open(i, now_ns)
        elif not position:
            self.s_opened_ns[i] = now_ns
            if self.f_kind[i] == MODULATED:
                self._lower(i, 0)
            if not self.s_claims[i]:
                self.s_claims[i] = C_FOUND
                self._explain(i, R_FOUND_OPEN, -1, 0, now_ns, 0)

    cdef void _fault(self, int i, i64 reason, i64 now_ns) noexcept nogil:
        self.s_claims[i] |= C_FAULT
        if self.s_closed[i] != 0:
            self.s_opened_ns[i] = now_ns
        self.s_closed[i] = 0
        self.s_flying[i] = 0
        self.s_fit_ns[i] = 0
        if self.f_kind[i] == MODULATED:
            self._lower(i, 0)
        self._explain(i, reason, -1, 0, now_ns, 0)

    cdef void _watch_budgets(self, i64 now_ns) noexcept nogil:
        cdef int i
        cdef bint late
        for i in range(self.n):
            if self.f_kind[i] != MODULATED:
                continue
            if now_ns - self.s_bucket_ns[i] >= self.f_settle_ns[i]:
                self.s_allowed_ma[i] = self.s_allow_ma[i]
                self.s_allow_ma[i] = self.s_set_ma[i]
                self.s_bucket_ns[i] = now_ns
            if self.s_stale[i] or not self._above(i, _max(
                self.s_set_ma[i], self.f_floor_ma[i] if self.f_compute[i] else 0
            )):
                self.s_over_ns[i] = 0
            elif self.s_over_ns[i] == 0:
                self.s_over_ns[i] = now_ns
            self._watch_wish(i, now_ns)
            late = self.s_over_ns[i] != 0 and (
                now_ns - self.s_over_ns[i] >= self.f_node_fault_ns[0]
            )
            if late and (self.f_compute[i] or self.f_relay_slot[i] >= 0) and (
                self._disobeys(i)
            ):
                if not self.s_stop[i]:
                    self.s_stop[i] = now_ns
                    self.s_claims[i] |= C_FAULT
                    self._lower(i, 0)
                    self._explain(i, R_IGNORES_BUDGET, -1, 0, now_ns, 0)
                if self.f_relay_slot[i] >= 0 and (
                    now_ns - self.s_stop[i] >= self.f_node_open_ns[0] - self.f_node_fault_ns[0]
                ):
                    self._order_open(i, now_ns)

    cdef void _stop_and_open(self, i64 now_ns) noexcept nogil:
        cdef int i
        cdef bint idle
        for i in range(self.n):
            if self.f_kind[i] != MODULATED:
                continue
            if self.f_relay_slot[i] >= 0 and self.s_claims[i] & C_USER and self.s_closed[i] == 1:
                idle = not self.s_stale[i] and self._draw(i) <= self.f_welded_ma[0]
                if idle or now_ns - self.s_opened_ns[i] >= self.f_stop_wait_ns[0]:
                    self._order_open(i, now_ns)

    cdef void _fail_safe(self, i64 now_ns) noexcept nogil:
        cdef int i
        self.s_excess_ns[0] = 0
        for i in range(self.n):
            if self.f_kind[i] == MODULATED:
                self._lower(i, _min(self.s_set_ma[i], self.f_fallback_ma[i]))
                if not self.s_claims[i]:
                    self._explain(i, R_BLIND, -1, 0, now_ns, 0)
        for i in range(self.n):
            if self.f_kind[i] != SWITCHED:
                continue
            self.s_fit_ns[i] = 0
            if self.s_claims[i]:
                self._wait(i, W_BLIND, -1, 0)
            elif self.s_state[0] == SHED and self.f_safe_open[i] and self.s_closed[i] == 1:
                self.s_claims[i] |= C_PCS
                self._order_open(i, now_ns)
                self._explain(i, R_BLIND, -1, 0, now_ns, now_ns + self.f_min_off_ns[i])

    # -- what the rows carry ------------------------------------------------------------------

    cdef void _house(self, i64 *house) noexcept nogil:
        cdef int i, r
        for r in range(self.rows):
            house[r] = self.f_scale[r] * self.s_row_ma[r]
        for i in range(self.n):
            if self.f_kind[i] == MODULATED:
                for r in range(self.rows):
                    house[r] -= self.s_at_mains_ma[i * self.rows + r]

    cdef void _least(self, int i, i64 *least) noexcept nogil:
        cdef int r
        cdef i64 ma, floor
        cdef bint real
        if not self.s_apart[i]:
            for r in range(self.rows):
                least[r] = 0
            return
        real = self.f_settle_ns[i] > self.f_react_ns[0] or self._disobeys(i)
        floor = self.f_floor_ma[i] if self.s_set_ma[i] > 0 else 0
        for r in range(self.rows):
            ma = floor
            if real:
                ma = _max(ma, self.s_meas_ma[i * self.rows + r])
            least[r] = self.f_coef[i * self.rows + r] * ma

    cdef void _sort(self, int *order, int count, const i64 *key) noexcept nogil:
        """Sort by key, then by load number; `order` comes in ascending."""
        cdef int a, b, i
        for a in range(1, count):
            i = order[a]
            b = a
            while b > 0 and key[order[b - 1]] > key[i]:
                order[b] = order[b - 1]
                b -= 1
            order[b] = i

    cdef void _shortest(
        self, int i, const i64 *coef, const i64 *room, i64 *row, i64 *short
    ) noexcept nogil:
        """The row on which load `i` is missing most, and by how many mA."""
        cdef int r
        cdef i64 need, missing
        row[0] = -1
        short[0] = 0
        for r in range(self.rows):
            need = coef[i * self.rows + r]
            if need == 0 or need <= room[r]:
                continue
            missing = (need - room[r]) // self.f_scale[r]
            if row[0] < 0 or missing > short[0]:
                row[0] = r
                short[0] = missing

    cdef void _serve(
        self, const int *order, int count, const i64 *tier, const i64 *coef, const i64 *size,
        i64 *room, const i64 *worth, i64 *taken,
    ) noexcept nogil:
        """What the ladder gives each load; `room` is what is left. Continuous without `worth`."""
        cdef Rung rung[MAX_LOADS]
        cdef Entry entry[MAX_ENTRIES]
        cdef i64 size_ma[MAX_LOADS]
        cdef i64 value[MAX_LOADS]
        cdef i64 was_on[MAX_LOADS]
        cdef i64 taken_ma[MAX_LOADS]
        cdef Rungs rungs
        cdef int a, i, r, k = 0
        cdef bint discrete = worth != NULL
        for a in range(count):
            i = order[a]
            size_ma[a] = size[i]
            value[a] = worth[i] if discrete else size[i]
            was_on[a] = self.s_closed[i] == 1
            rung[a].id = a
            rung[a].tier = <int>tier[i]
            rung[a].predecessor = -1
            rung[a].weight = <short>self.f_weight[i]
            rung[a].discrete = discrete
            rung[a].equal = (
                discrete and self.f_equal_tier[self.s_tier[i]] == 1 and not self.s_promoted[i]
            )
            rung[a].first = k
            for r in range(self.rows):
                if coef[i * self.rows + r]:
                    entry[k].row = r
                    entry[k].coefficient = <int>coef[i * self.rows + r]
                    k += 1
            rung[a].end = k
        rungs.count = count
        rungs.rows = self.rows
        rungs.rung = rung
        rungs.entry = entry
        rungs.size_ma = size_ma
        rungs.value = value
        rungs.was_on = was_on
        serve(&rungs, room, taken_ma)
        for a in range(count):
            taken[order[a]] = taken_ma[a]

    cdef void _promote(self, i64 now_ns) noexcept nogil:
        cdef int i
        for i in range(self.n):
            if self.f_kind[i] != SWITCHED:
                continue
            if self.s_claims[i] == C_PCS:
                if self.f_max_off_ns[i] and (
                    now_ns - self.s_opened_ns[i] >= self.f_max_off_ns[i]
                ):
                    self.s_promoted[i] = 1
            elif self.s_claims[i] or now_ns - self.s_closed_ns[i] >= self.f_min_on_ns[i]:
                self.s_promoted[i] = 0

    cdef inline i64 _rank(self, int i) noexcept nogil:
        return 0 if self.s_promoted[i] else self.s_tier[i] + 1

    cdef inline bint _stays(self, int i, i64 now_ns) noexcept nogil:
        return self.s_closed_ns[i] > 0 and now_ns - self.s_closed_ns[i] < self.f_min_on_ns[i]

    cdef void _keep(self, const i64 *house, i64 now_ns) noexcept nogil:
        cdef i64 room[MAX_ROWS]
        cdef i64 least[MAX_ROWS]
        cdef i64 coef[MAX_LOADS * MAX_ROWS]
        cdef i64 size[MAX_LOADS]
        cdef i64 worth[MAX_LOADS]
        cdef i64 rank[MAX_LOADS]
        cdef i64 key[MAX_LOADS]
        cdef i64 taken[MAX_LOADS]
        cdef int order[MAX_LOADS]
        cdef int count = 0, i, r, a, k, rows = self.rows
        cdef i64 draw, row, short
        cdef bint must = False, over = False, hot = False
        for r in range(rows):
            room[r] = self.f_scale[r] * self.s_shed_ma[r] - house[r]
        for i in range(self.n):
            size[i] = 0
            worth[i] = 0
            taken[i] = 0
            rank[i] = self._rank(i)
            key[i] = 2 * rank[i] + (0 if self._stays(i, now_ns) else 1)
            for r in range(rows):
                coef[i * rows + r] = 0
            if self.f_kind[i] == SWITCHED:
                if self.s_flying[i]:
                    for r in range(rows):
                        room[r] += self.f_plain[i * rows + r] * self.s_relief_of_ma[i * rows + r]
                elif self.s_closed[i] == 1 and not self.s_claims[i] and (
                    self._relay_seen(i, now_ns)
                ):
                    for r in range(rows):
                        k = i * rows + r
                        if self.f_coef[k] == 0:
                            continue
                        draw = self._draw_on(i, r)
                        if self.f_plain[k] * draw >= self.f_scale[r] * self.f_relief_ma[0]:
                            coef[k] = self.f_coef[k] * draw
                            size[i] = 1
                            room[r] += self.f_plain[k] * draw
                            if r < LEG_ROWS:
                                worth[i] += draw
                    if size[i]:
                        worth[i] += STAYS if self._stays(i, now_ns) else 1
                        order[count] = i
                        count += 1
            else:
                self._least(i, least)
                if self.f_can_pause[i] and not self.f_compute[i] and self.s_set_ma[i] > 0 and (
                    self.s_apart[i]
                ):
                    for r in range(rows):
                        coef[i * rows + r] = least[r]
                    size[i] = 1
                    worth[i] = 1
                    order[count] = i
                    count += 1
                else:
                    for r in range(rows):
                        room[r] -= least[r]
        self._sort(order, count, key)
        self._serve(order, count, rank, coef, size, room, worth, taken)
        for a in range(count):
            if not taken[order[a]]:
                must = True
        for r in range(rows):
            if self.s_row_ma[r] > self.s_shed_ma[r]:
                over = True
                if self.s_theta_ppm[r] > HOT_PPM:
                    hot = True
        if not must and not over:
            self.s_excess_ns[0] = 0
        elif self.s_excess_ns[0] == 0:
            self.s_excess_ns[0] = now_ns
        if not must or now_ns - self.s_mains_ns[0] > self.f_fresh_ns[0] or (
            now_ns - self.s_excess_ns[0] < self.f_confirm_ns[0] and not hot
        ):
            return
        for a in range(count):
            i = order[a]
            if not taken[i]:
                self._shortest(i, coef, room, &row, &short)
                self._shed(i, R_LIMIT, row, short, now_ns)

    cdef void _shed(self, int i, i64 reason, i64 row, i64 short, i64 now_ns) noexcept nogil:
        self.s_claims[i] |= C_PCS
        if self.f_kind[i] == SWITCHED:
            self._order_open(i, now_ns)
        else:
            self._lower(i, 0)
            self.s_opened_ns[i] = now_ns
        self._explain(i, reason, row, short, now_ns, now_ns + self.f_min_off_ns[i])

    cdef void _restore(self, const i64 *house, i64 *reserve, i64 now_ns) noexcept nogil:
        cdef i64 room[MAX_ROWS]
        cdef i64 left[MAX_ROWS]
        cdef i64 top[MAX_ROWS]
        cdef i64 margin[MAX_ROWS]
        cdef i64 flying[MAX_ROWS]
        cdef i64 missing_on[MAX_ROWS]
        cdef i64 drawn[MAX_ROWS]
        cdef i64 least[MAX_ROWS]
        cdef i64 coef[MAX_LOADS * MAX_ROWS]
        cdef i64 size[MAX_LOADS]
        cdef i64 worth[MAX_LOADS]
        cdef i64 rank[MAX_LOADS]
        cdef i64 taken[MAX_LOADS]
        cdef int order[MAX_LOADS]
        cdef int way[MAX_LOADS]
        cdef int count = 0, ways, chosen = -1, i, r, a, b, k, rows = self.rows
        cdef i64 need, row, short
        cdef bint fresh = now_ns - self.s_mains_ns[0] <= self.f_fresh_ns[0]
        cdef bint open_now = True, displaced = False, pushing = False, any_short, first
        for r in range(rows):
            reserve[r] = 0
            flying[r] = 0
            drawn[r] = 0
        for i in range(self.n):
            if self.f_kind[i] != SWITCHED:
                continue
            if self.s_closed[i] == 1 and self.s_closed_ns[i] > 0 and (
                now_ns - self.s_closed_ns[i] <= self.f_close_settle_ns[0]
            ):
                for r in range(rows):
                    k = i * rows + r
                    reserve[r] += self.f_coef[k] * _max(
                        0, self._demand(i, r, now_ns) - self.s_meas_ma[k]
                    )
            if self.s_flying[i]:
                for r in range(rows):
                    flying[r] += self.f_plain[i * rows + r] * self.s_relief_of_ma[i * rows + r]
        for r in range(rows):
            margin[r] = self.f_scale[r] * self._margin_of(r, self.f_restore_margin_ma[0])
            top[r] = (
                self.f_scale[r] * _min(self.s_limit_ma[r], self.s_fill_ma[r])
                - margin[r] - house[r] - reserve[r]
            )
            room[r] = top[r]
        for i in range(self.n):
            size[i] = 0
            worth[i] = 0
            taken[i] = 0
            rank[i] = self._rank(i)
            if self.f_kind[i] == MODULATED:
                self._least(i, least)
                for r in range(rows):
                    room[r] -= least[r]
                    if self.s_apart[i] and not self._above(i, self.s_set_ma[i]):
                        drawn[r] += self.f_coef[i * rows + r] * self.s_set_ma[i]
                    else:
                        drawn[r] += self._charge(i, r)
            for r in range(rows):
                coef[i * rows + r] = 0
            if self.s_claims[i] == C_PCS:
                order[count] = i
                count += 1
                size[i] = 1
                worth[i] = 1
                for r in range(rows):
                    coef[i * rows + r] = self.f_coef[i * rows + r] * self._demand(i, r, now_ns)
                    if r < LEG_ROWS:
                        worth[i] += coef[i * rows + r]
        self._sort(order, count, rank)
        for r in range(rows):
            left[r] = room[r]
        self._serve(order, count, rank, coef, size, room, worth, taken)
        for a in range(count):
            i = order[a]
            if taken[i]:
                for r in range(rows):
                    left[r] -= coef[i * rows + r]
            if self.s_stale[i] or (
                self.f_relay_slot[i] >= 0 and not self._relay_seen(i, now_ns)
            ):
                self.s_fit_ns[i] = 0
                self._wait(i, W_BLIND, -1, 0)
                continue
            ways = 0
            if not taken[i]:
                any_short = False
                for r in range(rows):
                    need = coef[i * rows + r]
                    missing_on[r] = _max(0, need - left[r] - flying[r]) if need else 0
                    if missing_on[r]:
                        any_short = True
                if not displaced:
                    ways = self._who_gives_way(i, rank, missing_on, way, now_ns)
                if ways:
                    displaced = True
                if not ways and any_short:
                    self._shortest(i, coef, left, &row, &short)
                    self.s_fit_ns[i] = 0
                    self._wait(i, W_NO_ROOM, row, short)
                    continue
            if self.s_fit_ns[i] == 0 and fresh:
                self.s_fit_ns[i] = now_ns
            if now_ns - self.s_opened_ns[i] < self.f_min_off_ns[i]:
                self._wait(i, W_MIN_OFF, -1, 0)
                continue
            first = chosen < 0 and not pushing
            pushing = pushing or not taken[i]
            if not fresh or now_ns - self.s_fit_ns[i] < self.f_restore_hold_ns[0]:
                self._wait(i, W_STEADY, -1, 0)
            elif not first or (
                self.s_restored_ns[0]
                and now_ns - self.s_restored_ns[0] < self.f_restore_interval_ns[0]
            ):
                self._wait(i, W_STAGED, -1, 0)
            elif not taken[i]:
                self._shortest(i, coef, left, &row, &short)
                for b in range(ways):
                    self._shed(way[b], R_GAVE_WAY, row, short, now_ns)
                self._wait(i, W_MAKING_ROOM, -1, 0)
            else:
                chosen = i
                self._wait(i, W_MAKING_ROOM, -1, 0)
        if chosen < 0:
            return
        for r in range(rows):
            need = coef[chosen * rows + r]
            if need and need > top[r] - drawn[r]:
                open_now = False
        for r in range(rows):
            reserve[r] += coef[chosen * rows + r]
        if not open_now:
            for r in range(rows):
                if coef[chosen * rows + r]:
                    reserve[r] += _max(0, margin[r] - self.f_scale[r] * self._margin_of(
                        r, self.f_fill_margin_ma[0]
                    ))
            return
        self._close(chosen, now_ns)
        if self.f_kind[chosen] == MODULATED:
            for r in range(rows):
                reserve[r] -= coef[chosen * rows + r]

    cdef int _who_gives_way(
        self, int i, const i64 *rank, i64 *missing, int *way, i64 now_ns
    ) noexcept nogil:
        """Fills `way` with the loads that would make room for load `i`, or returns 0."""
        cdef i64 key[MAX_LOADS]
        cdef int later[MAX_LOADS]
        cdef int count = 0, ways = 0, a, k, r, e
        cdef bint helps
        for k in range(self.n - 1, -1, -1):
            if (
                self.f_kind[k] == SWITCHED
                and rank[k] > rank[i]
                and self.s_closed[k] == 1
                and not self.s_claims[k]
                and not self.s_stale[k]
                and not self._stays(k, now_ns)
                and self._relay_seen(k, now_ns)
            ):
                key[k] = -rank[k]
                later[count] = k
                count += 1
        self._sort(later, count, key)
        for a in range(count):
            k = later[a]
            helps = False
            for r in range(self.rows):
                e = k * self.rows + r
                if missing[r] > 0 and (
                    self.f_plain[e] * self.s_meas_ma[e] >= self.f_scale[r] * self.f_relief_ma[0]
                ):
                    helps = True
            if helps:
                way[ways] = k
                ways += 1
                for r in range(self.rows):
                    e = k * self.rows + r
                    missing[r] -= self.f_plain[e] * self.s_meas_ma[e]
        for r in range(self.rows):
            if missing[r] > 0:
                return 0
        return ways

    cdef void _close(self, int i, i64 now_ns) noexcept nogil:
        self.s_claims[i] = 0
        self.s_restored_ns[0] = now_ns
        self.s_closed_ns[i] = now_ns
        self.s_fit_ns[i] = 0
        self.s_disturbed[0] = 1
        self._explain(i, R_NONE, -1, 0, now_ns, 0)
        if self.f_relay_slot[i] >= 0 and self.s_closed[i] == 0:
            self.s_closed[i] = 1
            self.s_order_ns[i] = now_ns
            self.s_awaits[i] = 1
        if self.f_kind[i] == MODULATED:
            self._raise(i, self.f_floor_ma[i], now_ns)

    cdef void _set(self, const i64 *house, const i64 *reserve, i64 now_ns) noexcept nogil:
        cdef i64 fill[MAX_ROWS]
        cdef i64 room[MAX_ROWS]
        cdef i64 extra[MAX_ROWS]
        cdef i64 size[MAX_LOADS]
        cdef i64 taken[MAX_LOADS]
        cdef int order[MAX_LOADS]
        cdef int count = 0, i, r, q, a, k, rows = self.rows
        cdef i64 floor, want, cut, target, reason, row, short, drawn
        cdef bint fresh = now_ns - self.s_mains_ns[0] <= self.f_fresh_ns[0]
        cdef bint ramping, moving
        for r in range(rows):
            fill[r] = self.f_scale[r] * (
                self.s_fill_ma[r] - self._margin_of(r, self.f_fill_margin_ma[0])
            ) - house[r] - reserve[r]
            room[r] = fill[r]
            extra[r] = 0
        for i in range(self.n):
            size[i] = 0
            taken[i] = 0
            if self.f_kind[i] != MODULATED:
                continue
            if not self.s_claims[i] and not self.s_stop[i]:
                order[count] = i
                count += 1
                want = self.s_want_ma[i]
                if self.s_raised_ns[i] and (
                    now_ns - self.s_raised_ns[i] < self.f_change_ns[i]
                ):
                    want = _min(want, self.s_set_ma[i])
                size[i] = _max(0, want - self.f_floor_ma[i])
                floor = self.f_floor_ma[i] if self.s_apart[i] else 0
                for r in range(rows):
                    room[r] -= self.f_coef[i * rows + r] * floor
            else:
                for r in range(rows):
                    room[r] -= self._charge(i, r)
        self._sort(order, count, self.f_rest_tier)
        self._serve(order, count, self.f_rest_tier, self.f_coef, size, room, NULL, taken)
        for a in range(count):
            i = order[a]
            for r in range(rows):
                if self.f_coef[i * rows + r] and room[r] < extra[r]:
                    k = <int>self.f_coef[i * rows + r]
                    cut = _min(taken[i], (extra[r] - room[r] + k - 1) // k)
                    taken[i] -= cut
                    for q in range(rows):
                        room[q] += self.f_coef[i * rows + q] * cut
            target = self.f_floor_ma[i] + taken[i]
            target -= target % self.f_step_ma[i]
            target = _max(target, self.f_floor_ma[i])
            if self.s_stale[i]:
                target = _min(target, self.f_fallback_ma[i])
            if self.s_apart[i]:
                moving = self._above(i, self.f_floor_ma[i] + taken[i])
                for r in range(rows):
                    k = i * rows + r
                    drawn = self.s_meas_ma[k] + (
                        self._error(self.s_meas_ma[k]) if moving else 0
                    )
                    extra[r] += self.f_coef[k] * _max(
                        0, drawn - self.f_floor_ma[i] - taken[i]
                    )
            taken[i] = target
            if target < self.s_set_ma[i]:
                self._lower(i, target)
        for a in range(count):
            i = order[a]
            target = taken[i]
            reason = R_NONE
            if self.s_stale[i]:
                reason = R_STALE
            elif target < self.f_max_ma[i] and target < self.s_want_ma[i] - self.f_step_ma[i]:
                reason = R_LIMIT
            ramping = False
            if target > self.s_set_ma[i] and fresh and not self.s_stale[i] and (
                not self.s_over_ns[i]
            ):
                ramping = not self._climb(i, target, fill, now_ns)
            if ramping and reason == R_NONE:
                reason = R_RAMP
            row = -1
            short = 0
            if reason == R_LIMIT:
                short = self.s_want_ma[i] - target
                for r in range(rows):
                    if self.f_coef[i * rows + r] and (row < 0 or room[r] < room[row]):
                        row = r
            self._explain(i, reason, row, short, now_ns, 0)

    cdef bint _climb(self, int i, i64 target, const i64 *fill, i64 now_ns) noexcept nogil:
        cdef i64 top = target, free, elapsed, grow, still
        cdef int r, k, rows = self.rows
        for r in range(rows):
            if self.f_coef[i * rows + r]:
                free = fill[r]
                for k in range(self.n):
                    if self.f_kind[k] == MODULATED:
                        if k == i:
                            free -= self.f_coef[k * rows + r] * self.s_set_ma[k]
                        else:
                            free -= self._charge(k, r)
                top = _min(top, self.s_set_ma[i] + _max(0, free) // self.f_coef[i * rows + r])
        elapsed = _min(now_ns - self.s_step_ns[0], 1000000000)
        grow = self.f_ramp_ma_s[i] * elapsed // 1000000000
        still = _min(now_ns - self.s_moved_ns[i], STILL_NS)
        if grow < self.f_step_ma[i] and (
            self.f_step_ma[i] <= self.f_ramp_ma_s[i] * still // 1000000000
        ):
            grow = self.f_step_ma[i]
        top = _min(top, _max(self.f_floor_ma[i], self.s_set_ma[i] + grow))
        if top < self.f_floor_ma[i]:
            return False
        top = _max(self.f_floor_ma[i], top - top % self.f_step_ma[i])
        if top < target and self.f_change_ns[i]:
            for k in range(self.n):
                if self.f_kind[k] == MODULATED and not self.s_stale[k] and (
                    self._above(k, self.s_set_ma[k])
                ):
                    return False
        if top > self.s_set_ma[i]:
            self._raise(i, top, now_ns)
        return top >= target

    # -- small words --------------------------------------------------------------------------

    cdef inline bint _relay_seen(self, int i, i64 now_ns) noexcept nogil:
        cdef i64 slot = self.f_relay_slot[i]
        if slot < 0:
            return True
        return self.quality_[slot] == GOOD and (
            now_ns - self.sampled_[slot] <= self.f_relay_stale_ns[0]
        )

    cdef inline i64 _draw(self, int i) noexcept nogil:
        cdef i64 most = self.s_meas_ma[i * self.rows]
        cdef int r
        for r in range(1, LEG_ROWS):
            most = _max(most, self.s_meas_ma[i * self.rows + r])
        return most

    cdef inline i64 _demand(self, int i, int r, i64 now_ns) noexcept nogil:
        cdef int k = i * self.rows + r
        cdef i64 need = self.f_demand_ma[k]
        if self.f_kind[i] == MODULATED:
            return self.f_floor_ma[i]
        if now_ns - self.s_opened_ns[i] < RELIEF_COUNTS * self.f_min_off_ns[i]:
            need = _max(need, self.s_relief_of_ma[k])
        return _max(need, self.f_inrush_ma[k] if self.s_hard[r] else 0)

    cdef inline i64 _margin_of(self, int r, i64 least_ma) noexcept nogil:
        return _max(least_ma, self.s_margin_ma[r]) if self.s_hard[r] else least_ma

    cdef inline i64 _error(self, i64 ma) noexcept nogil:
        return ma * self.f_error_ppm[0] // 1000000

    cdef inline i64 _charge(self, int i, int r) noexcept nogil:
        cdef int k = i * self.rows + r
        if not self.s_apart[i]:
            return 0
        return self.f_coef[k] * _max(
            self.s_meas_ma[k] + self._error(self.s_meas_ma[k]), self.s_set_ma[i]
        )

    cdef inline void _watch_wish(self, int i, i64 now_ns) noexcept nogil:
        cdef i64 draw = self._draw(i), allowed = self.s_set_ma[i]
        if allowed > 0 and not self.s_stale[i] and (
            draw >= allowed - _max(500, allowed * 3 // 100)
        ):
            self.s_hungry_ns[i] = now_ns
        if self.f_compute[i] or (
            self.s_hungry_ns[i] and now_ns - self.s_hungry_ns[i] <= self.f_idle_ns[0]
        ):
            self.s_want_ma[i] = self.f_max_ma[i]
        else:
            self.s_want_ma[i] = _max(
                self.f_floor_ma[i],
                _min(allowed, draw + draw * 5 // 100 + self.f_slack_ma[0]),
            )

    cdef inline bint _disobeys(self, int i) noexcept nogil:
        return self._above(i, _max(self.s_allow_ma[i], self.s_allowed_ma[i]))

    cdef inline bint _above(self, int i, i64 ma) noexcept nogil:
        return self._draw(i) > (
            ma + ma * self.f_tolerance_ppm[i] // 1000000 + self.f_tolerance_ma[0]
        )

    cdef inline void _lower(self, int i, i64 ma) noexcept nogil:
        if ma < self.s_set_ma[i]:
            self.s_set_ma[i] = ma
            self.s_moved_ns[i] = self.s_step_ns[0]

    cdef inline void _raise(self, int i, i64 ma, i64 now_ns) noexcept nogil:
        self.s_set_ma[i] = ma
        self.s_raised_ns[i] = now_ns
        self.s_moved_ns[i] = now_ns
        self.s_allow_ma[i] = _max(self.s_allow_ma[i], ma)

    cdef void _order_open(self, int i, i64 now_ns) noexcept nogil:
        cdef int r, k
        if self.s_closed[i] == 1 and self.f_relay_slot[i] >= 0:
            self.s_closed[i] = 0
            self.s_order_ns[i] = now_ns
            self.s_awaits[i] = 1
            self.s_flying[i] = 1
            self.s_disturbed[0] = 1
            for r in range(self.rows):
                k = i * self.rows + r
                self.s_relief_of_ma[k] = self.s_meas_ma[k] if self.s_measured[i] else 0
        if self.f_kind[i] == SWITCHED:
            self.s_opened_ns[i] = now_ns

    cdef void _explain(
        self, int i, i64 reason, i64 row, i64 ma, i64 now_ns, i64 until_ns
    ) noexcept nogil:
        if self.s_reason[i] != reason:
            self.s_since_ns[i] = now_ns
        self.s_reason[i] = reason
        self.s_reason_row[i] = row
        self.s_reason_ma[i] = ma
        self.s_until_ns[i] = until_ns
        self._wait(i, W_NONE, -1, 0)

    cdef inline void _wait(self, int i, i64 wait, i64 row, i64 ma) noexcept nogil:
        self.s_wait[i] = wait
        self.s_wait_row[i] = row
        self.s_wait_ma[i] = ma
