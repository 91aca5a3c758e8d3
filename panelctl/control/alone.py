"""One controller for a panel: a lock in its state directory, and a name for what it writes to.

Both are the kernel's: it frees them when the process ends, however it ends, so nothing is left
behind that a person would have to remove. The names are sockets of the abstract namespace, which
all programs of this machine (of one network namespace) share: one for each serial line, also one
behind a serial server, and one for each device on a Modbus connection that is written to. The
panel's serial number is none of them: a copied file may have another one, and two panels behind one
gateway are two.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
import struct
from collections.abc import Iterator
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
        """Take what a panel writes to, besides what is held already. Raises AlreadyRunning."""
        for name, link, what in _names(panel):
            if name in self._names:
                continue
            held = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                held.bind(f"\0{name}")
                held.listen(1)
            except OSError:
                held.close()
                raise AlreadyRunning(
                    f"link {link.name} = {link.url}: another controller{_who(name)} has {what}; "
                    "two would switch against each other. Stop it first, or look on with "
                    "--read-only or --shadow"
                ) from None
            self._names[name] = held

    def keep_only(self, panel: Panel) -> None:
        """Let go of everything that is not this panel's."""
        names = {name for name, _, _ in _names(panel)}
        for name in self._names.keys() - names:
            self._names.pop(name).close()

    def close(self) -> None:
        """Let go of everything."""
        for held in self._names.values():
            held.close()
        self._names.clear()
        os.close(self._lock)


def _names(panel: Panel) -> Iterator[tuple[str, Link, str]]:
    """What the lines and the devices are called that a panel writes to, their links, and what each
    is in words.
    """
    written = {circuit.relay_device for circuit in panel.circuits}
    written |= {circuit.setpoint_device for circuit in panel.circuits}
    for link in panel.links:
        if link.rtu:  # a line has one controller; one port may have several paths
            place = os.path.realpath(link.path) if link.path else f"{link.host}:{link.port}"
            yield _name(place), link, "this line"
            continue
        for device in panel.devices:
            if device.link == link.name and device.name in written:
                place = f"{link.host}:{link.port}/{device.unit}"
                yield _name(place), link, f"its device {device.name}"


def _name(place: str) -> str:
    digest = hashlib.blake2b(place.encode(), digest_size=16).hexdigest()
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
