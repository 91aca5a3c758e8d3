"""Processes that a verb starts beside itself: known before a signal comes, and ended in order."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

PATIENCE_S = 5


@contextmanager
def unbroken() -> Iterator[None]:
    """A signal to end waits until the block is through: a process that is being started has to be
    known before it can be ended.
    """
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda number, frame: came.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        raise KeyboardInterrupt


def end(process: subprocess.Popen[str] | subprocess.Popen[bytes] | None) -> None:
    """End a process in order, or by force after five seconds; wait until it is gone."""
    if process is None:
        return
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=PATIENCE_S)
        if process.poll() is None:
            process.kill()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
    process.wait()
