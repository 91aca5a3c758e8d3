"""The words that a case may hold because they are the format's own: keys, roles, reasons, points.

A circuit may be called like one of them (`compute`, `limit`): such a name is looked for where names
stand, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from functools import cache
from typing import Any, get_type_hints

from panelctl.config.curves import curve_names
from panelctl.config.schema import PanelFile
from panelctl.control.replay import FIELD_EVENTS
from panelctl.core.checkpoint import IMAGE
from panelctl.core.state.layout import Changing, Fixed
from panelctl.field.orders import FOLLOWED, TOLD
from panelctl.modbus.maps import load_map
from panelctl.model import circuit, command, doubt, fault, limit, metering, reason, record, relay
from panelctl.model.panel import Panel
from panelctl.model.slots import LEGS

# Who set a limit, where that is no person and no program from outside (core/limits/named.py).
SOURCES = frozenset(
    {
        "",
        "panel file",
        "user",
        "default",
        "backup",
        "voltage at the main lugs",
        "tank temperature",
        "tank not read",
    }
)
ENUMS = (circuit, doubt, fault, limit, metering, reason, relay)
# How a link, a device (field/report.py) or an order stands, in the events of the wires.
WIRE_STATES = frozenset(
    {"OK", "SILENT", "REFUSES", "STRANGER", "NEW", "UP", "DOWN", *TOLD, FOLLOWED}
)
EVENTS = frozenset(
    {
        *("state", "limit", "doubt", "moved", "fault", "cleared", "shed", "release", "open"),
        *("restore", "relay", "throttle", "ignores", "obeys", *FIELD_EVENTS),
        *("OPEN", "CLOSED", "NONE", "UNKNOWN"),
    }
)
CONSTRAINTS = frozenset(
    {"a", "b", "main", "import", "heat_sink"}
    | {f"{name}.{leg}" for name in ("neutral", "busbar") for leg in LEGS}
)
HEADER = frozenset({"format", "v", "hello", "memory", "engine", "panelctl-recording"})


@cache
def _own() -> frozenset[str]:
    """Those that are the same for every panel."""
    found = set(SOURCES | WIRE_STATES | EVENTS | CONSTRAINTS | HEADER)
    for module in ENUMS:
        for each in vars(module).values():
            if isinstance(each, type) and issubclass(each, Enum):
                found |= {str(text) for member in each for text in (member.name, member.value)}
    for each in vars(record).values():
        if hasattr(each, "__required_keys__"):
            found |= set(get_type_hints(each))
    for entry in command.COMMANDS:
        found |= {entry.do, *entry.keys}
    found |= {*Fixed.names, *Changing.names, *IMAGE, *curve_names()}
    return frozenset(found | set(_schema_words(PanelFile.model_json_schema(by_alias=True))))


def words_of(panel: Panel) -> frozenset[str]:
    """The words of the format for this panel: with its maps, and what they call their points."""
    maps = {device.map for device in panel.devices}
    points = {point for name in maps for point in load_map(name).points}
    return _own() | maps | points | {f"-{point}" for point in points}


def _schema_words(schema: Any) -> Iterator[str]:
    """The keys of a JSON Schema, and the values that it names."""
    if isinstance(schema, dict):
        yield from (str(key) for key in schema.get("properties", {}))
        yield from (str(value) for value in schema.get("enum", []))
        for inner in schema.values():
            yield from _schema_words(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _schema_words(inner)
