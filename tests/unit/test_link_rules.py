"""The rules of links that need no wire: opening, patience, overlapping, what is told."""

from __future__ import annotations

import pytest

from panelctl.field.bus import LinkCounts, TurnQueue
from panelctl.field.diagnosis import SHIFTED, Diagnosis, as_unit, foreign_unit, speaks_rtu
from panelctl.field.frames import RtuReceiver, read_question, write_coil_question
from panelctl.field.opening import FIRST_PATIENCE_NS, Opening
from panelctl.field.overlap import AGAIN_FIRST_NS, PAIRS, SINGLES, Overlap
from panelctl.field.patience import KEPT, VAIN_WAIT, Patience
from panelctl.modbus.crc import rtu_bytes
from panelctl.units import NS_PER_MS, NS_PER_S

MS = NS_PER_MS
S = NS_PER_S


def test_a_link_that_answered_is_given_up_after_three_silences() -> None:
    opening = Opening(LinkCounts(), 0)
    opening.opened(S)
    opening.heard(S + 5 * MS)
    assert [opening.silent(2 * S + n * MS) for n in range(3)] == [False, False, True]


def test_one_that_never_answered_gets_longer_each_time() -> None:
    counts = LinkCounts()
    opening = Opening(counts, 0)
    now_ns, held = S, []
    for _ in range(4):
        opening.opened(now_ns)
        begin_ns = now_ns
        while not opening.silent(now_ns):
            now_ns += 100 * MS
        opening.lost(now_ns, "nothing was heard on it")
        held.append((now_ns - begin_ns) // (100 * MS))
        assert not opening.may_open(now_ns)
        assert opening.may_open(now_ns + 300 * MS)
    assert held == [12, 24, 48, 96]
    assert FIRST_PATIENCE_NS == 1_200 * MS
    assert counts.reopened == 4
    assert not counts.up


def test_how_long_it_is_deaf_is_learnt_the_second_time_and_let_go() -> None:
    counts = LinkCounts()
    opening = Opening(counts, 0)

    def open_at(now_ns: int, deaf_ns: int) -> None:
        opening.opened(now_ns)
        if deaf_ns > 300 * MS:
            opening.silent(now_ns + 100 * MS)
        opening.heard(now_ns + deaf_ns)

    open_at(10 * S, 1_500 * MS)
    assert counts.settle_ms == 0, "it may have been chance"
    open_at(20 * S, 1_000 * MS)
    assert counts.settle_ms == 1_100
    opening.opened(30 * S)
    assert opening.settled_ns == 30 * S + 1_100 * MS
    told = Opening(LinkCounts(), 500)
    told.opened(S)
    assert told.settled_ns == S + 500 * MS


def test_a_device_that_is_late_is_listened_to_and_what_is_learnt_is_let_go() -> None:
    patience = Patience(100)
    patience.lost()
    assert patience.wait_ms == 200
    patience.answered(140 * MS)
    assert patience.learnt_ms == pytest.approx(175)
    assert patience.wait_ms >= 175
    for _ in range(KEPT):
        patience.answered(20 * MS)
    assert patience.learnt_ms == 0
    assert patience.wait_ms == 100


def test_a_dead_device_is_listened_to_for_long_once() -> None:
    patience = Patience(100)
    waits = []
    for _ in range(VAIN_WAIT + 2):
        waits.append(patience.wait_ms)
        patience.lost()
    assert waits[:3] == [100, 200, 100]
    assert waits.count(200) == 1


def answered(overlap: Overlap, times: int, overlapped: bool) -> None:
    for _ in range(times):
        overlap.answered(1, overlapped, S)


def test_questions_at_once_are_earned_by_pairs() -> None:
    counts, turns = LinkCounts(), TurnQueue()
    overlap = Overlap(counts, turns, 4)
    answered(overlap, SINGLES, False)
    assert counts.width == 2
    answered(overlap, 100, False)
    assert counts.width == 2, "what was alone proves nothing"
    answered(overlap, 2 * PAIRS, True)
    assert counts.width == 4
    overlap.lost(2, True, S)
    assert counts.width == 1
    overlap.answered(2, False, S)  # alone it answers
    answered(overlap, SINGLES, False)
    assert counts.width == 1, "not again so soon"
    overlap.answered(1, False, S + AGAIN_FIRST_NS)
    assert counts.width == 2
    overlap.connected()
    assert counts.width == 1


def test_a_unit_that_is_lost_alone_too_was_the_unit() -> None:
    counts = LinkCounts()
    overlap = Overlap(counts, TurnQueue(), 4)
    answered(overlap, SINGLES, False)
    answered(overlap, 2 * PAIRS, True)
    overlap.lost(2, True, S)
    overlap.lost(2, False, S)
    assert counts.width == 4
    overlap.lost(2, True, S)
    assert counts.width == 4, "it had not been answering"


def test_a_queue_that_is_made_narrower_lets_nobody_in_until_enough_have_left() -> None:
    turns = TurnQueue()
    turns.widen(3)
    assert [turns.acquire() for _ in range(4)] == [True, True, True, False]
    turns.widen(1)
    turns.leave()
    turns.leave()
    assert not turns.acquire()
    turns.leave()
    assert turns.acquire()


def test_a_remark_needs_evidence_and_goes_after_a_minute() -> None:
    counts = LinkCounts()
    diagnosis = Diagnosis(counts)
    diagnosis.note("odd", S)
    diagnosis.note("odd", S)
    assert counts.remark == ""
    diagnosis.note("odd", S)
    assert counts.remark == "odd"
    for _ in range(30):
        diagnosis.fine(2 * S)
    assert counts.remark == "odd"
    diagnosis.fine(70 * S)
    assert counts.remark == ""


def test_framing_and_units_are_told_by_the_bytes() -> None:
    question = read_question(7, "input", 12, 2)
    reply = rtu_bytes(7, bytes([4, 4, 1, 2, 3, 4]))
    assert speaks_rtu([question], reply)
    assert speaks_rtu([question], rtu_bytes(7, bytes([0x84, 2])))
    assert not speaks_rtu([question], b"\x00\x01\x00\x00\x00\x07" + reply[:-2])
    assert foreign_unit(question, b"\xff" + rtu_bytes(1, bytes([4, 4, 1, 2, 3, 4]))) == 1
    assert foreign_unit(question, reply) is None


def test_a_gateway_that_answers_as_another_unit_is_not_called_one_that_lost_step() -> None:
    """Where both units are asked alike it seems to be both; the one that names it stays."""
    counts = LinkCounts()
    diagnosis = Diagnosis(counts)
    diagnosis.note(SHIFTED, S, weight=3)
    assert counts.remark == SHIFTED
    for _ in range(3):
        diagnosis.note(as_unit(1, 2), S)
    diagnosis.note(SHIFTED, S, weight=3)
    assert counts.remark == as_unit(1, 2)


def test_exactly_one_copy_of_a_write_is_skipped_where_the_adapter_echoes() -> None:
    order = write_coil_question(7, 3, True)
    echoing = RtuReceiver(order, echoes=True)
    assert echoing.feed(order.rtu) is None
    assert echoing.echoed
    assert echoing.feed(order.rtu) == order.pdu, "the board's own acknowledgement"
    plain = RtuReceiver(order)
    assert plain.feed(order.rtu) == order.pdu
    torn = RtuReceiver(order, echoes=True)
    assert torn.feed(order.rtu[:5]) is None
    assert torn.feed(order.rtu[5:] + order.rtu) == order.pdu
    noisy = RtuReceiver(order, echoes=True)
    assert noisy.feed(b"\xff\x00" + order.rtu) is None, "noise before it"
    assert noisy.feed(order.rtu) == order.pdu
