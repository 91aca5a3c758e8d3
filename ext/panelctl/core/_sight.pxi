"""What the decision sees: panelctl/core/sight.py, function by function."""


cdef inline bint _fresh(Memory *m, i64 slot, i64 stale_ns, i64 now_ns) noexcept nogil:
    return slot < 0 or (
        m.quality_[slot] == GOOD and now_ns - m.sampled_[slot] <= stale_ns
    )


cdef inline i64 _drawn(Memory *m, i64 slot) noexcept nogil:
    return _max(m.value_[slot], 0) if slot >= 0 else 0


cdef void _measure(Memory *m, i64 now_ns) noexcept nogil:
    cdef int i, r, k
    cdef i64 one, two, total, meters
    for r in range(LEG_ROWS, m.rows):
        one = m.f_row_slot[r]
        two = m.f_row_slot2[r]
        m.s_row_old[r] = not (
            _fresh(m, one, m.f_row_stale_ns[r], now_ns)
            and _fresh(m, two, m.f_row_stale_ns[r], now_ns)
        )
    for i in range(m.n):
        m.s_stale[i] = 0
        for r in range(m.rows):
            k = i * m.rows + r
            one = m.f_slot[k]
            two = m.f_slot2[k]
            meters = (one >= 0) + (two >= 0)
            if meters == 0:
                continue
            if _fresh(m, one, m.f_stale_ns[i], now_ns) and (
                _fresh(m, two, m.f_stale_ns[i], now_ns)
            ):
                total = _drawn(m, one) + _drawn(m, two)
                m.s_meas_ma[k] = (total + meters - 1) // meters
            else:
                m.s_stale[i] = 1
            if m.s_row_old[r]:
                m.s_stale[i] = 1
        if not m.s_stale[i]:
            m.s_measured[i] = 1


cdef void _see_mains(Memory *m, i64 now_ns) noexcept nogil:
    cdef int i, r, k, age
    cdef bint good = True, whole = True
    cdef i64 age_ns, sampled = m.sampled_[m.f_row_slot[0]]
    for r in range(LEG_ROWS):
        sampled = _min(sampled, m.sampled_[m.f_row_slot[r]])
        if m.quality_[m.f_row_slot[r]] != GOOD:
            good = False
    if good and sampled > m.s_mains_ns[0]:
        m.s_mains_ns[0] = sampled
        for r in range(LEG_ROWS):
            m.s_row_ma[r] = _max(m.value_[m.f_row_slot[r]], 0)
        for i in range(m.n):
            if m.f_kind[i] != MODULATED:
                continue
            m.s_apart[i] = 1 - m.s_stale[i]
            for r in range(m.rows):
                k = i * m.rows + r
                if r < LEG_ROWS or m.f_row_slot[r] < 0:
                    m.s_at_mains_ma[k] = (
                        m.s_apart[i] * m.f_plain[k] * m.s_meas_ma[k]
                    )
                else:
                    m.s_at_mains_ma[k] *= m.s_apart[i]
        for r in range(LEG_ROWS, m.rows):
            _see_row(m, r)
        if now_ns - sampled <= m.f_fresh_ns[0]:
            m.s_good[0] = _min(m.s_good[0] + 1, m.f_good_needed[0])
    age_ns = now_ns - m.s_mains_ns[0]
    if age_ns > m.f_fresh_ns[0]:
        m.s_good[0] = 0
    age = (
        (age_ns > m.f_fresh_ns[0])
        + (age_ns > m.f_hold_ns[0])
        + (age_ns > m.f_shed_ns[0])
    )
    for i in range(m.n):
        if m.s_stale[i]:
            whole = False
    m.s_state[0] = m.f_next_state[
        ((m.s_state[0] * 4 + age) * 2 + (m.s_good[0] >= m.f_good_needed[0])) * 2
        + whole
    ]


cdef void _see_row(Memory *m, int r) noexcept nogil:
    cdef i64 one = m.f_row_slot[r], two = m.f_row_slot2[r], sampled
    cdef int i, k
    if one < 0:
        m.s_row_ma[r] = _sum_of_loads(m, r)
        return
    sampled = m.sampled_[one]
    if two >= 0:
        sampled = _min(sampled, m.sampled_[two])
    if m.s_row_old[r] or sampled <= m.s_row_seen_ns[r]:
        return
    m.s_row_seen_ns[r] = sampled
    m.s_row_ma[r] = _drawn(m, one) + _drawn(m, two)
    for i in range(m.n):
        if m.f_kind[i] == MODULATED:
            k = i * m.rows + r
            m.s_at_mains_ma[k] = m.s_apart[i] * m.f_plain[k] * m.s_meas_ma[k]


