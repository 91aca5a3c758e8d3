"""Register maps: what a device holds where, as data. Loading and checking of the TOML files.

Rules
- A map is complete or refused: an unknown key, a type that does not exist, two points of one name
  are errors, and all of them are reported at once.
- Addresses are wire addresses (0-based). Scales are decimal texts, so that they are exact.
- A map without a recording of a real device behind it says `evidence = "unverified"`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import cache
from importlib.resources import files
from typing import Any

from panelctl.errors import ConfigError, Problem

TABLES = ("holding", "input", "coil", "discrete")
WORDS = {"i16": 1, "u16": 1, "i32": 2, "u32": 2, "f32": 2, "i64": 4, "u64": 4, "bit": 1}
KINDS = ("meter", "branch_meter", "relay", "evse", "heater", "node")
MAX_REGISTERS = {"holding": 125, "input": 125, "coil": 2000, "discrete": 2000}


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a device: where it stands, how it is written down, what it means.

    `scale` turns the raw number into `unit`; `scale_point` names the point that holds a power of
    ten instead. `invalid` are raw patterns that mean "not available".
    """

    name: str
    table: str
    address: int
    type: str
    scale: Fraction
    unit: str
    low_first: bool
    invalid: frozenset[int] = frozenset()
    invalid_high: int | None = None
    scale_point: str | None = None

    @property
    def count(self) -> int:
        """Registers (or bits) it takes."""
        return WORDS[self.type]

    @property
    def end(self) -> int:
        """The first address after it."""
        return self.address + self.count


@dataclass(frozen=True, slots=True)
class Relay:
    """The outputs of a relay board: output n is written at `coil + n - 1`."""

    outputs: int
    coil: int


@dataclass(frozen=True, slots=True)
class Setpoint:
    """Where a set-point is written, in `point.unit`, between `least` and `most`."""

    point: Point
    least: float
    most: float
    lease: bool


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
    max_registers: int
    isolated: frozenset[int]
    barriers: tuple[int, ...]
    timeout_ms: int
    turnround_ms: float
    late_ms: int
    gap_ms: float
    reads_gaps: bool
    points: dict[str, Point] = field(repr=False)
    sunspec_models: tuple[int, ...] = ()
    relay: Relay | None = None
    setpoint: Setpoint | None = None
    failsafe: FailSafe | None = None


class _Reader:
    """Takes keys out of a TOML table and remembers everything that is wrong with them."""

    def __init__(self, table: dict[str, Any], path: str, problems: list[Problem]) -> None:
        self.table = dict(table)
        self.path = path
        self.problems = problems

    def wrong(self, key: str, value: object, remedy: str) -> None:
        path = f"{self.path}.{key}" if self.path else key
        self.problems.append(Problem(path, repr(value) if value is not None else "", remedy))

    def take(self, key: str, kind: type, default: Any = None, needed: bool = False) -> Any:
        if key not in self.table:
            if needed:
                self.wrong(key, None, f"is missing; write a {kind.__name__}")
            return default
        value = self.table.pop(key)
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
            self.wrong(key, value, f"must be a {kind.__name__}")
            return default
        return value

    def choice(self, key: str, choices: Iterable[str], default: str | None = None) -> str:
        value = self.take(key, str, default, needed=default is None)
        if value not in choices:
            if value is not None:
                self.wrong(key, value, f"must be one of {', '.join(choices)}")
            return next(iter(choices))
        return str(value)

    def number(self, key: str, least: float, most: float, default: Any = None) -> Any:
        kind = float if isinstance(default, float) else int
        value = self.take(key, kind, default, needed=default is None)
        if value is None:
            return least
        if not least <= value <= most:
            self.wrong(key, value, f"must lie between {least:g} and {most:g}")
            return least
        return value

    def sub(self, key: str) -> _Reader | None:
        if key not in self.table:
            return None
        value = self.table.pop(key)
        path = f"{self.path}.{key}" if self.path else key
        if not isinstance(value, dict):
            self.wrong(key, value, "must be a table")
            return None
        return _Reader(value, path, self.problems)

    def many(self, key: str) -> list[_Reader]:
        value = self.table.pop(key, [])
        path = f"{self.path}.{key}" if self.path else key
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.wrong(key, value, "must be an array of tables")
            return []
        return [_Reader(v, f"{path}[{n}]", self.problems) for n, v in enumerate(value, start=1)]

    def numbers(self, key: str) -> list[int]:
        value = self.take(key, list, [])
        good = [v for v in value if isinstance(v, int) and not isinstance(v, bool) and v >= 0]
        if len(good) != len(value):
            self.wrong(key, value, "must hold whole numbers, none below 0")
        return good

    def done(self) -> None:
        for key, value in self.table.items():
            self.wrong(key, value, "is not a key of a register map; remove it")


