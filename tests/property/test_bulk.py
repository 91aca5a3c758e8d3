"""The compiled part of a record, against the memory that it is made from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from panelctl.config.load import read_panel
from panelctl.control.bulk import Bulk
from panelctl.control.replay import show
from panelctl.core.engine import Engine
from panelctl.model.circuit import Role
from panelctl.model.metering import Quality
from panelctl.model.reason import Reason, Wait
from panelctl.model.relay import Claim
from panelctl.model.slots import LEGS

PANEL = read_panel(Path("panelctl/sim/demo.toml"))
STALE_NS = 3_000_000_000
NOW_NS = 40_000_000_000_000
AGES_NS = st.integers(0, 2 * STALE_NS) | st.sampled_from([STALE_NS, STALE_NS + 1])
TIMES_NS = st.integers(-(10**13), NOW_NS) | st.integers(0, 4000).map(lambda n: n * 50_000_000)


def seconds(ns: int) -> float:
    return round(ns / 1_000_000_000, 1)


@given(st.data())
def test_a_circuits_record_says_what_is_in_memory(data: st.DataObject) -> None:
    engine = Engine(PANEL)
    image, state = engine.image, engine.state
    dice = data.draw(st.randoms(use_true_random=False))
    for slot in range(len(image.names)):
        image.value[slot] = dice.randrange(-20_000, 90_000)
        image.quality[slot] = dice.choice(list(Quality))
        image.sampled_ns[slot] = dice.choice([0, NOW_NS - data.draw(AGES_NS)])
    for i in range(len(engine.loads)):
        state.reason[i], state.wait[i] = dice.choice(list(Reason)), dice.choice(list(Wait))
        state.reason_row[i], state.wait_row[i] = dice.randrange(-1, 2), dice.randrange(-1, 2)
        state.reason_ma[i], state.wait_ma[i] = dice.randrange(90_000), dice.randrange(90_000)
        state.claims[i] = dice.choice([0, 0, *range(1, 1 + max(Claim))])
        state.closed[i], state.tier[i] = dice.randrange(-1, 2), dice.randrange(8)
        state.since_ns[i] = NOW_NS - data.draw(TIMES_NS)
        state.until_ns[i] = NOW_NS + data.draw(TIMES_NS)
        state.set_ma[i] = dice.randrange(90_000)
    bulk = Bulk(engine, STALE_NS)
    records = bulk.circuits(NOW_NS)
    assert [record["id"] for record in records] == [circuit.id for circuit in PANEL.circuits]
    for circuit, record in zip(PANEL.circuits, records, strict=True):
        legs = [m.leg for m in circuit.currents]
        if len({m.current for m in circuit.currents}) < len(legs):
            legs = [legs[0]] * len(legs)  # one transformer stands for both legs
        amps = [image.slot[f"{circuit.id}.{LEGS[leg]}_ma"] for leg in legs]
        assert record["a"] == [image.value[slot] / 1000 for slot in amps]
        assert record["fresh"] == all(image.good(slot, NOW_NS, STALE_NS) for slot in amps)
        watts = [image.slot[f"{circuit.id}.{n}_w"] for n in range(len(circuit.power))]
        if watts and all(image.quality[slot] == Quality.GOOD for slot in watts):
            factor = 2 if circuit.balanced and len(watts) == 1 else 1
            assert record["w"] == factor * sum(image.value[slot] for slot in watts)
        else:
            half_v = PANEL.service.voltage_v / 2
            assert record["w"] == round(sum(image.value[s] for s in amps) / 1000 * half_v)
        slot = image.slot.get(f"{circuit.id}.relay", -1)
        known = image.good(slot, NOW_NS, STALE_NS)
        stands = "CLOSED" if known and image.value[slot] else "OPEN"
        assert record["relay"] == ("NONE" if slot < 0 else stands if known else "UNKNOWN")
        i = engine.index.get(circuit.id, -1)
        if i < 0:
            assert "why" not in record
            continue
        assert record["tier"] == state.tier[i]
        assert record["why"] == Reason(state.reason[i]).name
        assert record["since_s"] == seconds(NOW_NS - state.since_ns[i])
        left_ns = state.until_ns[i] - NOW_NS
        assert record.get("until_s") == (seconds(left_ns) if left_ns > 0 else None)
        assert record.get("wait") == (Wait(state.wait[i]).name if state.wait[i] else None)
        names = [str(claim.name) for claim in Claim if claim & state.claims[i]]
        assert record.get("claims", []) == names[::-1]
        by_a = state.reason_ma[i] / 1000 if state.reason_row[i] >= 0 else None
        assert record.get("by_a") == by_a
        row = state.reason_row[i]
        if state.wait[i] and state.wait_row[i] >= 0:
            row = state.wait_row[i]
            assert record["wait_a"] == state.wait_ma[i] / 1000
        assert record.get("constraint") == (engine.rows[row].name if row >= 0 else None)
        ordered = {-1: None, 0: "OPEN", 1: "CLOSED"}[state.closed[i]] if slot >= 0 else None
        assert record.get("ordered") == ordered
        is_set = circuit.role is Role.MODULATED
        assert record.get("set_a") == (state.set_ma[i] / 1000 if is_set else None)
        assert bulk.load_w(i) == record["w"]


PUTS = st.lists(
    st.tuples(
        st.integers(0, 40), st.integers(-99, 99), st.sampled_from(list(Quality)), st.integers(1, 50)
    ),
    max_size=6,
)


@given(st.lists(PUTS, min_size=1, max_size=8))
def test_what_is_new_of_the_image_makes_it_again(cycles: list[list[Any]]) -> None:
    """Whoever has all decisions has the image; one in which nothing came says nothing."""
    engine = Engine(PANEL)
    image, bulk = engine.image, Bulk(engine, STALE_NS)
    again = Engine(PANEL).image
    for number, puts in enumerate(cycles):
        now_ns = NOW_NS + number
        for slot, value, quality, age_ns in puts:
            image.put(slot, value, int(quality), now_ns - age_ns)
        image.latch()
        decision = bulk.decision(now_ns)
        assert decision["t_ns"] == now_ns
        assert set(decision["slots"]) <= {slot for slot, *_ in puts}
        show(again, decision)
        assert again.value == image.value
        assert again.quality == image.next_quality
        assert again.sampled_ns == image.sampled_ns
        assert bulk.decision(now_ns)["slots"] == []
