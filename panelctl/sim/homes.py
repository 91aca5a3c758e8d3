"""Recorded homes: what appliances really drew, from CSV files, given to the simulated circuits.

A small TOML file says which column of which CSV file is which circuit. Recordings have defects
(stamps that repeat or go back, glitches): a stamp that does not go forward is dropped, so is a
value above what its breaker could carry; both are counted. Between two stamps a value is held.
"""

from __future__ import annotations

import csv
import gzip
import math
import tomllib
from array import array
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from panelctl.errors import ConfigError, Problem
from panelctl.sim.plant import Plant

GLITCH_RATIO = 1.5  # of the breaker's rating: no appliance draws that for a whole sample
KEYS = {"file", "time_format", "delimiter", "header", "time", "columns", "scale", "every_s"}


@dataclass(slots=True)
class Series:
    """One appliance: the times (s since the home's first stamp) and the watts from then on."""

    circuit: str
    at_s: array[float]
    watts: array[float]

    def at(self, time_s: float) -> float:
        """Watts at a time; 0 before the first stamp."""
        index = bisect_right(self.at_s, time_s) - 1
        return self.watts[index] if index >= 0 else 0.0


@dataclass(slots=True)
class Home:
    """A recorded home. `speed` is how many recorded seconds pass in one of ours."""

    series: list[Series] = field(default_factory=list)
    span_s: float = 0.0
    begin_s: float = 0.0
    speed: float = 1.0
    dropped: int = 0


def read_home(path: Path, plant: Plant) -> Home:
    """The home that the TOML file at `path` describes. Raises ConfigError with every problem."""
    problems: list[Problem] = []
    try:
        plain = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(str(path), [Problem("", "", f"cannot be read: {error}")]) from None
    home = Home()
    for key in ("begin_s", "speed"):
        value = plain.pop(key, getattr(home, key))
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            problems.append(Problem(key, repr(value), "must be a number, not below 0"))
        else:
            setattr(home, key, float(value))
    tables = plain.pop("recording", [])
    if not isinstance(tables, list) or not tables:
        problems.append(Problem("recording", "", "at least one [[recording]] is needed"))
        tables = []
    problems += [Problem(key, "", "is not a key of a home file") for key in plain]
    for number, table in enumerate(tables, start=1):
        _recording(path.parent, table, f"recording[{number}]", plant, home, problems)
    if problems:
        raise ConfigError(str(path), problems)
    return home


def _recording(
    folder: Path,
    table: dict[str, Any],
    path: str,
    plant: Plant,
    home: Home,
    problems: list[Problem],
) -> None:
    if not isinstance(table, dict):
        problems.append(Problem(path, repr(table)[:60], "must be a table"))
        return
    for key in set(table) - KEYS:
        problems.append(Problem(f"{path}.{key}", "", "is not a key of a recording"))
    columns = table.get("columns", {})
    if not isinstance(columns, dict):
        problems.append(Problem(f"{path}.columns", repr(columns)[:60], "must be a table"))
        return
    for column, circuit in columns.items():
        if not isinstance(circuit, str) or circuit not in plant.circuits:
            where = f"{path}.columns.{column}"
            problems.append(Problem(where, repr(circuit), "is no circuit of the panel"))
    scale = table.get("scale", 1.0)
    if not isinstance(scale, int | float) or not 0 < scale < 1000:
        problems.append(Problem(f"{path}.scale", repr(scale), "must be a number above 0"))
    every_s = table.get("every_s", 0.0)
    if isinstance(every_s, bool) or not isinstance(every_s, int | float) or not 0 <= every_s < 1e5:
        problems.append(Problem(f"{path}.every_s", repr(every_s), "must be a number of seconds"))
    if problems:
        return
    file = folder / str(table.get("file", ""))
    try:
        with gzip.open(file, "rt") if file.suffix == ".gz" else file.open() as text:
            rows = csv.reader(text, delimiter=str(table.get("delimiter", ",")))
            header = next(rows) if table.get("header", True) else None
            _rows(rows, header, table, float(scale), plant, home)
    except (
        OSError,
        EOFError,
        ValueError,
        TypeError,
        IndexError,
        csv.Error,
        StopIteration,
    ) as error:
        problems.append(Problem(f"{path}.file", str(file), f"cannot be used: {error}"))


def _rows(
    rows: Iterable[list[str]],
    header: list[str] | None,
    table: dict[str, Any],
    scale: float,
    plant: Plant,
    home: Home,
) -> None:
    def column(name: str) -> int:
        if header is None:
            return int(name)
        if name not in header:
            raise ValueError(f"it has no column {name!r}")
        return header.index(name)

    every_s = float(table.get("every_s", 0.0))  # without stamps: so far apart are the rows
    time_column = 0 if every_s else column(str(table.get("time", "time" if header else "0")))
    time_format = str(table.get("time_format", "%Y-%m-%d %H:%M:%S"))
    made = [
        (column(name), Series(circuit, array("d"), array("d")))
        for name, circuit in table.get("columns", {}).items()
    ]
    limits = {}
    for _, series in made:
        item = plant.circuits[series.circuit]
        limits[series.circuit] = item.breaker.rating_a * item.volts * GLITCH_RATIO
    first: datetime | None = None
    last_s = -1.0
    for number, row in enumerate(rows):
        if every_s:
            at_s = number * every_s
        else:
            stamp = datetime.strptime(row[time_column], time_format)
            first = first or stamp
            at_s = (stamp - first).total_seconds()
        if at_s <= last_s:
            home.dropped += 1
            continue
        last_s = at_s
        for index, series in made:
            watts = float(row[index]) * scale
            if not math.isfinite(watts) or watts < 0 or watts > limits[series.circuit]:
                home.dropped += 1
                continue
            if not series.watts or watts != series.watts[-1]:
                series.at_s.append(at_s)
                series.watts.append(watts)
    home.span_s = max(home.span_s, last_s)
    home.series += [series for _, series in made]


class HomePlayer:
    """Gives a recorded home to a plant, step by step; over again when it has ended."""

    def __init__(self, home: Home, plant: Plant) -> None:
        self._home = home
        self._plant = plant

    def begin(self) -> None:
        """Set what every circuit draws at the start."""
        self.tell(0.0)

    def tell(self, story_s: float) -> bool:
        """Set every circuit for this moment; True when a load was raised."""
        home, raised = self._home, False
        time_s = home.begin_s + story_s * home.speed
        if home.span_s > 0:
            time_s %= home.span_s
        for series in home.series:
            item = self._plant.circuits[series.circuit]
            watts = series.at(time_s)
            if item.charger is not None:
                item.charger.car_a = watts / item.volts
            else:
                raised = raised or watts > item.demand_w + 1.0
                item.demand_w = watts
        return raised