cdef i64 _sum_of_loads(Memory *m, int r) noexcept nogil:
    cdef int i, k
    cdef i64 total = 0
    for i in range(m.n):
        k = i * m.rows + r
        if m.f_kind[i] == SWITCHED:
            if not m.s_stale[i]:
                total += m.f_plain[k] * m.s_meas_ma[k]
            elif m.s_closed[i] != 0 or m.s_claims[i] & C_FAULT:
                total += m.f_plain[k] * _max(m.s_meas_ma[k], m.f_demand_ma[k])
        elif m.s_apart[i]:
            total += m.s_at_mains_ma[k]
        else:
            total += m.f_plain[k] * _max(m.s_meas_ma[k], m.s_set_ma[i])
    return total // m.f_scale[r]


cdef inline i64 _draw_on(Memory *m, int i, int r) noexcept nogil:
    cdef int k = i * m.rows + r
    return m.s_meas_ma[k] if m.s_measured[i] else m.f_demand_ma[k]


cdef void _limits(Memory *m, i64 now_ns) noexcept nogil:
    cdef int r, k, best
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


cdef void _heat(Memory *m, int r, i64 ticks, i64 others_ma, i64 now_ns) noexcept nogil:
    cdef const i64 *keep_fast = &m.f_keep_fast[r * TICK_BITS]
    cdef const i64 *keep_slow = &m.f_keep_slow[r * TICK_BITS]
    cdef i64 ma = m.s_row_ma[r], fast = m.s_fast[r], slow = m.s_slow[r]
    cdef i64 u, goal, theta_ppm, left, borne
    cdef int k
    if now_ns - m.s_mains_ns[0] > m.f_fresh_ns[0] or m.s_row_old[r]:
        ma = _max(ma, _min(m.s_limit_ma[r], m.f_ref_ma[r]))
    u = _min((ma << 16) // m.f_ref_ma[r], MOST_U)
    goal = u * u
    for k in range(TICK_BITS):
        if (ticks >> k) & 1:
            fast = approach(fast, goal, keep_fast[k])
            slow = approach(slow, goal, keep_slow[k])
    m.s_fast[r] = fast
    m.s_slow[r] = slow
    theta_ppm = theta_of(fast, slow, m.f_share[r]) * PPM >> 32
    m.s_theta_ppm[r] = theta_ppm
    m.s_trip_ms[r] = -1
    if goal > ONE:
        left = ticks_to_trip(fast, slow, goal, m.f_share[r], keep_fast, keep_slow)
        if left >= 0:
            m.s_trip_ms[r] = left * (TICK_NS // 1000000)
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


cdef void _learn(Memory *m, const i64 *house, i64 now_ns) noexcept nogil:
    cdef int r, k, first
    cdef i64 hour, rise
    for r in range(m.rows):
        m.s_window_top_ma[r] = _max(m.s_window_top_ma[r], house[r])
    if now_ns - m.s_window_ns[0] < m.f_react_ns[0]:
        return
    hour = (now_ns + m.s_hour_offset_ns[0]) // HOUR_NS % HOURS
    for r in range(m.rows):
        if r >= LEG_ROWS and not m.s_hard[r]:
            continue
        first = <int>(r * HOURS + hour) * STEP_BINS
        if hour != m.s_hour[0]:
            for k in range(first, first + STEP_BINS):
                m.s_steps[k] -= m.s_steps[k] >> FORGET_BITS
        if m.s_window_ns[0] and not m.s_disturbed[0]:
            rise = m.s_window_top_ma[r] - m.s_window_from_ma[r]
            m.s_steps[first + bin_of(rise // m.f_scale[r])] += SEEN
        m.s_margin_ma[r] = _min(_margin(m, r, first), m.s_limit_ma[r] >> MARGIN_BITS)
    m.s_hour[0] = hour
    m.s_window_ns[0] = now_ns
    m.s_disturbed[0] = 0
    for r in range(m.rows):
        m.s_window_from_ma[r] = house[r]
        m.s_window_top_ma[r] = house[r]


cdef i64 _margin(Memory *m, int r, int first) noexcept nogil:
    cdef int k, expected = bin_of(m.f_prior_ma[r])
    cdef i64 total = PRIOR, above = 0
    for k in range(STEP_BINS):
        total += m.s_steps[first + k]
    for k in range(STEP_BINS - 1, -1, -1):
        above += m.s_steps[first + k] + (PRIOR if k == expected else 0)
        if above > total >> TAIL_BITS:
            return bin_top_ma(k)
    return 0
