"""panelctl's links against servers that nobody here wrote, on real sockets and ptys: pymodbus's,
modbus-tk's and umodbus's, and where node is there modbus-serial's and jsmodbus's.

Each shows three units in which no two points hold the same. What is read is right, everybody is
read, also of a server that answers one question at a time, and after it was started anew.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from panelctl.config.build import build_link
from panelctl.config.load import read_panel
from panelctl.core.image import Image
from panelctl.field.lane import Lane
from panelctl.field.links import open_link
from panelctl.field.timing import TimerfdClock
from panelctl.modbus.busplan import LinkPlan, plan_bus
from panelctl.modbus.codec import INNER
from panelctl.modbus.maps import load_map
from panelctl.model.metering import Quality
from panelctl.model.panel import Panel
from panelctl.model.slots import image_slots
from tests.contract.foreign.values import UNITS, value

DEMO = Path("panelctl/sim/demo.toml")
NODE = Path("build/foreign")
IN_NODE = ("modbus-serial", "jsmodbus")
SCRIPT = Path(__file__).with_name("foreign") / "serve.js"
NAMES = {"mains": 1, "compute_meter": 2, "branch1": 3}
S = 1_000_000_000
TCP = ("pymodbus", "modbus_tk", "umodbus", "modbus-serial")


def command(name: str, port: int, words: Path | None) -> list[str]:
    """What starts a server."""
    if name in IN_NODE:
        return ["node", str(SCRIPT.resolve()), name, str(words), str(port)]
    return [sys.executable, "-m", "tests.contract.foreign.serve", name, str(port)]


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The registers as a file, for the packages of the npm registry (`make foreign`)."""
    verb = [sys.executable, "-m", "tests.contract.foreign.serve", "words"]
    printed = subprocess.run(verb, capture_output=True, text=True, check=True).stdout
    file = tmp_path_factory.mktemp("foreign") / "words.json"
    file.write_text(printed)
    return file


@contextmanager
def served(name: str, port: int = 0, words: Path | None = None) -> Iterator[str]:
    """A server; its port, or its line's path."""
    modules = (NODE / "node_modules").resolve()
    if name in IN_NODE and not (modules.is_dir() and shutil.which("node")):
        pytest.skip("`make foreign` fetches it where there is node")
    with subprocess.Popen(
        command(name, port, words),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "NODE_PATH": str(modules)},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()


def one_link(url: str, only: tuple[str, ...] = tuple(NAMES)) -> tuple[Panel, LinkPlan]:
    """The demo's mains, compute meter and first branch meter on one link."""
    panel = read_panel(DEMO)
    link = build_link("line1", url)
    devices = tuple(
        dataclasses.replace(d, link="line1", unit=NAMES[d.name], timeout_ms=300)
        if d.name in only
        else dataclasses.replace(d, link="line2")
        for d in panel.devices
    )
    links = tuple(link if old.name == "line1" else old for old in panel.links)
    panel = dataclasses.replace(panel, links=links, devices=devices)
    return panel, next(plan for plan in plan_bus(panel) if plan.link.name == "line1")


