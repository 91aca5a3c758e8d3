"""Reading a home file and its recordings: from CSV files to what each circuit draws.

keys.py says what may stand in a home file, table.py makes rows of cells, stamps.py and timeline.py
say when each row was, cells.py and column.py what stands in it. Nothing is left out or taken for
granted that is not in the home's notes.
"""

from __future__ import annotations

from pathlib import Path

from panelctl.errors import ConfigError, Problem
from panelctl.sim.homes.column import Column
from panelctl.sim.homes.keys import HomeFile, read_keys
from panelctl.sim.homes.recorded import Home, Notes, Series, in_words, summed
from panelctl.sim.homes.recording import read_recording
from panelctl.sim.plant import Plant

KILOWATTS_W = 50.0  # a home that never draws more may have been recorded in kW


def read_home(path: Path, plant: Plant) -> Home:
    """The home that the TOML file at `path` describes. Raises ConfigError with every problem."""
    problems: list[Problem] = []
    file = read_keys(path, plant, problems)
    by_circuit: dict[str, list[Column]] = {}
    notes: list[Notes] = []
    span_s = 0.0
    for recording in file.recordings:
        columns, told, end_s = read_recording(path.parent, recording, plant, problems)
        for one in columns:
            by_circuit.setdefault(one.notes.circuit, []).append(one)
        notes += told
        span_s = max(span_s, end_s)
    if problems:
        raise ConfigError(str(path), problems)
    series = [
        summed(circuit, [one.series(span_s) for one in parts])
        for circuit, parts in by_circuit.items()
    ]
    whole = Notes(path.name)
    for circuit, parts in by_circuit.items():
        if len(parts) > 1:
            whole.said.append(f"{circuit} is the sum of {len(parts)} columns")
    _say(whole, file, series, span_s, plant)
    return Home(
        series, span_s, file.begin_s, file.speed, [*notes, *([whole] if whole.said else [])]
    )


def _say(notes: Notes, file: HomeFile, series: list[Series], span_s: float, plant: Plant) -> None:
    """What looks wrong in the home as a whole."""
    loads = [one for one in series if plant.circuits[one.circuit].circuit.source is None]
    peak_w = max(summed("", loads).watts, default=KILOWATTS_W)
    if peak_w == 0:
        notes.said.append("the whole home draws nothing")
    elif peak_w < KILOWATTS_W:
        told = f"the whole home never draws more than {peak_w:.3g} W: if these are kW"
        notes.said.append(f"{told}, say scale = 1000")
    if file.begin_s >= span_s:
        told = f"begin_s is beyond the recording, which ends after {in_words(span_s)}"
        notes.said.append(f"{told}: it begins at {in_words(file.begin_s % span_s)} of it")
