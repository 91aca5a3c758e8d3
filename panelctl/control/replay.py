"""A recording decided again: the same image and commands have to give the same record, to the bit.

What is not decided is left out of the comparison: the counts of the wire, the cycle's timing, the
time for people.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from panelctl.control.publish import Publisher
from panelctl.control.start import Start
from panelctl.core.engine import Engine
from panelctl.errors import ConfigError, Problem
from panelctl.model.command import command_from_plain
from panelctl.model.panel import Panel

NOT_DECIDED = ("units", "links", "timing", "wall_s")
FIELD_EVENTS = ("link", "device")  # what the wires did


@dataclass(frozen=True, slots=True)
class Difference:
    """The first cycle that came out otherwise, and in what."""

    seq: int
    key: str
    recorded: Any
    replayed: Any


@dataclass(frozen=True, slots=True)
class Replay:
    """How many cycles were decided again, and the first difference, if there is one."""

    cycles: int
    difference: Difference | None


def replay(panel: Panel, hello: dict[str, Any], records: Iterable[dict[str, Any]]) -> Replay:
    """Decide every record again. Raises ConfigError when the recording cannot be replayed."""
    try:
        start = Start.from_plain(hello["start"])
        if not any(circuit["armed"] for circuit in hello["circuits"]):
            panel = panel.disarmed()
    except (KeyError, TypeError, ValueError) as error:
        raise _cannot(f"its first line does not say what it starts from: {error!r}") from None
    engine = Engine(panel)
    start.resume(engine)
    publisher = Publisher(engine)  # no wire, so no links
    cycles = 0
    for record in records:
        try:
            seq = int(record["seq"])
            if seq != cycles + 1:
                raise _cannot(
                    f"cycle {seq} comes where {cycles + 1} should: only a recording from the "
                    "controller's first cycle on, without gaps, replays"
                )
            found = _cycle(engine, publisher, record)
        except (KeyError, TypeError, ValueError, OverflowError, IndexError) as error:
            raise _cannot(f"after {cycles} cycles: {error!r}") from None
        cycles += 1
        if found is not None:
            return Replay(cycles, found)
    return Replay(cycles, None)


def _cannot(why: str) -> ConfigError:
    return ConfigError("the recording", [Problem("", "", f"cannot be replayed: {why}")])


def _cycle(engine: Engine, publisher: Publisher, record: dict[str, Any]) -> Difference | None:
    image, now_ns = engine.image, int(record["t_ns"])
    taken = record["image"]
    ages = taken["age_ns"]
    for place, values in (
        (image.next_value, taken["value"]),
        (image.next_quality, taken["quality"]),
        (image.next_sampled_ns, [now_ns - age if age >= 0 else 0 for age in ages]),
    ):
        if len(values) != len(place):
            raise ValueError(f"an image of {len(values)} slots, where the panel has {len(place)}")
        place[:] = array("q", values)
    image.latch()
    commands = [command_from_plain(plain) for plain in record["commands"]]
    verdicts = engine.step(now_ns, commands)
    made = publisher.record(now_ns, 0.0, commands, verdicts, record["timing"])
    again = json.loads(json.dumps(made))
    events = [event for event in record["events"] if event["what"] not in FIELD_EVENTS]
    record = {**record, "events": events}
    for key in record:
        if key not in NOT_DECIDED and again.get(key) != record[key]:
            return Difference(record["seq"], key, record[key], again.get(key))
    return None
