"""Which way of asking may be taken: property tests of the two orders, without any wire."""

from __future__ import annotations

from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st

from panelctl.field.frames import (
    Question,
    read_question,
    write_coil_question,
    write_registers_question,
)
from panelctl.field.sequence import (
    DEAD_AFTER,
    HUSH_NS,
    QUIET_NS,
    GatewayOrder,
    LineOrder,
)
from panelctl.modbus.dice import Dice
from panelctl.modbus.shapes import REPEAT_NS, SHIFT_MOST
from panelctl.units import NS_PER_MS

S = 1_000 * NS_PER_MS


def ways(unit: int, address: int, counts: tuple[int, ...]) -> tuple[Question, ...]:
    return tuple(read_question(unit, "input", address, count) for count in counts)


RICH = [ways(unit, 12, (10, 12, 14, 16, 18, 20)) for unit in (1, 2, 3)]
POOR = [ways(unit, address, (6,)) for unit in (4, 5) for address in (0, 100)]


class Gateway:
    """Answers each question with the reply to the one `shift` before: what is taken for right."""

    def __init__(self, shift: int) -> None:
        self.order = GatewayOrder(b"seed")
        self.asked: deque[Question] = deque(maxlen=16)
        self.shift = shift
        self.now_ns = S

    def fits(self, question: Question) -> bool:
        """Whether the reply that comes could be taken for the one to this question."""
        self.asked.append(question)
        self.order.asked(question, self.now_ns)
        self.now_ns += 5 * NS_PER_MS
        if len(self.asked) <= self.shift:
            return False
        other = self.asked[-1 - self.shift]
        return other.shape == question.shape and other.pdu != question.pdu


@settings(max_examples=200)
@given(
    st.lists(st.integers(0, len(RICH) + len(POOR) - 1), min_size=8, max_size=40),
    st.integers(1, SHIFT_MOST),
)
def test_no_shifted_reply_is_taken_for_another_thing(asks: list[int], shift: int) -> None:
    """Whatever is asked in whatever order, behind a gateway that has lost step: an answer that is
    taken at once never is the reply to another question; one that is to be proven is found out by
    the proof.
    """
    gateway = Gateway(0)
    order = gateway.order
    for number in range(SHIFT_MOST + 4):  # in step: what is answered can prove
        question, _ = order.pick((RICH + POOR)[number % 7], gateway.now_ns)
        assert question is not None
        gateway.fits(question)
        order.answered(question, gateway.now_ns)
        order.proved(question)
    gateway.shift = shift
    for ask in asks:
        question, doubtful = order.pick((RICH + POOR)[ask], gateway.now_ns)
        assert question is not None
        wrong = gateway.fits(question)
        if not doubtful:
            assert not wrong
            continue
        proof = order.proof((), gateway.now_ns, lambda unit: True)
        assert proof is not None
        gateway.asked.append(proof)
        order.asked(proof, gateway.now_ns)
        assert gateway.asked[-1 - shift].shape != proof.shape, "it stands out"


def test_what_is_owed_is_not_asked_for_and_then_proven() -> None:
    order = GatewayOrder(b"seed")
    (only,) = POOR[0]
    order.asked(only, S)
    order.lost(only, S, 60 * NS_PER_MS, 500 * NS_PER_MS)
    assert order.pick((only,), S + NS_PER_MS) == (None, True)
    assert order.owed_until((only,), S + NS_PER_MS) == S + 500 * NS_PER_MS
    later = S + 600 * NS_PER_MS
    assert order.pick((only,), later) == (only, True), "nothing of its unit has followed"
    follows = read_question(only.unit, "input", 40, 2)
    order.asked(follows, later)
    order.answered(follows, later)
    assert order.pick((only,), later + QUIET_NS) == (only, False)


def test_a_dead_unit_owes_its_twins_little() -> None:
    order = GatewayOrder(b"seed")
    (only,), (twin,) = POOR[0], POOR[2]
    assert only.unit != twin.unit
    now_ns = S
    for _ in range(DEAD_AFTER):
        order.asked(only, now_ns)
        order.lost(only, now_ns, 60 * NS_PER_MS, S)
        now_ns += 2 * S
    order.asked(only, now_ns)
    order.lost(only, now_ns, 60 * NS_PER_MS, S)
    assert order.owed_until((twin,), now_ns) == now_ns + 60 * NS_PER_MS


def test_a_reply_that_came_late_under_its_own_number_is_not_owed() -> None:
    order = GatewayOrder(b"seed")
    (only,) = POOR[0]
    order.lost(only, S, 60 * NS_PER_MS, S)
    order.came_late(only)
    assert order.owed_until((only,), S) == 0


@given(st.binary(min_size=0, max_size=12), st.integers(1, 9))
def test_the_dice_repeat_and_stay_below(seed: bytes, most: int) -> None:
    one, two = Dice(seed), Dice(seed)
    drawn = [one.below(most) for _ in range(40)]
    assert drawn == [two.below(most) for _ in range(40)]
    assert all(0 <= number < most for number in drawn)
    assert most == 1 or len(set(drawn)) > 1


def test_a_line_takes_another_shape_than_the_last_where_there_is_one() -> None:
    order = LineOrder()
    shapes = []
    for _ in range(4):
        way = order.pick(RICH[0], S)
        assert way is not None
        order.asked(way)
        order.answered(way, S)
        shapes.append(way.count)
    assert shapes == [10, 12, 10, 12]


