"""Set-points written to servers that nobody here wrote, over real sockets: pymodbus's and
modbus-tk's, in the place of an Alfen that keeps its old value, refuses, goes back to another by
itself, starts anew, or takes its time.
"""

from __future__ import annotations

import asyncio
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from modbus_tk import hooks, modbus_tcp
from modbus_tk.defines import HOLDING_REGISTERS
from modbus_tk.exceptions import ModbusError
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from panelctl.config.build import build_link
from panelctl.config.load import parse_panel
from panelctl.core.engine import Engine
from panelctl.field.bus import BusLink
from panelctl.field.ledger import Ledger
from panelctl.field.outputs import Outputs
from panelctl.field.scan import Scanner
from panelctl.field.tcp import TcpLink
from panelctl.field.timing import TimerfdClock
from panelctl.model.record import EventRecord, OrderRecord
from panelctl.model.why import explain, sentence
from panelctl.units import NS_PER_MS
from tests.charger_world import EVSE, HOME
from tests.records import demo_hello, demo_record

AT = 1210  # its set-point, of two registers
DEADLINE_S = 15.0
LOOPBACK = "127.0.0.1"
OLD_FASHIONED = pytest.mark.filterwarnings("ignore:isSet:DeprecationWarning")  # modbus-tk's own
ASKED = "modbus.Slave.handle_write_multiple_registers_request"


def words(value_a: float) -> list[int]:
    """A number as it stands in two registers."""
    return list(struct.unpack(">2H", struct.pack(">f", value_a)))


def amps(held: Any) -> float:
    """The number in two registers."""
    value: float = struct.unpack(">f", struct.pack(">2H", *held))[0]
    return value


