"""The real links against simulated ones, over real ptys and sockets: silence, faults, recovery."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from panelctl.config.build import build_link
from panelctl.config.load import read_panel
from panelctl.core.state.image import Image
from panelctl.errors import DeviceRefused, FieldError, LinkDown, ReplyTimeout
from panelctl.field.bus import BusLink, Turn, TurnQueue
from panelctl.field.frames import Question, read_question, write_coil_question
from panelctl.field.lane import Lane
from panelctl.field.rtu import RtuLink
from panelctl.field.tcp import TcpLink
from panelctl.field.timing import TimerfdClock
from panelctl.modbus.busplan import plan_bus
from panelctl.model.metering import Quality
from panelctl.sim.build import build_devices
from panelctl.sim.line import SimLine
from panelctl.sim.plant import Plant
from panelctl.sim.server import Fault
from panelctl.sim.tcp import SimHost
from panelctl.units import NS_PER_MS, NS_PER_S

DEMO = Path("panelctl/sim/demo.toml")
MAINS = read_question(1, "input", 12, 10)
WHO = read_question(1, "holding", 0, 2)  # of the node


class LineRig:
    """The demo's line 1 and node host, simulated, with the real links on them."""

    def __init__(self) -> None:
        self.clock = TimerfdClock()
        self.panel = read_panel(DEMO)
        self.plant = Plant.of(self.panel)
        self.plant.circuits["range"].demand_w = 4800.0
        self.plant.step(0.01)
        devices = build_devices(self.panel, self.plant, 1)
        mine = {d.device.unit: d for d in devices.values() if d.device.link == "line1"}
        self.line = SimLine(self.panel.links[0], mine, self.clock, lambda: 1.0)
        self.line.start()
        node = {d.device.unit: d for d in devices.values() if d.device.link == "node"}
        self.host = SimHost(self.panel.links[3], node, self.clock, lambda: 1.0)
        self.rtu = RtuLink(build_link("line1", self.line.url), self.clock)
        self.tcp: TcpLink | None = None

    async def start_tcp(self) -> TcpLink:
        await self.host.start()
        self.tcp = TcpLink(build_link("node", self.host.url), self.clock)
        return self.tcp

    async def close(self) -> None:
        await self.rtu.close()
        if self.tcp is not None:
            await self.tcp.close()
            self.host.stop()
        self.line.stop()
        self.clock.close()
        await asyncio.sleep(0)


def on_bench(body: Callable[[LineRig], Awaitable[None]]) -> None:
    async def run() -> None:
        rig = LineRig()
        try:
            await body(rig)
        finally:
            await rig.close()

    asyncio.run(run())


def test_values_and_silence() -> None:
    async def body(rig: LineRig) -> None:
        for _ in range(60):
            answer = await rig.rtu.ask(MAINS, 500, Turn.FAST)
            assert abs(answer.values[0] - 20_000) < 100, "20 A, low word first"
        assert rig.line.requests == 60
        assert rig.line.violations == 0
        assert rig.line.collisions == 0

    on_bench(body)


@pytest.mark.parametrize("kind", ["dead", "short", "garbled", "foreign"])
def test_a_spoilt_reply_is_a_timeout_and_the_next_one_is_right(kind: str) -> None:
    async def body(rig: LineRig) -> None:
        rig.line.faults[1].append(Fault(kind, 1))
        with pytest.raises(ReplyTimeout):
            await rig.rtu.ask(MAINS, 40, Turn.FAST)
        answer = await rig.rtu.ask(MAINS, 500, Turn.FAST)
        assert abs(answer.values[0] - 20_000) < 100

    on_bench(body)


def test_a_duplicate_is_thrown_away_before_the_next_question() -> None:
    async def body(rig: LineRig) -> None:
        rig.line.faults[1].append(Fault("duplicate", 1))
        await rig.rtu.ask(MAINS, 500, Turn.FAST)
        other = read_question(2, "input", 12, 10)
        answer = await rig.rtu.ask(other, 500, Turn.FAST)
        assert answer.values[0] < 100, "the compute meter, not the mains again"
        assert rig.rtu.counts.stray_bytes > 0

    on_bench(body)


def test_a_late_reply_never_answers_another_length() -> None:
    async def body(rig: LineRig) -> None:
        rig.line.faults[1].append(Fault("late", 1, 60.0))
        with pytest.raises(ReplyTimeout):
            await rig.rtu.ask(MAINS, 30, Turn.FAST)
        answer = await rig.rtu.ask(read_question(1, "input", 20, 2), 500, Turn.FAST)
        assert abs(answer.values[0] - 24_000) < 200, "2400 W in tenths, not the late amps"

    on_bench(body)


