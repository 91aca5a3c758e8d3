"""Sources, busbar and reduced neutral, over both cores: what may fall away is never counted on."""

from __future__ import annotations

import pytest

from panelctl.model.metering import Quality
from panelctl.model.reason import Reason
from tests.core_cases import MS, Feed, Load, More, Rig, Row, S, compute_load, evse_load


@pytest.fixture(params=[True, False], ids=["compiled", "reference"])
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


def both(share_ppm: int, battery: bool = False) -> tuple[Feed, ...]:
    return tuple(Feed(leg=leg, share_ppm=share_ppm, battery=battery) for leg in (0, 1))


@pytest.mark.parametrize("share_ppm", [0, 500_000, 1_000_000])
def test_only_the_firm_part_of_a_source_is_credited(compiled: bool, share_ppm: int) -> None:
    rig = Rig([compute_load()], compiled, limit_ma=60_000, more=More(feeds=both(share_ppm)))
    run(rig, 12, (30_000, 30_000), [52_000], (20_000, 20_000))
    credit = 20_000 * share_ppm // 1_000_000
    assert rig.state.firm_ma[0] == credit
    assert rig.state.wary_ma[0] == 20_000 - credit
    # the limit, less 30 A of household and the margin, and what of the 20 A is there to stay
    assert rig.state.set_ma[0] == 60_000 - 30_000 - 1_600 + credit
    assert rig.state.row_ma[0] == 30_000 - 20_000 + rig.state.set_ma[0]


def test_a_source_that_vanishes_never_passes_the_limit_without_credit(compiled: bool) -> None:
    rig = Rig([compute_load()], compiled, limit_ma=60_000, more=More(feeds=both(0)))
    run(rig, 12, (30_000, 30_000), [52_000], (25_000, 25_000))
    draw = rig.state.set_ma[0]
    assert 30_000 + draw <= 60_000, "what the leg carries the moment the inverter trips"
    run(rig, 3, (30_000, 30_000), [52_000], (0, 0))
    assert rig.state.set_ma[0] == draw, "and nothing has to give way for it"


def test_no_relay_opens_for_what_might_fall_away(compiled: bool) -> None:
    rig = Rig([Load(min_on_ns=0)], compiled, limit_ma=60_000, more=More(feeds=both(0)))
    run(rig, 5, (50_000, 50_000), [20_000], (40_000, 40_000))
    assert rig.state.closed[0] == 1
    run(rig, 2, (50_000, 50_000), [20_000], (5_000, 5_000))
    assert rig.state.closed[0] == 0, "when it has fallen away, it does"
    run(rig, 20, (30_000, 30_000), [20_000], (40_000, 40_000))
    assert rig.state.closed[0] == 0, "and it does not come back on what may fall away again"


def test_firm_is_the_least_of_the_last_windows(compiled: bool) -> None:
    rig = Rig([compute_load()], compiled, more=More(feeds=both(1_000_000)))
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
    rig = Rig([compute_load()], compiled, limit_ma=80_000, more=More(feeds=both(1_000_000)))
    run(rig, 8, (30_000, 30_000), [52_000], (20_000, 20_000))
    assert rig.state.set_ma[0] == 52_000
    rig.fixed.feed_stale_ns[0] = -1
    run(rig, 0.2, (30_000, 30_000), [52_000], (20_000, 20_000))
    assert (rig.state.out_ma[0], rig.state.firm_ma[0]) == (40_000, 0)
    assert rig.state.set_ma[0] < 40_000
    rig.fixed.feed_stale_ns[0] = 3 * S
    run(rig, 1.5, (30_000, 30_000), [52_000], (20_000, 20_000))
    assert rig.state.firm_ma[0] == 0, "credit is earned anew"


def test_a_battery_that_charges_gives_nothing(compiled: bool) -> None:
    rig = Rig([compute_load()], compiled, limit_ma=80_000, more=More(feeds=both(0, battery=True)))
    run(rig, 3, (30_000, 30_000), [52_000], (-15_000, -15_000))
    assert rig.state.out_ma[0] == 0
    assert rig.state.row_ma[0] == 45_000 + rig.state.set_ma[0]
    run(rig, 3, (30_000, 30_000), [52_000], (15_000, 15_000))
    assert rig.state.out_ma[0] == rig.state.wary_ma[0] == 15_000


def test_the_busbar_carries_what_the_lugs_and_the_sources_bring(compiled: bool) -> None:
    rows = (Row(legs=(0,), limit_ma=70_000, bus=True), Row(legs=(1,), limit_ma=70_000, bus=True))
    more = More(rows=rows, feeds=both(1_000_000))
    rig = Rig([compute_load()], compiled, limit_ma=60_000, more=more)
    run(rig, 12, (30_000, 30_000), [52_000], (30_000, 30_000))
    # with all 30 A firm the lugs would leave 58.4 A
    assert rig.state.set_ma[0] == 70_000 - 30_000 - 1_600
    assert rig.state.reason_row[0] in (2, 3)
    assert rig.state.row_ma[2] == 30_000 + rig.state.set_ma[0]


def test_export_is_no_load_of_the_lugs_but_one_of_the_busbar(compiled: bool) -> None:
    rows = (Row(legs=(0,), limit_ma=70_000, bus=True),)
    rig = Rig([compute_load()], compiled, more=More(rows=rows, feeds=both(0)))
    run(rig, 3, (10_000, 10_000), [0], (40_000, 40_000))
    assert rig.state.row_ma[2] == 10_000


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
    assert rig.state.wary_ma[2] == 15_000
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


def test_a_direction_that_is_not_known_counts_against_us(compiled: bool) -> None:
    rig = Rig([compute_load()], compiled, more=More(rows=NEUTRAL, feeds=both(0)))
    for exporting in (False, True):
        run(rig, 1, (20_000, 20_000), [0], (0, 60_000 if exporting else 0))
        carried = rig.state.row_ma[2]
        # leg b exports 40 A: through the neutral flows what leg a takes and leg b gives
        assert carried == (60_000 if exporting else 0)
    rig.read_all((20_000, 20_000), [0])
    rig.read(3, 0, Quality.INVALID)
    rig.step(100 * MS)
    assert rig.state.row_ma[2] == 40_000
