"""The stamps of a recording, put in order: when each of its rows was.

Rules
- Rows go forward. What goes back is left out; where that would cost many rows because one stamp is
  far ahead, that one is left out. A recording that runs backwards is read from its end.
- In a time zone the hour that comes twice is told apart by the order of its rows.
- Rows under one stamp are spread up to the next.
- The last row lasts as long as rows usually do, but does not begin another day since the first: a
  recording of a day that is played over again keeps its hours.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from statistics import median_low
from zoneinfo import ZoneInfo

from panelctl.sim.homes.stamps import DAY_S, EPOCH


@dataclass(slots=True)
class Timeline:
    """`rows` are indexes of those that are used, `at_s` when each was, s since the first.

    `step_s` is the usual time between two, 0 where there are not two; `last_s` how long the last
    lasts. `left_out` went back, `repeated` share their stamp with the row before. `said` are
    sentences.
    """

    rows: list[int]
    at_s: array[float]
    step_s: float
    last_s: float
    left_out: list[int] = field(default_factory=list)
    repeated: list[int] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    @property
    def end_s(self) -> float:
        """When the last row ends, s since the first."""
        return self.at_s[-1] + self.last_s if self.rows else 0.0


def evenly(count: int, every_s: float) -> Timeline:
    """Rows without stamps, so far apart."""
    times = array("d", (n * every_s for n in range(count)))
    return Timeline(list(range(count)), times, every_s, every_s)


def usual_s(times_s: Sequence[float]) -> float:
    """The usual time between two that are not the same; 0 where there are not two."""
    steps = [after - before for before, after in pairwise(times_s) if after > before]
    return median_low(steps) if steps else 0.0


def arranged(stamps_s: Sequence[tuple[int, float]], zone: ZoneInfo | None) -> Timeline:
    """The timeline of rows and their stamps, s; `zone` is given where these are local times."""
    line = Timeline([], array("d"), 0.0, 0.0)
    stamps = list(stamps_s)
    back = sum(after < before for (_, before), (_, after) in pairwise(stamps))
    if back > sum(after > before for (_, before), (_, after) in pairwise(stamps)):
        stamps.reverse()
        line.said.append("the newest row is the first: read from its end")
    if zone is not None:
        times = _absolute([at_s for _, at_s in stamps], zone, line)
        stamps = [(row, at_s) for (row, _), at_s in zip(stamps, times, strict=True)]
    kept = _forward([at_s for _, at_s in stamps])
    line.rows = [stamps[n][0] for n in kept]
    used = set(line.rows)
    line.left_out = sorted(row for row, _ in stamps if row not in used)
    times = [stamps[n][1] for n in kept]
    line.repeated = [stamps[n][0] for m, n in pairwise(kept) if stamps[m][1] == stamps[n][1]]
    first_s = times[0] if times else 0.0
    step_s = usual_s(times)
    line.at_s = array("d", (round(at_s - first_s, 6) for at_s in _spread(times, step_s)))
    if times:
        line.step_s = step_s / median_low(len(list(same)) for _, same in groupby(times))
        day_s = DAY_S - line.at_s[-1] % DAY_S  # so much of it is left
        line.last_s = line.step_s
        if day_s < line.step_s <= DAY_S / 2:
            line.last_s = day_s
            line.said.append("the last row ends with its day")
    return line


def _absolute(local_s: Sequence[float], zone: ZoneInfo, line: Timeline) -> list[float]:
    """Local times as s since 1970 in UTC."""
    step_s, found, twice, never = usual_s(local_s), list[float](), 0, 0
    for at_s in local_s:
        naive = EPOCH + timedelta(seconds=at_s)
        early, late = (_offset_s(zone, naive.replace(fold=fold)) for fold in (0, 1))
        first, second = at_s - early, at_s - late
        if late > early:  # clocks were put forward over this stamp
            never += 1
        elif late < early and found:  # they were put back, and it came twice
            due_s = found[-1] + step_s
            twice += 1
            if first < found[-1] or (
                second >= found[-1] and abs(second - due_s) < abs(first - due_s)
            ):
                first = second
        elif late < early:
            line.said.append("its first stamp came twice that day: taken for the first of the two")
        found.append(first)
    if twice:
        line.said.append(f"{twice} stamps in the hour that comes twice, told apart by their order")
    if never:
        line.said.append(f"{never} stamps in the hour that was left out that day, read as if not")
    return found


def _offset_s(zone: ZoneInfo, naive: datetime) -> float:
    offset = naive.replace(tzinfo=zone).utcoffset()
    return offset.total_seconds() if offset is not None else 0.0


def _forward(times_s: Sequence[float]) -> list[int]:
    """Indexes of those that do not go back: what comes first counts, unless leaving out others
    would keep far more.
    """
    plain: list[int] = []
    for index, at_s in enumerate(times_s):
        if not plain or at_s >= times_s[plain[-1]]:
            plain.append(index)
    lost = len(times_s) - len(plain)
    if not lost:
        return plain
    most = _longest(times_s)
    return most if lost >= 2 * (len(times_s) - len(most)) else plain


def _longest(times_s: Sequence[float]) -> list[int]:
    """Indexes of the longest part that never goes back."""
    lasts: list[float] = []  # the least last time of a part of each length, and where it is
    where: list[int] = []
    before: list[int] = []
    for index, at_s in enumerate(times_s):
        length = bisect_right(lasts, at_s)
        before.append(where[length - 1] if length else -1)
        lasts[length : length + 1] = [at_s]
        where[length : length + 1] = [index]
    part, index = [], where[-1] if where else -1
    while index >= 0:
        part.append(index)
        index = before[index]
    return part[::-1]


def _spread(times_s: Sequence[float], step_s: float) -> Iterator[float]:
    """Those of one stamp, spread up to the next, but not further than stamps usually are apart."""
    begin = 0
    for index in range(1, len(times_s) + 1):
        if index < len(times_s) and times_s[index] == times_s[begin]:
            continue
        room_s = times_s[index] - times_s[begin] if index < len(times_s) else step_s
        share_s = min(room_s, step_s) / (index - begin)
        yield from (times_s[begin] + n * share_s for n in range(index - begin))
        begin = index
