"""What is ordered, what was acknowledged and what is: three things, and the difference is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from panelctl.case.words import WIRE_STATES
from panelctl.config.load import read_panel
from panelctl.control.publish import Publisher
from panelctl.errors import DeviceRefused, FieldError, ReplyTimeout
from panelctl.field.orders import LOST_NS, TOLD, Orders
from panelctl.model.fault import OF_ORDERS, Fault
from panelctl.model.record import CircuitRecord, CycleRecord, OrderRecord
from panelctl.model.why import explain, sentence
from tests.engine_rig import EngineRig, S
from tests.records import DEMO, demo_hello, demo_record, record_of

KEY = ("dryer", "relay")
REFUSED = DeviceRefused(4)
SILENT = ReplyTimeout("no reply")
PANEL = read_panel(DEMO)


class Given:
    """Orders of one circuit, and what people are told of them."""

    def __init__(self) -> None:
        self.orders = Orders()
        self.now_ns = 100 * S

    def give(self, ordered: str = "OPEN") -> None:
        self.orders.give(KEY, ordered, self.now_ns)

    def fail(self, error: FieldError, times: int = 1) -> None:
        for _ in range(times):
            self.orders.fail(KEY, error, self.now_ns)

    def told(self, after_s: float = 0.0) -> list[str]:
        self.now_ns += int(after_s * S)
        return [event["text"] for event in self.orders.records(self.now_ns)[1]]

    @property
    def wrong(self) -> list[OrderRecord]:
        return self.orders.records(self.now_ns)[0]


def test_a_refusal_is_told_at_the_second_one_and_when_it_is_over() -> None:
    given = Given()
    given.give()
    given.fail(REFUSED)
    assert given.told(0.3) == []
    given.fail(REFUSED)
    (said,) = given.told(0.3)
    assert said.startswith("REFUSED: relay OPEN: ")
    assert "4" in said
    given.fail(REFUSED, 90)
    assert given.told(24.0) == [], "once"
    (order,) = given.wrong
    assert (order["state"], order["refused"], order["lost"]) == ("REFUSED", 92, 0)
    assert order["since_s"] == pytest.approx(24.6)
    given.orders.acknowledge(KEY)
    assert given.told() == ["ACKNOWLEDGED: relay OPEN"]
    assert given.wrong == []
    assert given.told(100.0) == []


def test_what_is_lost_is_told_within_three_seconds() -> None:
    given = Given()
    given.give()
    given.fail(SILENT, 5)
    assert given.told(LOST_NS / S - 0.1) == []
    assert given.told(0.2) == ["LOST: relay OPEN: no reply"]
    assert given.wrong[0]["state"] == "LOST"


@pytest.mark.parametrize(("error", "state"), [(SILENT, "LOST"), (REFUSED, "REFUSED")])
def test_what_was_taken_and_is_not_taken_again_is_told(error: FieldError, state: str) -> None:
    """A set-point that is repeated, since its device goes back to its own after a while."""
    given = Given()
    given.give("16.0 A")
    given.orders.acknowledge(KEY)
    given.now_ns += 60 * S
    given.fail(error, 2)
    (said,) = given.told(LOST_NS / S + 0.1)
    assert said.startswith(f"{state}: relay 16.0 A: ")
    assert given.wrong[0]["since_s"] == pytest.approx(LOST_NS / S + 0.1, abs=0.1)
    given.orders.acknowledge(KEY)
    assert given.told() == ["ACKNOWLEDGED: relay 16.0 A"]


def test_one_that_is_lost_once_and_taken_with_the_next_is_not_told_of() -> None:
    given = Given()
    given.give("16.0 A")
    given.orders.acknowledge(KEY)
    given.fail(SILENT)
    assert given.told(1.0) == []
    given.orders.acknowledge(KEY)
    assert given.told(10.0) == []


def test_what_contradicts_stays_told_while_it_is_written_again() -> None:
    given = Given()
    given.give("6.0 A")
    given.orders.acknowledge(KEY)
    given.orders.compare(KEY, "20.0 A", given.now_ns)
    assert given.told() == ["CONTRADICTED: relay 6.0 A, the device reads 20.0 A"]
    given.fail(SILENT)
    assert given.wrong[0]["state"] == "CONTRADICTED"
    assert given.told(5.0) == []


def test_a_board_that_starts_anew_is_not_told_of() -> None:
    given = Given()
    given.give()
    given.fail(SILENT, 3)
    given.told(LOST_NS / S - 0.5)
    given.orders.acknowledge(KEY)
    assert given.told(10.0) == []


def test_an_order_that_nobody_even_tries_is_lost_as_well() -> None:
    """Its device is a stranger, say, and nothing is written there."""
    given = Given()
    given.give()
    assert given.told(3.0) == ["LOST: relay OPEN"]


def test_a_budget_that_changes_all_the_time_is_one_order() -> None:
    given = Given()
    for watts in range(30):
        given.give(f"{watts} W")
        given.fail(REFUSED if watts % 2 else SILENT)
        given.now_ns += S // 10
    (said,) = given.told()
    assert said == f"REFUSED: relay 29 W: {REFUSED}"
    assert (given.wrong[0]["refused"], given.wrong[0]["lost"]) == (15, 15)


def test_an_order_that_is_wanted_no_more_is_none() -> None:
    given = Given()
    given.give()
    given.fail(REFUSED, 3)
    assert given.orders.refused(KEY) == 3
    assert len(given.told()) == 1
    given.orders.withdraw(KEY)
    assert given.told() == ["WITHDRAWN: relay OPEN"], "it was told of, so its end is as well"
    assert (given.wrong, given.orders.refused(KEY)) == ([], 0)
    given.give()
    given.orders.acknowledge(KEY)
    given.orders.withdraw(KEY)
    assert given.told() == [], "one that stands is not withdrawn"


def test_another_order_after_one_that_was_taken_is_counted_anew() -> None:
    given = Given()
    given.give()
    given.fail(REFUSED, 2)
    given.told()
    given.orders.acknowledge(KEY)
    given.give("CLOSED")
    given.fail(REFUSED)
    assert given.wrong == []
    assert given.told(0.1) == [], "it is not over: another one is under way"
    given.orders.acknowledge(KEY)
    assert given.told() == ["ACKNOWLEDGED: relay CLOSED"]


def explained(orders: list[OrderRecord], relay: str = "") -> str:
    record: CycleRecord = {**demo_record(), "orders": orders}
    entry: CircuitRecord = next(c for c in record["circuits"] if c["id"] == "dryer")
    entry |= {"ordered": "OPEN", "relay": "CLOSED", "why": "USER", "claims": ["USER"]}
    if relay:
        entry["relay"] = relay
    return sentence(explain(demo_hello(), record, "dryer"))


def test_a_refused_order_is_not_explained_as_its_opposite() -> None:
    """The board refused FC05 for 24 s, and people read: "is off: a user opened it"."""
    order: OrderRecord = {
        "circuit": "dryer", "of": "relay", "ordered": "OPEN", "state": "REFUSED",
        "since_s": 24.0, "refused": 92, "lost": 0, "error": "exception 4 (device failure)",
    }  # fmt: skip
    said = explained([order])
    assert said.startswith("Clothes dryer is on: a user opened it")
    assert "Its relay is ordered OPEN and reads CLOSED" in said
    assert "its device refuses the relay's order (OPEN), 92 times in 24 s" in said
    assert "exception 4 (device failure)" in said
    assert "reads" not in explained([], relay="OPEN")
    unknown = explained([], relay="UNKNOWN")
    assert unknown.startswith("Clothes dryer may be on or off")
    assert "is ordered OPEN and cannot be read" in unknown


def test_a_charger_that_does_not_do_as_it_is_told_is_told_of() -> None:
    """20 A under a set-point of 6 A: no fault without a relay, but no silence either."""
    circuits = tuple(replace(c, relay_device=None) if c.id == "evse" else c for c in PANEL.circuits)
    rig = EngineRig(replace(PANEL, circuits=circuits))
    publisher = Publisher(rig.engine)
    i = rig.engine.index["evse"]
    rig.shown |= {"evse.a_ma": 20_000, "evse.b_ma": 20_000}
    rig.shown |= {"main.a_ma": 60_000, "main.b_ma": 60_000}
    events, over = [], []
    for n in range(80):
        rig.engine.state.set_ma[i] = 6_000
        if n == 60:
            rig.shown |= {"evse.a_ma": 5_900, "evse.b_ma": 5_900}
        rig.step()
        record = record_of(rig.engine, rig.now_ns - S // 10, publisher)
        events += [e for e in record["events"] if e.get("circuit") == "evse"]
        evse = next(c for c in record["circuits"] if c["id"] == "evse")
        over.append(evse.get("over_s", 0.0))
    told = [e for e in events if e["what"] in ("ignores", "obeys")]
    assert [e["what"] for e in told] == ["ignores", "obeys"]
    assert told[0]["text"] == "draws 20.0 A, told 6.0 A"
    assert max(over) > 2.0
    assert over[-1] == 0.0


@pytest.mark.parametrize("fault", [f for f in Fault if f.name.startswith(("SETPOINT", "RELAY"))])
def test_an_order_that_does_not_stand_is_a_fault_too(fault: Fault) -> None:
    """Told beside the circuit as every other one, and gone with what was wrong."""
    of, state = next(key for key, found in OF_ORDERS.items() if found is fault)
    orders = Orders()
    rig = EngineRig(PANEL)
    publisher = Publisher(rig.engine, orders=orders)
    key = ("evse" if of == "set-point" else "dryer", of)

    def faults() -> list[tuple[str, str, bool]]:
        rig.step()
        record = record_of(rig.engine, rig.now_ns, publisher)
        return [(f["circuit"], f["fault"], f["holds"]) for f in record["faults"]]

    orders.give(key, "6.0 A", rig.now_ns)
    if state == "CONTRADICTED":
        orders.acknowledge(key)
        orders.compare(key, "20.0 A", rig.now_ns)
    else:
        error = REFUSED if state == "REFUSED" else SILENT
        orders.fail(key, error, rig.now_ns)
        orders.fail(key, error, rig.now_ns)
        rig.now_ns += LOST_NS + S
    assert (key[0], fault.name, False) in faults()
    orders.compare(key, None, rig.now_ns)
    orders.acknowledge(key)
    assert faults() == []


def test_every_event_of_an_order_begins_with_how_it_stands() -> None:
    """By the word, which a case keeps of it."""
    given = Given()
    said: list[str] = []
    given.give()
    given.fail(REFUSED, 2)
    said += given.told()
    given.orders.acknowledge(KEY)
    said += given.told()
    given.give("CLOSED")
    given.fail(SILENT, 2)
    said += given.told(LOST_NS / S + 1)
    given.orders.withdraw(KEY)
    said += given.told()
    assert {text.partition(":")[0] for text in said} == {
        "REFUSED",
        "ACKNOWLEDGED",
        "LOST",
        "WITHDRAWN",
    }
    assert {text.partition(":")[0] for text in said} <= set(TOLD) <= WIRE_STATES
