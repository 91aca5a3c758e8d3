"""What the writers do when a reply is lost, and with a register that wears."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from panelctl.config.build import build_link
from panelctl.config.load import read_panel
from panelctl.core.engine import Engine
from panelctl.errors import DeviceRefused, ReplyTimeout
from panelctl.field.bus import Answer, BusLink, Turn
from panelctl.field.frames import Question, read_question
from panelctl.field.ledger import Ledger
from panelctl.field.outputs import RUN, Outputs
from panelctl.field.scan import Scanner
from panelctl.field.target import Wish
from panelctl.field.tcp import TcpLink
from panelctl.model.panel import Device, Panel
from panelctl.model.reason import Reason
from panelctl.model.relay import Claim
from panelctl.units import NS_PER_S
from tests.links import MadeUpLink

PANEL = read_panel(Path("panelctl/sim/demo.toml"))
CHARGER = "charger"


class HandClock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.ns = NS_PER_S
        self.boot = "1"

    def now_ns(self) -> int:
        return self.ns

    def wall_s(self) -> float:
        return 0.0

    async def sleep_until(self, at_ns: int) -> None:
        self.ns = max(self.ns, at_ns)

    async def sharp_until(self, at_ns: int) -> None:
        await self.sleep_until(at_ns)


class DeafLink(MadeUpLink):
    """A device that obeys every write; `deaf`: its replies are lost; or it answers `error`."""

    def __init__(self) -> None:
        super().__init__()
        self.error: DeviceRefused | None = None
        self.obeyed: list[bytes] = []

    def answer(self, question: Question, turn: Turn) -> Answer:
        assert question.writes
        self.obeyed.append(question.pdu)
        if self.error is not None:
            raise self.error
        if self.deaf:
            raise ReplyTimeout("no reply")
        return Answer([], 0, question, 0)


class WritersRig:
    """The writer of the demo's charger, called by hand."""

    def __init__(self, panel: Panel = PANEL) -> None:
        self.clock = HandClock()
        self.link = DeafLink()
        links: dict[str, BusLink] = {link.name: self.link for link in panel.links}
        scanner = Scanner([], {}, Engine(panel).image, self.clock)
        self.outputs = Outputs(panel, Engine(panel), links, scanner, self.clock, Ledger())
        self.target = self.outputs.targets[CHARGER]

    def wish(self, value_a: float) -> bool:
        """One round of the writer; whether something was written."""
        self.clock.ns += NS_PER_S
        before = len(self.link.obeyed)
        wish = Wish(value_a, RUN, 0)
        self.target.wish = self.outputs._affordable(self.target, wish, self.clock.ns)

        async def one() -> None:
            self.target.wake.set()
            task = asyncio.create_task(self.outputs._serve(self.target))
            for _ in range(5):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        asyncio.run(one())
        return len(self.link.obeyed) > before


def test_a_write_whose_reply_was_lost_is_taken_back_all_the_same() -> None:
    rig = WritersRig()
    assert rig.wish(10)
    assert not rig.wish(10), "unchanged values are not written"
    rig.link.deaf = True
    assert rig.wish(30)
    rig.link.deaf = False
    assert rig.wish(10), "the device may stand at 30 A"
    assert rig.link.obeyed[-1] == rig.link.obeyed[0]
    assert not rig.wish(10)


def test_a_board_does_not_keep_the_order_that_a_stuck_contact_did_not_follow() -> None:
    """It was told to close, stayed open, and is to stay open now."""
    rig = WritersRig()
    engine, outputs = rig.outputs._engine, rig.outputs
    image, i = engine.image, engine.index["dishwasher"]
    engine.state.closed[i] = 1
    board = outputs.relays.outputs[i].target

    def relays(now_ns: int, told: int) -> set[int]:
        for name, value in (("relay", 0), ("acked", told)):
            slot = image.slot[f"dishwasher.{name}"]
            image.value[slot], image.quality[slot], image.sampled_ns[slot] = value, 1, now_ns
        board.relays.clear()
        outputs.apply(now_ns)
        return set(board.relays)

    assert relays(NS_PER_S, told=0) == {i}
    engine.state.closed[i] = 0
    engine.state.claims[i] = int(Claim.FAULT)
    assert relays(20 * NS_PER_S, told=1) == {i}
    assert relays(20 * NS_PER_S + 100_000_000, told=1) == set(), "not in every cycle"
    assert relays(21 * NS_PER_S, told=1) == {i}, "it did not hear it"
    assert relays(40 * NS_PER_S, told=0) == set()


def test_an_order_that_is_refused_every_time_keeps_no_other_waiting() -> None:
    rig = WritersRig()
    outputs = rig.outputs
    board = outputs.targets["relays1"]
    mine = sorted(i for i, out in outputs.relays.outputs.items() if out.target is board)[:3]
    for i in mine:
        outputs._engine.state.closed[i] = 0
    board.relays |= set(mine)
    rig.link.deaf = True
    for _ in mine:
        with pytest.raises(ReplyTimeout):
            asyncio.run(outputs._write_relay(board))
    assert len(set(rig.link.obeyed)) == 3


