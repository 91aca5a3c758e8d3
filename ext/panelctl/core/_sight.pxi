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
    cdef bint old
    for r in range(LEG_ROWS, m.rows):
        m.s_row_old[r] = m.f_row_stale_ns[r] != 0 and not (
            _fresh(m, m.f_row_slot[r], m.f_row_stale_ns[r], now_ns)
            and _fresh(m, m.f_row_slot2[r], m.f_row_stale_ns[r], now_ns)
            and _fresh(m, m.f_less_slot[r], m.f_row_stale_ns[r], now_ns)
        )
    for i in range(m.n):
        m.s_unread[i] = 0
        old = False
        for r in range(m.rows):
            k = i * m.rows + r
            one = m.f_slot[k]
            two = m.f_slot2[k]
            meters = (one >= 0) + (two >= 0)
            if meters == 0:
                continue
            if not _fresh(m, one, m.f_stale_ns[i], now_ns) or (
                not _fresh(m, two, m.f_stale_ns[i], now_ns)
            ):
                m.s_unread[i] = 1
            elif m.f_less_slot[r] >= 0 and meters == 2:
                m.s_meas_ma[k] = _more(m, one, two)
            else:
                total = _drawn(m, one) + _drawn(m, two)
                m.s_meas_ma[k] = (total + meters - 1) // meters
            if m.s_row_old[r]:
                old = True
        m.s_stale[i] = m.s_unread[i] or old
        if not m.s_stale[i]:
            m.s_measured[i] = 1


cdef inline i64 _more(Memory *m, i64 slot, i64 other) noexcept nogil:
    return _max(_drawn(m, slot) - _drawn(m, other), 0)


cdef void _see_sources(Memory *m, i64 now_ns) noexcept nogil:
    cdef int j
    cdef i64 one, two, slot
    cdef bint seen
    for j in range(m.feeds):
        slot = m.f_feed_slot[j]
        if not _fresh(m, slot, m.f_feed_stale_ns[j], now_ns):
            m.s_may_ma[j] = _max(m.s_out_ma[j], m.f_feed_most_ma[j])
            m.s_gives_ma[j] = 0
            m.s_high_ma[j] = 0
            m.s_older_high_ma[j] = 0
            _forget(m, j, now_ns)
            continue
        m.s_out_ma[j] = _abs(m.value_[slot])
        one = m.f_feed_w_slot[j]
        two = m.f_feed_w_slot2[j]
        seen = (
            _fresh(m, one, m.f_feed_stale_ns[j], now_ns)
            and _fresh(m, two, m.f_feed_stale_ns[j], now_ns)
        )
        if (one >= 0 or two >= 0) and seen and (
            (m.value_[one] if one >= 0 else 0) + (m.value_[two] if two >= 0 else 0) > 0
        ):
            m.s_out_ma[j] = 0
        if now_ns - m.s_high_ns[j] >= m.f_fresh_ns[0]:
            m.s_older_high_ma[j] = m.s_high_ma[j]
            m.s_high_ma[j] = m.s_out_ma[j]
            m.s_high_ns[j] = now_ns
        m.s_high_ma[j] = _max(m.s_high_ma[j], m.s_out_ma[j])
        m.s_gives_ma[j] = _max(m.s_high_ma[j], m.s_older_high_ma[j])
        m.s_may_ma[j] = m.s_gives_ma[j]
        if not seen:
            m.s_gives_ma[j] = 0
            _forget(m, j, now_ns)
            continue
        if now_ns - m.s_low_ns[j] >= m.f_feed_window_ns[j]:
            m.s_older_low_ma[j] = m.s_low_ma[j] if m.s_low_ns[j] else 0
            m.s_low_ma[j] = m.s_out_ma[j]
            m.s_low_ns[j] = now_ns
        m.s_low_ma[j] = _min(m.s_low_ma[j], m.s_out_ma[j])
        m.s_firm_ma[j] = (
            _min(m.s_low_ma[j], m.s_older_low_ma[j]) * m.f_feed_share_ppm[j] // PPM
        )


cdef void _be_wary(Memory *m) noexcept nogil:
    cdef int i, j, r, rows = m.rows
    for r in range(rows):
        m.s_wary_ma[r] = 0
        if m.f_less_slot[r] >= 0:
            m.s_wary_ma[r] = _max(
                _max(m.s_top_ma[r], m.s_older_top_ma[r]) - m.s_rest_ma[r], 0
            )
        for j in range(m.feeds):
            m.s_wary_ma[r] += m.f_relieves[j * rows + r] * (m.s_may_ma[j] - m.s_firm_ma[j])
            m.s_wary_ma[r] += m.f_adds[j * rows + r] * (m.s_may_ma[j] - m.s_out_ma[j])
        for i in range(m.n):
            if m.f_against[i * rows + r]:
                m.s_wary_ma[r] += _may_go(m, i, r)


cdef void _forget(Memory *m, int j, i64 now_ns) noexcept nogil:
    m.s_firm_ma[j] = 0
    m.s_low_ma[j] = 0
    m.s_older_low_ma[j] = 0
    m.s_low_ns[j] = now_ns


