"""Which core runs: the rules compiled, or as they are written where PANELCTL_PURE=1 asks for it.

There is no silent fall back: a package without its compiled core does not start unless asked to.
"""

from __future__ import annotations

from array import array
from typing import Protocol

from panelctl.core.state.layout import Changing, Fixed
from panelctl.pure import PURE


class CoreLike(Protocol):
    """What both offer. See decide/interpreted.py for the meaning of each."""

    def claim(self, i: int, claims: int, reason: int, now_ns: int) -> None: ...
    def release(self, i: int, claims: int, now_ns: int) -> None: ...
    def check_readings(self, now_ns: int) -> None: ...
    def step(self, now_ns: int) -> None: ...


COMPILED = not PURE


def build_core(
    fixed: Fixed,
    state: Changing,
    value: array[int],
    quality: array[int],
    sampled_ns: array[int],
    compiled: bool = COMPILED,
) -> CoreLike:
    """A core over this memory: compiled, or interpreted."""
    if compiled:
        from panelctl.core._core import Core as Compiled

        return Compiled(fixed, state, value, quality, sampled_ns)
    from panelctl.core.decide.interpreted import Core as Interpreted

    return Interpreted(fixed, state, value, quality, sampled_ns)
