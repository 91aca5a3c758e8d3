"""Whether a set-point is followed: readings, meters, timers and backoffs, at times set by hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from panelctl.config.load import read_panel
from panelctl.errors import DeviceRefused
from panelctl.field.bus import Answer
from panelctl.field.frames import read_question
from panelctl.field.orders import Orders
from panelctl.field.setpoint_wire import read_back
from panelctl.field.setpoints import (
    AT_ONCE,
    BACKOFF_MOST_NS,
    BACKOFF_NS,
    REGISTER_NS,
    SetpointWatch,
    watch_of,
)
from panelctl.modbus.codec import encode_value
from panelctl.modbus.maps import load_map, map_names
from panelctl.model.why import explain, sentence
from tests.records import DEMO, demo_hello, demo_record

S = 1_000_000_000
PANEL = read_panel(DEMO)
EVSE = next(circuit for circuit in PANEL.circuits if circuit.id == "evse")
KEY = ("evse", "set-point")


class Told:
    """A charger's set-point of 16 A, which it has taken and shown."""

    def __init__(self, timer_s: float = 0.0, learns: bool = True, least: float = 0.0) -> None:
        self.now_ns = 100 * S
        self.watch = SetpointWatch(1.0, S, round(timer_s * S), safe=6.0, learns=learns, least=least)
        self.ack(16.0)
        self.reads(16.0, 1.0)

    def after(self, seconds: float) -> int:
        """Let time pass."""
        self.now_ns += round(seconds * S)
        return self.now_ns

    def ack(self, value_a: float | None, again: bool = False) -> None:
        """It acknowledges a write."""
        self.watch.acknowledged(value_a, again, self.now_ns)

    def reads(self, value_a: float, after_s: float) -> None:
        """It is asked after so long, and says that."""
        self.watch.read(value_a, self.after(after_s), self.now_ns)

    def draws(self, over_s: float | None, after_s: float = 0.0) -> None:
        """It has drawn too much for so long, or not at all."""
        now_ns = self.after(after_s)
        self.watch.drawn(0 if over_s is None else now_ns - round(over_s * S), 20.0, now_ns)

    @property
    def again(self) -> bool:
        """Whether it is to be written again now."""
        return self.watch.again(self.now_ns)

    @property
    def followed(self) -> float | None:
        """What somebody else told it, while that counts."""
        return self.watch.followed(self.now_ns)

    @property
    def told(self) -> str | None:
        """What people hear."""
        return self.watch.told(self.now_ns)

    def falls(self, after_s: float, value_a: float) -> None:
        """So long after the last write it still stands, a second later it does not."""
        self.reads(16.0, after_s)
        self.reads(value_a, 1.0)
        if self.again:
            self.ack(16.0, again=True)
        self.reads(16.0, 1.0)


def test_a_reading_inside_a_step_is_agreement() -> None:
    charger = Told()
    charger.reads(15.0, 1.0)
    charger.reads(17.0, 1.0)
    assert not charger.watch.contradicted
    assert not charger.again
    charger.reads(17.1, 1.0)
    assert charger.watch.contradicted


def test_a_reading_asked_before_the_acknowledgement_counts_for_nothing() -> None:
    charger = Told()
    asked_ns = charger.now_ns
    charger.after(0.2)
    charger.ack(10.0)
    charger.watch.read(16.0, asked_ns, charger.now_ns)
    charger.reads(16.0, REGISTER_NS / S - 0.01)
    assert not charger.again, "it may not show it yet"
    charger.reads(16.0, 0.02)
    assert charger.again


def test_a_setpoint_that_changes_all_the_time_is_compared_with_all_of_them() -> None:
    charger = Told()
    for n in range(20):
        charger.after(0.1)
        charger.ack(16.0 + n)
    charger.reads(33.0, 0.05)
    assert not charger.watch.contradicted
    charger.reads(25.0, 0.0)
    assert charger.watch.contradicted


