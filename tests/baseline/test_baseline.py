"""A part of the recording, decided again; the whole is `python -m tests.baseline`."""

from __future__ import annotations

import json

import pytest

from panelctl.model.doubt import Doubt
from panelctl.model.reason import Reason, State, Wait
from panelctl.model.relay import Claim
from tests.baseline.__main__ import RECORDED, differences
from tests.baseline.storms import home, storm
from tests.baseline.stream import STEPS, stream
from tests.baseline.then import LATER

THEN = json.loads(RECORDED.read_text())
KINDS = (Reason, Wait, Doubt, State, Claim)


# A few of each; all of it takes a minute (`make baseline`).
@pytest.mark.parametrize("seed", [8, 106, 295, *range(3, 500, 31)])
def test_what_is_decided_is_what_was(seed: int) -> None:
    digests = "".join(stream(seed))
    assert digests == THEN["streams"][seed]


@pytest.mark.parametrize("seed", ["2", "3", "5", "14", "20"])
def test_storms_come_out_as_they_did(seed: str) -> None:
    assert storm(int(seed)) == THEN["storms"][seed]


def test_a_recorded_home_is_run_as_it_was() -> None:
    assert home("tracebase_demo") == THEN["homes"]["tracebase_demo"]


def test_a_step_that_differs_is_counted() -> None:
    changed = {**THEN, "streams": [THEN["streams"][0][:-8] + "00000000", *THEN["streams"][1:]]}
    assert differences(THEN, THEN) == {"steps": 0, "storms": 0, "homes": 0}
    assert differences(THEN, changed)["steps"] == 50


def test_the_recording_covers_a_million_steps() -> None:
    assert THEN["steps"] == 1_000_000
    assert len(THEN["streams"]) == 500
    assert all(len(digests) == 8 * STEPS // 50 for digests in THEN["streams"])
    assert min(THEN["seen"].values()) > 500
    every = {f"{type(word).__name__}.{word.name}" for kind in KINDS for word in kind}
    later = {f"Reason.{reason.name}" for reason in LATER}
    assert every - later <= THEN["seen"].keys(), "a word that never occurred proves nothing"
    assert later.isdisjoint(THEN["seen"])
