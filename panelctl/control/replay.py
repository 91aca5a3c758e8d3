"""A recording decided again: the same image and commands have to give the same records, to the bit.

What is not decided is left out of the comparison: the counts of the wire, the cycle's timing, the
time for people.
"""

from __future__ import annotations

import json
from array import array
from dataclasses import dataclass
from typing import Any

from panelctl.control.publish import Publisher
from panelctl.control.start import Start
from panelctl.core.engine import Engine
from panelctl.core.state.image import Image
from panelctl.errors import ConfigError, Problem
from panelctl.link.recording import Recording
from panelctl.model.command import command_from_plain
from panelctl.model.panel import Panel
from panelctl.model.record import CycleRecord, DecisionRecord

NOT_DECIDED = ("units", "links", "orders", "faults", "timing", "wall_s")
FIELD_EVENTS = ("link", "device", "order", "foreign")  # what the wires did


@dataclass(frozen=True, slots=True)
class Difference:
    """The first record that came out otherwise, and in what."""

    seq: int
    key: str
    recorded: Any
    replayed: Any


@dataclass(frozen=True, slots=True)
class Replay:
    """How many cycles were decided again, and the first difference, if there is one."""

    cycles: int
    difference: Difference | None


def replay(panel: Panel, recording: Recording) -> Replay:
    """Decide everything again. Raises ConfigError when the recording cannot be replayed."""
    try:
        start = Start.from_plain(recording.hello["start"])
        if recording.hello["shadow"]:
            panel = panel.all_armed()
        elif not any(circuit["armed"] for circuit in recording.hello["circuits"]):
            panel = panel.disarmed()
    except (KeyError, TypeError, ValueError) as error:
        raise _cannot(f"its first line does not say what it starts from: {error!r}") from None
    engine = Engine(panel)
    start.resume(engine)
    publisher = Publisher(engine, shadow=recording.hello["shadow"])  # no wire, so no links
    cycles = 0
    for number, record in enumerate(recording.records, 1):
        try:
            if record["seq"] != number:
                raise _cannot(
                    f"record {record['seq']} comes where {number} should: only a recording from "
                    "the controller's first cycle on, without gaps, replays"
                )
            found = _again(engine, publisher, record)
            cycles += len(record["decisions"])
        except (KeyError, TypeError, ValueError, OverflowError, IndexError) as error:
            raise _cannot(f"after {cycles} cycles: {error!r}") from None
        if found is not None:
            return Replay(cycles, found)
    return Replay(cycles, None)


def _cannot(why: str) -> ConfigError:
    return ConfigError("the recording", [Problem("", "", f"cannot be replayed: {why}")])


def _again(engine: Engine, publisher: Publisher, record: CycleRecord) -> Difference | None:
    commands = [command_from_plain(plain) for plain in record["commands"]]
    *before, last = record["decisions"]
    for decision in before:
        show(engine.image, decision)
        publisher.decided(decision["t_ns"], [], engine.step(decision["t_ns"], []))
    show(engine.image, last)
    publisher.decided(last["t_ns"], commands, engine.step(last["t_ns"], commands))
    made = json.loads(json.dumps(publisher.record(0.0, record["timing"])))
    events = [event for event in record["events"] if event["what"] not in FIELD_EVENTS]
    recorded: dict[str, object] = {**record, "events": events}
    for key, value in recorded.items():
        if key not in NOT_DECIDED and made.get(key) != value:
            return Difference(record["seq"], key, value, made.get(key))
    return None


def show(image: Image, decision: DecisionRecord) -> None:
    """Put into an image what was read before a decision, and latch it. Raises IndexError."""
    slots = decision["slots"]
    sampled_ns = [decision["t_ns"] - age_ns if age_ns >= 0 else 0 for age_ns in decision["age_ns"]]
    for place, values in (
        (image.next_value, decision["value"]),
        (image.next_quality, decision["quality"]),
        (image.next_sampled_ns, sampled_ns),
    ):
        for slot, value in zip(slots, array("q", values), strict=True):
            if slot < 0:
                raise IndexError(f"slot {slot}")
            place[slot] = value
    image.latch()
