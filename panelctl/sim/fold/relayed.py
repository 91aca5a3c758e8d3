"""What others with relays would do: a ladder that looks once a minute, a forecast of a quarter of
an hour, and a clairvoyant who switches without wear or delay. By tiers, as panelctl does.

Loads behave as under panelctl: what is missed comes back at the load's own power (waiting.py). The
node's floor comes before every circuit, and it takes all that is left: each minute under the
ladder, which keeps room for what it has just closed; at once under the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from panelctl.model.panel import Panel
from panelctl.sim.breakers import ThermalBreaker
from panelctl.sim.fold.day import Outcome
from panelctl.sim.fold.policies import miss
from panelctl.sim.fold.waiting import DRAWS_A, LEAST_WH
from panelctl.sim.fold.wishes import Legs, Wish
from panelctl.sim.judge import OVER_RATIO, RESET_S

MINUTE_S = 60.0
FORESEEN_S = 900.0
SOON_S = 1.0  # nothing is looked at more often


@dataclass(slots=True)
class _Load:
    """A load with a relay of ours, in tier order."""

    wish: Wish
    place: int = 0  # of the piece that holds now
    closed: bool = True
    opened_s: float = -1e9
    missing_wh: float = 0.0
    most_a: float = float("inf")  # what a charger is told

    @property
    def wanted_w(self) -> float:
        return self.wish.watts[self.place]

    @property
    def asks_a(self) -> float:
        """What it would draw, A on each of its legs."""
        more = self.missing_wh > LEAST_WH
        return (max(self.wish.most_w, self.wanted_w) if more else self.wanted_w) / self.wish.volts

    @property
    def draws_a(self) -> float:
        """What it draws now, A on each of its legs."""
        return min(self.asks_a, self.most_a) if self.closed else 0.0

    def turns_s(self) -> float:
        """When it wants something else."""
        following = self.place + 1
        return self.wish.from_s[following] if following < len(self.wish.from_s) else float("inf")


@dataclass
class House:
    """A household whose loads come back, piece by piece. Currents in A per leg, times in s."""

    panel: Panel
    fixed: Sequence[Legs]  # by second: what nobody can switch,
    others: Sequence[Wish]  # and whose it is
    loads: list[_Load]
    span_s: float
    limit_a: float
    floor_a: float
    now_s: float = 0.0
    mean: list[float] = field(default_factory=lambda: [0.0, 0.0])  # of the minute before, our loads
    spared: list[list[float]] = field(default_factory=list)  # by minute: the most of what is fixed

    def fixed_a(self) -> Legs:
        """What flows now of what nobody can switch."""
        return self.fixed[min(int(self.now_s), len(self.fixed) - 1)]

    def legs(self) -> list[float]:
        """What the household draws now."""
        legs = list(self.fixed_a())
        for load in self.loads:
            if amps := load.draws_a:
                for leg in load.wish.circuit.legs:
                    legs[leg] += amps
        return legs

    def switch(self, load: _Load, closed: bool, outcome: Outcome) -> None:
        """Move a relay."""
        if load.closed == closed:
            return
        outcome.relay_moves += 1
        if not closed:
            outcome.sheds += 1
            outcome.household.interruptions += load.draws_a > DRAWS_A
            load.opened_s = self.now_s
        load.closed = closed

    def admit(self, room: list[float], asks_a: Callable[[_Load], float], outcome: Outcome) -> None:
        """Close what fits into `room`, first tier first, and open the rest; a charger takes what
        there is.
        """
        for load in self.loads:
            amps, legs = asks_a(load), load.wish.circuit.legs
            modulation = load.wish.circuit.modulation
            load.most_a = amps if modulation is None else min(amps, *(room[leg] for leg in legs))
            least_a = amps if modulation is None else min(amps, modulation.min_a)
            fits = amps <= 0.0 or all(least_a <= room[leg] for leg in legs)
            if fits and (load.closed or self.now_s - load.opened_s >= self.rest_s(load)):
                for leg in legs:
                    room[leg] -= max(load.most_a, 0.0)
                self.switch(load, True, outcome)
            else:
                self.switch(load, False, outcome)
            if modulation is None:
                load.most_a = float("inf")

    def rest_s(self, load: _Load) -> float:
        """How long a load stays off at least."""
        return load.wish.circuit.min_off_s


class Clairvoyant(House):
    """Nothing wears, and nothing has to rest."""

    def rest_s(self, load: _Load) -> float:
        """How long a load stays off at least."""
        return 0.0


Decide = Callable[[House, Outcome], None]


def ladder(house: House, outcome: Outcome) -> None:
    """By the mean of the minute before: what is too much is opened, last tier first; else one
    circuit comes back, first tier first.
    """
    room = [house.limit_a - house.floor_a - mean for mean in house.mean]
    for load in reversed(house.loads):
        short = any(room[leg] < 0.0 for leg in load.wish.circuit.legs)
        if short and (amps := load.draws_a) > DRAWS_A:
            house.switch(load, False, outcome)
            for leg in load.wish.circuit.legs:
                room[leg] += amps
                house.mean[leg] -= amps
    if min(room) < 0.0:
        return
    for load in house.loads:
        rests = house.now_s - load.opened_s < house.rest_s(load)
        needs_a = load.wish.most_w / load.wish.volts
        if (
            not load.closed
            and not rests
            and all(needs_a <= room[x] for x in load.wish.circuit.legs)
        ):
            house.switch(load, True, outcome)
            for leg in load.wish.circuit.legs:
                house.mean[leg] += needs_a
            return


def forecast(house: House, outcome: Outcome) -> None:
    """What will be wanted within the next quarter of an hour is known, and must fit at its peak."""
    end_s = house.now_s + FORESEEN_S
    first, last = int(house.now_s // MINUTE_S), int(end_s // MINUTE_S)
    peaks = house.spared[first : last + 1]
    room = [house.limit_a - house.floor_a - max(minute[leg] for minute in peaks) for leg in (0, 1)]

    def asks_a(load: _Load) -> float:
        watts = max(piece[2] for piece in load.wish.pieces(house.now_s, end_s))
        return max(load.asks_a, watts / load.wish.volts)

    house.admit(room, asks_a, outcome)


def at_once(house: House, outcome: Outcome) -> None:
    """Whatever fits now, at every moment."""
    fixed = house.fixed_a()
    room = [house.limit_a - house.floor_a - amps for amps in fixed]
    house.admit(room, lambda load: load.asks_a, outcome)


@dataclass(frozen=True, slots=True)
class Way:
    """How one of these decides: by which rule, and what moves each minute only."""

    decide: Decide
    relays_minutely: bool
    node_minutely: bool
    house: type[House] = House


RELAYED = {
    "ladder, a minute": Way(ladder, True, True),
    "forecast, 15 min": Way(forecast, True, False),
    "clairvoyant": Way(at_once, False, False, Clairvoyant),
}


def live_relayed(
    name: str, panel: Panel, household: list[Wish], fixed: Sequence[Legs], span_s: float
) -> Outcome:
    """A home under one of these."""
    compute = panel.compute
    assert compute is not None
    assert compute.modulation is not None
    way = RELAYED[name]
    managed = [w for w in household if w.circuit.controlled and not w.gives]
    loads = [_Load(wish) for wish in sorted(managed, key=lambda w: w.circuit.tier)]
    limit_a = panel.service.control_setting_a - panel.timing.setpoint_margin_a
    others = [wish for wish in household if not wish.circuit.controlled]
    house = way.house(panel, fixed, others, loads, span_s, limit_a, compute.modulation.min_a)
    if way.decide is forecast:
        house.spared = _by_minute(fixed)
    outcome = Outcome(seconds=span_s)
    life = _Life(house, outcome, compute.modulation.max_a, way.node_minutely)
    while house.now_s < span_s:
        minute = house.now_s % MINUTE_S == 0.0
        if minute:
            life.look()
        if (minute or not way.relays_minutely) and not life.dark:
            way.decide(house, outcome)
        if minute:
            life.give()
        life.pass_time()
    outcome.household.lost_wh += sum(load.missing_wh for load in loads)
    return outcome


def _by_minute(fixed: Sequence[Legs]) -> list[list[float]]:
    """The most of each minute, by leg."""
    made = []
    for first in range(0, len(fixed), int(MINUTE_S)):
        minute = fixed[first : first + int(MINUTE_S)]
        made.append([max(legs[leg] for legs in minute) for leg in (0, 1)])
    return made


class _Life:
    """Lets time pass over a house, and counts."""

    def __init__(self, house: House, outcome: Outcome, most_a: float, minutely: bool) -> None:
        self._house = house
        self._outcome = outcome
        self._most_a = most_a
        self._minutely = minutely
        self._node_a = house.floor_a
        self._sums = [0.0, 0.0]
        self._over_s = 0.0
        self._out_s = 0.0
        self._dark = False  # there was no power in a part of this minute
        self._put_in()

    def _put_in(self) -> None:
        rating_a = self._house.panel.service.breaker.rating_a
        self._breaker, self._shadow = ThermalBreaker(rating_a, 2), ThermalBreaker(rating_a, 2)

    @property
    def dark(self) -> bool:
        """Whether there is no power: then nobody switches anything."""
        return self._out_s > 0.0

    def look(self) -> None:
        """A minute is over: its mean. Nobody takes a trip for a house that needs nothing."""
        if not self._dark:
            self._house.mean = [total / MINUTE_S for total in self._sums]
        self._sums, self._dark = [0.0, 0.0], bool(self._out_s)

    def give(self) -> None:
        """What the node gets in the next minute."""
        house = self._house
        left_a = house.limit_a - max(house.mean)
        self._node_a = max(house.floor_a, min(self._most_a, left_a))

    def pass_time(self) -> None:
        """Up to the next moment at which anything changes."""
        house = self._house
        now_s = house.now_s
        end_s = min(house.span_s, (now_s // MINUTE_S + 1) * MINUTE_S, self._turns_s())
        dt_s = end_s - now_s
        legs = house.legs() if not self._out_s else [0.0, 0.0]
        node_a = self._node_a
        if not self._minutely:
            node_a = max(house.floor_a, min(self._most_a, house.limit_a - max(legs)))
        self._serve(dt_s)
        if self._out_s:
            self._out_s = max(0.0, self._out_s - dt_s)
            if not self._out_s:
                self._put_in()
        else:
            self._carry(legs, node_a, dt_s)
        for leg in (0, 1):
            self._sums[leg] += legs[leg] * dt_s
        house.now_s = end_s
        for load in house.loads:
            while load.turns_s() <= end_s:
                load.place += 1

    def _turns_s(self) -> float:
        """When something changes by itself."""
        house, soonest_s = self._house, float("inf")
        fixed, now = house.fixed_a(), int(house.now_s)
        for second in range(now + 1, min(len(house.fixed), int(now // MINUTE_S + 1) * 60)):
            if house.fixed[second] != fixed:
                soonest_s = float(second)
                break
        for load in house.loads:
            soonest_s = min(soonest_s, load.turns_s())
            more_w = load.draws_a * load.wish.volts - load.wanted_w
            if load.missing_wh > LEAST_WH and more_w > 1.0:
                left_s = (load.missing_wh - LEAST_WH / 2) / more_w * 3600.0
                soonest_s = min(soonest_s, house.now_s + max(left_s, SOON_S))
        if self._out_s:
            soonest_s = min(soonest_s, house.now_s + self._out_s)
        return soonest_s

    def _serve(self, dt_s: float) -> None:
        """What the loads get and miss."""
        missed = self._outcome.household
        for load in self._house.loads:
            if load.asks_a <= 0.0:
                continue
            wanted_wh = load.wanted_w * dt_s / 3600.0
            served_wh = 0.0 if self._out_s else load.draws_a * load.wish.volts * dt_s / 3600.0
            missed.wanted_wh += wanted_wh
            missed.served_wh += served_wh
            missed.waited_s += dt_s if served_wh == 0.0 else 0.0
            back_wh = max(0.0, min(load.missing_wh, served_wh - wanted_wh))
            missed.later_wh += back_wh
            load.missing_wh += max(wanted_wh - served_wh, 0.0) - back_wh

    def _carry(self, legs: list[float], node_a: float, dt_s: float) -> None:
        house, outcome = self._house, self._outcome
        total = [legs[0] + node_a, legs[1] + node_a]
        outcome.node_wh += node_a * dt_s * house.panel.service.voltage_v / 3600.0
        if max(total) > house.panel.service.control_setting_a * OVER_RATIO:
            outcome.over_s += dt_s
            self._over_s += dt_s
            outcome.longest_over_s = max(outcome.longest_over_s, self._over_s)
        else:
            self._over_s = 0.0
        self._shadow.step(list(house.fixed_a()), dt_s)
        if self._breaker.step(total, dt_s):
            outcome.trips += 1
            kept = self._shadow.carries(list(house.fixed_a()), RESET_S)
            outcome.preventable_trips += kept and not self._shadow.tripped
            self._out_s, self._over_s = RESET_S, 0.0
            self._dark = True
            left_s = min(RESET_S, house.span_s - house.now_s - dt_s)
            miss(outcome.household, house.others, house.now_s + dt_s, left_s)
            for load in house.loads:  # after an outage one comes back after the other
                house.switch(load, False, outcome)
