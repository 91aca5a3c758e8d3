"""Commands: what a person or a service may ask of the controller. Judging them is core's work.

Each has `id`, chosen by the sender, which comes back with the answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from panelctl.errors import SocketError

MAX_ID = 64
MAX_LIMIT_A = 10_000.0
MAX_EXPIRY_S = 31_536_000.0
MAX_TIER = 99


@dataclass(frozen=True, slots=True)
class OpenRelay:
    """Open a managed circuit on behalf of its user."""

    id: str
    circuit: str


@dataclass(frozen=True, slots=True)
class CloseRelay:
    """Take the user's own claim back. The relay closes when no other claim is left."""

    id: str
    circuit: str


@dataclass(frozen=True, slots=True)
class RequestLimit:
    """Ask for a lower import limit (A per leg) until `expires_s` from now; None takes it back."""

    id: str
    limit_a: float | None
    expires_s: float


@dataclass(frozen=True, slots=True)
class SetTier:
    """Move a managed circuit to another tier until the controller is restarted."""

    id: str
    circuit: str
    tier: int


Command = OpenRelay | CloseRelay | RequestLimit | SetTier


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a command: `accepted`, or refused with a `why` for the person."""

    id: str
    accepted: bool
    why: str = ""


def _text(message: dict[str, Any], key: str, limit: int = MAX_ID) -> str:
    value = message.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= limit or not value.isprintable():
        raise SocketError(f"{key}: a printable text of 1 to {limit} characters is needed")
    return value


def _number(message: dict[str, Any], key: str, low: float, high: float) -> float:
    value = message.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SocketError(f"{key}: a number is needed")
    if not low <= value <= high:  # not so for NaN either
        raise SocketError(f"{key} = {str(value)[:20]}: must lie between {low:g} and {high:g}")
    return float(value)


_KEYS = {
    "open": {"circuit"},
    "close": {"circuit"},
    "limit": {"limit_a", "expires_s"},
    "tier": {"circuit", "tier"},
}


def command_from_plain(message: dict[str, Any]) -> Command:
    """The command in a decoded control-socket message. Raises SocketError when out of shape."""
    verb = message.get("do")
    if not isinstance(verb, str) or verb not in _KEYS:
        raise SocketError(f"do = {verb!r}: must be one of {', '.join(sorted(_KEYS))}")
    unknown = set(message) - _KEYS[verb] - {"do", "id", "v"}
    if unknown:
        raise SocketError(f"unknown key {sorted(unknown)[0]!r} in a {verb} command")
    ident = _text(message, "id")
    if verb == "open":
        return OpenRelay(ident, _text(message, "circuit"))
    if verb == "close":
        return CloseRelay(ident, _text(message, "circuit"))
    if verb == "limit":
        if message.get("limit_a") is None:
            return RequestLimit(ident, None, 0.0)
        limit_a = _number(message, "limit_a", 0.0, MAX_LIMIT_A)
        return RequestLimit(ident, limit_a, _number(message, "expires_s", 1.0, MAX_EXPIRY_S))
    tier = _number(message, "tier", 0, MAX_TIER)
    if tier != int(tier):
        raise SocketError(f"tier = {tier:g}: a whole number is needed")
    return SetTier(ident, _text(message, "circuit"), int(tier))


def command_to_plain(command: Command) -> dict[str, Any]:
    """The control-socket message of a command, ready for JSON."""
    match command:
        case OpenRelay(ident, circuit):
            return {"do": "open", "id": ident, "circuit": circuit}
        case CloseRelay(ident, circuit):
            return {"do": "close", "id": ident, "circuit": circuit}
        case RequestLimit(ident, limit_a, expires_s):
            return {"do": "limit", "id": ident, "limit_a": limit_a, "expires_s": expires_s}
        case SetTier(ident, circuit, tier):
            return {"do": "tier", "id": ident, "circuit": circuit, "tier": tier}