class Reading:
    """A lane on a server's link, and what every slot must show."""

    def __init__(self, url: str, only: tuple[str, ...] = tuple(NAMES)) -> None:
        self.clock = TimerfdClock()
        panel, plan = one_link(url, only)
        slots = image_slots(panel)
        self.image = Image([slot.name for slot in slots])
        self.link = open_link(plan.link, self.clock)
        self.lane = Lane(plan, self.link, self.image, self.clock)
        self.truth: dict[int, int] = {}
        self.places: dict[str, list[int]] = {name: [] for name in only}
        for read in (*plan.fast, *plan.slow, *plan.counters):
            for n, slot in read.slots:
                known = read.map
                scale = INNER[known.points[slot.source.point].unit, slot.unit]
                shown = value(read.device.unit, known, slot.source.point) * scale
                self.truth[n] = round(shown)
                if read not in plan.counters:
                    self.places[read.device.name].append(n)
        self.wrong: list[tuple[str, int, int]] = []
        self.judged = 0

    async def run(self, seconds: float) -> None:
        """Cycles at 10 Hz; every good reading is judged."""
        task = asyncio.create_task(self.lane.run())
        for _ in range(round(seconds * 10)):
            tick_ns = self.clock.now_ns() + S // 10
            self.lane.begin(tick_ns)
            await self.clock.sleep_until(tick_ns)
            for n, truth in self.truth.items():
                if self.image.next_quality[n] == Quality.GOOD:
                    self.judged += 1
                    if abs(self.image.next_value[n] - truth) > 1:
                        self.wrong.append((self.image.names[n], truth, self.image.next_value[n]))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    def oldest_s(self) -> dict[str, float]:
        """How old each device's oldest reading is, s."""
        now_ns = self.clock.now_ns()
        stamps = self.image.next_sampled_ns
        return {
            name: max((now_ns - stamps[n]) / S for n in places)
            for name, places in self.places.items()
        }

    async def close(self) -> None:
        await self.link.close()
        self.clock.close()
        await asyncio.sleep(0)


def reading(url: str, body: Callable[[Reading], object], seconds: float, **more: object) -> None:
    """Read a server for so long, then judge."""

    async def main() -> None:
        mine = Reading(url, **more)  # type: ignore[arg-type]  # `only`
        try:
            await mine.run(seconds)
            body(mine)
        finally:
            await mine.close()

    asyncio.run(main())


def right(mine: Reading) -> None:
    """Nothing wrong, and everybody read."""
    assert mine.wrong == []
    assert mine.judged > 200
    for name, age_s in mine.oldest_s().items():
        assert age_s < 2.0, (name, mine.link.counts, mine.lane.units[name].error)


@pytest.mark.parametrize("inflight", [1, 4])
@pytest.mark.parametrize("name", TCP)
def test_a_foreign_server_is_read_rightly(name: str, inflight: int, words: Path) -> None:
    with served(name, words=words) as port:
        reading(f"tcp://127.0.0.1:{port}?inflight={inflight}", right, 4.0)


def test_a_server_with_one_set_of_registers_for_all_units(words: Path) -> None:
    """jsmodbus does not look at the unit: one device, and it is right."""
    with served("jsmodbus", words=words) as port:
        reading(f"tcp://127.0.0.1:{port}", right, 3.0, only=("mains",))


@pytest.mark.parametrize("name", ["pymodbus_rtu", "modbus_tk_rtu"])
def test_a_foreign_server_on_a_line_is_read_rightly(name: str) -> None:
    with served(name) as path:
        reading(f"rtu://{path}?baud=115200", right, 4.0)


@pytest.mark.parametrize("name", ["pymodbus", "modbus_tk"])
def test_a_server_that_starts_anew_is_read_again(name: str) -> None:
    async def main() -> None:
        with served(name) as port:
            mine = Reading(f"tcp://127.0.0.1:{port}")
            await mine.run(2.0)
        await mine.run(1.0)
        with served(name, int(port)):
            await mine.run(4.0)
            right(mine)
        await mine.close()

    asyncio.run(main())


@pytest.mark.parametrize("name", ["pymodbus", "umodbus"])
def test_read_says_what_a_foreign_server_holds(name: str) -> None:
    with served(name) as port:
        verb = [sys.executable, "-m", "panelctl", "read", f"tcp://127.0.0.1:{port}", "--json"]
        options = ["--map", UNITS[2], "--unit", "2"]
        done = subprocess.run([*verb, *options], capture_output=True, text=True)
    known = load_map(UNITS[2])
    for point, shown in json.loads(done.stdout)["values"].items():
        if known.points[point].type != "text":
            truth = float(value(2, known, point))
            scale = float(known.points[point].scale)
            assert shown == pytest.approx(truth, abs=scale), point
