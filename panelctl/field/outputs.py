"""Relays and set-points: writing what differs, refreshing what would fall back by itself.

Rules
- One task a device, fed with the latest wish: a dead charger never holds the cycle, and what is
  written is always the newest decision.
- Which relays have to be written is said in relays.py; each is read back at once.
- A set-point is written when it changes, when the device's own timer asks for it, and when what
  is read back or drawn contradicts it (setpoints.py). The compute lease is renewed only on a fresh
  mains reading.
- It is read back by a task of its own (setpoint_wire.py): no write waits for it.
- What became of each order is noted (orders.py): what is ordered is not what was acknowledged.
- Everything that is written is counted, by register and by relay; a register of limited life is
  raised only while its budget lasts (ledger.py).
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from fractions import Fraction
from functools import partial

from panelctl.clock import Clock
from panelctl.core.engine import Engine
from panelctl.errors import FieldError
from panelctl.field.bus import Answer, BusLink, Turn
from panelctl.field.frames import Question
from panelctl.field.ledger import Budget, Ledger
from panelctl.field.orders import Orders, refuses
from panelctl.field.relays import Relays, relay_question
from panelctl.field.scan import Scanner
from panelctl.field.setpoint_wire import Reader, pause_question, read_back, setpoint_question
from panelctl.field.setpoints import FOLLOWED_NS, SetpointWatch, watch_of
from panelctl.field.target import RETRY_MOST_NS, RETRY_NS, Target, Wish
from panelctl.field.tasks import Tasks
from panelctl.modbus.codec import decode_value, encode_value
from panelctl.modbus.maps import load_map
from panelctl.model.panel import Panel
from panelctl.units import NS_PER_MS, NS_PER_S

NODE_REFRESH_NS = 400 * NS_PER_MS
CURRENT_NS = 1_000 * NS_PER_MS  # an acknowledgement of this age is of what is wanted now
RUN, STOP = 0, 1


class Outputs:
    """The writers of a panel."""

    def __init__(
        self,
        panel: Panel,
        engine: Engine,
        links: dict[str, BusLink],
        scanner: Scanner,
        clock: Clock,
        ledger: Ledger,
    ) -> None:
        self.targets: dict[str, Target] = {}
        self.ledger = ledger
        self.orders = Orders()
        self._engine = engine
        self._scanner = scanner
        self._clock = clock
        self._lease_ms = round(panel.timing.lease_s * 1000)
        self._tasks = Tasks()
        self.relays = Relays(engine, self.orders)
        self._set_loads: list[tuple[int, Target]] = []
        for i, circuit in enumerate(engine.loads):
            if circuit.relay_device is not None:
                self.relays.add(i, circuit, self._target(panel, circuit.relay_device, links))
            if circuit.setpoint_device is not None:
                target = self._target(panel, circuit.setpoint_device, links)
                target.sets = circuit.id
                assert circuit.modulation is not None
                watch = watch_of(target.map, target.device, circuit.modulation)
                lane = scanner.lane_of(target.device.name)
                usual = lane.units[target.device.name].usual if lane is not None else ()
                target.watch, back = watch, read_back(target.map, target.device.unit, usual)
                if back is not None:
                    target.reader = Reader(target.device, back, target.link, scanner, watch, clock)
                self._set_loads.append((i, target))

    def start(self) -> None:
        """Start one task a device."""
        for name, target in self.targets.items():
            self._tasks.start(self._serve(target), f"writer {name}")
            if target.reader is not None:
                heard = partial(self._heard, target)
                self._tasks.start(target.reader.run(heard), f"set-point of {name}")

    async def stop(self) -> None:
        """Stop the writers."""
        await self._tasks.stop()

    def failed(self) -> BaseException | None:
        """The error that ended a writer's task, if one ended."""
        return self._tasks.failed

    def apply(self, now_ns: int) -> None:
        """Hand the writers what the engine decided. Returns at once."""
        engine, state = self._engine, self._engine.state
        self.relays.apply(now_ns)
        fresh = engine.mains_fresh(now_ns)
        for i, target in self._set_loads:
            circuit, watch = engine.loads[i], target.watch
            assert watch is not None
            if circuit.is_compute:
                watts: float = engine.budget_w(i, now_ns)
                if not fresh and target.written is not None:
                    watts = min(watts, int(target.written[0]))  # blind, it only ever falls
                request = STOP if state.claims[i] else RUN
                wish = Wish(watts, request, NODE_REFRESH_NS if fresh else 0)
            else:
                wish = Wish(engine.setpoint_a(i), RUN, watch.refresh_ns(now_ns))
            self._follow(target, watch, wish, now_ns)
            target.wish = self._affordable(target, wish, now_ns)
            self._compare(i, target, now_ns)
            if self._due(target, now_ns):
                wish = target.wish
                if target.written != (wish.value, wish.request):
                    self.orders.give((circuit.id, "set-point"), shown(target, wish), now_ns)
                target.wake.set()

    def _follow(self, target: Target, watch: SetpointWatch, wish: Wish, now_ns: int) -> None:
        """Let a lower value of somebody else stand, and people see it."""
        key, followed = (target.sets, "set-point"), watch.followed(now_ns)
        if followed is None or wish.value <= followed:
            self.orders.follow_no_more(key)
            return
        left_s = watch.follow_s(now_ns)
        since_s = FOLLOWED_NS / NS_PER_S - left_s
        self.orders.follow(key, shown(target, wish), watch.words(followed), since_s, left_s)
        wish.value = followed

    def _affordable(self, target: Target, wish: Wish, now_ns: int) -> Wish:
        """The wish; or what the device has, where it would be a raise that its register cannot
        stand yet.
        """
        budget, written = target.budget, target.written
        if budget is None or written is None or target.unsure or wish.value <= written[0]:
            return wish
        return wish if budget.allows(now_ns) else replace(wish, value=written[0])

    def _compare(self, i: int, target: Target, now_ns: int) -> None:
        """Look at whether a set-point that was acknowledged is followed, and tell people."""
        watch, wish = target.watch, target.wish
        assert watch is not None
        assert wish is not None
        state, rows = self._engine.state, self._engine.fixed.rows
        stands = target.written == (wish.value, wish.request)
        if self._engine.loads[i].is_compute:  # a budget changes and is acknowledged all the time
            stands = now_ns - target.written_ns <= CURRENT_NS
        if stands and not target.unsure:  # else the meter says nothing of what it was told
            drawn_ma = max(state.meas_ma[i * rows : (i + 1) * rows])
            watch.drawn(state.over_ns[i], drawn_ma / 1000, now_ns)
        if target.reader is not None:
            target.reader.look(now_ns)
        for text in watch.remarks():
            self.orders.remark({"what": "foreign", "circuit": target.sets, "text": text})
        self.orders.compare((target.sets, "set-point"), watch.told(now_ns), now_ns)

    async def flush(self, timeout_s: float) -> None:
        """Wait until every wish has been written once, or give up after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                while any(
                    t.wish is not None and (t.unsure or t.written != (t.wish.value, t.wish.request))
                    for t in self.targets.values()
                ):
                    for target in self.targets.values():
                        if self._due(target, self._clock.now_ns()):
                            target.wake.set()
                    await self._clock.sleep_until(self._clock.now_ns() + 5 * NS_PER_MS)
        except TimeoutError:
            return

    def _target(self, panel: Panel, name: str, links: dict[str, BusLink]) -> Target:
        if name not in self.targets:
            device = panel.device(name)
            target = Target(device, load_map(device.map), links[device.link])
            if device.writes_per_day:
                target.budget = Budget(device.writes_per_day)
            self.targets[name] = target
        return self.targets[name]

    def _due(self, target: Target, now_ns: int) -> bool:
        wish = target.wish
        if wish is None or now_ns < target.retry_ns:
            return False
        if target.unsure or target.written != (wish.value, wish.request):
            raises = target.written is not None and wish.value > target.written[0]
            return not raises or target.budget is None or target.budget.allows(now_ns)
        # A lease that is not renewed is to run out, whatever contradicts it.
        leased = target.map.setpoint is not None and target.map.setpoint.lease
        if not (leased and not wish.refresh_ns) and self._again(target, now_ns):
            return True
        return bool(wish.refresh_ns) and now_ns - target.written_ns >= wish.refresh_ns

    def _again(self, target: Target, now_ns: int) -> bool:
        """Whether the same is to be written once more, because it is not followed."""
        watch = target.watch
        if watch is None or not watch.again(now_ns):
            return False
        return watch.lowers or target.budget is None or target.budget.allows(now_ns)

    async def _serve(self, target: Target) -> None:
        while True:
            await target.wake.wait()
            target.wake.clear()
            if not self._scanner.trusts(target.device.name):
                continue  # another board on its place: what would be switched there is not ours
            try:
                while target.relays:
                    await self._write_relay(target)
                if self._due(target, self._clock.now_ns()):
                    await self._write_setpoint(target)
            except FieldError as error:
                target.errors += 1
                if target.writing is not None:
                    self.orders.fail(target.writing, error, self._clock.now_ns())
                target.retry_ns = self._clock.now_ns() + target.backoff_ns
                if target.relays:  # its other orders must not wait for a read-back
                    target.backoff_ns = min(2 * target.backoff_ns, RETRY_MOST_NS)
                    await self._clock.sleep_until(target.retry_ns)
                    target.wake.set()
            else:
                target.backoff_ns = RETRY_NS

    def _heard(self, target: Target, value: float, asked_ns: int) -> None:
        """What a device says that it was told."""
        if target.unsure or target.watch is None:
            return  # a write is on its way
        now_ns = self._clock.now_ns()
        target.watch.read(value, asked_ns, now_ns)
        if self._due(target, now_ns):
            target.wake.set()

    async def _write_relay(self, target: Target) -> None:
        """Write the relay whose turn it is. Raises FieldError when the board did not answer."""
        output = self.relays.next(target)
        closed = self._engine.state.closed[output.i]
        assert target.map.relay is not None
        if closed >= 0:  # as it is ordered now, not as it was when it was queued
            address = target.map.relay.coil + output.circuit.relay_output - 1
            on = (closed == 1) != output.circuit.relay_inverted
            target.writing = output.key
            try:
                answer = await self._write(target, relay_question(target, address, on))
            except FieldError as error:
                if not refuses(error):
                    self.relays.doubt(output, closed)
                    raise
                target.errors += 1
                now_ns = self._clock.now_ns()
                self.orders.fail(output.key, error, now_ns)
                self.relays.refused(output, closed, now_ns)
                target.relays.discard(output.i)
                return
            self.ledger.moved(output.circuit.id)
            self.orders.acknowledge(output.key)
            target.writing = None
            self.relays.told(output, closed, answer.sampled_ns)
        target.relays.discard(output.i)
        lane = self._scanner.lane_of(target.device.name)
        if lane is not None and not target.relays:
            await lane.verify(target.device.name)

    async def _write_setpoint(self, target: Target) -> None:
        wish, setpoint, watch = target.wish, target.map.setpoint, target.watch
        again = watch is not None and not target.unsure and watch.again(self._clock.now_ns())
        if target.budget is not None:
            target.budget.wrote()
        key = target.writing = (target.sets, "set-point")
        target.unsure = True  # a reply that is lost does not tell what the device does
        assert wish is not None
        assert setpoint is not None
        paused, pause = wish.value < setpoint.least, target.map.pause
        value = min(wish.value, setpoint.most) if not paused else 0.0
        if paused and pause is not None:
            await self._write(target, pause_question(target.device.unit, target.map, pause.stop))
            shows = None
        else:
            words = encode_value(setpoint.point, Fraction(value).limit_denominator(1000))
            shows = decode_value(setpoint.point, words)
            if setpoint.lease:
                target.sequence = target.sequence % 65535 + 1
                words += [self._lease_ms, wish.request, target.sequence]
            await self._write(target, setpoint_question(target.device.unit, target.map, words))
            was_paused = target.written is None or target.written[0] < setpoint.least
            # Of one that reads less than it was told, somebody may have stopped it.
            stopped = was_paused or (again and watch is not None and not watch.lowers)
            if pause is not None and stopped:
                await self._write(target, pause_question(target.device.unit, target.map, pause.run))
        again = again and target.written == (wish.value, wish.request)
        target.written, target.unsure = (wish.value, wish.request), False
        self.orders.acknowledge(key)
        target.writing = None
        target.written_ns = self._clock.now_ns()
        if watch is not None:
            watch.acknowledged(None if shows is None else float(shows), again, target.written_ns)

    async def _write(self, target: Target, question: Question) -> Answer:
        answer = await target.link.ask(question, target.device.timeout_ms, Turn.WRITE)
        self.ledger.wrote(target.device.name, question)
        return answer


def shown(target: Target, wish: Wish) -> str:
    """A set-point in words: its value in the map's unit, to whole watts or tenths of an ampere."""
    assert target.map.setpoint is not None
    unit = target.map.setpoint.point.unit
    value = f"{wish.value:.0f}" if unit == "W" else f"{wish.value:.1f}"
    return f"{value} {unit}" + (", stop" if wish.request == STOP else "")
