"""An event loop in which time is simulated, and its clock.

Rules
- Nothing waits: when no callback is ready, time jumps to the next timer. What happens, and in which
  order, depends on the program alone, so that one seed gives one run.
- No descriptors, no threads, no signals: connections are virtual ones (network.py).
- `stall` lets time pass without running anything, as when the process gets no processor.
- Timers that are due together run in the order in which asyncio's own heap gives them out. A storm
  is mostly timers, so the loop's round is written out here, without what only real descriptors,
  threads and asyncio's debugging need.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
from collections import deque
from collections.abc import Callable
from typing import Any, cast

from panelctl.units import NS_PER_S

RESOLUTION_S = 1e-9  # timers that lie closer together run in one round
MANY_TIMERS = 100  # from here on asyncio looks whether most of them are cancelled, and so do we


class Stuck(RuntimeError):
    """Everybody waits, and nothing will ever happen."""


class _Timer(float):
    """A TimerHandle that the heap compares as a plain number: its time, s."""

    __slots__ = ("_args", "_callback", "_cancelled", "_context", "_loop", "_waits")

    _args: tuple[Any, ...]
    _callback: Callable[..., object]
    _cancelled: bool
    _context: contextvars.Context
    _loop: VirtualLoop
    _waits: bool  # in the heap

    def when(self) -> float:
        """See asyncio."""
        return float(self)

    def cancelled(self) -> bool:
        """See asyncio."""
        return self._cancelled

    def cancel(self) -> None:
        """See asyncio."""
        if not self._cancelled:
            self._cancelled = True
            self._loop.cancelled_timers += self._waits


class _Call:
    """A Handle: a callback whose turn is next."""

    __slots__ = ("_args", "_callback", "_cancelled", "_context")

    def __init__(
        self,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: contextvars.Context,
    ) -> None:
        self._callback = callback
        self._args = args
        self._context = context
        self._cancelled = False

    def cancelled(self) -> bool:
        """See asyncio."""
        return self._cancelled

    def cancel(self) -> None:
        """See asyncio."""
        self._cancelled = True


class VirtualLoop(asyncio.BaseEventLoop):
    """An asyncio loop on simulated time. `now_ns` starts at `start_ns`."""

    _ready: deque[Any]  # handles and timers whose turn it is
    _scheduled: list[_Timer]
    _stopping: bool

    def __init__(self, start_ns: int = NS_PER_S) -> None:
        super().__init__()
        self.now_ns = start_ns
        self.cancelled_timers = 0  # that are still in the heap

    def time(self) -> float:
        """Simulated seconds."""
        return self.now_ns / NS_PER_S

    def stall(self, ns: int) -> None:
        """Let time pass in which nothing of this program runs."""
        self.now_ns += ns

    def call_soon(  # type: ignore[override]  # asyncio's stubs name its arguments by a tuple of types
        self,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """See asyncio."""
        call = _Call(callback, args, context or contextvars.copy_context())
        self._ready.append(call)
        return cast(asyncio.Handle, call)

    def call_at(  # type: ignore[override]  # the same
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """See asyncio."""
        timer = _Timer(when)
        timer._args = args
        timer._callback = callback
        timer._cancelled = False
        timer._context = context or contextvars.copy_context()
        timer._loop = self
        timer._waits = True
        heapq.heappush(self._scheduled, timer)
        return cast(asyncio.TimerHandle, timer)

    def call_later(  # type: ignore[override]  # the same
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """See asyncio."""
        return self.call_at(self.now_ns / NS_PER_S + delay, callback, *args, context=context)

    def _run_once(self) -> None:
        """One round, as asyncio's: go to the next timer when nothing is ready, and run what is."""
        if self.cancelled_timers:
            self._drop_cancelled()
        ready, timers = self._ready, self._scheduled
        if not ready and not self._stopping:
            if not timers:
                raise Stuck("every task waits for something that no timer and no task will bring")
            self.now_ns = max(self.now_ns, round(timers[0] * NS_PER_S))
        due_s = self.now_ns / NS_PER_S + RESOLUTION_S
        while timers and timers[0] < due_s:
            timer = heapq.heappop(timers)
            timer._waits = False
            ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            try:
                handle._context.run(handle._callback, *handle._args)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                message = f"Exception in callback {handle._callback!r}"
                self.call_exception_handler({"message": message, "exception": error})

    def _drop_cancelled(self) -> None:
        """Take cancelled timers out of the heap when asyncio would: that gives its order."""
        timers = self._scheduled
        if len(timers) > MANY_TIMERS and 2 * self.cancelled_timers > len(timers):
            self._scheduled = [timer for timer in timers if not timer._cancelled]
            heapq.heapify(self._scheduled)
            self.cancelled_timers = 0
            return
        while timers and timers[0]._cancelled:
            heapq.heappop(timers)._waits = False
            self.cancelled_timers -= 1

    def _write_to_self(self) -> None:
        """There are no other threads to wake us."""


class VirtualClock:
    """The clock of a virtual loop. `offset_s` is what people's clock is ahead of it."""

    def __init__(self, loop: VirtualLoop, offset_s: float = 1_700_000_000.0) -> None:
        self._loop = loop
        self.offset_s = offset_s

    def now_ns(self) -> int:
        """Simulated monotonic time, ns."""
        return self._loop.now_ns

    def wall_s(self) -> float:
        """Simulated wall time, s."""
        return self.offset_s + self._loop.now_ns / NS_PER_S

    async def sleep_until(self, at_ns: int) -> None:
        """Return when `now_ns()` has reached `at_ns`; at once if it has already."""
        if at_ns <= self._loop.now_ns:
            return
        future = self._loop.create_future()
        self._loop.call_at(at_ns / NS_PER_S, _wake, future)
        await future

    sharp_until = sleep_until  # here every sleep ends on time


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
