"""The clock of simulated time."""

from __future__ import annotations

from collections.abc import Awaitable, Generator

from panelctl.sim.virtual_loop import VirtualLoop, wake
from panelctl.units import NS_PER_S


class _Over:
    """A sleep that has ended before it began."""

    def __await__(self) -> Generator[None, None, None]:
        yield from ()


OVER = _Over()


class VirtualClock:
    """The clock of a virtual loop. `offset_s` is what people's clock is ahead of it; a machine that
    boots anew gets another name of `boot`.
    """

    def __init__(self, loop: VirtualLoop, offset_s: float = 1_700_000_000.0) -> None:
        self._loop = loop
        self.offset_s = offset_s
        self.boot = "1"

    def now_ns(self) -> int:
        """Simulated monotonic time, ns."""
        return self._loop.now_ns

    def wall_s(self) -> float:
        """Simulated wall time, s."""
        return self.offset_s + self._loop.now_ns / NS_PER_S

    def sleep_until(self, at_ns: int) -> Awaitable[None]:
        """Return when `now_ns()` has reached `at_ns`; at once if it has already."""
        if at_ns <= self._loop.now_ns:
            return OVER
        future = self._loop.create_future()
        self._loop.call_at(at_ns / NS_PER_S, wake, future)
        return future

    sharp_until = sleep_until  # here every sleep ends on time
