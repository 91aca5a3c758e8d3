"""Relays and set-points against what they were told: panelctl/core/follow.py."""


cdef void _follow_relays(Memory *m, i64 now_ns) noexcept nogil:
    cdef int i, r
    cdef i64 slot, meter, since_order, settled_ns, position
    cdef bint seen
    for i in range(m.n):
        slot = m.f_relay_slot[i]
        if slot < 0:
            m.s_closed[i] = 1
            continue
        seen = _relay_seen(m, i, now_ns)
        position = 1 if m.value_[slot] != 0 else 0
        if m.s_closed[i] < 0:
            if seen:
                _adopt(m, i, position, now_ns)
            continue
        since_order = now_ns - m.s_order_ns[i]
        if m.s_flying[i]:
            if (
                seen and position == 0 and m.sampled_[slot] > m.s_order_ns[i]
                and _rows_newer(m, i, m.sampled_[slot])
            ) or since_order > m.f_relay_confirm_ns[0]:
                m.s_flying[i] = 0
        if m.s_awaits[i] and seen and position == m.s_closed[i]:
            m.s_awaits[i] = 1 if m.sampled_[slot] <= m.s_order_ns[i] else 0
            if since_order > m.f_relay_confirm_ns[0] and not position and not m.s_awaits[i]:
                m.s_opened_ns[i] = now_ns
        settled_ns = _told_ns(m, i) + m.f_relay_confirm_ns[0]
        if m.s_claims[i] & C_FAULT or now_ns <= settled_ns:
            continue
        if seen and m.sampled_[slot] > settled_ns and position != m.s_closed[i]:
            _fault(m, i, R_WELDED if position else R_STUCK_OPEN, now_ns)
        elif m.s_closed[i] == 0 and not m.s_stale[i]:
            for r in range(m.rows):
                meter = m.f_slot[i * m.rows + r]
                if (
                    meter >= 0 and m.sampled_[meter] > settled_ns
                    and m.s_meas_ma[i * m.rows + r] > m.f_welded_ma[0]
                ):
                    _fault(m, i, R_WELDED, now_ns)
                    break


cdef bint _rows_newer(Memory *m, int i, i64 sampled_ns) noexcept nogil:
    cdef int r
    if m.s_mains_ns[0] <= sampled_ns:
        return False
    for r in range(LEG_ROWS, m.rows):
        if m.f_row_slot[r] >= 0 and m.f_plain[i * m.rows + r] and (
            m.s_row_seen_ns[r] <= sampled_ns
        ):
            return False
    return True


cdef i64 _told_ns(Memory *m, int i) noexcept nogil:
    cdef i64 slot = m.f_told_slot[i]
    if slot < 0 or not m.s_awaits[i]:
        return m.s_order_ns[i]
    if m.sampled_[slot] < m.s_order_ns[i] or m.value_[slot] != m.s_closed[i]:
        return NEVER_NS
    return m.sampled_[slot]


cdef void _adopt(Memory *m, int i, i64 position, i64 now_ns) noexcept nogil:
    m.s_closed[i] = position
    m.s_order_ns[i] = now_ns
    if position and not m.s_claims[i]:
        m.s_closed_ns[i] = _max(1, now_ns - m.f_close_settle_ns[0] - 1)
        _explain(m, i, R_NONE, -1, 0, now_ns, 0)
    elif position and m.f_kind[i] == SWITCHED:
        _order_open(m, i, now_ns)
    elif not position:
        m.s_opened_ns[i] = now_ns
        if m.f_kind[i] == MODULATED:
            _lower(m, i, 0)
        if not m.s_claims[i]:
            m.s_claims[i] = C_FOUND
            _explain(m, i, R_FOUND_OPEN, -1, 0, now_ns, 0)


cdef void _fault(Memory *m, int i, i64 reason, i64 now_ns) noexcept nogil:
    m.s_claims[i] |= C_FAULT
    if m.s_closed[i] != 0:
        m.s_opened_ns[i] = now_ns
    m.s_closed[i] = 0
    m.s_flying[i] = 0
    m.s_fit_ns[i] = 0
    if m.f_kind[i] == MODULATED:
        _lower(m, i, 0)
    _explain(m, i, reason, -1, 0, now_ns, 0)