def test_refusals() -> None:
    async def body(rig: LineRig) -> None:
        with pytest.raises(DeviceRefused) as caught:
            await rig.rtu.ask(read_question(1, "input", 9000, 2), 500, Turn.FAST)
        assert caught.value.code == 2
        with pytest.raises(DeviceRefused):
            await rig.rtu.ask(write_coil_question(1, 0, True), 500, Turn.WRITE)

    on_bench(body)


def test_a_cut_cable_is_noticed_and_reopened() -> None:
    async def body(rig: LineRig) -> None:
        await rig.rtu.ask(MAINS, 500, Turn.FAST)
        rig.line.stop()
        with pytest.raises((LinkDown, ReplyTimeout)):
            await rig.rtu.ask(MAINS, 50, Turn.FAST)
        with pytest.raises(LinkDown):
            await rig.rtu.ask(MAINS, 50, Turn.FAST)
        units = rig.line.units
        rig.line = SimLine(rig.panel.links[0], units, rig.clock, lambda: 1.0)
        rig.line.start()
        rig.rtu.link = build_link("line1", rig.line.url)
        begin = rig.clock.now_ns()
        await until_answered(rig, rig.rtu, MAINS)
        assert rig.clock.now_ns() - begin < NS_PER_S

    on_bench(body)


def test_tcp_matches_by_transaction() -> None:
    async def body(rig: LineRig) -> None:
        tcp = await rig.start_tcp()
        assert (await tcp.ask(WHO, 500, Turn.FAST)).values == [0x504E, 1]
        rig.host.faults[1].append(Fault("late", 1, 60.0))
        with pytest.raises(ReplyTimeout):
            await tcp.ask(WHO, 30, Turn.FAST)
        floor = await tcp.ask(read_question(1, "holding", 8, 2), 500, Turn.FAST)
        assert abs(floor.values[1] - 1200) < 5
        await rig.clock.sleep_until(rig.clock.now_ns() + 60 * NS_PER_MS)
        assert tcp.counts.stray_bytes > 0, "the late reply came and was dropped"
        rig.host.faults[1].append(Fault("duplicate", 1))
        for _ in range(3):
            assert (await tcp.ask(WHO, 500, Turn.FAST)).values == [0x504E, 1]

    on_bench(body)


def test_tcp_comes_back_after_a_reset_and_after_silence() -> None:
    async def body(rig: LineRig) -> None:
        tcp = await rig.start_tcp()
        await tcp.ask(WHO, 500, Turn.FAST)
        rig.host.stop()
        with pytest.raises(FieldError):
            await tcp.ask(WHO, 100, Turn.FAST)
        await rig.host.start()
        begin = rig.clock.now_ns()
        await until_answered(rig, tcp, WHO)
        assert rig.clock.now_ns() - begin < NS_PER_S
        before = tcp.counts.reopened
        rig.host.faults[1].append(Fault("dead", 3))
        for _ in range(3):
            with pytest.raises(ReplyTimeout):
                await tcp.ask(WHO, 20, Turn.FAST)
        with pytest.raises(LinkDown):
            await tcp.ask(WHO, 20, Turn.FAST)
        await rig.clock.sleep_until(rig.clock.now_ns() + 200 * NS_PER_MS)
        await tcp.ask(WHO, 500, Turn.FAST)
        assert tcp.counts.reopened == before + 1

    on_bench(body)


def test_reconnecting_leaves_nothing_behind() -> None:
    """Thirty lost connections and thirty lost ports: as many descriptors and tasks as before."""

    async def lose_tcp(rig: LineRig, tcp: TcpLink) -> None:
        rig.host.stop()
        with pytest.raises(FieldError):
            await tcp.ask(WHO, 100, Turn.FAST)
        await rig.host.start()
        await until_answered(rig, tcp, WHO)

    async def lose_port(rig: LineRig) -> None:
        rig.line.stop()
        with pytest.raises(FieldError):
            await rig.rtu.ask(MAINS, 50, Turn.FAST)
        rig.line = SimLine(rig.panel.links[0], rig.line.units, rig.clock, lambda: 1.0)
        rig.line.start()
        rig.rtu.link = build_link("line1", rig.line.url)
        await until_answered(rig, rig.rtu, MAINS)

    async def body(rig: LineRig) -> None:
        tcp = await rig.start_tcp()
        sizes = []
        for _ in range(31):
            await lose_tcp(rig, tcp)
            await lose_port(rig)
            sizes.append((len(os.listdir("/proc/self/fd")), len(asyncio.all_tasks())))
        assert max(sizes[1:]) <= sizes[0]

    on_bench(body)


