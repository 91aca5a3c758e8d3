"""Walking a SunSpec device's chain of models. Sans-IO: it asks for registers and is handed them.

A chain starts with the marker `SunS` at 40000, 50000 or 0; each model is its ID, its length L and
L registers; the end is ID 0xFFFF (SunSpec information model specification).
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

BASES = (40000, 50000, 0)
MARKER = (0x5375, 0x6E53)
END = 0xFFFF
MOST_MODELS = 64  # a chain longer than this is a loop or noise


@dataclass(frozen=True, slots=True)
class Model:
    """One model of the chain: its id, the address of its ID register, and its length L."""

    id: int
    address: int
    length: int


def walk(
    bases: Sequence[int] = BASES,
) -> Generator[tuple[int, int], Sequence[int] | None, list[Model]]:
    """Yields (address, count) of holding registers to read; send them back, or None if refused.

    Returns the models found; an empty list when no base holds the marker.
    """
    for base in bases:
        marker = yield base, 2
        if marker is None or tuple(marker) != MARKER:
            continue
        models: list[Model] = []
        address = base + 2
        while len(models) < MOST_MODELS and address < 65534:
            header = yield address, 2
            if header is None or header[0] == END:
                break
            models.append(Model(header[0], address, header[1]))
            address += 2 + header[1]
        return models
    return []
