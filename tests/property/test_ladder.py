"""The ladder: both solvers agree to the bit, and keep what every ladder promises."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panelctl.core._ladder import Fleet, Solver
from panelctl.core.ladder.reference import MAX_SEGMENTS, RANGES, Ladder, Segment, solve
from tests.ladder_cases import ladders


def served(ladder: Ladder) -> tuple[list[int], list[int], bool]:
    """What both solvers serve, which is the same; the ladder keeps its room."""
    room = ladder.room_ma.tolist()
    answers = []
    compiled = Solver(ladder)
    both: list[Callable[[], bool]] = [lambda: solve(ladder), lambda: compiled.solve()]
    for solver in both:
        ladder.room_ma[:] = array("q", room)
        proved = solver()
        answers.append((ladder.taken_ma.tolist(), ladder.room_ma.tolist(), proved))
    ladder.room_ma[:] = array("q", room)
    assert answers[0] == answers[1]
    return answers[0]


def entries(ladder: Ladder, i: int) -> list[tuple[int, int]]:
    """Rows and coefficients of segment `i`."""
    return [(ladder.row[e], ladder.coefficient[e]) for e in range(*ladder.first[i : i + 2])]


@settings(max_examples=600)
@given(ladders())
def test_both_solvers_and_every_promise(ladder: Ladder) -> None:
    taken, left, proved = served(ladder)
    assert proved, "twenty segments are never too many to search"
    used = [0] * ladder.rows
    for i, ma in enumerate(taken):
        whole = (0, ladder.size_ma[i])
        assert ma in whole if ladder.discrete[i] else whole[0] <= ma <= whole[1]
        before = ladder.predecessor[i]
        if ma and before >= 0:
            assert 0 < taken[before] == ladder.size_ma[before]
        for r, c in entries(ladder, i):
            used[r] += c * ma
    for r in range(ladder.rows):
        assert left[r] == ladder.room_ma[r] - used[r]
        assert used[r] <= max(0, ladder.room_ma[r])


@settings(max_examples=200)
@given(ladders())
def test_feeding_the_answer_back_changes_nothing(ladder: Ladder) -> None:
    taken, _, _ = served(ladder)
    ladder.was_on[:] = array("q", [int(ma > 0) for ma in taken])
    again, _, _ = served(ladder)
    value = [
        sum(ladder.value[i] for i in range(ladder.count) if ladder.tier[i] == tier and ma[i])
        for ma in (taken, again)
        for tier in sorted(set(ladder.tier))
    ]
    assert value[: len(value) // 2] == value[len(value) // 2 :]
    ladder.was_on[:] = array("q", [int(ma > 0) for ma in again])
    assert served(ladder)[0] == again


@settings(max_examples=200)
@given(ladders(), st.integers(0, 1000))
def test_more_room_serves_the_first_tier_no_worse(ladder: Ladder, more: int) -> None:
    first = [i for i in range(ladder.count) if ladder.tier[i] == min(ladder.tier)]
    ranks = [i for i in first if ladder.discrete[i]]
    before, _, _ = served(ladder)
    ladder.room_ma[:] = array("q", [room + more for room in ladder.room_ma])
    after, _, _ = served(ladder)
    if ranks and not ladder.equal[ranks[0]]:
        assert [after[i] > 0 for i in ranks] >= [before[i] > 0 for i in ranks]
    else:
        assert sum(ladder.value[i] for i in ranks if after[i]) >= sum(
            ladder.value[i] for i in ranks if before[i]
        )


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6])
def test_strict_rank_on_every_small_ladder(count: int) -> None:
    """Every choice of legs and coarse sizes for up to six segments, against trying everything."""
    places = [{0: 1, 2: 1}, {1: 1, 2: 1}, {0: 1, 1: 1, 2: 2}]
    sizes = np.array(list(itertools.product((1, 2, 3), repeat=count)))
    # All choices, the lexicographically largest first: the first that fits is the optimum.
    choices = np.array(list(itertools.product((1, 0), repeat=count)))
    for legs in itertools.product(places, repeat=count):
        use = np.array([[rows.get(r, 0) for rows in legs] for r in range(3)])
        needs = (choices[:, None, :] * sizes[None, :, :]) @ use.T
        for room in ((4, 4, 6), (3, 5, 8), (-1, 4, 4)):
            fits = ((needs == 0) | (needs <= np.array(room))).all(axis=2)
            best = choices[fits.argmax(axis=0)] * sizes
            ladder = Ladder([Segment(0, 1, rows, True) for rows in legs], room)
            taken = np.zeros_like(sizes)
            rooms = np.tile(np.array(room), len(sizes))
            Fleet([ladder]).solve(np.zeros(len(sizes), int), sizes.ravel(), rooms, taken.ravel())
            assert np.array_equal(taken, best)


def test_weights_share_in_proportion_and_the_rest_goes_on() -> None:
    segments = [
        Segment(0, 1_000, {0: 1}, weight=1),
        Segment(0, 9_000, {0: 1}, weight=2),
        Segment(0, 9_000, {0: 1, 1: 1}, weight=1),
    ]
    taken, left, _ = served(Ladder(segments, [10_000, 2_500]))
    assert taken == [1_000, 6_500, 2_500]
    assert left == [0, 0]


def test_equal_rank_serves_the_most_value_and_moves_the_fewest_relays() -> None:
    def rung(size_ma: int, was_on: bool) -> Segment:
        return Segment(0, size_ma, {0: 1}, True, equal=True, was_on=was_on)

    taken, _, _ = served(Ladder([rung(6, False), rung(5, False), rung(5, False)], [10]))
    assert taken == [0, 5, 5], "the greedy first choice would serve only six"
    taken, _, _ = served(Ladder([rung(5, False), rung(5, True), rung(5, True)], [10]))
    assert taken == [0, 5, 5], "those that are closed stay closed"


def test_a_search_that_is_cut_short_says_so() -> None:
    segments = [Segment(0, 1_000 + 7 * n, {0: 1}, True, equal=True) for n in range(60)]
    _, _, proved = served(Ladder(segments, [30_001]))
    assert not proved


@pytest.mark.parametrize(
    ("segments", "room", "why"),
    [
        ([Segment(0, -1, {0: 1})], [1], "size_ma = -1"),
        ([Segment(0, 1, {0: -1})], [1], "coefficient = -1"),
        ([Segment(0, 1, {0: 1}, weight=0)], [1], "weight = 0"),
        ([Segment(0, 1 << 24, {0: 1 << 11}, True)], [1], "coefficient \\* size_ma"),
        ([Segment(0, 1, {0: 1})], [1 << 41], "room_ma"),
        ([Segment(0, 1, {1: 1})], [1], "a row that is not there"),
        ([Segment(0, 1, predecessor=3)], [1], "predecessor of segment 0"),
        ([Segment(1, 1), Segment(0, 1, predecessor=0)], [1], "served before"),
        ([Segment(0, 1, predecessor=1), Segment(0, 1)], [1], "served before"),
        ([Segment(0, 1, {}, True, equal=True), Segment(0, 1, {}, True)], [1], "not both"),
    ],
)
def test_what_is_no_ladder_is_refused(segments: list[Segment], room: list[int], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Ladder(segments, room)


def test_a_build_refuses_what_is_larger_than_itself() -> None:
    with pytest.raises(ValueError, match="this build takes"):
        Solver(Ladder([Segment(0, 1)] * (MAX_SEGMENTS + 1), [1]))


def test_many_homes_at_once() -> None:
    small = Ladder([Segment(0, 5, {0: 1}, True)], [10])
    large = Ladder([Segment(0, 5, {0: 1}, True), Segment(1, 9, {0: 1, 1: 1})], [10, 3])
    fleet = Fleet([small, large])
    which = array("q", [1, 0, 1])
    taken = array("q", bytes(8 * 6))
    room = array("q", [10, 3, 4, 0, 30, 30])
    assert fleet.solve(which, array("q", [5, 9, 5, 0, 2, 3]), room, taken) == 0
    assert taken.tolist() == [5, 3, 0, 0, 2, 3]
    assert room.tolist() == [2, 0, 4, 0, 25, 27]
    with pytest.raises(ValueError, match="different numbers of homes"):
        fleet.solve(which, array("q", [1, 2, 3]), room, taken)
    which[1] = 2
    with pytest.raises(ValueError, match="home 1 is of ladder 2"):
        fleet.solve(which, array("q", bytes(48)), room, taken)
    with pytest.raises(ValueError, match="0 ladders"):
        Fleet([])


def test_the_ranges_leave_no_sum_outside_int64() -> None:
    """The static range table: the largest sums of the solver, from RANGES and the array sizes."""
    use = MAX_SEGMENTS * RANGES["coefficient * size_ma"][1]
    room = max(-RANGES["room_ma"][0], RANGES["room_ma"][1])
    rate = MAX_SEGMENTS * RANGES["coefficient * weight of a continuous segment"][1]
    level = (RANGES["size_ma"][1] << 16) + 1
    worth = MAX_SEGMENTS * (RANGES["value"][1] * 1024 + 1)
    event = (1 << 41) << 20
    for largest in (
        room + use,
        (room << 16) + rate,
        level * RANGES["weight"][1],
        worth,
        event + (1 << 20),
    ):
        assert largest < 1 << 63
