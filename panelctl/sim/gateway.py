"""What answers on a network: devices behind one address, and what real gateways do wrong.

No sockets in here: tcp.py and udp.py have some, bus.py has virtual ones. A gateway asks its units
side by side; each answers in its own time. Every vice is off until somebody turns it on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from panelctl.modbus.crc import rtu_bytes
from panelctl.sim.caller import Caller
from panelctl.sim.devices import SimDevice
from panelctl.sim.server import Fault, answered, refusal, struck_by
from panelctl.units import NS_PER_MS

SPLIT_NS = NS_PER_MS // 4  # between two bytes of a reply that is split
NO_ANSWER = 0x0B  # gateway target device failed to respond
MOST_SHIFT = 16  # replies that are remembered
Asked = tuple[Caller, bytes, bytes]


class NetReply(NamedTuple):
    """A reply's bytes, when they are sent (ns after the request came), and what struck them."""

    frame: bytes
    wait_ns: int
    struck: Fault | None


class Gateway:
    """Devices by unit id, each with its faults, and the gateway's own vices:

    - `shift`: it answers with the reply to the request so many before; see begin_shift.
    - `stamps`: what a late reply carries: its "own" number, the newest "number" that was asked
      under, or the newest number and "unit".
    - `alias`: it answers as this unit, whoever was asked.
    - `number_plus` is added to the transaction number of each reply.
    - `first_only`: of the requests that come at once it answers the first.
    - `settle_s`: it is deaf for so long after a connection was made.
    - `one_by_one`: there is one line behind it; requests wait for each other.
    - `speaks_rtu`: it answers in RTU frames, and takes them beside those of Modbus TCP.
    """

    def __init__(self, units: dict[int, SimDevice], time_s: Callable[[], float]) -> None:
        self.units = units
        self.faults: dict[int, list[Fault]] = {unit: [] for unit in units}
        self.requests = 0
        self.shift = 0
        self.shift_idle_ms = 200.0  # without a request for so long a shift is over
        self.shifted = 0  # replies that were given to the wrong request
        self.stamps_unit = False  # a shifted reply carries the newest request's unit id
        self.stamps = "own"
        self.alias: int | None = None
        self.number_plus = 0
        self.first_only = False
        self.settle_s = 0.0
        self.one_by_one = False
        self.speaks_rtu = False
        self._time_s = time_s
        self._last: deque[tuple[int, bytes]] = deque(maxlen=MOST_SHIFT)  # replies: unit and PDU
        self._queue: deque[tuple[int, bytes]] = deque()  # those that are yet to be given away
        self._asked_ns = 0  # when a shifted gateway was asked last
        self._still: deque[Asked] | None = None  # what was asked while it stands still
        self._waiting: deque[Asked] = deque()  # for the one line
        self._busy = False

    def now_ns(self) -> int:
        """The time, ns."""
        raise NotImplementedError

    def after(self, wait_ns: int, do: Callable[..., None], *args: Any) -> None:
        """Do something in a while."""
        raise NotImplementedError

    def begin_shift(self, shift: int, at_once: bool = False) -> None:
        """From now on each request gets the reply to the one `shift` before. The first ones are
        told that nobody answered; or, `at_once`, they get the last replies that were given: out of
        a silence of `shift_idle_ms` it does not begin in this way, for nothing is on its way then.
        """
        self.end_shift()
        self.shift = shift
        if at_once:
            self._queue.extend(list(self._last)[-shift:])

    def end_shift(self) -> None:
        """It answers rightly again."""
        self.shift = 0
        self._queue.clear()

    def stand_still(self) -> None:
        """From now on requests are taken, and neither answered nor done."""
        self._still = self._still or deque()

    def go_on(self) -> None:
        """Everything that was asked meanwhile is done and answered at once."""
        asked, self._still = self._still or (), None
        for each in asked:
            self.ask(*each)

    def ask(self, caller: Caller, header: bytes, pdu: bytes) -> None:
        """A request: the seven bytes of its header, and its PDU."""
        if self._still is not None:
            self._still.append((caller, header, pdu))
            return
        self.requests += 1
        self._heed_idle()
        if self.stamps != "own":
            caller.note(self._number(header), header[6])
        if self.one_by_one:
            self._waiting.append((caller, header, pdu))
            if not self._busy:
                self._serve_next()
            return
        reply = self.reply(header, pdu)
        if reply is not None:
            self._send(caller, reply)

    def reply(self, header: bytes, pdu: bytes) -> NetReply | None:
        """The reply to a request, None for no reply."""
        unit = header[6]
        device = self.units.get(unit)
        if device is None and self.alias is not None:
            unit = self.alias
            device = self.units.get(unit)
        if device is None:
            return None
        faults = self.faults[unit]
        struck = struck_by(faults, pdu) if faults else None
        kind = struck.kind if struck else ""
        if kind == "dead":
            return None
        answer = answered(device, pdu, self._time_s(), struck)
        wait_ms = device.device.turnround_ms
        if struck is not None:
            wait_ms += struck.delay_ms
        sender = unit if self.alias is None else self.alias
        self._last.append((sender, answer))
        if self.shift:
            sender, answer = self._shifted(sender, answer, pdu)
        if kind == "foreign":
            sender = unit % 247 + 1
        if self.speaks_rtu:
            frame = rtu_bytes(sender, answer)
        else:
            length = (len(answer) + 1).to_bytes(2, "big")
            frame = self._number(header) + header[2:4] + length + bytes([sender]) + answer
        if kind:
            frame = _spoilt(frame, kind)
        return NetReply(frame, int(wait_ms * NS_PER_MS), struck)

    def _number(self, header: bytes) -> bytes:
        """The transaction number that a reply carries."""
        if not self.number_plus:
            return header[:2]
        return ((int.from_bytes(header[:2], "big") + self.number_plus) & 0xFFFF).to_bytes(2, "big")

    def _send(self, caller: Caller, reply: NetReply) -> None:
        frame, wait_ns, struck = reply
        kind = struck.kind if struck else ""
        if self.stamps != "own" and kind in ("", "late") and not self.speaks_rtu:
            self.after(wait_ns, caller.stamp, frame, kind == "late", self.stamps == "unit")
        elif struck is None:
            self.after(wait_ns, caller.write, frame)
        elif kind == "closed":
            self.after(wait_ns, caller.close)
        elif kind == "split":
            self.after(wait_ns, caller.write, frame, SPLIT_NS)
        elif kind == "drip":
            self.after(wait_ns, caller.drip, frame, int(struck.ms * NS_PER_MS))
        else:
            self.after(wait_ns, caller.write, frame)
            if kind == "repeat":
                self.after(wait_ns + int(struck.ms * NS_PER_MS), caller.write, frame)

    def _serve_next(self) -> None:
        """The line is free: serve the request that has waited longest."""
        self._busy = False
        while self._waiting:
            caller, header, pdu = self._waiting.popleft()
            reply = self.reply(header, pdu)
            if reply is not None:
                self._busy = True
                self._send(caller, reply)
                self.after(reply.wait_ns, self._serve_next)
                return

    def end_requests(self) -> None:
        """Nobody waits for the line any more."""
        self._waiting.clear()
        self._busy = False

    def _heed_idle(self) -> None:
        """A shift that has begun is over when nobody has asked for a while."""
        now_ns = self.now_ns()
        if self._queue and now_ns - self._asked_ns >= self.shift_idle_ms * NS_PER_MS:
            self.end_shift()
        self._asked_ns = now_ns

    def _shifted(self, sender: int, answer: bytes, pdu: bytes) -> tuple[int, bytes]:
        """What this request gets while another one's reply is still to be given away."""
        self._queue.append((sender, answer))
        if len(self._queue) <= self.shift:
            return sender, refusal(pdu, NO_ANSWER)
        self.shifted += 1
        before, old = self._queue.popleft()
        return sender if self.stamps_unit else before, old


def _spoilt(frame: bytes, kind: str) -> bytes:
    """The frame of a reply that a fault has struck."""
    if kind == "short":
        return frame[:-2]
    if kind == "half":
        return frame[: len(frame) // 2]
    if kind == "garbled":
        return bytes([frame[0] ^ 0x55]) + frame[1:]  # another transaction's number
    if kind == "noise":
        return b"\xff\x00\x7f" + frame
    if kind == "duplicate":
        return frame * 2
    return frame
