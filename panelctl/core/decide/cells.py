"""The flat memory as the rules see it: one name a field.

`f_` is what the panel is made of, `s_` what changes from step to step, `x_` what a step puts down
for itself. Every field is an array('q'), which refuses what does not fit int64.
"""

from __future__ import annotations

from array import array
from typing import TypeAlias

from panelctl.core.state.layout import Changing, Fixed
from panelctl.core.state.scratch import SCRATCH

Words: TypeAlias = "array[int]"  # a field of the memory, or a scratch one


class Cells:
    """One panel's memory for rules that are interpreted."""

    n: int  # loads
    rows: int
    limits: int
    source_legs: int

    def __init__(
        self, fixed: Fixed, state: Changing, value: Words, quality: Words, sampled_ns: Words
    ) -> None:
        self.n, self.rows, self.source_legs = fixed.loads, fixed.rows, fixed.source_legs
        self.limits = state.limits
        self.value, self.quality, self.sampled_ns = value, quality, sampled_ns
        for name in fixed.names:
            setattr(self, f"f_{name}", getattr(fixed, name))
        for name in state.names:
            setattr(self, f"s_{name}", getattr(state, name))
        for name in SCRATCH:
            setattr(self, f"x_{name}", array("q", bytes(8 * scratch_size(name, fixed))))

    def __getattr__(self, name: str) -> Words:  # only for the type checker's sake
        raise AttributeError(name)


def scratch_size(name: str, fixed: Fixed) -> int:
    """How many cells a scratch field has."""
    per = {"load": fixed.loads, "row": fixed.rows, "load_row": fixed.loads * fixed.rows}
    return per[SCRATCH[name]]
