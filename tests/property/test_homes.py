"""A home that is written down in any of the notations that are read comes back as it was."""

from __future__ import annotations

import json
import shutil
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from tempfile import mkdtemp
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panelctl.sim.homes.read import read_home
from panelctl.sim.homes.recorded import Series, summed
from panelctl.sim.homes.timeline import arranged
from panelctl.sim.plant import Plant
from tests.homes.kept import panel

BEGIN = datetime(2026, 1, 13, 20, 30, tzinfo=UTC)
AUTUMN = datetime(2026, 11, 1, 4, 30, tzinfo=UTC)  # clocks in New York go back at 06:00
NEW_YORK = ZoneInfo("America/New_York")
SHEET = datetime(1899, 12, 30, tzinfo=UTC)


@dataclass(frozen=True)
class Notation:
    """How a stamp is written, to what part of a second, and what the home file has to say of it."""

    write: Callable[[datetime], str]
    unit_s: float = 1.0
    keys: str = ""
    begin: datetime = BEGIN


def _as(form: str, unit_s: float = 1.0, keys: str = "", begin: datetime = BEGIN) -> Notation:
    return Notation(lambda moment: moment.strftime(form), unit_s, keys, begin)


def _since(begin: datetime, unit_s: float, digits: int) -> Callable[[datetime], str]:
    return lambda moment: f"{(moment - begin) / timedelta(seconds=unit_s):.{digits}f}"


NOTATIONS = {
    "seconds": _as("%Y-%m-%d %H:%M:%S"),
    "minutes": _as("%Y-%m-%d %H:%M", 60.0),
    "slashes": _as("%Y/%m/%d %H:%M:%S"),
    "iso": _as("%Y-%m-%dT%H:%M:%SZ"),
    "fractions": _as("%Y-%m-%dT%H:%M:%S.%f", 0.001),
    "basic": _as("%Y%m%dT%H%M%SZ"),
    "offset": Notation(lambda m: m.astimezone(timezone(timedelta(hours=5.5))).isoformat()),
    "offsets": Notation(lambda m: m.astimezone(NEW_YORK).isoformat(" "), begin=AUTUMN),
    "zone": Notation(
        lambda m: m.astimezone(NEW_YORK).strftime("%Y-%m-%d %H:%M:%S"),
        keys='zone = "America/New_York"',
        begin=AUTUMN,
    ),
    "epoch": Notation(_since(datetime(1970, 1, 1, tzinfo=UTC), 1.0, 3), 0.001),
    "epoch ms": Notation(_since(datetime(1970, 1, 1, tzinfo=UTC), 0.001, 0), 0.001),
    "running": Notation(_since(BEGIN, 1.0, 2), 0.01),
    "sheet": Notation(_since(SHEET, 86_400.0, 12), keys='time_format = "days"'),
    "day first": _as("%d/%m/%Y %H:%M:%S"),
    "month first": _as("%m/%d/%Y %I:%M:%S %p"),
    "dots": _as("%d.%m.%Y %H:%M", 60.0),
    "format": _as("%d/%m/%y %Hh%M", 60.0, 'time_format = "%d/%m/%y %Hh%M"'),
}


@dataclass(frozen=True)
class Written:
    """How a home is written down."""

    notation: str
    delimiter: str
    comma: bool  # before the fraction
    scale: float
    nothing: str
    encoding: str
    ends: str
    header: bool
    quoted: bool
    spaced: bool


