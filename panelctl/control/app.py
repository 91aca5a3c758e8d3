"""The composition root of the controller: which parts there are, and how they are started.

The clock and the opening of links are arguments: the same application runs on real wires and on a
simulated network.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from panelctl.clock import Clock
from panelctl.control.describe import describe_panel
from panelctl.control.loop import ControlLoop
from panelctl.control.shadow import NoOutputs, Shadow
from panelctl.control.shadow_tally import FILE, Bookkeeper
from panelctl.control.start import Start
from panelctl.control.store import StateStore
from panelctl.core.engine import Engine
from panelctl.field.links import OpenLink, open_link
from panelctl.field.outputs import Outputs
from panelctl.field.scan import Scanner
from panelctl.link.server import ControlServer
from panelctl.link.watchdog import Watchdog
from panelctl.modbus.busplan import plan_bus
from panelctl.model.panel import Panel


@dataclass(frozen=True, slots=True)
class Places:
    """Where the controller leaves its traces: the control socket and its state directory."""

    socket: Path
    state: Path


class App:
    """A controller for one panel. `store` is the one before's, in the same process. With `shadow`,
    which says what its file would be refused for if it were armed, it decides and writes nothing
    (control/shadow.py).
    """

    def __init__(
        self,
        panel: Panel,
        config: str,
        places: Places,
        clock: Clock,
        opener: OpenLink = open_link,
        watchdog: Watchdog | None = None,
        store: StateStore | None = None,
        shadow: Sequence[str] | None = None,
    ) -> None:
        self.engine = Engine(panel)
        self.links = {link.name: opener(link, clock) for link in panel.links}
        self.scanner = Scanner(plan_bus(panel), self.links, self.engine.image, clock)
        self.store = store or StateStore(places.state, clock.boot)
        now_ns, wall_s = clock.now_ns(), clock.wall_s()
        kept, history = self.store.load(now_ns, wall_s), self.store.history.load()
        start = Start.of(kept, history, now_ns, wall_s)
        start.resume(self.engine)
        self.scanner.take_known(start.kept.serials)
        self.outputs: Outputs | NoOutputs
        books = None
        if shadow is not None:
            self.outputs = NoOutputs(start.ledger)
            path = places.state / FILE
            books = Bookkeeper(self.engine, Shadow(self.engine), path, self.store.writes, wall_s)
            books.account.unfit = list(shadow)
        else:
            self.outputs = Outputs(
                panel, self.engine, self.links, self.scanner, clock, start.ledger
            )
        hello = describe_panel(panel, config, start, shadow is not None)
        self.server = ControlServer(places.socket, hello)
        self.loop = ControlLoop(
            self.engine,
            self.scanner,
            self.outputs,
            self.server,
            self.store,
            watchdog or Watchdog(),
            clock,
            books,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set. Raises SocketError when the control socket is taken."""
        await self.server.start()
        self.scanner.start()
        self.outputs.start()
        try:
            await self.loop.run(stop)
        finally:
            await self.outputs.stop()
            await self.scanner.stop()
            for link in self.links.values():
                await link.close()
            await self.server.stop()
