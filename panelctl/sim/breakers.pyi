"""Types of the compiled breakers. Meaning, units, sources: ext/panelctl/sim/breakers.pyx."""

from collections.abc import Sequence

PICK_UP: float
FAST_WEIGHT: float
FAST_TAU_S: float
SLOW_TAU_S: float

class ThermalBreaker:
    tripped: bool
    @property
    def rating_a(self) -> float: ...
    @property
    def holds_a(self) -> float: ...
    def __init__(self, rating_a: float, legs: int, sensitivity: float = 1.0) -> None: ...
    def carries(self, currents_a: Sequence[float], for_s: float) -> bool: ...
    def step(self, currents_a: Sequence[float], dt_s: float) -> bool: ...
