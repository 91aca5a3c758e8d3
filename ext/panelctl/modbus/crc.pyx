"""The checksum of Modbus RTU: CRC-16, polynomial 0xA001 (reflected), begun at 0xFFFF.

Compiled because every byte on a line passes it twice; a test holds it against pymodbus's. What a
frame is otherwise made of is field/frames.py's.
"""

cdef extern from "Python.h":  # the functions, not the macros: those are not in the stable ABI
    char *PyByteArray_AsString(object data)
    Py_ssize_t PyByteArray_Size(object data)
    char *PyBytes_AsString(object data)
    Py_ssize_t PyBytes_Size(object data)

cdef unsigned short[256] TABLE


cdef void _fill() noexcept:
    cdef int byte, bit
    cdef unsigned short crc
    for byte in range(256):
        crc = <unsigned short>byte
        for bit in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
        TABLE[byte] = crc


_fill()


cdef unsigned short _crc(const char *data, Py_ssize_t size) noexcept:
    cdef unsigned short crc = 0xFFFF
    cdef Py_ssize_t n
    for n in range(size):
        crc = (crc >> 8) ^ TABLE[(crc ^ <unsigned char>data[n]) & 0xFF]
    return crc


def crc16(data):
    """The checksum of bytes or a bytearray; it is sent low byte first. That of a whole frame is 0."""
    if isinstance(data, bytes):
        return _crc(PyBytes_AsString(data), PyBytes_Size(data))
    if isinstance(data, bytearray):
        return _crc(PyByteArray_AsString(data), PyByteArray_Size(data))
    raise TypeError(f"bytes, not {type(data).__name__}")


def rtu_bytes(int unit, bytes pdu):
    """A PDU as a frame on a serial line."""
    cdef bytes frame = bytes((unit,)) + pdu
    cdef unsigned short crc = _crc(PyBytes_AsString(frame), PyBytes_Size(frame))
    return frame + bytes((crc & 0xFF, crc >> 8))
