# cython: language_level=3
"""The ladder in Cython: panelctl/core/ladder/reference.py says what it does and why, line by line.

Rules
- No Python object and no allocation inside `serve`: everything is on the stack and of fixed size.
- Every loop ends by a count: segments, rows, entries, or MAX_NODES. Compiled with PANELCTL_CHECKS
  the counts are asserted.
- Only numbers that are not negative are divided, so C's truncation equals Python's floor.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int64_t as i64
from libc.string cimport memcpy

cdef extern from *:
    """
    #ifdef PANELCTL_CHECKS
    #include <stdlib.h>
    #define PANELCTL_BOUND(holds) do { if (!(holds)) abort(); } while (0)
    #else
    #define PANELCTL_BOUND(holds) ((void)0)
    #endif
    """
    void BOUND "PANELCTL_BOUND" (bint holds) noexcept nogil

cdef enum:
    MAX_NODES = 4096
    LEVEL_BITS = 16
    EVENT_BITS = 20  # room for the number of any row or segment in an event
    SWITCH_RATIO = 1024

cdef i64 TOP_LEVEL = (<i64>1) << 41
cdef i64 SEGMENT_EVENT = 1 << 19


cdef inline i64 least(i64 a, i64 b) noexcept nogil:
    return a if a < b else b


cdef inline bint ready(const Rungs *p, const i64 *taken_ma, const Rung *g) noexcept nogil:
    if g.predecessor < 0:
        return True
    return (
        p.size_ma[g.predecessor] > 0
        and taken_ma[g.predecessor] == p.size_ma[g.predecessor]
    )


cdef inline bint fits(const Rungs *p, const i64 *room_ma, const Rung *g) noexcept nogil:
    """Whether there is room for all of it. No branch a row: which one binds is unforeseeable."""
    cdef int e
    cdef i64 size_ma = p.size_ma[g.id], short_of = 0
    for e in range(g.first, g.end):
        short_of |= room_ma[p.entry[e].row] - p.entry[e].coefficient * size_ma
    return short_of >= 0 and size_ma > 0


cdef inline void use(const Rungs *p, i64 *room_ma, const Rung *g, i64 ma) noexcept nogil:
    cdef int e
    for e in range(g.first, g.end):
        room_ma[p.entry[e].row] -= p.entry[e].coefficient * ma


cdef bint serve(const Rungs *p, i64 *room_ma, i64 *taken_ma) noexcept nogil:
    """Serve the ladder from `room_ma`. False when a search was cut short."""
    cdef int group[MAX_SEGMENTS]
    cdef int start, a = 0, alive, tier
    cdef const Rung *g
    cdef bint proved = True, equal
    while a < p.count:
        start = a
        tier = p.rung[a].tier
        alive = 0
        equal = False
        while a < p.count and p.rung[a].tier == tier:
            g = &p.rung[a]
            taken_ma[g.id] = 0
            if not g.discrete:
                group[alive] = a
                alive += 1
            elif g.equal:
                equal = True
            elif ready(p, taken_ma, g) and fits(p, room_ma, g):
                taken_ma[g.id] = p.size_ma[g.id]
                use(p, room_ma, g, p.size_ma[g.id])
            a += 1
        if equal:
            proved = search(p, start, a, room_ma, taken_ma) and proved
        if alive:
            fill(p, group, alive, room_ma, taken_ma)
    return proved


cdef bint search(const Rungs *p, int start, int end, i64 *room_ma, i64 *taken_ma) noexcept nogil:
    """Choose among the discrete segments of one tier of equal rank."""
    cdef int item[MAX_SEGMENTS]
    cdef i64 worth[MAX_SEGMENTS]
    cdef i64 rest[MAX_SEGMENTS + 1]
    cdef char chosen[MAX_SEGMENTS]
    cdef char best[MAX_SEGMENTS]
    cdef int a, b, i, count = 0, depth = 0, nodes = 0, best_depth = 0
    cdef i64 w, have = 0, best_worth = 0
    cdef const Rung *g
    cdef bint proved = True
    for a in range(start, end):
        g = &p.rung[a]
        if not (g.discrete and p.size_ma[g.id] > 0 and ready(p, taken_ma, g)):
            continue
        w = SWITCH_RATIO * p.value[g.id] + (1 if p.was_on[g.id] else -1)
        if w <= 0 or not fits(p, room_ma, g):
            continue
        b = count  # the most valuable first, then the lower number
        while b > 0:
            i = p.rung[item[b - 1]].id
            if p.value[i] > p.value[g.id] or (p.value[i] == p.value[g.id] and i < g.id):
                break
            item[b] = item[b - 1]
            worth[b] = worth[b - 1]
            b -= 1
        item[b] = a
        worth[b] = w
        count += 1
    rest[count] = 0
    for a in range(count - 1, -1, -1):
        rest[a] = rest[a + 1] + worth[a]
    while True:
        if have > best_worth:
            best_worth = have
            best_depth = depth
            for a in range(depth):
                best[a] = chosen[a]
        if depth < count and have + rest[depth] > best_worth:
            if nodes == MAX_NODES:
                proved = False
                break
            nodes += 1
            g = &p.rung[item[depth]]
            chosen[depth] = fits(p, room_ma, g)
            if chosen[depth]:
                use(p, room_ma, g, p.size_ma[g.id])
                have += worth[depth]
            depth += 1
            continue
        while depth > 0 and not chosen[depth - 1]:
            depth -= 1
        if depth == 0:
            break
        g = &p.rung[item[depth - 1]]
        use(p, room_ma, g, -p.size_ma[g.id])
        have -= worth[depth - 1]
        chosen[depth - 1] = False
    for a in range(depth):
        if chosen[a]:
            g = &p.rung[item[a]]
            use(p, room_ma, g, -p.size_ma[g.id])
    for a in range(best_depth):
        if best[a]:
            g = &p.rung[item[a]]
            taken_ma[g.id] = p.size_ma[g.id]
            use(p, room_ma, g, p.size_ma[g.id])
    return proved


include "_water.pxi"


cdef class Solver:
    """A ladder.Ladder bound once: change its numbers, call `solve()`, read `taken_ma`.

    What tells the shape of the ladder is copied; `size_ma`, `value`, `was_on`, `room_ma` and
    `taken_ma` are shared. Raises ValueError when the ladder is larger than this build.
    """

    def __init__(self, ladder):
        cdef int a, e, k = 0, i
        if ladder.count > MAX_SEGMENTS or ladder.rows > MAX_ROWS or len(ladder.row) > MAX_ENTRIES:
            raise ValueError(
                f"{ladder.count} segments on {ladder.rows} rows: this build takes "
                f"{MAX_SEGMENTS} on {MAX_ROWS}"
            )
        self._kept = []
        for a in range(ladder.count):
            i = ladder.order[a]
            self.rung[a].id = i
            self.rung[a].tier = ladder.tier[i]
            self.rung[a].predecessor = ladder.predecessor[i]
            self.rung[a].weight = ladder.weight[i]
            self.rung[a].discrete = ladder.discrete[i]
            self.rung[a].equal = ladder.equal[i]
            self.rung[a].first = k
            for e in range(ladder.first[i], ladder.first[i + 1]):
                self.entry[k].row = ladder.row[e]
                self.entry[k].coefficient = ladder.coefficient[e]
                k += 1
            self.rung[a].end = k
        self.rungs.count = ladder.count
        self.rungs.rows = ladder.rows
        self.rungs.rung = self.rung
        self.rungs.entry = self.entry
        self.size_ma = self._bind(ladder.size_ma)
        self.rungs.size_ma = self.size_ma
        self.rungs.value = self._bind(ladder.value)
        self.rungs.was_on = self._bind(ladder.was_on)
        self.room_ma = self._bind(ladder.room_ma)
        self.taken_ma = self._bind(ladder.taken_ma)

    cdef i64 *_bind(self, object field) except? NULL:
        cdef i64[::1] view = field
        self._kept.append(view)  # keeps the memory where it is
        return &view[0] if view.shape[0] else NULL

    def solve(self, size_ma=None, room_ma=None):
        """Serve once, after copying in new sizes and new room where they are given.

        False when a search was cut short. Raises ValueError for arrays that do not fit.
        """
        if size_ma is not None:
            copy_in(size_ma, self.size_ma, self.rungs.count)
        if room_ma is not None:
            copy_in(room_ma, self.room_ma, self.rungs.rows)
        return serve(&self.rungs, self.room_ma, self.taken_ma)


cdef int copy_in(object source, i64 *target, int count) except -1:
    """Copy `count` int64 numbers from a buffer. Plain, as a typed memoryview takes far longer."""
    cdef Py_buffer view
    PyObject_GetBuffer(source, &view, PyBUF_SIMPLE)
    try:
        if view.len != 8 * count:
            raise ValueError(f"{view.len // 8} numbers where {count} are needed")
        memcpy(target, view.buf, view.len)
    finally:
        PyBuffer_Release(&view)
    return 0


cdef class Fleet:
    """Many homes, each of which is one of a few ladders with numbers of its own.

    `segments` and `rows` say how many numbers each home has in the arrays of `solve`: those of the
    largest ladder. Raises ValueError for no ladder or more than 1,024.
    """
    cdef list _solvers
    cdef Rungs table[1024]
    cdef readonly int segments
    cdef readonly int rows

    def __init__(self, ladders):
        cdef Solver solver
        cdef int n = 0
        if not 1 <= len(ladders) <= 1024:
            raise ValueError(f"{len(ladders)} ladders: a fleet has 1 to 1024")
        self._solvers = [Solver(ladder) for ladder in ladders]
        for solver in self._solvers:
            self.table[n] = solver.rungs
            self.segments = max(self.segments, solver.rungs.count)
            self.rows = max(self.rows, solver.rungs.rows)
            n += 1

    def solve(self, i64[::1] which, i64[::1] size_ma, i64[::1] room_ma, i64[::1] taken_ma):
        """Serve every home once, without the GIL: home h is ladder `which[h]`.

        `size_ma` and `taken_ma` hold `segments` numbers a home, `room_ma` `rows`. Returns how many
        homes had a search cut short. Raises ValueError when the arrays do not fit together.
        """
        cdef i64 homes = which.shape[0], known = len(self._solvers), h, cut = 0
        cdef Rungs rungs
        if (
            size_ma.shape[0] != homes * self.segments
            or taken_ma.shape[0] != homes * self.segments
            or room_ma.shape[0] != homes * self.rows
        ):
            raise ValueError("the arrays hold different numbers of homes")
        for h in range(homes):
            if not 0 <= which[h] < known:
                raise ValueError(f"home {h} is of ladder {which[h]}, which is not there")
        with nogil:
            for h in range(homes):
                rungs = self.table[which[h]]
                rungs.size_ma = &size_ma[h * self.segments]
                cut += not serve(&rungs, &room_ma[h * self.rows], &taken_ma[h * self.segments])
        return cut
