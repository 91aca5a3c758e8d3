"""What a schema has against a file, as problems for a person: the place, what stands there, and
what to write instead. Panel files and register maps are refused in the same words.

It takes the errors as the checker (pydantic) tells them, and does not load it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypedDict

from panelctl.errors import Problem

Place = tuple[int | str, ...]

# Where the checker's own words are those of a programmer.
REMEDIES: Final = {
    "extra_forbidden": "is not a key of this table; remove it or correct its spelling",
    "missing": "is missing",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "string_type": "must be a text",
    "list_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a table",
}


class Refusal(TypedDict):
    """What is taken of one of pydantic's errors."""

    type: str
    loc: Place
    msg: str
    input: object


def problems_of(
    refusals: Iterable[Refusal],
    plain: Mapping[str, object],
    meaning: Callable[[Place], str] = lambda _: "",
) -> list[Problem]:
    """The problems of the file that `plain` was read from. `meaning` tells what a key that is
    missing is for.
    """
    found = []
    for refusal in refusals:
        path, is_there = _place(refusal["loc"], plain)
        remedy = _remedy(refusal)
        if refusal["type"] == "missing" and (what := meaning(refusal["loc"])):
            remedy = f"{remedy}: {what}"
        found.append(Problem(path, _shown(refusal["input"]) if is_there else "", remedy))
    return found


def _remedy(refusal: Refusal) -> str:
    kind = refusal["type"]
    if kind == "list_type" and isinstance(refusal["input"], dict):
        return "must be an array of tables: write its name in double brackets"
    if kind in REMEDIES:
        return REMEDIES[kind]
    if kind == "value_error":  # our own words
        return refusal["msg"].removeprefix("Value error, ")
    text = refusal["msg"].replace("Input should", "must", 1)
    return text[:1].lower() + text[1:]


def _place(loc: Place, plain: Mapping[str, object]) -> tuple[str, bool]:
    """The place in words, and whether the file has anything there."""
    path, is_there = "", True
    at: object = plain
    for part in loc:
        if isinstance(part, int):
            is_there = isinstance(at, list) and part < len(at)
            at = at[part] if isinstance(at, list) and is_there else None
            name = at.get("id") or at.get("name") if isinstance(at, dict) else None
            path += f"[{part + 1}]" + (f" ({name})" if isinstance(name, str) else "")
        elif part != "[key]" or (isinstance(at, dict) and part in at):
            # Otherwise the checker means the name before it, which is in the path already.
            is_there = isinstance(at, dict) and part in at
            at = at[part] if isinstance(at, dict) and is_there else None
            path += f".{part}" if path else part
    return path, is_there


def _shown(value: object) -> str:
    try:
        return repr(value)[:60]
    except ValueError:  # Python writes no number of more than some thousand digits
        return "a very long number"
