"""The ladder, asked from the flat memory. Compiled, the compiled ladder is asked in its place
(ext/panelctl/core/_serve.pxi): the ladder alone is written twice, and each proves the other.
"""

from __future__ import annotations

from panelctl.core.decide.cells import Cells, Words
from panelctl.core.ladder.reference import Ladder, Segment, solve


def serve(m: Cells, count: int, tier: Words, coef: Words, discrete: bool) -> None:
    """Serve the first `count` loads of `x_order`, whose sizes are `x_size`, from `x_room`.

    `x_taken` is what each gets, and `x_room` what is left. `discrete`: each is taken whole or not
    at all, and `x_worth` holds what it is worth in a tier of equal rank; else they are continuous.
    """
    order = m.x_order[:count].tolist()
    segments = [
        Segment(
            tier[i],
            m.x_size[i],
            {r: coef[i * m.rows + r] for r in range(m.rows)},
            discrete,
            m.f_weight[i],
            m.x_worth[i] if discrete else 0,
            discrete and m.f_equal_tier[m.s_tier[i]] == 1 and not m.s_promoted[i],
            m.s_closed[i] == 1,
        )
        for i in order
    ]
    ladder = Ladder(segments, m.x_room)
    solve(ladder)
    m.x_room[:] = ladder.room_ma
    for a, i in enumerate(order):
        m.x_taken[i] = ladder.taken_ma[a]
