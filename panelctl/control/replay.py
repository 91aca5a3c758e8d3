"""A recording decided again: the same image and commands have to give the same records, to the bit.

What is not decided is left out of the comparison: the counts of the wire, the cycle's timing, the
time for people. A recording begins with the controller's first cycle, or says what memory the
controller had before its first record.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from panelctl.control.publish import Publisher
from panelctl.control.start import Start
from panelctl.core.checkpoint import put_whole, whole_of
from panelctl.core.engine import Engine
from panelctl.core.state.image import Image
from panelctl.errors import ConfigError, PanelctlError, Problem
from panelctl.link.recording import Recording
from panelctl.model.command import Command, command_from_plain
from panelctl.model.panel import Panel
from panelctl.model.record import CommandRecord, CycleRecord, DecisionRecord, HelloRecord

NOT_DECIDED = ("units", "links", "orders", "faults", "timing", "wall_s")
FIELD_EVENTS = ("link", "device", "order", "foreign")  # what the wires did
OUT_OF_SHAPE = (
    KeyError,
    TypeError,
    ValueError,
    OverflowError,
    IndexError,
    AttributeError,
    PanelctlError,
)


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
    again = Again(panel, recording.hello, recording.memory)
    for record in recording.records:
        made = again.decide(record)
        found = difference(record, made)
        if found is not None:
            return Replay(again.cycles, found)
    return Replay(again.cycles, None)


class Again:
    """A controller's engine that decides records again, one after the other. `memory` is what a
    part of a recording begins with. Raises ConfigError where it cannot.
    """

    def __init__(
        self, panel: Panel, hello: HelloRecord, memory: dict[str, Any] | None = None
    ) -> None:
        self.cycles = 0
        try:
            if hello["shadow"]:
                panel = panel.all_armed()
            elif not any(circuit["armed"] for circuit in hello["circuits"]):
                panel = panel.disarmed()
            start = Start.from_plain(hello["start"])
        except OUT_OF_SHAPE as error:
            raise _cannot(f"its first line does not say what it starts from: {error!r}") from None
        self.panel = panel
        self.engine = Engine(panel)
        self._publisher = Publisher(self.engine, shadow=hello["shadow"])  # no wire, so no links
        try:
            if memory is None:
                start.resume(self.engine)
            else:
                put_whole(self.engine, memory["engine"])
                if memory["seq"]:
                    told = (int(memory["seq"]), int(memory["cycle"]), int(memory["t_ns"]))
                    self._publisher.resume(told)
        except OUT_OF_SHAPE as error:
            raise _cannot(
                f"the memory that it begins with is not this panel's, or not of this version of "
                f"panelctl: {error!r}"
            ) from None

    @property
    def memory(self) -> dict[str, Any]:
        """What the rest of the recording would begin with, ready for JSON."""
        seq, cycle, t_ns = self._publisher.told
        return {"seq": seq, "cycle": cycle, "t_ns": t_ns, "engine": whole_of(self.engine)}

    def decide(
        self, record: CycleRecord, instead: list[CommandRecord] | None = None
    ) -> CycleRecord:
        """What is made of this record's readings and commands, or other commands than these.
        Raises ConfigError.
        """
        seq = self._publisher.told[0] + 1
        try:
            if record["seq"] != seq:
                raise _cannot(
                    f"record {record['seq']} comes where {seq} should: only a recording from the "
                    "controller's first cycle on, without gaps, replays, and a case made of one"
                )
            commands = record["commands"] if instead is None else instead
            self._step(record["decisions"], [command_from_plain(dict(each)) for each in commands])
            made = self._publisher.record(0.0, record["timing"])
        except ConfigError:
            raise
        except OUT_OF_SHAPE as error:
            raise _cannot(f"after {self.cycles} cycles: {error!r}") from None
        self.cycles += len(record["decisions"])
        whole: CycleRecord = json.loads(json.dumps(made))
        return whole

    def _step(self, decisions: list[DecisionRecord], commands: Iterable[Command]) -> None:
        *before, last = decisions
        for decision in before:
            self._one(decision, [])
        self._one(last, list(commands))

    def _one(self, decision: DecisionRecord, commands: list[Command]) -> None:
        now_ns = decision["t_ns"]
        show(self.engine.image, decision)
        self._publisher.decided(now_ns, commands, self.engine.step(now_ns, commands))


def difference(record: CycleRecord, made: CycleRecord) -> Difference | None:
    """The first key of what was decided in which a record comes out otherwise."""
    events = [event for event in record["events"] if event["what"] not in FIELD_EVENTS]
    recorded: dict[str, object] = {**record, "events": events}
    again: dict[str, object] = {**made}
    for key, value in recorded.items():
        if key not in NOT_DECIDED and again.get(key) != value:
            return Difference(record["seq"], key, value, again.get(key))
    return None


def _cannot(why: str) -> ConfigError:
    return ConfigError("the recording", [Problem("", "", f"cannot be replayed: {why}")])


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
