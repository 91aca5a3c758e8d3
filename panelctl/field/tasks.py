"""Tasks that run for ever: what ends one of them by itself is a bug, and is kept for the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class Tasks:
    """A few tasks that are started and stopped together. `failed` is the first error of one."""

    def __init__(self) -> None:
        self.failed: BaseException | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Start one."""
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    async def stop(self) -> None:
        """Stop them, whatever they were doing."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and self.failed is None:
            self.failed = task.exception()
