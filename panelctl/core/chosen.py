"""Which core runs: the compiled one, or the Python reference where PANELCTL_PURE=1 asks for it.

There is no silent fall back: a package without its compiled core does not start unless asked to.
"""

from __future__ import annotations

import os
from array import array
from typing import Protocol

from panelctl.core.layout import Changing, Fixed


class CoreLike(Protocol):
    """What both cores offer. See reference.Core for the meaning of each."""

    def claim(self, i: int, claim: int, reason: int, now_ns: int) -> None: ...
    def release(self, i: int, claims: int, now_ns: int) -> None: ...
    def step(self, now_ns: int) -> None: ...


COMPILED = os.environ.get("PANELCTL_PURE") != "1"


def build_core(
    fixed: Fixed,
    state: Changing,
    value: array[int],
    quality: array[int],
    sampled_ns: array[int],
    compiled: bool = COMPILED,
) -> CoreLike:
    """A core over this memory: compiled, or the reference."""
    if compiled:
        from panelctl.core._core import Core as Compiled

        return Compiled(fixed, state, value, quality, sampled_ns)
    from panelctl.core.reference import Core as Reference

    return Reference(fixed, state, value, quality, sampled_ns)
