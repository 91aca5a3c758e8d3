# cython: language_level=3
"""The decision, compiled: the rules of panelctl/core/decide over one panel's memory.

The step touches no Python object and allocates nothing. The rules themselves come in as one file
that the build makes of them (tools/rules.py); only the ladder is written twice.
"""

from array import array

from libc.stdint cimport int64_t as i64

from panelctl.core._ladder cimport MAX_ENTRIES, MAX_ROWS, Entry, Rung, Rungs
from panelctl.core._ladder cimport serve as serve_ladder

from panelctl.core.decide.cells import scratch_size
from panelctl.core.state.scratch import SCRATCH

include "_rules.pxi"
include "_serve.pxi"


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
        self.memory.source_legs = fixed.source_legs
        if fixed.loads > MAX_LOADS or fixed.rows > MAX_ROWS:
            raise ValueError("too many loads or rows")
        if sum(1 for number in fixed.limit_coef if number) > MAX_ENTRIES:
            raise ValueError(f"the loads are on more than {MAX_ENTRIES} rows in all")
        names = ["value", "quality", "sampled_ns"]
        names += [f"f_{name}" for name in fixed.names] + [f"s_{name}" for name in state.names]
        names += [f"x_{name}" for name in SCRATCH]
        if names != FIELDS:
            raise RuntimeError(
                "the compiled core was built of another version of the rules, whose memory is "
                "laid out otherwise: build it anew (make setup), or set PANELCTL_PURE=1"
            )
        fields = [value, quality, sampled_ns]
        fields += [getattr(fixed, name) for name in fixed.names]
        fields += [getattr(state, name) for name in state.names]
        fields += [array("q", bytes(8 * scratch_size(name, fixed))) for name in SCRATCH]
        cdef cells *at = <cells *>&self.memory
        cdef int k
        for k in range(len(fields)):
            at[k] = self._bind(fields[k])

    cdef i64 *_bind(self, object field) except? NULL:
        cdef i64[::1] view = field
        self._views.append(view)  # keeps the memory where it is
        return &view[0] if view.shape[0] else NULL

    def claim(self, int i, i64 claims, i64 reason, i64 now_ns):
        """Add a claim to hold load `i` open; a modulated load is paused."""
        self._check(i)
        claim(&self.memory, i, claims, reason, now_ns)

    def release(self, int i, i64 claims, i64 now_ns):
        """Take these claims back. What then holds load `i` open is its room."""
        self._check(i)
        release(&self.memory, i, claims, now_ns)

    cdef int _check(self, int i) except -1:
        if not 0 <= i < self.memory.n:
            raise IndexError(f"load {i} of {self.memory.n}")
        return 0

    def check_readings(self, i64 now_ns):
        """Mark in the latched image what cannot be true. Before the commands, and the step."""
        with nogil:
            check_readings(&self.memory, now_ns)

    def step(self, i64 now_ns):
        """Decide on the latched image. Changes `state` only; bounded, no allocation."""
        with nogil:
            step(&self.memory, now_ns)
