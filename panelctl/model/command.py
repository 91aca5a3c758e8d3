"""Commands: what a person or a service may ask of the controller. Judging them is core's work.

Each has `id`, chosen by the sender, which comes back with the answer.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from panelctl.errors import SocketError
from panelctl.model.limit import Amount, Window

MAX_ID = 64
MAX_LIMIT_A = 10_000.0
MAX_EXPIRY_S = 31_536_000.0
MAX_TIER = 99
MAX_WINDOWS = 48
MAX_IMPORT_W = 1_000_000.0
MAX_NUMBER = 1 << 53  # of a lease: as far as a JSON number counts


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
    """Move a managed circuit to another tier, until the panel file says another one."""

    id: str
    circuit: str
    tier: int


@dataclass(frozen=True, slots=True)
class EnvelopeWindow:
    """From `start_s` until `end_s` after now: A per leg, W of total import, or both."""

    start_s: float
    end_s: float
    limit_a: float | None
    import_w: float | None


@dataclass(frozen=True, slots=True)
class Envelope:
    """The dynamic operating envelope as it is known now; it replaces what was known before.

    Windows are in order and do not overlap. After the last one, and between them, the default of
    the panel file holds.
    """

    id: str
    source: str
    parts: tuple[EnvelopeWindow, ...]

    def windows(self, now_ns: int) -> list[Window]:
        """The windows on the clock of the controller."""
        return [
            Window(
                now_ns + round(part.start_s * 1e9),
                now_ns + round(part.end_s * 1e9),
                Amount(part.limit_a, part.import_w),
            )
            for part in self.parts
        ]


@dataclass(frozen=True, slots=True)
class Grid:
    """Whether the panel is off the grid, and then the battery's state of charge in percent."""

    id: str
    islanded: bool
    soc: float | None


@dataclass(frozen=True, slots=True)
class Lease:
    """A share of a transformer: W of total import until `expires_s` from now.

    Whoever hands leases out numbers them; only one with a higher number than the last is taken.
    """

    id: str
    source: str
    number: int
    import_w: float
    expires_s: float


@dataclass(frozen=True, slots=True)
class Cap:
    """Let a modulated load draw at most so many watts until `expires_s` from now; None takes it
    back. It only ever lowers, and never below what the load needs to run.
    """

    id: str
    circuit: str
    most_w: float | None
    expires_s: float


@dataclass(frozen=True, slots=True)
class AcceptDevice:
    """Take the device that answers now for the right one, though its serial number is another."""

    id: str
    device: str


Command = (
    OpenRelay | CloseRelay | RequestLimit | SetTier | Envelope | Grid | Lease | Cap | AcceptDevice
)


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


def _whole(message: dict[str, Any], key: str, low: int, high: int) -> int:
    number = _number(message, key, low, high)
    if number != int(number):
        raise SocketError(f"{key} = {number:g}: a whole number is needed")
    return int(number)


_KEYS = {
    "open": {"circuit"},
    "close": {"circuit"},
    "limit": {"limit_a", "expires_s"},
    "tier": {"circuit", "tier"},
    "envelope": {"source", "windows"},
    "grid": {"islanded", "soc"},
    "lease": {"source", "number", "import_w", "expires_s"},
    "cap": {"circuit", "most_w", "expires_s"},
    "accept": {"device"},
}
_WINDOW_KEYS = {"start_s", "end_s", "limit_a", "import_w"}


def _maybe(message: dict[str, Any], key: str, high: float) -> float | None:
    return None if message.get(key) is None else _number(message, key, 0.0, high)


def _envelope(ident: str, message: dict[str, Any]) -> Envelope:
    windows = message.get("windows")
    if not isinstance(windows, list) or len(windows) > MAX_WINDOWS:
        raise SocketError(f"windows: a list of at most {MAX_WINDOWS} is needed")
    parts: list[EnvelopeWindow] = []
    for window in windows:
        if not isinstance(window, dict) or set(window) - _WINDOW_KEYS:
            raise SocketError(f"windows: each has {', '.join(sorted(_WINDOW_KEYS))} and no more")
        part = EnvelopeWindow(
            _number(window, "start_s", -MAX_EXPIRY_S, MAX_EXPIRY_S),
            _number(window, "end_s", -MAX_EXPIRY_S, MAX_EXPIRY_S),
            _maybe(window, "limit_a", MAX_LIMIT_A),
            _maybe(window, "import_w", MAX_IMPORT_W),
        )
        if part.limit_a is None and part.import_w is None:
            raise SocketError("windows: limit_a or import_w is needed in each")
        if part.end_s <= part.start_s or (parts and part.start_s < parts[-1].end_s):
            raise SocketError("windows: they must be in order and must not overlap")
        parts.append(part)
    return Envelope(ident, _text(message, "source"), tuple(parts))


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
    if verb == "envelope":
        return _envelope(ident, message)
    if verb == "grid":
        islanded = message.get("islanded")
        if not isinstance(islanded, bool):
            raise SocketError("islanded: true or false is needed")
        return Grid(ident, islanded, _maybe(message, "soc", 100.0))
    if verb == "cap":
        if message.get("most_w") is None:
            return Cap(ident, _text(message, "circuit"), None, 0.0)
        most_w = _number(message, "most_w", 0.0, MAX_IMPORT_W)
        expires_s = _number(message, "expires_s", 1.0, MAX_EXPIRY_S)
        return Cap(ident, _text(message, "circuit"), most_w, expires_s)
    if verb == "accept":
        return AcceptDevice(ident, _text(message, "device"))
    if verb == "lease":
        return Lease(
            ident,
            _text(message, "source"),
            _whole(message, "number", 1, MAX_NUMBER),
            _number(message, "import_w", 0.0, MAX_IMPORT_W),
            _number(message, "expires_s", 1.0, MAX_EXPIRY_S),
        )
    return SetTier(ident, _text(message, "circuit"), _whole(message, "tier", 0, MAX_TIER))


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
        case Envelope(ident, source, parts):
            windows = [asdict(part) for part in parts]
            return {"do": "envelope", "id": ident, "source": source, "windows": windows}
        case Grid(ident, islanded, soc):
            return {"do": "grid", "id": ident, "islanded": islanded, "soc": soc}
        case Lease():
            return {"do": "lease", **asdict(command)}
        case Cap():
            return {"do": "cap", **asdict(command)}
        case AcceptDevice(ident, device):
            return {"do": "accept", "id": ident, "device": device}
