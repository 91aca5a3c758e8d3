"""Types of the compiled ladder. Meaning, units and rules are in ladder.py.

Numbers are given as a buffer of int64, an array('q') or a NumPy array, which the checker knows only
as an object.
"""

from collections.abc import Sequence

from panelctl.core.ladder.reference import Ladder

class Solver:
    def __init__(self, ladder: Ladder) -> None: ...
    def solve(self, size_ma: object = None, room_ma: object = None) -> bool: ...

class Fleet:
    segments: int
    rows: int
    def __init__(self, ladders: Sequence[Ladder]) -> None: ...
    def solve(self, which: object, size_ma: object, room_ma: object, taken_ma: object) -> int: ...
