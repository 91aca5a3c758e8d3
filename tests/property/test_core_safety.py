"""What must hold for every panel and every day, judged on a plant and not on the image."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from panelctl.core.state.layout import SWITCHED
from panelctl.model.reason import State
from tests.core_cases import MS, Load, More, Rig, S, loads, mores

DAYS = st.lists(
    st.tuples(st.integers(0, 160_000), st.integers(0, 160_000), st.integers(1, 60)),
    min_size=1,
    max_size=8,
)


class Follower:
    """Loads that obey within a step, and the currents that really flow."""

    def __init__(self, rig: Rig, appetite: list[int]) -> None:
        self.rig = rig
        self.appetite = appetite

    def draws(self) -> list[int]:
        """What each load draws now."""
        state = self.rig.state
        return [
            min(self.appetite[i], state.set_ma[i]) if load.kind else self.appetite[i]
            for i, load in enumerate(self.rig.loads)
        ]

    def leg(self, house: int, r: int) -> int:
        """What the leg carries."""
        total = house
        for i, (load, draw) in enumerate(zip(self.rig.loads, self.draws(), strict=True)):
            if r in load.legs and self.rig.state.closed[i] != 0:
                total += draw
        return total


@settings(max_examples=150)
@given(
    panel=loads(),
    days=DAYS,
    appetite=st.lists(st.integers(0, 60_000), min_size=10, max_size=10),
    compiled=st.just(True),
)
def test_limits_timers_and_claims(
    panel: list[Load],
    days: list[tuple[int, int, int]],
    appetite: list[int],
    compiled: bool,
) -> None:
    rig = Rig(panel, compiled)
    plant = Follower(rig, appetite)
    opened_ns = [0] * len(panel)
    over_ns = [0, 0]
    for house_a, house_b, tenths in days:
        house = (house_a, house_b)
        for _ in range(tenths):
            before = rig.state.closed.tolist()
            before_set = rig.state.set_ma.tolist()
            claims = rig.state.claims.tolist()
            rig.read_all(house, plant.draws())
            rig.step()
            check_relays(rig, before, claims, opened_ns)
            check_budgets(rig, before_set)
            check_limit(rig, plant, house, over_ns)


def check_relays(rig: Rig, before: list[int], claims: list[int], opened_ns: list[int]) -> None:
    for i, load in enumerate(rig.loads):
        now_ns = rig.state.step_ns[0]
        closed = rig.state.closed[i]
        if before[i] == 1 and closed == 0:
            opened_ns[i] = now_ns
            assert rig.state.claims[i], "nothing opens without a claim that says who"
        if before[i] == 0 and closed == 1:
            assert now_ns - opened_ns[i] >= load.min_off_ns
            assert claims[i] in (0, 8), "only our own claim may be taken back"
            assert rig.state.state[0] in (State.NORMAL, State.DEGRADED)
        if rig.state.claims[i] and load.kind == SWITCHED:
            assert closed != 1


def check_budgets(rig: Rig, before_set: list[int]) -> None:
    for i, load in enumerate(rig.loads):
        if not load.kind:
            continue
        set_ma = rig.state.set_ma[i]
        assert set_ma == 0 or min(load.floor_ma, load.fallback_ma) <= set_ma <= load.max_ma
        if set_ma > before_set[i] and before_set[i] > 0:
            assert set_ma - before_set[i] <= max(load.ramp_ma_s // 10 + load.step_ma, load.floor_ma)


def check_limit(rig: Rig, plant: Follower, house: tuple[int, int], over_ns: list[int]) -> None:
    """Over the limit for longer than a second and a half only while nothing is left to give."""
    for r in range(2):
        if plant.leg(house[r], r) <= rig.state.limit_ma[r] or rig.state.state[0] != State.NORMAL:
            over_ns[r] = 0
            continue
        over_ns[r] += 100 * MS
        if over_ns[r] <= 1_500 * MS:
            continue
        for i, load in enumerate(rig.loads):
            if r not in load.legs or rig.state.closed[i] != 1:
                continue
            if load.kind == SWITCHED:
                assert plant.draws()[i] < 200, "a managed load could still be shed"
            else:
                check_set(load, rig.state.set_ma[i], plant.draws()[i])
    assert rig.now_ns >= S


@settings(max_examples=120)
@given(
    panel=loads(),
    more=mores(),
    days=DAYS,
    appetite=st.lists(st.integers(0, 30_000), min_size=10, max_size=10),
)
def test_no_row_and_no_breaker_makes_it_less_safe(
    panel: list[Load], more: More, days: list[tuple[int, int, int]], appetite: list[int]
) -> None:
    """Rows, heat, hard limits and promotion on top: relays, budgets and rows keep their rules."""
    rig = Rig(panel, compiled=True, limit_ma=90_000, more=more)
    plant = Follower(rig, appetite)
    opened_ns, over_ns = [0] * len(panel), [0] * rig.fixed.rows
    for house_a, house_b, tenths in days:
        house = (house_a // 2, house_b // 2)
        for _ in range(tenths):
            before, before_set = rig.state.closed.tolist(), rig.state.set_ma.tolist()
            claims = rig.state.claims.tolist()
            rig.read_all(house, plant.draws())
            rig.step()
            check_relays(rig, before, claims, opened_ns)
            check_budgets(rig, before_set)
            check_constraints(rig, plant, over_ns)


def check_constraints(rig: Rig, plant: Follower, over_ns: list[int]) -> None:
    """A row is over its limit for long only while nobody on it has anything left to give."""
    state, fixed = rig.state, rig.fixed
    for r in range(fixed.rows):
        assert state.limit_ma[r] <= state.limit_value_ma[r]
        assert state.setpoint_limit_ma[r] <= state.limit_value_ma[r]
        if state.row_ma[r] <= max(state.limit_ma[r], state.shed_limit_ma[r]):
            over_ns[r] = 0
            continue
        over_ns[r] += 100 * MS
        if over_ns[r] <= 1_500 * MS:
            continue
        for i, load in enumerate(rig.loads):
            if not fixed.limit_coef[i * fixed.rows + r] or state.closed[i] != 1:
                continue
            if load.kind == SWITCHED:
                relief = state.meas_ma[i * fixed.rows + r]
                assert relief < 200, "a managed load could still be shed"
            else:
                check_set(load, state.set_ma[i], state.meas_ma[i * fixed.rows + r])


def check_set(load: Load, set_ma: int, draw_ma: int) -> None:
    assert set_ma <= load.floor_ma, "a set-point could still be lowered"
    assert not load.can_pause or not set_ma or draw_ma < 200, "it could still be paused"
