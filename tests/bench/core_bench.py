"""The decision's own speed: allocation against a MILP solver, the step against its reference."""

from __future__ import annotations

import random
import time
from array import array
from collections.abc import Callable
from statistics import median

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from panelctl.core._core import Problem
from tests.bench.rows import Row, at_least, reported
from tests.core_cases import Load, Rig, compute_load, evse_load

CIRCUITS = 48
ROWS = 7  # two legs, total import, and two subpanels of two legs
TIERS = 5
CASES = 40


class Case:
    """A random panel: 60 % on/off, 40 % modulated, on rows with 0/1 coefficients."""

    def __init__(self, seed: int) -> None:
        rand = random.Random(seed)
        n = CIRCUITS
        self.tier = sorted(rand.randrange(TIERS) for _ in range(n))
        self.discrete = [int(rand.random() < 0.6) for _ in range(n)]
        self.size = [rand.randrange(500, 40_000) for _ in range(n)]
        self.weight = [1] * n
        self.coef = [0] * (n * ROWS)
        for i in range(n):
            legs = rand.choice([(0,), (1,), (0, 1)])
            sub = rand.randrange(2)
            for leg in legs:
                self.coef[i * ROWS + leg] = 1
                self.coef[i * ROWS + 3 + 2 * sub + leg] = 1
            self.coef[i * ROWS + 2] = len(legs)
        total = sum(self.size)
        self.room = [total // 5, total // 5, total // 3] + [total // 7] * 4

    def problem(self) -> tuple[Problem, array[int], array[int]]:
        """The compiled problem, its room and its result."""
        room, taken = array("q", self.room), array("q", [0] * CIRCUITS)
        fields = [
            array("q", values)
            for values in (
                range(CIRCUITS),
                self.tier,
                self.discrete,
                self.coef,
                self.size,
                self.weight,
            )
        ]
        return Problem(*fields, room, taken), room, taken  # type: ignore[call-arg]  # eight in all

    def by_milp(self) -> float:
        """The same allocation by scipy.optimize.milp, tiers weighted by powers of four."""
        size = np.array(self.size, float)
        weight = 4.0 ** (TIERS - np.array(self.tier))
        rows = np.array(self.coef, float).reshape(CIRCUITS, ROWS).T * size
        result = milp(
            c=-weight * size,
            constraints=LinearConstraint(rows, ub=np.array(self.room, float)),
            integrality=np.array(self.discrete),
            bounds=Bounds(0, 1),
        )
        assert result.success
        return float(-result.fun)


def timed(call: Callable[[], object], times: int) -> float:
    """Seconds for one call, over `times` calls."""
    begin = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - begin) / times


def solve_rows() -> list[Row]:
    """solve.vs_milp: one call from Python, inputs copied in, against one MILP call."""
    ours, theirs = [], []
    for seed in range(CASES):
        case = Case(seed)
        problem, room, _ = case.problem()
        fresh = array("q", case.room)

        def one(
            problem: Problem = problem, room: array[int] = room, fresh: array[int] = fresh
        ) -> None:
            room[:] = fresh
            problem.solve()

        ours.append(timed(one, 2000))
        theirs.append(timed(case.by_milp, 1))
    note = (
        f"scipy.optimize.milp (HiGHS) median {median(theirs) * 1e3:.2f} ms over our call from "
        f"Python median {median(ours) * 1e6:.2f} us, the same {CIRCUITS} circuits on {ROWS} rows"
    )
    return [at_least("solve.vs_milp", median(theirs) / median(ours), "x", 1000, CASES, note)]


def step_rows() -> list[Row]:
    """step.us and step.vs_reference: a whole decision on a panel of 48 loads."""
    loads = [Load(tier=n % 6, legs=((0,), (1,), (0, 1))[n % 3]) for n in range(45)]
    loads += [evse_load(), evse_load(legs=(0,)), compute_load()]
    medians = []
    for compiled in (True, False):
        rig = Rig(loads, compiled)
        draws = [2_000 if load.kind == 0 else 6_000 for load in loads]
        samples = []
        for n in range(3000 if compiled else 600):
            house = (60_000 + 200 * (n % 50), 60_000)
            rig.read_all(house, draws)
            begin = time.perf_counter_ns()
            rig.core.step(rig.now_ns)
            samples.append(time.perf_counter_ns() - begin)
            rig.now_ns += 100_000_000
        medians.append(median(samples) / 1000)
    note = "one core.step, 48 loads on two legs, warm; readings changed before each"
    ratio = f"Python reference {medians[1]:.0f} us over compiled {medians[0]:.2f} us, same panel"
    return [
        reported("step.us", medians[0], "us", 3000, note),
        reported("step.vs_reference", medians[1] / medians[0], "x", 600, ratio),
    ]
