"""What a household wants over a stretch of a recording: each circuit's wish, piece by piece.

Whoever lives a day (day.py, policies.py, relayed.py) takes it from here, so that all of them mean
the same by it.

Rules
- A recording that has ended begins again; its last row holds up to there.
- A car wants no more than its charger can give.
- What a PV or a battery gives is a wish like any other, and is taken off the legs.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from panelctl.model.circuit import Circuit
from panelctl.model.panel import Panel
from panelctl.sim.homes.recorded import Home, Series
from panelctl.sim.plant import Plant

Legs = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Wish:
    """What one circuit wants: from `from_s[n]` (s since the beginning) on `watts[n]`; `most_w` is
    the most that it ever wants in the recording: what it draws when it has something to catch up.
    """

    circuit: Circuit
    volts: float
    from_s: tuple[float, ...]
    watts: tuple[float, ...]
    most_w: float

    @property
    def gives(self) -> bool:
        """Whether it is a source: its watts feed the panel."""
        return self.circuit.source is not None

    def at(self, time_s: float) -> float:
        """W at a time."""
        return self.watts[max(bisect_right(self.from_s, time_s) - 1, 0)]

    def pieces(self, first_s: float, end_s: float) -> Iterator[tuple[float, float, float]]:
        """Between two times: from, up to, W."""
        index = max(bisect_right(self.from_s, first_s) - 1, 0)
        while first_s < end_s:
            last = index + 1 == len(self.from_s)
            until_s = end_s if last else min(end_s, self.from_s[index + 1])
            yield first_s, until_s, self.watts[index]
            first_s, index = until_s, index + 1


def wishes(panel: Panel, home: Home, begin_s: float, span_s: float, scale: float) -> list[Wish]:
    """The wishes of a stretch of `span_s` from `begin_s` of the recording on, `scale` times as
    large as recorded.
    """
    plant = Plant.of(panel)
    made = []
    for series in home.series:
        item = plant.circuits[series.circuit]
        pieces = list(held(series, home.span_s, begin_s, span_s))
        modulation = item.circuit.modulation
        can_w = modulation.max_a * item.volts if modulation is not None else math.inf
        most_w = min(max((abs(watts) for watts in series.watts), default=0.0) * scale, can_w)
        from_s = tuple(piece[0] for piece in pieces)
        watts = tuple(min(piece[2] * scale, can_w) for piece in pieces)
        made.append(Wish(item.circuit, item.volts, from_s, watts, most_w))
    return made


def held(
    series: Series, home_s: float, begin_s: float, span_s: float
) -> Iterator[tuple[float, float, float]]:
    """For how long an appliance stays the same: from and up to (s since `begin_s`), W."""
    lap_s = begin_s // home_s * home_s
    index = bisect_right(series.at_s, begin_s - lap_s)
    passed_s = 0.0
    while passed_s < span_s:
        ends = index == len(series.at_s)
        until_s = home_s if ends else series.at_s[index]
        end_s = min(span_s, lap_s + until_s - begin_s)
        if end_s > passed_s:
            yield passed_s, end_s, series.watts[index - 1] if index else 0.0
            passed_s = end_s
        if ends:
            lap_s += home_s
            index = bisect_right(series.at_s, 0.0)
        else:
            index += 1


def demand(household: list[Wish], span_s: int) -> tuple[list[Legs], list[Legs]]:
    """What the household wants by second, A per leg: all of it, and what has no relay of ours."""
    every = [array("d", bytes(8 * span_s)) for _ in range(2)]
    fixed = [array("d", bytes(8 * span_s)) for _ in range(2)]
    for wish in household:
        sums = [every] if wish.circuit.controlled else [every, fixed]
        for first_s, end_s, watts in wish.pieces(0.0, float(span_s)):
            amps = (-watts if wish.gives else watts) / wish.volts
            if not amps:
                continue
            for leg in wish.circuit.legs:
                for total in (legs[leg] for legs in sums):
                    for second in range(math.ceil(first_s), math.ceil(end_s)):
                        total[second] += amps
    a, b = (list(zip(*legs, strict=True)) for legs in (every, fixed))
    return a, b


def wanted_wh(household: list[Wish], span_s: float) -> float:
    """What all loads together want within `span_s`, Wh. What sources give is not in it."""
    loads = [wish for wish in household if not wish.gives]
    return sum(
        watts * (end_s - first_s) / 3600.0
        for wish in loads
        for first_s, end_s, watts in wish.pieces(0.0, span_s)
    )
