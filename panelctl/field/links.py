"""Opening links by their kind. A simulated network offers a function of the same shape."""

from __future__ import annotations

from collections.abc import Callable

from panelctl.clock import Clock
from panelctl.field.bus import BusLink
from panelctl.field.rtu import RtuLink
from panelctl.field.tcp import TcpLink
from panelctl.model.panel import Link

OpenLink = Callable[[Link, Clock], BusLink]


def open_link(link: Link, clock: Clock) -> BusLink:
    """The real link: a serial port or a TCP connection."""
    return TcpLink(link, clock) if link.kind == "tcp" else RtuLink(link, clock)
