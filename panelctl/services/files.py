"""Writing files that somebody's access hangs on: whole or not at all, readable for few."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

PRIVATE, SECRET, PUBLIC = 0o600, 0o640, 0o644  # ours alone, the broker's too, everybody's


def put(path: Path, data: bytes, mode: int = SECRET) -> None:
    """Replace a file, with `mode` from its first byte on, and the group of its folder: who could
    read the old one can read the new one. Raises OSError.
    """
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        with suppress(PermissionError):  # where we may not, it is our own group's folder
            os.fchown(file.fileno(), -1, path.parent.stat().st_gid)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