cdef i64 _may_go(Memory *m, int i, int r) noexcept nogil:
    cdef int leg, k = i * m.rows + r
    cdef i64 more
    if m.f_slot2[k] >= 0:
        more = _more(m, m.f_slot2[k], m.f_slot[k])
        if m.s_unread[i] and m.s_closed[i] != 0:
            more = _max(more, m.f_demand_ma[k])
        return more
    cdef i64 most = m.s_meas_ma[i * m.rows], demand = m.f_demand_ma[i * m.rows]
    for leg in range(1, LEG_ROWS):
        k = i * m.rows + leg
        most = _max(most, m.s_meas_ma[k])
        demand = _max(demand, m.f_demand_ma[k])
    if m.s_unread[i] and m.s_closed[i] != 0:
        most = _max(most, m.s_set_ma[i] if m.f_kind[i] == MODULATED else demand)
    return most


cdef i64 _signed(Memory *m, i64 slot, i64 sign_slot, i64 unknown) noexcept nogil:
    cdef i64 ma, gives = 0
    cdef int j, leg
    if slot < 0:
        return 0
    if sign_slot < 0:
        return _max(m.value_[slot], 0)
    ma = _abs(m.value_[slot])
    if m.quality_[sign_slot] != GOOD or (
        m.sampled_[sign_slot] + m.f_fresh_ns[0] < m.sampled_[slot]
    ):
        return unknown * ma
    if m.value_[sign_slot] >= 0:
        return ma
    leg = slot != m.f_row_slot[0]
    for j in range(m.feeds):
        gives += m.f_relieves[j * m.rows + leg] * m.s_gives_ma[j]
    return -ma if ma <= gives + gives // OUT_SHARE + OUT_MA else unknown * ma


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
            m.s_flow_ma[r] = _signed(m, m.f_row_slot[r], m.f_sign_slot[r], 1)
            m.s_row_ma[r] = _max(m.s_flow_ma[r], 0)
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
    cdef i64 one = m.f_row_slot[r], two = m.f_row_slot2[r], less = m.f_less_slot[r]
    cdef i64 sampled, carried
    cdef int i, j, k
    if one < 0:
        m.s_flow_ma[r] = _sum_of_loads(m, r)
        m.s_row_ma[r] = m.s_flow_ma[r]
        return
    sampled = m.sampled_[one]
    if two >= 0:
        sampled = _min(sampled, m.sampled_[two])
    if less >= 0:
        sampled = _min(sampled, m.sampled_[less])
    if m.s_row_old[r] or sampled <= m.s_row_seen_ns[r]:
        return
    m.s_row_seen_ns[r] = sampled
    carried = (
        _signed(m, one, m.f_sign_slot[r], 1)
        + _signed(m, two, m.f_sign_slot2[r], 1)
        - _signed(m, less, m.f_sign_slot2[r], -1)
    )
    for j in range(m.feeds):
        carried += m.f_adds[j * m.rows + r] * m.s_out_ma[j]
    m.s_flow_ma[r] = carried
    m.s_row_ma[r] = _max(carried, 0)
    for i in range(m.n):
        if m.f_kind[i] == MODULATED:
            k = i * m.rows + r
            m.s_at_mains_ma[k] = m.s_apart[i] * m.f_plain[k] * m.s_meas_ma[k]
            carried -= m.s_at_mains_ma[k]
    if less >= 0:
        _hold(m, r, carried, sampled)


cdef void _hold(Memory *m, int r, i64 rest_ma, i64 sampled_ns) noexcept nogil:
    m.s_rest_ma[r] = rest_ma
    if sampled_ns - m.s_top_ns[r] >= m.f_relay_stale_ns[0]:
        m.s_older_top_ma[r] = m.s_top_ma[r] if m.s_top_ns[r] else rest_ma
        m.s_top_ma[r] = rest_ma
        m.s_top_ns[r] = sampled_ns
    m.s_top_ma[r] = _max(m.s_top_ma[r], rest_ma)


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
        if m.s_hour[0] >= 0 and hour != m.s_hour[0]:
            for k in range(first, first + STEP_BINS):
                m.s_steps[k] -= m.s_steps[k] >> FORGET_BITS
        if m.s_window_ns[0] and not m.s_disturbed[0]:
            rise = m.s_window_top_ma[r] - m.s_window_from_ma[r]
            m.s_steps[first + bin_of(rise // m.f_scale[r])] += SEEN
        m.s_margin_ma[r] = _min(
            _max(_margin(m, r, first, 1), _margin(m, r, r * HOURS * STEP_BINS, HOURS)),
            m.s_limit_ma[r] >> MARGIN_BITS,
        )
    m.s_hour[0] = hour
    m.s_window_ns[0] = now_ns
    m.s_disturbed[0] = 0
    for r in range(m.rows):
        m.s_window_from_ma[r] = house[r]
        m.s_window_top_ma[r] = house[r]


cdef i64 _margin(Memory *m, int r, int first, int hours) noexcept nogil:
    cdef int k, hour, expected = bin_of(m.f_prior_ma[r])
    cdef i64 total = PRIOR, above = 0
    for k in range(hours * STEP_BINS):
        total += m.s_steps[first + k]
    for k in range(STEP_BINS - 1, -1, -1):
        above += PRIOR if k == expected else 0
        for hour in range(hours):
            above += m.s_steps[first + hour * STEP_BINS + k]
        if above > total >> TAIL_BITS:
            return bin_top_ma(k)
    return 0
