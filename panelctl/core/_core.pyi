"""Types of the compiled core. Meaning, units and rules are in reference.py and layout.py."""

from array import array

from panelctl.core.layout import Changing, Fixed

class Core:
    fixed: Fixed
    state: Changing
    value: array[int]
    quality: array[int]
    sampled_ns: array[int]
    def __init__(
        self,
        fixed: Fixed,
        state: Changing,
        value: array[int],
        quality: array[int],
        sampled_ns: array[int],
    ) -> None: ...
    def claim(self, i: int, claim: int, reason: int, now_ns: int) -> None: ...
    def release(self, i: int, claims: int, now_ns: int) -> None: ...
    def step(self, now_ns: int) -> None: ...
