"""Who may close: panelctl/core/restore.py."""


cdef inline bint _unseen(Memory *m, int i, i64 now_ns) noexcept nogil:
    return m.s_stale[i] or not _relay_seen(m, i, now_ns)


cdef void _restore(Memory *m, const i64 *house, i64 *reserve, i64 now_ns) noexcept nogil:
    cdef i64 room[MAX_ROWS]
    cdef i64 left[MAX_ROWS]
    cdef i64 top[MAX_ROWS]
    cdef i64 margin[MAX_ROWS]
    cdef i64 flying[MAX_ROWS]
    cdef i64 missing_on[MAX_ROWS]
    cdef i64 drawn[MAX_ROWS]
    cdef i64 least[MAX_ROWS]
    cdef i64 own[MAX_LOADS * MAX_ROWS]
    cdef i64 coef[MAX_LOADS * MAX_ROWS]
    cdef i64 size[MAX_LOADS]
    cdef i64 worth[MAX_LOADS]
    cdef i64 rank[MAX_LOADS]
    cdef i64 taken[MAX_LOADS]
    cdef int order[MAX_LOADS]
    cdef int way[MAX_LOADS]
    cdef int count = 0, ways, chosen = -1, i, r, a, b, k, rows = m.rows
    cdef i64 need, row, short
    cdef bint fresh = now_ns - m.s_mains_ns[0] <= m.f_fresh_ns[0]
    cdef bint open_now = True, displaced = False, pushing = False, any_short, first, leaving
    for r in range(rows):
        reserve[r] = 0
        flying[r] = 0
        drawn[r] = 0
    for i in range(m.n):
        if m.f_kind[i] != SWITCHED:
            continue
        if m.s_closed[i] == 1 and m.s_closed_ns[i] > 0 and (
            now_ns - m.s_closed_ns[i] <= m.f_close_settle_ns[0]
        ):
            for r in range(rows):
                k = i * rows + r
                reserve[r] += m.f_coef[k] * _max(
                    0, _demand(m, i, r, now_ns) - m.s_meas_ma[k]
                )
        if m.s_flying[i]:
            for r in range(rows):
                flying[r] += m.f_plain[i * rows + r] * m.s_relief_of_ma[i * rows + r]
    for r in range(rows):
        margin[r] = 0
        if not m.f_calm[r]:
            margin[r] = m.f_scale[r] * _margin_of(m, r, m.f_restore_margin_ma[0])
        top[r] = (
            m.f_scale[r] * (_min(m.s_limit_ma[r], m.s_fill_ma[r]) - m.s_wary_ma[r])
            - margin[r] - house[r] - reserve[r]
        )
        room[r] = top[r]
    for i in range(m.n):
        size[i] = 0
        worth[i] = 0
        taken[i] = 0
        rank[i] = _rank(m, i)
        if m.f_kind[i] == MODULATED:
            _least(m, i, least, now_ns, True)
            leaving = _leaving(m, i, now_ns)
            for r in range(rows):
                own[i * rows + r] = least[r]
                room[r] -= least[r]
                if leaving:
                    flying[r] += m.f_plain[i * rows + r] * _inside(m, i, r)
                if m.s_apart[i] and not _above(m, i, m.s_set_ma[i]):
                    drawn[r] += m.f_coef[i * rows + r] * m.s_set_ma[i]
                else:
                    drawn[r] += _charge(m, i, r)
        for r in range(rows):
            coef[i * rows + r] = 0
        if m.s_claims[i] == C_PCS:
            order[count] = i
            count += 1
            size[i] = not (
                _cooling(m, i) or _resting(m, i, now_ns) or _unseen(m, i, now_ns)
            )
            worth[i] = 1
            for r in range(rows):
                need = m.f_coef[i * rows + r] * _demand(m, i, r, now_ns)
                if m.f_kind[i] == MODULATED:
                    need = _max(need - own[i * rows + r], _min(need, 1))
                coef[i * rows + r] = need
                if r < LEG_ROWS:
                    worth[i] += coef[i * rows + r]
    _sort(m, order, count, rank)
    for r in range(rows):
        left[r] = room[r]
    _serve(m, order, count, rank, coef, size, room, worth, taken)
    for a in range(count):
        i = order[a]
        if taken[i]:
            for r in range(rows):
                left[r] -= coef[i * rows + r]
        if _unseen(m, i, now_ns):
            m.s_fit_ns[i] = 0
            _wait(m, i, W_BLIND, -1, 0)
            continue
        if _cooling(m, i) or _resting(m, i, now_ns):
            m.s_fit_ns[i] = 0
            _wait(m, i, W_COOLING if _cooling(m, i) else W_WORN, -1, 0)
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
                ways = _who_gives_way(m, i, rank, missing_on, way, now_ns)
            if ways:
                displaced = True
            if not ways and any_short:
                _shortest(m, i, coef, left, &row, &short)
                m.s_fit_ns[i] = 0
                _wait(m, i, W_NO_ROOM, row, short)
                continue
        if m.s_fit_ns[i] == 0 and fresh:
            m.s_fit_ns[i] = now_ns
        if now_ns - m.s_opened_ns[i] < m.f_min_off_ns[i]:
            _wait(m, i, W_MIN_OFF, -1, 0)
            continue
        first = chosen < 0 and not pushing
        pushing = pushing or not taken[i]
        if not fresh or now_ns - m.s_fit_ns[i] < m.f_restore_hold_ns[0]:
            _wait(m, i, W_STEADY, -1, 0)
        elif not first or (
            m.s_restored_ns[0]
            and now_ns - m.s_restored_ns[0] < m.f_restore_interval_ns[0]
        ):
            _wait(m, i, W_STAGED, -1, 0)
        elif not taken[i]:
            _shortest(m, i, coef, left, &row, &short)
            for b in range(ways):
                _shed(m, way[b], R_GAVE_WAY, row, short, now_ns)
            _wait(m, i, W_MAKING_ROOM, -1, 0)
        else:
            chosen = i
            _wait(m, i, W_MAKING_ROOM, -1, 0)
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
                reserve[r] += _max(0, margin[r] - m.f_scale[r] * _margin_of(m,
                    r, m.f_fill_margin_ma[0]
                ))
        return
    _close(m, chosen, now_ns)
    if m.f_kind[chosen] == MODULATED:
        for r in range(rows):
            reserve[r] -= coef[chosen * rows + r]


