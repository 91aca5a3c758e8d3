"""The text of a cell: a number, a word for nothing, or neither."""

from __future__ import annotations

import re
from collections.abc import Iterable

# What exporters write where nothing is known.
NOTHING = {
    *("", "-", "--", "?", "nan", "na", "n/a", "#n/a", "<na>", "nil", "null", "none", "missing"),
    *("unavailable", "unknown", "undefined"),
}
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
# A number that may be meant so, and may be a decimal fraction of three digits.
GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}([.,])\d{3}", re.ASCII)
THOUSANDS = re.compile(
    r"[+-]?[1-9]\d{0,2}(?:(?:,\d{3})+(?:\.\d*)?|(?:\.\d{3})+(?:,\d*)?"
    r"|(?:[' _\xa0\u2009\u202f’]\d{3})+(?:[.,]\d*)?)",
    re.ASCII,
)
UNIT = re.compile(r"[+-]?[\d.,]+\s*[a-zA-Z%]{1,4}", re.ASCII)
WORDS = "is no number, nor a word for nothing (an empty cell, nan, NA, null, unavailable …)"


def is_nothing(text: str) -> bool:
    """Whether a cell says that nothing is known."""
    return text.casefold() in NOTHING


def decimal_mark(cells: Iterable[str], delimiter: str) -> str:
    """What stands before the fraction in a column: "." or ",", or "" where there is none. Raises
    ValueError, in words, where that cannot be told from its cells.
    """
    sure = grouped = dots = ""  # an example of each
    for text in cells:
        if "." in text and NUMBER.fullmatch(text):
            dots = dots or text
        elif "," in text and THOUSANDS.fullmatch(text) and not GROUPED.fullmatch(text):
            raise ValueError(f"{text!r} has separators of thousands: write numbers without them")
        elif GROUPED.fullmatch(text):
            grouped = grouped or text
        elif "," in text and NUMBER.fullmatch(text.replace(",", ".", 1)):
            sure = sure or text
    comma = sure or grouped
    if not comma:
        return "." if dots else ""
    if dots:
        raise ValueError(
            f'{comma!r} and {dots!r} stand in one column: say decimal = "," or ".", and write '
            "numbers without separators of thousands"
        )
    if delimiter == ",":
        raise ValueError(
            f'{comma!r} has a comma, which is the delimiter too: say decimal = "," if it stands '
            "before the fraction, or write numbers without separators of thousands"
        )
    if not sure:
        raise ValueError(
            f'{comma!r} may be a thousand or a fraction: say decimal = "," if the comma stands '
            "before the fraction, or write numbers without separators of thousands"
        )
    return ","


def number(text: str, decimal: str) -> float | None:
    """The number in a cell; None where it says that nothing is known. Raises ValueError, in words,
    for any other text.
    """
    plain = text.replace("−", "-") if decimal == "." else _pointed(text)
    if NUMBER.fullmatch(plain):
        return float(plain)
    if is_nothing(text):
        return None
    if THOUSANDS.fullmatch(text):
        raise ValueError("has separators of thousands: write it without them")
    if NUMBER.fullmatch(_pointed(text) if decimal == "." else text):
        raise ValueError(f"has another decimal mark than {decimal!r}, which the column has")
    if UNIT.fullmatch(text):
        raise ValueError("has a unit in it: write the number alone; scale = 1000 makes W of kW")
    raise ValueError(WORDS)


def _pointed(text: str) -> str:
    """A number with a decimal comma as one with a point; one with a point as none."""
    return text.replace(".", "'").replace(",", ".").replace("−", "-")
