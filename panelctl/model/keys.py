"""The keys of a command: what shape their values have in a message, and on the command line.

A key without `option` is an argument. `null`: it may be null or missing, and is None then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from panelctl.errors import SocketError

MAX_ID = 64
MAX_LIMIT_A = 10_000.0
MAX_EXPIRY_S = 31_536_000.0
MAX_TIER = 99
MAX_WINDOWS = 48
MAX_IMPORT_W = 1_000_000.0
MAX_NUMBER = 1 << 53  # of a lease: as far as a JSON number counts
Message = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class EnvelopeWindow:
    """From `start_s` until `end_s` after now: A per leg, W of total import, or both."""

    start_s: float
    end_s: float
    limit_a: float | None
    import_w: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _OnTheLine:
    """How a key is given on the command line; an option without a default has to be."""

    option: str = ""
    help: str = ""
    default: float | str | None = None
    needed: bool = True


@dataclass(frozen=True, slots=True)
class Text(_OnTheLine):
    """A printable text."""

    longest: int = MAX_ID

    def read(self, name: str, message: Message) -> str:
        """The text under `name`. Raises SocketError."""
        value = message.get(name)
        if not isinstance(value, str) or not 0 < len(value) <= self.longest:
            value = "\n"
        if not value.isprintable():
            raise SocketError(
                f"{name}: a printable text of 1 to {self.longest} characters is needed"
            )
        return value


@dataclass(frozen=True, slots=True)
class Number(_OnTheLine):
    """A number between two bounds. `freed_by` names a key: while that is null, this one is 0."""

    low: float
    high: float
    unit: str = ""
    null: bool = False
    freed_by: str = ""

    def unless(self, name: str) -> Self:
        """The same, of no account while another key is null."""
        return replace(self, freed_by=name)

    def read(self, name: str, message: Message) -> float | None:
        """The number under `name`. Raises SocketError."""
        value = message.get(name)
        if self.null and value is None:
            return None
        if self.freed_by and message.get(self.freed_by) is None:
            return 0.0
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise SocketError(f"{name}: a number is needed")
        if not self.low <= value <= self.high:  # not so for NaN either
            bounds = f"between {self.low:g} and {self.high:g}"
            raise SocketError(f"{name} = {str(value)[:20]}: must lie {bounds}")
        return float(value)


@dataclass(frozen=True, slots=True)
class Whole(_OnTheLine):
    """A whole number between two bounds."""

    low: int
    high: int

    def read(self, name: str, message: Message) -> int:
        """The number under `name`. Raises SocketError."""
        number = Number(self.low, self.high).read(name, message)
        assert number is not None
        if number != int(number):
            raise SocketError(f"{name} = {number:g}: a whole number is needed")
        return int(number)


@dataclass(frozen=True, slots=True)
class Flag(_OnTheLine):
    """True or false; on the command line one of two words."""

    yes: str
    no: str

    def read(self, name: str, message: Message) -> bool:
        """The truth under `name`. Raises SocketError."""
        value = message.get(name)
        if not isinstance(value, bool):
            raise SocketError(f"{name}: true or false is needed")
        return value


WINDOW_KEYS: dict[str, Number] = {
    "start_s": Number(-MAX_EXPIRY_S, MAX_EXPIRY_S),
    "end_s": Number(-MAX_EXPIRY_S, MAX_EXPIRY_S),
    "limit_a": Number(0.0, MAX_LIMIT_A, null=True),
    "import_w": Number(0.0, MAX_IMPORT_W, null=True),
}


@dataclass(frozen=True, slots=True)
class Windows(_OnTheLine):
    """The windows of an envelope; on the command line a file of them."""

    def read(self, name: str, message: Message) -> tuple[EnvelopeWindow, ...]:
        """The windows under `name`, in order and apart. Raises SocketError."""
        windows = message.get(name)
        if not isinstance(windows, list | tuple) or len(windows) > MAX_WINDOWS:
            raise SocketError(f"{name}: a list of at most {MAX_WINDOWS} is needed")
        made: list[EnvelopeWindow] = []
        for plain in windows:
            window = _window(name, plain)
            if window.end_s <= window.start_s or (made and window.start_s < made[-1].end_s):
                raise SocketError(f"{name}: they must be in order and must not overlap")
            made.append(window)
        return tuple(made)


def _window(name: str, plain: object) -> EnvelopeWindow:
    if not isinstance(plain, dict) or set(plain) - WINDOW_KEYS.keys():
        raise SocketError(f"{name}: each has {', '.join(sorted(WINDOW_KEYS))} and no more")
    start_s, end_s, limit_a, import_w = (key.read(k, plain) for k, key in WINDOW_KEYS.items())
    if limit_a is None and import_w is None:
        raise SocketError(f"{name}: limit_a or import_w is needed in each")
    assert start_s is not None  # neither may be null
    assert end_s is not None
    return EnvelopeWindow(start_s, end_s, limit_a, import_w)


Key = Text | Number | Whole | Flag | Windows
