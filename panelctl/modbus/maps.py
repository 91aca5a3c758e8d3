"""Register maps: what a device holds where, as data. The loaded form, and where the files lie.

Rules
- A map is complete or refused: an unknown key, a type that does not exist, a scale that points
  nowhere are errors, and all of them are reported at once. Which keys there are is mapfile.py's,
  how they become the loaded form mapread.py's.
- Addresses are wire addresses (0-based). Scales are decimal texts, so that they are exact.
- A map without a recording of a real device behind it says `evidence = "unverified"`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from fractions import Fraction
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from panelctl.errors import ConfigError, Problem

OWN_MAPS = Path("/etc/panelctl/maps")  # and the folders in $PANELCTL_MAPS
MOST_BYTES = 1_000_000
UNSAID_S = 10.0  # no installer sets a shorter timer without a word in the panel file
# The tables of a device, and how many registers (or bits) Modbus reads of one at once.
MAX_REGISTERS: Final = {"holding": 125, "input": 125, "coil": 2000, "discrete": 2000}
# Registers that a value takes; a text takes as many as its `registers` say.
WORDS: Final = {
    "i16": 1, "u16": 1, "i32": 2, "u32": 2, "f32": 2, "i64": 4, "u64": 4, "f64": 4, "bit": 1,
    "text": 0,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a device: where it stands, how it is written down, what it means.

    `scale` and `offset` turn the raw number into `unit`; `scale_point` names the point that holds
    a power of ten instead. `invalid` are raw patterns that mean "not available".
    """

    name: str
    table: str
    address: int
    type: str
    scale: Fraction = Fraction(1)
    unit: str = ""
    low_first: bool = False
    invalid: frozenset[int] = frozenset()
    invalid_high: int | None = None
    scale_point: str | None = None
    offset: Fraction = Fraction(0)
    registers: int = 0
    min_firmware: str = ""
    note: str = ""

    @property
    def count(self) -> int:
        """Registers (or bits) it takes."""
        return WORDS[self.type] or self.registers

    @property
    def end(self) -> int:
        """The first address after it."""
        return self.address + self.count


@dataclass(frozen=True, slots=True)
class Relay:
    """The outputs of a relay board: output n is written at `coil + n - 1`, as a coil, or with the
    words `close` and `open` into a holding register. `shows_contact`: what is read back is where
    the contact is, not only what the board was told.
    """

    outputs: int
    coil: int
    shows_contact: bool
    close: int | None = None
    open: int | None = None


@dataclass(frozen=True, slots=True)
class Setpoint:
    """Where a set-point is written, in `point.unit`: 0 for a pause, or `least` to `most`.

    `wears` tells a register of limited life, which panelctl never writes in its loop. `readback`
    is the point that shows what the device was told, None where it shows it nowhere.
    """

    point: Point
    least: float
    most: float
    lease: bool
    function: int = 16
    wears: bool = False
    readback: Point | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """A coil or holding register of its own by which a load is stopped and started."""

    address: int
    table: str
    stop: int
    run: int
    function: int


@dataclass(frozen=True, slots=True)
class FailSafe:
    """What the device does by itself when nobody polls or writes it.

    `timeout_s` is its default or fixed patience, `settable` that it can be set to another; the
    addresses, where known, tell what it is set to: `timeout_at`, `safe_state_at` (per output) and
    `behaviour_at` (holding registers).
    """

    timeout_s: float
    settable: bool = False
    timeout_at: int | None = None
    safe_state_at: int | None = None
    behaviour_at: int | None = None
    behaviour_default: int = 1
    safe_state_default: int = 0


@dataclass(frozen=True, slots=True)
class Mark:
    """What tells that a device is of this kind: registers that hold a value, or a text."""

    table: str
    address: int
    values: frozenset[int]
    text: str
    alone: bool


