"""Modbus TCP: one connection a host (or datagrams to it), replies matched by transaction number.

Rules
- The number proves which message was answered, not which question: behind a gateway a reply may
  belong to another one. Shapes keep them apart (sequence.py). Where a reply is seen that belongs to
  an earlier question, and the right one does not follow, nothing is asked for a while, so that the
  gateway comes into step; when that does not help the connection is made anew.
- One question at a time until pairs of them have been answered rightly; then up to
  `link.inflight`, one a unit, one frame a segment. Forgotten with the connection.
- A reply that fits no question is waited out: the right one may follow.
- A stream that loses step costs the connection; silence does by the rule of opening.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from panelctl.clock import Clock
from panelctl.errors import BadReply, DeviceRefused, FieldError, LinkDown, ReplyTimeout
from panelctl.field.bus import Answer, LinkCounts, Turn, TurnQueue, Ways
from panelctl.field.diagnosis import SHIFTED, Diagnosis, rtu_framing, speaks_rtu
from panelctl.field.frames import MANY, UNREACHED, Question, split_tcp, tcp_frame, values_of
from panelctl.field.opening import Opening
from panelctl.field.overlap import Overlap
from panelctl.field.pending import Asked, Pending
from panelctl.field.sequence import EARLIER, HUSH_NS, GatewayOrder
from panelctl.model.panel import Link
from panelctl.units import NS_PER_MS

CONNECT_S = 1.0
MOST_BUFFERED = 4096
REST_FIRST_NS = 300 * NS_PER_MS  # long enough for what is late to reach an idle gateway
REST_MOST_NS = 2_400 * NS_PER_MS
LATE_LEAST_NS = 1_000 * NS_PER_MS  # a gateway may keep a reply, and out of turn
STEADY = 10  # right answers, and the next rest is short again
POLL_NS = 2 * NS_PER_MS
UNPROVEN = "the reply could not be proven to be the answer"


@dataclass(slots=True)
class _Unit:
    """What is known of a unit behind the connection. `rested_ns`: not to be asked before."""

    gap_ns: int = 0
    late_ns: int = 1_000 * NS_PER_MS
    rested_ns: int = 0
    turns: TurnQueue = field(default_factory=TurnQueue)


class TcpLink(asyncio.Protocol, asyncio.DatagramProtocol):
    """A Modbus TCP connection as a BusLink. It is opened with the first question."""

    def __init__(self, link: Link, clock: Clock) -> None:
        self.link = link
        self.counts = LinkCounts()
        self._clock = clock
        self._turns = TurnQueue()
        self._units: dict[int, _Unit] = {}
        self._opening = Opening(self.counts, link.settle_ms)
        self._order = GatewayOrder(link.url.encode()[::-1])
        self._overlap = Overlap(self.counts, self._turns, link.inflight)
        self._diagnosis = Diagnosis(self.counts)
        self._transport: asyncio.Transport | asyncio.DatagramTransport | None = None
        self._connecting = asyncio.Lock()
        self._buffer = bytearray()
        self._pending = Pending(self.counts, self._order, self._diagnosis)
        self._heard = 0  # bytes
        self._hushing = 0  # so many wait for quiet: nobody else asks
        self._rest_ns = 0  # nothing is asked before
        self._rests = 0  # in a row
        self._right = 0  # answers since the last one

    def meet(self, unit: int, gap_ms: float, late_ms: float) -> None:
        """See BusLink."""
        late_ns = max(int(late_ms * NS_PER_MS), LATE_LEAST_NS)
        self._units[unit] = _Unit(int(gap_ms * NS_PER_MS), late_ns)

    def when(self, ways: Ways) -> int:
        """See BusLink."""
        if isinstance(ways, Question):
            ways = (ways,)
        return self._not_before(ways)

    async def ask(
        self, ways: Ways, timeout_ms: float, turn: Turn, sync: Sequence[Question] = ()
    ) -> Answer:
        """See BusLink. `sync` may prove that the connection is in step."""
        if isinstance(ways, Question):
            ways = (ways,)
        unit = self._unit(ways[0].unit)
        while True:
            at_ns = self._not_before(ways)
            if at_ns > self._clock.now_ns():  # nobody else has to wait for this
                await self._clock.sleep_until(at_ns)
                continue
            if (
                not unit.turns.acquire()
            ):  # most of the time it is free, and nothing is to be awaited
                await unit.turns.enter(turn)
            try:
                answer = await self._in_turn(ways, timeout_ms, turn, unit, sync)
            finally:
                unit.turns.leave()
            if answer is not None:
                return answer

    async def _in_turn(
        self,
        ways: Sequence[Question],
        timeout_ms: float,
        turn: Turn,
        unit: _Unit,
        sync: Sequence[Question],
    ) -> Answer | None:
        """The answer, once the connection is ours; None: it has to wait for something else."""
        if not self._turns.acquire():
            await self._turns.enter(turn)
        try:
            if self._not_before(ways) > self._clock.now_ns():
                return None  # it came to that while we waited for our turn
            if self._transport is None:
                await self._connect()
            if ways[0].writes:
                return await self._exchange(ways[0], timeout_ms, unit)
            return await self._read(ways, timeout_ms, unit, sync)
        finally:
            self._turns.leave()

    async def close(self) -> None:
        """Close the connection."""
        self._drop("was closed")

    def _unit(self, number: int) -> _Unit:
        unit = self._units.get(number)
        if unit is None:
            unit = self._units[number] = _Unit()
        return unit

    def _not_before(self, ways: Sequence[Question]) -> int:
        unit = self._unit(ways[0].unit)
        at_ns = max(unit.rested_ns, self._opening.settled_ns)
        if ways[0].writes:  # it is obeyed or not, whoever hears of it
            return at_ns
        if self._order.owed:
            at_ns = max(at_ns, self._order.owed_until(ways, self._clock.now_ns()))
        return max(at_ns, self._rest_ns)

    async def _read(
        self, ways: Sequence[Question], timeout_ms: float, unit: _Unit, sync: Sequence[Question]
    ) -> Answer | None:
        """The answer to a way that no older reply could answer, or one that was proven, or after a
        moment without any traffic. None: it has to wait for something else first.
        """
        while self._hushing:
            await self._clock.sleep_until(self._clock.now_ns() + POLL_NS)
        question, doubtful = self._order.pick(ways, self._clock.now_ns())
        if question is None:
            return None
        if not doubtful:
            return await self._exchange(question, timeout_ms, unit)
        more = [other for other in sync if other.shape != question.shape]
        mine = question.unit

        def idle(number: int) -> bool:
            other = self._unit(number)
            if number == mine:
                return not other.gap_ns
            return other.turns.free and other.rested_ns <= self._clock.now_ns()

        if self._order.proof(more, self._clock.now_ns(), idle) is None:
            await self._hush()
            question, _ = self._order.pick(ways, self._clock.now_ns())
            return await self._exchange(question, timeout_ms, unit) if question else None
        answer = await self._exchange(question, timeout_ms, unit)
        proof = self._order.proof(more, self._clock.now_ns(), idle)
        if proof is None:  # others have asked meanwhile
            raise BadReply(UNPROVEN)
        return answer if await self._prove(proof, mine, timeout_ms) else None

    async def _prove(self, proof: Question, asker: int, timeout_ms: float) -> bool:
        """Ask something that stands out. False: it was refused, which proves nothing, since that
        looks like any other refusal of its unit and function. Raises FieldError.
        """
        other = self._unit(proof.unit)
        alone = proof.unit == asker or other.turns.acquire()  # it is free: `idle` has looked
        try:
            await self._exchange(proof, timeout_ms, other, proving=True)
        except DeviceRefused as refusal:
            if not self._order.unfit(proof):
                raise BadReply(UNPROVEN) from refusal
            return False
        else:
            self._order.came_into_step()
        finally:
            if alone and proof.unit != asker:
                other.turns.leave()
        return True

    async def _hush(self) -> None:
        """Wait until there has been no traffic for a while; nobody else asks meanwhile."""
        self._hushing += 1
        try:
            while self._pending or self._clock.now_ns() < self._order.hushed_ns:
                busy = self._clock.now_ns() + POLL_NS
                await self._clock.sleep_until(busy if self._pending else self._order.hushed_ns)
            self._order.came_into_step()
        finally:
            self._hushing -= 1

    async def _exchange(
        self, question: Question, timeout_ms: float, unit: _Unit, proving: bool = False
    ) -> Answer:
        if self._transport is None:
            raise LinkDown(f"{self.link.where} {self.counts.error}")
        loop = asyncio.get_running_loop()
        begin_ns, heard = self._clock.now_ns(), self._heard
        limit_ns = int(timeout_ms * NS_PER_MS)
        asked = self._pending.add(question)
        timer = loop.call_later(timeout_ms / 1000, asked.expire)
        self._order.asked(question, begin_ns)
        try:
            self._send(tcp_frame(question, asked.number))
            self.counts.transactions += 1
            pdu, came_ns = await asked.reply
        except (ReplyTimeout, BadReply):
            self.counts.timeouts += 1
            dropped = self._transport is None  # then it was not late
            late_ns = limit_ns + HUSH_NS if dropped else unit.late_ns
            self._lost(asked, limit_ns, late_ns, silent=heard == self._heard)
            raise
        except LinkDown:  # a bridge may give the reply to whoever asks next
            self._order.lost(question, self._clock.now_ns(), limit_ns, limit_ns + HUSH_NS)
            raise
        except DeviceRefused as refusal:
            refusal.pdu = question.pdu
            now_ns = self._clock.now_ns()
            if refusal.code in UNREACHED:  # what the gateway gave up on may come all the same
                self._order.lost(question, now_ns, limit_ns, unit.late_ns)
            else:
                self._order.answered(question, now_ns)
            raise
        finally:
            timer.cancel()
            self._pending.end(asked)
            now_ns = self._clock.now_ns()
            unit.rested_ns = now_ns + unit.gap_ns
            self.counts.busy_ns += now_ns - begin_ns
        self._order.answered(question, came_ns)
        if proving and asked.wrong:  # another reply came first: which was the answer?
            raise BadReply(UNPROVEN)
        if question.function == MANY and self._order.owes_order(question, came_ns):
            raise BadReply(EARLIER)
        if not question.writes:
            self._order.proved(question)
        self._overlap.answered(question.unit, asked.overlapped, came_ns)
        self._diagnosis.fine(came_ns)
        self._right += 1
        # After a stall of ours a reply is read long after it came: it is no newer than this.
        came_ns = min(came_ns, begin_ns + limit_ns)
        sampled_ns = came_ns if question.writes else begin_ns
        return Answer(values_of(question, pdu), sampled_ns, question, came_ns - begin_ns)

    def _lost(self, asked: Asked, timeout_ns: int, late_ns: int, silent: bool) -> None:
        """A question was not answered in time."""
        now_ns = self._clock.now_ns()
        question = asked.question
        self._order.lost(question, now_ns, timeout_ns, late_ns)
        self._pending.lost(asked)
        self._overlap.lost(question.unit, asked.overlapped, now_ns)
        if asked.shifted:
            self._rest(now_ns)
        elif self._buffer:  # whatever comes next would be taken for the rest of it
            self._drop("sent half a reply")
        elif silent and self._opening.silent(now_ns):
            self._drop("does not answer")

    def _rest(self, now_ns: int) -> None:
        """It has lost step: leave it alone for a while."""
        self.counts.shifts += 1
        self._diagnosis.note(SHIFTED, now_ns, weight=3)
        if self._right >= STEADY:
            self._rests = 0
        self._right = 0
        self._rest_ns = now_ns + min(REST_FIRST_NS << self._rests, REST_MOST_NS)
        self._rests += 1
        if self._rests > 1:
            self._drop("lost step again")

    def _send(self, frame: bytes) -> None:
        if self.link.kind == "udp":
            cast("asyncio.DatagramTransport", self._transport).sendto(frame)
        else:
            cast("asyncio.Transport", self._transport).write(frame)

    async def _connect(self) -> None:
        async with self._connecting:
            if self._transport is not None:
                return
            opening, link = self._opening, self.link
            if not opening.may_open(self._clock.now_ns()):
                raise LinkDown(f"{link.where} {self.counts.error}")
            loop = asyncio.get_running_loop()
            try:
                async with asyncio.timeout(CONNECT_S):
                    if link.kind == "udp":
                        address = (link.host, link.port)
                        await loop.create_datagram_endpoint(lambda: self, remote_addr=address)
                    else:
                        await loop.create_connection(lambda: self, link.host, link.port)
            except (OSError, TimeoutError) as error:
                reason = str(error) or "no answer"
                opening.failed(self._clock.now_ns(), f"cannot be reached: {reason}")
                raise LinkDown(f"{link.where} {self.counts.error}") from None
            opening.opened(self._clock.now_ns())
            self._overlap.connected()
            self._order.connected()
            if opening.settled_ns > self._clock.now_ns():
                await self._clock.sleep_until(opening.settled_ns)

    def _drop(self, why: str, kind: type[FieldError] = LinkDown) -> None:
        """Give the connection up; whatever was asked fails with an error of this kind."""
        if self._transport is not None:
            transport, self._transport = self._transport, None
            transport.abort()
        self._buffer.clear()
        if not self._opening.answers:
            self._order.unheard(self._opening.opened_ns)
        self._opening.lost(self._clock.now_ns(), why)
        self._pending.fail(kind(f"{self.link.where} {why}"))

    # what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is up, or the socket there."""
        self._transport = cast("asyncio.Transport | asyncio.DatagramTransport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer or the network ended the connection."""
        if self._transport is not None:
            self._drop("closed the connection")

    def error_received(self, exc: Exception) -> None:
        """A datagram could not be delivered: nobody listens there."""
        if self._transport is not None:
            self._drop(f"cannot be reached: {exc}")

    def datagram_received(self, data: bytes, addr: object) -> None:
        """One datagram, with one reply in it."""
        now_ns = self._clock.now_ns()
        self._note_heard(len(data), now_ns)
        try:
            frame = split_tcp(bytearray(data))
        except BadReply:
            frame = None
        if frame is None:
            self.counts.stray_bytes += len(data)
        else:
            self._pending.receive(*frame, now_ns)

    def data_received(self, data: bytes) -> None:
        """Bytes from the peer: whole, split or several replies at once."""
        now_ns = self._clock.now_ns()
        self._note_heard(len(data), now_ns)
        self._buffer += data
        try:
            while (frame := split_tcp(self._buffer)) is not None:
                self._pending.receive(*frame, now_ns)
        except BadReply as error:
            self.counts.stray_bytes += len(self._buffer)
            if speaks_rtu(self._pending.questions, bytes(self._buffer)):
                remark = rtu_framing(self.link.host, self.link.port)
                self._diagnosis.note(remark, now_ns, weight=3)
                self._drop(remark, BadReply)
            else:
                self._drop(str(error), BadReply)
            return
        if len(self._buffer) > MOST_BUFFERED:
            self._drop("sent too many bytes without a frame")

    def _note_heard(self, size: int, now_ns: int) -> None:
        self._heard += size
        self._opening.heard(now_ns)
