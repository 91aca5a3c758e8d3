"""Files that a verb writes because somebody named them: figures, reports, plots."""

from __future__ import annotations

from pathlib import Path

from panelctl.errors import PanelctlError


def write_out(path: Path | None, text: str) -> None:
    """Write a file that was asked for, and the folders to it; None: nobody did. Raises
    PanelctlError where it cannot be written.
    """
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    except OSError as error:
        raise PanelctlError(f"{path} cannot be written: {error}") from None