@dataclass(frozen=True, slots=True)
class RegisterMap:
    """Everything panelctl knows about one kind of device."""

    id: str
    vendor: str
    model: str
    kind: str
    links: tuple[str, ...]
    verified: bool
    capture: str
    confidence: str
    source: str
    table: str
    max_registers: int
    align: int
    isolated: frozenset[int]
    barriers: tuple[int, ...]
    timeout_ms: int
    turnround_ms: float
    late_ms: int
    gap_ms: float
    renews_ms: int
    reads_gaps: bool
    points: dict[str, Point] = field(repr=False)
    marks: tuple[Mark, ...] = ()
    serial: Mapping[str, int | str] = field(default_factory=dict)
    sunspec_models: tuple[int, ...] = ()
    sunspec_bases: tuple[int, ...] = ()
    relay: Relay | None = None
    setpoint: Setpoint | None = None
    pause: Pause | None = None
    failsafe: FailSafe | None = None

    def timer_s(self, set_s: float) -> float:
        """How long a device of this map surely keeps a set-point, 0 for ever. `set_s` is what its
        timer is set to, 0 where nobody says.

        A timer that can be set may be set shorter than it is delivered: where nobody says, it is
        taken for UNSAID_S. Feeding it too often costs next to nothing.
        """
        timers_s = [set_s] if set_s else []
        if self.failsafe is not None and self.failsafe.timeout_s:
            timers_s.append(self.failsafe.timeout_s)
            if self.failsafe.settable and not set_s:
                timers_s.append(UNSAID_S)
        return min(timers_s, default=0.0)


def parse_map(text: str, file: str) -> RegisterMap:
    """The register map in `text`. Raises ConfigError with every problem; `file` names it there."""
    # Here and not above: the checker (pydantic) costs 12 MB and 150 ms. The controller is handed
    # its maps by a child process that has it (`hold_maps`), and never comes here.
    from panelctl.modbus.mapread import read_map

    return read_map(text, file)


def _folders() -> list[Path]:
    """Where a user's own maps lie, besides those that come with panelctl."""
    named = [Path(part) for part in os.environ.get("PANELCTL_MAPS", "").split(":") if part]
    return [folder for folder in [*named, OWN_MAPS] if folder.is_dir()]


def _files() -> dict[str, Path | Traversable]:
    """Every map file by its id. What comes with panelctl cannot be replaced by another."""
    found: dict[str, Path | Traversable] = {}
    for folder in _folders():
        found |= {path.stem: path for path in sorted(folder.glob("*.toml"))}
    return found | _delivered()


def _delivered() -> dict[str, Traversable]:
    """Those that come with panelctl."""
    items = files("panelctl.modbus").joinpath("maps").iterdir()
    return {i.name.removesuffix(".toml"): i for i in items if i.name.endswith(".toml")}


def delivered_map_names() -> frozenset[str]:
    """The ids of the maps that come with panelctl, which everybody has."""
    return frozenset(_delivered())


def map_names() -> list[str]:
    """The ids of all maps: those that come with panelctl, and the user's own."""
    return sorted(_files())


_held: dict[str, RegisterMap] = {}


def hold_maps(maps: Mapping[str, RegisterMap]) -> None:
    """From now on these are the maps of their ids, whatever is in the files: those that a panel
    file was checked with, so that nobody goes on with others. Any other is read anew.
    """
    _from_file.cache_clear()
    _held.clear()
    _held.update(maps)


def load_map(name: str) -> RegisterMap:
    """The map of that id. Raises ConfigError when there is none, or when it is wrong."""
    return _held[name] if name in _held else _from_file(name)


@cache
def _from_file(name: str) -> RegisterMap:
    known = _files()
    if name not in known:
        near = get_close_matches(name, known, n=3, cutoff=0.5)
        meant = f"did you mean {' or '.join(near)}? " if near else ""
        remedy = f"is not known; {meant}`panelctl maps list` has all {len(known)}"
        raise ConfigError(name, [Problem("map", name, remedy)])
    try:
        text = known[name].read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"maps/{name}.toml", [Problem("", "", f"cannot be read: {error}")]
        ) from None
    if len(text) > MOST_BYTES:
        problem = Problem("", "", f"is larger than {MOST_BYTES} characters: not a register map")
        raise ConfigError(f"maps/{name}.toml", [problem])
    loaded = parse_map(text, f"maps/{name}.toml")
    if loaded.id != name:
        problem = Problem("id", loaded.id, f"must be the file's name, {name}")
        raise ConfigError(f"maps/{name}.toml", [problem])
    return loaded
