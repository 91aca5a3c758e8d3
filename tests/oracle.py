"""Other people's solvers on our problem: the judge of what the ladder should have served.

Tier by tier, on the room that the ladder itself left to the tier: the discrete part by HiGHS as a
mixed-integer program, the continuous part by linear programs, a round for each bottleneck.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

from panelctl.core.ladder.reference import Ladder
from tests.ladder_cases import matrix

TINY = 1e-6


@dataclass
class Verdict:
    """How a served ladder compares with the oracle.

    `decisions` counts discrete segments that the oracle decides otherwise in a tier of strict
    rank, `gap` is the share of value missing in the worst tier of equal rank, `steps` how many
    weight steps (mA of weight) the worst continuous segment is away, `over_ma` the worst overuse.
    """

    tiers: int = 0
    decisions: int = 0
    gap: float = 0.0
    steps: float = 0.0
    over_ma: int = 0


def judge(ladder: Ladder, room_ma: list[int], taken_ma: list[int]) -> Verdict:
    """Compare `taken_ma`, served from `room_ma`, with the oracle's optimum of each tier."""
    verdict = Verdict()
    use = matrix(ladder)
    room = np.array(room_ma, float)
    taken = np.array(taken_ma)
    over = use @ taken - np.maximum(room, 0)
    verdict.over_ma = int(max(0, over.max(initial=0)))
    for tier in sorted(set(ladder.tier)):
        group = [i for i in range(ladder.count) if ladder.tier[i] == tier and ladder.size_ma[i]]
        discrete = [i for i in group if ladder.discrete[i]]
        if discrete:
            verdict.tiers += 1
            best = _discrete(ladder, use, room, discrete, taken)
            ours = [bool(taken[i]) for i in discrete]
            if ladder.equal[discrete[0]]:
                value = np.array([_worth(ladder, i) for i in discrete], float)
                top = float(value @ best)
                if top > 0:
                    verdict.gap = max(verdict.gap, (top - float(value @ ours)) / top)
            else:
                verdict.decisions += int(np.sum(best != ours))
            room = room - use[:, discrete] @ taken[discrete]
        continuous = [i for i in group if not ladder.discrete[i] and _ready(ladder, i, taken)]
        if continuous:
            fair = _continuous(ladder, use, room, continuous)
            weight = np.array([ladder.weight[i] for i in continuous])
            away = np.abs(fair - taken[continuous]) - 1  # a whole mA is given, never a part
            verdict.steps = max(verdict.steps, float((away / weight).max()))
            room = room - use[:, continuous] @ taken[continuous]
    return verdict


def _ready(ladder: Ladder, i: int, taken: np.ndarray) -> bool:
    before = ladder.predecessor[i]
    return before < 0 or bool(0 < taken[before] == ladder.size_ma[before])


def _worth(ladder: Ladder, i: int) -> int:
    """Most value first, then the fewest relays moved (there are never 1,000 of them)."""
    return 1000 * ladder.value[i] + (1 if ladder.was_on[i] else -1)


def _discrete(
    ladder: Ladder, use: np.ndarray, room: np.ndarray, discrete: list[int], taken: np.ndarray
) -> np.ndarray:
    """Which of the tier's discrete segments the oracle serves."""
    size = np.array([ladder.size_ma[i] for i in discrete], float)
    if ladder.equal[discrete[0]]:
        worth = np.array([_worth(ladder, i) for i in discrete], float)
        worth /= worth.max()
    else:  # strict rank: each outweighs all after it
        worth = 2.0 ** np.arange(len(discrete) - 1, -1, -1)
    rows = use[:, discrete] * size
    upper = np.ones(len(discrete))
    here = {i: k for k, i in enumerate(discrete)}
    for k, i in enumerate(discrete):
        before = ladder.predecessor[i]
        # A row without room blocks who touches it; nobody else.
        if np.any(rows[:, k][rows[:, k] > 0] > room[rows[:, k] > 0]):
            upper[k] = 0
        elif before in here:
            link = np.zeros((1, len(discrete)))
            link[0, k], link[0, here[before]] = 1, -1
            rows, room = np.vstack([rows, link]), np.append(room, 0)
        elif before >= 0 and not _ready(ladder, i, taken):
            upper[k] = 0
    answer = milp(
        c=-worth,
        constraints=LinearConstraint(rows, ub=np.maximum(room, 0)),
        integrality=np.ones(len(discrete)),
        bounds=Bounds(0, upper),
        options={"mip_rel_gap": 0.0},
    )
    assert answer.success, answer.message
    return np.asarray(np.round(answer.x), bool)


def _continuous(ladder: Ladder, use: np.ndarray, room: np.ndarray, group: list[int]) -> np.ndarray:
    """Weighted max-min shares by linear programs: raise the least share as far as it goes, fix
    those whom no other solution could give more (their price is above 0), and again.
    """
    count = len(group)
    size = np.array([ladder.size_ma[i] for i in group], float)
    weight = np.array([ladder.weight[i] for i in group], float)
    scale = size.max()  # amps or so instead of mA, for the sake of the solver's tolerances
    rows = use[:, group]
    blocked = (rows[room <= 0] > 0).any(axis=0)
    upper = np.where(blocked, 0, size / scale)
    share = np.zeros(count)
    active = np.array(~blocked)
    while active.any():
        # Variables: a share each, then the level. level * weight - share <= 0 for the active ones.
        rising = np.hstack([-np.eye(count), weight.reshape(-1, 1)])[active]
        lower = np.where(active, 0, share)
        answer = linprog(
            np.append(np.zeros(count), -1.0),
            A_ub=np.vstack([np.hstack([rows, np.zeros((len(rows), 1))]), rising]),
            b_ub=np.append(np.maximum(room, 0) / scale, np.zeros(len(rising))),
            bounds=[*zip(lower, np.where(active, upper, share), strict=True), (0, None)],
            method="highs",
        )
        assert answer.success, answer.message
        price = -answer.ineqlin.marginals[len(rows) :]
        stuck = np.flatnonzero(active)[price > TINY * price.max()]
        share[stuck] = answer.x[-1] * weight[stuck]
        active[stuck] = False
    return np.asarray(share * scale)
