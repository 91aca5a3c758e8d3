"""What others do with the same home: controls without this project's rules, second by second.

None of them touches the household. Each only says what the compute node may draw, as published
programs of its kind do: a fixed share, a loop of 30 s that serves who came first (evcc), a loop of
a second (OpenEMS), the average of a minute. A tripped main breaker is put in again after
`RESET_S`, and until then nobody has power.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from panelctl.model.panel import Panel
from panelctl.sim.breakers import ThermalBreaker
from panelctl.sim.fold.day import OVER_RATIO, RESET_S, Outcome
from panelctl.sim.homes import Home, Series
from panelctl.sim.plant import Plant

Legs = tuple[float, float]
Policy = Callable[[Sequence[Legs], float, float], Iterator[float]]


def demand(panel: Panel, home: Home, begin_s: float, span_s: int, scale: float) -> list[list[Legs]]:
    """What the household wants by second, A per leg, less what its sources give: all of it, and
    what has no relay of ours.
    """
    plant = Plant.of(panel)
    every = [array("d", bytes(8 * span_s)) for _ in range(2)]
    fixed = [array("d", bytes(8 * span_s)) for _ in range(2)]
    for series in home.series:
        item = plant.circuits[series.circuit]
        sums = [every] if item.circuit.controlled else [every, fixed]
        for first, end, watts in _held(series, home.span_s, begin_s, span_s):
            amps = watts * scale / item.volts * (1 if item.circuit.source is None else -1)
            if not amps:
                continue
            for leg in item.circuit.legs:
                for total in (legs[leg] for legs in sums):
                    for second in range(first, end):
                        total[second] += amps
    return [list(zip(*legs, strict=True)) for legs in (every, fixed)]


def _held(
    series: Series, home_s: float, begin_s: float, span_s: int
) -> Iterator[tuple[int, int, float]]:
    """For how long an appliance stays the same: first second, the one after the last, watts."""
    second = 0
    while second < span_s:
        time_s = (begin_s + second) % home_s
        index = bisect_right(series.at_s, time_s)
        until_s = series.at_s[index] if index < len(series.at_s) else home_s
        end = min(span_s, second + max(1, math.ceil(until_s - time_s)))
        yield second, end, series.watts[index - 1] if index else 0.0
        second = end


def node_off(house: Sequence[Legs], limit_a: float, most_a: float) -> Iterator[float]:
    """Nothing at all: what then trips is the household alone."""
    for _ in house:
        yield 0.0


def no_control(house: Sequence[Legs], limit_a: float, most_a: float) -> Iterator[float]:
    """Whatever it wants, always."""
    for _ in house:
        yield most_a


def static(house: Sequence[Legs], limit_a: float, most_a: float) -> Iterator[float]:
    """What the limit leaves beside the 99.9th percentile of the household's larger leg."""
    usual = sorted(max(legs) for legs in house)
    left_a = limit_a - usual[min(len(usual) - 1, int(len(usual) * 0.999))]
    for _ in house:
        yield max(0.0, min(most_a, left_a))


def _loop(every_s: int) -> Policy:
    def policy(house: Sequence[Legs], limit_a: float, most_a: float) -> Iterator[float]:
        given_a = 0.0
        for second, legs in enumerate(house):
            yield given_a  # what was measured takes effect in the next second
            if second % every_s == 0:
                given_a = max(0.0, min(most_a, limit_a - max(legs)))

    return policy


def minute_average(house: Sequence[Legs], limit_a: float, most_a: float) -> Iterator[float]:
    """Each minute, what the average of the minute before leaves."""
    given_a, total, seconds = 0.0, [0.0, 0.0], 0
    for second, legs in enumerate(house):
        yield given_a
        total[0] += legs[0]
        total[1] += legs[1]
        seconds += 1
        if second % 60 == 59:
            given_a = max(0.0, min(most_a, limit_a - max(total) / seconds))
            total, seconds = [0.0, 0.0], 0


LOOPS: dict[str, Policy] = {
    "evcc-like, 30 s": _loop(30),
    "OpenEMS-like, 1 s": _loop(1),
    "minute average": minute_average,
}
# As they are they use the limit to its end; the same loops below the limit as we stay below it.
CAREFUL: dict[str, Policy] = {f"{name}, our margin": policy for name, policy in LOOPS.items()}
POLICIES: dict[str, Policy] = {
    "node off": node_off,
    "no control": no_control,
    "static allotment": static,
    **LOOPS,
    **CAREFUL,
}


def live(name: str, panel: Panel, house: Sequence[Legs], fixed: Sequence[Legs]) -> Outcome:
    """A home under a policy. A trip counts as preventable when the household that nobody can switch
    off would not have made the breaker trip by itself.
    """
    compute = panel.compute
    assert compute is not None
    assert compute.modulation is not None
    limit_a = panel.service.control_setting_a
    rating_a = panel.service.breaker.rating_a
    most_a, ramp_a = compute.modulation.max_a, compute.modulation.ramp_a_per_s
    outcome = Outcome(seconds=float(len(house)))
    breaker, shadow = ThermalBreaker(rating_a, 2), ThermalBreaker(rating_a, 2)
    node_a = over_s = 0.0
    out = 0  # seconds until somebody puts the breaker in again
    kept_a = limit_a - (panel.timing.setpoint_margin_a if name in CAREFUL else 0.0)
    moments = zip(house, fixed, POLICIES[name](house, kept_a, most_a), strict=True)
    for (legs, rest, given_a), same in groupby(moments):
        left = len(list(same))
        while left:
            if out:
                passed = min(out, left)
                out, left, node_a = out - passed, left - passed, 0.0
                if not out:
                    breaker, shadow = ThermalBreaker(rating_a, 2), ThermalBreaker(rating_a, 2)
                continue
            node_a = min(given_a, node_a + ramp_a)
            a, b = legs[0] + node_a, legs[1] + node_a
            # What the breaker carries for ever needs no second look until something changes.
            rests = node_a == given_a and max(a, b) <= breaker.holds_a
            passed = left if rests else 1
            left -= passed
            outcome.node_wh += node_a * passed * panel.service.voltage_v / 3600.0
            if max(a, b) > limit_a * OVER_RATIO:
                outcome.over_s += passed
                over_s += passed
                outcome.longest_over_s = max(outcome.longest_over_s, over_s)
            else:
                over_s = 0.0
            shadow.step([rest[0], rest[1]], passed)
            if breaker.step([a, b], passed):
                outcome.trips += 1
                outcome.preventable_trips += not shadow.tripped
                out = int(RESET_S)
    return outcome


def clairvoyant_wh(panel: Panel, house: Sequence[Legs]) -> float:
    """The most that the node could have drawn beside this household, with perfect foresight, Wh.

    Under the same limit, margin, and fastest raise. It may be lowered at any moment, so nothing now
    costs anything later, and taking all that there is at each second is the optimum of the linear
    programme (a test solves it).
    """
    compute = panel.compute
    assert compute is not None
    assert compute.modulation is not None
    limit_a = panel.service.control_setting_a - panel.timing.setpoint_margin_a
    most_a, ramp_a = compute.modulation.max_a, compute.modulation.ramp_a_per_s
    node_a = total = 0.0
    for legs in house:
        node_a = max(0.0, min(most_a, limit_a - max(legs), node_a + ramp_a))
        total += node_a
    return total * panel.service.voltage_v / 3600.0