@pytest.mark.parametrize(("value_a", "lowers"), [(20.0, True), (12.0, False)])
def test_what_is_read_is_written_again_and_a_lower_one_within_a_budget(
    value_a: float, lowers: bool
) -> None:
    charger = Told()
    charger.reads(value_a, 2.0)
    assert charger.again
    assert charger.watch.lowers is lowers
    charger.ack(16.0, again=True)
    assert not charger.again, "it has just heard it"
    charger.reads(16.0, 1.0)
    assert charger.told is None
    assert not charger.watch.contradicted


def test_three_times_at_once_and_then_with_a_backoff() -> None:
    charger = Told()
    at_s = []
    for _ in range(60_000):
        charger.reads(20.0, 0.4)
        if charger.again:
            charger.ack(16.0, again=True)
            at_s.append(charger.now_ns / S)
    gaps = [round(two - one, 1) for one, two in pairwise(at_s)]
    assert gaps[: AT_ONCE - 1] == [0.4] * (AT_ONCE - 1)
    assert gaps[2:7] == pytest.approx([30, 60, 120, 240, 480], rel=0.02)
    assert max(gaps) == pytest.approx(BACKOFF_MOST_NS / S, rel=0.01)
    assert min(gaps[2:]) >= BACKOFF_NS / S


def test_after_a_calm_it_is_at_once_again() -> None:
    charger = Told()
    for _ in range(AT_ONCE):
        charger.reads(20.0, 0.5)
        charger.ack(16.0, again=True)
    charger.reads(20.0, 0.5)
    assert not charger.again
    charger.reads(16.0, 40.0)
    charger.reads(20.0, 1.0)
    assert charger.again


def test_people_hear_of_the_third_time_and_of_what_lasts() -> None:
    charger = Told()
    for _ in range(AT_ONCE):
        assert charger.told is None
        charger.reads(20.0, 0.4)
        charger.ack(16.0, again=True)
    assert charger.told == "20.0 A"
    charger.reads(16.0, 0.4)
    assert charger.told is None
    slow = Told(learns=False)
    slow.draws(1.5)
    slow.draws(3.6, 2.1)
    assert slow.told == "a draw of 20.0 A"


def test_a_load_that_was_told_just_now_has_its_time_to_obey() -> None:
    charger = Told()
    charger.after(20.0)
    charger.ack(8.0)
    charger.draws(0.5, 0.5)
    assert not charger.again
    charger.draws(1.1, 0.6)
    assert charger.again
    assert charger.watch.lowers


def test_one_that_had_obeyed_and_goes_up_by_itself_is_told_at_once() -> None:
    charger = Told()
    charger.draws(0.1, 20.0)
    assert charger.again
    worn = Told(learns=False)
    worn.draws(0.1, 20.0)
    assert not worn.again, "its register wears: it has its time"
    worn.draws(1.2, 1.1)
    assert worn.again


def test_a_known_timer_is_fed_three_times() -> None:
    assert Told(timer_s=30.0).watch.refresh_ns(0) == 10 * S
    assert Told().watch.refresh_ns(0) == 0, "none is invented"


def test_a_fall_to_its_safe_current_is_taken_for_a_timer_and_the_second_for_good() -> None:
    charger = Told()
    charger.falls(10.0, 6.0)
    first_ns = charger.watch.refresh_ns(charger.now_ns)
    assert first_ns
    assert first_ns <= 11 * S // 3
    charger.after(700.0)
    assert charger.watch.refresh_ns(charger.now_ns) == 0, "one alone is forgotten"
    charger.ack(16.0)
    charger.falls(10.0, 6.0)
    charger.after(7_000.0)
    assert charger.watch.refresh_ns(charger.now_ns) == pytest.approx(first_ns, rel=0.2)


