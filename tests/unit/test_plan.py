"""Read planning and wire time: the device's rules are kept, and the cheapest plan is found."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panelctl.config.load import read_panel
from panelctl.errors import ConfigError
from panelctl.modbus.busplan import plan_bus
from panelctl.modbus.maps import RegisterMap, load_map, map_names, parse_map
from panelctl.modbus.plan import plan_blocks
from panelctl.modbus.shapes import Span, other_shapes, reply_shape, ways
from panelctl.modbus.wire import Wire
from tests.unit.test_maps import HEAD

WIRE = Wire.rtu(9600, "N", 1)
MOST = 10
WIDTH = {"u16": 1, "i32": 2}


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
    counts = [way.count for way in blocks[0].ways]
    assert counts == [10, 12, 14, 16, 18, 20]


def test_a_read_between_has_another_shape() -> None:
    for name in map_names():
        device = load_map(name)
        lengths = {
            (p.table, p.count) for p in device.points.values() if p.table in ("input", "holding")
        }
        for point in list(device.points.values())[:5]:
            blocks = plan_blocks(device, [point.name], WIRE)
            block = blocks[0]
            between = other_shapes(device, block.ways)
            assert between or len(lengths) <= len(block.ways)
            shapes = {reply_shape(way) for way in block.ways}
            assert not shapes & {reply_shape(span) for span in between}


def test_every_way_covers_its_block_inside_the_devices_rules() -> None:
    """Of each shipped map: the same registers, never two of one shape, the shortest first."""
    for name in map_names():
        device = load_map(name)
        for block in plan_blocks(device, list(device.points), WIRE):
            assert block.ways[0] == block.span
            assert len({reply_shape(way) for way in block.ways}) == len(block.ways)
            counts = [way.count for way in block.ways]
            assert counts == sorted(counts)
            for way in block.ways:
                assert way.address <= block.span.address
                assert way.end >= block.span.end
                assert way.count <= device.max_registers or way == block.span
                assert way.address % device.align == way.count % device.align == 0
                assert not any(way.address < barrier < way.end for barrier in device.barriers)


def test_a_relay_boards_outputs_are_asked_in_one_way() -> None:
    board = load_map("wirenboard_wb_mr6cu")
    assert ways(board, Span("discrete", 96, 6)) == (Span("discrete", 96, 6),)
    assert other_shapes(board, [Span("discrete", 96, 6)]) == (
        Span("coil", 0, 6),
        Span("input", 270, 2),
    )


def test_what_is_asked_in_between_is_what_is_asked_anyway() -> None:
    """One output alone comes back as one byte like all six: late, it was taken for them."""
    board = load_map("wirenboard_wb_mr6cu")
    serial, outputs = Span("input", 270, 2), Span("discrete", 96, 6)
    assert outputs in other_shapes(board, [serial], [outputs, serial])
    assert reply_shape(Span("discrete", 96, 1)) == reply_shape(outputs)


def test_a_reply_of_bits_is_told_by_its_bytes() -> None:
    """Eight coils and one coil come back as one byte: nothing tells such replies apart."""
    assert reply_shape(Span("coil", 0, 8)) == reply_shape(Span("coil", 0, 1)) == ("coil", 1)
    assert reply_shape(Span("coil", 0, 9)) == ("coil", 2)
    assert reply_shape(Span("input", 0, 9)) == ("input", 18)
    board = load_map("waveshare_relay_8ch")
    assert other_shapes(board, [Span("coil", 0, 8)]) == ()


@dataclass(frozen=True)
class Rules:
    """What a device asks of whoever reads it."""

    barriers: list[int]
    isolated: list[int]
    align: int
    gaps: bool
    turnround_ns: int


def device_of(points: list[tuple[int, str]], rules: Rules) -> RegisterMap:
    text = HEAD + f"barriers = {rules.barriers}\nisolated = {rules.isolated}\n"
    text += f"align = {rules.align}\nreads_gaps = {str(rules.gaps).lower()}\n"
    for address, kind in points:
        text += f'[point.p{address}]\naddress = {address}\ntype = "{kind}"\n'
    device = parse_map(text, "x")
    object.__setattr__(device, "turnround_ms", rules.turnround_ns / 1e6)
    return device


def cost_of(group: list[tuple[int, str]], named: set[int], rules: Rules) -> int | None:
    """The wire time of one read of these points, or None where the device does not allow it."""
    start = group[0][0] // rules.align * rules.align
    end = group[-1][0] + WIDTH[group[-1][1]]
    end = (end + rules.align - 1) // rules.align * rules.align
    alone = len(group) > 1 and any(a in rules.isolated and k == "u16" for a, k in group)
    if end - start > MOST or alone or any(start < barrier < end for barrier in rules.barriers):
        return None
    if not rules.gaps and not named.issuperset(range(start, end)):
        return None
    return WIRE.read_ns("input", end - start, rules.turnround_ns)


@settings(max_examples=200)
@given(
    layout=st.lists(
        st.tuples(st.integers(0, 5), st.sampled_from(["u16", "i32"])), min_size=1, max_size=8
    ),
    rules=st.builds(
        Rules,
        barriers=st.lists(st.integers(1, 40), max_size=2, unique=True).map(sorted),
        isolated=st.lists(st.integers(0, 40), max_size=1),
        align=st.sampled_from([1, 2, 4]),
        gaps=st.booleans(),
        turnround_ns=st.sampled_from([0, 5_000_000, 50_000_000]),
    ),
)
def test_no_cut_of_the_points_is_cheaper(layout: list[tuple[int, str]], rules: Rules) -> None:
    """Points one behind the other, with gaps; every way to cut them is tried."""
    points, address = [], 0
    for gap, kind in layout:
        address += gap
        points.append((address, kind))
        address += WIDTH[kind]
    named = {a + n for a, kind in points for n in range(WIDTH[kind])}
    best = None
    for size in range(len(points)):
        for cuts in combinations(range(1, len(points)), size):
            edges = [0, *cuts, len(points)]
            costs = [cost_of(points[a:b], named, rules) for a, b in pairwise(edges)]
            whole = None if None in costs else sum(cost for cost in costs if cost is not None)
            if whole is not None and (best is None or whole < best):
                best = whole
    device = device_of(points, rules)
    names = [f"p{a}" for a, _ in points]
    if best is None:  # a point that no read of this device may touch
        with pytest.raises(ConfigError, match="cannot be read by itself"):
            plan_blocks(device, names, WIRE)
        return
    blocks = plan_blocks(device, names, WIRE)
    got = sum(WIRE.read_ns("input", b.span.count, rules.turnround_ns) for b in blocks)
    assert got == best
    assert sorted(p.address for block in blocks for p in block.points) == [a for a, _ in points]


def test_the_demos_plan_fits_and_names_every_slot_once() -> None:
    panel = read_panel(Path("panelctl/sim/demo.toml"))
    plans = plan_bus(panel)
    assert all(plan.fits for plan in plans)
    slots = [
        n
        for plan in plans
        for read in (*plan.fast, *plan.slow, *plan.counters)
        for n, _ in read.slots
    ]
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
