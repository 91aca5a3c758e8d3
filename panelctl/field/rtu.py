"""A Modbus RTU line over a serial port.

Rules
- 3.5 characters (or the link's fixed silence) pass after the last byte before the next question.
- Whatever lies in the input before a question is sent is thrown away: it answers an older one.
- A frame that is not the reply to this question is dropped and the timer keeps running.
- A lost port is reopened with a short backoff; questions meanwhile fail at once.
"""

from __future__ import annotations

import asyncio

from panelctl.clock import Clock
from panelctl.errors import DeviceRefused, LinkDown, ReplyTimeout
from panelctl.field.bus import Answer, LinkCounts, Turn, TurnQueue
from panelctl.field.frames import Question, RtuReceiver, values_of
from panelctl.field.port import OpenPort, Port, SerialPort
from panelctl.modbus.wire import Wire
from panelctl.model.panel import Link
from panelctl.units import NS_PER_MS

REOPEN_FIRST_NS = 100 * NS_PER_MS
REOPEN_MOST_NS = 300 * NS_PER_MS  # and a sweep: back within a second
SHARP_BELOW_NS = 2 * NS_PER_MS  # a silence so short is a good part of the transaction
STRAY_CHARS = 24  # a UART hands bytes over in pieces of its FIFO: silence between two is none


class RtuLink:
    """A serial line as a BusLink. The port is opened with the first question, by `open_port`."""

    def __init__(self, link: Link, clock: Clock, open_port: OpenPort = SerialPort) -> None:
        self.link = link
        self.counts = LinkCounts()
        self._clock = clock
        self._wire = Wire.rtu(link.baud, link.parity, link.stop_bits, link.silence_us)
        sharp = self._wire.silence_ns < SHARP_BELOW_NS
        self._sleep_until = clock.sharp_until if sharp else clock.sleep_until
        self._turns = TurnQueue()
        self._open_port = open_port
        self._port: Port | None = None
        self._quiet_ns = 0
        self._reopen_ns = 0
        self._backoff_ns = REOPEN_FIRST_NS
        self._receiver: RtuReceiver | None = None
        self._reply: asyncio.Future[tuple[bytes, int]] | None = None

    async def ask(self, question: Question, timeout_ms: int, turn: Turn) -> Answer:
        """See BusLink. `timeout_ms` is the device's own time; the wire's is added to it."""
        if not self._turns.take():  # most of the time it is free, and nothing is to be awaited
            await self._turns.enter(turn)
        try:
            return await self._exchange(question, timeout_ms)
        finally:
            self._turns.leave()

    async def close(self) -> None:
        """Give the port back."""
        self._drop_port()

    async def _exchange(self, question: Question, timeout_ms: int) -> Answer:
        self._open()
        await self._silence()
        loop = asyncio.get_running_loop()
        frame = question.rtu
        begin_ns = self._clock.now_ns()
        receiver = self._receiver = RtuReceiver(question)
        reply = self._reply = loop.create_future()
        chars = len(frame) + question.reply_len + 3
        limit_ns = chars * self._wire.char_ns + timeout_ms * NS_PER_MS
        timer = loop.call_later(limit_ns / 1e9, self._expire)
        try:
            self._write(frame)
            self.counts.transactions += 1
            pdu, sampled_ns = await reply
        except ReplyTimeout:
            self.counts.timeouts += 1
            raise
        finally:
            timer.cancel()
            self.counts.stray_bytes += receiver.dropped
            self._receiver = self._reply = None
            now_ns = self._clock.now_ns()
            self.counts.busy_ns += now_ns - begin_ns
            self._quiet_ns = max(self._quiet_ns, now_ns + self._wire.silence_ns)
        # After a stall of ours a reply is read long after it came: it is no newer than this.
        return Answer(values_of(question, pdu), min(sampled_ns, begin_ns + limit_ns))

    async def _silence(self) -> None:
        """Wait until the line has been quiet for long enough, and empty the input."""
        while True:
            await self._sleep_until(self._quiet_ns)
            stray = self._drain()
            if not stray and self._clock.now_ns() >= self._quiet_ns:
                return
            if stray:
                self.counts.stray_bytes += stray
                self._quiet_ns = self._clock.now_ns() + STRAY_CHARS * self._wire.char_ns

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
            raise LinkDown(f"{self.link.path} is not open")
        try:
            return self._port.read()
        except OSError as error:
            raise self._lost(error) from None

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
            self._quiet_ns = now_ns + STRAY_CHARS * self._wire.char_ns
            return
        try:
            pdu = self._receiver.feed(data)
        except DeviceRefused as refusal:
            self._reply.set_exception(refusal)
            return
        if pdu is not None:
            if self._receiver.more:
                self._quiet_ns = now_ns + STRAY_CHARS * self._wire.char_ns
            self._reply.set_result((pdu, now_ns))

    def _expire(self) -> None:
        self._fail(ReplyTimeout("no reply"))

    def _fail(self, error: Exception) -> None:
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(error)

    def _open(self) -> None:
        if self._port is not None:
            return
        now_ns = self._clock.now_ns()
        if now_ns < self._reopen_ns:
            raise LinkDown(f"{self.link.path} is not open")
        try:
            self._port = self._open_port(self.link)
        except OSError as error:
            self._wait_longer(now_ns)
            raise LinkDown(f"{self.link.path} cannot be opened: {error}") from None
        self._backoff_ns = REOPEN_FIRST_NS
        self._quiet_ns = now_ns + self._wire.silence_ns
        self.counts.reopened += 1
        self._port.listen(self._readable)

    def _lost(self, error: OSError) -> LinkDown:
        self._drop_port()
        self._wait_longer(self._clock.now_ns())
        return LinkDown(f"{self.link.path} was lost: {error}")

    def _wait_longer(self, now_ns: int) -> None:
        self._reopen_ns = now_ns + self._backoff_ns
        self._backoff_ns = min(2 * self._backoff_ns, REOPEN_MOST_NS)

    def _drop_port(self) -> None:
        if self._port is not None:
            port, self._port = self._port, None
            port.close()
