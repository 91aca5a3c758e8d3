"""Read planning and wire time: the device's rules are kept, and the cheapest plan is found."""

from __future__ import annotations

from itertools import combinations, pairwise
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from panelctl.config.load import read_panel
from panelctl.modbus.busplan import plan_bus
from panelctl.modbus.maps import RegisterMap, load_map, parse_map
from panelctl.modbus.plan import plan_blocks, resync_span
from panelctl.modbus.wire import Wire
from tests.unit.test_maps import HEAD

WIRE = Wire.rtu(9600, "N", 1)


def test_wire_time_of_a_known_transaction() -> None:
    # 11 bits a character at 9600 baud, 10 registers, silences only: 45.83 ms (performance figures).
    wire = Wire.rtu(9600, "N", 2)
    assert abs(wire.read_ns("input", 10, 0) / 1e6 - 45.83) < 0.1


def test_fast_silence_can_be_fixed() -> None:
    assert Wire.rtu(115200, "N", 1, 1750).silence_ns == 1_750_000


def test_em540_mains_is_one_read() -> None:
    device = load_map("carlo_gavazzi_em540")
    blocks = plan_blocks(device, ["l1_a", "l2_a", "l1_w", "l2_w"], WIRE)
    assert [(b.span.address, b.span.count) for b in blocks] == [(12, 10)]
    assert blocks[0].twin is not None
    assert blocks[0].twin.count != blocks[0].span.count


def test_a_resync_read_has_another_shape() -> None:
    for name in ("carlo_gavazzi_em540", "wirenboard_wb_map12e", "wirenboard_wb_mr6cu"):
        device = load_map(name)
        for point in list(device.points.values())[:5]:
            blocks = plan_blocks(device, [point.name], WIRE)
            span = resync_span(device, blocks[0].span)
            assert span is not None
            assert (span.table, span.count) != (blocks[0].span.table, blocks[0].span.count)


def device_of(addresses: list[int], barriers: list[int], isolated: list[int]) -> RegisterMap:
    text = HEAD + f"barriers = {barriers}\nisolated = {isolated}\nreads_gaps = true\n"
    for address in addresses:
        text += f'[point.p{address}]\naddress = {address}\ntype = "u16"\n'
    return parse_map(text, "x")


@settings(max_examples=120, deadline=None)
@given(
    addresses=st.lists(st.integers(0, 40), min_size=1, max_size=8, unique=True),
    barriers=st.lists(st.integers(1, 40), max_size=2),
    isolated=st.lists(st.integers(0, 40), max_size=1),
    turnround=st.sampled_from([0, 5_000_000, 50_000_000]),
)
def test_no_cut_of_the_points_is_cheaper(
    addresses: list[int], barriers: list[int], isolated: list[int], turnround: int
) -> None:
    device = device_of(sorted(addresses), sorted(barriers), isolated)
    object.__setattr__(device, "turnround_ms", turnround / 1e6)
    blocks = plan_blocks(device, [f"p{a}" for a in addresses], WIRE)

    def cost(groups: list[list[int]]) -> int | None:
        total = 0
        for group in groups:
            start, end = group[0], group[-1] + 1
            alone = len(group) > 1 and any(a in isolated for a in group)
            if end - start > 10 or alone or any(start < b < end for b in barriers):
                return None
            total += WIRE.read_ns("input", end - start, turnround)
        return total

    points = sorted(addresses)
    best = None
    for size in range(len(points)):
        for cuts in combinations(range(1, len(points)), size):
            edges = [0, *cuts, len(points)]
            groups = [points[a:b] for a, b in pairwise(edges)]
            value = cost(groups)
            if value is not None and (best is None or value < best):
                best = value
    got = sum(WIRE.read_ns("input", block.span.count, turnround) for block in blocks)
    assert got == best
    assert sorted(p.address for block in blocks for p in block.points) == points


def test_the_demos_plan_fits_and_names_every_slot_once() -> None:
    panel = read_panel(Path("panelctl/sim/demo.toml"))
    plans = plan_bus(panel)
    assert all(plan.fits for plan in plans)
    slots = [n for plan in plans for read in (*plan.fast, *plan.slow) for n, _ in read.slots]
    assert len(slots) == len(set(slots))
    line1 = plans[0]
    assert {read.device.name for read in line1.fast} == {"mains", "compute_meter"}
    slow = plans[1].slow
    same = [
        (a, b)
        for a, b in pairwise(slow)
        if a.device.unit == b.device.unit and a.block.span.count == b.block.span.count
    ]
    assert same == []
