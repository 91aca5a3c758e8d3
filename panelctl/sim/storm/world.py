"""One world: a plant, its devices on virtual wires, and the unmodified application that runs it.

The plant goes on by itself, step by step on a fixed grid, whenever somebody looks at it: a device
that is asked, a load that changes, a checker. The application is started, stopped and killed like a
process; its state directory is a real one.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from panelctl.clock import Clock
from panelctl.config.child import Checked
from panelctl.config.load import parse_panel
from panelctl.control.app import App, Places
from panelctl.control.store import StateStore
from panelctl.control.supervisor import Supervisor
from panelctl.errors import PanelctlError
from panelctl.field.bus import BusLink
from panelctl.field.rtu import RtuLink
from panelctl.field.tcp import TcpLink
from panelctl.files import WriteNow
from panelctl.link.protocol import Watch, encode_request
from panelctl.model.panel import Link, Panel
from panelctl.model.reason import Reason
from panelctl.model.record import VERSION, CommandRecord
from panelctl.sim.build import build_devices
from panelctl.sim.bus import VirtualHost, VirtualLine
from panelctl.sim.devices import SimDevice, SimMeter
from panelctl.sim.household import Household
from panelctl.sim.network import Network, Pipe
from panelctl.sim.plant import Plant
from panelctl.sim.storm.strike import Undo
from panelctl.sim.virtual import VirtualClock
from panelctl.units import NS_PER_S

STEP_NS = 25_000_000  # of the plant
STATE_FILES = ("state.json", "history.json")
READ_S = 0.4  # so long reading and checking the panel file takes, in another process
SOCKET = "/run/panelctl/control.sock"  # on the virtual network
logging.getLogger("panelctl").addHandler(logging.NullHandler())  # nobody reads their logs
Looker = Callable[[int], None]


class World:
    """A panel's plant and devices, and its controller. `state` is a directory for the latter."""

    def __init__(self, panel: Panel, config: str, seed: int, state: Path) -> None:
        self.panel = panel
        self.shadow = False  # the controller decides and writes nothing
        self.believed = self._edited = panel  # what the controller's file says
        self.loop = Network()
        self.clock = VirtualClock(self.loop)
        self.plant = Plant.of(panel)
        self.devices: dict[str, SimDevice] = build_devices(panel, self.plant, seed)
        self._meters = [d for d in self.devices.values() if isinstance(d, SimMeter)]
        self.lines: dict[str, VirtualLine] = {}
        self.hosts: dict[str, VirtualHost] = {}
        self.after_step: list[Looker] = []  # called with the time, ns, after each step of the plant
        self.supervisor: Supervisor | None = None
        self.crashes: list[BaseException] = []
        self.broken: list[BaseException] = []  # errors of the simulation itself
        self._config = self._file = config
        self._state = state
        self._task: asyncio.Task[None] | None = None
        self._held: dict[tuple[int, str], list[list[Any]]] = {}  # the first is what was before
        self._restarting: asyncio.Task[None] | None = None
        self.household = Household(panel, self.plant, seed)
        self.said: deque[CommandRecord] = deque(maxlen=1000)  # the commands of people
        self.resets: list[tuple[float, str]] = []  # boards that started anew, and when
        self.stalled_s = 0.0  # so long the controller's machine has stood still in all
        self.switched: dict[str, list[float]] = {}  # relays that somebody else moved, and when
        self.starting: set[str] = set()  # circuits whose motor starts
        self.driven: set[str] = set()  # circuits whose load a fault drives
        self.gone_ns = 0  # since when there is no controller
        self.full_s: float | None = None  # since when its disk is full
        self._fillers = 0
        self.unsaved_s = (0.0, 0.0)  # between these times nothing was saved when it ended
        self.line: Callable[[bytes], None] = lambda line: None  # told every line of the socket
        self.told: Callable[[bytes], None] = lambda line: None  # told every answer to people
        self.alter: Callable[[App], None] = lambda app: None  # breaks a controller, for a test
        self._people: _Person | None = None
        self._plant_ns = self.loop.now_ns
        self._looking = False
        for link in panel.links:
            units = {d.device.unit: d for d in self.devices.values() if d.device.link == link.name}
            if not link.rtu:
                self.hosts[link.name] = VirtualHost(link, units, self.loop, self.look)
            else:
                self.lines[link.name] = VirtualLine(link, units, self.loop, self.look)

    @property
    def app(self) -> App | None:
        """The controller that runs now, or ran last."""
        return self.supervisor.app if self.supervisor else None

    @property
    def now_s(self) -> float:
        """Simulated seconds since the world began."""
        return (self.loop.now_ns - NS_PER_S) / NS_PER_S

    def look(self) -> float:
        """Bring the plant up to now; its time, s."""
        behind_ns = self.loop.now_ns - self._plant_ns
        if behind_ns >= STEP_NS and not self._looking:  # a checker may look too
            self._looking = True
            try:
                while self.loop.now_ns - self._plant_ns >= STEP_NS:
                    self._plant_ns += STEP_NS
                    self.household.tell((self._plant_ns - NS_PER_S) / NS_PER_S)
                    self.plant.step(STEP_NS / NS_PER_S)
                    for meter in self._meters:
                        if meter.measuring is not None:
                            meter.follow(self.plant.time_s)
                    for looker in self.after_step:
                        looker(self._plant_ns)
            except Exception as error:
                self.broken.append(error)  # the simulation's own: it ends
                raise
            finally:
                self._looking = False
        return self.plant.time_s

    def wire(self, link: str) -> VirtualLine | VirtualHost:
        """The wire of a link."""
        return self.lines.get(link) or self.hosts[link]

    def note_end(self, task: asyncio.Task[None]) -> None:
        """A task of the simulation has ended: not by an error, one hopes."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.broken.append(error)

    # -- what faults do ---------------------------------------------------------------------------

    def hold(self, thing: object, name: str, value: object) -> Undo:
        """Keep an attribute of a simulated thing at a value until it is undone.

        Holds of one attribute may overlap: the newest counts, and after the last what was before.
        """
        values = self._held.setdefault((id(thing), name), [[getattr(thing, name)]])
        mine = [value]
        values.append(mine)
        setattr(thing, name, value)

        def undo() -> None:
            values[:] = [other for other in values if other is not mine]
            setattr(thing, name, values[-1][0])

        return undo

    def every(self, gap_s: float, what: Callable[[], None]) -> Undo:
        """Do something now and again and again, until it is undone."""
        timer: asyncio.TimerHandle

        def again() -> None:
            nonlocal timer
            timer = self.loop.call_later(gap_s, again)
            what()

        again()
        return lambda: timer.cancel()

    def _open(self, link: Link, clock: Clock) -> BusLink:
        if not link.rtu:
            return TcpLink(link, clock)
        return RtuLink(link, clock, self.lines[link.name].open)

    # -- the controller as a process --------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether the controller's process is there."""
        return self._task is not None and not self._task.done()

    def start(self) -> None:
        """Start the controller, as the service manager does."""
        self._store = StateStore(self._state, self.clock.boot, WriteNow(flush=False))
        self.supervisor = Supervisor(Checked(self.believed, self._config), self._make, self._read)
        self._task = self.loop.create_task(self._run(self.supervisor), name="controller")

    def _make(self, panel: Panel, config: str) -> App:
        places = Places(Path(SOCKET), self._state)
        panel = panel.all_armed() if self.shadow else panel
        store = self._store
        shadow: list[str] | None = [] if self.shadow else None
        app = App(panel, config, places, self.clock, self._open, store=store, shadow=shadow)
        self.alter(app)
        return app

    async def _read(self) -> Checked:
        """The panel file as it is on the disk now."""
        await asyncio.sleep(READ_S)
        parse_panel(self._file, "panel.toml")
        return Checked(self._edited, self._file)

    def edit(self, more: str, margin_ratio: float = 1.0) -> None:
        """Somebody adds lines to the panel file, changes the restore margin, and asks the
        controller to read it again. What the controller starts with after a kill stays.
        """
        timing = self.believed.timing
        wider = replace(timing, restore_margin_a=timing.restore_margin_a * margin_ratio)
        self._file, self._edited = self._config + more, replace(self.believed, timing=wider)
        if self.supervisor is not None and self.running:
            self.supervisor.reload()

    async def _run(self, supervisor: Supervisor) -> None:
        try:
            await supervisor.run()
        except asyncio.CancelledError:
            raise
        except (PanelctlError, Exception) as error:  # whatever it is: the process would be gone
            self.crashes.append(error)
        finally:
            if self.full_s is not None:
                self.unsaved_s = (self.full_s, self.now_s)

    async def stop(self) -> None:
        """An orderly stop: SIGTERM, and wait for the end."""
        if self.supervisor is not None:
            self.supervisor.stop()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def kill(self) -> None:
        """The process is gone at once; its connections and ports are closed by the system."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def restart(self, after_s: float, orderly: bool) -> None:
        """End the controller and start it again after a while, as the service manager would."""
        if not self.running:
            return

        async def again() -> None:
            await (self.stop() if orderly else self.kill())
            self.gone_ns = self.loop.now_ns
            await asyncio.sleep(after_s)
            if not self.running:
                self.start()

        self._restarting = self.loop.create_task(again())

    def watch_over(self) -> None:
        """Start the controller again when it has ended by itself. Called now and then."""
        busy = self._restarting is not None and not self._restarting.done()
        if not self.running and not busy:
            self.gone_ns = self.loop.now_ns
            self.start()

    def fill_disk(self) -> Undo:
        """Until undone nothing can be written to the state directory; it can be read."""
        blocked = [self._state / f".{name}.new" for name in STATE_FILES]
        self._fillers += 1
        if self.full_s is None:
            self.full_s = self.now_s
            for path in blocked:  # where a new file would be written first
                path.mkdir()

        def undo() -> None:
            self._fillers -= 1
            if not self._fillers:
                self.full_s = None
                for path in blocked:
                    path.rmdir()

        return undo

    def needs_a_person(self, name: str) -> bool:
        """Whether a circuit has a fault that does not end by itself."""
        app = self.app
        if app is None or name not in app.engine.index:
            return False
        return app.engine.state.fault[app.engine.index[name]] == Reason.IGNORES_BUDGET

    # -- people -----------------------------------------------------------------------------------

    def say(self, **command: object) -> None:
        """Somebody sends a command to the control socket."""
        self.said.append(cast(CommandRecord, command))
        self.shout(json.dumps({"v": VERSION, **command}).encode() + b"\n")

    def shout(self, line: bytes) -> None:
        """Somebody sends bytes to the control socket."""
        if self._people is None or self._people.gone.is_set():
            self._people = _Person()
            self._people.heard = self._answered
            self.loop.create_task(self._join(self._people))
        self._people.send(line)

    async def _join(self, person: _Person) -> None:
        try:
            await self.loop.join(person.itself, SOCKET)
        except OSError:
            person.gone.set()  # nobody is there to hear it

    async def listen(self) -> None:
        """Watch every record of the controller, `line` is told each; again after a restart."""
        while True:
            person = _Person()
            person.send(encode_request(Watch()))
            person.heard = self._heard
            try:
                await self.loop.join(person.itself, SOCKET)
                await person.gone.wait()
            except OSError:
                await asyncio.sleep(0.05)

    def _heard(self, line: bytes) -> None:
        self.line(line)

    def _answered(self, line: bytes) -> None:
        self.told(line)

    def stuck_reader(self) -> Callable[[], None]:
        """Somebody watches and does not read. Returns what ends it."""
        person = _Person()
        person.send(encode_request(Watch()))
        self.loop.create_task(self._join(person))

        def choke() -> None:
            if person.wire is not None:
                person.wire.set_reading(False)

        self.loop.call_later(0.5, choke)

        def end() -> None:
            if person.wire is not None:
                person.wire.abort()

        return end


class _Person(asyncio.Protocol):
    """Somebody at the control socket."""

    def __init__(self) -> None:
        self.wire: Pipe | None = None
        self.unsent: list[bytes] = []
        self.gone = asyncio.Event()
        self.heard: Callable[[bytes], None] = lambda line: None
        self._rest = b""  # of a line that has not ended yet

    def itself(self) -> _Person:
        """What a connection is made with."""
        return self

    def send(self, line: bytes) -> None:
        """Send, now or when connected."""
        if self.wire is None:
            self.unsent.append(line)
        else:
            self.wire.write(line)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        assert isinstance(transport, Pipe)
        self.wire = transport
        for line in self.unsent:
            transport.write(line)
        self.unsent.clear()

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        *lines, rest = data.split(b"\n")
        for line in lines:
            self.heard(self._rest + line)
            self._rest = b""
        self._rest += rest

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        self.wire = None
        self.gone.set()
