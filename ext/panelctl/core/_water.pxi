"""Water-filling: the continuous segments of a tier rise together, by their weights, until a row or
their own size ends it. `_fill` of panelctl/core/ladder/reference.py does the same. Part of _ladder.pyx, which
decides who is served whole, and in which order.
"""

# The events of a fill wait in a heap, four below each. An event is one number: its level, then rows before
# segments, then the lower number first. A row's event may be too early, never too late: other
# segments leave the row meanwhile. It is looked at again when its turn comes.

cdef inline void push(i64 *heap, int *length, i64 event) noexcept nogil:
    cdef int at = length[0], up
    length[0] += 1
    while at > 0:
        up = (at - 1) >> 2
        if heap[up] <= event:
            break
        heap[at] = heap[up]
        at = up
    heap[at] = event


cdef inline void sink(i64 *heap, int length, i64 event) noexcept nogil:
    """Put `event` in the place of the first one."""
    cdef int at = 0, down, first, k
    while True:
        first = 4 * at + 1
        if first >= length:
            break
        down = first
        for k in range(first + 1, first + 4 if first + 4 < length else length):
            down = k if heap[k] < heap[down] else down
        if heap[down] >= event:
            break
        heap[at] = heap[down]
        at = down
    heap[at] = event


cdef void fill(
    const Rungs *p, const int *group, int alive, i64 *room_ma, i64 *taken_ma
) noexcept nogil:
    """Raise the segments of `group` together until each is full or one of its rows is."""
    cdef i64 rate[MAX_ROWS]  # use of the row per level, 0 for a row that has room for all
    cdef i64 fine[MAX_ROWS]  # its room in level bits, as it was at level `at`
    cdef i64 at[MAX_ROWS]
    cdef int users[MAX_ROWS]  # how many of the segments take from it,
    cdef int user[MAX_ROWS]  # which of `active` was the last to be counted, and
    cdef int share[MAX_ROWS]  # its coefficient
    cdef int chain[MAX_ROWS]  # the row's first link to its segments
    cdef int touched[MAX_ROWS]
    cdef char seen[MAX_ROWS]
    cdef int link[MAX_ENTRIES]  # the next link of the same row
    cdef int who[MAX_ENTRIES]  # which of `active` it leads to
    cdef int active[MAX_SEGMENTS]
    cdef char rising[MAX_SEGMENTS]
    cdef i64 top_ma[MAX_SEGMENTS]  # its size, or what a row of its own leaves
    cdef i64 heap[MAX_EVENTS]
    cdef int a, e, r, k, count = 0, rows = 0, links = 0, length = 0, turns = 0, left = 0
    cdef i64 size_ma, event, level, true_level
    cdef const Rung *g
    cdef bint open, bound, capped = False
    for r in range(p.rows):
        seen[r] = False
    for a in range(alive):
        g = &p.rung[group[a]]
        size_ma = p.size_ma[g.id]
        open = size_ma > 0 and ready(p, taken_ma, g)
        for e in range(g.first, g.end):
            open &= room_ma[p.entry[e].row] >= p.entry[e].coefficient
        if not open:
            continue
        active[count] = group[a]
        top_ma[count] = size_ma
        for e in range(g.first, g.end):
            r = p.entry[e].row
            if not seen[r]:
                seen[r] = True
                touched[rows] = r
                rows += 1
                rate[r] = 0
                users[r] = 0
                fine[r] = room_ma[r]
            users[r] += 1
            user[r] = count
            share[r] = p.entry[e].coefficient
            rate[r] += p.entry[e].coefficient * g.weight
            fine[r] -= p.entry[e].coefficient * size_ma
        count += 1
    for a in range(rows):
        r = touched[a]
        if fine[r] < 0 and users[r] == 1:
            top_ma[user[r]] = least(top_ma[user[r]], room_ma[r] // share[r])
            capped = True
        if fine[r] >= 0 or users[r] == 1:
            rate[r] = 0
            continue
        at[r] = 0
        chain[r] = -1
        fine[r] = room_ma[r] << LEVEL_BITS
        push(heap, &length, (least(fine[r] // rate[r], TOP_LEVEL) << EVENT_BITS) + r)
    if length == 0 and not capped:  # no row binds
        for a in range(count):
            g = &p.rung[active[a]]
            taken_ma[g.id] = p.size_ma[g.id]
        for a in range(rows):
            room_ma[touched[a]] = fine[touched[a]]
        return
    for a in range(count):
        g = &p.rung[active[a]]
        bound = False
        for e in range(g.first, g.end):
            r = p.entry[e].row
            if rate[r]:
                bound = True
                link[links] = chain[r]
                who[links] = a
                chain[r] = links
                links += 1
        rising[a] = bound
        if bound:
            left += 1
            level = ((top_ma[a] << LEVEL_BITS) + g.weight - 1) // g.weight
            push(heap, &length, (level << EVENT_BITS) + SEGMENT_EVENT + a)
        else:
            taken_ma[g.id] = top_ma[a]
    while left:
        turns += 1
        BOUND(turns <= count + 2 * rows + links)
        event = heap[0]
        level = event >> EVENT_BITS
        if event & SEGMENT_EVENT:
            a = <int>(event & (SEGMENT_EVENT - 1))
            if rising[a]:
                left -= 1
                rising[a] = False
                leave(p, &p.rung[active[a]], level, top_ma[a], rate, fine, at, taken_ma)
        else:
            r = <int>(event & (SEGMENT_EVENT - 1))
            if rate[r] > 0:
                true_level = least(at[r] + fine[r] // rate[r], TOP_LEVEL)
                if true_level > level:
                    sink(heap, length, (true_level << EVENT_BITS) + r)
                    continue
                k = chain[r]
                while k >= 0:
                    a = who[k]
                    if rising[a]:
                        left -= 1
                        rising[a] = False
                        leave(p, &p.rung[active[a]], level, top_ma[a], rate, fine, at, taken_ma)
                    k = link[k]
        length -= 1
        sink(heap, length, heap[length])
    for a in range(count):
        g = &p.rung[active[a]]
        use(p, room_ma, g, taken_ma[g.id])


cdef inline void leave(
    const Rungs *p, const Rung *g, i64 level, i64 top_ma, i64 *rate, i64 *fine, i64 *at,
    i64 *taken_ma,
) noexcept nogil:
    """A segment rises no further: its rows were used up to `level` and go on without it."""
    cdef int e, r
    taken_ma[g.id] = least(top_ma, (level * g.weight) >> LEVEL_BITS)
    for e in range(g.first, g.end):
        r = p.entry[e].row
        if rate[r]:
            fine[r] -= rate[r] * (level - at[r])
            at[r] = level
            rate[r] -= p.entry[e].coefficient * g.weight
