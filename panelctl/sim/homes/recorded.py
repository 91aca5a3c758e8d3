"""A recorded home: what each circuit draws at each moment, and what was noted while it was read."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

FEW = 5  # rows that are named; of the others only the number is told


@dataclass(slots=True)
class Series:
    """One circuit: the times (s since the home's first stamp) and the watts from then on.

    The first time is 0, and times only grow. Of a source the watts are what it gives; only a
    battery's go below 0.
    """

    circuit: str
    at_s: array[float]
    watts: array[float]

    def at(self, time_s: float) -> float:
        """Watts at a time; 0 before the first stamp, and where nothing is known."""
        index = bisect_right(self.at_s, time_s) - 1
        return self.watts[index] if index >= 0 else 0.0


@dataclass(slots=True)
class Notes:
    """What was read of one column, and what was left out or taken for granted.

    Without a `column` it is about the whole recording, without a `file` name too about the home.
    `rows` were used; `blank` cells say that nothing is known, `glitches` are above what the breaker
    could carry, `negative` ones below 0 where nothing gives; `backwards` rows have a stamp that
    goes back, `repeated` ones share theirs with the row before, `unstamped` ones have none. In
    `gaps` of the recording the last value was not held to the end. For `unknown_s` in all nothing
    is known, at most `longest_s` in one piece. `said` are sentences.
    """

    file: str
    column: str = ""
    circuit: str = ""
    rows: int = 0
    blank: int = 0
    glitches: int = 0
    negative: int = 0
    backwards: int = 0
    repeated: int = 0
    unstamped: int = 0
    gaps: int = 0
    unknown_s: float = 0.0
    longest_s: float = 0.0
    said: list[str] = field(default_factory=list)
    rows_of: dict[str, list[int]] = field(default_factory=dict)  # the first few, by what they are

    def count(self, what: str, row: int) -> None:
        """One more row of a kind: `what` is one of the counts above, `row` its line in the file."""
        setattr(self, what, getattr(self, what) + 1)
        few = self.rows_of.setdefault(what, [])
        if len(few) < FEW:
            few.append(row)

    def words(self) -> str:
        """All of it for people, in one line."""
        parts = [f"{self.rows} {'values' if self.column else 'rows'}"] if self.rows else []
        for what, told in WORDS.items():
            number = getattr(self, what)
            if number:
                parts.append(f"{number} {told} ({self._named(what, number)})")
        if self.unknown_s > 0:
            gaps = f", {self.gaps} gap{'s' if self.gaps > 1 else ''}" if self.gaps else ""
            many = self.longest_s < self.unknown_s
            longest = f" in all, the longest {in_words(self.longest_s)}" if many else ""
            parts.append(f"unknown, 0 W, for {in_words(self.unknown_s)}{longest}{gaps}")
        parts += self.said
        column = f", column {self.column!r} for {self.circuit}" if self.column else ""
        return f"{self.file}{column}: {'; '.join(parts) or 'nothing in it'}"

    def _named(self, what: str, number: int) -> str:
        few = self.rows_of.get(what, [])
        rows = "row" if number == 1 else "rows"
        return f"{rows} {', '.join(map(str, few))}{', …' if number > len(few) else ''}"


WORDS = {
    "backwards": "with a stamp that goes back left out",
    "repeated": "under the stamp of the row before, spread until the next",
    "unstamped": "without a stamp left out",
    "blank": "blank, nothing known from there on",
    "glitches": "above 1.5 times what the breaker carries left out",
    "negative": "below 0 left out",
}


@dataclass(slots=True)
class Home:
    """A recorded home: exactly one series for each circuit that it drives.

    After `span_s`, which is above 0 and contains the last row's own duration, it begins again.
    `begin_s` is where to begin, `speed` how many recorded seconds pass in one of ours.
    """

    series: list[Series]
    span_s: float
    begin_s: float = 0.0
    speed: float = 1.0
    notes: list[Notes] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """How many rows its longest recording has; 0 where nobody says."""
        return max((notes.rows for notes in self.notes if not notes.column), default=0)


def summed(circuit: str, parts: Sequence[Series]) -> Series:
    """Several series as one: at every stamp of any of them, what all together draw."""
    if len(parts) == 1:
        return Series(circuit, parts[0].at_s, parts[0].watts)
    total = Series(circuit, array("d"), array("d"))
    now = [0.0] * len(parts)
    stamps = sorted(
        (at_s, n, k) for n, part in enumerate(parts) for k, at_s in enumerate(part.at_s)
    )
    for index, (at_s, n, k) in enumerate(stamps):
        now[n] = parts[n].watts[k]
        if index + 1 < len(stamps) and stamps[index + 1][0] == at_s:
            continue
        watts = sum(now)
        if not total.watts or watts != total.watts[-1]:
            total.at_s.append(at_s)
            total.watts.append(watts)
    return total


def in_words(span_s: float) -> str:
    """A span for people: `5 h 44 min`."""
    if span_s < 1:
        return f"{span_s:.3g} s"
    left, parts = round(span_s), []
    for unit_s, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        number, left = divmod(left, unit_s)
        if number:
            parts.append(f"{number} {unit}")
    return " ".join(parts[:2])
