"""The state machine of the controller as one table, which both cores obey and the docs draw.

Rules
- The first start is HOLD. Nothing closes and nothing rises in HOLD or SHED.
- What makes the panel safer needs one step from every state; what gives room needs `good_needed`
  fresh mains readings in a row.
- Every combination of state and sight has exactly one successor (a test explores them all).
"""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from panelctl.model.reason import State


class Age(IntEnum):
    """How old the mains reading is, against `fresh_ns`, `hold_ns` and `shed_ns`."""

    FRESH = 0
    OLD = 1
    STALE = 2
    LOST = 3


@dataclass(frozen=True, slots=True)
class Rule:
    """From any of `states`, when the sight is as told, to `next`. None: it does not matter.

    `enough`: so many fresh mains readings in a row; `whole`: every managed load's meter is fresh.
    """

    states: tuple[State, ...]
    ages: tuple[Age, ...]
    enough: bool | None
    whole: bool | None
    next: State
    why: str


ANY_AGE: Final = tuple(Age)
SEEING: Final = (State.NORMAL, State.DEGRADED)

# Of several rules that match, the first one holds.
RULES: Final = (
    Rule(SEEING, (Age.LOST,), None, None, State.SHED, "mains lost for shed_s"),
    Rule(SEEING, (Age.STALE,), None, None, State.HOLD, "mains stale for hold_s"),
    Rule(SEEING, (Age.OLD,), None, None, State.DEGRADED, "mains older than fresh_s"),
    Rule(SEEING, (Age.FRESH,), None, False, State.DEGRADED, "a managed load's meter is stale"),
    Rule(SEEING, (Age.FRESH,), None, True, State.NORMAL, "everything is fresh"),
    Rule(tuple(State), (Age.FRESH,), True, True, State.NORMAL, "five fresh readings"),
    Rule(tuple(State), (Age.FRESH,), True, False, State.DEGRADED, "five fresh readings"),
    Rule((State.HOLD,), (Age.LOST,), None, None, State.SHED, "mains lost for shed_s"),
    Rule((State.HOLD,), ANY_AGE, None, None, State.HOLD, ""),
    Rule((State.SHED,), ANY_AGE, None, None, State.SHED, ""),
)


def place(state: int, age: int, enough: int, whole: int) -> int:
    """Where the successor stands in `table()`."""
    return ((state * len(Age) + age) * 2 + enough) * 2 + whole


def first_match(state: State, age: Age, enough: bool, whole: bool) -> Rule:
    """The rule that holds in this state and sight."""
    for rule in RULES:
        if (
            state in rule.states
            and age in rule.ages
            and rule.enough in (None, enough)
            and rule.whole in (None, whole)
        ):
            return rule
    raise AssertionError("RULES leave a combination out")


def _all() -> Iterable[tuple[State, Age, bool, bool]]:
    return itertools.product(State, Age, (False, True), (False, True))


def table() -> array[int]:
    """The successor of every state and sight, at `place()`."""
    cells = array("q", bytes(8 * len(State) * len(Age) * 4))
    for state, age, enough, whole in _all():
        cells[place(state, age, enough, whole)] = first_match(state, age, enough, whole).next
    return cells


def diagram() -> str:
    """The table as a Mermaid state diagram, for docs/explanation/how-it-decides.md."""
    arrows = {
        f"    {sight[0].name} --> {rule.next.name}: {rule.why}"
        for sight in _all()
        if (rule := first_match(*sight)).next is not sight[0]
    }
    return "\n".join(["stateDiagram-v2", "    [*] --> HOLD: start", *sorted(arrows)]) + "\n"
