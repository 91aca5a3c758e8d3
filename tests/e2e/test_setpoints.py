"""A charger that acknowledges a set-point and keeps its old one, over real sockets: people are told
what it was ordered and what it reads, and again when it is over.
"""

from __future__ import annotations

from panelctl.model.record import EventRecord
from panelctl.model.why import explain, sentence
from tests.e2e.rig import PanelRig, Record, circuit


def told(record: Record, what: str) -> list[EventRecord]:
    """The events of one kind about the charger."""
    return [e for e in record["events"] if e["what"] == what and e.get("circuit") == "evse"]


def test_what_a_charger_reads_is_explained_beside_what_it_was_ordered(rig: PanelRig) -> None:
    assert rig.client is not None
    rig.bench.ask(do="car", circuit="evse", a=8)
    rig.until(lambda r: 8.0 <= circuit(r, "evse")["set_a"] < 30.0, 30)  # the car takes no more
    rig.bench.ask(do="charger", device="charger", keeps=True, overwrite_a=40)
    lasting = rig.until(lambda r: told(r, "order"), 8)
    (event,) = told(lasting, "order")
    assert event["text"].startswith("CONTRADICTED: set-point ")
    (order,) = lasting["orders"]
    assert (order["circuit"], order["reads"]) == ("evse", "40.0 A")
    said = sentence(explain(rig.client.hello, lasting, "evse"))
    assert f"et-point is ordered {order['ordered']}, and the device reads 40.0 A" in said
    rig.bench.ask(do="charger", device="charger", keeps=False)
    over = rig.until(lambda r: told(r, "order"), 60)
    assert told(over, "order")[0]["text"].startswith("ACKNOWLEDGED: set-point ")
    assert rig.until(lambda r: r["orders"] == [], 5)["orders"] == []
