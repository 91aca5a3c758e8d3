"""The lemmas behind the decision, proved by Z3 over unbounded integers (docs/explanation).

Each proof asks for a counter-example and must get the answer that there is none. The guard tests
at the end weaken a lemma and must get one, so that a proof cannot hold for the wrong reason.
"""

from __future__ import annotations

import pytest
import z3

PATIENCE_MS = 120_000


def counter_example(claim: z3.BoolRef) -> z3.ModelRef | None:
    """A model in which `claim` fails, or None when it holds always."""
    solver = z3.Solver()
    solver.set("timeout", PATIENCE_MS)
    solver.add(z3.Not(claim))
    answer = solver.check()
    assert answer != z3.unknown, "no answer in time"
    return solver.model() if answer == z3.sat else None


def ints(name: str, count: int) -> list[z3.ArithRef]:
    return [z3.Int(f"{name}{i}") for i in range(count)]


def larger(a: z3.ArithRef, b: z3.ArithRef) -> z3.ArithRef:
    return z3.If(a >= b, a, b)


def envelope(count: int, error: bool) -> z3.BoolRef:
    """Charges max(read + error, commanded) fit, then no interleaving of ramps breaks the row.

    `drawn` is what each load really draws at the step; its meter shows it with an error of at
    most `most_off`. `later` is where its ramp has got to at any later moment, anywhere between
    what it drew and what it was told, each load on its own.
    """
    drawn, read, told = ints("drawn", count), ints("read", count), ints("told", count)
    later, most_off = ints("later", count), ints("off", count)
    room = z3.Int("room")
    known = z3.And(
        *[x >= 0 for x in drawn + told + most_off],
        *[z3.And(r - d <= e, d - r <= e) for r, d, e in zip(read, drawn, most_off, strict=True)],
        z3.Sum(
            [
                larger(r + (e if error else 0), t)
                for r, e, t in zip(read, most_off, told, strict=True)
            ]
        )
        <= room,
        *[
            z3.Or(z3.And(d <= x, x <= t), z3.And(t <= x, x <= d))
            for d, t, x in zip(drawn, told, later, strict=True)
        ],
    )
    return z3.Implies(known, z3.Sum(later) <= room)


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_envelope_holds_for_every_interleaving(count: int) -> None:
    assert counter_example(envelope(count, error=True)) is None


def greedy(count: int, rows: int, free_disposal: bool = True) -> z3.BoolRef:
    """First come, first served among whole segments is the lexicographic optimum."""
    cost = [ints(f"cost{r}_", count) for r in range(rows)]
    room = ints("room", rows)
    taken: list[z3.BoolRef] = []
    for k in range(count):
        used = [z3.Sum([z3.If(taken[i], cost[r][i], 0) for i in range(k)]) for r in range(rows)]
        # As the ladder has it: a row counts only for who takes something from it.
        fits = [z3.Or(cost[r][k] == 0, used[r] + cost[r][k] <= room[r]) for r in range(rows)]
        taken.append(z3.And(*fits))
    other = [z3.Bool(f"other{i}") for i in range(count)]
    allowed = [
        z3.And(
            *[
                z3.Or(
                    z3.Not(other[k]),
                    cost[r][k] == 0,
                    z3.Sum([z3.If(other[i], cost[r][i], 0) for i in range(count)]) <= room[r],
                )
                for k in range(count)
            ]
        )
        for r in range(rows)
    ]
    # `other` is lexicographically larger: equal up to some place where it serves and we do not.
    better = z3.Or(
        *[
            z3.And(*[other[i] == taken[i] for i in range(k)], other[k], z3.Not(taken[k]))
            for k in range(count)
        ]
    )
    least = 0 if free_disposal else -5
    sane = z3.And(*[c >= least for row in cost for c in row])
    return z3.Implies(z3.And(sane, *allowed), z3.Not(better))


@pytest.mark.parametrize(("count", "rows"), [(2, 2), (3, 2), (3, 3), (4, 2), (4, 3), (5, 2)])
def test_greedy_is_the_lexicographic_optimum(count: int, rows: int) -> None:
    assert counter_example(greedy(count, rows)) is None


def test_what_fits_still_fits_when_something_is_left_out() -> None:
    """Timers only take away from a plan, so they cannot break a row."""
    planned, done, cost = ints("planned", 6), ints("done", 6), ints("cost", 6)
    room = z3.Int("room")
    # cost is the use of what is planned; what is done uses a part of it
    known = z3.And(
        *[z3.And(d >= 0, d <= p) for d, p in zip(done, planned, strict=True)],
        *[p == c for p, c in zip(planned, cost, strict=True)],
        z3.Sum(planned) <= room,
    )
    assert counter_example(z3.Implies(known, z3.Sum(done) <= room)) is None


