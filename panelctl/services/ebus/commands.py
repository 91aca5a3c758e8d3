"""What somebody sends to a `/set` topic, as a command for the controller; out of shape is refused.

Whether it is carried out is the controller's to judge. Whoever may send is the broker's (its ACL).
"""

from __future__ import annotations

import json
import math
import re

from panelctl.errors import CommandRefused
from panelctl.model.command import (
    CloseRelay,
    Command,
    Grid,
    LimitPower,
    OpenRelay,
    RequestLimit,
    SetTier,
)
from panelctl.model.keys import MAX_EXPIRY_S, MAX_TIER
from panelctl.services.ebus.facts import CircuitFacts
from panelctl.services.homie import Write

NO_ID = "?"  # whoever sends it gives it one
MOST_TEXT = 4096
NUMBER = re.compile(r"-?[0-9]{1,16}(\.[0-9]{1,16})?([eE][+-]?[0-9]{1,2})?", re.ASCII)
FLEX_MODES = ("SHED", "NORMAL")
FLEX_KEYS = {"mode", "level", "intensity", "duration", "cause"}
FLEX_MOST_S = 7 * 86_400.0


def relay(circuit: str) -> Write:
    """OPEN and CLOSED."""

    def write(text: str) -> Command:
        if text == "OPEN":
            return OpenRelay(NO_ID, circuit)
        if text == "CLOSED":
            return CloseRelay(NO_ID, circuit)
        raise CommandRefused("a relay is OPEN or CLOSED")

    return write


def priority(circuit: str, backup_tier: int, filed_tier: int) -> Write:
    """What becomes of a circuit off the grid: NEVER shed, or below the battery's threshold. Only
    for one that is of the other kind: it goes to its tier in the panel file where that is of the
    kind, and no further than it has to where it is not.
    """

    def write(text: str) -> Command:
        if text == "NEVER" and backup_tier > 0:
            return SetTier(NO_ID, circuit, min(filed_tier, backup_tier - 1))
        if text == "SOC_THRESHOLD":
            return SetTier(NO_ID, circuit, max(filed_tier, backup_tier))
        raise CommandRefused("a priority is NEVER or SOC_THRESHOLD")

    return write


def tier(circuit: str) -> Write:
    """Another tier."""

    def write(text: str) -> Command:
        return SetTier(NO_ID, circuit, int(number(text, 0, MAX_TIER, whole=True)))

    return write


def request_limit(setting_a: float) -> Write:
    """A per leg; the control setting itself takes the request back."""

    def write(text: str) -> Command:
        amps = number(text, 0.0, setting_a)
        if amps == setting_a:
            return RequestLimit(NO_ID, None, 0.0)
        return RequestLimit(NO_ID, amps, MAX_EXPIRY_S)

    return write


def charge_limit(circuit: CircuitFacts) -> Write:
    """A per leg for a charger; its largest current takes the limit back."""

    def write(text: str) -> Command:
        amps = number(text, math.ceil(circuit.min_a), circuit.max_a, whole=True)
        if amps >= math.floor(circuit.max_a):
            return LimitPower(NO_ID, circuit.id, None, 0.0)
        return LimitPower(NO_ID, circuit.id, amps * circuit.volts, MAX_EXPIRY_S)

    return write


def flex(circuit: CircuitFacts) -> Write:
    """A flex request to the compute node: SHED by `level` % of what is above its floor."""

    def write(text: str) -> Command:
        try:
            plain = json.loads(text)
        except (ValueError, RecursionError):
            raise CommandRefused("a flex request is a JSON object") from None
        if not isinstance(plain, dict) or set(plain) - FLEX_KEYS:
            raise CommandRefused(f"a flex request has {', '.join(sorted(FLEX_KEYS))} and no more")
        mode = plain.get("mode")
        if mode == "NORMAL":
            return LimitPower(NO_ID, circuit.id, None, 0.0)
        if mode != "SHED":
            raise CommandRefused("mode: SHED or NORMAL; the node takes all that there is anyway")
        level = _plain_number(plain, "level", 0.0, 100.0)
        duration_s = _plain_number(plain, "duration", 1.0, FLEX_MOST_S)
        above_w = circuit.max_w - circuit.floor_w
        return LimitPower(NO_ID, circuit.id, circuit.max_w - above_w * level / 100.0, duration_s)

    return write


def island(text: str) -> Command:
    """Whether the panel is on the grid, where nobody else can tell."""
    if text not in ("ON_GRID", "OFF_GRID"):
        raise CommandRefused("assert ON_GRID or OFF_GRID")
    return Grid(NO_ID, text == "OFF_GRID", None)


def number(text: str, low: float, high: float, whole: bool = False) -> float:
    """A number that somebody sent, written as Homie wants it. Raises CommandRefused."""
    value = float(text) if NUMBER.fullmatch(text) else math.nan
    if not low <= value <= high or (whole and value != int(value)):
        raise CommandRefused(f"a {'whole ' if whole else ''}number from {low:g} to {high:g}")
    return value


def _plain_number(plain: dict[str, object], key: str, low: float, high: float) -> float:
    value = plain.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise CommandRefused(f"{key}: a number from {low:g} to {high:g}")
    return float(value)
