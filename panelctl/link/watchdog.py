"""Telling systemd that the controller is ready, alive or stopping. Nothing where there is none."""

from __future__ import annotations

import sdnotify


class Watchdog:
    """Speaks sd_notify on $NOTIFY_SOCKET, if the service manager set one."""

    def __init__(self) -> None:
        self._notifier = sdnotify.SystemdNotifier()

    def ready(self) -> None:
        """The first cycle is through."""
        self._notifier.notify("READY=1")

    def alive(self) -> None:
        """A cycle was completed, fail-safe cycles included."""
        self._notifier.notify("WATCHDOG=1")

    def stopping(self) -> None:
        """An orderly stop has begun."""
        self._notifier.notify("STOPPING=1")
