"""Register maps: what a device holds where, as data. The loaded form, and where the files lie.

Rules
- A map is complete or refused: an unknown key, a type that does not exist, a scale that points
  nowhere are errors, and all of them are reported at once. Which keys there are is mapfile.py's.
- Addresses are wire addresses (0-based). Scales are decimal texts, so that they are exact.
- A map without a recording of a real device behind it says `evidence = "unverified"`.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from panelctl.errors import ConfigError, Problem
from panelctl.modbus.mapfile import MAP, WORDS, read_keys

OWN_MAPS = Path("/etc/panelctl/maps")  # and the folders in $PANELCTL_MAPS
MOST_BYTES = 1_000_000
MAX_REGISTERS = {"holding": 125, "input": 125, "coil": 2000, "discrete": 2000}


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
    words `close` and `open` into a holding register.
    """

    outputs: int
    coil: int
    close: int | None = None
    open: int | None = None


@dataclass(frozen=True, slots=True)
class Setpoint:
    """Where a set-point is written, in `point.unit`: 0 for a pause, or `least` to `most`.

    `wears` tells a register of limited life, which panelctl never writes in its loop.
    """

    point: Point
    least: float
    most: float
    lease: bool
    function: int = 16
    wears: bool = False


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

    `timeout_s` is its default or fixed patience; the addresses, where known, tell what it is set
    to: `timeout_at`, `safe_state_at` (per output) and `behaviour_at` (holding registers).
    """

    timeout_s: float
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
    reads_gaps: bool
    points: dict[str, Point] = field(repr=False)
    marks: tuple[Mark, ...] = ()
    serial: Mapping[str, Any] = field(default_factory=dict)
    sunspec_models: tuple[int, ...] = ()
    sunspec_bases: tuple[int, ...] = ()
    relay: Relay | None = None
    setpoint: Setpoint | None = None
    pause: Pause | None = None
    failsafe: FailSafe | None = None


def parse_map(text: str, file: str) -> RegisterMap:
    """The register map in `text`. Raises ConfigError with every problem; `file` names it there."""
    try:
        plain = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(file, [Problem("", "", f"is not TOML: {error}")]) from None
    problems: list[Problem] = []
    given = read_keys(plain, MAP, "", problems)
    if problems:
        raise ConfigError(file, problems)
    read = given["read"]
    points = [_point(name, item, read) for name, item in given["point"].items()]
    for number, rule in enumerate(given["channels"], start=1):
        points += _channels(rule, read, f"channels[{number}]", problems)
    relay = given["relay"]
    if relay is not None:
        points += [
            Point(f"output_{n}", read["table"], relay["state"] + n - 1, _state_type(read["table"]))
            for n in range(1, relay["outputs"] + 1)
        ]
    by_name = {point.name: point for point in points}
    problems += _wrong(given, points, by_name)
    if problems:
        raise ConfigError(file, problems)
    plain_keys = ("id", "vendor", "model", "kind", "capture", "confidence", "source")
    read_as = ("table", "max_registers", "align", "reads_gaps")
    times = ("timeout_ms", "turnround_ms", "late_ms", "gap_ms")
    same: dict[str, Any] = {key: given[key] for key in plain_keys}
    same |= {key: read[key] for key in (*read_as, *times)}
    same |= {key: tuple(given[key]) for key in ("links", "sunspec_models", "sunspec_bases")}
    return RegisterMap(
        **same,
        verified=given["evidence"] == "verified",
        isolated=frozenset(read["isolated"]),
        barriers=tuple(sorted(read["barriers"])),
        points=by_name,
        marks=tuple(_mark(item, read["table"]) for item in given["identify"]),
        serial={key: value for key, value in (given["serial"] or {}).items() if value is not None},
        relay=relay and Relay(relay["outputs"], relay["coil"], relay["close"], relay["open"]),
        setpoint=given["setpoint"] and _setpoint(given["setpoint"], read),
        pause=given["pause"] and Pause(**given["pause"]),
        failsafe=given["failsafe"] and _failsafe(given["failsafe"]),
    )


def _point(name: str, item: Mapping[str, Any], read: Mapping[str, Any], shift: int = 0) -> Point:
    return Point(
        name=name,
        table=item["table"] or read["table"],
        address=item["address"] + shift,
        type=item["type"],
        scale=item["scale"],
        unit=item["unit"],
        low_first=(item["word_order"] or read["word_order"]) == "low_first",
        invalid=frozenset(item["invalid"]),
        invalid_high=item["invalid_high"],
        scale_point=item["scale_point"],
        offset=item["offset"],
        registers=item["registers"] or 0,
        min_firmware=item["min_firmware"] or "",
        note=item["note"] or "",
    )


def _channels(
    rule: Mapping[str, Any], read: Mapping[str, Any], path: str, problems: list[Problem]
) -> list[Point]:
    points = []
    for pattern, item in rule["point"].items():
        if "{n}" not in pattern:
            remedy = "must hold {n}, the number of the channel"
            problems.append(Problem(f"{path}.point", pattern, remedy))
            continue
        for place in range(rule["count"]):
            group, within = divmod(place, rule["group"])
            shift = group * rule["group_stride"] + within * item["stride"]
            name = pattern.replace("{n}", str(rule["first"] + place))
            points.append(_point(name, item, read, shift))
    return points


def _wrong(
    given: Mapping[str, Any], points: list[Point], by_name: Mapping[str, Point]
) -> list[Problem]:
    """What the keys of a map mean together and cannot."""
    problems = []
    read = given["read"]
    if len(by_name) != len(points):
        names = [point.name for point in points]
        twice = sorted({name for name in names if names.count(name) > 1})
        problems.append(Problem("point", ", ".join(twice), "two points have one name"))
    for point in points:
        path = f"point.{point.name}"
        if point.end > 65536:
            remedy = "the value would end above register 65535"
            problems.append(Problem(f"{path}.address", str(point.address), remedy))
        if point.scale_point is not None and point.scale_point not in by_name:
            remedy = "names no point of this map"
            problems.append(Problem(f"{path}.scale_point", point.scale_point, remedy))
        if (point.type == "text") != bool(point.registers):
            remedy = "a text needs it, and nothing else takes it"
            problems.append(Problem(f"{path}.registers", str(point.registers), remedy))
        if (point.type == "bit") != (point.table in ("coil", "discrete")):
            remedy = "bits stand in coils and discrete inputs, numbers in registers"
            problems.append(Problem(f"{path}.type", point.type, remedy))
        if point.scale == 0:
            problems.append(Problem(f"{path}.scale", "0", "must not be 0"))
    most = MAX_REGISTERS[read["table"]]
    if read["max_registers"] > most:
        remedy = f"Modbus reads at most {most} of this table at once"
        problems.append(Problem("read.max_registers", str(read["max_registers"]), remedy))
    if given["evidence"] == "verified" and not given["capture"]:
        problems.append(Problem("capture", "", "a verified map names the recording it decodes"))
    relay = given["relay"]
    if relay is not None and (relay["close"] is None) != (relay["open"] is None):
        problems.append(Problem("relay", "", "`close` and `open` go together"))
    setpoint = given["setpoint"]
    if setpoint is not None and not setpoint["least"] <= setpoint["most"]:
        problems.append(Problem("setpoint.least", f"{setpoint['least']:g}", "is above `most`"))
    failsafe = given["failsafe"]
    if failsafe is not None:
        timeout = failsafe["timeout_s"]
        if timeout["fixed"] is None and timeout["default"] is None:
            remedy = "needs `fixed`, or `address` and `default`"
            problems.append(Problem("failsafe.timeout_s", "", remedy))
    return problems


def _state_type(table: str) -> str:
    return "bit" if table in ("coil", "discrete") else "u16"


def _mark(item: Mapping[str, Any], table: str) -> Mark:
    return Mark(
        item["table"] or table,
        item["address"],
        frozenset(item["values"]),
        item["text"] or "",
        item["alone"],
    )


def _setpoint(item: Mapping[str, Any], read: Mapping[str, Any]) -> Setpoint:
    order = item["word_order"] or read["word_order"]
    point = Point(
        name="setpoint",
        table="holding",
        address=item["address"],
        type=item["type"],
        scale=item["scale"],
        unit=item["unit"],
        low_first=order == "low_first",
    )
    wears = item["persistence"] == "eeprom"
    return Setpoint(point, item["least"], item["most"], item["lease_ms"], item["function"], wears)


def _failsafe(item: Mapping[str, Any]) -> FailSafe:
    timeout = item["timeout_s"]
    safe, behaviour = item["safe_state"] or {}, item["behaviour"] or {}
    default = timeout["fixed"] if timeout["default"] is None else timeout["default"]
    return FailSafe(
        timeout_s=default,
        timeout_at=timeout["address"],
        safe_state_at=safe.get("address"),
        safe_state_default=safe.get("default", 0),
        behaviour_at=behaviour.get("address"),
        behaviour_default=behaviour.get("default", 1),
    )


def _folders() -> list[Path]:
    """Where a user's own maps lie, besides those that come with panelctl."""
    named = [Path(part) for part in os.environ.get("PANELCTL_MAPS", "").split(":") if part]
    return [folder for folder in [*named, OWN_MAPS] if folder.is_dir()]


def _files() -> dict[str, Path | Traversable]:
    """Every map file by its id. What comes with panelctl cannot be replaced by another."""
    found: dict[str, Path | Traversable] = {}
    for folder in _folders():
        found |= {path.stem: path for path in sorted(folder.glob("*.toml"))}
    for item in files("panelctl.modbus").joinpath("maps").iterdir():
        if item.name.endswith(".toml"):
            found[item.name.removesuffix(".toml")] = item
    return found


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
        listed = ", ".join(sorted(known))
        raise ConfigError(name, [Problem("map", name, f"is not known; known are {listed}")])
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
