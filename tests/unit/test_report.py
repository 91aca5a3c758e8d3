"""A recording as a whole: columns, quantiles by time, and what the verb says."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from panelctl.cli import root
from panelctl.link.protocol import Cycle, encode
from panelctl.link.recording import header, open_recording
from panelctl.model.record import CycleRecord
from panelctl.report.columns import columns_of, quantile
from panelctl.report.summary import summarise
from tests.records import demo_hello, demo_record

S = 1_000_000_000


def records() -> list[CycleRecord]:
    """Ten seconds: leg a rises from 10 to 109 A, the dryer runs for the second half and is then
    shed; the mains are not seen in the last second.
    """
    made = []
    for n in range(100):
        record = demo_record()
        record["seq"], record["t_ns"] = n + 1, 5 * S + n * S // 10
        record["legs"]["a"] |= {"a": 10.0 + n, "limit_a": 100.0}
        record["mains"]["fresh"] = n < 90
        record["state"] = "NORMAL" if n < 90 else "HOLD"
        node = record["compute"]
        assert node is not None
        node |= {"draw_w": 6_000, "budget_w": 12_000 if n < 50 else 8_000}
        for circuit in record["circuits"]:
            if circuit["id"] == "dryer":
                circuit |= {"w": 5_400 if 50 <= n < 80 else 0, "fresh": True}
                if n >= 80:
                    circuit["claims"] = ["PCS"]
        made.append(record)
    return made


def test_a_recording_in_numbers() -> None:
    summary = summarise(columns_of(iter(records())))
    assert (summary.span_s, summary.records, summary.gaps) == (10.0, 100, 0)
    assert summary.states_s == {"NORMAL": 9.0, "HOLD": 1.0}
    leg = summary.legs["a"]
    assert leg.median_a == pytest.approx(54.0, abs=1.0)
    assert leg.most_a == 99.0, "what was not seen does not count"
    assert leg.over_s == 0.0
    assert leg.near_s == {"50%": 5.0, "80%": 2.0, "90%": 1.0, "100%": 0.0}
    assert summary.compute is not None
    assert summary.compute.drawn_wh == pytest.approx(6_000 * 10 / 3600, rel=1e-3)
    assert summary.compute.used == pytest.approx(0.6)
    assert summary.compute.lowered == 1
    dryer = summary.circuits["dryer"]
    assert dryer.drawn_wh == pytest.approx(5_400 * 3 / 3600, rel=1e-3)
    assert (dryer.most_w, dryer.runs_ratio, dryer.starts) == (5_400.0, 0.3, 1)
    assert dryer.off_s == {"PCS": 2.0}


def test_a_gap_counts_for_nothing() -> None:
    made = records()
    summary = summarise(columns_of(iter(made[:30] + made[70:])))
    assert summary.gaps == 1
    assert summary.span_s == pytest.approx(29 * 0.1 + 1.0 + 30 * 0.1, abs=0.05)


@given(
    st.lists(
        st.tuples(st.floats(-1e6, 1e6), st.floats(0.01, 1.0)) | st.just((float("nan"), 1.0)),
        min_size=1,
        max_size=40,
    ),
    st.floats(0.0, 1.0),
)
def test_a_quantile_by_time(pairs: list[tuple[float, float]], q: float) -> None:
    values = np.array([value for value, _ in pairs])
    weights = np.array([weight for _, weight in pairs])
    found = quantile(values, weights, q)
    known = ~np.isnan(values)
    if found is None:
        assert not known.any()
        return
    total = weights[known].sum()
    assert weights[known & (values <= found)].sum() >= q * total * (1 - 1e-9)
    assert weights[known & (values < found)].sum() <= q * total * (1 + 1e-9) + 1e-12


def test_the_verb(tmp_path: Path) -> None:
    file = tmp_path / "day.jsonl.gz"
    with open_recording(file) as recording:
        recording.write(header(demo_hello()))
        for record in records():
            recording.write(encode(Cycle(record)))
    said = CliRunner().invoke(root, ["report", str(file)])
    assert said.exit_code == 0, said.output
    assert "leg a: 54.0 A (half of the time at most)" in said.output
    assert "Clothes dryer: 0.004 kWh, most 5400 W; ran 30% of the time, started once" in said.output
    assert "held open by the import limit for 2.0 s" in said.output
    plain = json.loads(CliRunner().invoke(root, ["report", str(file), "--json"]).output)
    assert plain == json.loads(json.dumps(asdict(summarise(columns_of(iter(records()))))))
    empty = tmp_path / "empty.jsonl"
    empty.write_bytes(header(demo_hello()))
    wrong = CliRunner().invoke(root, ["report", str(empty)])
    assert wrong.exit_code == 1
    assert "holds no record" in wrong.output
