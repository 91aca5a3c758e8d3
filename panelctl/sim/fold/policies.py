"""What others do with the same home: controls without this project's rules, second by second.

None of them touches the household. Each only says what the compute node may draw, as published
programs of its kind do: a fixed share, a loop of 30 s that serves who came first (evcc), a loop of
a second (OpenEMS), the average of a minute. A tripped main breaker is put in again after
`RESET_S`, and until then nobody has power.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from panelctl.model.panel import Panel
from panelctl.sim.breakers import ThermalBreaker
from panelctl.sim.fold.day import Outcome
from panelctl.sim.fold.waiting import Waited
from panelctl.sim.fold.wishes import Legs, Wish
from panelctl.sim.judge import OVER_RATIO, RESET_S

Policy = Callable[[Sequence[Legs], float, float], Iterator[float]]


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


def live(
    name: str,
    panel: Panel,
    house: Sequence[Legs],
    fixed: Sequence[Legs],
    household: Sequence[Wish] = (),
) -> Outcome:
    """A home under a policy. A trip counts as preventable when the household that nobody can switch
    off would not have made the breaker trip by itself, then or within the ten minutes after, going
    on as it is. What `household` missed in trips is told; it
    is not added to what these homes draw later, in the policy's favour.
    """
    compute = panel.compute
    assert compute is not None
    assert compute.modulation is not None
    limit_a = panel.service.control_setting_a
    rating_a = panel.service.breaker.rating_a
    most_a, ramp_a = compute.modulation.max_a, compute.modulation.ramp_a_per_s
    outcome = Outcome(seconds=float(len(house)))
    breaker, shadow = ThermalBreaker(rating_a, 2), ThermalBreaker(rating_a, 2)
    node_a = over_s = now_s = 0.0
    out = 0  # seconds until somebody puts the breaker in again
    kept_a = limit_a - (panel.timing.setpoint_margin_a if name in CAREFUL else 0.0)
    moments = zip(house, fixed, POLICIES[name](house, kept_a, most_a), strict=True)
    for (legs, rest, given_a), same in groupby(moments):
        left = len(list(same))
        while left:
            if out:
                passed = min(out, left)
                out, left, node_a = out - passed, left - passed, 0.0
                now_s += passed
                if not out:
                    breaker, shadow = ThermalBreaker(rating_a, 2), ThermalBreaker(rating_a, 2)
                continue
            node_a = min(given_a, node_a + ramp_a)
            a, b = legs[0] + node_a, legs[1] + node_a
            # What the breaker carries for ever needs no second look until something changes.
            rests = node_a == given_a and max(abs(a), abs(b)) <= breaker.holds_a
            passed = left if rests else 1
            left -= passed
            now_s += passed
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
                kept = shadow.carries([rest[0], rest[1]], RESET_S)
                outcome.preventable_trips += kept and not shadow.tripped
                out, over_s = int(RESET_S), 0.0
                miss(outcome.household, household, now_s, min(RESET_S, len(house) - now_s))
    return outcome


def miss(missed: Waited, household: Sequence[Wish], at_s: float, for_s: float) -> None:
    """Nobody has power for so long: all that was on is interrupted."""
    for wish in household:
        if wish.gives:
            continue
        missed.interruptions += wish.at(at_s) > 0.0
        for first_s, end_s, watts in wish.pieces(at_s, at_s + for_s):
            missed.waited_s += (end_s - first_s) if watts > 0.0 else 0.0
            missing_wh = watts * (end_s - first_s) / 3600.0
            if wish.circuit.controlled:
                missed.later_wh += missing_wh
            else:
                missed.lost_wh += missing_wh


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
