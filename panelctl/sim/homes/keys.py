"""What a home file may say: its keys, with their types, bounds and defaults."""

from __future__ import annotations

import math
import re
import tomllib
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from panelctl.errors import ConfigError, Problem
from panelctl.sim.homes.stamps import NUMBERS
from panelctl.sim.plant import Plant

LARGEST_SCALE = 1e6
LONGEST_S = 1e9


@dataclass(slots=True)
class Recording:
    """One [[recording]] of a home file; docs/how-to/simulate-a-recorded-home.md says what each key
    means. What was not given is empty, 0 or None, and is found out from the file.
    """

    path: str  # of the table, for problems
    file: str = ""
    columns: dict[str, str] = field(default_factory=dict)
    scale: float = 1.0
    time: tuple[str, ...] = ()
    time_format: str = ""
    zone: ZoneInfo | None = None
    every_s: float = 0.0
    hold_s: float = 0.0
    delimiter: str = ""
    decimal: str = ""
    header: bool = True


@dataclass(slots=True)
class HomeFile:
    """A home file whose keys are in order; `recordings` are those that can be read."""

    begin_s: float = 0.0
    speed: float = 1.0
    recordings: list[Recording] = field(default_factory=list)


def read_keys(path: Path, plant: Plant, problems: list[Problem]) -> HomeFile:
    """The home file at `path`. Problems of keys are added to `problems`; raises ConfigError when it
    is no TOML at all.
    """
    try:
        plain = tomllib.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:  # no UTF-8, no TOML: ValueErrors both
        raise ConfigError(str(path), [Problem("", "", f"cannot be read: {error}")]) from None
    home, table = HomeFile(), _Table("", plain, problems)
    home.begin_s = table.number("begin_s", 0.0, LONGEST_S, home.begin_s)
    home.speed = table.number("speed", 0.0, LONGEST_S, home.speed)
    tables = plain.pop("recording", [])
    if not isinstance(tables, list) or not tables:
        problems.append(Problem("recording", "", "at least one [[recording]] is needed"))
        tables = []
    table.nothing_else("a home file")
    for number, given in enumerate(tables, start=1):
        before = len(problems)
        recording = _recording(f"recording[{number}]", given, plant, problems)
        if len(problems) == before:
            home.recordings.append(recording)
    return home


def _recording(path: str, plain: Any, plant: Plant, problems: list[Problem]) -> Recording:
    recording = Recording(path)
    if not isinstance(plain, dict):
        problems.append(Problem(path, repr(plain)[:60], "must be a table"))
        return recording
    table = _Table(f"{path}.", plain, problems)
    recording.file = table.text("file", "")
    if not recording.file:
        table.wrong("file", "", "is needed: the CSV file, relative to the home file")
    recording.header = table.switch("header", True)
    recording.columns = _columns(table, recording.header, plant)
    recording.scale = table.number("scale", -LARGEST_SCALE, LARGEST_SCALE, 1.0)
    if recording.scale == 0:
        table.wrong("scale", "0", "must not be 0: nothing would be left")
    recording.every_s = table.number("every_s", 0.0, LONGEST_S, 0.0, above=True)
    recording.hold_s = table.number("hold_s", 0.0, LONGEST_S, 0.0, above=True)
    recording.time = _time(table)
    recording.time_format = _time_format(table)
    recording.zone = _zone(table)
    if recording.every_s:
        for key in ("time", "time_format", "zone"):
            if getattr(recording, key):
                table.wrong(key, "", "says where stamps are, every_s that there are none")
    recording.delimiter = table.text("delimiter", "")
    if len(recording.delimiter) > 1 or recording.delimiter in ('"', "\r", "\n"):
        table.wrong("delimiter", repr(recording.delimiter), 'must be one character, as ";"')
    recording.decimal = table.text("decimal", "")
    if recording.decimal not in ("", ".", ","):
        table.wrong("decimal", repr(recording.decimal), 'must be "." or ","')
    table.nothing_else("a recording")
    return recording


def _columns(table: _Table, header: bool, plant: Plant) -> dict[str, str]:
    columns = table.plain.pop("columns", {})
    if not isinstance(columns, dict) or not columns:
        table.wrong("columns", repr(columns)[:60], 'is needed: { column = "circuit" }')
        return {}
    circuits = [name for name, item in plant.circuits.items() if item.node is None]
    for column, circuit in columns.items():
        where = f"columns.{column}"
        if not header and not re.fullmatch(r"\d{1,4}", column, re.ASCII):
            table.wrong(where, "", "without a header a column is a number, from 0")
        if isinstance(circuit, dict):
            told = 'is a table: put a name with dots into quotes, as "sensor.dryer" = "dryer"'
            table.wrong(where, repr(circuit)[:60], told)
        elif isinstance(circuit, str) and circuit in plant.circuits and circuit not in circuits:
            told = "is the compute node's: that follows its budget, no recording"
            table.wrong(where, repr(circuit), told)
        elif circuit not in circuits:
            told = f"is no circuit of the panel; there are {', '.join(circuits)}"
            table.wrong(where, repr(circuit)[:60], told)
    return {str(column): str(circuit) for column, circuit in columns.items()}


def _time(table: _Table) -> tuple[str, ...]:
    value = table.plain.pop("time", ())
    names = (value,) if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        table.wrong("time", repr(value)[:60], 'must be a column, or several: ["Date", "Time"]')
        return ()
    return tuple(names)


def _time_format(table: _Table) -> str:
    text = table.text("time_format", "")
    if text and text not in NUMBERS:
        try:
            datetime.strptime("", text)
        except re.error:
            table.wrong("time_format", repr(text), "names the same part of a stamp twice")
        except ValueError as error:
            if "does not match" not in str(error):  # which only says that "" is no such stamp
                table.wrong("time_format", repr(text), f"is not for strptime: {error}")
    return text


def _zone(table: _Table) -> ZoneInfo | None:
    name = table.text("zone", "")
    if not name:
        return None
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # out of shape, a folder, unknown
        told = 'is no time zone that this machine knows; write it like "America/New_York"'
        table.wrong("zone", repr(name)[:60], told)
        return None


@dataclass(slots=True)
class _Table:
    """A table whose keys are taken out one by one; `path` stands before their names."""

    path: str
    plain: dict[str, Any]
    problems: list[Problem]

    def wrong(self, key: str, value: str, remedy: str) -> None:
        self.problems.append(Problem(f"{self.path}{key}", value, remedy))

    def number(
        self, key: str, low: float, high: float, default: float, above: bool = False
    ) -> float:
        """A number from `low` (or above it) to `high`."""
        value = self.plain.pop(key, None)
        if value is None:
            return default
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not low <= value <= high or not math.isfinite(value):
            self.wrong(key, repr(value)[:60], f"must be a number from {low:g} to {high:g}")
            return default
        if above and value == low:
            self.wrong(key, repr(value), f"must be above {low:g}")
        return float(value)

    def text(self, key: str, default: str) -> str:
        value = self.plain.pop(key, default)
        if isinstance(value, str):
            return value
        self.wrong(key, repr(value)[:60], "must be text")
        return default

    def switch(self, key: str, default: bool) -> bool:
        value = self.plain.pop(key, default)
        if isinstance(value, bool):
            return value
        self.wrong(key, repr(value)[:60], "must be true or false")
        return default

    def nothing_else(self, what: str) -> None:
        """What is left is unknown."""
        for key in self.plain:
            self.wrong(key, "", f"is not a key of {what}")
