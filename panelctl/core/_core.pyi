"""Types of the compiled core. The meaning is in decide/interpreted.py and layout.py."""

from array import array

from panelctl.core.state.layout import Changing, Fixed

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
    def claim(self, i: int, claims: int, reason: int, now_ns: int) -> None: ...
    def release(self, i: int, claims: int, now_ns: int) -> None: ...
    def check_readings(self, now_ns: int) -> None: ...
    def step(self, now_ns: int) -> None: ...
