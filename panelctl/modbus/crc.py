"""The checksum of Modbus RTU: compiled, or the text itself where PANELCTL_PURE=1 asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from panelctl.pure import PURE

if TYPE_CHECKING or PURE:
    from panelctl.modbus.crc_text import crc16, rtu_bytes
else:
    from panelctl.modbus._crc import crc16, rtu_bytes

__all__ = ["crc16", "rtu_bytes"]
