"""Which bytes on a line are the reply: garbage, foreign units and late replies never are."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panelctl.errors import BadReply, DeviceRefused
from panelctl.field.frames import (
    RtuReceiver,
    read_question,
    split_tcp,
    tcp_answers,
    tcp_frame,
    values_of,
    write_coil_question,
    write_registers_question,
)
from panelctl.modbus.crc import rtu_bytes


def reply(unit: int, function: int, registers: list[int]) -> bytes:
    data = b"".join(word.to_bytes(2, "big") for word in registers)
    return rtu_bytes(unit, bytes([function, len(data)]) + data)


def test_a_reply_in_pieces() -> None:
    question = read_question(7, "input", 12, 3)
    receiver = RtuReceiver(question)
    frame = reply(7, 4, [1, 2, 0xFFFF])
    for n in range(len(frame) - 1):
        assert receiver.feed(frame[n : n + 1]) is None
    pdu = receiver.feed(frame[-1:])
    assert pdu is not None
    assert values_of(question, pdu) == [1, 2, 0xFFFF]
    assert receiver.dropped == 0


@pytest.mark.parametrize(
    "frame",
    [
        reply(8, 4, [1, 2, 3]),  # another unit
        reply(7, 3, [1, 2, 3]),  # another function
        reply(7, 4, [1, 2]),  # another length: a late reply to another question
        reply(7, 4, [1, 2, 3, 4]),
        reply(7, 4, [1, 2, 3])[:-1] + b"\x00",  # checksum
        read_question(7, "input", 12, 3).rtu,  # our own echo
        b"\x07\x04\x06" + b"\x00" * 6 + b"\xff\xff",
        b"\xff\x00\x7f",
        b"\x07\x04\xf0",
    ],
)
def test_what_is_not_the_reply_is_dropped_and_the_reply_behind_it_found(frame: bytes) -> None:
    question = read_question(7, "input", 12, 3)
    receiver = RtuReceiver(question)
    assert receiver.feed(frame) is None
    pdu = receiver.feed(reply(7, 4, [5, 6, 7]))
    assert pdu is not None
    assert values_of(question, pdu) == [5, 6, 7]
    assert receiver.dropped > 0


def test_a_refusal_is_told_from_a_reply() -> None:
    receiver = RtuReceiver(read_question(7, "input", 12, 3))
    with pytest.raises(DeviceRefused) as caught:
        receiver.feed(rtu_bytes(7, bytes([0x84, 2])))
    assert caught.value.code == 2


def test_a_write_is_answered_by_its_echo_only() -> None:
    question = write_coil_question(9, 3, True)
    receiver = RtuReceiver(question)
    other = write_coil_question(9, 4, True).rtu
    assert receiver.feed(other) is None
    assert receiver.feed(question.rtu) is not None


@settings(max_examples=300)
@given(st.lists(st.binary(max_size=300), max_size=6), st.integers(1, 247), st.integers(1, 60))
def test_noise_never_becomes_a_value(noise: list[bytes], unit: int, count: int) -> None:
    question = read_question(unit, "holding", 0, count)
    receiver = RtuReceiver(question)
    for piece in noise:
        try:
            pdu = receiver.feed(piece)
        except DeviceRefused:
            return  # two bytes of checksum happened to fit five bytes of noise
        if pdu is not None:
            assert len(values_of(question, pdu)) == count
            return


def test_tcp_frames_are_split_and_matched() -> None:
    question = read_question(1, "holding", 0, 2)
    answer = bytes([3, 4, 0, 1, 0, 2])
    stream = bytearray()
    for transaction in (5, 6):
        length = (len(answer) + 1).to_bytes(2, "big")
        stream += transaction.to_bytes(2, "big") + b"\x00\x00" + length + b"\x01" + answer
    half = bytearray(stream[:9])
    assert split_tcp(half) is None
    assert split_tcp(stream) == (5, 1, answer)
    assert split_tcp(stream) == (6, 1, answer)
    assert split_tcp(stream) is None
    assert tcp_answers(question, 1, answer)
    with pytest.raises(BadReply):
        tcp_answers(question, 2, answer)
    with pytest.raises(BadReply):
        tcp_answers(question, 1, bytes([3, 2, 0, 1]))
    with pytest.raises(DeviceRefused):
        tcp_answers(question, 1, bytes([0x83, 4]))


def test_a_tcp_stream_out_of_step_is_noticed() -> None:
    with pytest.raises(BadReply):
        split_tcp(bytearray(b"\x00\x01\x00\x07\x00\x06\x01\x03\x02\x00\x00"))
    with pytest.raises(BadReply):
        split_tcp(bytearray(b"\x00\x01\x00\x00\xff\xff\x01\x03\x02\x00\x00"))


def test_requests_on_the_wire() -> None:
    assert read_question(1, "input", 12, 10).rtu[:6] == bytes([1, 4, 0, 12, 0, 10])
    assert tcp_frame(read_question(1, "holding", 1, 2), 258)[:2] == bytes([1, 2])
    assert write_coil_question(1, 2, True).pdu == bytes([5, 0, 2, 0xFF, 0])
    assert write_coil_question(1, 2, False).pdu == bytes([5, 0, 2, 0, 0])
    assert write_registers_question(1, 100, [1, 2]).pdu == bytes([16, 0, 100, 0, 2, 4, 0, 1, 0, 2])
