"""What was learned of the household outlives a restart: a file of its own, written once an hour.

It is apart from state.json, which is small and changes every minute: a card wears out by bytes. A
file that is missing, torn or foreign counts as nothing learned, and the nameplates' margins hold.
"""

from __future__ import annotations

import json
from pathlib import Path

from panelctl.control.store import replace_file
from panelctl.core.engine import Learned
from panelctl.core.layout import HOURS, MAX_ROWS, STEP_BINS

FORMAT = 1
MOST_BYTES = 1_048_576
MOST_COUNT = 1 << 40


class LearnedStore:
    """The file `learned.json` in the state directory."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "learned.json"
        self.failures = 0

    def load(self) -> Learned:
        """What the last run had learned."""
        try:
            plain = json.loads(self._path.read_bytes()[:MOST_BYTES])
            if plain["format"] != FORMAT or len(plain["steps"]) > MAX_ROWS:
                return {}
            return {
                str(row): {
                    str(_within(hour, HOURS)): {
                        str(_within(number, STEP_BINS)): _within(count, MOST_COUNT)
                        for number, count in bins.items()
                    }
                    for hour, bins in hours.items()
                }
                for row, hours in plain["steps"].items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return {}

    def save(self, steps: Learned) -> None:
        """Write it down. A disk that is full costs the file, never a cycle."""
        try:
            replace_file(self._path, json.dumps({"format": FORMAT, "steps": steps}))
        except OSError:
            self.failures += 1


def _within(given: object, most: int) -> int:
    """A whole number from 0 up to `most`. Raises ValueError."""
    number = int(given) if isinstance(given, int | str) else -1
    if not 0 <= number < most:
        raise ValueError(f"{given!r} is not below {most}")
    return number
