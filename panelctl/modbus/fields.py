"""A block of registers into an image: compiled, or the text itself where PANELCTL_PURE=1 asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from panelctl.pure import PURE

if TYPE_CHECKING or PURE:
    from panelctl.modbus.fields_text import Block, Field
else:
    from panelctl.modbus._fields import Block, Field

__all__ = ["Block", "Field"]
