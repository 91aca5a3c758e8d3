"""A Modbus TCP connection: one a host, replies matched by transaction number.

A late reply carries an old number and is dropped. A stream that loses step, or a peer that stays
silent three times running, costs the connection; it is opened again with a short backoff.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from panelctl.clock import Clock
from panelctl.errors import BadReply, DeviceRefused, LinkDown, ReplyTimeout
from panelctl.field.bus import Answer, LinkCounts, Turn, TurnQueue
from panelctl.field.frames import Question, split_tcp, tcp_answers, tcp_frame, values_of
from panelctl.model.panel import Link
from panelctl.units import NS_PER_MS

CONNECT_S = 1.0
SILENT_MOST = 3
REOPEN_FIRST_NS = 100 * NS_PER_MS
REOPEN_MOST_NS = 800 * NS_PER_MS
MOST_BUFFERED = 4096


class TcpLink(asyncio.Protocol):
    """A TCP connection as a BusLink. It is opened with the first question."""

    def __init__(self, link: Link, clock: Clock) -> None:
        self.link = link
        self.counts = LinkCounts()
        self._clock = clock
        self._turns = TurnQueue()
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._transaction = 0
        self._question: Question | None = None
        self._reply: asyncio.Future[tuple[bytes, int]] | None = None
        self._silent = 0
        self._reopen_ns = 0
        self._backoff_ns = REOPEN_FIRST_NS

    async def ask(self, question: Question, timeout_ms: int, turn: Turn) -> Answer:
        """See BusLink."""
        await self._turns.enter(turn)
        try:
            return await self._exchange(question, timeout_ms)
        finally:
            self._turns.leave()

    async def close(self) -> None:
        """Close the connection."""
        self._drop()

    async def _exchange(self, question: Question, timeout_ms: int) -> Answer:
        await self._connect()
        assert self._transport is not None
        loop = asyncio.get_running_loop()
        begin_ns = self._clock.now_ns()
        self._transaction = self._transaction % 65535 + 1
        self._question = question
        reply = self._reply = loop.create_future()
        timer = loop.call_later(timeout_ms / 1000, self._expire)
        try:
            self._transport.write(tcp_frame(question, self._transaction))
            self.counts.transactions += 1
            pdu, sampled_ns = await reply
        except ReplyTimeout:
            self.counts.timeouts += 1
            self._silent += 1
            if self._silent >= SILENT_MOST:
                self._drop()
            raise
        finally:
            timer.cancel()
            self._question = self._reply = None
            self.counts.busy_ns += self._clock.now_ns() - begin_ns
        self._silent = 0
        return Answer(values_of(question, pdu), sampled_ns)

    async def _connect(self) -> None:
        if self._transport is not None:
            return
        where = f"{self.link.host}:{self.link.port}"
        if self._clock.now_ns() < self._reopen_ns:
            raise LinkDown(f"{where} is not connected")
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_S):
                await loop.create_connection(lambda: self, self.link.host, self.link.port)
        except (OSError, TimeoutError) as error:
            self._reopen_ns = self._clock.now_ns() + self._backoff_ns
            self._backoff_ns = min(2 * self._backoff_ns, REOPEN_MOST_NS)
            raise LinkDown(f"{where} cannot be reached: {error or 'no answer'}") from None
        self._backoff_ns = REOPEN_FIRST_NS
        self.counts.reopened += 1

    def _drop(self) -> None:
        if self._transport is not None:
            transport, self._transport = self._transport, None
            transport.abort()
        self._buffer.clear()
        self._silent = 0
        self._reopen_ns = self._clock.now_ns() + self._backoff_ns

    def _expire(self) -> None:
        self._fail(ReplyTimeout("no reply"))

    def _fail(self, error: Exception) -> None:
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(error)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is up."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer or the network ended the connection."""
        if self._transport is not None:
            self._transport = None
            self._buffer.clear()
            self._reopen_ns = self._clock.now_ns() + self._backoff_ns
            self._fail(LinkDown(f"{self.link.host}:{self.link.port} closed the connection"))

    def data_received(self, data: bytes) -> None:
        """Bytes from the peer: whole, split or several replies at once."""
        now_ns = self._clock.now_ns()
        self._buffer += data
        if len(self._buffer) > MOST_BUFFERED:
            self._out_of_step(BadReply("too many bytes without a frame"))
            return
        try:
            while (frame := split_tcp(self._buffer)) is not None:
                self._take(*frame, now_ns)
        except BadReply as error:
            self._out_of_step(error)

    def _take(self, transaction: int, unit: int, pdu: bytes, now_ns: int) -> None:
        if self._question is None or self._reply is None or transaction != self._transaction:
            self.counts.stray_bytes += len(pdu)
            return
        if self._reply.done():
            return
        try:
            tcp_answers(self._question, unit, pdu)
        except (DeviceRefused, BadReply) as error:
            self._reply.set_exception(error)
            return
        self._reply.set_result((pdu, now_ns))

    def _out_of_step(self, error: BadReply) -> None:
        self._fail(error)
        with suppress(RuntimeError):
            self._drop()
