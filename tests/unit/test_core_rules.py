"""The rules of the decision, one by one, compiled and interpreted."""

from __future__ import annotations

import pytest

from panelctl.model.metering import Quality
from panelctl.model.reason import Reason, State, Wait
from panelctl.model.relay import BY_HAND, Claim
from tests.core_cases import MS, Load, Rig, S, compute_load, evse_load

HOUSE = (30_000, 30_000)


@pytest.fixture(params=[True, False], ids=["compiled", "interpreted"])
def compiled(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def run(rig: Rig, seconds: float, house: tuple[int, int] = HOUSE, **draws: int) -> None:
    """Steps at 10 Hz with obedient loads: modulated ones draw their set-point unless told."""
    for _ in range(round(seconds * 10)):
        rig.read_all(house, draws_of(rig, draws))
        rig.step()


def draws_of(rig: Rig, fixed: dict[str, int]) -> list[int]:
    draws = []
    for i, load in enumerate(rig.loads):
        obedient = rig.state.set_ma[i] if load.kind else 20_000
        draws.append(fixed.get(f"load{i}", obedient))
    return draws


def test_starts_in_hold_and_leaves_it_after_five_good_readings(compiled: bool) -> None:
    rig = Rig([compute_load()], compiled)
    states = []
    for _ in range(8):
        rig.read_all(HOUSE, [5_000])
        rig.step()
        states.append(rig.state.state[0])
    assert states[:4] == [State.HOLD] * 4
    assert states[-1] == State.NORMAL


def test_budget_takes_what_is_left_and_no_more(compiled: bool) -> None:
    rig = Rig([compute_load(max_ma=200_000)], compiled)
    run(rig, 12)
    assert rig.state.set_ma[0] == 160_000 - 1_600 - 30_000


def test_budget_falls_at_once_and_rises_by_its_ramp(compiled: bool) -> None:
    rig = Rig([compute_load(max_ma=200_000, ramp_ma_s=10_000)], compiled)
    run(rig, 20)
    top = rig.state.set_ma[0]
    rig.read_all((130_000, 30_000), [top])
    rig.step()
    assert rig.state.set_ma[0] == 160_000 - 1_600 - 130_000
    before = rig.state.set_ma[0]
    run(rig, 1)
    assert 8_000 <= rig.state.set_ma[0] - before <= 11_000


def test_the_smaller_limit_binds_and_its_end_is_noticed(compiled: bool) -> None:
    rig = Rig([compute_load()], compiled)
    rig.state.limit_on[4] = 1
    rig.state.limit_value_ma[8] = rig.state.limit_value_ma[9] = 50_000
    rig.state.limit_until_ns[4] = rig.now_ns + 3 * S
    run(rig, 2)
    assert rig.state.binding.tolist() == [4, 4]
    assert rig.state.limit_ma.tolist() == [50_000, 50_000]
    run(rig, 2)
    assert rig.state.binding.tolist() == [0, 0]
    assert rig.state.limit_ma.tolist() == [160_000, 160_000]


def test_sheds_last_tier_first_and_only_what_is_needed(compiled: bool) -> None:
    rig = Rig([Load(tier=1), Load(tier=5), Load(tier=3), compute_load()], compiled)
    run(rig, 2)
    run(rig, 3, house=(110_000, 110_000))  # 110 + 3 x 20 + 5 > 160: one of 20 has to go
    assert rig.state.closed.tolist()[:3] == [1, 0, 1]
    assert rig.state.reason[1] == Reason.LIMIT
    assert rig.state.reason_ma[1] == 15_000
    assert rig.state.claims[1] == Claim.PCS


def test_an_excess_shorter_than_its_confirmation_opens_nothing(compiled: bool) -> None:
    rig = Rig([Load(tier=5), compute_load()], compiled)
    run(rig, 2)
    run(rig, 0.3, house=(150_000, 150_000))
    run(rig, 2)
    assert rig.state.closed[0] == 1
    assert rig.state.opened_ns[0] == 0


def test_what_relieves_nothing_is_not_shed(compiled: bool) -> None:
    rig = Rig([Load(tier=6, legs=(0,)), Load(tier=2, legs=(1,)), compute_load()], compiled)
    run(rig, 2)
    run(rig, 3, house=(30_000, 158_000))
    assert rig.state.closed.tolist()[:2] == [1, 0], "only leg b is over"


def test_restores_one_by_one_what_fits(compiled: bool) -> None:
    rig = Rig([Load(tier=1), Load(tier=5), Load(tier=3), compute_load()], compiled)
    run(rig, 2)
    run(rig, 4, house=(140_000, 140_000))
    assert rig.state.closed.tolist()[:3] == [0, 0, 0]
    closed_at = {}
    for _ in range(200):
        before = rig.state.closed.tolist()
        run(rig, 0.1, house=(100_000, 100_000))
        for i in range(3):
            if before[i] == 0 and rig.state.closed[i] == 1:
                closed_at[i] = rig.now_ns
    assert list(closed_at) == [0, 2], "tier 1, then tier 3; tier 5 does not fit"
    assert closed_at[2] - closed_at[0] >= 2 * S
    assert rig.state.wait[1] == Wait.NO_ROOM
    assert rig.state.wait_ma[1] == 100_000 + 40_000 + 20_000 + 5_000 - (160_000 - 8_000)


def test_a_restore_makes_room_that_the_fill_would_take(compiled: bool) -> None:
    rig = Rig([Load(tier=3), compute_load(max_ma=200_000)], compiled)
    run(rig, 5)
    run(rig, 2, house=(150_000, 150_000))
    assert rig.state.closed[0] == 0
    run(rig, 20, house=(60_000, 60_000))
    assert rig.state.closed[0] == 1


def test_minimum_off_time_is_kept(compiled: bool) -> None:
    rig = Rig([Load(tier=3, min_off_ns=30 * S), compute_load()], compiled)
    run(rig, 2)
    run(rig, 2, house=(150_000, 150_000))
    opened = rig.state.opened_ns[0]
    run(rig, 27, house=(30_000, 30_000))
    assert rig.state.closed[0] == 0
    assert rig.state.wait[0] == Wait.MIN_OFF
    run(rig, 6)
    assert rig.state.closed[0] == 1
    assert rig.state.closed_ns[0] - opened >= 30 * S


def test_charger_gives_way_before_a_relay_and_is_paused_at_its_tier(compiled: bool) -> None:
    rig = Rig([Load(tier=3), evse_load(tier=5), compute_load()], compiled)
    run(rig, 2)
    run(rig, 10)
    assert rig.state.set_ma[1] == 48_000
    run(rig, 3, house=(110_000, 110_000))
    assert rig.state.set_ma[1] == (160_000 - 1_600 - 130_000 - 5_000) // 1_000 * 1_000
    assert rig.state.closed[0] == 1
    run(rig, 3, house=(132_000, 132_000))
    assert rig.state.set_ma[1] == 0
    assert rig.state.claims[1] == Claim.PCS
    assert rig.state.closed[0] == 1


def test_a_charger_without_a_car_opens_nobodys_relay(compiled: bool) -> None:
    """Its least current is allowed, not drawn: nothing is over the limit, nothing opens."""
    rig = Rig([Load(tier=7), evse_load(tier=5), compute_load()], compiled)
    run(rig, 10, load1=0)
    assert rig.state.set_ma[1] >= 6_000
    run(rig, 5, house=(135_000 - 2_000, 135_000 - 2_000), load1=0)
    assert rig.state.row_ma[0] < 160_000
    assert rig.state.closed[0] == 1
    assert rig.state.claims.tolist() == [0, 0, 0]
    run(rig, 5, house=(133_000, 133_000), load1=6_000)  # a car comes: now it is an excess
    assert rig.state.claims[0] == Claim.PCS


def test_a_charger_that_does_not_come_down_is_paid_for_by_compute(compiled: bool) -> None:
    rig = Rig([evse_load(settle_ns=5 * S), compute_load()], compiled)
    run(rig, 10)
    assert rig.state.set_ma[0] == 48_000
    run(rig, 1, house=(90_000, 90_000), load0=48_000)
    assert rig.state.set_ma[0] < 48_000 or rig.state.set_ma[1] < 52_000
    charged = 90_000 + 48_000 + rig.state.set_ma[1]
    assert charged <= 160_000 - 1_600


def test_mains_lost_holds_then_sheds_what_is_declared(compiled: bool) -> None:
    rig = Rig([Load(safe_open=True), Load(safe_open=False), evse_load(), compute_load()], compiled)
    run(rig, 8)
    assert rig.state.set_ma[3] > 20_000
    states = []
    for _ in range(120):
        for i in range(4):
            rig.read(rig.fixed.relay_slot[i], 1 if rig.state.closed[i] else 0)
        rig.step()
        states.append(rig.state.state[0])
    assert states[18] != State.HOLD
    assert states[22] == State.HOLD
    assert rig.state.set_ma[3] == 5_000
    assert rig.state.set_ma[2] == 6_000
    assert states[97] == State.HOLD
    assert states[-1] == State.SHED
    assert rig.state.closed.tolist()[:2] == [0, 1]
    assert rig.state.reason[0] == Reason.BLIND


def test_nothing_rises_on_an_old_reading(compiled: bool) -> None:
    rig = Rig([compute_load(ramp_ma_s=1_000)], compiled)
    run(rig, 2)
    before = rig.state.set_ma[0]
    for _ in range(10):
        rig.step()
    assert rig.state.state[0] == State.DEGRADED
    assert rig.state.set_ma[0] <= before + 500


@pytest.mark.parametrize("quality", [Quality.INVALID, Quality.IMPLAUSIBLE])
def test_a_marked_reading_is_no_reading(compiled: bool, quality: Quality) -> None:
    rig = Rig([compute_load()], compiled)
    run(rig, 5)
    for _ in range(30):
        rig.read_all(HOUSE, [5_000])
        rig.read(0, 0, quality)
        rig.step()
    assert rig.state.state[0] == State.HOLD


def test_own_meter_lost_puts_the_load_on_its_fallback(compiled: bool) -> None:
    rig = Rig([compute_load()], compiled)
    run(rig, 6)
    for _ in range(10):
        for r in range(2):
            rig.read(r, 80_000)
        rig.read(rig.fixed.relay_slot[0], 1)
        rig.step()
    assert rig.state.set_ma[0] == 5_000
    assert rig.state.reason[0] == Reason.STALE


def test_welded_relay_is_a_fault_and_somebody_else_is_shed(compiled: bool) -> None:
    rig = Rig([Load(tier=5), Load(tier=3), compute_load()], compiled)
    run(rig, 2)
    for _ in range(40):
        rig.read_all((132_000, 132_000), [20_000, 20_000, 5_000])
        if rig.state.closed[0] == 0:  # the contact does not move
            for r in range(2):
                rig.read(r, rig.value[r] + 20_000)
                rig.read(rig.fixed.slot[r], 20_000)
            rig.read(rig.fixed.relay_slot[0], 1)
        rig.step()
    assert rig.state.reason[0] == Reason.WELDED
    assert rig.state.claims[0] & Claim.FAULT
    assert rig.state.closed[1] == 0


def test_node_that_ignores_its_budget_is_stopped_at_2_s_and_opened_at_5_s(compiled: bool) -> None:
    rig = Rig([Load(tier=3), compute_load()], compiled)
    run(rig, 8)
    since = None
    stopped = opened = 0
    for _ in range(90):
        rig.read_all((110_000, 110_000), [20_000, 52_000])
        now = rig.now_ns
        rig.step()
        if since is None and rig.state.set_ma[1] < 40_000:
            since = now
        if not stopped and rig.state.stop[1]:
            stopped = now
        if not opened and rig.state.closed[1] == 0:
            opened = now
    assert since is not None
    assert 1_900 * MS <= stopped - since <= 2_500 * MS
    assert 4_900 * MS <= opened - since <= 5_500 * MS
    assert rig.state.reason[1] == Reason.IGNORES_BUDGET
    run(rig, 20, house=(100_000, 100_000), load1=0)
    assert rig.state.closed.tolist() == [1, 0], "the household is restored, the fault is not"


def test_user_opens_and_closes(compiled: bool) -> None:
    rig = Rig([Load(), compute_load()], compiled)
    run(rig, 2)
    rig.core.claim(0, int(Claim.USER), int(Reason.USER), rig.now_ns)
    run(rig, 10)
    assert rig.state.closed[0] == 0
    assert rig.state.claims[0] == Claim.USER
    rig.core.release(0, int(BY_HAND), rig.now_ns)
    run(rig, 8)
    assert rig.state.closed[0] == 1


def test_a_limits_claim_outlives_the_users(compiled: bool) -> None:
    rig = Rig([Load(), compute_load()], compiled)
    run(rig, 2)
    run(rig, 2, house=(150_000, 150_000))
    rig.core.claim(0, int(Claim.USER), int(Reason.USER), rig.now_ns)
    rig.core.release(0, int(BY_HAND), rig.now_ns)
    run(rig, 5, house=(150_000, 150_000))
    assert rig.state.closed[0] == 0
    assert rig.state.claims[0] == Claim.PCS


def test_found_open_stays_open_until_a_user_says_otherwise(compiled: bool) -> None:
    rig = Rig([Load(), compute_load()], compiled)
    for _ in range(100):
        rig.read_all(HOUSE, draws_of(rig, {}))
        if rig.state.closed[0] < 1:
            rig.read(rig.fixed.relay_slot[0], 0)
            for r in range(2):
                rig.read(rig.fixed.slot[r], 0)
        rig.step()
    assert rig.state.claims[0] == Claim.FOUND
    rig.core.release(0, int(BY_HAND), rig.now_ns)
    run(rig, 8)
    assert rig.state.closed[0] == 1


def test_no_relay_is_ordered_before_it_was_read(compiled: bool) -> None:
    rig = Rig([Load(), compute_load()], compiled)
    for _ in range(30):
        rig.read_all((150_000, 150_000), [20_000, 5_000])
        for i in range(2):
            rig.quality[rig.fixed.relay_slot[i]] = Quality.NEVER
        rig.step()
    assert rig.state.closed.tolist() == [-1, -1]


def test_claims_of_the_last_run_hold(compiled: bool) -> None:
    rig = Rig([Load(), compute_load()], compiled)
    rig.state.claims[0] = int(Claim.USER)
    run(rig, 1)
    assert rig.state.closed[0] == 0
    run(rig, 10)
    assert rig.state.closed[0] == 0


@pytest.mark.parametrize("wrong", [-1, 2])
def test_a_load_that_is_not_there(compiled: bool, wrong: int) -> None:
    rig = Rig([Load(), compute_load()], compiled)
    with pytest.raises(IndexError):
        rig.core.claim(wrong, 2, 2, 0)
    with pytest.raises(IndexError):
        rig.core.release(wrong, int(BY_HAND), 0)


def test_a_relay_that_opened_late_rests_from_then_on(compiled: bool) -> None:
    """Its board could not be reached for 20 s; the contact itself must not close too soon."""
    rig = Rig([Load(tier=3, min_off_ns=30 * S), compute_load()], compiled)
    run(rig, 2)
    slots = (rig.fixed.relay_slot[0], rig.fixed.acked_slot[0])
    for _ in range(200):
        kept = [(rig.value[n], rig.sampled_ns[n]) for n in slots]
        rig.read_all((150_000, 150_000), draws_of(rig, {}))
        for n, (value, sampled_ns) in zip(slots, kept, strict=True):
            rig.value[n], rig.sampled_ns[n] = value, sampled_ns
        rig.step()
    assert rig.state.closed[0] == 0
    assert rig.state.order_pending[0] == 1
    run(rig, 0.3)
    opened_ns = rig.now_ns
    run(rig, 28)
    assert rig.state.closed[0] == 0
    run(rig, 6)
    assert rig.state.closed[0] == 1
    assert rig.state.closed_ns[0] - opened_ns >= 29 * S


def test_a_paused_charger_whose_relay_opens_later_rests_from_then_on(compiled: bool) -> None:
    rig = Rig([evse_load(min_off_ns=30 * S, relay=True), compute_load()], compiled)
    run(rig, 5)
    run(rig, 25, house=(158_000, 158_000))
    assert rig.state.set_ma[0] == 0, "paused for want of room"
    paused_ns = rig.state.opened_ns[0]
    rig.core.claim(0, int(Claim.USER), int(Reason.USER), rig.now_ns)
    run(rig, 1)
    assert rig.state.closed[0] == 0
    assert rig.state.opened_ns[0] > paused_ns


def test_an_outage_makes_no_false_fault(compiled: bool) -> None:
    """Orders that never arrived are given again when the line is back; nothing was welded."""
    rig = Rig([Load(), Load(), compute_load()], compiled)
    run(rig, 3)
    before = rig.now_ns
    while rig.now_ns - before < 12 * S:
        rig.step()
    assert rig.state.closed.tolist()[:2] == [0, 0], "ordered open by SHED, and nobody heard it"
    for _ in range(30):  # back: the contacts are closed, and no order was acknowledged yet
        rig.read_all(HOUSE, draws_of(rig, {}))
        for i in range(2):
            rig.read(rig.fixed.relay_slot[i], 1)
            rig.value[rig.fixed.acked_slot[i]] = 1
            rig.sampled_ns[rig.fixed.acked_slot[i]] = before
        rig.step()
    assert [claims & Claim.FAULT for claims in rig.state.claims.tolist()[:2]] == [0, 0]
    run(rig, 30)
    assert rig.state.closed.tolist()[:2] == [1, 1], "and they are restored by themselves"


@pytest.mark.parametrize("permille", [1000, 1010, 1029])
def test_a_restore_comes_through_though_the_node_draws_a_hair_more(
    compiled: bool, permille: int
) -> None:
    rig = Rig([Load(tier=3), compute_load(max_ma=200_000)], compiled)

    def steps(seconds: float, house: int) -> None:
        for _ in range(round(seconds * 10)):
            node = rig.state.set_ma[1] * permille // 1000
            rig.read_all((house, house), [20_000, node])
            rig.step()

    steps(5, 30_000)
    steps(3, 150_000)
    assert rig.state.closed[0] == 0
    steps(30, 60_000)
    assert rig.state.closed[0] == 1


def test_an_old_mains_reading_sheds_nothing(compiled: bool) -> None:
    """Compute's own meter goes on while the mains reply is lost: that is no larger household."""
    rig = Rig([Load(tier=3), compute_load()], compiled)
    run(rig, 8)
    rig.read_all((125_000, 125_000), [20_000, 52_000])
    rig.step()
    for _ in range(14):
        node = rig.state.set_ma[1]
        for r in range(2):
            rig.read(rig.fixed.slot[r], 20_000)
            rig.read(rig.fixed.slot[2 + r], node)
        for i in range(2):
            rig.read(rig.fixed.relay_slot[i], 1)
        rig.step()
    assert rig.state.closed[0] == 1
    assert rig.state.set_ma[1] == 160_000 - 1_600 - 145_000, "held, neither raised nor emptied"


def test_a_slow_ramp_takes_its_steps(compiled: bool) -> None:
    rig = Rig([evse_load(ramp_ma_s=5_000, step_ma=1_000), compute_load()], compiled)
    run(rig, 1)
    run(rig, 5)
    assert 20_000 <= rig.state.set_ma[0] <= 36_000


def test_a_stopped_node_may_idle(compiled: bool) -> None:
    rig = Rig([compute_load()], compiled)
    run(rig, 5)
    rig.core.claim(0, int(Claim.USER), int(Reason.USER), rig.now_ns)
    run(rig, 20, load0=700)
    assert not rig.state.claims[0] & Claim.FAULT
    assert rig.state.closed[0] == 1, "asked to stop, and given its time"
    run(rig, 45, load0=700)
    assert rig.state.closed[0] == 0


def test_a_charger_between_nothing_and_its_least(compiled: bool) -> None:
    rig = Rig([evse_load(fallback_ma=0), compute_load()], compiled)
    rig.state.set_ma[0] = 0
    seen = set()
    for _ in range(100):
        run(rig, 0.1, house=(120_000, 120_000))
        seen.add(rig.state.set_ma[0])
    assert not {ma for ma in seen if 0 < ma < 6_000}
    assert max(seen) >= 6_000
