"""Every fault that there is reaches people, wherever they look: explained, in the view, as an alert
on eBus, as a figure, and with the verb that ends it. The numbers of its table are those in force.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from panelctl.core.decide.faults import REFUSALS
from panelctl.core.state.build import HEAL_S, MOVES_MOST, MOVES_S
from panelctl.field.orders import REFUSALS as FIELD_REFUSALS
from panelctl.model.fault import ACK, FAULTS, Fault
from panelctl.model.panel import Timing
from panelctl.model.record import CycleRecord
from panelctl.model.why import explain, sentence
from panelctl.model.wording import reason_text
from panelctl.services.ebus.tree import Tree
from panelctl.services.gateway import Gateway
from panelctl.services.metrics import exposition, registry
from tests.records import demo_hello, demo_record
from tests.unit.test_services import WHERE

LOAD = "evse"


def at_fault(fault: Fault) -> CycleRecord:
    """A record in which one circuit has this fault."""
    record = demo_record()
    holds = FAULTS[fault].holds
    record["faults"] = [{"circuit": LOAD, "fault": str(fault), "since_s": 12.0, "holds": holds}]
    return record


@pytest.mark.parametrize("fault", Fault)
def test_each_fault_is_told_wherever_people_look(fault: Fault) -> None:
    record, kind = at_fault(fault), FAULTS[fault]
    circuit = next(c for c in record["circuits"] if c["id"] == LOAD)
    assert kind.short in reason_text(circuit, record["faults"])
    said = sentence(explain(demo_hello(), record, LOAD))
    assert kind.sentence in said
    assert kind.ends in said or "somebody has to look at it" in said
    assert (f"panelctl fault ack {LOAD}" in said) == (kind.person.startswith(ACK) or kind.holds)
    told = dict(Tree(demo_hello()).values(record))
    status = {path.rpartition("/")[2]: value for path, value in told.items() if "/status/" in path}
    assert status["fault-state"] == "FAULT"
    assert f"{LOAD}: {kind.short}" in str(status["active-alerts"])


async def figures_of(record: CycleRecord) -> str:
    """What Prometheus is told when this is the newest record."""
    gateway = Gateway(Path("nowhere"), WHERE, "demo-0001", False, 1)
    gateway.record = record
    return exposition(registry(gateway)).decode()


@pytest.mark.parametrize("fault", [None, *Fault])
def test_the_figure_of_a_circuit_at_fault_is_one_and_of_every_other_nought(
    fault: Fault | None,
) -> None:
    record = demo_record() if fault is None else at_fault(fault)
    text = asyncio.run(figures_of(record))
    figures = {
        line.split('"')[1]: float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line.startswith("panelctl_circuit_fault{")
    }
    assert set(figures) == {circuit["id"] for circuit in record["circuits"] if "why" in circuit}
    assert {name for name, value in figures.items() if value} == ({LOAD} if fault else set())
    assert set(figures.values()) <= {0.0, 1.0}


# What the table says in words, and where the number is.
NUMBERS: list[tuple[Fault, str, float, str]] = [
    (Fault.WELDED, "raised", Timing().relay_confirm_s, "both sampled {:g} s and more after"),
    (Fault.STUCK_OPEN, "raised", Timing().relay_confirm_s, "reads open {:g} s and more after"),
    (Fault.WELDED, "ends", HEAL_S, "for {:g} s, twice as long each time"),
    (Fault.STUCK_OPEN, "ends", HEAL_S, "tried again after {:g} s"),
    (Fault.REFUSED_CLOSE, "ends", HEAL_S, "tried again after {:g} s"),
    (Fault.IGNORES_BUDGET, "raised", Timing().node_fault_s, "for {:g} s;"),
    (Fault.IGNORES_BUDGET, "raised", Timing().node_open_s, "after {:g} s its relay opens"),
    (Fault.IGNORES_SETPOINT, "raised", Timing().node_fault_s, "for {:g} s"),
]


@pytest.mark.parametrize(("fault", "of", "number", "words"), NUMBERS)
def test_the_numbers_of_the_table_are_those_of_the_rules(
    fault: Fault, of: str, number: float, words: str
) -> None:
    assert words.format(number) in getattr(FAULTS[fault], of)


def test_the_counts_of_the_table_are_those_of_the_rules() -> None:
    assert (MOVES_MOST, MOVES_S) == (3, 600.0)
    assert FAULTS[Fault.MOVED].raised.count("more than three times in ten minutes") == 1
    assert REFUSALS == FIELD_REFUSALS == 2
    for fault in (Fault.REFUSED_OPEN, Fault.REFUSED_CLOSE, Fault.SETPOINT_REFUSED):
        assert "twice" in FAULTS[fault].raised
