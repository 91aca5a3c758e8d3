"""Keeping the machine out of the controller's way: memory, scheduling and the garbage collector.

Each step is tried and reported; a machine that does not permit one runs without it.
"""

from __future__ import annotations

import ctypes
import gc
import os

MCL_CURRENT = 1
MCL_FUTURE = 2
MCL_ONFAULT = 4
PRIORITY = 10  # above every ordinary process, below the kernel's own threads


def lock_memory() -> bool:
    """Keep pages that were touched in memory (mlockall with MCL_ONFAULT)."""
    libc = ctypes.CDLL(None, use_errno=True)
    done: int = libc.mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)
    return done == 0


def raise_priority() -> bool:
    """Run before ordinary processes (SCHED_FIFO)."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except (OSError, AttributeError):
        return False
    return True


def freeze_garbage() -> None:
    """Take everything made so far out of the collector's sight; collect by hand from now on."""
    gc.collect()
    gc.freeze()
    gc.disable()


def refreeze_garbage() -> None:
    """Where garbage was frozen: let go of the controller that was replaced, freeze the new one."""
    if gc.get_freeze_count():
        gc.unfreeze()
        freeze_garbage()


def collect_idle(generation: int) -> None:
    """Collect what came since, in an idle slot of the cycle."""
    gc.collect(generation)
