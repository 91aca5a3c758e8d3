"""Rows behind the legs, equal rank, promotion, giving way, heat and margins, over both cores."""

from __future__ import annotations

import pytest

from panelctl.model.limit import LimitName
from panelctl.model.reason import Reason, State, Wait
from panelctl.model.relay import Claim
from tests.core_cases import MS, Heat, Load, More, Rig, Row, S, compute_load, evse_load


@pytest.fixture(params=[True, False], ids=["compiled", "interpreted"])
def compiled(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def run(rig: Rig, seconds: float, house: tuple[int, int], draws: list[int]) -> None:
    """Steps at 10 Hz; a modulated load draws at most its set-point."""
    for _ in range(round(seconds * 10)):
        now = [
            min(draw, rig.state.set_ma[i]) if rig.loads[i].kind else draw
            for i, draw in enumerate(draws)
        ]
        rig.read_all(house, now)
        rig.step()


def closed(rig: Rig) -> list[int]:
    return rig.state.closed.tolist()


def test_equal_rank_keeps_the_most_current(compiled: bool) -> None:
    """Strict rank would keep the first, 30 A; the second and third together serve 40 A."""
    loads = [Load(equal=True, min_on_ns=0) for _ in range(3)]
    rig = Rig(loads, compiled, limit_ma=80_000)
    draws = [30_000, 20_000, 20_000]
    run(rig, 2, (0, 0), draws)
    run(rig, 2, (40_000, 40_000), draws)
    assert closed(rig) == [0, 1, 1]
    strict = Rig([Load(min_on_ns=0) for _ in range(3)], compiled, limit_ma=80_000)
    run(strict, 2, (0, 0), draws)
    run(strict, 2, (40_000, 40_000), draws)
    assert closed(strict) == [1, 0, 0]


def test_among_equals_one_inside_its_minimum_on_time_stays(compiled: bool) -> None:
    loads = [Load(equal=True, min_on_ns=60 * S, min_off_ns=0) for _ in range(2)]
    rig = Rig(loads, compiled, limit_ma=60_000)
    draws = [10_000, 30_000]
    run(rig, 2, (45_000, 45_000), draws)
    assert closed(rig) == [1, 0]
    rig.state.closed_ns[0] = rig.now_ns  # it was restored just now
    run(rig, 20, (0, 0), draws)
    assert closed(rig) == [1, 1]
    rig.state.closed_ns[1] = 0
    run(rig, 3, (45_000, 45_000), draws)
    assert closed(rig) == [1, 0], "30 A would serve more, but 10 A is still inside its time"


def test_a_load_that_may_not_stay_off_pushes_earlier_tiers_aside(compiled: bool) -> None:
    """The pump of the last tier is off for max_off_ns, then it is served before every tier."""
    pump = Load(tier=9, demand_ma=20_000, max_off_ns=20 * S, min_on_ns=5 * S)
    heater = Load(tier=1, demand_ma=20_000, min_on_ns=0)
    rig = Rig([pump, heater], compiled, limit_ma=60_000)
    run(rig, 2, (30_000, 30_000), [20_000, 20_000])
    assert closed(rig) == [0, 1]
    run(rig, 15, (30_000, 30_000), [20_000, 20_000])
    assert closed(rig) == [0, 1]
    assert rig.state.wait[0] == Wait.NO_ROOM
    run(rig, 11, (30_000, 30_000), [20_000, 20_000])
    assert closed(rig) == [1, 0]
    assert rig.state.reason[1] == Reason.GAVE_WAY
    assert rig.state.promoted[0] == 1
    run(rig, 6, (30_000, 30_000), [20_000, 20_000])
    assert rig.state.promoted[0] == 0, "it has run; now it stands on its own tier again"
    run(rig, 30, (30_000, 30_000), [20_000, 20_000])
    assert closed(rig) == [0, 1]


def test_the_last_tier_gives_way_first_and_nobody_in_vain(compiled: bool) -> None:
    loads = [Load(tier=1, demand_ma=20_000)] + [
        Load(tier=t, demand_ma=ma, min_on_ns=0) for t, ma in ((3, 25_000), (5, 21_000), (4, 4_000))
    ]
    rig = Rig(loads, compiled, limit_ma=80_000)
    draws = [20_000, 25_000, 21_000, 4_000]
    run(rig, 2, (0, 0), draws)
    rig.core.claim(0, 8, Reason.LIMIT, rig.now_ns)  # open for want of room
    run(rig, 15, (20_000, 20_000), draws)
    assert closed(rig) == [1, 1, 0, 1], "the one of tier 5 is enough"
    big = Rig([Load(tier=1, demand_ma=70_000), *loads[1:]], compiled, limit_ma=80_000)
    run(big, 2, (0, 0), draws)
    big.core.claim(0, 8, Reason.LIMIT, big.now_ns)
    run(big, 15, (20_000, 20_000), draws)
    assert closed(big) == [0, 1, 1, 1], "all of them together would not do"


def test_the_total_binds_where_the_legs_do_not(compiled: bool) -> None:
    more = More(rows=(Row(limit_ma=100_000),))
    rig = Rig([compute_load()], compiled, more=more)
    run(rig, 8, (30_000, 30_000), [52_000])
    # both legs and the compute twice: 60 A of household, 1.6 A margin, the rest shared by two legs
    assert rig.state.set_ma[0] == 19_200
    assert rig.state.reason_row[0] == 2
    assert rig.state.headroom_ma[2] == 100_000 - 60_000 - 2 * 19_200


def test_a_continuous_load_counts_one_and_a_quarter_on_a_rating(compiled: bool) -> None:
    more = More(rows=(Row(legs=(0,), limit_ma=50_000, metered=True, rating=True),))
    rig = Rig([evse_load(legs=(0,))], compiled, more=more)
    run(rig, 8, (10_000, 10_000), [48_000])
    # (50 - 1.6) A / 1.25, in whole amps
    assert rig.state.set_ma[0] == 38_000
    assert rig.state.row_ma[2] == 38_000


def test_a_row_whose_meter_is_old_gives_no_room(compiled: bool) -> None:
    more = More(rows=(Row(legs=(0,), limit_ma=50_000, metered=True, rating=True),))
    rig = Rig([evse_load(legs=(0,))], compiled, more=more)
    run(rig, 8, (10_000, 10_000), [48_000])
    rig.fixed.row_stale_ns[2] = -1
    run(rig, 1, (10_000, 10_000), [48_000])
    assert rig.state.set_ma[0] == 6_000
    assert rig.state.reason[0] == Reason.STALE
    assert rig.state.state[0] == State.DEGRADED


def test_heat_lowers_the_limit_and_never_raises_it(compiled: bool) -> None:
    rig = Rig([compute_load()], compiled, more=More(heat=Heat(ref_ma=150_000)))
    run(rig, 5, (120_000, 120_000), [52_000])
    assert rig.state.theta_ppm[0] > 750_000, "it starts hot"
    assert rig.state.binding[0] == LimitName.THERMAL
    assert rig.state.setpoint_limit_ma[0] < rig.state.limit_ma[0] <= 160_000
    run(rig, 90, (60_000, 60_000), [52_000])
    assert rig.state.binding[0] == LimitName.FSR
    assert rig.state.theta_ppm[0] < 750_000
    assert rig.state.trip_ms[0] == -1
    rig.read_all((300_000, 60_000), [rig.state.set_ma[0]])
    rig.step()
    assert 1_000 < rig.state.trip_ms[0] < 20_000
    assert rig.state.trip_ms[1] == -1


def test_credit_waits_out_a_short_excess_that_compliance_sheds(compiled: bool) -> None:
    def open_after(credit: bool) -> bool:
        heat = Heat(ref_ma=105_000, credit=credit)
        rig = Rig([Load(min_on_ns=0)], compiled, limit_ma=100_000, more=More(heat=heat))
        run(rig, 120, (20_000, 20_000), [20_000])
        run(rig, 5, (95_000, 20_000), [20_000])
        return closed(rig) == [0]

    assert open_after(credit=False)
    assert not open_after(credit=True)


def test_a_hot_breaker_is_relieved_without_waiting(compiled: bool) -> None:
    heat = Heat(ref_ma=105_000, share=1.0, fast_s=4.6, credit=True)
    rig = Rig([Load(min_on_ns=0)], compiled, limit_ma=100_000, more=More(heat=heat))
    run(rig, 30, (20_000, 20_000), [20_000])
    rig.fixed.confirm_ns[0] = 3600 * S
    run(rig, 20, (110_000, 20_000), [20_000])
    assert closed(rig) == [0]


def test_a_hard_limit_keeps_free_what_the_household_may_rise_by(compiled: bool) -> None:
    rig = Rig([compute_load()], compiled, more=More(hard=True, prior_ma=20_000))
    rig.fixed.react_ns[0] = 100 * MS
    run(rig, 8, (100_000, 100_000), [52_000])
    # the expected step of 20 A lies in the bin up to 24,576 mA
    assert rig.state.margin_ma[0] == 24_576
    assert rig.state.set_ma[0] == (60_000 - 24_576) // 10 * 10
    run(rig, 1800, (100_000, 100_000), [52_000])
    assert rig.state.margin_ma[0] < 4, "an hour of calm outweighs what was expected"
    run(rig, 0.1, (140_000, 100_000), [52_000])
    run(rig, 1, (100_000, 100_000), [52_000])
    calm = rig.state.margin_ma[0]
    for _ in range(20):
        run(rig, 0.1, (100_000, 100_000), [52_000])
        run(rig, 0.2, (130_000, 100_000), [52_000])
    assert rig.state.margin_ma[0] > 30_000 > calm


def test_a_calm_hour_keeps_the_margin_of_the_day(compiled: bool) -> None:
    """A clock that is wrong may name any hour: what it names never lowers the margin."""
    rig = Rig([compute_load()], compiled, more=More(hard=True, prior_ma=0))
    rig.fixed.react_ns[0] = 100 * MS
    place = (0 * 24 + 18) * 48 + 28  # at 18 o'clock the household rises by 16 to 24 A, often
    rig.state.steps[place] = 1_000_000
    rig.state.hour_offset_ns[0] = 3 * 3_600 * S
    run(rig, 2, (100_000, 100_000), [52_000])
    assert rig.state.margin_ma[0] == 24_576
    rig.state.hour_offset_ns[0] = 18 * 3_600 * S
    run(rig, 1, (100_000, 100_000), [52_000])
    assert rig.state.margin_ma[0] == 24_576


def test_a_start_forgets_nothing(compiled: bool) -> None:
    rig = Rig([compute_load()], compiled, more=More(hard=True, prior_ma=0))
    rig.state.steps[18 * 48 + 28] = 1_000_000
    rig.state.hour_offset_ns[0] = 18 * 3_600 * S
    run(rig, 2, (100_000, 100_000), [52_000])
    assert rig.state.steps[18 * 48 + 28] == 1_000_000


def test_on_a_hard_limit_a_restore_needs_room_for_the_inrush(compiled: bool) -> None:
    def restored(hard: bool) -> bool:
        motor = Load(demand_ma=10_000, inrush_ma=60_000)
        rig = Rig([motor], compiled, limit_ma=60_000, more=More(hard=hard, prior_ma=0))
        run(rig, 2, (10_000, 10_000), [10_000])
        run(rig, 2, (58_000, 20_000), [10_000])
        run(rig, 20, (10_000, 10_000), [10_000])
        return closed(rig) == [1]

    assert restored(hard=False)
    assert not restored(hard=True)


def test_credit_is_the_breakers_own_and_passes_nobody_elses_limit(compiled: bool) -> None:
    heat = Heat(ref_ma=105_000, credit=True)
    rig = Rig([Load(min_on_ns=0)], compiled, limit_ma=100_000, more=More(heat=heat))
    run(rig, 120, (20_000, 20_000), [20_000])
    assert rig.state.shed_limit_ma[0] == 125_000
    rig.state.limit_on[1] = 1
    for r in range(2):
        rig.state.limit_value_ma[rig.fixed.rows + r] = 60_000
    run(rig, 1, (20_000, 20_000), [20_000])
    assert rig.state.shed_limit_ma[0] == 60_000
    run(rig, 2, (45_000, 20_000), [20_000])
    assert closed(rig) == [0]


def test_a_hard_limit_gives_no_credit(compiled: bool) -> None:
    heat = Heat(ref_ma=105_000, credit=True)
    rig = Rig([Load()], compiled, limit_ma=100_000, more=More(heat=heat, hard=True))
    run(rig, 120, (20_000, 20_000), [20_000])
    assert rig.state.shed_limit_ma[0] == 100_000


def test_a_relay_that_dropped_out_keeps_its_minimum_off_time(compiled: bool) -> None:
    rig = Rig([Load(min_off_ns=30 * S, max_off_ns=60 * S)], compiled)
    run(rig, 3, (10_000, 10_000), [10_000])
    rig.now_ns += 3600 * S
    run(rig, 3, (10_000, 10_000), [10_000])
    for _ in range(30):
        rig.read_all((10_000, 10_000), [0])
        rig.read(rig.fixed.relay_slot[0], 0)
        rig.step()
    assert rig.state.reason[0] == Reason.MOVED
    assert rig.state.claims[0] == Claim.PCS, "it is followed"
    run(rig, 15, (10_000, 10_000), [0])
    assert closed(rig) == [0]
    assert rig.state.promoted[0] == 0
    run(rig, 30, (10_000, 10_000), [0])
    assert closed(rig) == [1]


def test_a_motor_that_was_shed_while_it_started_comes_back(compiled: bool) -> None:
    rig = Rig([Load(demand_ma=20_000, min_on_ns=0)], compiled, limit_ma=100_000)
    run(rig, 2, (30_000, 30_000), [20_000])
    run(rig, 2, (30_000, 30_000), [75_000])
    assert closed(rig) == [0]
    run(rig, 10, (30_000, 30_000), [20_000])
    assert closed(rig) == [0], "what it drew may be what it draws"
    run(rig, 15, (30_000, 30_000), [20_000])
    assert closed(rig) == [1]


def test_one_that_can_never_fit_does_not_block_the_next(compiled: bool) -> None:
    loads = [
        Load(tier=1, demand_ma=79_000),
        Load(tier=2, demand_ma=20_000),
        Load(tier=9, demand_ma=25_000, min_on_ns=0),
    ]
    rig = Rig(loads, compiled, limit_ma=80_000)
    run(rig, 2, (0, 0), [0, 0, 25_000])
    for i in (0, 1):
        rig.core.claim(i, 8, Reason.LIMIT, rig.now_ns)
    run(rig, 20, (30_000, 30_000), [79_000, 20_000, 25_000])
    assert closed(rig) == [0, 1, 0]
    assert rig.state.wait[0] == Wait.NO_ROOM


def test_a_charger_without_a_meter_falls_to_a_fallback_of_nothing(compiled: bool) -> None:
    rig = Rig([evse_load(fallback_ma=0)], compiled)
    run(rig, 3, (10_000, 10_000), [48_000])
    rig.fixed.stale_ns[0] = -1
    run(rig, 1, (10_000, 10_000), [48_000])
    assert rig.state.set_ma[0] == 0


@pytest.mark.parametrize("state", ["welded", "stale"])
def test_a_feeder_without_a_meter_believes_its_loads_meters(compiled: bool, state: str) -> None:
    more = More(rows=(Row(legs=(0,), every=1, limit_ma=50_000, rating=True),))
    loads = [Load(legs=(0,), demand_ma=30_000), evse_load(legs=(0,))]
    rig = Rig(loads, compiled, more=more)
    run(rig, 5, (10_000, 10_000), [0, 48_000])
    assert rig.state.set_ma[1] == 38_000
    if state == "welded":  # a fault has it open, its meter shows what flows
        rig.state.claims[0], rig.state.closed[0] = 32, 0
        for _ in range(30):
            rig.read_all((40_000, 10_000), [0, min(48_000, rig.state.set_ma[1])])
            rig.read(rig.fixed.slot[0], 30_000)
            rig.step()
    else:
        rig.fixed.stale_ns[0] = -1
        run(rig, 3, (10_000, 10_000), [0, 48_000])
    assert rig.state.row_ma[2] >= 30_000
    # 50 A less 30 A of the other and the margin, at 1.25
    assert rig.state.set_ma[1] <= 15_000


def test_a_metered_feeder_opens_one_and_waits_for_its_meter(compiled: bool) -> None:
    """A slow meter still shows what was just opened; nothing more is opened for that."""
    more = More(rows=(Row(legs=(0,), limit_ma=50_000, metered=True),))
    loads = [Load(legs=(0,), tier=t, min_on_ns=0, demand_ma=10_000) for t in range(4)]
    rig = Rig(loads, compiled, more=more)
    rig.fixed.relay_confirm_ns[0] = 3 * S
    run(rig, 3, (5_000, 5_000), [10_000] * 4)
    slot, seen = rig.fixed.row_slot[2], (0, 0)
    for n in range(60):
        rig.read_all((15_000, 5_000), [10_000] * 4)
        for i in range(4):  # the relays are read a little before the mains, as on a line
            rig.sampled_ns[rig.fixed.relay_slot[i]] -= 50 * MS
        if n % 10:
            rig.value[slot], rig.sampled_ns[slot] = seen
        else:
            carried = 15_000 + sum(10_000 * c for c in closed(rig))
            rig.read(slot, carried)
            seen = (carried, rig.now_ns)
        rig.step()
    assert closed(rig) == [1, 1, 1, 0]


def test_nobody_takes_the_room_that_an_earlier_one_is_having_made(compiled: bool) -> None:
    loads = [
        Load(tier=1, demand_ma=30_000),
        Load(tier=5, demand_ma=20_000, min_on_ns=60 * S),
        Load(tier=9, demand_ma=20_000, min_on_ns=0),
    ]
    rig = Rig(loads, compiled, limit_ma=80_000)
    draws = [30_000, 20_000, 20_000]
    run(rig, 2, (0, 0), [0, 0, 20_000])
    for i in (0, 1):
        rig.core.claim(i, 8, Reason.LIMIT, rig.now_ns)
    run(rig, 20, (27_000, 27_000), draws)
    assert closed(rig) == [1, 0, 0]


@pytest.mark.parametrize("every", [1, 5])
def test_two_chargers_on_a_feeder_do_not_chase_each_other(compiled: bool, every: int) -> None:
    """A feeder's meter that is read less often than the mains gives no room that is not there."""
    more = More(rows=(Row(legs=(0,), limit_ma=50_000, metered=True),))
    rig = Rig([evse_load(legs=(0,), ramp_ma_s=10_000) for _ in range(2)], compiled, more=more)
    slot, seen = rig.fixed.row_slot[2], (0, 0)
    for n in range(300):
        draws = rig.state.set_ma.tolist()
        carried = 20_000 + sum(draws)
        assert carried <= 50_000
        rig.read_all((20_000, 20_000), draws)
        if n % every == 0:
            rig.read(slot, carried)
            seen = (carried, rig.now_ns)
        else:
            rig.value[slot], rig.sampled_ns[slot] = seen
        rig.step()
    assert sum(rig.state.set_ma) >= 26_000, "and what is there is used"


def test_a_margin_leaves_three_quarters_of_a_hard_limit(compiled: bool) -> None:
    more = More(hard=True, prior_ma=60_000)
    rig = Rig([compute_load()], compiled, limit_ma=48_000, more=more)
    run(rig, 8, (3_000, 3_000), [52_000])
    assert rig.state.margin_ma[0] == 12_000
    assert rig.state.set_ma[0] == 48_000 - 12_000 - 3_000
