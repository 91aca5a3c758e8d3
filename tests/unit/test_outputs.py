"""What the writers do when a reply is lost, and with a register that wears."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from panelctl.config.build import build_link
from panelctl.config.load import read_panel
from panelctl.core.engine import Engine
from panelctl.errors import ReplyTimeout
from panelctl.field.bus import Answer, BusLink, LinkCounts, Turn, Ways
from panelctl.field.frames import Question, read_question
from panelctl.field.ledger import Ledger
from panelctl.field.outputs import RUN, Outputs, Wish
from panelctl.field.scan import Scanner
from panelctl.field.tcp import TcpLink
from panelctl.model.panel import Device, Panel
from panelctl.model.relay import Claim
from panelctl.units import NS_PER_S

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


class DeafLink:
    """A device that obeys every write; `deaf`: its replies are lost."""

    def __init__(self) -> None:
        self.counts = LinkCounts()
        self.deaf = False
        self.obeyed: list[bytes] = []

    def meet(self, unit: int, gap_ms: float, late_ms: float) -> None: ...

    def when(self, ways: Ways) -> int:
        return 0

    async def ask(
        self, ways: Ways, timeout_ms: float, turn: Turn, sync: Sequence[Question] = ()
    ) -> Answer:
        question = ways if isinstance(ways, Question) else ways[0]
        assert question.writes
        self.obeyed.append(question.pdu)
        if self.deaf:
            raise ReplyTimeout("no reply")
        return Answer([], 0, question, 0)

    async def close(self) -> None: ...


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
        self.target.wish = Wish(value_a, RUN, 0)

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
    board = next(target for n, target, _, _ in outputs._relay_loads if n == i)

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
    mine = sorted(i for i, target, _, _ in outputs._relay_loads if target is board)[:3]
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
