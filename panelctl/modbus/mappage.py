"""The tables of docs/reference/register-maps.md, made from the maps and from their file's keys."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic.json_schema import JsonSchemaValue

from panelctl.modbus.mapfile import ChannelPointTable, PointTable
from panelctl.modbus.maps import load_map, map_names
from panelctl.modbus.mapschema import json_schema, table_in

BESIDES = ", besides the keys of a point"


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
    return "\n".join(_sections("", json_schema())) + "\n"


def _sections(path: str, table: JsonSchemaValue) -> Iterator[str]:
    yield f"### {path or 'Top level'}\n"
    yield "| key | default | range | meaning |"
    yield "|---|---|---|---|"
    keys: dict[str, JsonSchemaValue] = table["properties"]
    for name, key in keys.items():
        if path.endswith(BESIDES) and name in PointTable.model_fields:
            continue
        default = "needed" if name in table.get("required", ()) else _default(key)
        yield f"| `{name}` | {default} | {_range(key)} | {key['description']} |"
    yield ""
    for name, key in keys.items():
        inner = f"{path.strip('[]').partition('.NAME')[0]}.{name}" if path else name
        held = table_in(key)
        if held is None:
            continue
        if held["title"] == ChannelPointTable.__name__:
            yield from _sections(f"[{inner}.NAME]{BESIDES}", held)
        elif "additionalProperties" in key:
            yield from _sections(f"[{inner}.NAME]", held)
        else:
            yield from _sections(f"[[{inner}]]" if "items" in key else f"[{inner}]", held)


def _default(key: JsonSchemaValue) -> str:
    default = key.get("default")
    if isinstance(default, bool):
        return str(default).lower()
    return "" if default in (None, "", [], {}) else f"`{default}`"


def _range(key: JsonSchemaValue) -> str:
    one = key.get("items", key)
    if "enum" in one:
        return ", ".join(f"`{choice}`" for choice in one["enum"])
    if "items" in key:
        return {"integer": "ints", "string": "texts"}.get(one.get("type"), "tables")
    if "minimum" in key:
        return f"{key['minimum']:,g} to {key['maximum']:,.0f}"
    if "pattern" in key:
        return "a decimal number as a text"
    names = {"boolean": "true, false", "string": "text", "object": "named"}
    return names.get(key.get("type", ""), "table")
