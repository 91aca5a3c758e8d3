"""Types of panelctl/modbus/crc_text.py."""

cimport cython

cdef unsigned short[256] TABLE


@cython.locals(crc=cython.int)
cdef int _step(int crc)


@cython.locals(crc=cython.int, byte=cython.int)
cdef int _crc(bytes data)
