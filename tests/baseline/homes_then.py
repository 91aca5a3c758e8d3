"""How recorded homes were read when the recording was made: what stands here is of then.

Stamps that repeat were dropped, the home ended with its last stamp, and a value held for as long as
no other came.
"""

from __future__ import annotations

import csv
import gzip
import math
import tomllib
from array import array
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from panelctl.sim.homes.recorded import Home, Series
from panelctl.sim.plant import Plant

GLITCH_RATIO = 1.5


def read_home(path: Path, plant: Plant) -> Home:
    """The home that the TOML file at `path` describes, as it was read then."""
    plain = tomllib.loads(path.read_text("utf-8"))
    home = Home([], 0.0, float(plain.get("begin_s", 0.0)), float(plain.get("speed", 1.0)))
    for table in plain["recording"]:
        file = path.parent / table["file"]
        with gzip.open(file, "rt") as text:
            rows = csv.reader(text, delimiter=table.get("delimiter", ","))
            header = next(rows) if table.get("header", True) else None
            _rows(rows, header, table, plant, home)
    return home


def _rows(
    rows: Iterable[list[str]],
    header: list[str] | None,
    table: dict[str, Any],
    plant: Plant,
    home: Home,
) -> None:
    def column(name: str) -> int:
        return int(name) if header is None else header.index(name)

    time_column = column(table.get("time", "time"))
    time_format = table.get("time_format", "%Y-%m-%d %H:%M:%S")
    made = [
        (column(name), Series(circuit, array("d"), array("d")))
        for name, circuit in table["columns"].items()
    ]
    first: datetime | None = None
    last_s = -1.0
    for row in rows:
        stamp = datetime.strptime(row[time_column], time_format)
        first = first or stamp
        at_s = (stamp - first).total_seconds()
        if at_s <= last_s:
            continue
        last_s = at_s
        for index, series in made:
            item = plant.circuits[series.circuit]
            watts = float(row[index]) * table.get("scale", 1.0)
            limit_w = item.breaker.rating_a * item.volts * GLITCH_RATIO
            if not math.isfinite(watts) or watts < 0 or watts > limit_w:
                continue
            if not series.watts or watts != series.watts[-1]:
                series.at_s.append(at_s)
                series.watts.append(watts)
    home.span_s = max(home.span_s, last_s)
    home.series += [series for _, series in made]
