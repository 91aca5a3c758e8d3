"""One controller for a panel: a lock in its state directory, and a name for each wire it writes.

Both are the kernel's: it frees them when the process ends, however it ends, so nothing is left
behind that a person would have to remove. The names are sockets of the abstract namespace, which
all programs of this machine (of one network namespace) share.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
import struct
from pathlib import Path

from panelctl.errors import AlreadyRunning
from panelctl.model.panel import Link, Panel

LOCK = "lock"
CREDENTIALS = struct.Struct("3i")  # pid, uid, gid


class Alone:
    """Holds the lock of a state directory for as long as it is open, and the names of wires.

    Raises AlreadyRunning, with who has it, where another controller does.
    """

    def __init__(self, state: Path) -> None:
        self._names: dict[str, socket.socket] = {}
        self._lock = os.open(state / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise AlreadyRunning(
                f"{state}: another controller keeps its state there; stop it first, or give this "
                "one a directory of its own by --state"
            ) from None

    def claim(self, panel: Panel) -> None:
        """Take the wires of a panel, besides those that are held already."""
        for link in panel.links:
            name = _name(panel, link)
            if name in self._names:
                continue
            held = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                held.bind(f"\0{name}")
                held.listen(1)
            except OSError:
                held.close()
                raise AlreadyRunning(
                    f"link {link.name} = {link.url}: another controller of panel {panel.serial}"
                    f"{_who(name)} writes there; two would switch against each other. Stop it "
                    "first, or look on with --read-only or --shadow"
                ) from None
            self._names[name] = held

    def keep_only(self, panel: Panel) -> None:
        """Let go of every wire that is not this panel's."""
        names = {_name(panel, link) for link in panel.links}
        for name in self._names.keys() - names:
            self._names.pop(name).close()

    def close(self) -> None:
        """Let go of everything."""
        for held in self._names.values():
            held.close()
        self._names.clear()
        os.close(self._lock)


def _name(panel: Panel, link: Link) -> str:
    """What a wire of a panel is called: one port may have several paths."""
    where = os.path.realpath(link.path) if link.path else f"{link.host}:{link.port}"
    digest = hashlib.blake2b(f"{panel.serial}\0{where}".encode(), digest_size=16).hexdigest()
    return f"panelctl/{digest}"  # a name has room for 107 bytes


def _who(name: str) -> str:
    """The process that has a name, in words."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(1.0)
        try:
            asking.connect(f"\0{name}")
            told = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
        except OSError:
            return ""
    pid, _, _ = CREDENTIALS.unpack(told)
    return f" (process {pid})" if pid else ""