@pytest.mark.parametrize("deaf", [False, True])
def test_a_register_that_wears_is_raised_within_its_budget_only(deaf: bool) -> None:
    devices = tuple(_worn(d) if d.name == CHARGER else d for d in PANEL.devices)
    rig = WritersRig(replace(PANEL, devices=devices))
    assert rig.wish(10)
    rig.link.deaf = deaf
    raises = sum(rig.wish(12 + n % 2) for n in range(200))
    assert raises <= 4, "an eighth of a day's, and no more for being lost"
    assert rig.wish(6), "what lowers is written in any case"
    assert not rig.wish(16)
    rig.clock.ns += 86_400 * NS_PER_S
    assert rig.wish(16)


def test_a_reply_that_was_read_late_is_no_newer_than_its_question() -> None:
    """Our own process stood still for four seconds while the reply lay there; or a gateway kept it
    for as long.
    """
    clock = HandClock()

    async def main() -> Answer:
        gone = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readexactly(12)
            clock.ns += 4 * NS_PER_S
            writer.write(head[:4] + bytes([0, 5, head[6], 3, 2, 0, 7]))
            await reader.read()
            writer.close()
            await writer.wait_closed()
            gone.set()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        link = TcpLink(build_link("one", f"tcp://127.0.0.1:{port}"), clock)
        answer = await link.ask(read_question(1, "holding", 0, 1), 2_000, Turn.FAST)
        await link.close()
        await gone.wait()
        server.close()
        return answer

    begin_ns = clock.ns
    answer = asyncio.run(main())
    assert answer.values == [7]
    assert answer.sampled_ns == begin_ns
    assert answer.took_ns == 2 * NS_PER_S


def _worn(device: Device) -> Device:
    return replace(device, writes_per_day=24)


def test_a_raise_that_has_to_wait_keeps_no_correction_waiting() -> None:
    """The budget is spent, and the device reads 32 A where 10 were written: told 10 again."""
    devices = tuple(_worn(d) if d.name == CHARGER else d for d in PANEL.devices)
    rig = WritersRig(replace(PANEL, devices=devices))
    assert rig.wish(10)
    told = rig.link.obeyed[-1]
    while rig.wish(12):
        assert rig.wish(10)
    watch = rig.target.watch
    assert watch is not None
    rig.clock.ns += 2 * NS_PER_S
    watch.read(32.0, rig.clock.ns, rig.clock.ns)
    assert rig.wish(16), "what it has is written again"
    assert rig.link.obeyed[-1] == told


def test_a_board_that_refuses_one_relay_does_the_others_at_once() -> None:
    rig = WritersRig()
    outputs = rig.outputs
    board = outputs.targets["relays1"]
    first, second = sorted(i for i, o in outputs.relays.outputs.items() if o.target is board)[:2]
    for i in (first, second):
        outputs._engine.state.closed[i] = 0
        outputs.orders.give(outputs.relays.outputs[i].key, "OPEN", 0)
    rig.link.error = DeviceRefused(4)
    board.relays |= {first, second}

    async def serve() -> None:
        board.wake.set()
        task = asyncio.create_task(outputs._serve(board))
        for _ in range(9):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(serve())
    assert len(rig.link.obeyed) == 2
    assert board.relays == set()
    image, slots = outputs._engine.image, outputs._engine.slots
    for i in (first, second):
        assert image.next_value[slots.circuit(outputs._engine.loads[i].id).refused] == -1


@pytest.mark.parametrize("code", [5, 6, 10, 11])
def test_a_board_that_is_busy_or_not_reached_does_not_refuse(code: int) -> None:
    rig = WritersRig()
    outputs = rig.outputs
    board = outputs.targets["relays1"]
    i = min(i for i, out in outputs.relays.outputs.items() if out.target is board)
    output = outputs.relays.outputs[i]
    outputs._engine.state.closed[i] = 0
    outputs.orders.give(output.key, "OPEN", 0)
    board.relays.add(i)
    rig.link.error = DeviceRefused(code)
    with pytest.raises(DeviceRefused):
        asyncio.run(outputs._write_relay(board))
    assert outputs.orders.refused(output.key) == 0
    assert outputs._engine.image.next_sampled_ns[output.refused] == 0


