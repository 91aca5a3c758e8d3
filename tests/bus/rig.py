"""The demo's devices on a simulated wire of any kind, read by a real lane over a real pty or socket
at the panel's rate, 10 Hz.

What each meter shows stands still and is like nothing else on the wire, so that any value that
strays from one question to another is seen.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from pathlib import Path

from panelctl.config.build import build_link
from panelctl.config.load import read_panel
from panelctl.core.state.image import Image
from panelctl.field.lane import Lane
from panelctl.field.links import open_link
from panelctl.field.timing import TimerfdClock
from panelctl.modbus.busplan import plan_bus
from panelctl.model.metering import Quality
from panelctl.model.panel import Panel
from panelctl.model.slots import image_slots
from panelctl.sim.build import build_devices
from panelctl.sim.gateway import Gateway
from panelctl.sim.live import LiveSegment
from panelctl.sim.plant import Plant
from panelctl.sim.server import Fault
from panelctl.sim.wires import SimWire, start_wire, wire_of
from panelctl.units import NS_PER_MS

DEMO = Path("panelctl/sim/demo.toml")
CYCLE_NS = 100 * NS_PER_MS
VICTIM, OTHER = "compute_meter", "mains"
ERROR = 0.004  # a meter's noise, twice


class BusRig:
    """The wire, its devices, and the lane that reads them.

    `kind` is the wire's (a Link's), `line` one of the demo's two lines, and `edit` changes its
    panel before anything is built.
    """

    def __init__(
        self, kind: str = "rtu", line: str = "line1", edit: Callable[[Panel], Panel] | None = None
    ) -> None:
        self.clock = TimerfdClock()
        panel = read_panel(DEMO)
        if edit is not None:
            panel = edit(panel)
        number = next(n for n, link in enumerate(panel.links) if link.name == line)
        link = panel.links[number]
        if kind != "rtu":
            query = f"?baud={link.baud}" if kind.startswith("rtu") else ""
            link = build_link(link.name, f"{kind}://127.0.0.1:502{query}")
        self.panel = dataclasses.replace(
            panel, links=(*panel.links[:number], link, *panel.links[number + 1 :])
        )
        self.plant = plant = Plant.of(self.panel)
        for n, circuit in enumerate(plant.circuits.values()):
            circuit.demand_w = 100.0 + 41.0 * n  # each like no other
        node = plant.circuits["compute"].node
        assert node is not None
        node.draw_w, node.budget_w, node.lease_s, node.floor_w = 2_640.0, 2_640.0, 1e9, 2_640.0
        plant.step(0.01)
        devices = build_devices(self.panel, plant, 1)
        units = {d.device.unit: d for d in devices.values() if d.device.link == link.name}
        self.unit = {d.device.name: unit for unit, d in units.items()}
        self.now_s = 0.0
        self.wire: SimWire = wire_of(link, units, self.clock, self._time_s)
        self.image = Image([slot.name for slot in image_slots(self.panel)])
        self.plan = plan_bus(self.panel)[number]
        self.places: dict[str, list[int]] = {}
        for read in (*self.plan.fast, *self.plan.slow):
            self.places.setdefault(read.device.name, []).extend(n for n, _ in read.slots)
        self.counters = [n for read in self.plan.counters for n, _ in read.slots]
        self.truth: dict[int, int] = {}
        self.wrong: list[tuple[str, int, int]] = []
        self.judged = 0
        self.gaps_ns: dict[str, int] = dict.fromkeys(self.places, 0)

    def _time_s(self) -> float:
        self.now_s += 1.0  # every read shows new noise
        return self.now_s

    async def start(self) -> None:
        """Open the wire and start the lane."""
        await start_wire(self.wire)
        self.link = open_link(build_link(self.wire.link.name, self.wire.url), self.clock)
        self.lane = Lane(self.plan, self.link, self.image, self.clock)
        self._task = asyncio.create_task(self.lane.run())
        for device in self.places:
            await self.until_good(device, 0)
        # What is read while nothing is wrong is what is true: it stands still.
        while any(self.image.next_quality[n] != Quality.GOOD for n in self.counters):
            await self.cycle()
        every = [n for ns in (*self.places.values(), self.counters) for n in ns]
        self.truth = {n: self.image.next_value[n] for n in every}
        self.gaps_ns = dict.fromkeys(self.places, 0)

    async def stop(self) -> None:
        """Close everything."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self.link.close()
        self.wire.stop()
        self.clock.close()
        await asyncio.sleep(0)

    @property
    def host(self) -> Gateway:
        """The wire's other end, where it is a gateway."""
        assert isinstance(self.wire, Gateway)
        return self.wire

    @property
    def segment(self) -> LiveSegment:
        """The wire itself, where it is a line."""
        assert isinstance(self.wire, LiveSegment)
        return self.wire

    def strike(self, device: str, fault: Fault) -> None:
        """Put a fault on a meter's replies."""
        self.wire.faults[self.unit[device]].append(fault)

    def heal(self) -> None:
        """Take every fault away."""
        for faults in self.wire.faults.values():
            faults.clear()

    async def cycle(self) -> None:
        """One cycle; what it brought is judged."""
        tick_ns = self.clock.now_ns() + self.plan.period_ns
        self.lane.begin(tick_ns)
        await self.clock.sleep_until(tick_ns)
        self._judge()

    async def run(self, seconds: float) -> None:
        """Cycles for so long."""
        for _ in range(round(seconds * 1e9 / self.plan.period_ns)):
            await self.cycle()

    def good(self, device: str, since_ns: int) -> bool:
        """Whether every reading of a meter is good and newer than `since_ns`."""
        return all(
            self.image.next_quality[n] == Quality.GOOD and self.image.next_sampled_ns[n] > since_ns
            for n in self.places[device]
        )

    async def until_good(self, device: str, since_ns: int) -> int:
        """Run until a meter is good again; how long that took, in ns. At most 5 s."""
        begin_ns = self.clock.now_ns()
        while not self.good(device, since_ns):
            in_time(self.clock.now_ns() - begin_ns, MOST_NS)
            await self.cycle()
        return self.clock.now_ns() - begin_ns

    def _judge(self) -> None:
        now_ns = self.clock.now_ns()
        for n, truth in self.truth.items():
            if self.image.next_quality[n] != Quality.GOOD:
                continue
            value = self.image.next_value[n]
            self.judged += 1
            if abs(value - truth) > ERROR * abs(truth) + 1:
                self.wrong.append((self.image.names[n], truth, value))
        for device, places in self.places.items():
            sampled_ns = max(self.image.next_sampled_ns[n] for n in places)
            self.gaps_ns[device] = max(self.gaps_ns[device], now_ns - sampled_ns)


