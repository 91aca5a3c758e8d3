"""A device that is written to: what it is to have, and what has become of that so far."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from panelctl.field.bus import BusLink
from panelctl.field.ledger import Budget
from panelctl.field.orders import Key
from panelctl.field.setpoint_wire import Reader
from panelctl.field.setpoints import SetpointWatch
from panelctl.modbus.maps import RegisterMap
from panelctl.model.panel import Device
from panelctl.units import NS_PER_MS

RETRY_NS = 250 * NS_PER_MS
RETRY_MOST_NS = 2_000 * NS_PER_MS  # a dead board must not eat its line's time


@dataclass(slots=True)
class Wish:
    """What a device's set-point shall be: the value in its map's unit, and the request to a node.

    `refresh_ns` is how often it is repeated unchanged, 0 for never.
    """

    value: float
    request: int
    refresh_ns: int


@dataclass(slots=True)
class Target:
    """A device that is written to."""

    device: Device
    map: RegisterMap
    link: BusLink
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    relays: set[int] = field(default_factory=set)  # loads whose relay does not stand as ordered
    tried: int = -1  # the last of these that was written to
    wish: Wish | None = None
    written: tuple[float, int] | None = None  # as acknowledged,
    unsure: bool = False  # and whether a later write may have been obeyed all the same
    written_ns: int = 0
    writing: Key | None = None  # the order that is under way
    sets: str = ""  # the circuit whose set-point it has,
    watch: SetpointWatch | None = None  # whether it follows it,
    reader: Reader | None = None  # and who reads it back, where it can be
    retry_ns: int = 0
    backoff_ns: int = RETRY_NS
    sequence: int = 0
    errors: int = 0
    budget: Budget | None = None
