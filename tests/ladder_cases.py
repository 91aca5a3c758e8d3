"""Random ladders: as panels of a given size, and as anything that a ladder may be."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from panelctl.core.ladder.reference import Ladder, Segment

LEG_A, LEG_B, TOTAL = 0, 1, 2


def panel_segments(rand: random.Random, circuits: int, tiers: int = 8) -> tuple[list[Segment], int]:
    """The segments of a random panel and how many rows they need.

    40 % of the circuits on leg a, 40 % on leg b, 20 % at 240 V on both; 60 % on/off, the others a
    floor and a rest; rows for both legs, the total, every 16 and every 4 circuits.
    """
    subpanels = -(-circuits // 16)
    segments: list[Segment] = []
    for n in range(circuits):
        legs = rand.choices([(LEG_A,), (LEG_B,), (LEG_A, LEG_B)], [40, 40, 20])[0]
        rows = dict.fromkeys(legs, 1)
        for row in (TOTAL, 3 + n // 16, 3 + subpanels + n // 4):
            rows[row] = len(legs)
        size_ma = rand.randrange(1_000, 40_000)
        tier = rand.randrange(tiers)
        if rand.random() < 0.6:
            segments.append(Segment(tier, size_ma, rows, True))
            continue
        floor = Segment(tier, rand.randrange(500, 6_000), rows, True)
        segments.append(floor)
        before = len(segments) - 1
        weight = rand.randint(1, 8)
        segments.append(Segment(tier, size_ma, rows, weight=weight, predecessor=before))
    return segments, 3 + subpanels + -(-circuits // 4)


def panel_room(rand: random.Random, segments: list[Segment], rows: int) -> list[int]:
    """Room for a good half of what the segments ask for: legs and total bind, groups sometimes."""
    need = [0] * rows
    for segment in segments:
        for row, coefficient in segment.rows.items():
            need[row] += coefficient * segment.size_ma
    share = rand.uniform(0.35, 0.75)
    return [int(n * (share if row < 3 else rand.uniform(0.5, 1.2))) for row, n in enumerate(need)]


def panel_ladder(seed: int, circuits: int, tiers: int = 8) -> Ladder:
    """A random panel with room for a good half of it."""
    rand = random.Random(seed)
    segments, rows = panel_segments(rand, circuits, tiers)
    return Ladder(segments, panel_room(rand, segments, rows))


def small_panel(seed: int, tiers: int, equal: bool) -> Ladder:
    """A panel of 8 to 16 circuits; now and then a row is already below nothing."""
    rand = random.Random(seed)
    segments, rows = panel_segments(rand, rand.randint(8, 16), tiers)
    if equal:
        segments = [replace(s, equal=s.discrete, was_on=rand.random() < 0.5) for s in segments]
    room = panel_room(rand, segments, rows)
    if rand.random() < 0.1:
        room[rand.randrange(rows)] = -rand.randrange(5_000)
    return Ladder(segments, room)


def matrix(ladder: Ladder) -> np.ndarray:
    """Coefficients, a row a row and a column a segment."""
    dense = np.zeros((ladder.rows, ladder.count))
    for i in range(ladder.count):
        for e in range(ladder.first[i], ladder.first[i + 1]):
            dense[ladder.row[e], i] = ladder.coefficient[e]
    return dense


@st.composite
def ladders(draw: st.DrawFn) -> Ladder:
    """Anything that is a ladder: many rows or few, empty rows, small numbers and large ones."""
    rows = draw(st.integers(1, 6))
    tiers = draw(st.integers(1, 4))
    equal = draw(st.lists(st.booleans(), min_size=tiers, max_size=tiers))
    top = draw(st.sampled_from([20, 40_000, 1 << 24]))
    segments: list[Segment] = []
    for number in range(draw(st.integers(1, 20))):
        tier = draw(st.integers(0, tiers - 1))
        discrete = draw(st.booleans())
        older = [
            k
            for k in range(number)
            if segments[k].tier < tier
            or (
                segments[k].tier == tier and segments[k].discrete and not (discrete and equal[tier])
            )
        ]
        segments.append(
            Segment(
                tier,
                draw(st.integers(0, top)),
                draw(st.dictionaries(st.integers(0, rows - 1), st.integers(0, 4))),
                discrete,
                draw(st.integers(1, 8)),
                draw(st.integers(0, 50)),
                equal[tier],
                draw(st.booleans()),
                draw(st.sampled_from([-1, *older])),
            )
        )
    room = st.integers(-1_000, draw(st.sampled_from([50, 10 * top])))
    return Ladder(segments, draw(st.lists(room, min_size=rows, max_size=rows)))