def test_a_lost_reply_of_a_line_is_owed_until_something_has_followed_it() -> None:
    order = LineOrder(late_ns=500 * NS_PER_MS)
    first, second = RICH[0][0], RICH[0][1]
    order.asked(first)
    order.lost(first, S)
    assert order.pick(RICH[0], S) is second, "the same thing in another shape"
    assert order.when((first,)) == S + 500 * NS_PER_MS
    assert order.pick((first,), S + 600 * NS_PER_MS, synced=True) is None
    assert order.pick((first,), S + 600 * NS_PER_MS) is first, "where there is nothing else to ask"
    order.answered(second, S + 600 * NS_PER_MS)
    assert order.pick((first,), S + 600 * NS_PER_MS, synced=True) is first
    assert order.owed == []


def test_a_copy_of_another_reply_is_found_out() -> None:
    order = LineOrder()
    (one,), (two,) = POOR[0], POOR[1]
    amps, watts = bytes([4, 12, *range(12)]), bytes([4, 12, *range(20, 32)])
    assert not order.copied(one, amps, S)
    assert order.copied(two, amps, S + 20 * NS_PER_MS)
    assert order.apart_ns == S + REPEAT_NS
    assert order.when((two,)) > S + 60 * NS_PER_MS, "the right one may come twice as well, unseen"
    assert not order.copied(two, watts, S + 150 * NS_PER_MS)
    nothing = bytes([4, 12, *bytes(12)])
    for n in range(3):  # both stand at nothing: whichever it is, it says the same
        at_ns = 2 * S + n * 20 * NS_PER_MS
        order.copied(one, nothing, at_ns)
        assert order.copied(two, nothing, at_ns + 10 * NS_PER_MS) == (n == 0) or n
        order._said[two.pdu] = nothing
    assert order.copied(two, nothing, 3 * S) is False


def test_the_pause_after_an_answer_is_kept_and_after_a_loss_too() -> None:
    order = LineOrder(gap_ns=60 * NS_PER_MS)
    order.answered(RICH[0][0], S)
    assert order.when(RICH[0]) == S + 60 * NS_PER_MS
    order.lost(RICH[0][0], 2 * S)
    assert order.when(RICH[0]) == 2 * S + 60 * NS_PER_MS


def test_an_order_does_not_wait_for_the_acknowledgement_that_was_lost() -> None:
    order = LineOrder(late_ns=S)
    first, second = write_coil_question(7, 1, False), write_coil_question(7, 2, False)
    order.lost(first, S)
    assert order.when((second,)) <= S
    assert order.when((first,)) <= S


def test_an_acknowledgement_that_may_be_an_earlier_orders_is_told() -> None:
    """Function 16 repeats where was written, not what: 32 A that is obeyed late, then 6 A."""
    much, little = (write_registers_question(7, 100, [0, amps]) for amps in (32_000, 6_000))
    for order in (LineOrder(late_ns=S), GatewayOrder(b"seed")):
        if isinstance(order, LineOrder):
            order.lost(much, S)
        else:
            order.lost(much, S, 60 * NS_PER_MS, S)
        assert order.owes_order(little, S + NS_PER_MS)
        assert not order.owes_order(much, S + NS_PER_MS), "the same order: it says what was ordered"
        assert not order.owes_order(little, 3 * S)


def test_a_refusal_that_may_be_one_of_before_leaves_the_reply_owed() -> None:
    order = LineOrder(late_ns=S)
    one, two = RICH[0][0], ways(1, 300, (4,))[0]
    order.refused(one, S)
    assert order.owed == []
    order.refused(two, S + 30 * NS_PER_MS)
    assert [owed.question for owed in order.owed] == [two]


def test_what_nothing_ever_follows_is_forgotten_in_the_end() -> None:
    order = LineOrder(late_ns=S)
    first = RICH[0][0]
    order.lost(first, S)
    order.answered(first, 20 * S)
    assert order.owed
    order.answered(first, 40 * S)
    assert order.owed == []


def test_a_refused_question_is_no_proof_again() -> None:
    order = GatewayOrder(b"seed")
    proof = read_question(1, "input", 0, 3)
    assert order.proof((proof,), S, lambda unit: True) is proof
    order.unfit(proof)
    assert order.proof((proof,), S, lambda unit: True) is None


def test_quiet_is_short_until_something_is_lost() -> None:
    """Three values of one shape, and nothing that stands out: as a KEBA's."""
    order = GatewayOrder(b"seed")
    one, two = (read_question(255, "holding", 1000 + n, 2) for n in (8, 10))
    order.asked(one, S)
    order.answered(one, S)
    assert order.pick((two,), S) == (two, True)
    assert order.hushed_ns == S + HUSH_NS, "nobody knows what it was asked by others before"
    order.came_into_step()
    order.asked(two, 2 * S)
    order.answered(two, 2 * S)
    assert order.hushed_ns == 2 * S + REPEAT_NS
    order.asked(one, 3 * S)
    order.lost(one, 3 * S, 60 * NS_PER_MS, 500 * NS_PER_MS)
    order.answered(two, 3 * S)
    assert order.hushed_ns == 3 * S + HUSH_NS
