"""A Modbus TCP connection: one a host, replies matched by transaction number.

Rules
- Several units behind one gateway are asked side by side, up to `link.inflight` questions at once;
  one unit is asked one thing at a time.
- A late reply carries an old number and is dropped.
- A stream that loses step, or a peer that stays silent three times running, costs the connection;
  it is opened again with a short backoff, and every question under way fails at once.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from panelctl.clock import Clock
from panelctl.errors import BadReply, DeviceRefused, LinkDown, ReplyTimeout
from panelctl.field.bus import Answer, LinkCounts, Turn, TurnQueue
from panelctl.field.frames import Question, split_tcp, tcp_answers, tcp_frame, values_of
from panelctl.model.panel import Link
from panelctl.units import NS_PER_MS

CONNECT_S = 1.0
SILENT_MOST = 3
REOPEN_FIRST_NS = 100 * NS_PER_MS
REOPEN_MOST_NS = 300 * NS_PER_MS  # and a sweep: back within a second
MOST_BUFFERED = 4096


@dataclass(slots=True)
class _Asked:
    """A question under way."""

    question: Question
    reply: asyncio.Future[tuple[bytes, int]]


class TcpLink(asyncio.Protocol):
    """A TCP connection as a BusLink. It is opened with the first question."""

    def __init__(self, link: Link, clock: Clock) -> None:
        self.link = link
        self.counts = LinkCounts()
        self._clock = clock
        self._turns = TurnQueue(link.inflight)
        self._units: dict[int, TurnQueue] = {}
        self._transport: asyncio.Transport | None = None
        self._connecting = asyncio.Lock()
        self._buffer = bytearray()
        self._transaction = 0
        self._asked: dict[int, _Asked] = {}
        self._silent = 0
        self._reopen_ns = 0
        self._backoff_ns = REOPEN_FIRST_NS

    async def ask(self, question: Question, timeout_ms: int, turn: Turn) -> Answer:
        """See BusLink."""
        unit = self._units.setdefault(question.unit, TurnQueue())
        if not unit.take():  # most of the time it is free, and nothing is to be awaited
            await unit.enter(turn)
        try:
            if not self._turns.take():
                await self._turns.enter(turn)
            try:
                return await self._exchange(question, timeout_ms)
            finally:
                self._turns.leave()
        finally:
            unit.leave()

    async def close(self) -> None:
        """Close the connection."""
        self._drop(LinkDown("the connection was closed"))

    async def _exchange(self, question: Question, timeout_ms: int) -> Answer:
        if self._transport is None:
            await self._connect()
        assert self._transport is not None
        loop = asyncio.get_running_loop()
        begin_ns = self._clock.now_ns()
        number = self._transaction = self._transaction % 65535 + 1
        asked = self._asked[number] = _Asked(question, loop.create_future())
        timer = loop.call_later(timeout_ms / 1000, self._expire, asked)
        try:
            self._transport.write(tcp_frame(question, number))
            self.counts.transactions += 1
            pdu, sampled_ns = await asked.reply
        except ReplyTimeout:
            self.counts.timeouts += 1
            self._silent += 1
            if self._silent >= SILENT_MOST:
                self._drop(LinkDown(f"{self._where} does not answer"))
            raise
        finally:
            timer.cancel()
            self._asked.pop(number, None)
            self.counts.busy_ns += self._clock.now_ns() - begin_ns
        # After a stall of ours a reply is read long after it came: it is no newer than this.
        limit_ns = timeout_ms * NS_PER_MS
        return Answer(values_of(question, pdu), min(sampled_ns, begin_ns + limit_ns))

    @property
    def _where(self) -> str:
        return f"{self.link.host}:{self.link.port}"

    async def _connect(self) -> None:
        async with self._connecting:
            if self._transport is not None:
                return
            if self._clock.now_ns() < self._reopen_ns:
                raise LinkDown(f"{self._where} is not connected")
            loop = asyncio.get_running_loop()
            try:
                async with asyncio.timeout(CONNECT_S):
                    await loop.create_connection(lambda: self, self.link.host, self.link.port)
            except (OSError, TimeoutError) as error:
                self._reopen_ns = self._clock.now_ns() + self._backoff_ns
                self._backoff_ns = min(2 * self._backoff_ns, REOPEN_MOST_NS)
                reason = error or "no answer"
                raise LinkDown(f"{self._where} cannot be reached: {reason}") from None
            self._backoff_ns = REOPEN_FIRST_NS
            self.counts.reopened += 1

    def _drop(self, error: Exception) -> None:
        """Give the connection up; whatever was asked fails with `error`."""
        if self._transport is not None:
            transport, self._transport = self._transport, None
            transport.abort()
        self._buffer.clear()
        self._silent = 0
        self._reopen_ns = self._clock.now_ns() + self._backoff_ns
        for asked in self._asked.values():
            _fail(asked, error)

    def _expire(self, asked: _Asked) -> None:
        _fail(asked, ReplyTimeout("no reply"))

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is up."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer or the network ended the connection."""
        if self._transport is not None:
            self._drop(LinkDown(f"{self._where} closed the connection"))

    def data_received(self, data: bytes) -> None:
        """Bytes from the peer: whole, split or several replies at once."""
        now_ns = self._clock.now_ns()
        self._buffer += data
        if len(self._buffer) > MOST_BUFFERED:
            self._drop(BadReply("too many bytes without a frame"))
            return
        try:
            while (frame := split_tcp(self._buffer)) is not None:
                self._take(*frame, now_ns)
        except BadReply as error:
            self._drop(error)

    def _take(self, transaction: int, unit: int, pdu: bytes, now_ns: int) -> None:
        asked = self._asked.get(transaction)
        if asked is None or asked.reply.done():
            self.counts.stray_bytes += len(pdu)
            return
        self._silent = 0
        try:
            tcp_answers(asked.question, unit, pdu)
        except (DeviceRefused, BadReply) as error:
            _fail(asked, error)
            return
        asked.reply.set_result((pdu, now_ns))


def _fail(asked: _Asked, error: Exception) -> None:
    if not asked.reply.done():
        asked.reply.set_exception(error)