def test_a_connection_made_anew_is_not_taken_to_be_in_step() -> None:
    """Another gateway may answer there, or the same one with what it kept for us."""

    async def body(rig: LineRig) -> None:
        tcp = await rig.start_tcp()
        order = tcp._order
        order.came_into_step()
        quick_ns = order.hushed_ns - order.quiet_ns
        rig.host.stop()
        with pytest.raises(FieldError):
            await tcp.ask(WHO, 100, Turn.FAST)
        order.came_into_step()
        await rig.host.start()
        await until_answered(rig, tcp, WHO)
        assert order.hushed_ns - order.quiet_ns > quick_ns

    on_bench(body)


async def until_answered(rig: LineRig, link: BusLink, question: Question) -> None:
    """Ask until an answer comes; at most 5 s."""
    begin_ns = rig.clock.now_ns()
    while True:
        try:
            await link.ask(question, 500, Turn.FAST)
            return
        except FieldError:
            assert rig.clock.now_ns() - begin_ns < 5 * NS_PER_S
            await rig.clock.sleep_until(rig.clock.now_ns() + 5 * NS_PER_MS)


def test_writes_go_first() -> None:
    async def run() -> None:
        turns = TurnQueue()
        order: list[Turn] = []

        async def one(turn: Turn) -> None:
            await turns.enter(turn)
            order.append(turn)
            await asyncio.sleep(0)
            turns.leave()

        await turns.enter(Turn.SLOW)
        tasks = [asyncio.create_task(one(t)) for t in (Turn.SLOW, Turn.FAST, Turn.WRITE)]
        await asyncio.sleep(0)
        turns.leave()
        await asyncio.gather(*tasks)
        assert order == [Turn.WRITE, Turn.FAST, Turn.SLOW]

    asyncio.run(run())


def test_after_a_lost_reply_another_shape_is_asked() -> None:
    async def body(rig: LineRig) -> None:
        plan = plan_bus(rig.panel)[0]
        from panelctl.model.slots import image_slots

        image = Image([slot.name for slot in image_slots(rig.panel)])
        lane = Lane(plan, rig.rtu, image, rig.clock)
        task = asyncio.create_task(lane.run())
        slot = image.slot["main.a_ma"]

        async def cycle() -> None:
            lane.begin(rig.clock.now_ns() + 90 * NS_PER_MS)
            await lane.fast_done.wait()

        await cycle()
        assert abs(image.next_value[slot] - 20_000) < 100
        first = image.next_sampled_ns[slot]
        rig.line.faults[1].append(Fault("dead", 1))
        await cycle()
        unit = lane.units["mains"]
        assert unit.timeouts == 1
        assert unit.rest_ns > rig.clock.now_ns(), "it may still be at the lost question"
        requests = rig.line.requests
        assert image.next_sampled_ns[slot] == first, "nothing was invented meanwhile"
        await rig.clock.sleep_until(unit.rest_ns)
        await cycle()
        assert lane.units["compute_meter"].good >= 2, "the other unit goes on"
        assert rig.line.requests > requests
        assert image.next_sampled_ns[slot] > first
        assert image.next_quality[slot] == Quality.GOOD
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    on_bench(body)


def test_a_device_slower_than_a_cycle_never_blocks_the_lane() -> None:
    async def body(rig: LineRig) -> None:
        from panelctl.model.slots import image_slots

        plan = plan_bus(rig.panel)[0]
        image = Image([slot.name for slot in image_slots(rig.panel)])
        lane = Lane(plan, rig.rtu, image, rig.clock)
        for unit in lane.units.values():
            object.__setattr__(unit.device, "timeout_ms", 150)  # longer than the whole cycle
        rig.line.faults[1].append(Fault("dead", 2))
        task = asyncio.create_task(lane.run())
        end_ns = rig.clock.now_ns() + 3 * NS_PER_S
        slot = image.slot["main.a_mv"]
        while image.next_quality[slot] != Quality.GOOD and rig.clock.now_ns() < end_ns:
            tick_ns = rig.clock.now_ns() + 100 * NS_PER_MS
            lane.begin(tick_ns)
            await rig.clock.sleep_until(tick_ns)
        assert image.next_quality[slot] == Quality.GOOD
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    on_bench(body)
