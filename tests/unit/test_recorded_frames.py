"""Frames that real devices sent: each is the reply to its own question, and to no other."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from panelctl.errors import BadReply, DeviceRefused
from panelctl.field.frames import (
    Question,
    RtuReceiver,
    read_question,
    split_tcp,
    tcp_answers,
    tcp_frame,
    values_of,
)

CAPTURES = Path("fixtures/captures")
TCP_FRAME = "GW10K-MS-30_tcp_running_data.hex"
HEX = sorted(path.name for path in CAPTURES.glob("goodwe/*.hex") if path.name != TCP_FRAME)
PCAPS = sorted(path.name for path in CAPTURES.glob("pcap/*.pcap"))
TABLES = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}


def frame_of(name: str) -> bytes:
    return bytes.fromhex("".join((CAPTURES / "goodwe" / name).read_text().split()))


@pytest.mark.parametrize("name", HEX)
def test_an_inverters_reply_is_found_behind_its_prefix_in_any_pieces(name: str) -> None:
    raw = frame_of(name)
    assert raw[:2] == b"\xaa\x55"
    unit, function, length = raw[2:5]
    assert function == 3
    words = list(struct.unpack(f">{length // 2}H", raw[5 : 5 + length]))
    question = read_question(unit, "holding", 0x1000, length // 2)
    for step in (1, 7, len(raw)):
        receiver = RtuReceiver(question)
        found = [receiver.feed(raw[n : n + step]) for n in range(0, len(raw), step)]
        pdu = next(pdu for pdu in found if pdu is not None)
        assert values_of(question, pdu) == words
    others = [
        read_question(unit, "holding", 0x1000, length // 2 - 1),
        read_question(unit, "input", 0x1000, length // 2),
        read_question(unit ^ 1, "holding", 0x1000, length // 2),
    ]
    for other in others:
        assert RtuReceiver(other).feed(raw) is None
    for place in range(2, 5 + length + 2):
        broken = bytearray(raw[: 5 + length + 2])
        broken[place] ^= 0x10
        assert RtuReceiver(question).feed(bytes(broken)) is None


def test_an_inverters_reply_over_tcp() -> None:
    buffer = bytearray(frame_of(TCP_FRAME))
    taken = split_tcp(buffer)
    assert taken is not None
    transaction, unit, pdu = taken
    assert (transaction, unit, bytes(buffer)) == (0x8103, 0x7F, b"")
    assert tcp_answers(read_question(unit, "holding", 0, pdu[1] // 2), unit, pdu)


def payloads(name: str) -> Iterator[tuple[bool, bytes]]:
    """The TCP payloads of a recording, and whether they come from the device."""
    data = (CAPTURES / "pcap" / name).read_bytes()
    place = 24
    while place < len(data):
        (size,) = struct.unpack_from("<I", data, place + 8)
        packet = data[place + 16 : place + 16 + size]
        place += 16 + size
        tcp = 14 + (packet[14] & 15) * 4
        begin = tcp + (packet[tcp + 12] >> 4) * 4
        (total,) = struct.unpack_from(">H", packet, 16)
        if begin < 14 + total:
            yield packet[tcp : tcp + 2] == struct.pack(">H", 502), packet[begin : 14 + total]


def question_of(frame: bytes) -> Question | None:
    """The read that a frame asks for, where it is one of ours."""
    if len(frame) != 12 or frame[2:6] != b"\0\0\0\6" or frame[7] not in TABLES:
        return None
    address, count = struct.unpack(">HH", frame[8:12])
    if not 0 < count <= (2000 if frame[7] < 3 else 125):
        return None
    question = read_question(frame[6], TABLES[frame[7]], address, count)
    assert tcp_frame(question, frame[0] << 8 | frame[1]) == frame
    return question


FOREIGN = read_question(77, "holding", 0, 3)


@pytest.mark.parametrize("name", PCAPS)
def test_what_was_recorded_on_networks_answers_its_own_question_or_none(name: str) -> None:
    asked: Question | None = None
    answers = refusals = 0
    for from_device, payload in payloads(name):
        if not from_device:
            asked = question_of(payload)
            continue
        buffer = bytearray(payload)
        try:
            while (taken := split_tcp(buffer)) is not None:
                _, unit, pdu = taken
                with pytest.raises((BadReply, DeviceRefused)):
                    tcp_answers(FOREIGN, unit, pdu)
                if asked is None:
                    continue
                try:
                    answers += tcp_answers(asked, unit, pdu)
                    assert len(values_of(asked, pdu)) == asked.count
                except DeviceRefused:
                    refusals += 1
        except BadReply:
            pass  # a malformed stream or a foreign reply: said so, and nothing taken
    if name == "modbusSmall.pcap":
        assert answers >= 8
    if name == "modbus_test_data_part2.pcap":
        assert refusals >= 8
