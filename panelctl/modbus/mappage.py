"""The tables of docs/reference/register-maps.md, made from the maps and from their file's keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from panelctl.modbus.mapfile import CHANNEL_POINT, MAP, POINT, Key
from panelctl.modbus.maps import load_map, map_names


def maps_table() -> str:
    """One line a map: what it is for, and whether a recording has proven it."""
    lines = ["| `id` | device | kind | links | points | evidence |", "|---|---|---|---|---|---|"]
    for name in map_names():
        known = load_map(name)
        evidence = "**verified**" if known.verified else "unverified"
        lines.append(
            f"| `{name}` | {known.vendor}: {known.model} | {known.kind} | {', '.join(known.links)} "
            f"| {len(known.points)} | {evidence}: {known.confidence} |"
        )
    return "\n".join(lines) + "\n"


def keys_table() -> str:
    """Every key that may stand in a map, table by table."""
    return "\n".join(_sections("", MAP)) + "\n"


def _sections(path: str, keys: Mapping[str, Key]) -> Iterator[str]:
    yield f"### {path or 'Top level'}\n"
    yield "| key | default | range | meaning |"
    yield "|---|---|---|---|"
    for name, key in keys.items():
        if path.startswith("[channels.point") and name in POINT:
            continue
        yield f"| `{name}` | {_default(key)} | {_range(key)} | {key.what} |"
    yield ""
    for name, key in keys.items():
        inner = f"{path.strip('[]').partition('.NAME')[0]}.{name}" if path else name
        if key.keys is CHANNEL_POINT:
            yield from _sections(f"[{inner}.NAME], besides the keys of a point", key.keys)
        elif key.kind == "table":
            yield from _sections(f"[{inner}]", key.keys)
        elif key.kind == "tables":
            yield from _sections(f"[[{inner}]]", key.keys)
        elif key.kind == "named":
            yield from _sections(f"[{inner}.NAME]", key.keys)


def _default(key: Key) -> str:
    if key.needed:
        return "needed"
    if key.kind == "bool":
        return str(key.default).lower()
    return "" if key.default in (None, "") else f"`{key.default}`"


def _range(key: Key) -> str:
    if key.choices:
        return ", ".join(f"`{choice}`" for choice in key.choices)
    if key.kind in ("int", "number"):
        return f"{key.least:,g} to {key.most:,.0f}"
    return {"scale": "a decimal number as a text", "bool": "true, false"}.get(key.kind, key.kind)
