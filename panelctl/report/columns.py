"""A recording as columns: one number a record for each thing that is looked at, in numpy's arrays.

A record stands until the next one; its weight is that long, at most a second, so that a gap in the
recording counts for nothing.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from panelctl.model.record import CircuitRecord, CycleRecord

Floats = npt.NDArray[np.float64]
MOST_S = 1.0  # that a record stands


@dataclass(slots=True)
class Series:
    """Numbers that are gathered record by record; NaN where a record has none."""

    values: array[float]
    name: str

    def column(self) -> Floats:
        """As an array."""
        return np.frombuffer(self.values, dtype=np.float64).copy()


class Columns:
    """All columns of a recording. A, W, s and ms; `weight_s` is how long each record stood."""

    def __init__(self) -> None:
        self.records = 0
        self.gaps = 0
        self.states: list[str] = []
        self.claims: dict[str, list[str]] = {}  # by circuit: the strongest, or nothing
        self._seq = 0
        self._series: dict[str, Series] = {}

    def add(self, record: CycleRecord) -> None:
        """One more record."""
        if self._seq and record["seq"] != self._seq + 1:
            self.gaps += 1
        self._seq = record["seq"]
        self.states.append(record["state"])
        self._put("t_s", record["t_ns"] / 1e9)
        fresh = record["mains"]["fresh"]
        for leg, carried in record["legs"].items():
            self._put(f"leg.{leg}.a", carried["a"] if fresh else None)
            self._put(f"leg.{leg}.limit_a", carried["limit_a"])
        node = record["compute"]
        self._put("compute.draw_w", None if node is None else node["draw_w"])
        self._put("compute.budget_w", None if node is None else node["budget_w"])
        self._put("timing.late_ms", record["timing"]["late_us"] / 1000)
        self._put("timing.complete", float(record["timing"]["complete"]))
        for circuit in record["circuits"]:
            self._circuit(circuit)
        self.records += 1

    def _circuit(self, circuit: CircuitRecord) -> None:
        self._put(f"circuit.{circuit['id']}.w", circuit["w"] if circuit["fresh"] else None)
        claims = circuit.get("claims", [])
        self.claims.setdefault(circuit["id"], []).append(claims[0] if claims else "")

    def _put(self, name: str, value: float | None) -> None:
        series = self._series.get(name)
        if series is None:
            # One that comes later has nothing to say of the records before it.
            series = self._series[name] = Series(array("d", [np.nan] * self.records), name)
        series.values.append(np.nan if value is None else float(value))

    def __getitem__(self, name: str) -> Floats:
        return self._series[name].column()

    def named(self, first: str) -> list[str]:
        """What the columns that begin so are called after it, up to the next dot."""
        names = (name.removeprefix(first) for name in self._series if name.startswith(first))
        return list(dict.fromkeys(name.rpartition(".")[0] for name in names))

    @property
    def weight_s(self) -> Floats:
        """How long each record stood, s."""
        apart_s = np.diff(self["t_s"], append=np.nan)
        last_s = float(np.nanmedian(apart_s)) if self.records > 1 else 0.0
        apart_s[-1] = last_s
        return np.clip(apart_s, 0.0, MOST_S)


def columns_of(records: Iterable[CycleRecord]) -> Columns:
    """The columns of a recording. Raises ValueError where it holds no record."""
    made = Columns()
    for record in records:
        made.add(record)
    if not made.records:
        raise ValueError("it holds no record")
    return made


def quantile(values: Floats, weight_s: Floats, q: float) -> float | None:
    """The value below which so much of the time lies; None where there is none."""
    known = ~np.isnan(values)
    if not known.any() or not weight_s[known].sum():
        return None
    order = np.argsort(values[known], kind="stable")
    ordered, weights = values[known][order], weight_s[known][order]
    reached = np.cumsum(weights) / weights.sum()
    return float(ordered[min(int(np.searchsorted(reached, q)), len(ordered) - 1)])
