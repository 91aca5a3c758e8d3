"""Writing files that somebody's access hangs on: whole or not at all, readable for few."""

from __future__ import annotations

import os
from pathlib import Path

SECRET, PUBLIC = 0o640, 0o644  # the group is the broker's


def put(path: Path, data: bytes, mode: int = SECRET) -> None:
    """Replace a file, with `mode` from its first byte on. Raises OSError."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