class TooSlow(AssertionError):
    """Something took too long; on a busy machine that may be the machine's."""


def in_time(took: float, most: float) -> None:
    """Raise TooSlow if it took `most`, or longer."""
    if took >= most:
        raise TooSlow(f"{took:g}, and at most {most:g}")


def kept_up(done: float, least: float) -> None:
    """Raise TooSlow if less than that was done in the time."""
    if done < least:
        raise TooSlow(f"{done:g}, and at least {least:g}")


TRIES = 4
MOST_NS = 5_000_000_000  # a meter that is not back after so long does not come back
BEAT_S = 0.01
BUSY_S = 0.02  # a machine that lets us wait so long is a busy one


def on_rig(
    kind: str,
    body: Callable[[BusRig], Awaitable[None]],
    line: str = "line1",
    edit: Callable[[Panel], Panel] | None = None,
) -> None:
    """Run `body` on a rig whose meters have all been read.

    What is TooSlow while the machine kept us waiting is tried again, and nothing else.
    """
    late_s = [0.0]

    async def run() -> None:
        rig = BusRig(kind, line, edit)
        await rig.start()
        late_s[0] = 0.0
        watching = asyncio.create_task(watch_lateness(late_s))
        try:
            await body(rig)
        except TooSlow:
            assert rig.wrong == [], "whatever the machine does"
            raise
        finally:
            watching.cancel()
            await rig.stop()

    for tried in range(TRIES):
        try:
            return asyncio.run(run())
        except TooSlow:
            if late_s[0] < BUSY_S or tried == TRIES - 1:
                raise


async def watch_lateness(late_s: list[float]) -> None:
    """How late we were woken at most."""
    loop = asyncio.get_running_loop()
    while True:
        due_s = loop.time() + BEAT_S
        await asyncio.sleep(BEAT_S)
        late_s[0] = max(late_s[0], loop.time() - due_s)