@dataclass
class Writer:
    """The controller's writer of the charger, without the rest of it; every 50 ms is a cycle."""

    port: int
    outputs: Outputs = field(init=False)
    events: list[EventRecord] = field(default_factory=list)
    orders: list[OrderRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        text = HOME.read_text() + EVSE.format(map="alfen_eve", more="")
        panel, self._clock = parse_panel(text, "panel.toml"), TimerfdClock()
        self._engine = Engine(panel)
        self._link = TcpLink(build_link("evse", f"tcp://{LOOPBACK}:{self.port}"), self._clock)
        links: dict[str, BusLink] = {link.name: self._link for link in panel.links}
        scanner = Scanner([], {}, self._engine.image, self._clock)
        self.outputs = Outputs(panel, self._engine, links, scanner, self._clock, Ledger())
        evse = self._engine.index["evse"]
        self.outputs.relays.outputs.clear()
        self.outputs._set_loads[:] = [s for s in self.outputs._set_loads if s[0] == evse]
        self.order(16.0)

    def order(self, value_a: float) -> None:
        """What it is to be told from now on."""
        self._engine.state.set_ma[self._engine.index["evse"]] = round(value_a * 1000)

    async def until(self, condition: Callable[[], object]) -> None:
        """Go on until that holds."""
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, (self.orders, self.events)
            self.outputs.apply(self._clock.now_ns())
            self.orders, events = self.outputs.orders.records(self._clock.now_ns())
            self.events += events
            await self._clock.sleep_until(self._clock.now_ns() + 50 * NS_PER_MS)

    @property
    def foreign(self) -> list[str]:
        """What people were told of somebody else."""
        return [event["text"] for event in self.events if event["what"] == "foreign"]

    def told(self, word: str) -> bool:
        """Whether people were told that."""
        return any(event.get("text", "").startswith(word) for event in self.events)

    async def close(self) -> None:
        """End it."""
        await self.outputs.stop()
        await self._link.close()


@asynccontextmanager
async def writing(port: int) -> Any:
    """A writer to a server on that port."""
    writer = Writer(port)
    writer.outputs.start()
    try:
        yield writer
    finally:
        await writer.close()


class Pymodbus:
    """pymodbus's server as a charger. `keeps`: it acknowledges, and nothing changes."""

    def __init__(self, starts_at_a: float = 6.0) -> None:
        self.keeps = False
        self.port = 0
        self.writes = 0
        self._starts_at_a = starts_at_a
        self._server: Any = None

    async def start(self) -> None:
        """Start it, on the port that it had."""
        first, second = words(self._starts_at_a)
        held = [
            SimData(AT, values=first, datatype=DataType.REGISTERS),
            SimData(AT + 1, values=second, datatype=DataType.REGISTERS),
        ]
        device = SimDevice(1, simdata=held, action=self._asked)
        self._server = ModbusTcpServer(device, address=(LOOPBACK, self.port))
        await self._server.serve_forever(background=True)
        self.port = self._server.transport.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """It is gone, with its connections."""
        await self._server.shutdown()

    async def _asked(
        self, function: int, start: int, at: int, count: int, held: list[int], new: Any
    ) -> None:
        if new is None:
            return
        self.writes += 1
        if self.keeps:
            new[:] = held[at - start : at - start + count]


class ModbusTk:
    """modbus-tk's server as a charger. `refuses` with an exception, `delay_s` before it answers."""

    def __init__(self) -> None:
        self.refuses = 0
        self.delay_s = 0.0
        self.writes = 0
        self._server = modbus_tcp.TcpServer(port=0, address=LOOPBACK)
        self._slave = self._server.add_slave(1)
        self._slave.add_block("told", HOLDING_REGISTERS, AT, 2)
        self.set(6.0)

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._server._sock.getsockname()[1]
        return port

    def set(self, value_a: float) -> None:
        """Somebody else, or it itself, puts another value in."""
        self._slave.set_values("told", AT, words(value_a))

    @property
    def value_a(self) -> float:
        """What it was told."""
        return amps(self._slave.get_values("told", AT, 2))

    @contextmanager
    def served(self) -> Iterator[ModbusTk]:
        """It runs."""
        hooks.install_hook(ASKED, self._asked)
        self._server.start()
        try:
            while self._server._sock is None or not self.port:
                threading.Event().wait(0.01)  # its thread makes it
            yield self
        finally:
            hooks.uninstall_hook(ASKED, self._asked)
            self._server.stop()

    def _asked(self, asked: Any) -> None:
        self.writes += 1
        if self.delay_s:
            threading.Event().wait(self.delay_s)
        if self.refuses:
            raise ModbusError(self.refuses)


def test_one_that_keeps_its_old_value_is_contradicted_until_it_obeys() -> None:
    async def main() -> None:
        charger = Pymodbus(starts_at_a=32.0)
        charger.keeps = True
        async with AsyncExitStack() as stack:
            await charger.start()
            stack.push_async_callback(charger.stop)
            writer = await stack.enter_async_context(writing(charger.port))
            await writer.until(lambda: writer.told("CONTRADICTED"))
            assert writer.orders[0]["reads"] == "32.0 A"
            assert charger.writes >= 4, "the first, and three more"
            charger.keeps = False
            writer.order(15.0)
            await writer.until(lambda: writer.told("ACKNOWLEDGED"))
            assert writer.orders == []

    asyncio.run(main())


def test_one_that_starts_anew_is_told_again_as_soon_as_it_is_back() -> None:
    """Its set-point did not outlive it, and its timer would not have asked for another for long."""

    async def main() -> None:
        charger = Pymodbus(starts_at_a=20.0)
        async with AsyncExitStack() as stack:
            await charger.start()
            writer = await stack.enter_async_context(writing(charger.port))
            watch = writer.outputs.targets["charger"].watch
            assert watch is not None
            watch.timer_ns = 0  # nothing is repeated
            await writer.until(lambda: watch._agreed_ns)
            assert charger.writes == 1
            await charger.stop()
            await charger.start()
            stack.push_async_callback(charger.stop)
            await writer.until(lambda: charger.writes == 2)
            await writer.until(lambda: not watch.contradicted and watch._agreed_ns)
            assert charger.writes == 2

    asyncio.run(main())


@OLD_FASHIONED
def test_one_that_refuses_is_refused_and_one_that_takes_its_time_is_waited_for() -> None:
    async def main() -> None:
        with ModbusTk().served() as charger:
            charger.refuses = 4
            async with writing(charger.port) as writer:
                await writer.until(lambda: writer.told("REFUSED"))
                assert not writer.told("CONTRADICTED")
                charger.refuses, charger.delay_s = 0, 0.25
                await writer.until(lambda: writer.told("ACKNOWLEDGED"))
                assert charger.value_a == 16.0

    asyncio.run(main())


@OLD_FASHIONED
def test_what_somebody_else_put_in_is_followed_downward_and_written_over_upward() -> None:
    async def main() -> None:
        with ModbusTk().served() as charger:
            async with writing(charger.port) as writer:
                watch = writer.outputs.targets["charger"].watch
                assert watch is not None
                watch.timer_ns = 0
                await writer.until(lambda: watch._agreed_ns)
                charger.set(25.0)
                await writer.until(lambda: len(writer.foreign) == 2)
                assert "reads 25.0 A" in writer.foreign[0]
                assert writer.foreign[1] == "it is over: the device reads 16.0 A, as ordered"
                assert charger.value_a == 16.0
                writer.events.clear()
                charger.set(10.0)
                await writer.until(lambda: writer.foreign)
                assert "it is left at that for 10 minutes" in writer.foreign[0]
                await writer.until(lambda: watch._agreed_ns and watch._foreign is None)
                assert charger.value_a == 10.0
                assert len(writer.foreign) == 1, "that it reads so is no end of it"
                (order,) = writer.orders
                assert (order["state"], order["ordered"]) == ("FOLLOWED", "16.0 A")
                assert (order["reads"], 590 < order["until_s"] <= 600) == ("10.0 A", True)
                record = {**demo_record(), "orders": [order]}
                said = sentence(explain(demo_hello(), record, "evse"))  # type: ignore[arg-type]
                assert "omebody else told its device 10.0 A, which it is left at for " in said
                charger.set(16.0)
                await writer.until(lambda: not writer.orders and charger.writes)
                await writer.until(lambda: charger.value_a == 16.0 and watch._agreed_ns)

    asyncio.run(main())