def test_an_order_whose_reply_was_lost_is_taken_back_when_it_is_wanted_no_more() -> None:
    """Its board may do it yet, when nobody wants it any more."""
    rig = WritersRig()
    engine, outputs = rig.outputs._engine, rig.outputs
    image, i = engine.image, engine.index["dishwasher"]
    output = outputs.relays.outputs[i]
    board = output.target

    def order(closed: int, now_ns: int) -> set[int]:
        engine.state.closed[i], engine.state.order_ns[i] = closed, now_ns
        for slot, value in ((output.read, 0), (output.acked, 0)):
            image.value[slot], image.quality[slot], image.sampled_ns[slot] = value, 1, now_ns
        outputs.relays.apply(now_ns)
        return set(board.relays)

    assert order(1, NS_PER_S) == {i}
    rig.link.deaf = True
    with pytest.raises(ReplyTimeout):
        asyncio.run(outputs._write_relay(board))
    board.relays.clear()
    assert order(0, 3 * NS_PER_S) == {i}, "it reads open, and may have been told to close"
    rig.link.deaf = False
    asyncio.run(outputs._write_relay(board))
    assert order(0, 5 * NS_PER_S) == set()


@pytest.mark.parametrize(
    ("fault", "a_minute"),
    [(Reason.WELDED, 6), (Reason.IGNORES_BUDGET, 6), (Reason.REFUSED_OPEN, 6), (Reason.MOVED, 0)],
)
def test_a_relay_at_fault_is_not_hammered(fault: Reason, a_minute: int) -> None:
    """Its board has acknowledged the order, and it still reads closed."""
    rig = WritersRig()
    engine, outputs = rig.outputs._engine, rig.outputs
    image, i = engine.image, engine.index["dishwasher"]
    output = outputs.relays.outputs[i]
    engine.state.closed[i], engine.state.claims[i] = 0, int(Claim.FAULT)
    engine.state.fault[i], engine.state.fault_ns[i] = int(fault), 1000 * NS_PER_S
    orders = 0
    for tenth in range(1, 601):
        now_ns = 1000 * NS_PER_S + tenth * NS_PER_S // 10
        for slot, value in ((output.read, 1), (output.acked, 0)):
            image.value[slot], image.quality[slot], image.sampled_ns[slot] = value, 1, now_ns
        output.target.relays.clear()
        outputs.relays.apply(now_ns)
        orders += i in output.target.relays
    assert orders == a_minute


@pytest.mark.parametrize("closed", [0, 1])
def test_a_relay_that_had_followed_and_is_moved_is_the_rules_to_order_anew(closed: int) -> None:
    """They count how often somebody else moves it; what was written before would be a fight."""
    rig = WritersRig()
    engine, outputs = rig.outputs._engine, rig.outputs
    image, i = engine.image, engine.index["dishwasher"]
    output = outputs.relays.outputs[i]
    engine.state.closed[i] = closed

    def orders(now_ns: int) -> int:
        for slot, value in ((output.read, 1 - closed), (output.acked, closed)):
            image.value[slot], image.quality[slot], image.sampled_ns[slot] = value, 1, now_ns
        outputs.relays.apply(now_ns)
        return len(output.target.relays)

    assert orders(2 * NS_PER_S) == 0
    engine.state.order_pending[i], engine.state.order_ns[i] = 1, 3 * NS_PER_S
    assert orders(3 * NS_PER_S) == 1


def test_a_lost_reply_to_what_is_ordered_still_is_no_doubt() -> None:
    """Whether its board took it or not: it can only do what is wanted."""
    rig = WritersRig()
    engine, relays = rig.outputs._engine, rig.outputs.relays
    image, i = engine.image, engine.index["dishwasher"]
    output = relays.outputs[i]
    engine.state.closed[i] = 0
    for slot, now_ns in ((output.read, 2 * NS_PER_S), (output.acked, NS_PER_S)):
        image.value[slot], image.quality[slot], image.sampled_ns[slot] = 0, 1, now_ns
    relays.doubt(output, 0)
    relays.apply(2 * NS_PER_S)
    assert output.target.relays == set()
    relays.doubt(output, 1)
    relays.apply(3 * NS_PER_S)
    assert output.target.relays == {i}


def test_an_order_that_waits_is_forgotten_when_nobody_fights_any_more() -> None:
    rig = WritersRig()
    engine, relays = rig.outputs._engine, rig.outputs.relays
    image, i = engine.image, engine.index["dishwasher"]
    output = relays.outputs[i]
    engine.state.closed[i], engine.state.order_pending[i] = 0, 1
    for slot, value in ((output.read, 1), (output.acked, 0)):
        image.value[slot], image.quality[slot], image.sampled_ns[slot] = value, 1, 2 * NS_PER_S
    relays.apply(2 * NS_PER_S)
    assert output.target.relays == {i}
    engine.state.order_pending[i], engine.state.claims[i] = 0, int(Claim.FAULT)
    engine.state.fault[i], engine.state.fault_ns[i] = int(Reason.MOVED), 2 * NS_PER_S
    image.sampled_ns[output.read] = 3 * NS_PER_S
    relays.apply(3 * NS_PER_S)
    assert output.target.relays == set()
