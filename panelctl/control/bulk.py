"""The bulk of a record: compiled, or the text itself where PANELCTL_PURE=1 asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from panelctl.pure import PURE

if TYPE_CHECKING or PURE:
    from panelctl.control.bulk_text import Bulk
else:
    from panelctl.control._bulk import Bulk

__all__ = ["Bulk"]
