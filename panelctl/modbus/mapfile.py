"""What may stand in a register map's TOML file: its keys, their kinds and ranges, as one table.

The reader, the JSON Schema and the reference page are made from it, so that they cannot differ.
What the keys mean together is maps.py's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any, Final

from panelctl.errors import Problem

TABLES: Final = ("holding", "input", "coil", "discrete")
# Registers that a value takes; a text takes as many as its `registers` say.
WORDS: Final = {
    "i16": 1, "u16": 1, "i32": 2, "u32": 2, "f32": 2, "i64": 4, "u64": 4, "f64": 4, "bit": 1,
    "text": 0,
}  # fmt: skip
KINDS: Final = (
    "meter", "branch_meter", "relay", "evse", "heater", "inverter", "battery", "nameplate", "node",
)  # fmt: skip
LINKS: Final = ("rtu", "tcp", "udp")
ORDERS: Final = ("high_first", "low_first")
MOST: Final = 65_535


@dataclass(frozen=True, slots=True)
class Key:
    """One key. `kind` is int, number, bool, text, ints, texts, scale, table, tables (an array of
    them) or named (a table of tables by name); `keys` are those of the table or of each of them.
    """

    kind: str
    what: str
    needed: bool = False
    default: Any = None
    least: float = 0
    most: float = MOST
    choices: tuple[str, ...] = ()
    keys: Mapping[str, Key] = field(default_factory=dict)


_ADDRESS = Key("int", "wire address, from 0", needed=True)
_TABLE = Key("text", "table that it stands in; the default is that of [read]", choices=TABLES)
_FUNCTION = Key("int", "function code of the write: 6 for one register, 16 for several",
                default=16, least=6, most=16)  # fmt: skip

POINT: Final[dict[str, Key]] = {
    "address": _ADDRESS,
    "table": _TABLE,
    "type": Key("text", "how it is written down", needed=True, choices=tuple(WORDS)),
    "registers": Key("int", "how many registers a text takes", least=1, most=64),
    "scale": Key("scale", "what one of the raw number is in `unit`; below 0 turns the sign",
                 default=Fraction(1)),
    "offset": Key("scale", "added after scaling, in `unit`", default=Fraction(0)),
    "scale_point": Key("text", "point that holds the power of ten, in the place of `scale`"),
    "unit": Key("text", "unit of the scaled value: A, V, W, Wh, VA, var, Hz, °C, s, %", default=""),
    "word_order": Key("text", "the default is that of [read]", choices=ORDERS),
    "invalid": Key("ints", "raw patterns that mean that there is no value"),
    "invalid_high": Key("int", "value of the highest register that means that there is no value"),
    "min_firmware": Key("text", "first firmware that has it"),
    "note": Key("text", "for people: what the numbers mean"),
}  # fmt: skip

CHANNEL_POINT: Final = POINT | {
    "stride": Key("int", "registers from one channel to the next in its group", default=0),
}

_TIMER: Final[dict[str, Key]] = {
    "fixed": Key("number", "s, when it cannot be set", most=86_400),
    "address": Key("int", "holding register that it is set in"),
    "default": Key("number", "s, as delivered", most=86_400),
}

MAP: Final[dict[str, Key]] = {
    "schema": Key("int", "1", needed=True, least=1, most=1),
    "id": Key("text", "the file's name without .toml", needed=True),
    "vendor": Key("text", "the maker", needed=True),
    "model": Key("text", "the device or the family", needed=True),
    "kind": Key("text", "what it is", needed=True, choices=KINDS),
    "links": Key("texts", "what it speaks", needed=True, choices=LINKS),
    "evidence": Key("text", "verified: a recording of a real one is decoded in a test",
                    needed=True, choices=("verified", "unverified")),
    "capture": Key("text", "that recording, under fixtures/captures", default=""),
    "confidence": Key("text", "how sure it is, and why", needed=True),
    "source": Key("text", "where the facts are from", needed=True),
    "sunspec_models": Key("ints", "model numbers; addresses count from the ID register"),
    "sunspec_bases": Key("ints", "where its chain may start, if not at 40000, 50000 or 0"),
    "serial": Key("table", "its serial line as delivered", keys={
        "baud": Key("int", "baud rate", least=300, most=1_000_000),
        "parity": Key("text", "parity", choices=("N", "E", "O")),
        "stop": Key("int", "stop bits", least=1, most=2),
        "unit": Key("int", "unit id", least=1, most=255),
    }),
    "read": Key("table", "how it is read", needed=True, keys={
        "table": Key("text", "table that its points stand in", needed=True, choices=TABLES),
        "max_registers": Key("int", "most registers (or bits) of one read", needed=True,
                             least=1, most=2000),
        "word_order": Key("text", "of values longer than a register", default="high_first",
                          choices=ORDERS),
        "align": Key("int", "reads start and count in multiples of it", default=1, least=1, most=4),
        "isolated": Key("ints", "registers that are only ever read alone"),
        "barriers": Key("ints", "addresses that no read may reach across"),
        "reads_gaps": Key("bool", "whether registers that nobody names may be part of a read",
                          default=False),
        "timeout_ms": Key("int", "its own time to answer, ms", needed=True, least=1, most=60_000),
        "turnround_ms": Key("number", "what it usually takes to answer, ms", default=10.0,
                            most=10_000),
        "late_ms": Key("int", "how late a reply may still come, ms", default=1000, most=60_000),
        "gap_ms": Key("number", "pause it needs after an answer, ms", default=0.0, most=10_000),
    }),
    "identify": Key("tables", "what tells that it is this device", keys={
        "address": _ADDRESS,
        "table": _TABLE,
        "values": Key("ints", "what the register holds on such a device"),
        "text": Key("text", "what the registers hold on such a device, as text"),
        "alone": Key("bool", "read it by itself", default=True),
    }),
    "point": Key("named", "its values by name, which ends with the unit", keys=POINT),
    "channels": Key("tables", "values that repeat by a rule", keys={
        "count": Key("int", "how many", needed=True, least=1, most=128),
        "first": Key("int", "number of the first one", default=1, least=1, most=128),
        "group": Key("int", "channels in a group", default=1, least=1, most=128),
        "group_stride": Key("int", "registers from one group to the next", default=0),
        "point": Key("named", "values of one channel; {n} in the name is its number", needed=True,
                     keys=CHANNEL_POINT),
    }),
    "relay": Key("table", "its outputs", keys={
        "outputs": Key("int", "how many", needed=True, least=1, most=64),
        "coil": Key("int", "coil (or command register) of output 1", needed=True),
        "state": Key("int", "where output 1 is read back, in the table of [read]", needed=True),
        "close": Key("int", "word that closes, where outputs are commanded by register", most=MOST),
        "open": Key("int", "word that opens, where outputs are commanded by register", most=MOST),
        "min_firmware": Key("text", "first firmware that has it"),
    }),
    "setpoint": Key("table", "where it is told what it may draw", keys={
        "address": _ADDRESS,
        "type": POINT["type"],
        "scale": POINT["scale"],
        "unit": Key("text", "A per leg, or W", needed=True, choices=("A", "W")),
        "word_order": POINT["word_order"],
        "least": Key("number", "least it runs at, in `unit`", needed=True, most=1_000_000),
        "most": Key("number", "most it takes, in `unit`", needed=True, most=1_000_000),
        "function": _FUNCTION,
        "persistence": Key("text", "eeprom wears out: refused for control", needed=True,
                           choices=("volatile", "eeprom")),
        "lease_ms": Key("bool", "whether lease, request and number follow it", default=False),
    }),
    "pause": Key("table", "a coil or register of its own by which it is stopped and started", keys={
        "address": _ADDRESS,
        "table": Key("text", "where it stands", default="holding", choices=("holding", "coil")),
        "stop": Key("int", "word that stops it", needed=True),
        "run": Key("int", "word that lets it run", needed=True),
        "function": _FUNCTION,
    }),
    "failsafe": Key("table", "what it does by itself when nobody speaks to it", keys={
        "timeout_s": Key("table", "its patience", needed=True, keys=_TIMER),
        "safe_state": Key("table", "of output 1 and following", keys={
            "address": Key("int", "holding register that it is set in"),
            "default": Key("int", "as delivered: 0 open, 1 closed", default=0, most=1),
        }),
        "behaviour": Key("table", "whether it keeps its outputs or goes to the safe state", keys={
            "address": Key("int", "holding register of output 1"),
            "default": Key("int", "as delivered", default=1),
            "keep": Key("int", "value that keeps"),
            "go_safe": Key("int", "value that goes to the safe state"),
        }),
    }),
}  # fmt: skip


def read_keys(
    plain: Mapping[str, Any], keys: Mapping[str, Key], path: str, problems: list[Problem]
) -> dict[str, Any]:
    """The values of a table by key, defaults filled in; what is wrong goes to `problems`."""
    where = f"{path}." if path else ""
    for name in sorted(set(plain) - set(keys)):
        problems.append(
            Problem(
                f"{where}{name}", str(plain[name])[:40], "is no key of a register map; remove it"
            )
        )
    values: dict[str, Any] = {}
    for name, key in keys.items():
        if name in plain:
            values[name] = _value(plain[name], key, f"{where}{name}", problems)
            continue
        values[name] = _nothing(key)
        if key.needed:
            problems.append(Problem(f"{where}{name}", "", f"is missing: {key.what}"))
    return values


def _nothing(key: Key) -> Any:
    empty: dict[str, Any] = {"ints": [], "texts": [], "tables": [], "named": {}}
    return empty.get(key.kind, key.default)


def _value(given: Any, key: Key, path: str, problems: list[Problem]) -> Any:
    def wrong(remedy: str) -> Any:
        problems.append(Problem(path, repr(given)[:60], remedy))
        return _nothing(key)

    is_whole = isinstance(given, int) and not isinstance(given, bool)
    if key.kind in ("int", "number"):
        if not is_whole and not (key.kind == "number" and isinstance(given, float)):
            return wrong(f"must be a {'whole number' if key.kind == 'int' else 'number'}")
        if not key.least <= given <= key.most:
            return wrong(f"must lie between {key.least:g} and {key.most:g}")
        return float(given) if key.kind == "number" else given
    if key.kind == "bool":
        return given if isinstance(given, bool) else wrong("must be true or false")
    if key.kind == "text":
        if not isinstance(given, str):
            return wrong("must be a text")
        if key.choices and given not in key.choices:
            return wrong(f"must be one of {', '.join(key.choices)}")
        return given
    if key.kind == "scale":
        return _scale(given, wrong)
    if key.kind in ("ints", "texts"):
        kind = int if key.kind == "ints" else str
        good = isinstance(given, list) and all(
            isinstance(item, kind) and not isinstance(item, bool) for item in given
        )
        if not good or (key.kind == "ints" and min(given, default=0) < 0):
            return wrong(
                "must be a list of " + ("whole numbers from 0" if kind is int else "texts")
            )
        if key.choices and not set(given) <= set(key.choices):
            return wrong(f"each must be one of {', '.join(key.choices)}")
        return given
    if key.kind == "tables":
        if not isinstance(given, list) or not all(isinstance(item, dict) for item in given):
            return wrong("must be an array of tables")
        return [
            read_keys(item, key.keys, f"{path}[{number}]", problems)
            for number, item in enumerate(given, start=1)
        ]
    if not isinstance(given, dict):
        return wrong("must be a table")
    if key.kind == "table":
        return read_keys(given, key.keys, path, problems)
    return {
        name: read_keys(
            item if isinstance(item, dict) else {}, key.keys, f"{path}.{name}", problems
        )
        for name, item in given.items()
    }


def _scale(given: Any, wrong: Any) -> Any:
    try:
        return Fraction(Decimal(given)) if isinstance(given, str) else wrong(SCALE_REMEDY)
    except (InvalidOperation, ValueError, OverflowError):
        return wrong(SCALE_REMEDY)


SCALE_REMEDY = 'must be a decimal number as a text, such as "0.1"'


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a register map, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "panelctl register map",
        **_schema_of(MAP),
    }


def _schema_of(keys: Mapping[str, Key]) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {name: _schema_of_key(key) for name, key in keys.items()},
        "required": [name for name, key in keys.items() if key.needed],
    }


def _schema_of_key(key: Key) -> dict[str, Any]:
    number = {"minimum": key.least, "maximum": key.most}
    choices = {"enum": list(key.choices)} if key.choices else {}
    by_kind: dict[str, dict[str, Any]] = {
        "int": {"type": "integer", **number},
        "number": {"type": "number", **number},
        "bool": {"type": "boolean"},
        "text": {"type": "string", **choices},
        "scale": {"type": "string", "pattern": r"^-?[0-9.]+([eE]-?[0-9]+)?$"},
        "ints": {"type": "array", "items": {"type": "integer", "minimum": 0}},
        "texts": {"type": "array", "items": {"type": "string", **choices}},
        "table": _schema_of(key.keys),
        "tables": {"type": "array", "items": _schema_of(key.keys)},
        "named": {"type": "object", "additionalProperties": _schema_of(key.keys)},
    }
    return {**by_kind[key.kind], "description": key.what}
