"""The JSON Schema of a register map, made from its shape, and what it says of single keys."""

from __future__ import annotations

from functools import cache

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from panelctl.modbus.mapfile import MapFile
from panelctl.model.problems import Place

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _Toml(GenerateJsonSchema):
    """TOML knows no null: what may be left out is left out."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        if schema.get("default", ...) is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)


@cache
def json_schema() -> JsonSchemaValue:
    """The JSON Schema of a register map, for editors."""
    made = MapFile.model_json_schema(schema_generator=_Toml)
    return {"$schema": DIALECT, **made, "title": "panelctl register map"}


def table_in(key: JsonSchemaValue) -> JsonSchemaValue | None:
    """The table that a key of the JSON Schema holds: one, an array of them, or many by name."""
    held = key.get("items") or key.get("additionalProperties") or key
    name = held.get("$ref", "").removeprefix("#/$defs/")
    return json_schema()["$defs"][name] if name else None


def meaning(place: Place) -> str:
    """What the key at that place of a map is for."""
    key: JsonSchemaValue = {}
    table: JsonSchemaValue = json_schema()
    for part in place:
        if isinstance(part, int) or "additionalProperties" in key:
            key = {}  # one of an array, or a name that the map's author chose
            continue
        key = table["properties"][part]
        table = table_in(key) or {}
    return str(key["description"])
