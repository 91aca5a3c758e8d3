"""What a user would take instead: the same scenarios through general solvers, NumPy and Python.

Every solver gets its model built beforehand where it can keep one, and only sizes and room change.
Tiers are weighted by powers of four, as each of them must be told about tiers somehow.
"""

from __future__ import annotations

from array import array
from typing import Any

import cvxpy
import highspy
import numpy as np
import osqp
import scipy.sparse as sp
from scipy.optimize import Bounds, LinearConstraint, milp

from panelctl.core.ladder.reference import solve
from tests.bench.solve_cases import TIERS, Scenarios, Solve, weights


def by_milp(cases: Scenarios) -> Solve:
    """scipy.optimize.milp (HiGHS); it takes the whole model at each call."""
    integer = np.array(cases.ladder.discrete)

    def one(k: int) -> np.ndarray:
        size = cases.size_ma[k].astype(float)
        answer = milp(
            c=-weights(cases) * size,
            constraints=LinearConstraint(cases.use * size, ub=cases.room_ma[k].astype(float)),
            integrality=integer,
            bounds=Bounds(0, 1),
        )
        assert answer.success
        return np.asarray(answer.x * size)

    return one


def by_highs_lp(cases: Scenarios) -> Solve:
    """highspy, the relaxation to a linear program, model kept and warm."""
    count, rows = cases.ladder.count, cases.ladder.rows
    highs = highspy.Highs()
    highs.silent()
    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = count, rows
    model.col_cost_ = -weights(cases)
    model.col_lower_ = np.zeros(count)
    model.col_upper_ = cases.size_ma[0].astype(float)
    model.row_lower_ = np.full(rows, -highspy.kHighsInf)
    model.row_upper_ = cases.room_ma[0].astype(float)
    sparse = sp.csr_matrix(cases.use)
    model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    model.a_matrix_.start_ = sparse.indptr
    model.a_matrix_.index_ = sparse.indices
    model.a_matrix_.value_ = sparse.data
    highs.passModel(model)
    columns = np.arange(count, dtype=np.int32)
    zeros = np.zeros(count)

    def one(k: int) -> np.ndarray:
        highs.changeColsBounds(count, columns, zeros, cases.size_ma[k].astype(float))
        for r in range(rows):
            highs.changeRowBounds(r, -highspy.kHighsInf, float(cases.room_ma[k, r]))
        highs.run()
        return np.array(highs.getSolution().col_value)

    return one


def by_osqp(cases: Scenarios, eps: float) -> Solve:
    """OSQP on the same linear program, in amps, model kept and warm-started."""
    count, rows = cases.ladder.count, cases.ladder.rows
    cost = -weights(cases) / weights(cases).max()

    def upper(k: int) -> np.ndarray:
        return np.concatenate([cases.room_ma[k], cases.size_ma[k]]) / 1000.0

    problem = osqp.OSQP()
    problem.setup(
        sp.csc_matrix((count, count)),
        cost,
        sp.vstack([sp.csc_matrix(cases.use), sp.eye(count)], format="csc"),
        np.concatenate([np.full(rows, -np.inf), np.zeros(count)]),
        upper(0),
        verbose=False,
        eps_abs=eps,
        eps_rel=eps,
        max_iter=100_000,
    )

    def one(k: int) -> np.ndarray:
        problem.update(u=upper(k))
        return np.asarray(problem.solve().x) * 1000.0

    return one


def by_cvxpy(cases: Scenarios) -> Solve:
    """cvxpy with parameters (DPP) and its default choice of Clarabel, on the linear program."""
    share = cvxpy.Variable(cases.ladder.count)
    size, room = cvxpy.Parameter(cases.ladder.count), cvxpy.Parameter(cases.ladder.rows)
    constraints: list[Any] = [cases.use @ share <= room, share >= 0, share <= size]
    problem = cvxpy.Problem(
        cvxpy.Maximize((weights(cases) / weights(cases).max()) @ share),
        constraints,
    )

    def one(k: int) -> np.ndarray:
        size.value, room.value = cases.size_ma[k] / 1000.0, cases.room_ma[k] / 1000.0
        problem.solve(solver=cvxpy.CLARABEL)
        return np.asarray(share.value) * 1000.0

    return one


def by_python(cases: Scenarios) -> Solve:
    """panelctl's own reference, panelctl/core/ladder/reference.py."""
    ladder = cases.ladder

    def one(k: int) -> np.ndarray:
        ladder.size_ma[:] = array("q", cases.size_ma[k].tolist())
        ladder.room_ma[:] = array("q", cases.room_ma[k].tolist())
        solve(ladder)
        return np.array(ladder.taken_ma)

    return one


def by_numpy(cases: Scenarios) -> Solve:
    """The same ladder with NumPy: discrete ones in turn, then filling by rounds on whole arrays."""
    ladder = cases.ladder
    order = np.array(ladder.order)
    tier, discrete = np.array(ladder.tier), np.array(ladder.discrete, bool)
    weight, before = np.array(ladder.weight, float), np.array(ladder.predecessor)
    touches = cases.use > 0

    def one(k: int) -> np.ndarray:
        size, room = cases.size_ma[k].astype(float), cases.room_ma[k].astype(float)
        taken = np.zeros(ladder.count)
        for level in range(TIERS):
            group = order[tier[order] == level]
            for i in group[discrete[group]]:
                need = cases.use[:, i] * size[i]
                if np.all(need[touches[:, i]] <= room[touches[:, i]]):
                    taken[i] = size[i]
                    room -= need
            rest = group[~discrete[group]]
            rest = rest[(before[rest] < 0) | (taken[before[rest]] > 0)]
            while len(rest):
                rate = cases.use[:, rest] @ weight[rest]
                with np.errstate(divide="ignore", invalid="ignore"):
                    tight = np.where(rate > 0, np.maximum(room, 0) / rate, np.inf)
                step = min(tight.min(), ((size - taken)[rest] / weight[rest]).min())
                taken[rest] += step * weight[rest]
                room -= rate * step
                shut = touches[:, rest][tight <= step * (1 + 1e-12)].any(axis=0)
                rest = rest[~shut & (taken[rest] < size[rest] * (1 - 1e-12))]
        return taken

    return one
