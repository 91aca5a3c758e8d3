"""The real clock: waiting for a point in monotonic time, to microseconds instead of milliseconds.

asyncio's own timers round up to a millisecond, which is three silences of a line at 115200 baud. A
Linux timerfd wakes the loop when it is time; one descriptor serves every sleeper.
"""

from __future__ import annotations

import asyncio
import ctypes
import heapq
import os
import struct
from itertools import count

from panelctl.clock import boot_id, monotonic_ns, wall_s

CLOCK_BOOTTIME = 7
TFD_NONBLOCK = 0o4000
TFD_CLOEXEC = 0o2000000
TFD_TIMER_ABSTIME = 1

SPIN_NS = 120_000

_libc = ctypes.CDLL(None, use_errno=True)


class TimerfdClock:
    """The machine's clock, with sleeps that end on time. Made inside a running event loop."""

    def __init__(self) -> None:
        self.boot = boot_id()
        self._loop = asyncio.get_running_loop()
        self._fd = _libc.timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")
        self._heap: list[tuple[int, int, asyncio.Future[None]]] = []
        self._numbers = count()
        self._armed_ns = 0
        self._loop.add_reader(self._fd, self._wake)

    def now_ns(self) -> int:
        """Monotonic time in ns; it counts on while the machine is suspended."""
        return monotonic_ns()

    def wall_s(self) -> float:
        """Seconds since 1970, for display only."""
        return wall_s()

    async def sleep_until(self, at_ns: int) -> None:
        """Return when `now_ns()` has reached `at_ns`; at once if it has already."""
        if at_ns <= monotonic_ns():
            return
        future = self._loop.create_future()
        heapq.heappush(self._heap, (at_ns, next(self._numbers), future))
        if not self._armed_ns or at_ns < self._armed_ns:
            self._arm(at_ns)
        await future

    async def sharp_until(self, at_ns: int) -> None:
        """See Clock. A wake-up by the kernel is late by up to SPIN_NS; that is waited out here."""
        await self.sleep_until(at_ns - SPIN_NS)
        while monotonic_ns() < at_ns:
            pass

    def close(self) -> None:
        """Give the descriptor back; sleepers are cancelled."""
        self._loop.remove_reader(self._fd)
        os.close(self._fd)
        for _, _, future in self._heap:
            future.cancel()
        self._heap.clear()

    def _arm(self, at_ns: int) -> None:
        self._armed_ns = at_ns
        spec = struct.pack("qqqq", 0, 0, at_ns // 1_000_000_000, at_ns % 1_000_000_000)
        if _libc.timerfd_settime(self._fd, TFD_TIMER_ABSTIME, spec, None) < 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime failed")

    def _wake(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return
        self._armed_ns = 0
        now_ns = monotonic_ns()
        while self._heap and self._heap[0][0] <= now_ns:
            _, _, future = heapq.heappop(self._heap)
            if not future.done():
                future.set_result(None)
        while self._heap and self._heap[0][2].done():
            heapq.heappop(self._heap)
        if self._heap:
            self._arm(self._heap[0][0])
