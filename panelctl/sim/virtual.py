"""An event loop in which time is simulated, and its clock.

Rules
- Nothing waits: when no callback is ready, time jumps to the next timer. What happens, and in which
  order, depends on the program alone, so that one seed gives one run.
- No descriptors, no threads, no signals: connections are virtual ones (network.py).
- `stall` lets time pass without running anything, as when the process gets no processor.
"""

from __future__ import annotations

import asyncio
from typing import Any

from panelctl.units import NS_PER_S


class Stuck(RuntimeError):
    """Everybody waits, and nothing will ever happen."""


class _Jump:
    """Stands where a loop has its selector: instead of waiting, it moves the clock."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        """Jump to the next timer."""
        if timeout is None:
            raise Stuck("every task waits for something that no timer and no task will bring")
        if timeout > 0:
            self._loop.jump()
        return []

    def close(self) -> None:
        """Nothing to close."""


class VirtualLoop(asyncio.BaseEventLoop):
    """An asyncio loop on simulated time. `now_ns` starts at `start_ns`."""

    _scheduled: list[asyncio.TimerHandle]  # asyncio's own heap of timers

    def __init__(self, start_ns: int = NS_PER_S) -> None:
        super().__init__()
        self.now_ns = start_ns
        self._clock_resolution = 1e-9
        self._selector = _Jump(self)

    def time(self) -> float:
        """Simulated seconds."""
        return self.now_ns / NS_PER_S

    def jump(self) -> None:
        """Go to the next timer."""
        self.now_ns = max(self.now_ns, round(self._scheduled[0].when() * NS_PER_S))

    def stall(self, ns: int) -> None:
        """Let time pass in which nothing of this program runs."""
        self.now_ns += ns

    def _process_events(self, event_list: list[Any]) -> None:
        """There are no descriptors."""

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

    async def sharp_until(self, at_ns: int) -> None:
        """See Clock: here every sleep ends on time."""
        await self.sleep_until(at_ns)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
