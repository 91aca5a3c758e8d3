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
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

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
SET_S = 2.0  # a wall clock that is so far off was set, or has drifted
RETRY_NS = NS_PER_S  # after a failure, and twice as long each time
UNFIT = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)
T = TypeVar("T")
LOG = logging.getLogger("panelctl")


@dataclass(slots=True)
class Kept:
    """The engine's snapshot, and the serial numbers of the devices."""

    engine: Snapshot = field(default_factory=Snapshot)
    serials: dict[str, str] = field(default_factory=dict)

    @property
    def settled(self) -> Kept:
        """The same without what comes and goes."""
        return Kept(self.engine.settled, self.serials)


class _File(Generic[T]):
    """One file that follows a value. What became of a write the writer's thread leaves in a queue,
    and the loop's own takes it up: of the one that it is of, for another may have been handed over.
    """

    def __init__(self, path: Path, writes: Writes) -> None:
        self.path = path
        self.latest: T | None = None  # of this process, written or not
        self.failures = 0
        self._writes = writes
        self._handed: tuple[T, float] | None = None  # to the writer, with the clocks' difference
        self._handed_ns = 0
        self._written: tuple[T, float] | None = None  # on the disk
        self._failed: T | None = None  # the disk did not take it
        self._told: deque[tuple[tuple[T, float], bool]] = deque()  # by the writer
        self._retry_ns = 0
        self._backoff_ns = RETRY_NS

    def save(
        self, value: T, ahead_s: float, now_ns: int, data: Callable[[], bytes], lazy: bool
    ) -> None:
        """Write `data()` down if it is of another value than the last, or the wall clock was set;
        `lazy`: only if the last was written LAZY_NS ago.
        """
        self.latest = value
        self._heed(now_ns)
        if self._handed is not None:
            as_before = abs(ahead_s - self._handed[1]) < SET_S  # nobody has set a clock
            waits = lazy and now_ns - self._handed_ns < LAZY_NS
            if as_before and (waits or self._handed[0] == value):
                return
        if now_ns < self._retry_ns and value == self._failed:
            return
        handed = self._handed = (value, ahead_s)
        self._handed_ns = now_ns
        self._writes.put(self.path, data(), lambda written: self._told.append((handed, written)))
        self._heed(now_ns)

    @property
    def handed(self) -> T | None:
        """The value that was last given to the writer and has not failed."""
        return None if self._handed is None else self._handed[0]

    def _heed(self, now_ns: int) -> None:
        """What became of what was handed over. One that failed is tried again, more and more
        seldom.
        """
        while self._told:
            handed, written = self._told.popleft()
            if written:
                if self._failed is not None:
                    LOG.info("%s is written again", self.path)
                self._written, self._failed = handed, None
                self._backoff_ns, self._retry_ns = RETRY_NS, 0
                continue
            if self._failed is None:
                LOG.warning("%s cannot be written; it is tried again", self.path)
            self.failures += 1
            self._failed = handed[0]
            if handed is self._handed:
                self._handed = self._written
                self._retry_ns = now_ns + self._backoff_ns
                self._backoff_ns = min(2 * self._backoff_ns, LAZY_NS)

    def read(self, most_bytes: int, made: Callable[[dict[str, Any]], T]) -> tuple[T | None, bool]:
        """What is made of the file, or of the one before it, and whether it is that one."""
        for path in (self.path, backup_of(self.path)):
            try:
                with path.open("rb") as file:
                    value = made(orjson.loads(file.read(most_bytes)))
            except FileNotFoundError:
                continue
            except UNFIT as error:
                LOG.warning("%s is of no use: %s", path, error)
                continue
            return value, path != self.path
        return None, False


class StateStore:
    """The file `state.json` in the state directory. `boot` names the run of the monotonic clock."""

    def __init__(self, folder: Path, boot: str, writes: Writes | None = None) -> None:
        self.writes = writes or WriteNow()
        self.history = HistoryStore(folder, self.writes)
        self._file: _File[Kept] = _File(folder / "state.json", self.writes)
        self._boot = boot

    @property
    def failures(self) -> int:
        """How often it could not be written."""
        return self._file.failures

    def load(self, now_ns: int, wall_s: float) -> Kept:
        """What the last run kept, its ends on the present monotonic clock; this process's own last
        run, whether it could be written or not.

        Of the file before the newest one only what makes more careful counts: what was held open
        then stays open until a person closes it, for nobody knows what a person did since.
        """
        if self._file.latest is not None:
            return self._file.latest

        def kept(plain: dict[str, Any]) -> Kept:
            found = kept_from(plain)
            if self._boot and plain["boot"] == self._boot:
                return found
            passed_ns = max(0, round((wall_s - float(plain["wall_s"])) * NS_PER_S))
            by_ns = now_ns - passed_ns - _whole(plain["now_ns"])
            return Kept(found.engine.moved(by_ns), found.serials)

        found, old = self._file.read(MOST_STATE, kept)
        if found is None:
            return Kept()
        return Kept(found.engine.of_old, found.serials) if old else found

    def save(self, kept: Kept, now_ns: int, wall_s: float, last: bool = False) -> None:
        """Write it down if it changed, or the wall clock was set: the next boot goes by that. What
        comes and goes waits for up to LAZY_NS, if it is not the last.
        """
        before = self._file.handed
        lazy = not last and before is not None and kept.settled == before.settled

        def data() -> bytes:
            when = {"boot": self._boot, "now_ns": now_ns, "wall_s": wall_s}
            return json.dumps({**kept_to_plain(kept), **when}).encode()

        self._file.save(kept, wall_s - now_ns / NS_PER_S, now_ns, data, lazy)


class HistoryStore:
    """The file `history.json` in the state directory: what was learned and counted, and the ledger
    of writes. A card wears out by bytes: it is a file of its own for that.
    """

    def __init__(self, folder: Path, writes: Writes | None = None) -> None:
        self._file: _File[tuple[Snapshot, Ledger]] = _File(
            folder / "history.json", writes or WriteNow()
        )

    @property
    def failures(self) -> int:
        """How often it could not be written."""
        return self._file.failures

    def load(self) -> tuple[Snapshot, Ledger]:
        """What the runs before this one left; this process's own, written or not."""
        if self._file.latest is not None:
            return self._file.latest
        found, _ = self._file.read(MOST_HISTORY, history_from)
        return found or (Snapshot(), Ledger())

    def save(self, engine: Snapshot, ledger: Ledger, now_ns: int = 0) -> None:
        """Write it down. A disk that is full costs the file, never a cycle."""
        copy = Ledger(dict(ledger.registers), dict(ledger.relays))
        data = json.dumps(history_to_plain(engine, copy)).encode()
        self._file.save((engine, copy), 0.0, now_ns, lambda: data, lazy=False)


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
