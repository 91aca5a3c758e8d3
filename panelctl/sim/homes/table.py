"""A recording's file as rows of cells: unpacked, decoded, its delimiter and columns found."""

from __future__ import annotations

import codecs
import csv
import gzip
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from io import StringIO
from itertools import islice
from pathlib import Path

from panelctl.sim.homes.cells import NUMBER
from panelctl.sim.homes.keys import Recording
from panelctl.sim.homes.stamps import CLOCK_ALONE

DELIMITERS = ("\t", ";", ",")  # the rarer in a text, the surer
LOOKED_AT = 50  # rows, to find the delimiter
GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"
STAMPS = ("time", "timestamp", "datetime", "date_time", "date")  # usual names of their column
BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins like that of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass(slots=True)
class Table:
    """Rows of cells without spaces around them. `lines` are the rows' last lines in the file, from
    1; `names` the header, None without one; `width` how many columns there are. `said` are
    sentences.
    """

    names: list[str] | None
    rows: list[list[str]]
    lines: list[int]
    delimiter: str
    width: int
    said: list[str] = field(default_factory=list)

    def column(self, index: int) -> list[str]:
        """The cells of a column; "" where a row is too short."""
        return [row[index] if index < len(row) else "" for row in self.rows]


def read_table(path: Path, recording: Recording) -> Table:
    """The rows of a file. Raises OSError, EOFError, zlib.error or csv.Error when it cannot be
    read, ValueError, in words, when it is no such file.
    """
    said: list[str] = []
    text = _decoded(path.read_bytes(), said)
    if "\0" in text:
        raise ValueError("it is no text: save it as UTF-8")
    first, _, rest = text.partition("\n")
    delimiter, skipped = recording.delimiter, 0
    told = re.fullmatch(r'"?sep=(.)"?\s*', first, re.ASCII)
    if told:  # as spreadsheets write and read it
        text, skipped, delimiter = rest, 1, delimiter or told[1]
    if not delimiter:
        delimiter = _delimiter(text, recording)
    reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    rows, lines = [], []
    for row in reader:
        cells = [cell.strip() for cell in row]
        if any(cells):
            rows.append(cells)
            lines.append(reader.line_num + skipped)
    if not rows:
        raise ValueError("it is empty")
    if not recording.delimiter and delimiter != "," and len(rows[0]) > 1:
        said.append(f"delimiter {delimiter!r}")
    names = rows.pop(0) if recording.header else None
    if names is not None:
        del lines[0]
        while names and not names[-1]:  # lines that end with a delimiter
            names.pop()
    width = len(rows[0]) if names is None else len(names)
    return Table(names, rows, lines, delimiter, width, said)


def _decoded(plain: bytes, said: list[str]) -> str:
    if plain.startswith(GZIP):
        plain = gzip.decompress(plain)
    if plain.startswith(ZIP):
        raise ValueError("it is a workbook or an archive: export it as CSV")
    for mark, encoding in BOMS:
        if plain.startswith(mark):
            return plain[len(mark) :].decode(encoding)
    try:
        return plain.decode("utf-8")
    except UnicodeDecodeError:
        said.append("it is no UTF-8, read as Windows-1252")
    try:
        return plain.decode("cp1252")
    except UnicodeDecodeError:
        raise ValueError("it is no text: save it as UTF-8") from None


def _delimiter(text: str, recording: Recording) -> str:
    """The one that makes the wanted columns, and rows as long as the first."""

    def fits(delimiter: str) -> tuple[int, bool, int]:
        lines = csv.reader(StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
        rows = list(islice((row for row in lines if any(row)), LOOKED_AT))
        first = [cell.strip() for cell in rows[0]] if rows else []
        if recording.header:
            found = sum(name in first for name in (*recording.columns, *recording.time))
        else:
            found = sum(int(name) < len(first) for name in recording.columns)
        return found, len(first) > 1 and all(len(row) == len(first) for row in rows), len(first)

    return max(DELIMITERS, key=fits)  # the first of those that fit alike


def value_columns(table: Table, recording: Recording) -> dict[str, int]:
    """Where the columns of values are. Raises ValueError naming all that are not there."""
    return _found(table, list(recording.columns), "columns")


def stamp_columns(table: Table, recording: Recording) -> list[int]:
    """Where the stamps are: the column that is named, or one of a usual name; a day and a time of
    it may stand in two. Raises ValueError.
    """
    if recording.time:
        return list(_found(table, list(recording.time), "time").values())
    if table.names is None:
        return [0]
    by_name: dict[str, int] = {}
    for n, name in enumerate(table.names):
        by_name.setdefault(name.casefold().replace(" ", "_"), n)
    if "date" in by_name and "time" in by_name:
        clock = next(filter(None, table.column(by_name["time"])), "")
        if CLOCK_ALONE.fullmatch(clock):
            table.said.append("stamps from two columns, the day's and the time's")
            return [by_name["date"], by_name["time"]]
    for name in STAMPS:
        if name in by_name:
            index = by_name[name]
            if table.names[index] != "time":
                table.said.append(f"stamps from column {table.names[index]!r}")
            return [index]
    return list(_found(table, ["time"], "time").values())


def _found(table: Table, wanted: Sequence[str], key: str) -> dict[str, int]:
    names = table.names
    if names is None:
        found = {name: int(name) for name in wanted if re.fullmatch(r"\d{1,4}", name, re.ASCII)}
        missing = [name for name in wanted if not found.get(name, table.width) < table.width]
        there = f"it has {table.width}, from 0 to {table.width - 1}"
    else:
        twice = [name for name in wanted if names.count(name) > 1]
        if twice:
            raise ValueError(f"it has the column {_list(twice)} more than once: rename one")
        found = {name: names.index(name) for name in wanted if name in names}
        missing = [name for name in wanted if name not in names]
        there = f"it has {_list(names)}"
    if missing:
        raise ValueError(f"it has no column {_list(missing)}{_hint(table, missing, key)}; {there}")
    return found


def _hint(table: Table, missing: Sequence[str], key: str) -> str:
    names = table.names
    if names is None:
        return ""
    if sum(bool(NUMBER.fullmatch(name)) for name in names) > 1 or (
        len(names) == 2 and NUMBER.fullmatch(names[1])
    ):
        return ", and its first line looks like values: say header = false"
    if len(names) == 1:
        return f": no {table.delimiter!r} stands between columns, say delimiter"
    plain = {name.casefold(): name for name in names}
    near = [
        plain[match]
        for name in missing
        for match in get_close_matches(name.casefold(), plain, n=1, cutoff=0.6)
    ]
    if near:
        return f" (perhaps {_list(near)})"
    return ', say time = "COLUMN"' if key == "time" else ""


def _list(names: Sequence[str]) -> str:
    few = ", ".join(repr(name[:40]) for name in names[:40])
    return few + (f" and {len(names) - 40} more" if len(names) > 40 else "")
