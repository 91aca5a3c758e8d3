"""Who must open: panelctl/core/keep.py."""


cdef void _sort(Memory *m, int *order, int count, const i64 *key) noexcept nogil:
    """Sort by key; equals stay in the order in which they come."""
    cdef int a, b, i
    for a in range(1, count):
        i = order[a]
        b = a
        while b > 0 and key[order[b - 1]] > key[i]:
            order[b] = order[b - 1]
            b -= 1
        order[b] = i


cdef void _shortest(
    Memory *m, int i, const i64 *coef, const i64 *room, i64 *row, i64 *short
) noexcept nogil:
    """The row on which load `i` is missing most, and by how many mA."""
    cdef int r
    cdef i64 need, missing
    row[0] = -1
    short[0] = 0
    for r in range(m.rows):
        need = coef[i * m.rows + r]
        if need == 0 or need <= room[r]:
            continue
        missing = (need - room[r]) // m.f_scale[r]
        if row[0] < 0 or missing > short[0]:
            row[0] = r
            short[0] = missing


cdef void _serve(
    Memory *m, const int *order, int count, const i64 *tier, const i64 *coef, const i64 *size,
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
        was_on[a] = m.s_closed[i] == 1
        rung[a].id = a
        rung[a].tier = <int>tier[i]
        rung[a].predecessor = -1
        rung[a].weight = <short>m.f_weight[i]
        rung[a].discrete = discrete
        rung[a].equal = (
            discrete and m.f_equal_tier[m.s_tier[i]] == 1 and not m.s_promoted[i]
        )
        rung[a].first = k
        for r in range(m.rows):
            if coef[i * m.rows + r]:
                entry[k].row = r
                entry[k].coefficient = <int>coef[i * m.rows + r]
                k += 1
        rung[a].end = k
    rungs.count = count
    rungs.rows = m.rows
    rungs.rung = rung
    rungs.entry = entry
    rungs.size_ma = size_ma
    rungs.value = value
    rungs.was_on = was_on
    serve(&rungs, room, taken_ma)
    for a in range(count):
        taken[order[a]] = taken_ma[a]


cdef void _promote(Memory *m, i64 now_ns) noexcept nogil:
    cdef int i
    for i in range(m.n):
        if m.f_kind[i] != SWITCHED:
            continue
        if m.s_claims[i] == C_PCS:
            if m.f_max_off_ns[i] and (
                now_ns - m.s_opened_ns[i] >= m.f_max_off_ns[i]
            ):
                m.s_promoted[i] = 1
        elif m.s_claims[i] or now_ns - m.s_closed_ns[i] >= m.f_min_on_ns[i]:
            m.s_promoted[i] = 0


cdef inline i64 _rank(Memory *m, int i) noexcept nogil:
    if m.f_compute[i] and m.s_claims[i]:
        return LAST_RANK
    return 0 if m.s_promoted[i] else m.s_tier[i] + 1


cdef inline bint _leaves(Memory *m, int i, i64 now_ns) noexcept nogil:
    return not (m.f_compute[i] or _stays(m, i, now_ns))


cdef void _keep(Memory *m, const i64 *house, i64 now_ns) noexcept nogil:
    cdef i64 room[MAX_ROWS]
    cdef i64 need[MAX_ROWS]
    cdef i64 coef[MAX_LOADS * MAX_ROWS]
    cdef i64 size[MAX_LOADS]
    cdef i64 worth[MAX_LOADS]
    cdef i64 rank[MAX_LOADS]
    cdef i64 key[MAX_LOADS]
    cdef i64 taken[MAX_LOADS]
    cdef int order[MAX_LOADS]
    cdef int count = 0, i, r, a, k, rows = m.rows
    cdef i64 before[MAX_ROWS]
    cdef i64 ahead[MAX_ROWS]
    cdef int comes_down = -1
    cdef i64 draw, inside, row, short
    cdef bint must = False, over = False, hot = False, lingers
    for r in range(rows):
        room[r] = m.f_scale[r] * m.s_shed_ma[r] - house[r]
    for i in range(m.n):
        size[i] = 0
        worth[i] = 0
        taken[i] = 0
        rank[i] = _rank(m, i)
        key[i] = (2 * rank[i] + _leaves(m, i, now_ns)) * MAX_LOADS + i
        for r in range(rows):
            coef[i * rows + r] = 0
        if m.f_kind[i] == SWITCHED:
            if m.s_flying[i]:
                for r in range(rows):
                    room[r] += m.f_plain[i * rows + r] * m.s_relief_of_ma[i * rows + r]
            elif m.s_closed[i] == 1 and not m.s_claims[i] and (
                _relay_seen(m, i, now_ns)
            ):
                for r in range(rows):
                    k = i * rows + r
                    if m.f_coef[k] == 0:
                        continue
                    draw = _draw_on(m, i, r)
                    if m.f_plain[k] * draw >= m.f_scale[r] * m.f_relief_ma[0]:
                        coef[k] = m.f_coef[k] * draw
                        size[i] = 1
                        room[r] += m.f_plain[k] * draw
                        if r < LEG_ROWS:
                            worth[i] += draw
                if size[i]:
                    worth[i] += STAYS if _stays(m, i, now_ns) else 1
                    order[count] = i
                    count += 1
    for i in range(m.n):
        if m.f_kind[i] == SWITCHED:
            continue
        _flowing(m, i, need, now_ns)
        for r in range(rows):
            k = i * rows + r
            inside = _inside(m, i, r)
            need[r] += m.f_coef[k] * inside
            room[r] += m.f_plain[k] * inside
        if _leaving(m, i, now_ns):
            continue
        lingers = _lingers(m, i, now_ns)
        if not lingers and not _may_pause(m, i):
            for r in range(rows):
                room[r] -= need[r]
            continue
        if m.f_compute[i] and not lingers and m.s_apart[i] and _above(m, i, m.f_floor_ma[i]):
            comes_down = -1
            for r in range(rows):
                ahead[r] = _max(0, need[r] - m.f_coef[i * rows + r] * m.f_floor_ma[i])
                need[r] -= ahead[r]
                if ahead[r]:
                    comes_down = i
        for r in range(rows):
            if not lingers or need[r] >= m.f_scale[r] * m.f_relief_ma[0]:
                coef[i * rows + r] = need[r]
        size[i] = 1
        worth[i] = STOPS_LAST if m.f_compute[i] and not lingers else 1
        order[count] = i
        count += 1
    _sort(m, order, count, key)
    for r in range(rows):
        before[r] = room[r]
    _serve(m, order, count, rank, coef, size, room, worth, taken)
    if comes_down >= 0 and taken[comes_down]:
        k = 0
        for a in range(count):
            if order[a] != comes_down:
                order[k] = order[a]
                k += 1
        count = k
        for r in range(rows):
            room[r] = before[r] - ahead[r] - coef[comes_down * rows + r]
        _serve(m, order, count, rank, coef, size, room, worth, taken)
    for a in range(count):
        if not taken[order[a]]:
            must = True
    for r in range(rows):
        if m.s_row_ma[r] > m.s_shed_ma[r]:
            over = True
            if m.s_theta_ppm[r] > HOT_PPM:
                hot = True
    if not must and not over:
        m.s_excess_ns[0] = 0
    elif m.s_excess_ns[0] == 0:
        m.s_excess_ns[0] = now_ns
    if not must or now_ns - m.s_mains_ns[0] > m.f_fresh_ns[0] or (
        now_ns - m.s_excess_ns[0] < m.f_confirm_ns[0] and not hot
    ):
        return
    for a in range(count):
        i = order[a]
        if not taken[i]:
            _shortest(m, i, coef, room, &row, &short)
            _shed(m, i, R_LIMIT, row, short, now_ns)


cdef void _cool(Memory *m, i64 now_ns) noexcept nogil:
    cdef int i
    cdef i64 newest_ns
    for i in range(m.n):
        newest_ns = _max(m.s_branch_seen_ns[i * LEG_ROWS], m.s_branch_seen_ns[i * LEG_ROWS + 1])
        if (
            m.f_kind[i] == SWITCHED
            and m.s_hot_ns[i]
            and newest_ns - m.s_hot_ns[i] >= m.f_confirm_ns[0]
            and m.s_closed[i] == 1
            and not m.s_claims[i]
            and _relay_seen(m, i, now_ns)
        ):
            _shed(m, i, R_HOT, -1, 0, now_ns)


cdef void _shed(Memory *m, int i, i64 reason, i64 row, i64 short, i64 now_ns) noexcept nogil:
    cdef i64 before = m.s_claims[i]
    m.s_claims[i] |= C_PCS
    if m.f_kind[i] == SWITCHED or before:
        _order_open(m, i, now_ns)
    else:
        _lower(m, i, 0)
        m.s_opened_ns[i] = now_ns
    if before == 0 or before == C_PCS:
        _explain(m, i, reason, row, short, now_ns, now_ns + m.f_min_off_ns[i])
