"""The panel that every solver gets: 48 circuits, one structure, many scenarios of size and room."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from panelctl.core.ladder.reference import Ladder
from tests.ladder_cases import matrix, panel_room, panel_segments

TIERS = 8
Solve = Callable[[int], np.ndarray]  # the number of a scenario to what each segment gets, mA


@dataclass
class Scenarios:
    """A ladder and what changes: a row of `size_ma` and `room_ma` a scenario."""

    ladder: Ladder
    size_ma: np.ndarray
    room_ma: np.ndarray
    use: np.ndarray  # coefficients, a row a row and a column a segment

    def over_ma(self, k: int, taken_ma: np.ndarray) -> float:
        """How far the worst row is overused in scenario `k`, mA."""
        return float((self.use @ taken_ma - np.maximum(self.room_ma[k], 0)).max())


def scenarios(circuits: int, count: int, seed: int = 1) -> Scenarios:
    """`count` scenarios of one random panel of so many circuits."""
    rand = random.Random(seed)
    segments, rows = panel_segments(rand, circuits, TIERS)
    ladder = Ladder(segments, panel_room(rand, segments, rows))
    size = np.zeros((count, len(segments)), np.int64)
    room = np.zeros((count, rows), np.int64)
    for k in range(count):
        now = [replace(s, size_ma=max(1, int(s.size_ma * rand.random()))) for s in segments]
        size[k] = [s.size_ma for s in now]
        room[k] = panel_room(rand, now, rows)
    return Scenarios(ladder, size, room, matrix(ladder))


def weights(cases: Scenarios) -> np.ndarray:
    """4 to the power of how early the tier is: what a weighted solver is told about tiers."""
    return 4.0 ** (TIERS - np.array(cases.ladder.tier))


def timed(one: Solve, cases: Scenarios, count: int) -> tuple[list[float], float]:
    """Seconds of each of `count` solves after a warm-up, and the worst overuse of a row, mA."""
    one(0)
    seconds, over = [], 0.0
    for n in range(count):
        k = n % len(cases.size_ma)
        begin = time.perf_counter()
        answer = one(k)
        seconds.append(time.perf_counter() - begin)
        over = max(over, cases.over_ma(k, answer))
    return seconds, over
