"""Telling systemd that the controller is ready, alive or stopping. Nothing where there is none."""

from __future__ import annotations

import os

import sdnotify


class Watchdog:
    """Speaks sd_notify on $NOTIFY_SOCKET, if the service manager set one."""

    def __init__(self) -> None:
        # Without one, the library would leave a socket open and raise inside at every call.
        there = bool(os.environ.get("NOTIFY_SOCKET"))
        self._notifier = sdnotify.SystemdNotifier() if there else None

    def ready(self) -> None:
        """The first cycle is through."""
        self._tell("READY=1")

    def alive(self) -> None:
        """A cycle was completed, fail-safe cycles included."""
        self._tell("WATCHDOG=1")

    def stopping(self) -> None:
        """An orderly stop has begun."""
        self._tell("STOPPING=1")

    def _tell(self, state: str) -> None:
        if self._notifier is not None:
            self._notifier.notify(state)
