"""An event loop in which time is simulated. Its clock is virtual.py's.

Rules
- Nothing waits: when no callback is ready, time jumps to the next timer. What happens, and in which
  order, depends on the program alone, so that one seed gives one run.
- No descriptors, no threads, no signals: connections are virtual ones (network.py).
- `stall` lets time pass without running anything, as when the process gets no processor.
- Timers that are due together run in the order in which asyncio's own heap gives them out. A storm
  is mostly timers, so the loop's round is written out here, and compiled, without what only real
  descriptors, threads, context variables and asyncio's debugging need.
"""

import asyncio
import heapq
from asyncio import Future

from panelctl.units import NS_PER_S

cdef double RESOLUTION_S = 1e-9  # timers that lie closer together run in one round
cdef int MANY_TIMERS = 100  # from here on asyncio looks whether most are cancelled, and so do we
cdef double PER_S = NS_PER_S
cdef push = heapq.heappush
cdef pop = heapq.heappop


class Stuck(RuntimeError):
    """Everybody waits, and nothing will ever happen."""


cdef class _Handle:
    """asyncio's Handle and TimerHandle: a callback, and for a timer when its turn is, s."""

    cdef double _at_s
    cdef object _callback, _loop
    cdef tuple _args
    cdef bint _cancelled
    cdef bint _waits  # in the heap

    def __lt__(_Handle self, _Handle other):
        return self._at_s < other._at_s

    def when(self):
        """See asyncio."""
        return self._at_s

    def cancelled(self):
        """See asyncio."""
        return self._cancelled

    def cancel(self):
        """See asyncio."""
        if not self._cancelled:
            self._cancelled = True
            if self._waits:
                self._loop.cancelled_timers += 1


cdef _Handle _timer(loop, double at_s, callback, tuple args):
    cdef _Handle handle = _Handle.__new__(_Handle)
    handle._at_s, handle._callback, handle._args = at_s, callback, args
    handle._loop, handle._waits = loop, True
    push(loop._scheduled, handle)
    return handle


class VirtualLoop(asyncio.BaseEventLoop):
    """An asyncio loop on simulated time. `now_ns` starts at `start_ns`."""

    def __init__(self, start_ns=NS_PER_S):
        super().__init__()
        self.now_ns = start_ns
        self.cancelled_timers = 0  # that are still in the heap

    def time(self):
        """Simulated seconds."""
        return self.now_ns / PER_S

    def stall(self, ns):
        """Let time pass in which nothing of this program runs."""
        self.now_ns += ns

    def get_debug(self):
        """Whether asyncio's debugging is on: never."""
        return False

    def create_future(self):
        """See asyncio."""
        return Future(loop=self)

    def call_soon(self, callback, *args, context=None):
        """See asyncio."""
        cdef _Handle handle = _Handle.__new__(_Handle)
        handle._callback, handle._args = callback, args
        self._ready.append(handle)
        return handle

    def call_at(self, double when, callback, *args, context=None):
        """See asyncio."""
        return _timer(self, when, callback, args)

    def call_later(self, double delay, callback, *args, context=None):
        """See asyncio."""
        return _timer(self, self.now_ns / PER_S + delay, callback, args)

    def _run_once(self):
        """Rounds, each as asyncio's, until the loop is stopped: go to the next timer when nothing is
        ready, run what is.
        """
        cdef _Handle handle
        cdef list timers
        cdef double due_s
        ready = self._ready
        while True:
            if self.cancelled_timers:
                self._drop_cancelled()
            timers = self._scheduled
            if not ready and not self._stopping:
                if not timers:
                    raise Stuck("every task waits for something that no timer or task will bring")
                self.now_ns = max(self.now_ns, round((<_Handle>timers[0])._at_s * PER_S))
            due_s = self.now_ns / PER_S + RESOLUTION_S
            while timers and (<_Handle>timers[0])._at_s < due_s:
                handle = pop(timers)
                handle._waits = False
                ready.append(handle)
            for _ in range(len(ready)):
                handle = ready.popleft()
                if handle._cancelled:
                    continue
                try:
                    handle._callback(*handle._args)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as error:
                    message = f"Exception in callback {handle._callback!r}"
                    self.call_exception_handler({"message": message, "exception": error})
            if self._stopping:
                return

    def _drop_cancelled(self):
        """Take cancelled timers out of the heap when asyncio would: that gives its order."""
        cdef _Handle handle
        cdef list timers = self._scheduled
        if len(timers) > MANY_TIMERS and 2 * self.cancelled_timers > len(timers):
            self._scheduled = [handle for handle in timers if not handle._cancelled]
            heapq.heapify(self._scheduled)
            self.cancelled_timers = 0
            return
        while timers and (<_Handle>timers[0])._cancelled:
            handle = pop(timers)
            handle._waits = False
            self.cancelled_timers -= 1

    def _write_to_self(self):
        """There are no other threads to wake us."""


def wake(future):
    """End a sleep, unless the sleeper has gone."""
    if not future.done():
        future.set_result(None)