cdef bint _may_yield(Memory *m, int k, i64 now_ns) noexcept nogil:
    if m.s_claims[k] or m.s_stale[k] or _stays(m, k, now_ns):
        return False
    if m.f_kind[k] == SWITCHED:
        return m.s_closed[k] == 1 and _relay_seen(m, k, now_ns)
    return m.f_can_pause[k] == 1 and m.s_set_ma[k] > 0 and not _deaf(m, k, now_ns)


cdef void _relief(Memory *m, int k, i64 *relief, i64 now_ns) noexcept nogil:
    cdef int r, e
    if m.f_kind[k] == MODULATED:
        _least(m, k, relief, now_ns, True)
    for r in range(m.rows):
        e = k * m.rows + r
        if m.f_kind[k] == SWITCHED:
            relief[r] = m.f_plain[e] * m.s_meas_ma[e]
        else:
            relief[r] += m.f_plain[e] * _inside(m, k, r)


cdef int _who_gives_way(
    Memory *m, int i, const i64 *rank, i64 *missing, int *way, i64 now_ns
) noexcept nogil:
    """Fills `way` with the loads that would make room for load `i`, or returns 0."""
    cdef i64 key[MAX_LOADS]
    cdef int later[MAX_LOADS]
    cdef i64 relief[MAX_ROWS]
    cdef int count = 0, ways = 0, a, k, r
    cdef bint helps
    for k in range(m.n - 1, -1, -1):
        if rank[k] > rank[i] and (_lingers(m, k, now_ns) or _may_yield(m, k, now_ns)):
            key[k] = -rank[k]
            later[count] = k
            count += 1
    _sort(m, later, count, key)
    for a in range(count):
        k = later[a]
        helps = False
        _relief(m, k, relief, now_ns)
        for r in range(m.rows):
            if missing[r] > 0 and relief[r] >= m.f_scale[r] * m.f_relief_ma[0]:
                helps = True
        if helps:
            way[ways] = k
            ways += 1
            for r in range(m.rows):
                missing[r] -= relief[r]
    for r in range(m.rows):
        if missing[r] > 0:
            return 0
    return ways


cdef void _close(Memory *m, int i, i64 now_ns) noexcept nogil:
    m.s_claims[i] = 0
    m.s_restored_ns[0] = now_ns
    m.s_closed_ns[i] = now_ns
    m.s_fit_ns[i] = 0
    m.s_disturbed[0] = 1
    _explain(m, i, R_NONE, -1, 0, now_ns, 0)
    if m.f_relay_slot[i] >= 0 and m.s_closed[i] == 0:
        m.s_closed[i] = 1
        m.s_order_ns[i] = now_ns
        m.s_awaits[i] = 1
        _wear(m, i, now_ns)
    if m.f_kind[i] == MODULATED:
        _raise(m, i, m.f_floor_ma[i], now_ns)
