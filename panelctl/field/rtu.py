"""Modbus RTU over a serial port, or through a serial server on the network.

Rules
- 3.5 characters (or the link's fixed silence) pass after the last byte before the next question. On
  a line that never falls silent it is asked all the same after a while, and that is counted.
- Whatever lies in the input before a question is sent is thrown away: it answers an older one.
- A frame that is not the reply to this question is dropped and the timer keeps running.
- An adapter that hears itself is noticed by reads; then one copy of each frame is skipped. Nothing
  is written before it is known whether it does.
- A port is given up and opened again by the rule of opening.py; questions meanwhile fail at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from panelctl.clock import Clock
from panelctl.errors import BadReply, DeviceRefused, FieldError, LinkDown, ReplyTimeout
from panelctl.field.bus import Answer, LinkCounts, Turn, TurnQueue, Ways
from panelctl.field.diagnosis import NEVER_SILENT, Diagnosis, as_unit, foreign_unit
from panelctl.field.frames import MANY, Question, RtuReceiver, read_question, values_of
from panelctl.field.opening import Opening
from panelctl.field.port import OpenPort, Port, open_port
from panelctl.field.sequence import EARLIER, LineOrder
from panelctl.modbus.wire import Wire
from panelctl.model.panel import Link
from panelctl.units import NS_PER_MS

SHARP_BELOW_NS = 2 * NS_PER_MS  # a silence so short is a good part of the transaction
STRAY_CHARS = 24  # a UART hands bytes over in pieces of its FIFO: silence between two is none
PACKET_NS = 50 * NS_PER_MS  # a serial server gathers bytes for so long before it sends them on
SILENCE_MOST_NS = 50 * NS_PER_MS  # longer than this nobody waits for silence
NOISY_NS = 3_000 * NS_PER_MS
ECHO_KNOWN_NS = 2_000 * NS_PER_MS  # older than this, what reads told of the adapter is asked again
NO_ECHOES = 3  # reads in a row without one: the adapter does not hear itself any more


class RtuLink:
    """A line as a BusLink. The port is opened with the first question, by `opener`."""

    def __init__(self, link: Link, clock: Clock, opener: OpenPort = open_port) -> None:
        self.link = link
        self.counts = LinkCounts()
        self._clock = clock
        self._wire = Wire.rtu(link.baud, link.parity, link.stop_bits, link.silence_us)
        networked = link.kind != "rtu"
        self._slack_ns = PACKET_NS if networked else 0
        self._stray_ns = max(STRAY_CHARS * self._wire.char_ns, self._slack_ns)
        sharp = self._wire.silence_ns < SHARP_BELOW_NS
        self._sleep_until = clock.sharp_until if sharp else clock.sleep_until
        self._turns = TurnQueue()
        self._opener = opener
        self._opening = Opening(self.counts, link.settle_ms)
        self._diagnosis = Diagnosis(self.counts)
        self._orders: dict[int, LineOrder] = {}
        self._port: Port | None = None
        self._quiet_ns = 0
        self._noisy_ns = 0  # until then nobody waits for silence
        self._echo_ns = 0  # when a read told last whether we hear ourselves
        self._without_echo = -1  # reads since the last echo; -1: not known yet
        self._receiver: RtuReceiver | None = None
        self._reply: asyncio.Future[tuple[bytes, int]] | None = None

    def meet(self, unit: int, gap_ms: float, late_ms: float) -> None:
        """See BusLink."""
        self._orders[unit] = LineOrder(int(gap_ms * NS_PER_MS), int(late_ms * NS_PER_MS))

    def when(self, ways: Ways) -> int:
        """See BusLink."""
        if isinstance(ways, Question):
            ways = (ways,)
        order = self._order(ways[0].unit)
        return max(order.when(ways), self._opening.settled_ns)

    async def ask(
        self, ways: Ways, timeout_ms: float, turn: Turn, sync: Sequence[Question] = ()
    ) -> Answer:
        """See BusLink. `timeout_ms` is the device's own time; the wire's is added to it."""
        if isinstance(ways, Question):
            ways = (ways,)
        order = self._order(ways[0].unit)
        while True:
            at_ns = self.when(ways)
            if at_ns > self._clock.now_ns():
                await self._clock.sleep_until(at_ns)
                continue
            if (
                not self._turns.acquire()
            ):  # most of the time it is free, and nothing is to be awaited
                await self._turns.enter(turn)
            try:
                if self.when(ways) > self._clock.now_ns():
                    continue  # while we waited for our turn its unit was asked
                await self._open()
                question = ways[0]
                if not question.writes:
                    question = await self._unmistakable(order, ways, timeout_ms, sync)
                elif self._echo_unknown:
                    await self._listen_for_echo(question.unit, timeout_ms)
                answer = await self._exchange(question, timeout_ms, order)
            finally:
                self._turns.leave()
            if answer is not None:
                return answer
            await self._clock.sleep_until(order.apart_ns)  # after that it is no copy

    async def close(self) -> None:
        """Give the port back."""
        self._give_up("was closed")

    def _order(self, unit: int) -> LineOrder:
        order = self._orders.get(unit)
        if order is None:
            order = self._orders[unit] = LineOrder()
        return order

    async def _unmistakable(
        self,
        order: LineOrder,
        ways: Sequence[Question],
        timeout_ms: float,
        sync: Sequence[Question],
    ) -> Question:
        """The way that no older reply can answer; where there is none, after one of `sync`."""
        sync = [other for other in sync if other.pdu not in order.unanswered]
        question = order.pick(ways, self._clock.now_ns(), bool(sync))
        if question is None:
            between = order.pick(sync, self._clock.now_ns())
            if between is not None:
                try:
                    await self._exchange(between, timeout_ms, order)
                except DeviceRefused:
                    pass  # a refusal is an answer too
                except ReplyTimeout:
                    order.unanswered.add(between.pdu)  # it costs a timeout each time
                    raise
                await self._clock.sleep_until(order.when(ways))
            question = order.pick(ways, self._clock.now_ns()) or ways[0]
        return question

    @property
    def _echo_unknown(self) -> bool:
        old = self._clock.now_ns() - self._echo_ns > ECHO_KNOWN_NS
        return self._without_echo < 0 or old

    async def _listen_for_echo(self, unit: int, timeout_ms: float) -> None:
        """Ask for something harmless, to know whether we hear ourselves."""
        question = read_question(unit, "holding", 0, 1)
        with suppress(FieldError):
            await self._exchange(question, timeout_ms, self._order(unit))
        await self._open()
        await self._clock.sleep_until(self._order(unit).when((question,)))  # its pause

    async def _exchange(
        self, question: Question, timeout_ms: float, order: LineOrder
    ) -> Answer | None:
        """The answer; None where it may be the copy of another one."""
        await self._silence()
        loop = asyncio.get_running_loop()
        frame = question.rtu
        begin_ns = self._clock.now_ns()
        may_echo = self.counts.echo or self._echo_unknown  # in doubt the board says it once more
        receiver = self._receiver = RtuReceiver(question, may_echo)
        reply = self._reply = loop.create_future()
        chars = len(frame) + question.reply_len + 3
        limit_ns = chars * self._wire.char_ns + int(timeout_ms * NS_PER_MS) + self._slack_ns
        timer = loop.call_later(limit_ns / 1e9, self._expire)
        order.asked(question)
        try:
            self._write(frame)
            self.counts.transactions += 1
            pdu, came_ns = await reply
            if not question.writes and order.copied(question, pdu, came_ns):
                self.counts.stray_bytes += len(pdu)
                return None
            order.answered(question, came_ns)
            if question.function == MANY and order.owes_order(question, came_ns):
                raise BadReply(EARLIER)
        except ReplyTimeout:
            self.counts.timeouts += 1
            now_ns = self._clock.now_ns()
            order.lost(question, now_ns)
            sender = foreign_unit(question, receiver.heard) if receiver.heard else None
            if sender is not None:
                self._diagnosis.note(as_unit(sender, question.unit), now_ns)
            if not receiver.heard and self._opening.silent(now_ns):
                self._give_up("nothing was heard on it")
            raise
        except DeviceRefused as refusal:
            refusal.pdu = question.pdu
            order.refused(question, self._clock.now_ns())
            raise
        except LinkDown:
            order.lost(question, self._clock.now_ns())
            raise
        finally:
            timer.cancel()
            self.counts.stray_bytes += receiver.dropped
            self._receiver = self._reply = None
            now_ns = self._clock.now_ns()
            self.counts.busy_ns += now_ns - begin_ns
            self._quiet_ns = max(self._quiet_ns, now_ns + self._wire.silence_ns)
            if not question.writes and receiver.heard:  # silence does not tell
                self._note_echo(frame in receiver.heard)
        self._diagnosis.fine(came_ns)
        # After a stall of ours a reply is read long after it came: it is no newer than this.
        came_ns = min(came_ns, begin_ns + limit_ns)
        sampled_ns = came_ns if question.writes else begin_ns
        return Answer(values_of(question, pdu), sampled_ns, question, came_ns - begin_ns)

    def _note_echo(self, echoed: bool) -> None:
        counts = self.counts
        self._echo_ns = self._clock.now_ns()
        if echoed:
            self._without_echo = 0
            counts.echo = True
        else:
            self._without_echo = max(self._without_echo, 0) + 1
            if self._without_echo >= NO_ECHOES:
                counts.echo = False

    async def _silence(self) -> None:
        """Wait until the line has been quiet for long enough, and empty the input."""
        now_ns = self._clock.now_ns()
        latest_ns = max(self._quiet_ns, now_ns) + SILENCE_MOST_NS
        if now_ns < self._noisy_ns:  # it was waited for in vain a moment ago
            latest_ns = now_ns + self._wire.silence_ns
        while True:
            await self._sleep_until(min(self._quiet_ns, latest_ns))
            stray = self._drain()
            now_ns = self._clock.now_ns()
            if not stray and now_ns >= self._quiet_ns:
                return
            if now_ns >= latest_ns:
                self.counts.noisy += 1
                self._noisy_ns = now_ns + NOISY_NS
                self._diagnosis.note(NEVER_SILENT, now_ns)
                return
            if stray:
                self.counts.stray_bytes += stray
                self._quiet_ns = now_ns + self._stray_ns

    def _drain(self) -> int:
        total = 0
        while True:
            data = self._take()
            if data is None:
                return total
            total += len(data)

    def _take(self) -> bytes | None:
        """What has arrived, or None. Raises LinkDown."""
        if self._port is None:  # lost while we waited
            raise LinkDown(f"{self.link.where} is not open")
        try:
            data = self._port.read()
        except OSError as error:
            raise self._lost(error) from None
        if data:
            self._opening.heard(self._clock.now_ns())
        return data

    def _write(self, frame: bytes) -> None:
        assert self._port is not None
        try:
            written = self._port.write(frame)
        except OSError as error:
            raise self._lost(error) from None
        if written != len(frame):
            raise self._lost(OSError("the port took only a part of the frame"))

    def _readable(self) -> None:
        try:
            data = self._take()
        except LinkDown as error:
            self._fail(error)
            return
        if data is None:
            return
        now_ns = self._clock.now_ns()
        self._quiet_ns = now_ns + self._wire.silence_ns
        if self._receiver is None or self._reply is None or self._reply.done():
            self.counts.stray_bytes += len(data)
            self._quiet_ns = now_ns + self._stray_ns
            return
        try:
            pdu = self._receiver.feed(data)
        except DeviceRefused as refusal:
            self._reply.set_exception(refusal)
            return
        if pdu is not None:
            if self._receiver.more:
                self._quiet_ns = now_ns + self._stray_ns
            self._reply.set_result((pdu, now_ns))

    def _expire(self) -> None:
        self._fail(ReplyTimeout("no reply"))

    def _fail(self, error: Exception) -> None:
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(error)

    async def _open(self) -> None:
        if self._port is not None:
            return
        where, opening = self.link.where, self._opening
        if not opening.may_open(self._clock.now_ns()):
            raise LinkDown(f"{where} is not open: {self.counts.error}")
        try:
            port = await self._opener(self.link)
        except OSError as error:
            opening.failed(self._clock.now_ns(), f"cannot be opened: {error}")
            raise LinkDown(f"{where} {self.counts.error}") from None
        self._port = port
        now_ns = self._clock.now_ns()
        opening.opened(now_ns)
        self._without_echo = -1
        self._quiet_ns = now_ns + self._wire.silence_ns
        port.listen(self._readable)
        if opening.settled_ns > now_ns:
            await self._clock.sleep_until(opening.settled_ns)

    def _lost(self, error: OSError) -> LinkDown:
        self._give_up(f"was lost: {error}")
        return LinkDown(f"{self.link.where} {self.counts.error}")

    def _give_up(self, why: str) -> None:
        self._drop_port()
        self._opening.lost(self._clock.now_ns(), why)

    def _drop_port(self) -> None:
        if self._port is not None:
            port, self._port = self._port, None
            port.close()
