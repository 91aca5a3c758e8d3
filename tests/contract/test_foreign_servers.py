"""panelctl's links against servers that nobody here wrote, on real sockets and ptys: pymodbus's,
modbus-tk's and umodbus's, and where node is modbus-serial's and jsmodbus's.

Each shows three units in which no two points show the same. What is read is right, everybody is
read, whatever a server makes of several questions at once, and after it was killed and started
anew.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json
import os
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from panelctl.config.build import build_link
from panelctl.config.load import read_panel
from panelctl.core.state.image import Image
from panelctl.field.lane import Lane
from panelctl.field.links import open_link
from panelctl.field.timing import TimerfdClock
from panelctl.modbus.busplan import LinkPlan, plan_bus
from panelctl.modbus.codec import INNER
from panelctl.modbus.maps import load_map
from panelctl.model.metering import Quality
from panelctl.model.panel import Panel
from panelctl.model.slots import image_slots
from panelctl.sim.server import Fault
from panelctl.units import NS_PER_S
from tests.bus.rig import OTHER, VICTIM, BusRig, on_rig
from tests.contract.foreign.values import UNITS, registers, text, value

DEMO = Path("panelctl/sim/demo.toml")
NODE = Path("build/foreign/node_modules")
SCRIPT = Path(__file__).with_name("foreign") / "serve.js"
DEVICES = {"mains": 1, "compute_meter": 2, "branch1": 3}
FRESH_S = 1.5
START_S = 20.0  # a server takes less to say where it is
FEWEST = 20  # times that what is read in every cycle was read, in thirty cycles

# Who answers in which order when three questions arrive in one segment: not all of them in turn.
SEGMENT = {
    "pymodbus": [1],  # the first; it throws the rest away
    "modbus_tk": [1, 2, 3],
    "umodbus": [1, 2, 3],
    "modbus-serial": [1, 2, 3],
    "jsmodbus": [3, 2, 1],  # the last one first
}
# What else they do: pymodbus, modbus_tk, umodbus and modbus-serial refuse a read over a register
# that is not there, jsmodbus says 0; modbus_tk is silent for a unit that is not there, pymodbus
# (code 4) and umodbus (code 2) refuse it, the other two answer for whoever is asked.
LINES = ("pymodbus_rtu", "modbus_tk_rtu")
ON_NODE = ("modbus-serial", "jsmodbus")
SERVE = (sys.executable, "-m", "tests.contract.foreign.serve")


@dataclasses.dataclass
class Server:
    """A program that is running. `where` it is: its port, or the path of its line."""

    process: subprocess.Popen[str]
    where: str
    url: str


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The registers as a file, for the packages of the npm registry (`make foreign`)."""
    every = {u: [[t, a, w] for (t, a), w in registers(u).items()] for u in UNITS}
    file = tmp_path_factory.mktemp("foreign") / "words.json"
    file.write_text(json.dumps(every))
    return file


