"""Relays that do not do as they are told: what is a fault, what is none, and what ends one."""

from __future__ import annotations

from itertools import pairwise

import pytest

from panelctl.core.state.layout import SWITCHED
from panelctl.model.reason import Reason
from panelctl.model.relay import Claim
from tests.core_cases import Load, Rig, S, compute_load, evse_load

HOUSE = (30_000, 30_000)
FULL = (150_000, 150_000)  # with this household one load of 20 A has to go


@pytest.fixture(params=[True, False], ids=["compiled", "interpreted"])
def compiled(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


class House:
    """A rig whose first relay is where the test says; the board acknowledges unless it refuses."""

    def __init__(self, compiled: bool, load: Load | None = None, others: int = 1) -> None:
        loads = [load or Load(tier=5, min_off_ns=2 * S)]
        loads += [Load(tier=3) for _ in range(others)] + [compute_load()]
        self.rig = Rig(loads, compiled)
        self.contact: int | None = None  # None: it follows
        self.leak_ma = 0  # what it shows while it is open
        self.refuses = False
        self.relay_read = True
        self.refused = 0
        self.run(3)

    def run(self, seconds: float, house: tuple[int, int] = HOUSE) -> None:
        rig, fixed = self.rig, self.rig.fixed
        for _ in range(round(seconds * 10)):
            ordered = rig.state.closed[0]
            contact = (ordered != 0) if self.contact is None else self.contact
            relay, acked = fixed.relay_slot[0], fixed.acked_slot[0]
            before = {n: (rig.value[n], rig.sampled_ns[n]) for n in (relay, acked)}
            rig.read_all(house, [20_000 if c == SWITCHED else 5_000 for c in fixed.kind])
            rig.read(relay, int(contact))
            if not self.relay_read:
                rig.value[relay], rig.sampled_ns[relay] = before[relay]
            for r in rig.loads[0].legs:
                on_ma = 20_000 if fixed.kind[0] == SWITCHED else 5_000
                drawn = on_ma if contact else self.leak_ma
                shown = on_ma if ordered else 0
                rig.read(r, rig.value[r] + drawn - shown)
                rig.read(fixed.slot[r], drawn)
            if self.refuses and rig.state.order_pending[0]:
                rig.value[acked], rig.sampled_ns[acked] = before[acked]
                self.refused += 1
                rig.read(fixed.refused_slot[0], self.refused if ordered else -self.refused)
            rig.step()

    def claims(self) -> Claim:
        return Claim(self.rig.state.claims[0])

    def fault(self) -> Reason:
        return Reason(self.rig.state.fault[0])

    def closed(self) -> list[int]:
        return self.rig.state.closed.tolist()[:-1]


def test_a_welded_contact_that_comes_loose_is_no_fault_any_more(compiled: bool) -> None:
    house = House(compiled)
    house.contact = 1
    house.run(4, FULL)
    assert (house.fault(), house.claims() & Claim.FAULT) == (Reason.WELDED, Claim.FAULT)
    assert house.closed() == [0, 0], "the other one was shed in its place"
    house.contact = None
    house.run(9, FULL)
    assert house.fault() == Reason.WELDED, "evidence takes its time"
    house.run(3, FULL)
    assert house.fault() == Reason.NONE
    assert house.claims() == Claim.PCS
    house.run(30)
    assert house.closed() == [1, 1], "restored by itself"


def test_current_through_an_open_relay_raises_it_again_and_heals_more_slowly(
    compiled: bool,
) -> None:
    house = House(compiled)
    house.run(4, FULL)
    assert house.closed()[0] == 0
    for heals_s in (10, 20, 40):
        house.leak_ma = 3_000
        house.run(2, FULL)
        assert house.fault() == Reason.WELDED
        house.leak_ma = 0
        house.run(heals_s - 1.5, FULL)
        assert house.fault() == Reason.WELDED
        house.run(3, FULL)
        assert house.fault() == Reason.NONE


def test_a_transformer_that_picks_up_a_neighbour_welds_nothing(compiled: bool) -> None:
    """0.7 A with its relay open after 20 A; a later current says otherwise."""
    house = House(compiled)
    house.rig.fixed.noise_ma[0] = 1_000
    house.leak_ma = 700
    house.run(6, FULL)
    assert house.closed()[0] == 0
    assert house.fault() == Reason.NONE
    house.leak_ma = 1_100
    house.run(2, FULL)
    assert house.fault() == Reason.WELDED


def test_what_somebody_closed_shows_its_current_first(compiled: bool) -> None:
    """The relay is read more seldom than the meter: its current is no welded contact."""
    house = House(compiled)
    house.run(4, FULL)
    house.contact, house.relay_read = 1, False
    house.run(0.5, FULL)
    house.relay_read = True
    house.run(0.1, FULL)
    assert house.fault() == Reason.NONE
    assert house.rig.state.moves[0] == 1


def test_a_board_that_was_away_after_it_acknowledged_has_its_time_again(compiled: bool) -> None:
    """It starts anew with its outputs as delivered: that is no contact that sticks."""
    house = House(compiled)
    house.run(10, FULL)
    assert house.closed()[0] == 0
    house.contact = 0
    while not house.closed()[0]:
        house.run(0.1)
    house.run(0.1)
    house.relay_read = False
    house.run(10)
    house.relay_read = True
    house.run(0.9)
    assert house.fault() == Reason.NONE
    house.run(0.5)
    assert house.fault() == Reason.STUCK_OPEN, "it has heard the order, and had its time"


def test_from_its_first_refusal_on_nothing_is_expected_of_a_relay(compiled: bool) -> None:
    house = House(compiled)
    house.refuses, house.contact = True, 1
    while house.closed()[0]:
        house.run(0.1, FULL)
    house.run(0.1, FULL)
    assert house.refused == 1
    assert house.rig.state.opening[0] == 0
    house.run(0.1, FULL)
    assert house.fault() == Reason.REFUSED_OPEN
    house.run(2, FULL)
    assert house.closed() == [0, 0], "the other one is shed in its place"
    house.refuses, house.contact = False, None
    house.run(12, FULL)
    assert house.fault() == Reason.NONE, "its board takes orders again"
    house.run(30)
    assert house.closed() == [1, 1]


def test_one_refusal_is_no_fault(compiled: bool) -> None:
    house = House(compiled)
    house.refuses, house.contact = True, 1
    while house.refused < 1:
        house.run(0.1, FULL)
    house.refuses, house.contact = False, None
    house.run(4, FULL)
    assert house.fault() == Reason.NONE
    assert house.closed()[0] == 0


def test_a_board_that_refuses_to_close_is_tried_again_and_told_of_until_it_closes(
    compiled: bool,
) -> None:
    house = House(compiled)
    house.run(4, FULL)
    house.refuses, house.contact = True, 0
    held = []
    for _ in range(600):
        house.run(0.1)
        if house.refused > 1:
            assert house.fault() == Reason.REFUSED_CLOSE
            held.append(bool(house.claims() & Claim.FAULT))
    tries = sum(now and not before for before, now in pairwise(held))
    assert 1 <= tries <= 3, "it holds nothing while it is tried, more seldom each time"
    assert not all(held)
    house.refuses, house.contact = False, None
    house.run(100)
    assert house.closed()[0] == 1
    assert house.fault() == Reason.NONE


def test_what_somebody_opened_is_followed_and_comes_back(compiled: bool) -> None:
    house = House(compiled, Load(tier=5, min_off_ns=8 * S))
    house.contact = 0
    house.run(0.3)
    assert house.rig.state.reason[0] == Reason.MOVED
    assert (house.claims(), house.fault()) == (Claim.PCS, Reason.NONE)
    house.contact = None
    house.run(7)
    assert house.closed()[0] == 0, "its minimum off time"
    house.run(8)
    assert house.closed()[0] == 1


def test_nobody_fights_for_a_relay_more_than_three_times(compiled: bool) -> None:
    house = House(compiled)
    house.rig.core.claim(0, int(Claim.USER), int(Reason.USER), house.rig.now_ns)
    house.run(3)
    orders = set()
    for _ in range(6):  # somebody closes it each time that it has opened
        house.contact = 1
        house.run(0.3)
        orders.add(house.rig.state.order_ns[0])
        house.contact = None
        house.run(2)
    assert house.fault() == Reason.MOVED
    assert house.claims() == Claim.FAULT | Claim.USER
    assert len(orders) == 3, "opened again three times, and not a fourth"
    house.run(15)
    assert house.fault() == Reason.MOVED, "it is left alone for long"
    house.run(600)
    assert house.fault() == Reason.NONE
    assert house.claims() == Claim.USER
    assert house.rig.state.reason[0] == Reason.USER, "and the user's claim is named again"


def test_a_start_is_no_reason_to_fight_for_a_relay_again(compiled: bool) -> None:
    house = House(compiled)
    house.rig.core.claim(0, int(Claim.USER), int(Reason.USER), house.rig.now_ns)
    house.run(3)
    while house.fault() != Reason.MOVED:
        house.contact = 1
        house.run(0.3)
        house.contact = None if house.fault() != Reason.MOVED else 1
        house.run(2)
    ordered_ns = house.rig.state.order_ns[0]
    house.rig.state.closed[0] = -1  # as a controller begins that has read no relay yet
    house.run(1)
    assert house.closed()[0] == 0, "it is to be open"
    assert not house.rig.state.order_pending[0], "and nobody is told so"
    assert house.rig.state.order_ns[0] > ordered_ns
    assert house.fault() == Reason.MOVED


def test_nobody_closes_again_what_somebody_opens_more_than_three_times(compiled: bool) -> None:
    house = House(compiled, Load(tier=5, min_off_ns=1 * S))
    closings = 0
    for _ in range(600):
        before = house.closed()[0]
        house.contact = 0 if before else None  # a second later it is open again
        house.run(1)
        closings += not before and house.closed()[0]
    assert closings <= 3
    assert house.fault() == Reason.MOVED


def test_a_load_at_fault_for_another_reason_may_be_welded_besides(compiled: bool) -> None:
    """And it stays at fault for that when the contact comes loose."""
    rig = Rig([Load(tier=3), compute_load()], compiled)
    relay, stuck = rig.fixed.relay_slot[1], True

    def run(seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            draws = stuck or rig.state.closed[1] != 0
            rig.read_all((60_000, 60_000), [20_000, 52_000 if rig.state.closed[1] else 0])
            for r in range(2) if draws and not rig.state.closed[1] else ():
                rig.read(r, rig.value[r] + 52_000)
                rig.read(rig.fixed.slot[rig.fixed.rows + r], 52_000)
            if stuck:
                rig.read(relay, 1)
            rig.state.set_ma[1] = min(rig.state.set_ma[1], 20_000)
            rig.step()

    seen: list[int] = []
    for _ in range(110):
        run(0.1)
        if rig.state.fault[1] not in seen[-1:]:
            seen.append(rig.state.fault[1])
    assert seen == [Reason.NONE, Reason.IGNORES_BUDGET, Reason.WELDED]
    stuck = False
    run(30)
    assert rig.state.fault[1] == Reason.IGNORES_BUDGET
    assert rig.state.claims[1] & Claim.FAULT


def test_a_fault_is_the_reason_whoever_else_claims_the_circuit(compiled: bool) -> None:
    house = House(compiled)
    house.contact = 1
    house.run(4, FULL)
    core, state = house.rig.core, house.rig.state
    core.claim(0, int(Claim.USER), int(Reason.USER), house.rig.now_ns)
    assert state.reason[0] == Reason.WELDED
    core.release(0, int(Claim.USER), house.rig.now_ns)
    assert state.reason[0] == Reason.WELDED
    core.claim(0, int(Claim.USER), int(Reason.USER), house.rig.now_ns)
    house.contact = None
    house.run(12, FULL)
    assert (state.fault[0], state.reason[0]) == (Reason.NONE, Reason.USER)


def test_a_load_at_fault_that_is_found_closed_at_the_start_is_opened(compiled: bool) -> None:
    """Its board came up closed while there was no controller."""
    rig = Rig([compute_load(), Load()], compiled)
    rig.state.claims[0], rig.state.fault[0] = int(Claim.FAULT), int(Reason.IGNORES_BUDGET)
    for _ in range(3):
        rig.read_all(HOUSE, [5_000, 20_000])
        rig.step()
    assert rig.state.closed[0] == 0
    assert rig.state.order_pending[0] == 1 or rig.value[rig.fixed.relay_slot[0]] == 0


def test_a_node_that_idles_is_given_its_time_to_stop(compiled: bool) -> None:
    """What its transformer may show for nothing is no measure of having stopped."""
    rig = Rig([compute_load()], compiled)
    rig.fixed.noise_ma[0] = 5_000
    for _ in range(50):
        rig.read_all(HOUSE, [5_000])
        rig.step()
    rig.core.claim(0, int(Claim.USER), int(Reason.USER), rig.now_ns)
    for _ in range(200):
        rig.read_all(HOUSE, [900])
        rig.step()
    assert rig.state.closed[0] == 1


def test_a_charger_whose_relay_somebody_opened_starts_again(compiled: bool) -> None:
    house = House(compiled, evse_load(relay=True, min_off_ns=4 * S))
    house.contact = 0
    house.run(0.3)
    assert house.rig.state.set_ma[0] == 0
    assert house.claims() == Claim.PCS
    house.contact = None
    house.run(20)
    assert house.closed()[0] == 1
    assert house.rig.state.set_ma[0] > 0


def test_a_node_that_ignored_its_budget_waits_for_a_person(compiled: bool) -> None:
    rig = Rig([Load(tier=3), compute_load()], compiled)

    def run(seconds: float, node_ma: int) -> None:
        for _ in range(round(seconds * 10)):
            rig.read_all((110_000, 110_000) if node_ma else HOUSE, [20_000, node_ma])
            rig.step()

    run(9, 52_000)
    assert rig.state.fault[1] == Reason.IGNORES_BUDGET
    run(200, 0)
    assert rig.state.claims[1] & Claim.FAULT
    rig.core.release(1, int(Claim.USER | Claim.FOUND), rig.now_ns)
    assert rig.state.stop[1], "a user's word is none for a fault"
    rig.core.release(1, int(Claim.FAULT), rig.now_ns)
    assert (rig.state.fault[1], rig.state.stop[1]) == (0, 0)
    run(20, 0)
    assert rig.state.claims[1] == 0
