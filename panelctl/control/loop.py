"""The control loop: read, latch, decide, write, publish; at the panel's rate, for ever.

Rules
- The tick is an absolute time. A cycle that is late is counted; its ticks are skipped, not queued.
- Nothing between the latch and the outputs awaits. Encoding and saving come after the outputs.
- A record is published at most ten times a second, and at once where something happened; it tells
  of every decision since the one before.
- The watchdog is fed after every completed cycle, fail-safe cycles included. A bug in a task of the
  field wing ends the loop, so that the service manager starts everything afresh.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from panelctl.clock import Clock
from panelctl.control.publish import Publisher
from panelctl.control.realtime import collect_idle
from panelctl.control.shadow import NoOutputs
from panelctl.control.shadow_tally import Bookkeeper
from panelctl.control.store import Kept, StateStore
from panelctl.core.engine import Engine
from panelctl.core.snapshot import Part, Snapshot
from panelctl.field.outputs import Outputs
from panelctl.field.scan import Scanner
from panelctl.link.protocol import encode_record
from panelctl.link.server import ControlServer, Reader
from panelctl.link.watchdog import Watchdog
from panelctl.modbus.busplan import FAST_RATIO
from panelctl.model.command import AcceptDevice, Verdict
from panelctl.model.record import TimingRecord
from panelctl.units import NS_PER_S

JITTER_KEPT = 10_000
FULL_COLLECTION_CYCLES = 600
YOUNG_COLLECTION_CYCLES = 10  # little of what a cycle leaves behind is in circles
THERMAL_NS = 60 * NS_PER_S
FLUSH_S = 1.0
ANSWER_NS = NS_PER_S
FINISH_NS = 5 * NS_PER_S  # at a stop
PUBLISH_NS = NS_PER_S // 10
NOTHING = Snapshot()


@dataclass(slots=True)
class LoopCounts:
    """What the loop has to say about itself."""

    cycles: int = 0
    overruns: int = 0
    incomplete: int = 0
    late_ns: deque[int] = field(default_factory=lambda: deque(maxlen=JITTER_KEPT))


class ControlLoop:
    """One panel's loop over its parts."""

    def __init__(
        self,
        engine: Engine,
        scanner: Scanner,
        outputs: Outputs | NoOutputs,
        server: ControlServer,
        store: StateStore,
        watchdog: Watchdog,
        clock: Clock,
        books: Bookkeeper | None = None,
    ) -> None:
        self.counts = LoopCounts()
        self._engine = engine
        self._scanner = scanner
        self._outputs = outputs
        self._server = server
        self._store = store
        self._watchdog = watchdog
        self._clock = clock
        self._books = books
        self._publisher = Publisher(engine, scanner, outputs.orders, books is not None)
        self._publish_ns = 0  # not before this tick, unless something happened
        self._timing = _untimed()
        self._taken = NOTHING  # what was last taken of the engine
        self._thermal_ns = -THERMAL_NS
        self._unanswered: list[tuple[Reader, Verdict]] = []
        self._asked_ns = 0  # since when the first of them waits
        self._hour = -1  # of the day, when the history was last saved
        self._period_ns = int(NS_PER_S / engine.panel.timing.rate_hz)

    async def run(self, stop: asyncio.Event) -> None:
        """Run cycles until `stop` is set, then leave every modulated load at its fallback."""
        tick_ns = self._clock.now_ns()
        while not stop.is_set():
            await self._cycle(tick_ns)
            self._check_tasks()
            tick_ns += self._period_ns
            behind_ns = self._clock.now_ns() - tick_ns
            if behind_ns > 0:
                missed = behind_ns // self._period_ns + 1
                self.counts.overruns += missed
                tick_ns += missed * self._period_ns
            await self._clock.sleep_until(tick_ns)
        self._engine.stop_modulated()
        self._outputs.apply(self._clock.now_ns())
        await self._outputs.flush(FLUSH_S)
        self._store_state(self._clock.now_ns(), last=True)
        if self._books is not None:
            self._books.save()
        await self._finish()

    async def _finish(self) -> None:
        """Wait for the files, at most FINISH_NS; a slow card is no reason to be killed."""
        begin_ns = self._clock.now_ns()
        while self._store.writes.busy and self._clock.now_ns() - begin_ns < FINISH_NS:
            self._watchdog.alive()
            self._answer([], self._clock.now_ns())
            await self._clock.sleep_until(self._clock.now_ns() + self._period_ns)
        self._answer([], self._clock.now_ns() + ANSWER_NS)

    def _store_state(self, now_ns: int, last: bool = False) -> None:
        """Hand the stores what outlives a restart; they write only what changed.

        Heat always changes: it is taken down every minute, and at the end; history every hour.
        """
        wall_s = self._clock.wall_s()
        parts = Part.STATE
        if now_ns - self._thermal_ns >= THERMAL_NS or last:
            parts |= Part.THERMAL
            self._thermal_ns = now_ns
        hour = self._engine.state.hour[0]
        if last or (hour != self._hour >= 0):
            parts |= Part.HISTORY
        self._hour = hour
        self._taken = self._engine.snapshot(now_ns, wall_s, self._taken, parts)
        if Part.HISTORY in parts:
            self._store.history.save(self._taken, self._outputs.ledger, now_ns)
        kept = Kept(self._taken.with_history(NOTHING), self._scanner.known())
        self._store.save(kept, now_ns, wall_s, last)

    def _answer(self, answers: list[tuple[Reader, Verdict]], now_ns: int) -> None:
        """Tell people what became of their commands, once that is on the disk. A disk that takes
        longer than ANSWER_NS is not waited for.
        """
        if answers and not self._unanswered:
            self._asked_ns = now_ns
        self._unanswered += answers
        if self._unanswered:
            late = now_ns - self._asked_ns >= ANSWER_NS
            if late or not self._store.writes.busy:
                for reader, verdict in self._unanswered:
                    reader.answer(verdict)
                self._unanswered.clear()

    async def _cycle(self, tick_ns: int) -> None:
        engine, counts = self._engine, self.counts
        late_ns = self._clock.now_ns() - tick_ns
        counts.late_ns.append(late_ns)
        complete = await self._scanner.read_fast(
            FAST_RATIO * self._period_ns / NS_PER_S, tick_ns + self._period_ns
        )
        counts.incomplete += not complete
        now_ns = self._clock.now_ns()
        if self._books is None:
            engine.image.latch()
        else:
            self._books.latch(now_ns)
        queued = self._server.take_commands()
        commands = [command for command, _ in queued]
        verdicts = engine.step(now_ns, commands)
        for command, verdict in zip(commands, verdicts, strict=True):
            if isinstance(command, AcceptDevice) and verdict.accepted:
                self._scanner.accept(command.device)
        self._outputs.apply(now_ns)
        self._store_state(now_ns)
        self._answer([(r, v) for (_, r), v in zip(queued, verdicts, strict=True)], now_ns)
        timing = self._timing
        timing["late_us"] = max(timing["late_us"], late_ns // 1000)
        timing["work_us"] = max(timing["work_us"], (self._clock.now_ns() - tick_ns) // 1000)
        timing["overruns"] = counts.overruns
        timing["complete"] &= complete
        happened = self._publisher.decided(now_ns, commands, verdicts)
        if self._books is not None:
            wall_s = self._clock.wall_s()
            self._books.count(now_ns, wall_s, complete, self._publisher.events)
        if happened or tick_ns >= self._publish_ns:
            record = self._publisher.record(self._clock.wall_s(), timing)
            self._server.publish(encode_record(record))
            self._publish_ns, self._timing = tick_ns + PUBLISH_NS, _untimed()
        counts.cycles += 1
        if counts.cycles == 1:
            self._watchdog.ready()
        self._watchdog.alive()
        if counts.cycles % YOUNG_COLLECTION_CYCLES == 0:
            collect_idle(2 if counts.cycles % FULL_COLLECTION_CYCLES == 0 else 0)

    def _check_tasks(self) -> None:
        error = self._scanner.failed() or self._outputs.failed()
        if error is not None:
            raise error


def _untimed() -> TimingRecord:
    """Of no cycle yet."""
    return {"late_us": 0, "work_us": 0, "overruns": 0, "complete": True}
