"""Questions and replies as bytes. Sans-IO; the only room that knows pymodbus.

pymodbus builds the requests; headers and checksums, which every frame needs, are written out, and a
test holds them against pymodbus's. Which bytes on a line are the reply to this question is decided
here, because RTU has no transaction number and pymodbus's framer compares only the unit: a reply
must match in unit, function, length and checksum, everything else is dropped. What then stands in
it are plain big-endian numbers; taking them out here costs a tenth of what pymodbus's decoder does.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pymodbus.pdu.bit_message import (
    ReadCoilsRequest,
    ReadDiscreteInputsRequest,
    WriteSingleCoilRequest,
)
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadInputRegistersRequest,
    WriteMultipleRegistersRequest,
    WriteSingleRegisterRequest,
)

from panelctl.errors import BadReply, DeviceRefused
from panelctl.modbus.crc import crc16, rtu_bytes

READS: dict[str, Any] = {
    "coil": ReadCoilsRequest,
    "discrete": ReadDiscreteInputsRequest,
    "holding": ReadHoldingRegistersRequest,
    "input": ReadInputRegistersRequest,
}
READ_FUNCTIONS = {1, 2, 3, 4}
MANY = 16  # a write of several registers: its acknowledgement does not say what was written
UNREACHED = (10, 11)  # a gateway's own refusals: no path, no answer
BUSY_CODES = (5, 6)  # acknowledge (it is at it), busy
CRC_BYTES = 2
EXCEPTION_FRAME = 5  # unit, function, code, CRC
MOST_BUFFERED = 1024  # more than three frames of garbage: the line is not talking to us
MBAP_BYTES = 7
QUESTIONS_KEPT = 1024  # a panel asks the same ones for ever


@dataclass(frozen=True, slots=True)
class Question:
    """One request: its unit and PDU, and what the PDU of its reply has to look like.

    `reply_head` are the first bytes of the reply's PDU that are known beforehand, `reply_len` its
    whole length, `shape` what is seen of it from outside (field/sequence.py). `count` is how many
    registers or bits a read returns, 0 for a write.
    """

    unit: int
    function: int
    pdu: bytes
    reply_head: bytes
    reply_len: int
    count: int
    bits: bool
    shape: int = field(init=False)
    rtu: bytes = field(init=False)  # the frame on a serial line; how a reply and a refusal begin
    rtu_head: bytes = field(init=False)
    rtu_refusal: bytes = field(init=False)

    def __post_init__(self) -> None:
        put = object.__setattr__  # it is frozen
        put(self, "shape", self.function << 16 | self.reply_len)
        put(self, "rtu", rtu_bytes(self.unit, self.pdu))
        put(self, "rtu_head", bytes([self.unit]) + self.reply_head)
        put(self, "rtu_refusal", bytes([self.unit, self.function | 0x80]))

    @property
    def writes(self) -> bool:
        """Whether it changes anything in the device."""
        return self.function not in READ_FUNCTIONS


@lru_cache(QUESTIONS_KEPT)
def read_question(unit: int, table: str, address: int, count: int) -> Question:
    """A read of `count` registers or bits of `table` from `address`."""
    request = READS[table](address=address, count=count)
    bits = table in ("coil", "discrete")
    data = (count + 7) // 8 if bits else 2 * count
    function: int = request.function_code
    return Question(
        unit=unit,
        function=function,
        pdu=bytes([function]) + request.encode(),
        reply_head=bytes([function, data]),
        reply_len=2 + data,
        count=count,
        bits=bits,
    )


def write_coil_question(unit: int, address: int, closed: bool) -> Question:
    """A write of one coil; the reply echoes the request."""
    request = WriteSingleCoilRequest(address=address, bits=[closed])
    pdu = bytes([request.function_code]) + request.encode()
    return Question(unit, request.function_code, pdu, pdu, len(pdu), 0, True)


def write_registers_question(unit: int, address: int, words: list[int]) -> Question:
    """A write of several holding registers; the reply repeats address and count."""
    request = WriteMultipleRegistersRequest(address=address, registers=words)
    pdu = bytes([request.function_code]) + request.encode()
    return Question(unit, request.function_code, pdu, pdu[:5], 5, 0, False)


def write_register_question(unit: int, address: int, word: int) -> Question:
    """A write of one holding register; the reply echoes the request."""
    request = WriteSingleRegisterRequest(address=address, registers=[word])
    pdu = bytes([request.function_code]) + request.encode()
    return Question(unit, request.function_code, pdu, pdu, len(pdu), 0, False)


def tcp_frame(question: Question, transaction: int) -> bytes:
    """The bytes of a question on a TCP connection."""
    pdu = question.pdu
    return struct.pack(">HHHB", transaction, 0, 1 + len(pdu), question.unit) + pdu


def values_of(question: Question, pdu: bytes) -> list[int]:
    """The registers or bits (0/1) in a matched reply's PDU; its length is right already."""
    if question.count == 0:
        return []
    if question.bits:
        return [pdu[2 + n // 8] >> n % 8 & 1 for n in range(question.count)]
    return list(_words(question.count).unpack_from(pdu, 2))


@lru_cache
def _words(count: int) -> struct.Struct:
    return struct.Struct(f">{count}H")


class RtuReceiver:
    """Finds the reply to one question in the bytes of a serial line.

    `feed` returns the reply's PDU, or None while it has not come. Raises DeviceRefused for an
    exception reply. Bytes that cannot be the reply are dropped and counted in `dropped`.

    An adapter that hears itself gives our own frame back first. That cannot be the reply to a read;
    to most writes it looks exactly like it, so that `echoes` has to say whether one may come.
    """

    def __init__(self, question: Question, echoes: bool = False) -> None:
        self.question = question
        self.dropped = 0
        self.more = False  # bytes came behind the reply: somebody is still talking
        self.echoed = False  # our own frame came back
        self.heard = b""  # what came, as it came, up to MOST_BUFFERED
        self._echoes = echoes
        self._buffer = bytearray()
        self._length = 1 + question.reply_len + CRC_BYTES

    def feed(self, data: bytes) -> bytes | None:
        """Take bytes off the line; see the class."""
        buffer, question = self._buffer, self.question
        buffer += data
        if len(self.heard) < MOST_BUFFERED:
            self.heard += data
        if len(buffer) > MOST_BUFFERED:
            self.dropped += len(buffer) - MOST_BUFFERED
            del buffer[:-MOST_BUFFERED]
        while buffer:
            if self._starts(question.rtu_head):
                if len(buffer) < self._length:
                    return None
                frame = bytes(buffer[: self._length])
                if self._echoes and not self.echoed and frame == question.rtu:
                    self.echoed = True
                    del buffer[: self._length]
                    continue
                if crc16(frame) == 0:
                    self.dropped += len(buffer) - self._length
                    self.more = len(buffer) > self._length
                    return frame[1:-CRC_BYTES]
            elif self._starts(question.rtu_refusal):
                if len(buffer) < EXCEPTION_FRAME:
                    return None
                if crc16(buffer[:EXCEPTION_FRAME]) == 0:
                    raise DeviceRefused(buffer[2])
            del buffer[0]
            self.dropped += 1
        return None

    def _starts(self, head: bytes) -> bool:
        """Whether what is there so far could be the start of `head`."""
        buffer = self._buffer
        return buffer.startswith(head) if len(buffer) >= len(head) else head.startswith(buffer)


def is_rtu(question: Question, data: bytes | bytearray) -> bool:
    """Whether bytes that came where Modbus TCP is expected are an RTU reply to this question."""
    try:
        return RtuReceiver(question).feed(bytes(data)) is not None
    except DeviceRefused:
        return True


def split_tcp(buffer: bytearray) -> tuple[int, int, bytes] | None:
    """Take the next (transaction, unit, PDU) out of a TCP buffer, or None while it is incomplete.

    Raises BadReply when the stream is out of step; the connection is then of no more use.
    """
    if len(buffer) < MBAP_BYTES:
        return None
    length = buffer[4] << 8 | buffer[5]
    if buffer[2] or buffer[3] or not 3 <= length <= 254:
        raise BadReply("not a Modbus TCP header")
    if len(buffer) < 6 + length:
        return None
    transaction, unit = buffer[0] << 8 | buffer[1], buffer[6]
    pdu = bytes(buffer[MBAP_BYTES : 6 + length])
    del buffer[: 6 + length]
    return transaction, unit, pdu


def tcp_answers(question: Question, unit: int, pdu: bytes) -> bool:
    """Whether a reply with the right transaction number answers the question.

    Raises DeviceRefused for an exception reply, BadReply for any other shape.
    """
    if unit == question.unit and len(pdu) == 2 and pdu[0] == question.function | 0x80:
        raise DeviceRefused(pdu[1])
    if (
        unit != question.unit
        or len(pdu) != question.reply_len
        or not pdu.startswith(question.reply_head)
    ):
        raise BadReply("the reply does not match the question")
    return True
