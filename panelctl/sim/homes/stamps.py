"""Time stamps: which notation a column is in, and what each of its texts says.

A notation is found out from all texts of the column. What could be two of them is refused.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from panelctl.sim.homes.cells import NUMBER

EPOCH = datetime(1970, 1, 1)
EPOCH_UTC = datetime(1970, 1, 1, tzinfo=UTC)
YEARS = range(1970, 2101)  # of stamps that are numbers
DAY_S = 86_400.0
# What time_format may say instead of a strptime format: numbers of s, ms or days, since whenever.
NUMBERS = {"s": 1.0, "ms": 1e-3, "days": DAY_S}
# How large numbers since 1970 are in the years from 1973 to 2286, and what one is in s.
SINCE_1970 = (
    (1e8, 1e10, 1.0, "s"),
    (1e11, 1e13, 1e-3, "ms"),
    (1e14, 1e16, 1e-6, "us"),
    (1e17, 1e19, 1e-9, "ns"),
)
COMPACT = {8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}

LOOKED_AT = 2000  # stamps, to find the notation
SHEET_DAYS = (20_000.0, 80_000.0)  # the days of spreadsheets from 1954 to 2119
SHEET_STEP = 0.1  # of a day or a second: rows that are so near are meant as parts of a day

_CLOCK = r"(?P<h>\d{1,2}):(?P<min>\d\d)(?::(?P<s>\d\d)(?:[.,](?P<frac>\d{1,12}))?)?"
YEAR_FIRST = re.compile(
    r"(?P<y>\d{4})(?P<sep>[-/.])(?P<m>\d{1,2})(?P=sep)(?P<d>\d{1,2})(?:[Tt_ ]\s*" + _CLOCK + r")?"
    r"\s*(?P<zone>[Zz]|UTC|GMT|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
)
YEAR_LAST = re.compile(
    r"(?P<one>\d{1,2})(?P<sep>[-/.])(?P<two>\d{1,2})(?P=sep)(?P<y>\d{4})"
    r"(?:,?[T ]\s*" + _CLOCK + r"\s*(?P<half>[AaPp]\.?[Mm]\.?)?)?",
    re.ASCII,
)
SHORT_YEAR = re.compile(r"\d{1,2}([-/.])\d{1,2}\1\d\d\b.*", re.ASCII)
CLOCK_ALONE = re.compile(_CLOCK + r"(?:\s*[AaPp]\.?[Mm]\.?)?", re.ASCII)
BASIC = re.compile(r"(\d{4})(\d\d)(\d\d)[T ](\d\d):?(\d\d)(?::?(\d\d))?", re.ASCII)
DIGITS = re.compile(r"\d+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Moment:
    """A stamp in s: since 1970 in UTC where `exact`, in local time or since whenever otherwise."""

    time_s: float
    exact: bool


@dataclass(frozen=True, slots=True)
class Notation:
    """How a column's stamps are written. `read` raises ValueError for a text that is not so;
    `calendar` says that they have days of the calendar, which a time zone has too.
    """

    words: str
    read: Callable[[str], Moment]
    calendar: bool


def notation(texts: Sequence[str], time_format: str) -> Notation:
    """The notation of a column's stamps. Raises ValueError, in words with the remedy, when it is
    not known or could be two.
    """
    if time_format in NUMBERS:
        return _numbers(NUMBERS[time_format], f"numbers, {time_format}", False)
    if time_format:
        return Notation(f"as {time_format}", lambda text: _formatted(text, time_format), True)
    kinds = Counter(kind(text) for text in texts[:LOOKED_AT])
    most = kinds.most_common(1)[0][0] if kinds else None
    alike = [text for text in texts if kind(text) is most]
    if most is NUMBER:
        return _compact(alike) or _sized(alike)
    if most is YEAR_FIRST:
        return Notation("year first", _year_first, True)
    if most is YEAR_LAST:
        return _year_last(alike)
    if most is SHORT_YEAR:
        raise ValueError(
            f"{alike[0]!r} has a year of two digits: say time_format, as %d/%m/%y %H:%M:%S"
        )
    if most is CLOCK_ALONE:
        raise ValueError(
            f"{alike[0]!r} is a time without a day: name the column of the day too, as "
            'time = ["Date", "Time"]; without days say every_s'
        )
    told = f"{alike[0]!r} is in no notation that is known" if alike else "there are no stamps"
    raise ValueError(f"{told}: say time_format, as strptime reads it")


def kind(text: str) -> re.Pattern[str] | None:
    """Which of the notations a stamp could be in."""
    for pattern in (YEAR_FIRST, YEAR_LAST, SHORT_YEAR, CLOCK_ALONE):
        if pattern.fullmatch(text):
            return pattern
    if BASIC.match(text):
        return YEAR_FIRST
    return NUMBER if NUMBER.fullmatch(text.replace(",", ".")) else None


def _numbers(unit_s: float, words: str, exact: bool) -> Notation:
    def read(text: str) -> Moment:
        plain = text.replace(",", ".")
        if not NUMBER.fullmatch(plain):
            raise ValueError("is no number as the others are")
        value = int(plain) if DIGITS.fullmatch(plain) and unit_s < 1e-3 else float(plain)
        if not abs(value) < 1e19:
            raise ValueError("is too large for a stamp")
        # Whole numbers of ns are more than a float holds: divided as they are.
        return Moment(value // 1000 / 1e6 if unit_s == 1e-9 else value * unit_s, exact)

    return Notation(words, read, exact)


def _sized(texts: Sequence[str]) -> Notation:
    """Numbers, told apart by how large one in the middle is."""
    values = [abs(float(text.replace(",", "."))) for text in texts[:LOOKED_AT]]
    value = values[len(values) // 2]
    for low, high, unit_s, unit in SINCE_1970:
        if low <= value < high:
            return _numbers(unit_s, f"{unit} since 1970", True)
    if value >= SINCE_1970[0][0]:
        raise ValueError(
            f"{texts[0]!r} is too large for s and too small for ms since 1970: say time_format"
        )
    spread = abs(values[-1] - values[0]) / max(len(values) - 1, 1)
    if SHEET_DAYS[0] <= value < SHEET_DAYS[1] and 0 < spread < SHEET_STEP:
        raise ValueError(
            f'{texts[0]!r} may be a day of a spreadsheet: say time_format = "days" or "s"'
        )
    return _numbers(1.0, "running seconds", False)


def _compact(texts: Sequence[str]) -> Notation | None:
    """Days without anything between the digits; None where one text is no such day."""
    form = COMPACT.get(len(texts[0]))
    if form is None:
        return None
    for text in texts:
        try:
            if not DIGITS.fullmatch(text) or datetime.strptime(text, form).year not in YEARS:
                return None
        except ValueError:
            return None
    if len(texts[0]) < max(COMPACT):
        raise ValueError(
            f'{texts[0]!r} may be a day or a number: say time_format = "{form}", "s" or "ms"'
        )
    return Notation(f"as {form}", lambda text: _formatted(text, form), True)


def _formatted(text: str, form: str) -> Moment:
    try:
        found = datetime.strptime(text, form)
    except ValueError:
        raise ValueError(f"is not written as {form}") from None
    return _moment(found)


def _moment(found: datetime) -> Moment:
    if found.tzinfo is None:
        return Moment((found - EPOCH) / timedelta(seconds=1), False)
    return Moment((found - EPOCH_UTC) / timedelta(seconds=1), True)


def _clock(match: re.Match[str]) -> timedelta:
    """The time of day in a match; raises ValueError for one that there is not."""
    hour, minute, second = (int(match[name] or 0) for name in ("h", "min", "s"))
    half = match.groupdict().get("half")
    if half:
        if not 1 <= hour <= 12:
            raise ValueError("is no time of a day")
        hour = hour % 12 + (12 if half[0] in "Pp" else 0)
    midnight = hour == 24 and minute == second == 0  # the end of its day
    if not (hour < 24 or midnight) or minute > 59 or second > 60:
        raise ValueError("is no time of a day")
    fraction_us = round(float(f"0.{match['frac'] or 0}") * 1e6)
    return timedelta(hours=hour, minutes=minute, seconds=second, microseconds=fraction_us)


def _year_first(text: str) -> Moment:
    basic = BASIC.match(text)
    if basic:
        day, clock = "-".join(basic.groups()[:3]), ":".join(basic.groups("00")[3:])
        text = f"{day}T{clock}{text[basic.end() :]}"
    match = YEAR_FIRST.fullmatch(text)
    if match is None:
        raise ValueError("is not written as the others, year first")
    found = _day(int(match["y"]), int(match["m"]), int(match["d"])) + _clock(match)
    if not match["zone"]:
        return _moment(found)
    sign, digits = match["zone"][0], match["zone"][1:].replace(":", "")
    if sign in "+-":
        minutes = int(digits[:2]) * 60 + int(digits[2:] or 0)
        if minutes >= 1440:
            raise ValueError("has no offset of a time zone")
        found -= timedelta(minutes=minutes if sign == "+" else -minutes)
    return _moment(found.replace(tzinfo=UTC))


def _day(year: int, month: int, day: int) -> datetime:
    try:
        found = datetime(year, month, day)
    except ValueError:
        raise ValueError("is no day of the calendar") from None
    if not 1900 <= year <= 2200:
        raise ValueError("is of a year in which nobody recorded")
    return found


def _year_last(texts: Sequence[str]) -> Notation:
    """Day or month first: told by a number above 12, or by dots, which go with the day first."""
    matches = [match for match in map(YEAR_LAST.fullmatch, texts) if match]
    sample = matches[0]
    days = sum(int(match["one"]) > 12 for match in matches)
    months = sum(int(match["two"]) > 12 for match in matches)
    if not days and not months and sample["sep"] != ".":
        one, two = (_form(sample, order) for order in ("dm", "md"))
        raise ValueError(
            f'{sample[0]!r} may be day or month first: say time_format = "{one}" or "{two}"'
        )
    day_first = days >= months
    words = "day, month, year" if day_first else "month, day, year"

    def read(text: str) -> Moment:
        match = YEAR_LAST.fullmatch(text)
        if match is None:
            raise ValueError(f"is not written as the others: {words}")
        day, month = (match["one"], match["two"]) if day_first else (match["two"], match["one"])
        return _moment(_day(int(match["y"]), int(month), int(day)) + _clock(match))

    return Notation(words, read, True)


def _form(match: re.Match[str], order: str) -> str:
    """How strptime reads such a stamp."""
    one, two = (f"%{letter}" for letter in order)
    form = f"{one}{match['sep']}{two}{match['sep']}%Y"
    if match["h"]:
        form += " %I:%M" if match["half"] else " %H:%M"
        form += (":%S" if match["s"] else "") + (".%f" if match["frac"] else "")
        form += " %p" if match["half"] else ""
    return form
