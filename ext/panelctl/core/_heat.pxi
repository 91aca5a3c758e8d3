"""Limits and the heat of breakers: panelctl/core/heat.py."""


cdef void _limits(Memory *m, i64 now_ns) noexcept nogil:
    cdef int i, r, k, best
    cdef i64 until_ns, value, limit_ma, others_ma
    cdef i64 ticks = _min(
        (now_ns - m.s_heat_ns[0]) // TICK_NS, ((<i64>1) << TICK_BITS) - 1
    )
    m.s_heat_ns[0] += ticks * TICK_NS
    for r in range(m.rows):
        best = -1
        limit_ma = NO_LIMIT_MA
        others_ma = NO_LIMIT_MA
        for k in range(m.limits):
            until_ns = m.s_limit_until_ns[k]
            if m.s_limit_on[k] and (until_ns == 0 or now_ns < until_ns):
                value = m.s_limit_value_ma[k * m.rows + r]
                if value < limit_ma:
                    limit_ma = value
                    best = k
                if k != L_FSR:
                    others_ma = _min(others_ma, value)
        m.s_limit_ma[r] = limit_ma
        m.s_shed_ma[r] = limit_ma
        m.s_fill_ma[r] = limit_ma
        m.s_binding[r] = best
        if m.f_ref_ma[r] > 0:
            _heat(m, r, ticks, others_ma, now_ns)
    for i in range(m.n):
        if m.f_branch_ref_ma[i] > 0:
            _heat_branch(m, i, ticks)


cdef void _heat(Memory *m, int r, i64 ticks, i64 others_ma, i64 now_ns) noexcept nogil:
    cdef i64 ma = _abs(m.s_flow_ma[r]), theta_ppm, borne
    if now_ns - m.s_mains_ns[0] > m.f_fresh_ns[0] or m.s_row_old[r]:
        ma = _max(ma, _min(m.s_limit_ma[r], m.f_ref_ma[r]))
    theta_ppm = _pole(
        &m.s_fast[r], &m.s_slow[r], &m.s_trip_ms[r], ma, m.f_ref_ma[r], m.f_share[r], ticks,
        &m.f_keep_fast[r * TICK_BITS], &m.f_keep_slow[r * TICK_BITS],
    )
    m.s_theta_ppm[r] = theta_ppm
    if m.s_limit_ma[r] == NO_LIMIT_MA:
        return
    m.s_shed_ma[r] = m.s_limit_ma[r] * shed_band(theta_ppm, False) // PPM
    if m.f_credit[r] and not m.s_hard[r]:
        borne = m.s_limit_value_ma[L_FSR * m.rows + r] * shed_band(theta_ppm, True) // PPM
        m.s_shed_ma[r] = _max(m.s_shed_ma[r], _min(others_ma, borne))
    m.s_fill_ma[r] = m.s_limit_ma[r] * fill_band(theta_ppm) // PPM
    if m.s_fill_ma[r] < m.s_limit_ma[r]:
        m.s_binding[r] = L_THERMAL
    m.s_limit_ma[r] = _min(m.s_limit_ma[r], m.s_shed_ma[r])


cdef void _heat_branch(Memory *m, int i, i64 ticks) noexcept nogil:
    cdef int leg, k
    cdef i64 ma, theta_ppm = 0, trip_ms = -1, left_ms, seen_ns = 0
    cdef bint over = False
    for leg in range(LEG_ROWS):
        if m.f_slot[i * m.rows + leg] < 0:
            continue
        k = i * LEG_ROWS + leg
        ma = _branch_current(m, i, leg, k)
        if not m.s_unread[i] and ma > _max(m.f_branch_ref_ma[i], m.f_branch_ma[i]):
            over = True
        seen_ns = _max(seen_ns, m.s_branch_seen_ns[k])
        theta_ppm = _max(theta_ppm, _pole(
            &m.s_branch_fast[k], &m.s_branch_slow[k], &left_ms, ma, m.f_branch_ref_ma[i],
            m.f_branch_share[i], ticks,
            &m.f_branch_keep_fast[i * TICK_BITS], &m.f_branch_keep_slow[i * TICK_BITS],
        ))
        if left_ms >= 0 and (trip_ms < 0 or left_ms < trip_ms):
            trip_ms = left_ms
    m.s_branch_theta_ppm[i] = theta_ppm
    m.s_branch_trip_ms[i] = trip_ms
    if not over or theta_ppm <= BRANCH_HOT_PPM:
        m.s_hot_ns[i] = 0
    elif m.s_hot_ns[i] == 0:
        m.s_hot_ns[i] = seen_ns


cdef i64 _branch_current(Memory *m, int i, int leg, int k) noexcept nogil:
    cdef i64 slot = m.f_slot[i * m.rows + leg], ma
    if m.sampled_[slot] > m.s_branch_seen_ns[k] and not m.s_unread[i]:
        ma = m.s_meas_ma[i * m.rows + leg]
        m.s_branch_draw_ma[k] = _min(
            ma, _max(m.s_branch_last_ma[k], START * m.f_branch_ma[i])
        )
        m.s_branch_last_ma[k] = ma
        m.s_branch_seen_ns[k] = m.sampled_[slot]
    if not m.s_unread[i]:
        return m.s_branch_draw_ma[k]
    if m.s_closed[i] == 0 and not m.s_awaits[i] and not m.s_claims[i] & C_FAULT:
        return 0
    return _max(m.s_branch_draw_ma[k], m.f_branch_ma[i])


cdef i64 _branch_top(Memory *m, int i) noexcept nogil:
    cdef i64 most
    if m.f_branch_ref_ma[i] == 0:
        return m.f_max_ma[i]
    most = m.f_branch_most_ma[i] * fill_band(m.s_branch_theta_ppm[i]) // PPM
    return _max(m.f_floor_ma[i], _min(m.f_max_ma[i], most))


cdef inline bint _cooling(Memory *m, int i) noexcept nogil:
    return m.f_branch_ref_ma[i] > 0 and m.s_branch_theta_ppm[i] > BRANCH_COOL_PPM


cdef i64 _pole(
    i64 *fast, i64 *slow, i64 *trip_ms, i64 ma, i64 ref_ma, i64 share, i64 ticks,
    const i64 *keep_fast, const i64 *keep_slow,
) noexcept nogil:
    """Theta in ppm after `ticks` of `ma`; moves both heats, and tells ms until the trip."""
    cdef i64 u = _min((ma << 16) // ref_ma, MOST_U), goal = u * u, left
    cdef int k
    for k in range(TICK_BITS):
        if (ticks >> k) & 1:
            fast[0] = approach(fast[0], goal, keep_fast[k])
            slow[0] = approach(slow[0], goal, keep_slow[k])
    trip_ms[0] = -1
    if goal > ONE:
        left = ticks_to_trip(fast[0], slow[0], goal, share, keep_fast, keep_slow)
        if left >= 0:
            trip_ms[0] = left * (TICK_NS // 1000000)
    return theta_of(fast[0], slow[0], share) * PPM >> 32
