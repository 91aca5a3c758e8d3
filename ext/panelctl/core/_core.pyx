# cython: language_level=3
"""The decision in Cython. Every rule is written down, readable, in panelctl/core/reference.py.

Rules
- The step touches no Python object and allocates nothing: it is plain functions over `Memory`.
- Only numbers that are not negative are divided, so C's truncation equals Python's floor.
- The order of operations is the reference's; tests hold the two equal to the bit.
- One file a subject, as in panelctl/core: the parts below are one unit for the C compiler.
"""

from libc.stdint cimport int64_t as i64

from panelctl.core._ladder cimport MAX_ENTRIES, Entry, Rung, Rungs, serve

include "_words.pxi"
include "_memory.pxi"
include "_small.pxi"
include "_sight.pxi"
include "_heat.pxi"
include "_relays.pxi"
include "_standing.pxi"
include "_keep.pxi"
include "_restore.pxi"
include "_fill.pxi"


cdef void _step(Memory *m, i64 now_ns) noexcept nogil:
    cdef i64 house[MAX_ROWS]
    cdef i64 reserve[MAX_ROWS]
    cdef int i, r
    if m.s_boot_ns[0] == 0:
        m.s_boot_ns[0] = now_ns
        if m.s_mains_ns[0] == 0:  # else blind since before the start
            m.s_mains_ns[0] = now_ns
        m.s_step_ns[0] = now_ns
        m.s_heat_ns[0] = now_ns
        for i in range(m.n):
            m.s_since_ns[i] = now_ns
            if m.s_claims[i] and m.f_kind[i] == MODULATED:
                m.s_opened_ns[i] = now_ns
    _measure(m, now_ns)
    _see_sources(m, now_ns)
    _see_mains(m, now_ns)
    _be_wary(m)
    _limits(m, now_ns)
    _follow_relays(m, now_ns)
    _watch_budgets(m, now_ns)
    if m.s_state[0] == HOLD or m.s_state[0] == SHED:
        _fail_safe(m, now_ns)
    else:
        _house(m, house)
        _learn(m, house, now_ns)
        _promote(m, now_ns)
        _cool(m, now_ns)
        _keep(m, house, now_ns)
        _restore(m, house, reserve, now_ns)
        _set(m, house, reserve, now_ns)
    _stop_and_open(m, now_ns)
    for r in range(m.rows):
        m.s_headroom_ma[r] = m.s_limit_ma[r] - m.s_row_ma[r]
    m.s_step_ns[0] = now_ns

cdef class Core:
    """The decision over one panel's flat memory. Every result is a field of `state`."""
    cdef readonly object fixed, state, value, quality, sampled_ns
    cdef list _views
    cdef Memory memory

    def __init__(self, fixed, state, value, quality, sampled_ns):
        self.fixed = fixed
        self.state = state
        self.value = value
        self.quality = quality
        self.sampled_ns = sampled_ns
        self._views = []
        self.memory.n = fixed.loads
        self.memory.rows = fixed.rows
        self.memory.limits = state.limits
        self.memory.feeds = fixed.feeds
        if fixed.loads > MAX_LOADS or fixed.rows > MAX_ROWS:
            raise ValueError("too many loads or rows")
        if sum(1 for number in fixed.coef if number) > MAX_ENTRIES:
            raise ValueError(f"the loads are on more than {MAX_ENTRIES} rows in all")
        fields = [value, quality, sampled_ns]
        fields += [getattr(fixed, name) for name in fixed.names]
        fields += [getattr(state, name) for name in state.names]
        cdef cells *at = <cells *>&self.memory
        cdef int k
        for k in range(len(fields)):
            at[k] = self._bind(fields[k])

    cdef i64 *_bind(self, object field) except? NULL:
        cdef i64[::1] view = field
        self._views.append(view)  # keeps the memory where it is
        return &view[0] if view.shape[0] else NULL

    def claim(self, int i, i64 claim, i64 reason, i64 now_ns):
        """Add a claim to hold load `i` open; a modulated load is paused."""
        self._check(i)
        _claim(&self.memory, i, claim, reason, now_ns)

    def release(self, int i, i64 claims, i64 now_ns):
        """Take these claims back. What then holds load `i` open is its room."""
        self._check(i)
        _release(&self.memory, i, claims, now_ns)

    cdef int _check(self, int i) except -1:
        if not 0 <= i < self.memory.n:
            raise IndexError(f"load {i} of {self.memory.n}")
        return 0

    def step(self, i64 now_ns):
        """Decide on the latched image. Changes `state` only; bounded, no allocation."""
        with nogil:
            _step(&self.memory, now_ns)
