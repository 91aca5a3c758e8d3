"""Sources, busbar and reduced neutral, over both cores: what may fall away is never counted on."""

from __future__ import annotations

import pytest

from panelctl.model.metering import Quality
from panelctl.model.reason import Reason, State
from tests.core_cases import MS, Load, More, Rig, Row, S, SourceLeg, compute_load, evse_load


@pytest.fixture(params=[True, False], ids=["compiled", "interpreted"])
def compiled(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def run(
    rig: Rig,
    seconds: float,
    house: tuple[int, int],
    draws: list[int],
    given: tuple[int, ...] = (),
) -> None:
    """Steps at 10 Hz; a modulated load draws at most its set-point."""
    for _ in range(round(seconds * 10)):
        now = [
            min(draw, rig.state.set_ma[i]) if rig.loads[i].kind else draw
            for i, draw in enumerate(draws)
        ]
        rig.read_all(house, now, given)
        rig.step()


def both(
    share_ppm: int, battery: bool = False, most_ma: int = SourceLeg.most_ma
) -> tuple[SourceLeg, ...]:
    return tuple(
        SourceLeg(leg=leg, share_ppm=share_ppm, battery=battery, most_ma=most_ma) for leg in (0, 1)
    )


@pytest.mark.parametrize("share_ppm", [0, 500_000, 1_000_000])
def test_only_the_firm_part_of_a_source_is_credited(compiled: bool, share_ppm: int) -> None:
    rig = Rig([compute_load()], compiled, limit_ma=60_000, more=More(source_legs=both(share_ppm)))
    run(rig, 12, (30_000, 30_000), [52_000], (20_000, 20_000))
    credit = 20_000 * share_ppm // 1_000_000
    assert rig.state.firm_ma[0] == credit
    assert rig.state.contingency_ma[0] == 20_000 - credit
    # the limit, less 30 A of household and the margin, and what of the 20 A is there to stay
    assert rig.state.set_ma[0] == 60_000 - 30_000 - 1_600 + credit
    assert rig.state.row_ma[0] == 30_000 - 20_000 + rig.state.set_ma[0]


def test_a_source_that_vanishes_never_passes_the_limit_without_credit(compiled: bool) -> None:
    rig = Rig([compute_load()], compiled, limit_ma=60_000, more=More(source_legs=both(0)))
    run(rig, 12, (30_000, 30_000), [52_000], (25_000, 25_000))
    draw = rig.state.set_ma[0]
    assert 30_000 + draw <= 60_000, "what the leg carries the moment the inverter trips"
    run(rig, 3, (30_000, 30_000), [52_000], (0, 0))
    assert rig.state.set_ma[0] == draw, "and nothing has to give way for it"


def test_no_relay_opens_for_what_might_fall_away(compiled: bool) -> None:
    rig = Rig([Load(min_on_ns=0)], compiled, limit_ma=60_000, more=More(source_legs=both(0)))
    run(rig, 5, (50_000, 50_000), [20_000], (40_000, 40_000))
    assert rig.state.closed[0] == 1
    run(rig, 2, (50_000, 50_000), [20_000], (5_000, 5_000))
    assert rig.state.closed[0] == 0, "when it has fallen away, it does"
    run(rig, 20, (40_000, 40_000), [20_000], (40_000, 40_000))
    assert rig.state.closed[0] == 0, "and it does not come back on what may fall away again"
    run(rig, 20, (30_000, 30_000), [20_000], (40_000, 40_000))
    assert rig.state.closed[0] == 1, "only into room that is there without the sun"


def test_firm_is_the_least_of_the_last_windows(compiled: bool) -> None:
    rig = Rig([compute_load()], compiled, more=More(source_legs=both(1_000_000)))
    run(rig, 1.5, (30_000, 30_000), [0], (20_000, 20_000))
    assert rig.state.firm_ma[0] == 0, "nothing is firm before a whole window has been seen"
    run(rig, 6, (30_000, 30_000), [0], (20_000, 20_000))
    assert rig.state.firm_ma[0] == 20_000
    run(rig, 0.1, (30_000, 30_000), [0], (8_000, 8_000))
    assert rig.state.firm_ma[0] == 8_000
    run(rig, 1.9, (30_000, 30_000), [0], (20_000, 20_000))
    assert rig.state.firm_ma[0] == 8_000
    run(rig, 4.2, (30_000, 30_000), [0], (20_000, 20_000))
    assert rig.state.firm_ma[0] == 20_000


def test_a_source_that_is_not_read_may_give_all_and_nothing(compiled: bool) -> None:
    rig = Rig([compute_load()], compiled, limit_ma=80_000, more=More(source_legs=both(1_000_000)))
    run(rig, 8, (30_000, 30_000), [52_000], (20_000, 20_000))
    assert rig.state.set_ma[0] == 52_000
    rig.fixed.source_stale_ns[0] = -1
    run(rig, 0.2, (30_000, 30_000), [52_000], (20_000, 20_000))
    assert (rig.state.may_ma[0], rig.state.firm_ma[0]) == (40_000, 0)
    assert rig.state.set_ma[0] < 40_000
    rig.fixed.source_stale_ns[0] = 3 * S
    run(rig, 1.5, (30_000, 30_000), [52_000], (20_000, 20_000))
    assert rig.state.firm_ma[0] == 0, "credit is earned anew"


def test_a_battery_that_charges_gives_nothing(compiled: bool) -> None:
    rig = Rig(
        [compute_load()], compiled, limit_ma=80_000, more=More(source_legs=both(0, battery=True))
    )
    run(rig, 3, (30_000, 30_000), [52_000], (-15_000, -15_000))
    assert rig.state.out_ma[0] == 0
    assert rig.state.row_ma[0] == 45_000 + rig.state.set_ma[0]
    run(rig, 3, (30_000, 30_000), [52_000], (15_000, 15_000))
    assert rig.state.out_ma[0] == rig.state.contingency_ma[0] == 15_000


def test_the_busbar_carries_what_the_lugs_and_the_sources_bring(compiled: bool) -> None:
    rows = (Row(legs=(0,), limit_ma=70_000, bus=True), Row(legs=(1,), limit_ma=70_000, bus=True))
    more = More(rows=rows, source_legs=both(1_000_000))
    rig = Rig([compute_load()], compiled, limit_ma=60_000, more=more)
    run(rig, 12, (30_000, 30_000), [52_000], (30_000, 30_000))
    # with all 30 A firm the lugs would leave 58.4 A
    assert rig.state.set_ma[0] == 70_000 - 30_000 - 1_600
    assert rig.state.reason_row[0] in (2, 3)
    assert rig.state.row_ma[2] == 30_000 + rig.state.set_ma[0]


def test_export_is_no_load_of_the_lugs_but_one_of_the_busbar(compiled: bool) -> None:
    rows = (Row(legs=(0,), limit_ma=70_000, bus=True),)
    rig = Rig([compute_load()], compiled, more=More(rows=rows, source_legs=both(0)))
    run(rig, 3, (10_000, 10_000), [0], (40_000, 40_000))
    assert rig.state.row_ma[2] == 10_000
    assert (rig.state.row_ma[0], rig.state.flow_ma[0]) == (0, -30_000)


@pytest.mark.parametrize("sun", [0, 15_000, 40_000])
def test_without_credit_the_sun_neither_gives_nor_takes(compiled: bool, sun: int) -> None:
    """Night, morning and an export at noon: the node gets what it would without a roof."""
    rig = Rig([compute_load()], compiled, limit_ma=60_000, more=More(source_legs=both(0)))
    run(rig, 12, (10_000, 10_000), [52_000], (sun, sun))
    assert rig.state.set_ma[0] == 60_000 - 10_000 - 1_600


def test_an_export_sheds_nobody(compiled: bool) -> None:
    """A lease of 47 A in all, 50 A of sun a leg, 10 A of household: what flows, flows out."""
    more = More(
        rows=(Row(limit_ma=47_000),),
        source_legs=tuple(SourceLeg(leg=n, most_ma=60_000) for n in (0, 1)),
    )
    loads = [Load(min_on_ns=0), Load(legs=(0,), min_on_ns=0)]
    rig = Rig(loads, compiled, limit_ma=20_000, more=more)
    run(rig, 6, (4_000, 4_000), [5_000, 5_000], (50_000, 50_000))
    assert rig.state.closed.tolist() == [1, 1]
    assert rig.state.flow_ma[2] == 2 * (4_000 + 5_000 - 50_000) + 5_000


def test_a_transformer_the_wrong_way_round_is_no_export(compiled: bool) -> None:
    """The power says out, and nothing behind the lugs could give that: it counts as in."""
    rig = Rig([compute_load()], compiled, limit_ma=60_000)
    for _ in range(60):
        rig.read_all((30_000, 30_000), [min(52_000, rig.state.set_ma[0])])
        rig.read(2, -abs(rig.value[2]))
        rig.step()
    assert rig.state.row_ma[0] == 30_000 + rig.state.set_ma[0]
    assert rig.state.set_ma[0] == 60_000 - 30_000 - 1_600


def test_a_direction_that_is_old_is_none(compiled: bool) -> None:
    rig = Rig([compute_load()], compiled, limit_ma=60_000, more=More(source_legs=both(0)))
    run(rig, 3, (10_000, 10_000), [0], (40_000, 40_000))
    assert rig.state.flow_ma[0] == -30_000
    old = rig.sampled_ns[2]
    for _ in range(20):
        rig.read_all((10_000, 10_000), [0], (40_000, 40_000))
        rig.sampled_ns[2] = old
        rig.step()
    assert rig.state.flow_ma[0] == 30_000


def test_a_battery_whose_power_is_not_read_earns_nothing(compiled: bool) -> None:
    rig = Rig([compute_load()], compiled, more=More(source_legs=both(1_000_000, battery=True)))
    for _ in range(80):
        rig.read_all((30_000, 30_000), [0], (15_000, 15_000))
        rig.read(rig.fixed.source_w_slot[0], 0, Quality.INVALID)
        rig.step()
    assert (rig.state.firm_ma[0], rig.state.firm_ma[1]) == (0, 15_000)
    assert rig.state.contingency_ma[0] == 15_000


def test_a_busbar_is_not_shed_for_a_source_that_is_not_read(compiled: bool) -> None:
    more = More(rows=(Row(legs=(0,), limit_ma=70_000, bus=True),), source_legs=both(0))
    rig = Rig([Load(min_on_ns=0), compute_load()], compiled, limit_ma=80_000, more=more)
    run(rig, 6, (30_000, 30_000), [10_000, 52_000], (20_000, 20_000))
    rig.fixed.source_stale_ns[0] = -1
    run(rig, 3, (30_000, 30_000), [10_000, 52_000], (20_000, 20_000))
    assert rig.state.closed[0] == 1
    assert rig.state.contingency_ma[2] == 20_000, "40 A may be given, 20 A were last"
    assert rig.state.set_ma[1] < 20_000


def test_one_bad_reading_of_the_mains_changes_nothing(compiled: bool) -> None:
    rows = (Row(legs=(0,), limit_ma=70_000, bus=True), Row(limit_ma=150_000))
    rig = Rig([compute_load()], compiled, more=More(rows=rows, source_legs=both(0)))
    rig.fixed.row_stale_ns[2] = rig.fixed.row_stale_ns[3] = 0  # of the mains
    run(rig, 12, (30_000, 30_000), [52_000], (5_000, 5_000))
    before = rig.state.set_ma[0]
    rig.read_all((30_000, 30_000), [before], (5_000, 5_000))
    rig.read(1, 0, Quality.INVALID)
    rig.step()
    assert rig.state.set_ma[0] == before
    assert rig.state.state[0] == State.NORMAL


NEUTRAL = (
    Row(legs=(0,), limit_ma=30_000, neutral=True),
    Row(legs=(1,), limit_ma=30_000, neutral=True),
)


def test_a_reduced_neutral_binds_loads_of_one_leg(compiled: bool) -> None:
    """30 A of neutral: what leg a carries more than leg b."""
    rig = Rig([evse_load(legs=(0,)), compute_load()], compiled, more=More(rows=NEUTRAL))
    run(rig, 8, (20_000, 10_000), [48_000, 52_000])
    # 10 A of difference are the household's; 30 A less that, the margin, and whole amps
    assert rig.state.set_ma[0] == 18_000
    assert rig.state.reason_row[0] == 2
    assert rig.state.set_ma[1] == 52_000, "what flows between the legs has no part in it"
    assert rig.state.row_ma[2] == 28_000
    assert rig.state.row_ma[3] == 0


def test_what_relieves_the_neutral_and_may_go_is_not_counted_on(compiled: bool) -> None:
    """A load of the other leg that panelctl could open gives no room on the neutral."""
    loads = [evse_load(legs=(0,)), Load(legs=(1,), demand_ma=15_000)]
    rig = Rig(loads, compiled, more=More(rows=NEUTRAL))
    run(rig, 8, (20_000, 10_000), [48_000, 15_000])
    assert rig.state.contingency_ma[2] == 15_000
    assert rig.state.set_ma[0] == 18_000
    rig.core.claim(1, 2, Reason.USER, rig.now_ns)
    run(rig, 0.3, (20_000, 10_000), [48_000, 15_000])
    assert rig.state.row_ma[2] <= 30_000, "it went, and the neutral still holds"


def test_a_neutral_that_is_over_opens_a_load_of_the_heavy_leg(compiled: bool) -> None:
    loads = [Load(legs=(0,), min_on_ns=0), Load(legs=(1,), min_on_ns=0), Load(min_on_ns=0)]
    rig = Rig(loads, compiled, more=More(rows=NEUTRAL))
    run(rig, 2, (20_000, 20_000), [20_000, 5_000, 20_000])
    run(rig, 2, (45_000, 20_000), [20_000, 5_000, 20_000])
    assert rig.state.closed.tolist() == [0, 1, 1]
    assert rig.state.reason_row[0] == 2
    assert rig.state.row_ma[2] == 20_000


def test_a_neutral_leaves_room_when_the_other_leg_is_the_heavy_one(compiled: bool) -> None:
    """Three circuits a leg; one that its user opened and closed again must not wait for ever."""
    rows = tuple(Row(legs=(n,), limit_ma=60_000, neutral=True) for n in (0, 1))
    loads = [Load(legs=(n % 2,), demand_ma=15_000, min_off_ns=0) for n in range(6)]
    rig = Rig(loads, compiled, more=More(rows=rows))
    run(rig, 2, (10_000, 10_000), [15_000] * 6)
    rig.core.claim(0, 2, Reason.USER, rig.now_ns)
    run(rig, 2, (10_000, 10_000), [15_000] * 6)
    rig.core.release(0, 2, rig.now_ns)
    run(rig, 10, (10_000, 10_000), [15_000] * 6)
    assert rig.state.closed[0] == 1


def test_a_dryer_loads_the_neutral_with_its_drum(compiled: bool) -> None:
    """Two CTs, 30 A and 20 A: the 10 A between them flow in the neutral, on either side."""
    loads = [Load(two_cts=True, min_on_ns=0), compute_load()]
    rig = Rig(loads, compiled, more=More(rows=NEUTRAL))
    for _ in range(40):
        rig.read_all((10_000, 10_000), [20_000, 5_000])
        rig.read(rig.fixed.slot[0], 30_000)
        rig.read(0, 10_000 + 30_000 + 5_000)
        rig.step()
    assert rig.state.row_ma[2] == 10_000
    assert rig.state.meas_ma[2] == 10_000, "what leg a draws more"
    assert (rig.state.contingency_ma[2], rig.state.contingency_ma[3]) == (0, 10_000)
    for _ in range(40):  # and a household that leaves no room for it
        rig.read_all((32_000, 8_000), [20_000, 5_000])
        if rig.state.closed[0]:
            rig.read(rig.fixed.slot[0], 30_000)
            rig.read(0, 32_000 + 30_000 + 5_000)
        rig.step()
    assert rig.state.closed[0] == 0
    assert rig.state.reason_row[0] == 2


def test_a_direction_that_is_not_known_counts_against_us(compiled: bool) -> None:
    rig = Rig([compute_load()], compiled, more=More(rows=NEUTRAL, source_legs=both(0)))
    for exporting in (False, True):
        run(rig, 1, (20_000, 20_000), [0], (0, 60_000 if exporting else 0))
        carried = rig.state.row_ma[2]
        # leg b exports 40 A: through the neutral flows what leg a takes and leg b gives
        assert carried == (60_000 if exporting else 0)
    rig.read_all((20_000, 20_000), [0])
    rig.read(3, 0, Quality.INVALID)
    rig.step(100 * MS)
    assert rig.state.row_ma[2] == 40_000


@pytest.mark.parametrize("two_cts", [False, True])
def test_balanced_set_points_are_no_load_of_the_neutral(compiled: bool, two_cts: bool) -> None:
    loads = [compute_load(two_cts=two_cts), evse_load(two_cts=two_cts)]
    rig = Rig(loads, compiled, more=More(rows=NEUTRAL))
    run(rig, 20, (10_000, 10_000), [52_000, 48_000])
    assert rig.state.set_ma.tolist() == [52_000, 48_000]


def test_a_source_that_falls_earns_no_room_before_the_mains_show_it(compiled: bool) -> None:
    """The inverter trips, and its zero is read before the mains' next sample."""
    loads = [evse_load(max_ma=80_000, step_ma=1_000, tier=4), compute_load()]
    rig = Rig(loads, compiled, limit_ma=60_000, more=More(source_legs=both(0)))
    run(rig, 12, (10_000, 10_000), [80_000, 52_000], (40_000, 40_000))
    before = rig.state.set_ma.tolist()
    assert sum(before) > 40_000
    for _ in range(4):
        for j in (0, 1):
            rig.read(rig.fixed.source_slot[j], 0)
        for slot in (s for s in rig.fixed.slot if s >= 0):
            rig.read(slot, rig.value[slot])
        rig.step()
        assert rig.state.set_ma.tolist() == before


def test_a_silent_source_explains_no_export(compiled: bool) -> None:
    """Both transformers are put on backwards, and the inverter is silent, as by night."""
    loads = [compute_load(relay=False), Load(min_on_ns=0)]
    more = More(source_legs=both(0, most_ma=60_000))
    rig = Rig(loads, compiled, limit_ma=40_000, more=more)
    for _ in range(60):
        for j in (0, 1):
            rig.fixed.source_stale_ns[j] = -1
        draw = min(52_000, rig.state.set_ma[0])
        rig.read_all((40_000, 40_000), [draw, 15_000])
        for slot in (2, 3):
            rig.read(slot, -abs(rig.value[slot]))
        rig.step()
    assert rig.state.row_ma[0] >= 40_000
    assert rig.state.closed[1] == 0


def test_what_the_other_leg_draws_earns_room_only_once_its_load_is_seen(compiled: bool) -> None:
    """A 15 A circuit of leg b starts, and its own meter shows it a second and a half later."""
    loads = [Load(legs=(1,), demand_ma=15_000), evse_load(legs=(0,))]
    rig = Rig(loads, compiled, more=More(rows=NEUTRAL))
    run(rig, 8, (20_000, 20_000), [0, 48_000])
    slot = rig.fixed.slot[1]
    kept_ma = rig.state.rest_ma[2]
    for _ in range(15):
        before = rig.sampled_ns[slot], rig.value[slot]
        rig.read_all((20_000, 20_000), [15_000, min(48_000, rig.state.set_ma[1])])
        rig.sampled_ns[slot], rig.value[slot] = before
        rig.step()
        assert rig.state.rest_ma[2] + rig.state.contingency_ma[2] >= kept_ma, "in no cycle"
    run(rig, 6, (20_000, 20_000), [15_000, 48_000])
    assert rig.state.set_ma[1] <= 32_000, "what it draws when the other leg's circuit stops"


def test_a_battery_that_may_be_charging_explains_no_export(compiled: bool) -> None:
    rig = Rig(
        [compute_load()], compiled, limit_ma=60_000, more=More(source_legs=both(0, battery=True))
    )
    for _ in range(20):
        rig.read_all((30_000, 30_000), [5_000], (20_000, 20_000))
        for slot in (2, 3):
            rig.read(slot, -abs(rig.value[slot]))
        for j in (0, 1):
            rig.read(rig.fixed.source_w_slot[j], 0, Quality.INVALID)
        rig.step()
    assert rig.state.flow_ma[0] == 15_000
