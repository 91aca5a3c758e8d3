"""How modulated loads stand: panelctl/core/standing.py."""


cdef void _house(Memory *m, i64 *house) noexcept nogil:
    cdef int i, r
    for r in range(m.rows):
        house[r] = m.f_scale[r] * m.s_flow_ma[r]
    for i in range(m.n):
        if m.f_kind[i] == MODULATED:
            for r in range(m.rows):
                house[r] -= m.s_at_mains_ma[i * m.rows + r]


cdef inline bint _leaving(Memory *m, int i, i64 now_ns) noexcept nogil:
    return m.s_flying[i] or (
        m.s_claims[i]
        and now_ns - m.s_opened_ns[i] < _min(m.f_settle_ns[i], m.f_react_ns[0])
    )


cdef inline bint _deaf(Memory *m, int i, i64 now_ns) noexcept nogil:
    return m.s_over_ns[i] and (
        now_ns - m.s_over_ns[i] >= m.f_node_fault_ns[0] and _disobeys(m, i)
    )


cdef void _least(Memory *m, int i, i64 *least, i64 now_ns, bint waits) noexcept nogil:
    cdef int r
    cdef i64 ma, floor
    cdef bint late, stays_up
    if not m.s_apart[i]:
        for r in range(m.rows):
            least[r] = 0
        return
    late = m.s_claims[i] and not _leaving(m, i, now_ns)
    if waits:
        stays_up = _deaf(m, i, now_ns)
    else:
        stays_up = _disobeys(m, i) or m.f_settle_ns[i] > m.f_react_ns[0]
    floor = m.f_floor_ma[i] if m.s_set_ma[i] > 0 else 0
    for r in range(m.rows):
        ma = floor
        if late or stays_up:
            ma = _max(ma, m.s_meas_ma[i * m.rows + r])
        least[r] = m.f_coef[i * m.rows + r] * ma


cdef void _flowing(Memory *m, int i, i64 *flowing, i64 now_ns) noexcept nogil:
    cdef int r
    _least(m, i, flowing, now_ns, False)
    for r in range(m.rows):
        if not m.f_credit[r]:
            flowing[r] = _min(flowing[r], m.f_coef[i * m.rows + r] * m.s_meas_ma[i * m.rows + r])


cdef inline i64 _inside(Memory *m, int i, int r) noexcept nogil:
    if m.s_apart[i]:
        return 0
    return _min(m.f_floor_ma[i], m.s_meas_ma[i * m.rows + r]) if m.s_measured[i] else m.f_floor_ma[i]


cdef inline bint _stays(Memory *m, int i, i64 now_ns) noexcept nogil:
    return m.s_closed_ns[i] > 0 and now_ns - m.s_closed_ns[i] < m.f_min_on_ns[i]


cdef inline bint _may_pause(Memory *m, int i) noexcept nogil:
    return m.f_can_pause[i] == 1 and m.s_set_ma[i] > 0


cdef bint _lingers(Memory *m, int i, i64 now_ns) noexcept nogil:
    return (
        m.f_compute[i]
        and m.f_relay_slot[i] >= 0
        and m.s_claims[i]
        and m.s_closed[i] == 1
        and now_ns - m.s_opened_ns[i] >= m.f_node_open_ns[0] - m.f_node_fault_ns[0]
        and _relay_seen(m, i, now_ns)
    )
