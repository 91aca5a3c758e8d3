"""Cases: any storm's recording, cut anywhere, is decided again to the bit, and does not tell whose
it is.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

from hypothesis import given, settings
from hypothesis import strategies as st

from panelctl.case.make import Made, make_case
from panelctl.case.part import Part
from panelctl.case.words import words_of
from panelctl.config.load import parse_panel
from panelctl.control.replay import replay
from panelctl.link.recording import Recording, open_recording, read_recording
from panelctl.sim.storm.run import plan, run
from panelctl.sim.storm.strike import Pace
from tests.records import DEMO

SEEDS = (3, 8, 21)
SPAN_S = 150.0
ENDS = ("kill", "reload", "restart", "blackout")  # a recording ends with the controller


@cache
def night(seed: int) -> Path:
    """A storm's recording; people have long names for what they ask."""
    text = DEMO.read_text()
    panel = parse_panel(text, DEMO.name)
    file = Path(mkdtemp(prefix="panelctl-test-")) / "night.jsonl"
    strikes = [s for s in plan(panel, seed, SPAN_S, Pace(4.0, 10.0)) if s.kind not in ENDS]
    with open_recording(file) as tape:
        run(panel, text, seed, SPAN_S, strikes, 0.0, record=tape)
    return file


def made_of(source: Path, case: Path, part: Part) -> Made:
    return make_case(source, case, part, lambda what, records: None)


def secrets_of(recording: Recording) -> set[str]:
    """Ids, names, serials and addresses, and what people called their commands; but for those that
    are words of the format.
    """
    panel = parse_panel(recording.hello["config"], "")
    found = {panel.name, panel.serial, panel.service.uncontrolled_basis}
    found |= {text for c in panel.circuits for text in (c.id, c.name)}
    found |= {feeder.id for feeder in panel.feeders} | {device.name for device in panel.devices}
    for link in panel.links:
        found |= {link.name, link.url, link.host, link.path}
    for record in recording.records:
        for command in record["commands"]:
            found |= {command["id"], command.get("source", ""), command.get("circuit", "")}
        for each in record["links"].values():
            found |= {device.get("serial", "") for device in each["devices"].values()}
    return {text for text in found if len(text) > 1} - words_of(panel)


def found_in(text: str, secrets: set[str]) -> list[str]:
    """Those that stand somewhere in a text, not as a part of a word."""
    words = "|".join(re.escape(secret) for secret in secrets)
    return re.findall(rf"(?<![\w]){'(?:' + words + ')'}(?![\w])", text)


@settings(max_examples=12)
@given(
    seed=st.sampled_from(SEEDS),
    begin=st.floats(0.0, SPAN_S - 5.0),
    length=st.floats(0.0, SPAN_S),
)
def test_any_part_of_any_storm_is_a_case(seed: int, begin: float, length: float) -> None:
    source = night(seed)
    with TemporaryDirectory() as folder:
        case = Path(folder) / "case.jsonl"
        made = made_of(source, case, Part(begin, begin + max(length, 1.0)))
        text = case.read_text()
        recording = read_recording(case)
        records = list(recording.records)
    assert len(records) == made.records
    panel = parse_panel(recording.hello["config"], "case")
    again = replay(panel, Recording(recording.hello, iter(records), recording.memory))
    assert again.difference is None
    assert again.cycles == made.cycles
    assert found_in(text, secrets_of(read_recording(source))) == []