def no_chatter(margin_counts: bool) -> z3.BoolRef:
    """A load that was restored is shed again only after the others grew by the restore margin."""
    limit, margin = z3.Ints("limit margin")
    others_then, others_now, demand, draw = z3.Ints("others_then others_now demand draw")
    restored = others_then + demand <= limit - (margin if margin_counts else 0)
    shed = others_now + draw > limit
    known = z3.And(margin > 0, draw <= demand, restored, shed)
    return z3.Implies(known, others_now - others_then > margin)


def test_no_chatter() -> None:
    assert counter_example(no_chatter(margin_counts=True)) is None


@pytest.mark.parametrize("count", [1, 4, 12])
def test_leases_share_a_transformer_whatever_message_is_lost(count: int) -> None:
    """Each home obeys its new lease, its old one or its default: any mix stays within capacity."""
    new, old, default, obeyed = (ints(n, count) for n in ("new", "old", "default", "obeyed"))
    capacity = z3.Int("capacity")
    worst = [larger(larger(a, b), c) for a, b, c in zip(new, old, default, strict=True)]
    known = z3.And(
        z3.Sum(worst) <= capacity,
        *[
            z3.Or(x == a, x == b, x == c)
            for x, a, b, c in zip(obeyed, new, old, default, strict=True)
        ],
    )
    assert counter_example(z3.Implies(known, z3.Sum(obeyed) <= capacity)) is None


def test_whole_milliamps_of_a_fine_level_fit_the_row() -> None:
    """Rounding a level's shares down to whole mA never uses more than the fine room."""
    share, whole, coefficient = ints("share", 4), ints("whole", 4), (1, 2, 4, 5)
    room = z3.Int("room")
    fine = 1 << 16
    known = z3.And(
        *[
            z3.And(s >= 0, w * fine <= s, s < (w + 1) * fine)
            for s, w in zip(share, whole, strict=True)
        ],
        z3.Sum([c * s for c, s in zip(coefficient, share, strict=True)]) <= room * fine,
    )
    claim = z3.Sum([c * w for c, w in zip(coefficient, whole, strict=True)]) <= room
    assert counter_example(z3.Implies(known, claim)) is None


def firm_credit(firm: bool) -> z3.BoolRef:
    """Room is the limit less the lugs less what of a source may fall away. However a source then
    falls, down to what is firm of it, the lugs stay within the limit.
    """
    limit, lugs, gives, least, later, more = z3.Ints("limit lugs gives least later more")
    loads = lugs + gives  # the lugs show what is left
    known = z3.And(
        least >= 0,
        least <= gives,
        later >= (least if firm else 0),
        lugs + (gives - least) + more <= limit,
    )
    return z3.Implies(known, loads + more - later <= limit)


def test_a_source_may_fall_to_what_is_firm_of_it() -> None:
    assert counter_example(firm_credit(firm=True)) is None


def neutral(count: int, wary: bool) -> z3.BoolRef:
    """Two one-sided rows: whichever managed loads of either leg go, the neutral holds."""
    mine, other, stay_mine, stay_other = (
        ints(name, count) for name in ("mine", "other", "stay_mine", "stay_other")
    )
    limit, house_mine, house_other = z3.Ints("limit house_mine house_other")
    known = [limit >= 0, house_mine >= 0, house_other >= 0]
    for all_of, some in ((mine, stay_mine), (other, stay_other)):
        known += [z3.And(x >= 0, z3.Or(y == x, y == 0)) for x, y in zip(all_of, some, strict=True)]
    difference = house_mine + z3.Sum(mine) - house_other - z3.Sum(other)
    known += [
        difference + (z3.Sum(other) if wary else 0) <= limit,
        -difference + (z3.Sum(mine) if wary else 0) <= limit,
    ]
    later = house_mine + z3.Sum(stay_mine) - house_other - z3.Sum(stay_other)
    return z3.Implies(z3.And(*known), z3.And(later <= limit, -later <= limit))


@pytest.mark.parametrize("count", [1, 3])
def test_the_neutral_holds_whoever_goes(count: int) -> None:
    assert counter_example(neutral(count, wary=True)) is None


@pytest.mark.parametrize(
    "weaker",
    [
        envelope(2, error=False),
        greedy(3, 2, free_disposal=False),
        no_chatter(margin_counts=False),
        firm_credit(firm=False),
        neutral(2, wary=False),
        z3.Int("x") >= 0,
    ],
    ids=[
        "no error charged",
        "negative coefficients",
        "no margin",
        "nothing firm",
        "the other leg counted on",
        "nothing known",
    ],
)
def test_a_weaker_lemma_is_refuted(weaker: z3.BoolRef) -> None:
    assert counter_example(weaker) is not None