def _scale(reader: _Reader) -> Fraction:
    text = reader.take("scale", str, "1")
    try:
        scale = Fraction(Decimal(text))
    except (InvalidOperation, ValueError, OverflowError):
        reader.wrong("scale", text, 'must be a decimal number as a text, such as "0.1"')
        return Fraction(1)
    if scale == 0:
        reader.wrong("scale", text, "must not be 0")
        return Fraction(1)
    return scale


def _point(reader: _Reader, table: str, order: str, shift: int = 0, name: str = "") -> Point:
    given = reader.take("name", str, "", needed=not name)
    point = Point(
        name=name or given,
        table=reader.choice("table", TABLES, table),
        address=reader.number("address", 0, 65535) + shift,
        type=reader.choice("type", tuple(WORDS)),
        scale=_scale(reader),
        unit=reader.take("unit", str, ""),
        low_first=reader.choice("word_order", ("high_first", "low_first"), order) == "low_first",
        invalid=frozenset(reader.numbers("invalid")),
        invalid_high=reader.take("invalid_high", int),
        scale_point=reader.take("scale_point", str),
    )
    if point.end > 65536:
        reader.wrong("address", point.address, "the value would end above register 65535")
    return point


def _channels(reader: _Reader, table: str, order: str) -> list[Point]:
    count = reader.number("count", 1, 128)
    group = reader.number("group", 1, 128, 1)
    group_stride = reader.number("group_stride", 0, 65535, 0)
    points = []
    for item in reader.many("point"):
        pattern = item.take("name", str, "", needed=True)
        if "{n}" not in pattern:
            item.wrong("name", pattern, "must hold {n}, the number of the channel")
            continue
        stride = item.number("stride", 0, 65535, 0)
        for n in range(1, count + 1):
            shift = (n - 1) // group * group_stride + (n - 1) % group * stride
            copy = _Reader({**item.table, "name": pattern}, item.path, reader.problems)
            points.append(_point(copy, table, order, shift, pattern.format(n=n)))
            if n == count:
                copy.done()
    reader.done()
    return points


def _relay(reader: _Reader, table: str) -> tuple[Relay, list[Point]]:
    relay = Relay(reader.number("outputs", 1, 64), reader.number("coil", 0, 65535))
    state = reader.number("state", 0, 65535)
    reader.take("min_firmware", str)
    reader.done()
    one = Fraction(1)
    points = [
        Point(f"output_{n}", table, state + n - 1, "bit", one, "", False)
        for n in range(1, relay.outputs + 1)
    ]
    return relay, points


def _failsafe(reader: _Reader) -> FailSafe:
    timeout = reader.sub("timeout_s") or _Reader({}, reader.path, reader.problems)
    fixed = timeout.take("fixed", float)
    default = timeout.take("default", float, fixed)
    timeout_at = timeout.take("address", int)
    timeout.done()
    if default is None:
        reader.wrong("timeout_s", None, "needs `fixed`, or `address` and `default`")
    empty: dict[str, Any] = {}
    safe = reader.sub("safe_state") or _Reader(empty, reader.path, reader.problems)
    behaviour = reader.sub("behaviour") or _Reader(empty, reader.path, reader.problems)
    failsafe = FailSafe(
        timeout_s=default or 0.0,
        timeout_at=timeout_at,
        safe_state_at=safe.take("address", int),
        safe_state_default=safe.take("default", int, 0),
        behaviour_at=behaviour.take("address", int),
        behaviour_default=behaviour.take("default", int, 1),
    )
    for key in ("keep", "go_safe"):  # the two values of a behaviour register, for people
        behaviour.take(key, int)
    for part in (safe, behaviour, reader):
        part.done()
    return failsafe


