"""One recording of a home: its table, when its rows were, and what its columns say."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from panelctl.errors import Problem
from panelctl.sim.homes.cells import decimal_mark, is_nothing, number
from panelctl.sim.homes.column import HOLD_LEAST_S, Column, column
from panelctl.sim.homes.keys import Recording
from panelctl.sim.homes.recorded import Notes, in_words
from panelctl.sim.homes.stamps import Notation, notation
from panelctl.sim.homes.table import Table, read_table, stamp_columns, value_columns
from panelctl.sim.homes.timeline import Timeline, arranged, evenly
from panelctl.sim.plant import Plant

MOST_TOLD = 20  # problems of one kind in one file
Made = TypeVar("Made")


def read_recording(
    folder: Path, recording: Recording, plant: Plant, problems: list[Problem]
) -> tuple[list[Column], list[Notes], float]:
    """The columns of a recording, what was noted, and when it ends, s. What is wrong is added to
    `problems`; the columns are then not complete.
    """
    try:
        table = read_table(folder / recording.file, recording)
    except (OSError, EOFError, ValueError, zlib.error, csv.Error) as error:
        told = f"cannot be used: {error}"
        problems.append(Problem(f"{recording.path}.file", recording.file, told))
        return [], [], 0.0
    file = _File(recording, table, Notes(recording.file))
    wanted = file.trying(partial(value_columns, table, recording)) or {}
    line = file.trying(partial(_timeline, file))
    marks = {name: file.trying(partial(_decimal, file, name, at)) for name, at in wanted.items()}
    if len({mark for mark in marks.values() if mark}) > 1:
        file.problem("its columns have points and commas before fractions: say decimal")
    values = {
        name: _values(file, name, wanted[name], mark)
        for name, mark in marks.items()
        if mark is not None
    }
    _lengths(file)
    file.count_the_rest()
    problems += file.problems
    if line is None or file.problems:
        return [], [], 0.0
    _note(file, line)
    columns = []
    for name, circuit in recording.columns.items():
        notes = Notes(recording.file, name, circuit)
        cells, item = values[name], plant.circuits[circuit]
        empty = [not text for text in table.column(wanted[name])]
        columns.append(column(cells, empty, table.lines, line, item, notes, recording.hold_s))
    return columns, [file.notes, *(one.notes for one in columns)], line.end_s


@dataclass(slots=True)
class _File:
    """A recording while it is read. Its problems are named by file, row and column."""

    recording: Recording
    table: Table
    notes: Notes
    problems: list[Problem] = field(default_factory=list)
    _counts: dict[str, int] = field(default_factory=dict)

    def trying(self, make: Callable[[], Made]) -> Made | None:
        """What `make` gives; a ValueError becomes a problem of the file."""
        try:
            return make()
        except (ValueError, OverflowError) as error:
            self.problem(f"cannot be used: {error}")
            return None

    def problem(self, told: str) -> None:
        self.problems.append(Problem(f"{self.recording.path}.file", self.recording.file, told))

    def cell(self, kind: str, row: int, column: str, text: str, remedy: str) -> None:
        """Something is wrong with a cell; so many of each kind are told."""
        self._counts[kind] = self._counts.get(kind, 0) + 1
        if self._counts[kind] <= MOST_TOLD:
            where = f"{self.recording.file}, row {self.table.lines[row]}, column {column}"
            self.problems.append(Problem(where, repr(text[:60]), remedy))

    def count_the_rest(self) -> None:
        """Of those that were not told, the number."""
        for kind, count in self._counts.items():
            if count > MOST_TOLD:
                told = f"{count - MOST_TOLD} more {kind} like these"
                self.problems.append(Problem(self.recording.file, "", told))


def _timeline(file: _File) -> Timeline:
    """When the rows were. Raises ValueError when that cannot be known."""
    table, recording = file.table, file.recording
    if not table.rows:
        raise ValueError("it has no row of values")
    if recording.every_s:
        return evenly(len(table.rows), recording.every_s)
    columns = stamp_columns(table, recording)
    texts = [
        " ".join(part for part in parts if not is_nothing(part))
        for parts in zip(*(table.column(index) for index in columns), strict=True)
    ]
    form = notation([text for text in texts if text], recording.time_format)
    label = " ".join(table.names[n] if table.names else str(n) for n in columns)
    stamps, exact = _stamps(file, texts, form, repr(label))
    zone = recording.zone
    if zone is not None and not exact and not form.calendar:
        raise ValueError(f"its stamps are {form.words}, which have no time zone: leave zone out")
    file.notes.said.append(f"stamps: {form.words}{', exact' if exact and form.calendar else ''}")
    if zone is not None:
        told = "zone is not needed: they are exact" if exact else f"local times of {zone.key}"
        file.notes.said.append(told)
    line = arranged(stamps, None if exact else zone)
    if len(line.rows) == 1:
        line.last_s = HOLD_LEAST_S
        line.said.append(f"one row, which says nothing of time: it lasts {in_words(HOLD_LEAST_S)}")
    elif not line.step_s and not file.problems:
        raise ValueError("its rows are all under one stamp: say every_s instead")
    if line.left_out and not exact and zone is None and form.calendar:
        line.said.append('if clocks were put back, say zone = "America/New_York" or what it is')
    return line


def _stamps(
    file: _File, texts: list[str], form: Notation, label: str
) -> tuple[list[tuple[int, float]], bool]:
    """The rows that have a stamp, with it in s; and whether these are exact, as the first is."""
    stamps: list[tuple[int, float]] = []
    exact: bool | None = None
    for row, text in enumerate(texts):
        if not text:
            file.notes.count("unstamped", file.table.lines[row])
            continue
        try:
            moment = form.read(text)
            exact = moment.exact if exact is None else exact
            if moment.exact is not exact:
                raise ValueError("has an offset, or has none, other than the first")
        except (ValueError, OverflowError) as error:
            file.cell("stamps", row, label, text, str(error))
            continue
        stamps.append((row, moment.time_s))
    return stamps, bool(exact)


def _decimal(file: _File, name: str, index: int) -> str:
    """What stands before the fraction in a column. Raises ValueError when it cannot be told."""
    if file.recording.decimal:
        return file.recording.decimal
    try:
        mark = decimal_mark(file.table.column(index), file.table.delimiter)
    except ValueError as error:
        raise ValueError(f"column {name!r}: {error}") from None
    if mark == ",":
        file.notes.said.append(f"decimal commas in {name!r}")
    return mark


def _values(file: _File, name: str, index: int, mark: str) -> list[float | None]:
    """A column in W, None for unknown."""
    values: list[float | None] = []
    for row, text in enumerate(file.table.column(index)):
        try:
            value = number(text, mark or ".")
        except ValueError as error:
            file.cell("values", row, repr(name), text, str(error))
            value = None
        values.append(None if value is None else value * file.recording.scale)
    return values


def _lengths(file: _File) -> None:
    """Rows that are longer than the header have more delimiters than there are columns."""
    table = file.table
    for row, cells in enumerate(table.rows):
        if any(cells[table.width :]):
            told = (
                f"has {len(cells)} cells for {table.width} columns: are some of its commas decimal "
                f"ones? Then another delimiter than {table.delimiter!r} is needed, or quotes"
            )
            file.cell("rows", row, str(table.width), table.delimiter.join(cells), told)


def _note(file: _File, line: Timeline) -> None:
    notes, lines = file.notes, file.table.lines
    notes.rows = len(line.rows)
    for row in line.left_out:
        notes.count("backwards", lines[row])
    for row in line.repeated:
        notes.count("repeated", lines[row])
    notes.said += [*line.said, *file.table.said]
    if line.step_s:
        notes.said.append(f"usually {in_words(line.step_s)} apart")