def test_a_value_that_nobody_ordered_is_foreign_and_twice_at_one_age_a_timer() -> None:
    charger = Told()
    charger.falls(10.0, 25.0)
    wrote, over = charger.watch.remarks()
    assert wrote == "the device reads 25.0 A, which was not ordered (16.0 A was)"
    assert over == "it is over: the device reads 16.0 A, as ordered"
    assert charger.watch.refresh_ns(charger.now_ns) == 0
    charger.falls(9.5, 25.0)
    assert charger.watch.refresh_ns(charger.now_ns) > 0


def test_a_lower_value_of_somebody_else_is_followed_for_ten_minutes() -> None:
    charger = Told()
    assert charger.followed is None
    charger.reads(10.0, 1.0)
    (said,) = charger.watch.remarks()
    assert said.endswith("(16.0 A was); it is left at that for 10 minutes")
    charger.ack(10.0)
    charger.reads(10.0, 1.0)
    assert charger.watch.remarks() == [], "that it reads so is no end of it"
    charger.after(590.0)
    assert charger.followed == 10.0
    charger.after(10.0)
    assert charger.followed is None
    assert charger.watch.remarks() == ["it is over: what panelctl orders counts again"]


def test_a_higher_value_of_somebody_else_is_written_over() -> None:
    charger = Told()
    charger.reads(25.0, 1.0)
    assert charger.followed is None
    assert charger.again


def test_whoever_lowered_it_may_raise_it_again() -> None:
    charger = Told()
    charger.reads(10.0, 1.0)
    charger.ack(10.0)
    charger.reads(10.0, 1.0)
    charger.reads(16.0, 1.0)
    assert charger.followed is None


def test_a_device_that_was_silent_has_begun_anew_and_is_not_followed() -> None:
    charger = Told()
    charger.watch.missed(charger.after(2.0))
    charger.reads(8.0, 1.0)
    assert charger.followed is None
    assert charger.again


@pytest.mark.parametrize("least", [0.0, 6.0])
def test_a_stop_of_somebody_else_is_not_followed(least: float) -> None:
    """Some stations forget their set-point with each car that leaves."""
    charger = Told(least=least)
    charger.reads(0.0, 1.0)
    assert charger.followed is None


@pytest.mark.parametrize("value_a", [6.0, 15.5])
def test_its_own_safe_current_and_what_it_rounds_to_are_not_followed(value_a: float) -> None:
    charger = Told()
    charger.reads(value_a, 1.0)
    assert charger.followed is None


def test_a_fall_that_may_be_its_own_timer_is_not_followed() -> None:
    charger = Told(timer_s=60.0)
    charger.reads(16.0, 9.0)
    charger.reads(8.0, 1.0)
    assert charger.followed is None


def test_falls_of_any_age_are_no_timer() -> None:
    charger = Told()
    for after_s in (10.0, 40.0, 120.0, 20.0):
        charger.falls(after_s, 25.0)
        charger.after(60.0)
        assert charger.watch.refresh_ns(charger.now_ns) == 0


def test_one_that_falls_though_it_is_fed_has_no_such_timer() -> None:
    charger = Told(timer_s=60.0)
    charger.falls(10.0, 25.0)
    assert charger.watch.refresh_ns(charger.now_ns) < 5 * S
    charger.ack(16.0)
    charger.falls(1.0, 25.0)
    assert charger.watch.refresh_ns(charger.now_ns) == 20 * S
    for _ in range(2):
        charger.ack(16.0)
        charger.falls(10.0, 25.0)
        assert charger.watch.refresh_ns(charger.now_ns) == 20 * S


def test_what_it_had_before_or_rounds_to_is_nobody_elses() -> None:
    charger = Told()
    charger.ack(20.0)
    charger.reads(16.0, 1.0)
    charger.ack(20.5)
    charger.reads(19.4, 1.0)
    assert charger.watch.remarks() == []


def test_one_that_is_paused_by_another_register_is_not_judged_by_this() -> None:
    charger = Told()
    charger.ack(None)
    charger.reads(16.0, 5.0)
    assert not charger.watch.contradicted


