"""A column of a recording: from its cells to what its circuit draws, and how long that is known.

Rules
- A value holds until the next, but no longer than `hold_s`; a cell that says nothing ends it. Where
  nothing is known the circuit draws 0 W.
- In a column that is mostly empty, which is one that was written when it changed, an empty cell
  says nothing new: there the value holds.
- What the breaker could not carry is a glitch: the value before it goes on.
- Below 0 W is left out where nothing gives, as if it were not known.
- PV that is written as negative watts is turned; a battery's watts have both signs.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from panelctl.model.circuit import SourceKind
from panelctl.sim.homes.recorded import Notes, Series
from panelctl.sim.homes.timeline import Timeline, usual_s
from panelctl.sim.plant import PlantCircuit

GLITCH_RATIO = 1.5  # of the breaker's rating: no appliance draws that for a whole sample
HOLD_STEPS = 10.0  # of a column: for so long a value holds
HOLD_LEAST_S = 900.0
SPARSE_RATIO = 0.5  # of a column's cells that are empty: it was written when it changed
TURNED_RATIO = 10.0  # of what PV gives written below 0 over what above: it is written so


@dataclass(slots=True)
class Column:
    """What is known of a circuit: at each of `at_s` the watts from then on, None for unknown.

    `hold_s` is how long a value holds.
    """

    notes: Notes
    at_s: list[float]
    watts: list[float | None]
    hold_s: float

    def series(self, span_s: float) -> Series:
        """The steps of it in a home of that span. What is not known is noted."""
        made = Series(self.notes.circuit, array("d"), array("d"))
        known_s: float | None = None  # of the last value; None while nothing is known
        unknown_s = 0.0  # since when, then
        _put(made, 0.0, 0.0)
        for at_s, watts in zip((*self.at_s, span_s), (*self.watts, None), strict=True):
            if known_s is not None and at_s - known_s > self.hold_s:
                unknown_s, known_s = known_s + self.hold_s, None
                self.notes.gaps += at_s < span_s
                _put(made, unknown_s, 0.0)
            if known_s is None and (watts is not None or at_s == span_s):
                self._note(at_s - unknown_s)
            if watts is not None:
                known_s = at_s
            elif known_s is not None:
                unknown_s, known_s = at_s, None
            if at_s < span_s:
                _put(made, at_s, watts or 0.0)
        return made

    def _note(self, unknown_s: float) -> None:
        self.notes.unknown_s += unknown_s
        self.notes.longest_s = max(self.notes.longest_s, unknown_s)


def _put(series: Series, at_s: float, watts: float) -> None:
    if series.at_s and series.at_s[-1] == at_s:
        series.watts[-1] = watts
    elif not series.watts or watts != series.watts[-1]:
        series.at_s.append(at_s)
        series.watts.append(watts)


def column(
    cells: Sequence[float | None],
    empty: Sequence[bool],
    lines: Sequence[int],
    timeline: Timeline,
    item: PlantCircuit,
    notes: Notes,
    hold_s: float,
) -> Column:
    """A column of values in W, by row of the table: None where a cell says that nothing is known,
    `empty` where it is because there is nothing in it. `lines` are the rows' lines in the file.
    """
    rows = timeline.rows
    limit_w = item.breaker.rating_a * item.volts * GLITCH_RATIO
    source = item.circuit.source.kind if item.circuit.source is not None else None
    turn = -1.0 if source is SourceKind.PV and _below_0([cells[n] for n in rows], limit_w) else 1.0
    if turn < 0:
        notes.said.append("turned, for it is below 0: taken as what the PV gives")
    sparse = sum(empty[n] for n in rows) > SPARSE_RATIO * len(rows)
    if sparse:
        notes.said.append("mostly empty: taken as written when it changed, so that values hold")
    made = Column(notes, [], [], hold_s)
    known: list[float] = []
    for row, at_s in zip(rows, timeline.at_s, strict=True):
        value = cells[row]
        if value is None:
            if sparse and empty[row]:
                continue
            notes.count("blank", lines[row])
        elif abs(value) > limit_w:
            notes.count("glitches", lines[row])
            continue
        elif value * turn < 0 and source is not SourceKind.BATTERY:
            notes.count("negative", lines[row])
            value = None
        else:
            notes.rows += 1
            known.append(at_s)
        made.at_s.append(at_s)
        made.watts.append(None if value is None else value * turn + 0.0)  # no -0.0
    made.hold_s = hold_s or max(HOLD_LEAST_S, HOLD_STEPS * usual_s(known))
    _say(notes, source, len(rows))
    return made


def _below_0(values: Sequence[float | None], limit_w: float) -> bool:
    """Whether what a source gives is written below 0; a standby's watts above it are no reason."""
    given = [value for value in values if value is not None and abs(value) <= limit_w]
    below = -sum(value for value in given if value < 0)
    return below > TURNED_RATIO * sum(value for value in given if value > 0)


def _say(notes: Notes, source: SourceKind | None, rows: int) -> None:
    if source is SourceKind.BATTERY and notes.rows:
        notes.said.append("above 0 the battery gives, below it is charged")
    if notes.negative and not notes.rows:
        notes.said.append("nothing else in it: if it counts the other way say scale = -1")
    elif not notes.rows:
        notes.said.append("there is no value in it")
    elif notes.glitches > rows / 10:
        notes.said.append("so many that the scale or the circuit may be wrong")
