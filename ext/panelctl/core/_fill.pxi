"""Set-points: panelctl/core/fill.py."""


cdef inline i64 _over(Memory *m, int i) noexcept nogil:
    cdef i64 draw
    if not m.s_apart[i]:
        return 0
    draw = _draw(m, i)
    return _max(0, draw - _error(m, draw) - _max(m.s_allow_ma[i], m.s_allowed_ma[i]))


cdef void _set(Memory *m, const i64 *house, const i64 *reserve, i64 now_ns) noexcept nogil:
    cdef i64 fill[MAX_ROWS]
    cdef i64 room[MAX_ROWS]
    cdef i64 extra[MAX_ROWS]
    cdef i64 size[MAX_LOADS]
    cdef i64 taken[MAX_LOADS]
    cdef int order[MAX_LOADS]
    cdef int count = 0, i, r, q, a, k, rows = m.rows
    cdef i64 floor, want, cut, target, reason, row, short, drawn, over, due
    cdef bint fresh = now_ns - m.s_mains_ns[0] <= m.f_fresh_ns[0]
    cdef bint ramping, moving
    for r in range(rows):
        fill[r] = m.f_scale[r] * (
            m.s_fill_ma[r] - m.s_wary_ma[r] - _margin_of(m, r, m.f_fill_margin_ma[0])
        ) - house[r] - reserve[r]
        room[r] = fill[r]
        extra[r] = 0
    for i in range(m.n):
        size[i] = 0
        taken[i] = 0
        if m.f_kind[i] != MODULATED:
            continue
        if not m.s_claims[i] and not m.s_stop[i]:
            order[count] = i
            count += 1
            want = m.s_want_ma[i]
            if m.s_raised_ns[i] and (
                now_ns - m.s_raised_ns[i] < m.f_change_ns[i]
            ):
                want = _min(want, m.s_set_ma[i])
            size[i] = _max(0, want - m.f_floor_ma[i])
            floor = m.f_floor_ma[i] if m.s_apart[i] else 0
            for r in range(rows):
                room[r] -= m.f_coef[i * rows + r] * floor
        else:
            for r in range(rows):
                room[r] -= _charge(m, i, r)
    _sort(m, order, count, m.f_rest_tier)
    _serve(m, order, count, m.f_rest_tier, m.f_coef, size, room, NULL, taken)
    for a in range(count):
        i = order[a]
        over = _over(m, i)
        for r in range(rows):
            due = extra[r] + m.f_coef[i * rows + r] * over
            if m.f_coef[i * rows + r] and room[r] < due:
                k = <int>m.f_coef[i * rows + r]
                cut = _min(taken[i], (due - room[r] + k - 1) // k)
                taken[i] -= cut
                for q in range(rows):
                    room[q] += m.f_coef[i * rows + q] * cut
        target = m.f_floor_ma[i] + taken[i]
        target -= target % m.f_step_ma[i]
        target = _max(target, m.f_floor_ma[i])
        if m.s_stale[i]:
            target = _min(target, m.f_fallback_ma[i])
        if m.s_apart[i]:
            moving = _above(m, i, m.f_floor_ma[i] + taken[i])
            for r in range(rows):
                k = i * rows + r
                drawn = m.s_meas_ma[k] + (
                    _error(m, m.s_meas_ma[k]) if moving else 0
                )
                extra[r] += m.f_coef[k] * _max(
                    0, drawn - m.f_floor_ma[i] - taken[i]
                )
        taken[i] = target
        if target < m.s_set_ma[i]:
            _lower(m, i, target)
    for a in range(count):
        i = order[a]
        target = taken[i]
        reason = R_NONE
        if m.s_stale[i]:
            reason = R_STALE
        elif target < m.f_max_ma[i] and target < m.s_want_ma[i] - m.f_step_ma[i]:
            reason = R_LIMIT
        elif m.s_want_ma[i] == _branch_top(m, i) and m.s_want_ma[i] < m.f_max_ma[i]:
            reason = R_HOT
        ramping = False
        if target > m.s_set_ma[i] and fresh and not m.s_stale[i] and (
            not m.s_over_ns[i]
        ):
            ramping = not _climb(m, i, target, fill, now_ns)
        if ramping and reason == R_NONE:
            reason = R_RAMP
        row = -1
        short = 0
        if reason == R_LIMIT:
            short = m.s_want_ma[i] - target
            for r in range(rows):
                if m.f_coef[i * rows + r] and (row < 0 or room[r] < room[row]):
                    row = r
        _explain(m, i, reason, row, short, now_ns, 0)


cdef bint _climb(Memory *m, int i, i64 target, const i64 *fill, i64 now_ns) noexcept nogil:
    cdef i64 top = target, free, elapsed, grow, still
    cdef int r, k, rows = m.rows
    for r in range(rows):
        if m.f_coef[i * rows + r]:
            free = fill[r]
            for k in range(m.n):
                if m.f_kind[k] == MODULATED:
                    if k == i:
                        free -= m.f_coef[k * rows + r] * _max(
                            m.s_set_ma[k], m.s_meas_ma[k * rows + r]
                        )
                    else:
                        free -= _charge(m, k, r)
            top = _min(top, m.s_set_ma[i] + _max(0, free) // m.f_coef[i * rows + r])
    elapsed = _min(now_ns - m.s_step_ns[0], 1000000000)
    grow = m.f_ramp_ma_s[i] * elapsed // 1000000000
    still = _min(now_ns - m.s_moved_ns[i], STILL_NS)
    if grow < m.f_step_ma[i] and (
        m.f_step_ma[i] <= m.f_ramp_ma_s[i] * still // 1000000000
    ):
        grow = m.f_step_ma[i]
    top = _min(top, _max(m.f_floor_ma[i], m.s_set_ma[i] + grow))
    if top < m.f_floor_ma[i]:
        return False
    top = _max(m.f_floor_ma[i], top - top % m.f_step_ma[i])
    if top < target and m.f_change_ns[i]:
        for k in range(m.n):
            if m.f_kind[k] == MODULATED and not m.s_stale[k] and (
                _above(m, k, m.s_set_ma[k])
            ):
                return False
    if top > m.s_set_ma[i]:
        _raise(m, i, top, now_ns)
    return top >= target
