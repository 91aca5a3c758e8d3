"""Plain data of files, state files and cases, checked value by value; refused by ValueError."""

from __future__ import annotations

from typing import Any

from panelctl.core.doubt.energy import KeptCounts
from panelctl.model.fault import Fault
from panelctl.model.keys import MAX_IMPORT_W, MAX_LIMIT_A, MAX_NUMBER, MAX_WINDOWS
from panelctl.model.limit import KeptLimits
from panelctl.model.reason import Reason
from panelctl.model.slots import MOST_WH

MOST_NS = 1 << 62
MOST_COUNT = 1 << 50
MOST_COUNTERS = 10_000


def limits(plain: Any) -> KeptLimits:
    """Limits and windows. Raises ValueError, KeyError or TypeError."""

    def amount(value: Any, most: float) -> float | None:
        number = None if value is None else float(value)
        if number is not None and not 0 <= number <= most:
            raise ValueError(f"{number}: is no limit")
        return number

    windows: list[tuple[int, int, float | None, float | None]] = []
    if len(plain["windows"]) > MAX_WINDOWS:
        raise ValueError(f"more than {MAX_WINDOWS} windows")
    for start_ns, end_ns, limit_a, import_w in plain["windows"]:
        times = (monotonic_ns(start_ns), monotonic_ns(end_ns))
        if times[0] > times[1] or (windows and times[0] < windows[-1][1]):
            raise ValueError("a window ends before it starts, or starts before the last has ended")
        windows.append((*times, amount(limit_a, MAX_LIMIT_A), amount(import_w, MAX_IMPORT_W)))
    return KeptLimits(
        plain["off_grid"] is True,
        plain["shedding"] is True,
        str(plain["source"])[:64],
        windows,
        whole(plain["lease_number"], MAX_NUMBER),
    )


def counts(given: Any) -> KeptCounts:
    """Counters and totals by slot. Raises ValueError, TypeError or AttributeError."""
    if len(given) > MOST_COUNTERS:
        raise ValueError(f"{len(given)} counters: at most {MOST_COUNTERS}")
    for raw, total in given.values():
        if type(raw) is not int or type(total) is not int or abs(raw) > MOST_WH:
            raise ValueError(f"{raw!r}, {total!r}: no counter and its total")
        below(total, MOST_COUNT)
    return {str(slot): [raw, total] for slot, (raw, total) in given.items()}


def fault_code(value: Any) -> int:
    """The Reason of a fault, or 0. Raises ValueError for any other."""
    if value != 0 and Reason(value).name not in Fault.__members__:
        raise ValueError(f"{value!r}: is no fault")
    return int(value)


def monotonic_ns(value: Any) -> int:
    """A monotonic time, ns: below 0 what was before the machine started. Raises ValueError."""
    return whole(value, MOST_NS, -MOST_NS)


def whole(value: Any, most: int = MOST_NS, least: int = 0) -> int:
    """A whole number in these bounds. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{value!r}: is no whole number from {least} to {most}")
    return value


def below(given: object, most: int) -> int:
    """A whole number from 0 to before `most`, maybe as the text that a key of JSON is. Raises
    ValueError.
    """
    number = int(given) if isinstance(given, int | str) else -1
    if not 0 <= number < most:
        raise ValueError(f"{given!r} is not below {most}")
    return number