@contextmanager
def served(name: str, words: Path, port: str = "0") -> Iterator[Server]:
    """A server, on this port or any."""
    if name in ON_NODE and not (NODE.is_dir() and shutil.which("node")):
        pytest.skip(f"{name} needs node, and `make foreign` to fetch it")
    node = ("node", str(SCRIPT), name, str(words), port)
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(
            node if name in ON_NODE else (*SERVE, name, port),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            env={**os.environ, "NODE_PATH": str(NODE.resolve())},
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            heard, _, _ = select.select([process.stdout], [], [], START_S)
            where = process.stdout.readline().strip() if heard else ""
            if not where:
                said.seek(0)
                raise AssertionError(f"{name} did not start: {said.read()[-2000:]}")
            line = f"rtu://{where}?baud=115200"
            yield Server(process, where, line if name in LINES else f"tcp://127.0.0.1:{where}")
        finally:
            process.stdin.close()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()


def one_link(url: str) -> tuple[Panel, LinkPlan]:
    """The demo's mains, compute meter and first branch meter on one link."""
    panel = read_panel(DEMO)
    link = build_link("line1", url)
    devices = tuple(
        dataclasses.replace(d, link="line1", unit=DEVICES[d.name], timeout_ms=300)
        if d.name in DEVICES
        else dataclasses.replace(d, link="line2" if d.link == "line1" else d.link)
        for d in panel.devices
    )
    links = tuple(link if old.name == "line1" else old for old in panel.links)
    panel = dataclasses.replace(panel, links=links, devices=devices)
    return panel, next(plan for plan in plan_bus(panel) if plan.link.name == "line1")


class Reading:
    """A lane on a server's link, and what every slot must show."""

    def __init__(self, url: str) -> None:
        self.clock = TimerfdClock()
        panel, plan = one_link(url)
        self.image = Image([slot.name for slot in image_slots(panel)])
        self.link = open_link(plan.link, self.clock)
        self.lane = Lane(plan, self.link, self.image, self.clock)
        self.truth: dict[int, int] = {}
        self.places: dict[str, list[int]] = {name: [] for name in DEVICES}
        for read in (*plan.fast, *plan.slow, *plan.counters):
            for n, slot in read.slots:
                scale = INNER[read.map.points[slot.source.point].unit, slot.unit]
                self.truth[n] = round(value(read.device.unit, read.map, slot.source.point) * scale)
                if read not in plan.counters:  # their turn comes once in several sweeps
                    self.places[read.device.name].append(n)
        self.judged_ns = dict.fromkeys(self.truth, 0)
        self.judged = 0
        self.widest = 1  # questions at once
        self.fast = sum(len(read.slots) for read in plan.fast)
        self.wrong: list[tuple[str, int, int]] = []

    async def until(self, done: Callable[[], bool], most_s: float) -> None:
        """Cycles at 10 Hz until that is so; every new reading is judged."""
        end_ns = self.clock.now_ns() + round(most_s * NS_PER_S)
        while not done():
            assert self.clock.now_ns() < end_ns, self.words()
            tick_ns = self.clock.now_ns() + NS_PER_S // 10
            self.lane.begin(tick_ns)
            await self.clock.sleep_until(tick_ns)
            self._judge()

    async def run(self, seconds: float) -> None:
        """Cycles for so long."""
        end_ns = self.clock.now_ns() + round(seconds * NS_PER_S)
        await self.until(lambda: self.clock.now_ns() >= end_ns, seconds + 20)

    def _judge(self) -> None:
        image = self.image
        self.widest = max(self.widest, self.link.counts.width)
        for n, truth in self.truth.items():
            if image.next_sampled_ns[n] == self.judged_ns[n]:
                continue
            self.judged_ns[n] = image.next_sampled_ns[n]
            self.judged += 1
            shown = image.next_value[n]
            # What is right is plausible too: a mark against it is as wrong as another value.
            if image.next_quality[n] != Quality.GOOD or abs(shown - truth) > 1:
                self.wrong.append((image.names[n], truth, shown))

    def since(self, at_ns: int) -> bool:
        """Whether everything was read since then."""
        return all(self.image.next_sampled_ns[n] > at_ns for ns in self.places.values() for n in ns)

    def words(self) -> str:
        """How it stands, for whoever reads that a test failed."""
        now_ns, stamps = self.clock.now_ns(), self.image.next_sampled_ns
        ages = {
            name: max((now_ns - stamps[n]) / NS_PER_S for n in places)
            for name, places in self.places.items()
        }
        errors = {name: unit.error for name, unit in self.lane.units.items()}
        return f"oldest, s: {ages}; {errors}; {self.link.counts}"

    def check(self) -> None:
        """Nothing wrong, and everybody read lately."""
        assert self.wrong == []
        assert self.judged > FEWEST * self.fast, self.words()
        assert self.since(self.clock.now_ns() - round(FRESH_S * NS_PER_S)), self.words()


@asynccontextmanager
async def reading(url: str) -> AsyncIterator[Reading]:
    """A lane that reads this server."""
    mine = Reading(url)
    task = asyncio.create_task(mine.lane.run())
    try:
        yield mine
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await mine.link.close()
        mine.clock.close()
        await asyncio.sleep(0)


def test_no_two_points_show_the_same() -> None:
    shown: dict[str, list[object]] = {}
    for unit, map_id in UNITS.items():
        known = load_map(map_id)
        for name, point in known.points.items():
            what = text(unit, 2) if point.type == "text" else value(unit, known, name)
            shown.setdefault("text" if point.type == "text" else point.unit, []).append(what)
    for values in shown.values():
        assert len(set(values)) == len(values)


@pytest.mark.parametrize("query", ["", "?inflight=1"], ids=["as_it_comes", "one_at_a_time"])
@pytest.mark.parametrize("name", SEGMENT)
def test_a_foreign_server_is_read_rightly(name: str, query: str, words: Path) -> None:
    async def main(url: str) -> None:
        async with reading(url) as mine:
            await mine.run(3.0)
            mine.check()
            assert (mine.widest > 1) is not bool(query)

    with served(name, words) as server:
        asyncio.run(main(server.url + query))


@pytest.mark.parametrize("name", LINES)
def test_a_foreign_server_on_a_line_is_read_rightly(name: str, words: Path) -> None:
    async def main(url: str) -> None:
        async with reading(url) as mine:
            await mine.run(3.0)
            mine.check()

    with served(name, words) as server:
        asyncio.run(main(server.url))


@pytest.mark.parametrize("name", SEGMENT)
def test_a_server_that_was_killed_and_starts_anew_is_read_again(name: str, words: Path) -> None:
    async def main(stack: ExitStack, old: Server) -> None:
        async with reading(old.url) as mine:
            await mine.until(lambda: mine.since(0), 20.0)
            old.process.kill()
            await mine.until(lambda: not mine.link.counts.up, 20.0)
            again = asyncio.to_thread(stack.enter_context, served(name, words, old.where))
            starting = asyncio.create_task(again)
            await mine.until(starting.done, 30.0)
            assert starting.result().where == old.where
            begin_ns = mine.clock.now_ns()
            await mine.until(lambda: mine.since(begin_ns), 20.0)
            assert mine.wrong == []

    with ExitStack() as stack:
        old = stack.enter_context(served(name, words))
        asyncio.run(main(stack, old))


@pytest.mark.parametrize("unit", [1, 3])
@pytest.mark.parametrize("name", [*SEGMENT, *LINES])
def test_read_says_what_a_foreign_server_holds(name: str, unit: int, words: Path) -> None:
    known = load_map(UNITS[unit])
    with served(name, words) as server:
        verb = [sys.executable, "-m", "panelctl", "read", server.url, "--json"]
        options = ["--map", known.id, "--unit", str(unit)]
        done = subprocess.run([*verb, *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["missing"] == []
    assert told["values"].keys() == known.points.keys()
    for name_of, shown in told["values"].items():
        point = known.points[name_of]
        if point.type == "text":
            assert shown == text(unit, 2 * point.count)
        else:
            near = float(point.scale) / 2 + 1e-9
            assert shown == pytest.approx(float(value(unit, known, name_of)), abs=near), name_of


@pytest.mark.parametrize("name", SEGMENT)
def test_what_a_server_makes_of_three_questions_in_one_segment(name: str, words: Path) -> None:
    def frame(unit: int, address: int) -> bytes:
        return struct.pack(">HHHBBHH", unit, 0, 6, unit & 3, 4, address, 2)

    asked = [(1, 0), (2, 0), (3, 4864)]
    last = 5  # its number; unit 1's: what comes after it will not come
    with (
        served(name, words) as server,
        socket.create_connection(("127.0.0.1", int(server.where)), timeout=5) as wire,
        wire.makefile("rb") as replies,
    ):
        wire.sendall(b"".join(itertools.starmap(frame, asked)))
        numbers: list[int] = []
        while last not in numbers:
            number, length = struct.unpack(">HxxH", replies.read(6))
            replies.read(length)
            if not numbers:
                wire.sendall(frame(last, 0))
            numbers.append(number)
    assert numbers == [*SEGMENT[name], last]


def patient(panel: Panel) -> Panel:
    """Every device's replies may come a second late, as most maps say."""
    devices = tuple(dataclasses.replace(device, late_ms=1_000) for device in panel.devices)
    return dataclasses.replace(panel, devices=devices)


# Found with pymodbus's server, which throws the second question of a segment away: where that was
# for a serial number, the mains were not read for a second.
@pytest.mark.parametrize("kind", ["rtu", "tcp"])
def test_a_serial_number_that_was_lost_keeps_nobody_else_waiting(kind: str) -> None:
    serial_at = load_map(UNITS[1]).points["serial_number"].address

    async def body(rig: BusRig) -> None:
        fault = Fault("dead", 1, at=serial_at)
        rig.strike(VICTIM, fault)
        while not fault.struck:  # its turn comes within some sweeps
            await rig.cycle()
        await rig.run(1.5)
        assert rig.wrong == []
        assert rig.gaps_ns[OTHER] < 0.5 * NS_PER_S

    on_rig(kind, body, edit=patient)
