"""500 fresh random panels in every run: the ladder against HiGHS, exact to the last decision."""

from __future__ import annotations

import secrets

import pytest

from panelctl.core._ladder import Solver
from tests.ladder_cases import small_panel
from tests.oracle import judge

CASES = 125


@pytest.mark.parametrize("tiers", [1, 5])
@pytest.mark.parametrize("equal", [False, True])
def test_exact(tiers: int, equal: bool) -> None:
    start = secrets.randbelow(1 << 40)
    for seed in range(start, start + CASES):
        ladder = small_panel(seed, tiers, equal)
        room = ladder.room_ma.tolist()
        proved = Solver(ladder).solve()
        verdict = judge(ladder, room, ladder.taken_ma.tolist())
        where = f"small_panel({seed}, {tiers}, {equal})"
        assert verdict.over_ma == 0, where
        assert verdict.decisions == 0, where
        assert verdict.steps <= 1, where
        assert verdict.gap == 0 or not proved, where
