"""What outlives a restart, on the disk: `state.json`, which follows every change, and
`history.json`, written once an hour and at a stop. What is in them is core/snapshot's; here it is
only put down.

A file that is missing, torn or foreign counts as the one before it, and that as empty: what is then
found open stays open until a user closes it. A disk that is full costs the record, never a cycle.

Ends are monotonic times, so that a wall clock that was set ends nothing. Another boot has another
monotonic clock: what passed in between the wall clock tells, and where that went back, nothing did.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import orjson

from panelctl.core.snapshot import Snapshot
from panelctl.field.ledger import Ledger
from panelctl.files import WriteNow, Writes, backup_of
from panelctl.units import NS_PER_S

STATE_FORMAT = 3
HISTORY_FORMAT = 1
MOST_STATE, MOST_HISTORY = 65_536, 1_048_576  # bytes
MOST_SERIAL = 128
MOST_COUNT = 1 << 50
MOST_PLACES = 10_000
LAZY_NS = 60 * NS_PER_S  # flash wears
FINISH_S = 5.0  # so long a disk is waited for
SET_S = 2.0  # a wall clock that is so far off was set, or has drifted
T = TypeVar("T")


@dataclass(slots=True)
class Kept:
    """The engine's snapshot, and the serial numbers of the devices."""

    engine: Snapshot = field(default_factory=Snapshot)
    serials: dict[str, str] = field(default_factory=dict)

    @property
    def settled(self) -> Kept:
        """The same without what comes and goes."""
        return Kept(self.engine.settled, self.serials)


class StateStore:
    """The file `state.json` in the state directory. `boot` names the run of the monotonic clock."""

    def __init__(self, folder: Path, boot: str, writes: Writes | None = None) -> None:
        self.writes = writes or WriteNow()
        self._path = folder / "state.json"
        self._boot = boot
        self._saved: Kept | None = None  # handed to the writer
        self._saved_ns = 0
        self._written: Kept | None = None  # and on the disk
        self._unwritten: Kept | None = None  # the disk did not take it
        self._ahead_s = 0.0  # of the monotonic clock, the wall clock when it was saved
        self.failures = 0

    def load(self, now_ns: int, wall_s: float) -> Kept:
        """What the last run kept, its ends on the present monotonic clock; of this process's own
        last run also what could not be written.
        """
        if not self.writes.finish(FINISH_S) and self._saved is not None:
            return self._saved
        if self._unwritten is not None:
            return self._unwritten

        def kept(plain: dict[str, Any]) -> Kept:
            found = kept_from(plain)
            if self._boot and plain["boot"] == self._boot:
                return found
            passed_ns = max(0, round((wall_s - float(plain["wall_s"])) * NS_PER_S))
            by_ns = now_ns - passed_ns - _whole(plain["now_ns"])
            return Kept(found.engine.moved(by_ns), found.serials)

        return _read(self._path, MOST_STATE, kept) or Kept()

    def save(self, kept: Kept, now_ns: int, wall_s: float, last: bool = False) -> None:
        """Write it down if it changed, or the wall clock was set: the next boot goes by that. What
        comes and goes (the end of a cap, blindness) waits for up to LAZY_NS, if it is not the last.
        """
        ahead_s = wall_s - now_ns / NS_PER_S
        if abs(ahead_s - self._ahead_s) < SET_S and self._saved is not None:
            if kept == self._saved:
                return
            lazy = not last and now_ns - self._saved_ns < LAZY_NS
            if lazy and kept.settled == self._saved.settled:
                return
        when = {"boot": self._boot, "now_ns": now_ns, "wall_s": wall_s}
        plain = {**kept_to_plain(kept), **when}
        self._saved, self._saved_ns, self._ahead_s = kept, now_ns, ahead_s

        def done(written: bool) -> None:
            if written:
                self._written, self._unwritten = kept, None
            else:
                self._unwritten, self._saved = kept, self._written  # it is tried again
                self.failures += 1

        self.writes.put(self._path, json.dumps(plain).encode(), done)


class HistoryStore:
    """The file `history.json` in the state directory: what was learned and counted, and the ledger
    of writes. A card wears out by bytes: it is a file of its own for that.
    """

    def __init__(self, folder: Path, writes: Writes | None = None) -> None:
        self._writes = writes or WriteNow()
        self._path = folder / "history.json"
        self.failures = 0

    def load(self) -> tuple[Snapshot, Ledger]:
        """What the runs before this one left."""
        return _read(self._path, MOST_HISTORY, history_from) or (Snapshot(), Ledger())

    def save(self, engine: Snapshot, ledger: Ledger) -> None:
        """Write it down. A disk that is full costs the file, never a cycle."""
        plain = history_to_plain(engine, ledger)

        def done(written: bool) -> None:
            self.failures += not written

        self._writes.put(self._path, json.dumps(plain).encode(), done)


def _read(path: Path, most_bytes: int, made: Callable[[dict[str, Any]], T]) -> T | None:
    """What is made of a file, or of the one before it; None where both are of no use."""
    for each in (path, backup_of(path)):
        try:
            with each.open("rb") as file:
                return made(orjson.loads(file.read(most_bytes)))
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            continue
        except (OverflowError, RecursionError):
            continue
    return None


def kept_to_plain(kept: Kept) -> dict[str, Any]:
    """What is kept, ready for JSON."""
    return {"format": STATE_FORMAT, **kept.engine.state_to_plain(), "serials": kept.serials}


def kept_from(plain: dict[str, Any]) -> Kept:
    """What `kept_to_plain` made of it. Raises ValueError, KeyError or TypeError out of shape."""
    if plain["format"] != STATE_FORMAT:
        raise ValueError(f"format {plain['format']!r} is not {STATE_FORMAT}")
    serials = dict(plain.get("serials", {}))  # earlier files have none
    return Kept(
        Snapshot.state_from_plain(plain),
        {str(name): str(serial)[:MOST_SERIAL] for name, serial in serials.items()},
    )


def history_to_plain(engine: Snapshot, ledger: Ledger) -> dict[str, Any]:
    """A history, ready for JSON."""
    return {"format": HISTORY_FORMAT, **asdict(ledger), **engine.history_to_plain()}


def history_from(plain: dict[str, Any]) -> tuple[Snapshot, Ledger]:
    """What `history_to_plain` made of it. Raises ValueError and the like when out of shape."""
    if plain["format"] != HISTORY_FORMAT:
        raise ValueError(f"format {plain['format']!r} is not {HISTORY_FORMAT}")
    ledger = Ledger(_counts(plain["registers"]), _counts(plain["relays"]))
    return Snapshot.history_from_plain(plain), ledger


def _counts(given: Any) -> dict[str, int]:
    """Counts by name. Raises ValueError."""
    if len(given) > MOST_PLACES:
        raise ValueError(f"{len(given)} counts: at most {MOST_PLACES}")
    counts = {str(name): _whole(count) for name, count in dict(given).items()}
    if any(not 0 <= count < MOST_COUNT for count in counts.values()):
        raise ValueError("a count is out of bounds")
    return counts


def _whole(value: Any) -> int:
    if type(value) is not int or abs(value) > 1 << 62:
        raise ValueError(f"{value!r}: is no whole number")
    return value
