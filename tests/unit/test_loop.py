"""The control loop around its disk: what people are told, and what is kept, when that is slow."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from panelctl.config.load import read_panel
from panelctl.control.loop import ANSWER_NS, ControlLoop
from panelctl.control.store import Kept, StateStore
from panelctl.core.engine import Engine
from panelctl.core.snapshot import Snapshot
from panelctl.field.ledger import Ledger
from panelctl.field.orders import Orders
from panelctl.files import Done
from panelctl.link.watchdog import Watchdog
from panelctl.model.command import Verdict
from panelctl.model.panel import Panel
from tests.unit.test_limits import watched

S = 1_000_000_000
PANEL = read_panel(Path("panelctl/sim/demo.toml"))


class Disk:
    """One that takes as long as it is told to."""

    def __init__(self) -> None:
        self.busy = False
        self.put_down: list[bytes] = []
        self._done: Done = lambda written: None

    def put(self, path: Path, data: bytes, done: Done) -> None:
        self.put_down.append(data)
        self.busy, self._done = True, done

    def take(self) -> None:
        self.busy = False
        self._done(True)


@dataclass
class Person:
    """Somebody at the control socket."""

    told: list[Verdict] = field(default_factory=list)

    def answer(self, verdict: Verdict) -> None:
        self.told.append(verdict)


class Clock:
    """Goes on when somebody sleeps."""

    def __init__(self, now_ns: int) -> None:
        self.now = now_ns
        self.boot = "one"

    def now_ns(self) -> int:
        return self.now

    def wall_s(self) -> float:
        return 1e9 + self.now / S

    async def sleep_until(self, time_ns: int) -> None:
        self.now = max(self.now, time_ns)


class Fed(Watchdog):
    """Counts how often it is fed."""

    fed = 0

    def alive(self) -> None:
        self.fed += 1


def loop_of(tmp_path: Path, disk: Disk, now_ns: int = 100 * S, panel: Panel = PANEL) -> ControlLoop:
    """A loop without a field: only what is kept and told is looked at."""
    engine, clock = Engine(panel), Clock(now_ns)
    store = StateStore(tmp_path, clock.boot, disk)
    scanner = SimpleNamespace(known=dict)
    outputs = SimpleNamespace(ledger=Ledger(), orders=Orders())
    parts: tuple[Any, ...] = (engine, scanner, outputs, None, store, Fed(), clock)
    return ControlLoop(*parts)


def test_people_are_answered_once_it_is_on_the_disk(tmp_path: Path) -> None:
    """What a person was told holds after a power cut."""
    disk, person = Disk(), Person()
    loop = loop_of(tmp_path, disk)
    verdict = Verdict("1", True)
    loop._store_state(100 * S)
    loop._answer([(cast(Any, person), verdict)], 100 * S)
    assert person.told == []
    loop._answer([], 100 * S + S // 10)
    assert person.told == []
    disk.take()
    loop._answer([], 100 * S + S // 5)
    loop._answer([], 100 * S + S // 2)
    assert person.told == [verdict], "once"


def test_a_disk_that_takes_too_long_is_not_waited_for(tmp_path: Path) -> None:
    disk, person = Disk(), Person()
    loop = loop_of(tmp_path, disk)
    verdict = Verdict("1", True)
    loop._store_state(100 * S)
    loop._answer([(cast(Any, person), verdict)], 100 * S)
    loop._answer([], 100 * S + ANSWER_NS - 1)
    assert person.told == []
    loop._answer([], 100 * S + ANSWER_NS)
    assert person.told == [verdict]


def test_a_stop_feeds_the_watchdog_while_it_waits_for_the_files(tmp_path: Path) -> None:
    disk, person = Disk(), Person()
    loop = loop_of(tmp_path, disk)
    loop._store_state(100 * S, last=True)
    loop._answer([(cast(Any, person), Verdict("1", True))], 100 * S)
    asyncio.run(loop._finish())
    assert disk.busy, "it never took it"
    watchdog = loop._watchdog
    assert isinstance(watchdog, Fed)
    assert watchdog.fed >= 45, "ten times a second"
    assert len(person.told) == 1
    assert loop._clock.now_ns() <= 106 * S


def test_heat_is_kept_from_the_first_cycle_on(tmp_path: Path) -> None:
    """Also in a machine's first minute: a power that goes and comes again finds it."""
    disk = Disk()
    panel = watched(PANEL, "home-fast")
    loop = loop_of(tmp_path, disk, now_ns=3 * S, panel=panel)
    warm = Snapshot(thermal={"a": [4 << 30, 4 << 30], "b": [4 << 30, 4 << 30]})
    loop._engine.resume(warm, 3 * S, 1e9)
    loop._store_state(3 * S)
    kept = loop._store.load(3 * S, 1e9)
    assert isinstance(kept, Kept)
    assert kept.engine.thermal["a"] == [4 << 30, 4 << 30]
