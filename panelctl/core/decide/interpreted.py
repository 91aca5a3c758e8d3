"""The decision over one panel's memory, by the rules as they are written. Slow, and easy to read,
to debug and to mutate; the module _core offers the same over the rules compiled.
"""

from __future__ import annotations

from array import array

from panelctl.core.decide import supervise
from panelctl.core.decide.cells import Cells
from panelctl.core.decide.step import check_readings, step
from panelctl.core.state.layout import Changing, Fixed


class Core:
    """The decision over one panel's flat memory. Every result is a field of `state`."""

    def __init__(
        self,
        fixed: Fixed,
        state: Changing,
        value: array[int],
        quality: array[int],
        sampled_ns: array[int],
    ) -> None:
        self.fixed, self.state = fixed, state
        self.value, self.quality, self.sampled_ns = value, quality, sampled_ns
        self._memory = Cells(fixed, state, value, quality, sampled_ns)

    def claim(self, i: int, claims: int, reason: int, now_ns: int) -> None:
        """Add a claim to hold load `i` open; a modulated load is paused. Raises IndexError."""
        self._check(i)
        supervise.claim(self._memory, i, claims, reason, now_ns)

    def release(self, i: int, claims: int, now_ns: int) -> None:
        """Take these claims back. What then holds load `i` open is its room. Raises IndexError."""
        self._check(i)
        supervise.release(self._memory, i, claims, now_ns)

    def _check(self, i: int) -> None:
        if not 0 <= i < self.fixed.loads:
            raise IndexError(f"load {i} of {self.fixed.loads}")

    def check_readings(self, now_ns: int) -> None:
        """Mark in the latched image what cannot be true. Before the commands, and the step."""
        check_readings(self._memory, now_ns)

    def step(self, now_ns: int) -> None:
        """Decide on the latched image. Changes `state` only; bounded, no allocation that grows."""
        step(self._memory, now_ns)