def parse_map(text: str, file: str) -> RegisterMap:
    """The register map in `text`. Raises ConfigError with every problem; `file` names it there."""
    try:
        plain = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(file, [Problem("", "", f"is not TOML: {error}")]) from None
    problems: list[Problem] = []
    top = _Reader(plain, "", problems)
    if top.take("schema", int, needed=True) != 1:
        top.wrong("schema", plain.get("schema"), "this panelctl reads schema 1")
    read = top.sub("read") or _Reader({}, "read", problems)
    table = read.choice("table", TABLES)
    order = read.choice("word_order", ("high_first", "low_first"), "high_first")
    points = []
    for item in top.many("point"):
        points.append(_point(item, table, order))
        item.done()
    if channels := top.sub("channels"):
        points += _channels(channels, table, order)
    relay = None
    if section := top.sub("relay"):
        relay, outputs = _relay(section, table)
        points += outputs
    setpoint = None
    if section := top.sub("setpoint"):
        section.choice("persistence", ("volatile",), "volatile")
        least, most = section.take("least", float, 0.0), section.take("most", float, 0.0)
        lease = section.take("lease_ms", bool, False)
        setpoint = Setpoint(_point(section, "holding", order, 0, "setpoint"), least, most, lease)
        section.done()
    failsafe = _failsafe(section) if (section := top.sub("failsafe")) else None
    for item in top.many("identify"):
        item.number("address", 0, 65535)
        item.numbers("values")
        item.done()
    by_name = {point.name: point for point in points}
    if len(by_name) != len(points):
        names = [point.name for point in points]
        twice = sorted({name for name in names if names.count(name) > 1})
        problems.append(Problem("point", ", ".join(twice), "two points have one name"))
    for point in points:
        if point.scale_point is not None and point.scale_point not in by_name:
            problems.append(
                Problem(f"point {point.name}", point.scale_point, "names no point of this map")
            )
    result = RegisterMap(
        id=top.take("id", str, "", needed=True),
        vendor=top.take("vendor", str, "", needed=True),
        model=top.take("model", str, "", needed=True),
        kind=top.choice("kind", KINDS),
        links=tuple(top.take("links", list, [], needed=True)),
        verified=top.choice("evidence", ("verified", "unverified")) == "verified",
        capture=top.take("capture", str, ""),
        confidence=top.take("confidence", str, "", needed=True),
        source=top.take("source", str, "", needed=True),
        max_registers=read.number("max_registers", 1, MAX_REGISTERS[table]),
        isolated=frozenset(read.numbers("isolated")),
        barriers=tuple(sorted(read.numbers("barriers"))),
        timeout_ms=read.number("timeout_ms", 1, 60_000),
        turnround_ms=read.number("turnround_ms", 0.0, 10_000.0, 10.0),
        late_ms=read.number("late_ms", 0, 60_000, 1000),
        gap_ms=read.number("gap_ms", 0.0, 10_000.0, 0.0),
        reads_gaps=read.take("reads_gaps", bool, False),
        points=by_name,
        sunspec_models=tuple(top.numbers("sunspec_models")),
        relay=relay,
        setpoint=setpoint,
        failsafe=failsafe,
    )
    read.done()
    top.done()
    if result.verified and not result.capture:
        problems.append(Problem("capture", "", "a verified map names the recording it decodes"))
    if problems:
        raise ConfigError(file, problems)
    return result


def map_names() -> list[str]:
    """The ids of all maps that come with panelctl."""
    folder = files("panelctl.modbus").joinpath("maps")
    return sorted(
        p.name.removesuffix(".toml") for p in folder.iterdir() if p.name.endswith(".toml")
    )


@cache
def load_map(name: str) -> RegisterMap:
    """The map of that id. Raises ConfigError when there is none, or when it is wrong."""
    if name not in map_names():
        known = ", ".join(map_names())
        raise ConfigError(name, [Problem("map", name, f"is not known; known are {known}")])
    path = files("panelctl.modbus").joinpath("maps", f"{name}.toml")
    loaded = parse_map(path.read_text("utf-8"), f"maps/{name}.toml")
    if loaded.id != name:
        problem = Problem("id", loaded.id, f"must be the file's name, {name}")
        raise ConfigError(f"maps/{name}.toml", [problem])
    return loaded
