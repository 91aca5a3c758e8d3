"""Reading a register map: text to tables, tables to the loaded form, and what only the whole map
shows. Imported only where a file is read, as the checker behind it is.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping

from pydantic import ValidationError

from panelctl.errors import ConfigError, Problem
from panelctl.modbus.mapfile import (
    BehaviourTable,
    ChannelsTable,
    FailSafeTable,
    MapFile,
    PointTable,
    ReadTable,
    RelayTable,
    SafeStateTable,
    SetpointTable,
)
from panelctl.modbus.maps import FailSafe, Mark, Pause, Point, RegisterMap, Relay, Setpoint
from panelctl.modbus.mapschema import meaning
from panelctl.model.problems import problems_of

BITS = ("coil", "discrete")


def read_map(text: str, file: str) -> RegisterMap:
    """The register map in `text`. Raises ConfigError with every problem; `file` names it there."""
    try:
        plain = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(file, [Problem("", "", f"is not TOML: {error}")]) from None
    try:
        given = MapFile.model_validate(plain)
    except ValidationError as error:
        raise ConfigError(file, problems_of(error.errors(), plain, meaning)) from None
    points = list(_points(given))
    by_name = {point.name: point for point in points}
    problems = [*_wrong(points, by_name), *_wrong_readback(given, by_name)]
    if problems:
        raise ConfigError(file, problems)
    return _loaded(given, by_name)


def _points(given: MapFile) -> Iterator[Point]:
    """Every value: those by name, those of the channels, and the outputs read back."""
    read = given.read
    for name, item in given.point.items():
        yield _point(name, item, read)
    for rule in given.channels:
        yield from _channels(rule, read)
    if given.relay is not None:
        form = "bit" if read.table in BITS else "u16"
        for n in range(given.relay.outputs):
            yield Point(f"output_{n + 1}", read.table, given.relay.state + n, form)


def _point(name: str, item: PointTable, read: ReadTable, shift: int = 0) -> Point:
    return Point(
        name=name,
        table=item.table or read.table,
        address=item.address + shift,
        type=item.type,
        scale=item.scale,
        unit=item.unit,
        low_first=(item.word_order or read.word_order) == "low_first",
        invalid=frozenset(item.invalid),
        invalid_high=item.invalid_high,
        scale_point=item.scale_point,
        offset=item.offset,
        registers=item.registers or 0,
        min_firmware=item.min_firmware,
        note=item.note,
    )


def _channels(rule: ChannelsTable, read: ReadTable) -> Iterator[Point]:
    for pattern, item in rule.point.items():
        for place in range(rule.count):
            group, within = divmod(place, rule.group)
            shift = group * rule.group_stride + within * item.stride
            yield _point(pattern.replace("{n}", str(rule.first + place)), item, read, shift)


def _wrong(points: list[Point], by_name: Mapping[str, Point]) -> Iterator[Problem]:
    """What the points of a map mean together and cannot."""
    if len(by_name) != len(points):
        names = [point.name for point in points]
        twice = sorted({name for name in names if names.count(name) > 1})
        yield Problem("point", ", ".join(twice), "two points have one name")
    for point in points:
        path = f"point.{point.name}"
        if point.end > 65536:
            remedy = "the value would end above register 65535"
            yield Problem(f"{path}.address", str(point.address), remedy)
        if point.scale_point is not None and point.scale_point not in by_name:
            yield Problem(f"{path}.scale_point", point.scale_point, "names no point of this map")
        if (point.type == "bit") != (point.table in BITS):
            remedy = "bits stand in coils and discrete inputs, numbers in registers"
            yield Problem(f"{path}.type", point.type, remedy)


def _wrong_readback(given: MapFile, by_name: Mapping[str, Point]) -> Iterator[Problem]:
    """A set-point is compared with what is read back, number by number."""
    setpoint = given.setpoint
    if setpoint is None or setpoint.readback is None:
        return
    name = setpoint.readback
    point = by_name.get(name)
    if point is None:
        yield Problem("setpoint.readback", name, "names no point of this map")
    elif point.unit != setpoint.unit:
        remedy = f"is in {point.unit or 'no unit'}, and the set-point in {setpoint.unit}"
        yield Problem("setpoint.readback", name, remedy)
    elif point.scale_point is not None:
        yield Problem("setpoint.readback", name, "its scale must be fixed, not read from a point")


def _loaded(given: MapFile, points: dict[str, Point]) -> RegisterMap:
    read, pause = given.read, given.pause
    return RegisterMap(
        id=given.id,
        vendor=given.vendor,
        model=given.model,
        kind=given.kind,
        links=tuple(given.links),
        verified=given.evidence == "verified",
        capture=given.capture,
        confidence=given.confidence,
        source=given.source,
        table=read.table,
        max_registers=read.max_registers,
        align=read.align,
        isolated=frozenset(read.isolated),
        barriers=tuple(sorted(read.barriers)),
        timeout_ms=read.timeout_ms,
        turnround_ms=read.turnround_ms,
        late_ms=read.late_ms,
        gap_ms=read.gap_ms,
        renews_ms=read.renews_ms,
        reads_gaps=read.reads_gaps,
        points=points,
        marks=tuple(
            Mark(
                mark.table or read.table,
                mark.address,
                frozenset(mark.values),
                mark.text,
                mark.alone,
            )
            for mark in given.identify
        ),
        serial=given.serial.model_dump(exclude_none=True) if given.serial else {},
        sunspec_models=tuple(given.sunspec_models),
        sunspec_bases=tuple(given.sunspec_bases),
        relay=_relay(given.relay) if given.relay else None,
        setpoint=_setpoint(given.setpoint, read, points) if given.setpoint else None,
        pause=Pause(**pause.model_dump()) if pause else None,
        failsafe=_failsafe(given.failsafe) if given.failsafe else None,
    )


def _relay(item: RelayTable) -> Relay:
    return Relay(item.outputs, item.coil, item.shows == "contact", item.close, item.open)


def _setpoint(item: SetpointTable, read: ReadTable, points: Mapping[str, Point]) -> Setpoint:
    point = Point(
        name="setpoint",
        table="holding",
        address=item.address,
        type=item.type,
        scale=item.scale,
        unit=item.unit,
        low_first=(item.word_order or read.word_order) == "low_first",
    )
    wears = item.persistence == "eeprom"
    back = points[item.readback] if item.readback is not None else None
    return Setpoint(point, item.least, item.most, item.lease_ms, item.function, wears, back)


def _failsafe(item: FailSafeTable) -> FailSafe:
    patience = item.timeout_s
    safe, behaviour = item.safe_state or SafeStateTable(), item.behaviour or BehaviourTable()
    default = patience.fixed if patience.default is None else patience.default
    assert default is not None  # the schema asks for one of them
    return FailSafe(
        timeout_s=default,
        settable=patience.fixed is None,
        timeout_at=patience.address,
        safe_state_at=safe.address,
        safe_state_default=safe.default,
        behaviour_at=behaviour.address,
        behaviour_default=behaviour.default,
    )
