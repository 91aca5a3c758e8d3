"""What panelctl relies on in pymodbus. When one of these breaks, field/frames has to change."""

from __future__ import annotations

import importlib.metadata
import random
import subprocess
import sys

import pytest
from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU
from pymodbus.pdu.bit_message import ReadDiscreteInputsRequest, WriteSingleCoilRequest
from pymodbus.pdu.register_message import ReadInputRegistersRequest, WriteMultipleRegistersRequest

from panelctl.field.frames import read_question, tcp_frame
from panelctl.modbus.crc import crc16, rtu_bytes


def test_the_pin() -> None:
    major, minor, patch = importlib.metadata.version("pymodbus").split(".")[:3]
    assert (major, minor) == ("3", "16")
    assert int(patch) >= 1, "3.16.0 was withdrawn"


def test_requests_encode_address_and_count() -> None:
    assert ReadInputRegistersRequest(address=300, count=7).encode() == bytes([1, 44, 0, 7])
    assert ReadDiscreteInputsRequest(address=96, count=6).encode() == bytes([0, 96, 0, 6])
    assert WriteSingleCoilRequest(address=1, bits=[True]).encode() == bytes([0, 1, 0xFF, 0])
    request = WriteMultipleRegistersRequest(address=1, registers=[0xABCD])
    assert request.encode() == bytes([0, 1, 0, 1, 2, 0xAB, 0xCD])


def test_the_checksum_is_high_byte_first_in_the_argument() -> None:
    frame = FramerRTU(DecodePDU(False)).encode(bytes([4, 0, 12, 0, 10]), 1, 0)
    assert FramerRTU.check_CRC(frame[:-2], frame[-2] << 8 | frame[-1])
    assert not FramerRTU.check_CRC(frame[:-2], frame[-1] << 8 | frame[-2])


def test_replies_decode_to_registers_and_bits() -> None:
    decoder = DecodePDU(False)
    assert decoder.decode(bytes([4, 4, 0, 1, 255, 255])).registers == [1, 65535]  # type: ignore[union-attr]  # decoded
    assert decoder.decode(bytes([2, 1, 0b101])).bits[:3] == [True, False, True]  # type: ignore[union-attr]  # decoded


def test_a_socket_frame_gives_transaction_unit_and_pdu() -> None:
    framer = FramerSocket(DecodePDU(False))
    frame = framer.encode(bytes([3, 2, 0, 9]), 17, 4711)
    assert framer.decode(frame) == (len(frame), 17, 4711, bytes([3, 2, 0, 9]))


def test_the_reason_for_our_own_matching() -> None:
    """pymodbus's framer takes any reply of the right unit: the length is not compared."""
    framer = FramerRTU(DecodePDU(False))
    late = framer.encode(bytes([4, 4, 0, 1, 0, 2]), 1, 0)
    used, pdu = framer.handleFrame(late, 1, 0)
    assert used == len(late)
    assert pdu is not None


def test_frames_alone_load_neither_a_client_nor_a_web_server() -> None:
    code = (
        "import sys, panelctl.field.frames\n"
        "bad = {'aiohttp', 'pymodbus.client', 'pymodbus.server', 'numpy', 'pydantic'}\n"
        "sys.exit(bool(bad & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("size", [0, 1, 2, 3, 8, 29, 256])
def test_our_checksum_and_headers_are_pymodbus_s(size: int) -> None:
    """modbus/crc_text.py and field/frames.py write them out, because pymodbus's are slow."""
    for seed in range(50):
        data = random.Random(seed).randbytes(size)
        crc = crc16(data)
        assert FramerRTU.check_CRC(data, (crc & 0xFF) << 8 | crc >> 8)
        assert rtu_bytes(17, data) == FramerRTU(DecodePDU(False)).encode(data, 17, 0)
        assert crc16(rtu_bytes(17, data)) == 0
    question = read_question(17, "input", size, 7)
    assert tcp_frame(question, 4711) == FramerSocket(DecodePDU(False)).encode(
        question.pdu, 17, 4711
    )
