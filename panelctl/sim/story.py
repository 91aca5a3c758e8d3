"""What happens in the simulated house, and when: a timeline of appliances, as data.

A story is a TOML file: `[base]` sets what every circuit draws (W) at the start, each `[[event]]`
changes one circuit at `at_s`. After `repeat_s` the story begins again.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from panelctl.errors import ConfigError, Problem
from panelctl.sim.plant import Plant


@dataclass(frozen=True, slots=True)
class Event:
    """At `at_s` a circuit's demand becomes `w` watts, or its car takes up to `car_a` amps."""

    at_s: float
    circuit: str
    w: float | None
    car_a: float | None


@dataclass(frozen=True, slots=True)
class Story:
    """A timeline; after `repeat_s` it begins again."""

    base: dict[str, float]
    events: tuple[Event, ...]
    repeat_s: float


def _amount(table: dict[str, Any], key: str, path: str, problems: list[Problem]) -> float | None:
    value = table.pop(key, None)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e6:
        problems.append(Problem(f"{path}.{key}", repr(value), "must be a number from 0 to 1e6"))
        return 0.0
    return float(value)


def parse_story(text: str, file: str, plant: Plant) -> Story:
    """The story in `text` for this plant. Raises ConfigError with every problem."""
    problems: list[Problem] = []
    try:
        plain = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a TOMLDecodeError is a ValueError
        raise ConfigError(file, [Problem("", "", f"is not TOML: {error}")]) from None
    base: dict[str, float] = {}
    tables = plain.pop("base", {})
    if not isinstance(tables, dict):
        problems.append(Problem("base", repr(tables)[:60], "must be a table"))
        tables = {}
    for name in list(tables):
        watts = _amount(tables, name, "base", problems)
        if name not in plant.circuits:
            problems.append(Problem(f"base.{name}", "", "is no circuit of the panel"))
        base[name] = watts or 0.0
    events: list[Event] = []
    given = plain.pop("event", [])
    if not isinstance(given, list) or not all(isinstance(table, dict) for table in given):
        problems.append(Problem("event", repr(given)[:60], "must be tables"))
        given = []
    for number, table in enumerate(given, start=1):
        path = f"event[{number}]"
        circuit = table.pop("circuit", "")
        if not isinstance(circuit, str) or circuit not in plant.circuits:
            problems.append(Problem(f"{path}.circuit", repr(circuit), "is no circuit of the panel"))
        at_s = _amount(table, "at_s", path, problems)
        w, car_a = _amount(table, "w", path, problems), _amount(table, "car_a", path, problems)
        if at_s is None or (w is None) == (car_a is None):
            problems.append(Problem(path, "", "needs at_s, and either w or car_a"))
        problems += [Problem(f"{path}.{key}", "", "is not a key of an event") for key in table]
        events.append(Event(at_s or 0.0, circuit, w, car_a))
    repeat_s = _amount(plain, "repeat_s", "", problems) or 0.0
    problems += [Problem(key, "", "is not a key of a story") for key in plain]
    if problems:
        raise ConfigError(file, problems)
    events.sort(key=lambda event: event.at_s)
    return Story(base, tuple(events), repeat_s)


def read_story(path: Path, plant: Plant) -> Story:
    """The story in the file at `path`. Raises ConfigError."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [Problem("", "", f"cannot be read: {error}")]) from None
    return parse_story(text, str(path), plant)


def is_of(path: Path, plant: Plant) -> bool:
    """Whether the story at `path` can be told of this plant: it has all of its circuits."""
    try:
        read_story(path, plant)
    except ConfigError:
        return False
    return True


class ScenarioPlayer:
    """Tells a story to a plant, step by step."""

    def __init__(self, story: Story, plant: Plant) -> None:
        self._story = story
        self._plant = plant
        self._next = 0
        self._round_s = 0.0

    def begin(self) -> None:
        """Set what every circuit draws at the start."""
        for name, watts in self._story.base.items():
            self._plant.circuits[name].demand_w = watts

    def tell(self, story_s: float) -> bool:
        """Do what is due at `story_s` seconds into the story; True when a load was raised."""
        story, raised = self._story, False
        if story.repeat_s and story_s - self._round_s >= story.repeat_s:
            self._round_s += story.repeat_s
            self._next = 0
            self.begin()
        while self._next < len(story.events):
            event = story.events[self._next]
            if event.at_s > story_s - self._round_s:
                break
            self._next += 1
            item = self._plant.circuits[event.circuit]
            if event.w is not None:
                raised = raised or event.w > item.demand_w
                item.demand_w = event.w
            elif item.charger is not None and event.car_a is not None:
                item.charger.car_a = event.car_a
        return raised
