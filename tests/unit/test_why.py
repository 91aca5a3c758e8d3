"""What `panelctl explain` says, from records as the publisher makes them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from panelctl.cli import root
from panelctl.cli.view import PanelView
from panelctl.link.recording import header, open_recording, read_recording
from panelctl.model.doubt import Doubt
from panelctl.model.limit import LimitName
from panelctl.model.reason import Reason, State, Wait
from panelctl.model.record import ConstraintRecord, CycleRecord, EventRecord
from panelctl.model.relay import Claim
from panelctl.model.why import explain, sentence
from panelctl.model.wording import (
    CLAIMS,
    DOUBTS,
    EVENTS,
    LIMITS,
    REASONS,
    STATES,
    WAITS,
    event_text,
    reason_text,
)
from panelctl.services.ebus.circuits import _decision
from panelctl.services.ebus.facts import read_facts
from panelctl.services.ebus.record_view import RecordView
from tests.records import demo_hello, demo_record

HELLO = demo_hello()


def record(t_s: float = 0.0, **dryer: Any) -> CycleRecord:
    """A cycle with one circuit."""
    entry: Any = {"id": "dryer", "w": 0, "a": [0.0], "relay": "OPEN", "tier": 5, "fresh": True}
    entry |= dryer
    leg: ConstraintRecord = {"a": 171.4, "limit_a": 160.0, "headroom_a": -11.4, "binding": "FSR"}
    return {
        **demo_record(),
        "t_ns": int(t_s * 1e9),
        "wall_s": 1000 + t_s,
        "legs": {"a": leg, "b": leg},
        "constraints": {"import": {**leg, "a": 210.0, "limit_a": 200.0, "binding": "DOE"}},
        "limits": [
            {"name": "FSR", "source": "panel file", "limit_a": {"a": 160.0}},
            {"name": "DOE", "source": "utility", "limit_a": {"import": 200.0}},
        ],
        "circuits": [entry],
    }


SHED: dict[str, Any] = {
    "ordered": "OPEN", "why": "LIMIT", "constraint": "a", "by_a": 11.4, "since_s": 3.0,
    "claims": ["PCS"], "wait": "MIN_OFF", "until_s": 297.0,
}  # fmt: skip


def test_a_shed_circuit_names_row_limit_and_source() -> None:
    why = explain(HELLO, record(**SHED), "dryer")
    assert (why.off, why.constraint, why.short_a) == (True, "a", 11.4)
    assert (why.flows_a, why.limit_a, why.binding, why.source) == (
        171.4,
        160.0,
        "FSR",
        "panel file",
    )
    assert sentence(why) == (
        "Clothes dryer is off: there was not enough room for 3 s.\n"
        "Leg a carried 171.4 A of the 160.0 A that the control setting allows (panel file); "
        "11.4 A were missing.\n"
        "It is held open by: the import limit.\n"
        "For more, its minimum off time has to end, in 297 s."
    )


def test_room_that_is_missing_is_what_has_to_change() -> None:
    entry = {**SHED, "wait": "NO_ROOM", "wait_a": 7.25, "constraint": "import"}
    why = explain(HELLO, record(**entry), "dryer")
    assert why.change == "7.2 A more have to be free on the total import"
    assert (why.binding, why.source) == ("DOE", "utility")


def test_people_and_faults_come_before_room() -> None:
    made = record(**{**SHED, "claims": ["FAULT", "PCS"], "why": "LIMIT"})
    made["faults"] = [{"circuit": "dryer", "fault": "WELDED", "since_s": 9.0, "holds": True}]
    why = explain(HELLO, made, "dryer")
    assert (why.who, why.since_s, why.faults) == ("FAULT", 9.0, ("WELDED",))
    assert why.why == REASONS[Reason.WELDED].sentence, "whatever else holds it open"
    assert "panelctl fault ack dryer" in why.change
    user = explain(HELLO, record(**{**SHED, "claims": ["USER"], "why": "USER"}), "dryer")
    assert user.change == "its user has to close it"


def test_a_circuit_that_is_not_ours() -> None:
    why = explain(HELLO, record(), "dryer")
    assert why.why == "panelctl does not control it"
    with pytest.raises(KeyError):
        explain(HELLO, record(), "range")


def test_every_code_has_its_words() -> None:
    """A new code without a wording, or one that a view does not show in words, ends here."""
    for codes, words in (
        (Reason, REASONS),
        (Wait, WAITS),
        (Doubt, DOUBTS),
        (LimitName, LIMITS),
        (State, STATES),
    ):
        assert set(words) == set(codes)
    assert set(CLAIMS) == set(Claim)
    page = Path("docs/reference/control-socket.md").read_text()
    for code in (*Reason, *Wait, *Doubt, *LimitName, *State, *Claim):
        if code not in (Wait.NONE,):
            assert f"`{code.name}`" in page, f"{code!r} is not in the page of the control socket"
    text = "".join(path.read_text() for path in Path("panelctl").rglob("*.py"))
    assert set(EVENTS) == set(re.findall(r'"what": "(\w+)"', text))
    for what in EVENTS:
        assert f"`{what}`" in page


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("wait", Wait)
def test_no_view_shows_a_code_itself(reason: Reason, wait: Wait) -> None:
    """The terminal, `explain` and the tree of the services, for every reason and wait."""
    held = {**SHED, "why": reason.name, "wait": wait.name, "wait_a": 3.0}
    made = record(**held)
    (entry,) = made["circuits"]
    why = explain(HELLO, made, "dryer")
    facts = next(c for c in read_facts(HELLO).circuits if c.id == "dryer")
    (words,) = (p for p in _decision(facts).properties if p.id == "text")
    for said in (reason_text(entry), sentence(why), str(words.text(RecordView(made)))):
        for code in {reason.name, wait.name} - {"NONE", "WELDED"}:
            assert code not in said


@pytest.mark.parametrize(
    ("event", "says"),
    [
        ({"what": "shed", "circuit": "dryer", "text": "LIMIT", "constraint": "barn.a", "by_a": 2.0},
         "shed · Dryer · 2.0 A too much on leg a of barn"),
        ({"what": "shed", "circuit": "dryer", "text": "GAVE_WAY"},
         "shed · Dryer · made room for another"),
        ({"what": "open", "circuit": "dryer", "text": "USER"}, "opened · Dryer · "),
        ({"what": "fault", "circuit": "dryer", "text": "WELDED"},
         "FAULT · Dryer · WELDED: does not open"),
        ({"what": "doubt", "leg": "main", "text": "FROZEN"},
         "not believed · the mains · the mains meter stands still while circuits move"),
        ({"what": "doubt", "circuit": "dryer", "text": "HIDDEN"},
         "not believed · Dryer · it may draw more than it shows"),
        ({"what": "device", "device": "mains", "text": "SILENT"}, "device · mains · SILENT"),
        ({"what": "state", "text": "HOLD"},
         "state · HOLD, the mains are not seen: nothing closes"),
    ],
)  # fmt: skip
def test_an_event_in_a_line(event: EventRecord, says: str) -> None:
    assert event_text(event, {"dryer": "Dryer"}).startswith(says)


def test_the_last_time_it_was_off_is_found(tmp_path: Path) -> None:
    file = tmp_path / "evening.jsonl.gz"
    on = {"relay": "CLOSED", "ordered": "CLOSED", "why": "NONE"}
    with open_recording(file) as recording:
        recording.write(header(HELLO))
        for t_s, entry in ((0, on), (1, SHED), (2, {**SHED, "since_s": 4.0}), (3, on)):
            recording.write(json.dumps(record(t_s, **entry)).encode() + b"\n")

    def ask(*options: str) -> Any:
        command = ["explain", "dryer", "--file", str(file), "--json", *options]
        result = CliRunner().invoke(root, command)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    assert (ask()["at_s"], ask()["off"], ask()["since_s"]) == (2.0, True, 4.0)
    assert ask("--at", "1.5")["at_s"] == 1.0
    assert not ask("--at", "9")["off"]
    wrong = CliRunner().invoke(root, ["explain", "stove", "--file", str(file)])
    assert wrong.exit_code == 1
    assert "there are dryer" in wrong.output


@pytest.mark.parametrize("file", sorted(Path("fixtures/cases").glob("*.jsonl.gz")), ids=str)
def test_every_circuit_of_a_shipped_case_is_shown_and_explained(file: Path) -> None:
    """They were recorded by earlier versions, which knew fewer facts of a circuit."""
    recording = read_recording(file)
    view = PanelView(recording.hello)
    records = list(recording.records)
    assert records
    for record in records[:: max(1, len(records) // 8)]:
        view.render(record)
        for circuit in recording.hello["circuits"]:
            assert sentence(explain(recording.hello, record, circuit["id"]))