def test_what_cannot_be_read_is_asked_less_and_less_often() -> None:
    charger = Told()
    waits_s = []
    for _ in range(6):
        charger.watch.asked(charger.now_ns)
        charger.watch.missed(charger.now_ns)
        waits_s.append((charger.watch.read_ns - charger.now_ns) / S)
    assert waits_s == [0.75, 1.5, 3.0, 6.0, 12.0, 12.0]
    charger.reads(16.0, 1.0)
    charger.watch.missed(charger.now_ns)
    assert charger.watch.read_ns - charger.now_ns == 0.75 * S


def test_the_timer_is_the_shortest_that_is_known() -> None:
    device = PANEL.device("charger")
    assert EVSE.modulation is not None

    def timer_s(known: str, set_s: float) -> float:
        assert EVSE.modulation is not None
        told = replace(device, comm_timeout_s=set_s)
        return watch_of(load_map(known), told, EVSE.modulation).timer_ns / S

    assert timer_s("abb_terra_ac", 0.0) == 30.0
    assert timer_s("abb_terra_ac", 12.0) == 12.0
    assert timer_s("abb_terra_ac", 90.0) == 30.0
    assert timer_s("alfen_eve", 0.0) == 10.0, "it may be set to less than it is delivered with"
    assert timer_s("alfen_eve", 60.0) == 60.0
    assert timer_s("phoenix_charx", 0.0) == 0.0
    assert timer_s("phoenix_charx", 8.0) == 8.0


@pytest.mark.parametrize("name", [n for n in map_names() if load_map(n).setpoint is not None])
def test_a_setpoint_is_found_in_every_way_that_it_is_asked_for(name: str) -> None:
    known = load_map(name)
    back = read_back(known, 1)
    assert known.setpoint is not None
    if back is None:
        assert name in ("keba_p30", "mypv_ac_thor"), "their sources name no register that shows it"
        return
    words = encode_value(back.point, 16)
    for question in back.ways:
        shift = back.shifts[question.pdu]
        values = [0x7E7E] * question.count
        values[shift : shift + len(words)] = words
        assert back.value(Answer(values, 0, question, 0)) == 16.0
    unsaid = read_question(1, back.point.table, back.point.address, back.point.count)
    assert unsaid in back.ways


def test_a_contradiction_is_an_order_that_does_not_stand() -> None:
    orders = Orders()
    orders.give(KEY, "6.0 A", S)
    orders.acknowledge(KEY)
    orders.compare(KEY, "20.0 A", 2 * S)
    (order,), (event,) = orders.records(5 * S)
    assert (order["state"], order["reads"]) == ("CONTRADICTED", "20.0 A")
    assert event["text"] == "CONTRADICTED: set-point 6.0 A, the device reads 20.0 A"
    record = {**demo_record(), "orders": [order]}
    said = sentence(explain(demo_hello(), record, "evse"))  # type: ignore[arg-type]  # a TypedDict
    assert "The set-point is ordered 6.0 A, and the device reads 20.0 A, for 3 s" in said
    orders.give(KEY, "7.0 A", 6 * S)
    orders.acknowledge(KEY)
    assert orders.records(6 * S)[1] == [], "another value, and the same contradiction"
    orders.compare(KEY, None, 7 * S)
    (over,) = orders.records(7 * S)[1]
    assert over["text"] == "ACKNOWLEDGED: set-point 7.0 A"


def test_one_that_is_refused_afterwards_is_refused() -> None:
    orders = Orders()
    orders.give(KEY, "6.0 A", S)
    orders.acknowledge(KEY)
    orders.compare(KEY, "20.0 A", S)
    orders.give(KEY, "7.0 A", 2 * S)
    for _ in range(2):
        orders.fail(KEY, DeviceRefused(4), 2 * S)
    assert orders.records(3 * S)[0][0]["state"] == "REFUSED"
