"""An engine's whole memory between two steps, as plain data: a part from the middle of a recording
begins with it, and is decided again to the bit.

Rules
- snapshot.py has what outlives a restart, which is less: what only makes more careful. Here is all
  that the next step can ask for: flat memory, image, limits, power limits and tiers.
- No circuit is named: loads go by their number. The only texts are the sources of limits.
- What is as in a new engine of the same panel is left out, so that a memory that has grown since
  goes on with what a new engine begins with.
- Plain data comes from files of others: what is out of shape is refused (ValueError, KeyError,
  TypeError), never written past the end of an array.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

from panelctl.core.plain import below, whole
from panelctl.model.keys import MAX_TIER
from panelctl.model.reason import State

if TYPE_CHECKING:
    from panelctl.core.engine import Engine

FORMAT = 1
# Of what is fixed, that which orders and doubts change: what loads may use, how fast to restore.
CHANGED_FIXED = ("max_ma", "restore_interval_ns")
IMAGE = ("value", "quality", "sampled_ns", "next_value", "next_quality", "next_sampled_ns")
# Cells that rules take for a place in a table: what they may be at most.
PLACES = {"state": len(State) - 1, "tier": MAX_TIER}
Cells = dict[str, dict[str, int]]  # by field and place


def whole_of(engine: Engine) -> dict[str, Any]:
    """All of an engine's memory, between two steps, ready for JSON."""
    new = type(engine)(engine.panel)
    return {
        "format": FORMAT,
        "fixed": _changed(new.fixed, engine.fixed, CHANGED_FIXED),
        "state": _changed(new.state, engine.state, engine.state.names),
        "image": _changed(new.image, engine.image, IMAGE),
        "limits": engine.limits.memory(),
        "power_limits": engine.power_limits.memory(),
        "tiers": [[engine.index[ident], *pair] for ident, pair in engine.moved.items()],
    }


def put_whole(engine: Engine, plain: dict[str, Any]) -> None:
    """Put a new engine, before its first step, where the one that it was made of stood. Raises
    ValueError, KeyError or TypeError out of shape, or where it is of another panel.
    """
    if plain["format"] != FORMAT:
        raise ValueError(f"a memory of format {plain['format']!r}: this panelctl knows {FORMAT}")
    _put(engine.fixed, plain["fixed"], CHANGED_FIXED)
    _put(engine.state, plain["state"], engine.state.names)
    _put(engine.image, plain["image"], IMAGE)
    engine.limits.put_memory(plain["limits"])
    engine.power_limits.put_memory(plain["power_limits"])
    for i, filed, tier in plain["tiers"]:
        circuit = engine.loads[below(i, len(engine.loads))]
        engine.moved[circuit.id] = (whole(filed, MAX_TIER), whole(tier, MAX_TIER))


def with_hours_moved(plain: dict[str, Any], by_ns: int) -> dict[str, Any]:
    """The same with the time of day so much ahead: by whole days, and the hours stay."""
    hours = plain["state"].get("hour_offset_ns", {}).get("0", 0) + by_ns
    return {**plain, "state": {**plain["state"], "hour_offset_ns": {"0": hours}}}


def same(one: Engine, other: Engine) -> bool:
    """Whether two engines stand where they decide the same from now on, hours told apart by whole
    days: flat memory and image, cell by cell.
    """
    names = [name for name in one.state.names if name != "hour_offset_ns"]
    return (
        one.fixed.dump() == other.fixed.dump()
        and all(getattr(one.state, name) == getattr(other.state, name) for name in names)
        and all(getattr(one.image, name) == getattr(other.image, name) for name in IMAGE)
    )


def _changed(new: object, now: object, names: tuple[str, ...]) -> Cells:
    """By field, the cells that are not as in a new engine."""
    found: Cells = {}
    for name in names:
        before, after = getattr(new, name), getattr(now, name)
        if before != after:
            pairs = enumerate(zip(before, after, strict=True))
            found[name] = {str(n): cell for n, (old, cell) in pairs if old != cell}
    return found


def _put(memory: object, cells: Cells, names: tuple[str, ...]) -> None:
    if unknown := sorted(cells.keys() - set(names)):
        raise ValueError(f"its memory has {unknown[0]!r}, which this panelctl has not")
    for name, changed in cells.items():
        field: array[int] = getattr(memory, name)
        most = PLACES.get(name)
        for n, value in changed.items():
            if most is not None:
                whole(value, most)
            field[below(n, len(field))] = value
