"""The clock that everything above is handed. Nothing else in panelctl asks the machine for time.

Monotonic nanoseconds are for decisions, wall time is for people. The implementation that waits
(`sleep_until`) lives in field/timing, because it needs the event loop; a simulated clock only has
to offer the same methods.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Protocol

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Clock(Protocol):
    """Monotonic time, wall time, and waiting for a point in monotonic time. `boot` names this run
    of the monotonic clock; empty where it is not known.
    """

    boot: str

    def now_ns(self) -> int:
        """Monotonic time in nanoseconds. Never goes back."""

    def wall_s(self) -> float:
        """Seconds since 1970: for people, and for what passed while there was no monotonic time."""

    def sleep_until(self, at_ns: int) -> Awaitable[None]:
        """Return when `now_ns()` has reached `at_ns`."""

    def sharp_until(self, at_ns: int) -> Awaitable[None]:
        """The same, to some microseconds; it may keep the processor busy for the last moment."""


def monotonic_ns() -> int:
    """The machine's monotonic clock, which keeps counting while the machine is suspended, in ns."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """Names the run of the machine's monotonic clock: another one after each boot, or nothing."""
    try:
        return BOOT_ID.read_text("ascii").strip()
    except (OSError, ValueError):
        return ""


def wall_s() -> float:
    """The machine's wall clock, seconds since 1970."""
    return time.time()
