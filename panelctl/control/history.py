"""What builds up over months: what was learned of the household, what was written how often,
and how far the energy counters had come.

A file of its own, written once an hour and at a stop: state.json changes every minute, and a card
wears out by bytes. A file that is missing, torn or foreign counts as no history: then the
nameplates' margins hold and the counts start from 0.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from panelctl.control.store import replace_file
from panelctl.core.doubt.energy import KeptCounts
from panelctl.core.engine import Learned
from panelctl.core.layout import HOURS, MAX_ROWS, STEP_BINS
from panelctl.field.ledger import Ledger
from panelctl.model.slots import MOST_WH

FORMAT = 1
MOST_BYTES = 1_048_576
MOST_COUNT = 1 << 50
MOST_PLACES = 10_000
MOST_S = 1e11  # a wall time that fits everything it is used for


@dataclass(slots=True)
class History:
    """The household's steps by row, hour and bin (Engine.learned), the ledger of writes, and the
    energy counters (Energy.keep) as they stood at `at_s`, wall time.
    """

    steps: Learned = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    energy: KeptCounts = field(default_factory=dict)
    at_s: float = 0.0


class HistoryStore:
    """The file `history.json` in the state directory."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "history.json"
        self.failures = 0

    def load(self) -> History:
        """What the runs before this one left."""
        try:
            return history_from(orjson.loads(self._path.read_bytes()[:MOST_BYTES]))
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            OverflowError,
            RecursionError,
        ):
            return History()

    def save(self, history: History) -> None:
        """Write it down. A disk that is full costs the file, never a cycle."""
        plain = history_to_plain(history)
        try:
            replace_file(self._path, json.dumps(plain))
        except OSError:
            self.failures += 1


def history_to_plain(history: History) -> dict[str, Any]:
    """A history, ready for JSON."""
    return {
        "format": FORMAT,
        "steps": history.steps,
        **asdict(history.ledger),
        "energy": history.energy,
        "at_s": round(history.at_s, 3),
    }


def history_from(plain: dict[str, Any]) -> History:
    """What `history_to_plain` made of it. Raises ValueError and the like when out of shape."""
    if plain["format"] != FORMAT or len(plain["steps"]) > MAX_ROWS:
        return History()
    steps = {
        str(row): {
            str(_within(hour, HOURS)): _counts(bins, STEP_BINS) for hour, bins in hours.items()
        }
        for row, hours in plain["steps"].items()
    }
    for bins in (bins for hours in steps.values() for bins in hours.values()):
        for number in bins:
            _within(number, STEP_BINS)
    ledger = Ledger(_counts(plain["registers"], MOST_PLACES), _counts(plain["relays"], MOST_PLACES))
    return History(steps, ledger, _energy(plain.get("energy", {})), _time(plain))


def _counts(given: dict[str, int], most: int) -> dict[str, int]:
    """KeptCounts by name, at most `most` of them. Raises ValueError."""
    if len(given) > most:
        raise ValueError(f"{len(given)} counts: at most {most}")
    return {str(name): _within(count, MOST_COUNT) for name, count in given.items()}


def _energy(given: dict[str, list[int]]) -> KeptCounts:
    """Counters and totals by slot. Raises ValueError."""
    if len(given) > MOST_PLACES:
        raise ValueError(f"{len(given)} counters: at most {MOST_PLACES}")
    for raw, total in given.values():
        if type(raw) is not int or type(total) is not int or abs(raw) > MOST_WH:
            raise ValueError(f"{raw!r}, {total!r}: no counter and its total")
        _within(total, MOST_COUNT)
    return {str(slot): [raw, total] for slot, (raw, total) in given.items()}


def _time(plain: dict[str, Any]) -> float:
    at_s = float(plain.get("at_s", 0.0))
    if not 0 <= at_s <= MOST_S:
        raise ValueError("at_s is no time")
    return at_s


def _within(given: object, most: int) -> int:
    """A whole number from 0 up to `most`. Raises ValueError."""
    number = int(given) if isinstance(given, int | str) else -1
    if not 0 <= number < most:
        raise ValueError(f"{given!r} is not below {most}")
    return number
