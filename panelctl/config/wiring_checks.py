"""What a panel file says of how things are wired: which breaker sits where, and which way round a
transformer is.
"""

from __future__ import annotations

from collections.abc import Iterator

from panelctl.config.schema import CircuitTable, PanelFile
from panelctl.errors import Problem


def check_wiring(file: PanelFile) -> Iterator[Problem]:
    """What cannot be wired as it is written."""
    yield from _spaces(file)
    yield from _both_ways(file)


def _spaces(file: PanelFile) -> Iterator[Problem]:
    """A space has one breaker, or the two halves of a tandem."""
    taken: dict[int, list[tuple[CircuitTable, str]]] = {}
    for circuit in file.circuit:
        path, halves = f"circuit {circuit.id}", circuit.tandem or ""
        if halves and len(halves) != len(circuit.spaces):
            remedy = f"needs a letter for each space: {len(circuit.spaces)}"
            yield Problem(f"{path}.tandem", halves, remedy)
            continue
        for n, space in enumerate(circuit.spaces):
            half = halves[n : n + 1]
            for other, its in taken.setdefault(space, []):
                if not half or not its:
                    remedy = (
                        f'is already taken by {other.id}; two share a space as tandem = "A", "B"'
                    )
                    yield Problem(f"{path}.spaces", str(space), remedy)
                elif half == its:
                    remedy = f"is already the half of space {space} that {other.id} has"
                    yield Problem(f"{path}.tandem", half, remedy)
                elif len(circuit.legs) == len(other.legs) == 1 and circuit.legs != other.legs:
                    remedy = f"both halves of space {space} are on one leg, and {other.id} is on "
                    yield Problem(f"{path}.legs", circuit.legs, remedy + other.legs)
            taken[space].append((circuit, half))


def _both_ways(file: PanelFile) -> Iterator[Problem]:
    """A transformer is on one way round, whoever reads it."""
    seen: dict[tuple[str, str], str] = {}
    for path, device, point in _directed(file):
        first = seen.setdefault((device, point.removeprefix("-")), point)
        if first != point:
            remedy = f"stands elsewhere as {first}: a reading has one direction"
            yield Problem(path, point, remedy)


def _directed(file: PanelFile) -> Iterator[tuple[str, str, str]]:
    """Every current and power: where it is named, its device and its point."""
    mains = file.service.mains
    for leg, table in (("a", mains.a), ("b", mains.b)):
        yield f"service.mains.{leg}.current", mains.device, table.current
        yield f"service.mains.{leg}.power", mains.device, table.power
    for feeder in file.feeder:
        if meter := feeder.meter:
            for leg, point in (("a", meter.a), ("b", meter.b)):
                if point is not None:
                    yield f"feeder {feeder.id}.meter.{leg}", meter.device, point
    for circuit in file.circuit:
        if circuit.meter is None:
            continue
        path, device = f"circuit {circuit.id}.meter", circuit.meter.device
        for leg, point in (("a", circuit.meter.a), ("b", circuit.meter.b)):
            if point is not None:
                yield f"{path}.{leg}", device, point
        for n, name in enumerate(circuit.meter.power):
            yield f"{path}.power[{n}]", device, name
