"""The compiled ladder, asked from the flat memory: panelctl/core/decide/serve.py says what for."""


cdef void serve(
    Memory *m, i64 count, const i64 *tier, const i64 *coef, bint discrete
) noexcept nogil:
    cdef Rung rung[MAX_LOADS]
    cdef Entry entry[MAX_ENTRIES]
    cdef i64 size_ma[MAX_LOADS]
    cdef i64 value[MAX_LOADS]
    cdef i64 was_on[MAX_LOADS]
    cdef i64 taken_ma[MAX_LOADS]
    cdef Rungs rungs
    cdef int a, i, r, k = 0
    for a in range(count):
        i = <int>m.x_order[a]
        size_ma[a] = m.x_size[i]
        value[a] = m.x_worth[i] if discrete else m.x_size[i]
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
    rungs.count = <int>count
    rungs.rows = <int>m.rows
    rungs.rung = rung
    rungs.entry = entry
    rungs.size_ma = size_ma
    rungs.value = value
    rungs.was_on = was_on
    serve_ladder(&rungs, m.x_room, taken_ma)
    for a in range(count):
        m.x_taken[m.x_order[a]] = taken_ma[a]
