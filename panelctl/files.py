"""The one writer of files that matter after a power cut: whole or not at all, and the last good one
beside.

Written to a temporary file, flushed to the disk, renamed, and the folder flushed as well: without
the first flush a cut leaves an empty file, without the second the old name. The file before stays
as `NAME.bak`, for a disk that loses what it said it had.

A memory card may take a second over a flush, which a loop at 10 Hz has not got: `Writer` does it in
a thread, the newest content of each file last.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

PRIVATE, SECRET, PUBLIC = 0o600, 0o640, 0o644  # ours alone, the broker's too, everybody's
Done = Callable[[bool], None]  # told whether it is on the disk; by another thread, maybe


def put(
    path: Path, data: bytes, mode: int = SECRET, backup: bool = False, flush: bool = True
) -> None:
    """Replace a file, with `mode` from its first byte on, and the group of its folder: who could
    read the old one can read the new one. Raises OSError; then the old file is still there.
    """
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        with suppress(PermissionError):  # where we may not, it is our own group's folder
            os.fchown(file.fileno(), -1, path.parent.stat().st_gid)
        file.write(data)
        file.flush()
        if flush:
            os.fsync(file.fileno())
    if backup:
        with suppress(OSError):  # no hard links here, or not of another's file: never a reason
            _leave_beside(path)  # not to write
    new.replace(path)
    if flush:
        _flush_folder(path.parent)


def backup_of(path: Path) -> Path:
    """Where the file before lies."""
    return path.with_name(f"{path.name}.bak")


def _leave_beside(path: Path) -> None:
    """Leave what is there now beside it. A link, not a copy: nothing is written twice."""
    old = backup_of(path)
    link = old.with_name(f".{old.name}.new")
    link.unlink(missing_ok=True)
    os.link(path, link)
    link.replace(old)


def _flush_folder(folder: Path) -> None:
    """Have the names in a folder on the disk, where its file system can."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(number)


class Writes(Protocol):
    """Who writes the files that are kept."""

    @property
    def busy(self) -> bool:
        """Whether something is not on the disk yet."""

    def put(self, path: Path, data: bytes, done: Done) -> None:
        """Replace a file, the one before kept beside; `done` is told what became of it. Where a
        newer content comes before it was begun, it is left out and `done` is not told.
        """


class WriteNow:
    """Writes at once. `flush`: also through to the disk."""

    busy = False

    def __init__(self, flush: bool = True) -> None:
        self._flush = flush

    def put(self, path: Path, data: bytes, done: Done) -> None:
        """See Writes."""
        try:
            put(path, data, PRIVATE, backup=True, flush=self._flush)
        except OSError:
            done(False)
        else:
            done(True)


class Writer:
    """Writes in a thread of its own, which ends with the process."""

    def __init__(self) -> None:
        self._waiting: dict[Path, tuple[bytes, Done]] = {}
        self._changed = threading.Condition()
        self._writing = False
        threading.Thread(target=self._run, name="files", daemon=True).start()

    @property
    def busy(self) -> bool:
        """See Writes."""
        return bool(self._waiting) or self._writing

    def put(self, path: Path, data: bytes, done: Done) -> None:
        """See Writes."""
        with self._changed:
            self._waiting[path] = (data, done)
            self._changed.notify_all()

    def finish(self, timeout_s: float) -> bool:
        """Wait until nothing is left to write; False when that takes longer."""
        with self._changed:
            return self._changed.wait_for(lambda: not self.busy, timeout_s)

    def _run(self) -> None:
        at_once = WriteNow()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waiting))
                self._writing = True
                path = next(iter(self._waiting))
                data, done = self._waiting.pop(path)
            at_once.put(path, data, done)
            with self._changed:
                self._writing = False
                self._changed.notify_all()
