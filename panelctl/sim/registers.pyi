"""Types of the compiled registers. Meaning is in ext/panelctl/sim/registers.pyx."""

from collections.abc import Callable, Iterable

from panelctl.modbus.maps import Point

class Words:
    def __setitem__(self, address: int, word: int) -> None: ...
    def data(self, address: int, count: int) -> bytes | None: ...

class Shown:
    point: Point
    def __init__(self, point: Point, source: Callable[[], float], words: Words) -> None: ...
    def value(self) -> float: ...
    def put(
        self,
        value: float,
        dice: Callable[[], float],
        noise: float,
        spoil: Callable[[Point, float], float] | None,
        swapped: bool,
    ) -> None: ...

class Window:
    def __init__(self, words: Words, address: int, count: int, shown: Iterable[Shown]) -> None: ...
    def renew(
        self,
        time_s: float,
        window_s: float,
        dice: Callable[[], float],
        noise: float,
        spoil: Callable[[Point, float], float] | None,
        swapped: bool,
    ) -> None: ...
    def data(self) -> bytes | None: ...
