"""Which part of a recording is meant: from and to, s after its first record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from panelctl.errors import ConfigError, Problem
from panelctl.link.recording import read_recording
from panelctl.model.record import CycleRecord
from panelctl.units import NS_PER_S

AROUND_S = 60.0  # before a record that is asked for, and after it


@dataclass(frozen=True, slots=True)
class Part:
    """From `from_s` up to `to_s` after the first record; None: from its start, to its end."""

    from_s: float | None = None
    to_s: float | None = None

    def begun(self, at_s: float) -> bool:
        """Whether a record at that time is no longer before it."""
        return self.from_s is None or at_s >= self.from_s

    def over(self, at_s: float) -> bool:
        """Whether a record at that time comes after it."""
        return self.to_s is not None and at_s > self.to_s


def first_of(path: Path) -> CycleRecord:
    """The first record of a recording. Raises ConfigError where there is none."""
    for record in read_recording(path).records:
        return record
    raise ConfigError(str(path), [Problem("", "", "holds no record: nothing was recorded yet")])


def around(path: Path, seq: int) -> Part:
    """A minute before the record of that number, and a minute after. Raises ConfigError."""
    first = last = first_of(path)
    for record in read_recording(path).records:
        last = record
        if record["seq"] >= seq:
            break
    if last["seq"] != seq:
        remedy = f"is no record of it: it has {first['seq']} to {last['seq']}"
        raise ConfigError(str(path), [Problem("--around", str(seq), remedy)])
    at_s = (last["t_ns"] - first["t_ns"]) / NS_PER_S
    return Part(max(0.0, at_s - AROUND_S), at_s + AROUND_S)
