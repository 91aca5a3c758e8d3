"""Keeps a controller running while its panel file changes: checked whole, then swapped, or refused.

Rules
- The new file is read while the old one is in force. One with a problem changes nothing.
- The change itself is an orderly stop and a start in the same process, by the same code as any
  other: set-points to their fallback, relays as they are, claims and limits kept.
- Nothing but `reload` reads the file again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from panelctl.config.child import Checked
from panelctl.control.app import App
from panelctl.control.realtime import refreeze_garbage
from panelctl.errors import PanelctlError
from panelctl.modbus.maps import hold_maps
from panelctl.model.panel import Panel

Read = Callable[[], Awaitable[Checked]]
Make = Callable[[Panel, str], App]
LOG = logging.getLogger("panelctl")


class Supervisor:
    """One controller after the other. `read` gives what a panel file holds, and raises
    PanelctlError where that has problems; `make` builds a controller of it.
    """

    def __init__(self, first: Checked, make: Make, read: Read) -> None:
        hold_maps(first.maps)
        self.app = make(first.panel, first.text)
        self._now = first
        self._make = make
        self._read = read
        self._end = asyncio.Event()
        self._stopping = False
        self._reading: asyncio.Task[None] | None = None
        self._next: Checked | None = None
        self.refused = 0  # files that had problems

    def stop(self) -> None:
        """End in order."""
        self._stopping = True
        self._end.set()

    def reload(self) -> None:
        """Read the panel file again, and go on with it if it is right."""
        if self._reading is not None:
            self._reading.cancel()  # what it has read may be older than what is asked for now
        self._reading = asyncio.create_task(self._reread())

    async def _reread(self) -> None:
        try:
            checked = await self._read()
        except PanelctlError as error:
            self.refused += 1
            LOG.error("the panel file is refused, the old one stays in force: %s", error)
            return
        if checked.same(self._next or self._now):
            LOG.info("neither the panel file nor a map of its devices has changed")
            return
        self._next = checked
        self._end.set()

    async def run(self) -> None:
        """Run until `stop`. Raises what the controller raises."""
        try:
            while True:
                await self.app.run(self._end)
                if self._stopping or self._next is None:
                    return
                self._now, self._next = self._next, None
                self._end.clear()
                LOG.info("the panel file has changed: starting with the new one")
                hold_maps(self._now.maps)
                self.app = self._make(self._now.panel, self._now.text)
                refreeze_garbage()
        finally:
            if self._reading is not None:
                self._reading.cancel()