WAYS = st.builds(
    Written,
    st.sampled_from(sorted(NOTATIONS)),
    st.sampled_from(",;\t"),
    st.booleans(),
    st.sampled_from([1.0, 1000.0, -1.0, 0.5]),
    st.sampled_from(["nan", "NA", "unavailable", "None", "-"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
VALUES = st.lists(
    st.tuples(st.integers(1, 600), st.integers(0, 20_000) | st.none()), min_size=2, max_size=40
)


def _write(way: Written, samples: list[tuple[datetime, float | None]], folder: Path) -> Path:
    notation, quoted = NOTATIONS[way.notation], way.quoted or (way.comma and way.delimiter == ",")

    def cell(text: str) -> str:
        text = f'"{text}"' if quoted else text
        return f" {text} " if way.spaced else text

    def number(watts: float | None) -> str:
        if watts is None:
            return way.nothing
        text = f"{watts / way.scale:.4f}"
        return text.replace(".", ",") if way.comma else text

    lines = [way.delimiter.join(map(cell, ("time", "w")))] if way.header else []
    lines += [way.delimiter.join((cell(notation.write(m)), cell(number(w)))) for m, w in samples]
    text = way.ends.join([*lines, ""])
    (folder / "x.csv").write_bytes(text.encode(way.encoding))
    keys = ['file = "x.csv"', "hold_s = 1e6", f"scale = {way.scale}", notation.keys]
    keys.append(f"header = {json.dumps(way.header)}")
    keys.append(f"columns = {{ {'w' if way.header else '1'} = 'outlets' }}")
    if way.comma and way.delimiter == ",":
        keys.append('decimal = ","')
    home = folder / "home.toml"
    home.write_text("\n".join(["[[recording]]", *keys]))
    return home


@settings(max_examples=300)
@given(WAYS, VALUES)
def test_what_is_written_comes_back(way: Written, values: list[tuple[int, int | None]]) -> None:
    notation = NOTATIONS[way.notation]
    at_s, samples, right = 0.0, [], Series("outlets", array("d", [0.0]), array("d", [0.0]))
    for steps, tenths in values:
        watts = None if tenths is None else tenths / 10.0
        samples.append((notation.begin + timedelta(seconds=at_s), watts))
        if not at_s:
            right.watts[0] = watts or 0.0
        elif (watts or 0.0) != right.watts[-1]:
            right.at_s.append(at_s)
            right.watts.append(watts or 0.0)
        at_s += steps * notation.unit_s
    folder = Path(mkdtemp(prefix="panelctl-"))
    try:
        home = read_home(_write(way, samples, folder), Plant.of(panel()))
    finally:
        shutil.rmtree(folder)
    (series,) = home.series
    assert list(series.at_s) == pytest.approx(list(right.at_s), abs=1e-5)
    assert list(series.watts) == pytest.approx(list(right.watts), abs=1e-6)
    assert home.span_s > series.at_s[-1]
    known = sum(watts is not None for _, watts in samples)
    assert [notes.rows for notes in home.notes if notes.column] == [known]
    assert [notes.blank for notes in home.notes if notes.column] == [len(samples) - known]


@given(st.lists(st.integers(0, 50), min_size=1, max_size=60))
def test_rows_go_forward_and_each_is_used_or_told(stamps: list[int]) -> None:
    line = arranged([(row, float(at_s)) for row, at_s in enumerate(stamps)], None)
    assert sorted([*line.rows, *line.left_out]) == list(range(len(stamps)))
    assert set(line.repeated) <= set(line.rows)
    assert line.at_s[0] == 0.0
    if len({stamps[row] for row in line.rows}) > 1:
        assert list(line.at_s) == sorted(set(line.at_s))
        assert line.end_s > line.at_s[-1]


@given(
    st.lists(
        st.lists(st.tuples(st.integers(1, 20), st.integers(-5, 5)), min_size=1, max_size=12),
        min_size=1,
        max_size=4,
    ),
    st.integers(0, 250),
)
def test_a_sum_is_that_of_its_parts_at_any_time(
    drawn: list[list[tuple[int, int]]], at_s: int
) -> None:
    parts = []
    for steps in drawn:
        part, now_s = Series("outlets", array("d"), array("d")), 0.0
        for step_s, watts in steps:
            part.at_s.append(now_s)
            part.watts.append(float(watts))
            now_s += step_s
        parts.append(part)
    total = summed("outlets", parts)
    assert total.at(at_s) == sum(part.at(at_s) for part in parts)
    assert list(total.at_s) == sorted(set(total.at_s))
