"""Recorded registers of a device: reading the file, and decoding it with the maps that fit.

A capture is a JSON object with a key for each table that was read (`holding`, `input`, `coil`,
`discrete`): words by wire address. What starts with `_` tells where it is from. Sans-IO: the text
of a file comes in, values come out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from panelctl.errors import ConfigError, Problem
from panelctl.modbus.codec import decode_map, decode_text
from panelctl.modbus.maps import MAX_REGISTERS, RegisterMap, load_map, map_names
from panelctl.modbus.sunspec import BASES, Model, walk

Words = dict[int, int]
Value = Fraction | str


@dataclass(frozen=True, slots=True)
class Decoded:
    """What one map makes of a capture; `model` is the SunSpec model that it was found in."""

    map: RegisterMap
    model: Model | None
    values: dict[str, Value]


def parse_capture(text: str, file: str) -> dict[str, Words]:
    """The words of a capture, by table and address. Raises ConfigError."""

    def wrong(path: str, value: object, remedy: str) -> ConfigError:
        return ConfigError(file, [Problem(path, str(value)[:40], remedy)])

    try:
        plain = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise wrong("", "", f"is not JSON: {error}") from None
    if not isinstance(plain, dict):
        raise wrong("", "", "must be an object with a key for each table that was read")
    plain = plain["raw"] if isinstance(plain.get("raw"), dict) else plain
    tables: dict[str, Words] = {}
    for table in MAX_REGISTERS:
        given = plain.get(table)
        if given is None:
            continue
        if not isinstance(given, dict):
            raise wrong(table, given, "must hold words by address")
        try:
            tables[table] = _words(given)
        except (ValueError, TypeError) as error:
            raise wrong(
                table, error, "must hold whole numbers from 0 to 65535 by address"
            ) from None
    if not tables:
        raise wrong("", "", f"has none of {', '.join(MAX_REGISTERS)}")
    return tables


def _words(given: Mapping[str, Any]) -> Words:
    if set(given) == {"start", "words"}:  # one block as hexadecimal digits
        block = bytes.fromhex(given["words"])
        start = int(given["start"])
        return {start + n: block[2 * n] << 8 | block[2 * n + 1] for n in range(len(block) // 2)}
    words = {int(address): int(word) for address, word in given.items()}
    if any(not (0 <= a <= 0xFFFF and 0 <= w <= 0xFFFF) for a, w in words.items()):
        raise ValueError("an address or a word is out of range")
    return words


def models_in(words: Words, bases: Sequence[int] = BASES) -> list[Model]:
    """The SunSpec models of a device, from what was recorded of it.

    Where the chain's headers were not recorded, they are looked for: see `_guess`.
    """
    models = _walk(words, bases)
    return models or (_guess(words) if any(base in words for base in bases) else [])


def _walk(words: Words, bases: Sequence[int]) -> list[Model]:
    steps = walk(bases)
    answer: list[int] | None = None
    try:
        address, count = next(steps)
        while True:
            span = range(address, address + count)
            answer = [words[a] for a in span] if all(a in words for a in span) else None
            address, count = steps.send(answer)
    except StopIteration as end:
        found: list[Model] = end.value
        return found


def _guess(words: Words) -> list[Model]:
    """Models of a sparse recording: where the ID of a known model and its powers of ten stand.

    From low addresses to high, none inside another. For recordings only: a live device is walked.
    """
    maps = {
        number: load_map(name)
        for name in map_names()
        if not load_map(name).sunspec_bases
        for number in load_map(name).sunspec_models
    }
    models: list[Model] = []
    beyond = 0
    for address in sorted(words):
        known = maps.get(words[address])
        if address < beyond or known is None:
            continue
        length = max(point.end for point in known.points.values()) - 2
        scales = {p.scale_point for p in known.points.values() if p.scale_point}
        powers = [words.get(address + known.points[name].address) for name in scales]
        given = [power for power in powers if power is not None]
        if words.get(address + 1, length) < length or len(given) < 2:
            continue
        if all(power <= 10 or power >= 0x10000 - 10 or power == 0x8000 for power in given):
            models.append(Model(words[address], address, length))
            beyond = address + 2 + length
    return models


def decode_with(known: RegisterMap, tables: Mapping[str, Words]) -> list[Decoded]:
    """What a map makes of a capture: once for a device map, once for each of its SunSpec models."""
    if not known.sunspec_models:
        return [Decoded(known, None, _values(known, tables))]
    holding = tables.get("holding", {})
    found = []
    for model in models_in(holding, known.sunspec_bases or BASES):
        if model.id in known.sunspec_models:
            end = model.address + 2 + model.length
            words = {a - model.address: w for a, w in holding.items() if model.address <= a < end}
            found.append(Decoded(known, model, _values(known, {"holding": words})))
    return found


def decode_all(tables: Mapping[str, Words]) -> list[Decoded]:
    """What the SunSpec maps make of a capture, in the order of its chain of models."""
    found = [
        decoded
        for name in map_names()
        if load_map(name).sunspec_models and not load_map(name).sunspec_bases
        for decoded in decode_with(load_map(name), tables)
    ]
    return sorted(found, key=lambda decoded: decoded.model.address if decoded.model else 0)


def _values(known: RegisterMap, tables: Mapping[str, Words]) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for table, words in tables.items():
        points = {n: p for n, p in known.points.items() if p.table == table}
        values |= decode_map(points, words)
        for name, point in points.items():
            span = range(point.address, point.end)
            if point.type == "text" and all(a in words for a in span):
                values[name] = decode_text(point, [words[a] for a in span])
    return values
