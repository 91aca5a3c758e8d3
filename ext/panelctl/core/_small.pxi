"""Small words of the decision: panelctl/core/sight.py and follow.py."""


cdef inline bint _relay_seen(Memory *m, int i, i64 now_ns) noexcept nogil:
    cdef i64 slot = m.f_relay_slot[i]
    if slot < 0:
        return True
    return m.quality_[slot] == GOOD and (
        now_ns - m.sampled_[slot] <= m.f_relay_stale_ns[0]
    )


cdef inline i64 _draw(Memory *m, int i) noexcept nogil:
    cdef i64 most = m.s_meas_ma[i * m.rows]
    cdef int r
    for r in range(1, LEG_ROWS):
        most = _max(most, m.s_meas_ma[i * m.rows + r])
    return most


cdef inline i64 _demand(Memory *m, int i, int r, i64 now_ns) noexcept nogil:
    cdef int k = i * m.rows + r
    cdef i64 need = _max(m.f_demand_ma[k], m.f_relief_ma[0])
    if m.f_kind[i] == MODULATED:
        return m.f_floor_ma[i]
    if now_ns - m.s_opened_ns[i] < RELIEF_COUNTS * m.f_min_off_ns[i]:
        need = _max(need, m.s_relief_of_ma[k])
    return _max(need, m.f_inrush_ma[k] if m.s_hard[r] else 0)


cdef inline i64 _margin_of(Memory *m, int r, i64 least_ma) noexcept nogil:
    return _max(least_ma, m.s_margin_ma[r]) if m.s_hard[r] else least_ma


cdef inline i64 _error(Memory *m, i64 ma) noexcept nogil:
    return ma * m.f_error_ppm[0] // 1000000


cdef inline i64 _charge(Memory *m, int i, int r) noexcept nogil:
    cdef int k = i * m.rows + r
    if not m.s_apart[i]:
        return 0
    return m.f_coef[k] * _max(
        m.s_meas_ma[k] + _error(m, m.s_meas_ma[k]), m.s_set_ma[i]
    )


cdef inline bint _disobeys(Memory *m, int i) noexcept nogil:
    return _above(m, i, _max(m.s_allow_ma[i], m.s_allowed_ma[i]))


cdef inline bint _above(Memory *m, int i, i64 ma) noexcept nogil:
    return _draw(m, i) > (
        ma + ma * m.f_tolerance_ppm[i] // 1000000 + m.f_tolerance_ma[0]
    )


cdef inline void _lower(Memory *m, int i, i64 ma) noexcept nogil:
    if ma < m.s_set_ma[i]:
        m.s_set_ma[i] = ma
        m.s_moved_ns[i] = m.s_step_ns[0]


cdef inline void _raise(Memory *m, int i, i64 ma, i64 now_ns) noexcept nogil:
    m.s_set_ma[i] = ma
    m.s_raised_ns[i] = now_ns
    m.s_moved_ns[i] = now_ns
    m.s_allow_ma[i] = _max(m.s_allow_ma[i], ma)


cdef inline void _wear(Memory *m, int i, i64 now_ns) noexcept nogil:
    m.s_worn_ns[i] = _max(m.s_worn_ns[i], now_ns) + m.f_wear_ns[i]


cdef inline bint _resting(Memory *m, int i, i64 now_ns) noexcept nogil:
    return m.s_worn_ns[i] - now_ns > WEAR_BURST * m.f_wear_ns[i] and not m.s_promoted[i]


cdef void _explain(
    Memory *m, int i, i64 reason, i64 row, i64 ma, i64 now_ns, i64 until_ns
) noexcept nogil:
    if m.s_reason[i] != reason:
        m.s_since_ns[i] = now_ns
    m.s_reason[i] = reason
    m.s_reason_row[i] = row
    m.s_reason_ma[i] = ma
    m.s_until_ns[i] = until_ns
    _wait(m, i, W_NONE, -1, 0)


cdef inline void _wait(Memory *m, int i, i64 wait, i64 row, i64 ma) noexcept nogil:
    m.s_wait[i] = wait
    m.s_wait_row[i] = row
    m.s_wait_ma[i] = ma
