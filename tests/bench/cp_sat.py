"""OR-tools CP-SAT on the same scenarios. A process of its own: its library and highspy's clash."""

from __future__ import annotations

import json
import sys

import numpy as np
from ortools.sat.python import cp_model

from tests.bench.solve_cases import Scenarios, Solve, scenarios, timed, weights


def by_cp_sat(cases: Scenarios) -> Solve:
    """OR-tools CP-SAT, one worker, whole mA; the model is built at each call."""
    ladder = cases.ladder
    weight = weights(cases).astype(int)

    def one(k: int) -> np.ndarray:
        model = cp_model.CpModel()
        size = [int(ma) for ma in cases.size_ma[k]]
        share = []
        for i in range(ladder.count):
            if ladder.discrete[i]:
                share.append(size[i] * model.new_bool_var(""))
            else:
                share.append(model.new_int_var(0, size[i], ""))
        for r in range(ladder.rows):
            used = sum(int(c) * share[i] for i, c in enumerate(cases.use[r]) if c)
            model.add(used <= int(cases.room_ma[k, r]))
        model.maximize(sum(int(w) * x for w, x in zip(weight, share, strict=True)))
        solver = cp_model.CpSolver()
        solver.parameters.num_workers = 1
        solver.parameters.relative_gap_limit = 1e-4
        solver.parameters.max_time_in_seconds = 10
        solver.solve(model)
        return np.array([solver.value(x) for x in share], float)

    return one


if __name__ == "__main__":
    scenario_count, solves = int(sys.argv[1]), int(sys.argv[2])
    cases = scenarios(48, scenario_count)
    print(json.dumps(timed(by_cp_sat(cases), cases, solves)))
