"""How long a round on a connection takes, against what can be reckoned by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from panelctl.modbus.rounds import Asking, round_ns
from panelctl.modbus.shapes import REPEAT_NS
from panelctl.units import NS_PER_MS

TAKES_NS = 20 * NS_PER_MS
MANY = tuple(("holding", count) for count in range(4, 32, 4))


def read(unit: int, *shapes: int, others: tuple[int, ...] = (), gap_ns: int = 0) -> Asking:
    return Asking(
        unit,
        tuple(("holding", shape) for shape in shapes),
        tuple(("input", shape) for shape in others),
        TAKES_NS,
        gap_ns,
    )


def test_one_read_is_one_question() -> None:
    assert round_ns([read(1, 4)], 4) == TAKES_NS


def test_units_are_asked_side_by_side_as_many_as_may_be() -> None:
    units = [read(unit, *range(4 * unit, 4 * unit + 4)) for unit in range(1, 5)]
    assert round_ns(units, 4) == TAKES_NS
    assert round_ns(units, 2) == 2 * TAKES_NS
    assert round_ns(units, 1) == 4 * TAKES_NS


def test_one_unit_answers_one_question_at_a_time() -> None:
    assert round_ns([read(1, 4, 6, 8, 10, 12), read(1, 14, 16, 18, 20, 22)], 4) == 2 * TAKES_NS


def test_what_has_one_shape_and_nothing_to_prove_it_waits_for_quiet() -> None:
    """A KEBA: one value a read, each of four bytes."""
    values = [read(255, 4), read(255, 4), read(255, 4)]
    assert round_ns(values, 4) == 3 * TAKES_NS + 2 * REPEAT_NS, "the first comes after a pause"


def test_what_has_one_shape_and_something_to_prove_it_costs_a_question_more() -> None:
    values = [read(1, 4, others=(2, 6, 8)), read(1, 4, others=(2, 6, 8))]
    assert round_ns(values, 4) == 4 * TAKES_NS


def test_the_pause_of_a_device_lies_between_its_questions() -> None:
    shapes = (range(4, 14, 2), range(24, 34, 2))
    resting = [read(1, *mine, gap_ns=NS_PER_MS) for mine in shapes]
    assert round_ns(resting, 1) == 2 * TAKES_NS + NS_PER_MS


@given(
    st.lists(
        st.builds(
            Asking,
            st.integers(1, 4),
            st.lists(st.sampled_from(MANY), min_size=1, max_size=7, unique=True).map(tuple),
            st.just((("input", 2),)),
            st.integers(1, 50).map(lambda ms: ms * NS_PER_MS),
            st.sampled_from([0, 10 * NS_PER_MS]),
        ),
        min_size=1,
        max_size=8,
    ),
    st.integers(1, 4),
)
def test_a_round_takes_no_less_than_its_busiest_unit_and_has_one_plan(
    reads: list[Asking], inflight: int
) -> None:
    took_ns = round_ns(reads, inflight)
    units = {read.unit for read in reads}
    assert took_ns >= max(sum(r.takes_ns for r in reads if r.unit == unit) for unit in units)
    assert took_ns >= sum(read.takes_ns for read in reads) // inflight
    assert took_ns == round_ns(reads, inflight)
