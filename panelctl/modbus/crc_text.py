"""The checksum of Modbus RTU: CRC-16, polynomial 0xA001 (reflected), begun at 0xFFFF.

Compiled (into _crc, with the types of ext/panelctl/modbus/_crc.pxd) because every byte on a line
passes it twice; a test holds it against pymodbus's. What a frame is otherwise made of is
field/frames.py's.
"""


def _step(crc: int) -> int:
    for _ in range(8):
        crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc


TABLE = [_step(byte) for byte in range(256)]


def _crc(data: bytes) -> int:
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 0xFF]
    return crc


def crc16(data: bytes | bytearray) -> int:
    """The checksum of bytes; it is sent low byte first. That of a whole frame is 0."""
    if isinstance(data, bytes):
        return _crc(data)
    if isinstance(data, bytearray):
        return _crc(bytes(data))
    raise TypeError(f"bytes, not {type(data).__name__}")


def rtu_bytes(unit: int, pdu: bytes) -> bytes:
    """A PDU as a frame on a serial line."""
    frame = bytes((unit,)) + pdu
    crc = _crc(frame)
    return frame + bytes((crc & 0xFF, crc >> 8))
