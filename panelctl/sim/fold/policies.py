"""What others do with the same home: controls without this project's rules, second by second.

None of them touches the household. Each only says what the compute node may draw, as published
programs of its kind do: a fixed share, a loop of 30 s that serves who came first (evcc), a loop of
a second (OpenEMS), the average of a minute. A tripped main breaker is put in again after
`RESET_S`, and until then nobody has power.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from panelctl.model.panel import Panel
from panelctl.sim.breakers import ThermalBreaker
from panelctl.sim.fold.day import OVER_RATIO, RESET_S, Outcome
from panelctl.sim.homes import Home
from panelctl.sim.plant import Plant

Legs = tuple[float, float]
Policy = Callable[[Sequence[Legs], float, float], Iterator[float]]


def demand(panel: Panel, home: Home, begin_s: float, span_s: int, scale: float) -> list[list[Legs]]:
    """What the household wants by second, A per leg: all of it, and what has no relay of ours."""
    plant = Plant.of(panel)
    every = [[0.0, 0.0] for _ in range(span_s)]
    fixed = [[0.0, 0.0] for _ in range(span_s)]
    for series in home.series:
        item = plant.circuits[series.circuit]
        volts = item.volts
        for second in range(span_s):
            amps = series.at((begin_s + second) % home.span_s) * scale / volts
            if amps:
                for leg in item.circuit.legs:
                    every[second][leg] += amps
                    if not item.circuit.controlled:
                        fixed[second][leg] += amps
    return [[(a, b) for a, b in every], [(a, b) for a, b in fixed]]


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


POLICIES: dict[str, Policy] = {
    "node off": node_off,
    "no control": no_control,
    "static allotment": static,
    "evcc-like, 30 s": _loop(30),
    "OpenEMS-like, 1 s": _loop(1),
    "minute average": minute_average,
}


def live(policy: Policy, panel: Panel, house: Sequence[Legs], fixed: Sequence[Legs]) -> Outcome:
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
    node_a, out_s, over_s = 0.0, 0, 0.0
    for legs, rest, given_a in zip(house, fixed, policy(house, limit_a, most_a), strict=True):
        if out_s:
            out_s -= 1
            node_a = 0.0
            if not out_s:
                breaker, shadow = ThermalBreaker(rating_a, 2), ThermalBreaker(rating_a, 2)
            continue
        node_a = min(given_a, node_a + ramp_a)
        a, b = legs[0] + node_a, legs[1] + node_a
        outcome.node_wh += node_a * panel.service.voltage_v / 3600.0
        if max(a, b) > limit_a * OVER_RATIO:
            outcome.over_s += 1.0
            over_s += 1.0
            outcome.longest_over_s = max(outcome.longest_over_s, over_s)
        else:
            over_s = 0.0
        shadow.step([rest[0], rest[1]], 1.0)
        if breaker.step([a, b], 1.0):
            outcome.trips += 1
            outcome.preventable_trips += not shadow.tripped
            out_s = int(RESET_S)
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
    limit_a = panel.service.control_setting_a - panel.timing.fill_margin_a
    most_a, ramp_a = compute.modulation.max_a, compute.modulation.ramp_a_per_s
    node_a = total = 0.0
    for legs in house:
        node_a = max(0.0, min(most_a, limit_a - max(legs), node_a + ramp_a))
        total += node_a
    return total * panel.service.voltage_v / 3600.0