cdef void _watch_budgets(Memory *m, i64 now_ns) noexcept nogil:
    cdef int i
    cdef bint late
    for i in range(m.n):
        if m.f_kind[i] != MODULATED:
            continue
        if now_ns - m.s_bucket_ns[i] >= m.f_settle_ns[i]:
            m.s_allowed_ma[i] = m.s_allow_ma[i]
            m.s_allow_ma[i] = m.s_set_ma[i]
            m.s_bucket_ns[i] = now_ns
        if m.s_stale[i] or not _above(m, i, _max(
            m.s_set_ma[i], m.f_floor_ma[i] if m.f_compute[i] else 0
        )):
            m.s_over_ns[i] = 0
        elif m.s_over_ns[i] == 0:
            m.s_over_ns[i] = now_ns
        _watch_wish(m, i, now_ns)
        late = m.s_over_ns[i] != 0 and (
            now_ns - m.s_over_ns[i] >= m.f_node_fault_ns[0]
        )
        if late and (m.f_compute[i] or m.f_relay_slot[i] >= 0) and (
            _disobeys(m, i)
        ):
            if not m.s_stop[i]:
                m.s_stop[i] = m.s_opened_ns[i] = now_ns
                m.s_claims[i] |= C_FAULT
                _lower(m, i, 0)
                _explain(m, i, R_IGNORES_BUDGET, -1, 0, now_ns, 0)
            if m.f_relay_slot[i] >= 0 and (
                now_ns - m.s_stop[i] >= m.f_node_open_ns[0] - m.f_node_fault_ns[0]
            ):
                _order_open(m, i, now_ns)


cdef inline void _watch_wish(Memory *m, int i, i64 now_ns) noexcept nogil:
    cdef i64 draw = _draw(m, i), allowed = m.s_set_ma[i]
    if allowed > 0 and not m.s_stale[i] and (
        draw >= allowed - _max(500, allowed * 3 // 100)
    ):
        m.s_hungry_ns[i] = now_ns
    if m.f_compute[i] or (
        m.s_hungry_ns[i] and now_ns - m.s_hungry_ns[i] <= m.f_idle_ns[0]
    ):
        m.s_want_ma[i] = _branch_top(m, i)
    else:
        m.s_want_ma[i] = _max(
            m.f_floor_ma[i],
            _min(_branch_top(m, i), _min(allowed, draw + draw * 5 // 100 + m.f_slack_ma[0])),
        )


cdef void _stop_and_open(Memory *m, i64 now_ns) noexcept nogil:
    cdef int i
    cdef bint idle
    for i in range(m.n):
        if m.f_kind[i] != MODULATED:
            continue
        if m.f_relay_slot[i] >= 0 and m.s_claims[i] & C_USER and m.s_closed[i] == 1:
            idle = not m.s_stale[i] and _draw(m, i) <= m.f_welded_ma[0]
            if idle or now_ns - m.s_opened_ns[i] >= m.f_stop_wait_ns[0]:
                _order_open(m, i, now_ns)


cdef void _fail_safe(Memory *m, i64 now_ns) noexcept nogil:
    cdef int i
    m.s_excess_ns[0] = 0
    for i in range(m.n):
        if m.f_kind[i] == MODULATED:
            _lower(m, i, _min(m.s_set_ma[i], m.f_fallback_ma[i]))
            if not m.s_claims[i]:
                _explain(m, i, R_BLIND, -1, 0, now_ns, 0)
    for i in range(m.n):
        m.s_fit_ns[i] = 0
        if m.s_claims[i]:
            _wait(m, i, W_BLIND, -1, 0)
        elif m.f_kind[i] == SWITCHED and m.s_state[0] == SHED and (
            m.f_safe_open[i] and m.s_closed[i] == 1
        ):
            m.s_claims[i] |= C_PCS
            _order_open(m, i, now_ns)
            _explain(m, i, R_BLIND, -1, 0, now_ns, now_ns + m.f_min_off_ns[i])


cdef void _order_open(Memory *m, int i, i64 now_ns) noexcept nogil:
    cdef int r, k
    if m.s_closed[i] == 1 and m.f_relay_slot[i] >= 0:
        m.s_closed[i] = 0
        m.s_order_ns[i] = now_ns
        m.s_awaits[i] = 1
        m.s_flying[i] = 1
        _wear(m, i, now_ns)
        m.s_disturbed[0] = 1
        for r in range(m.rows):
            k = i * m.rows + r
            m.s_relief_of_ma[k] = _draw_on(m, i, r)
        m.s_opened_ns[i] = now_ns
    elif m.f_kind[i] == SWITCHED:
        m.s_opened_ns[i] = now_ns


cdef void _claim(Memory *m, int i, i64 claim, i64 reason, i64 now_ns) noexcept nogil:
    m.s_claims[i] |= claim
    m.s_fit_ns[i] = 0
    if m.f_kind[i] == SWITCHED:
        _order_open(m, i, now_ns)
    elif m.s_set_ma[i] > 0:
        _lower(m, i, 0)
        m.s_opened_ns[i] = now_ns
    _explain(m, i, reason, -1, 0, now_ns, 0)


cdef void _release(Memory *m, int i, i64 claims, i64 now_ns) noexcept nogil:
    cdef i64 held = m.s_claims[i] & ~claims
    if m.s_claims[i] == held:
        return
    m.s_stop[i] = 0
    m.s_over_ns[i] = 0
    m.s_claims[i] = held | (C_PCS if held == 0 else 0)
    _explain(m, i, R_LIMIT, -1, 0, now_ns, 0)
