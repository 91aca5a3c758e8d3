"""The panel file of a case: the same panel, without a name, a serial number or an address of it.

It is made of the file's tables, so comments are gone; every number that decides stays.
"""

from __future__ import annotations

import json
import re
from typing import Any

from panelctl.case.names import AS_IN_THE_HOUSE, PANEL_NAME, PANEL_SERIAL, Names
from panelctl.config.schema import split_link_url
from panelctl.errors import ConfigError, Problem
from panelctl.modbus.maps import delivered_map_names

SERIAL_PORT = 4001  # of a serial server, which has no usual one
BARE = re.compile(r"[A-Za-z0-9_-]+")
Table = dict[str, Any]


def check_maps(plain: Table, file: str) -> None:
    """Raises ConfigError where a device's map does not come with panelctl: nobody else has it."""
    delivered = delivered_map_names()
    problems = [
        Problem(
            f"device[{n}].map",
            str(table["map"]),
            "is a map of your own, which a case cannot hold: send it in first "
            "(docs/how-to/add-a-meter.md)",
        )
        for n, table in enumerate(plain["device"])
        if table["map"] not in delivered
    ]
    if problems:
        raise ConfigError(file, problems)


def neutral_file(plain: Table, names: Names) -> str:
    """The text of the case's panel file. `plain` is the house's, as tables; it is checked."""
    made: Table = json.loads(json.dumps(plain))
    made["panel"] = {"name": PANEL_NAME, "serial": PANEL_SERIAL}
    mains = made["service"]["mains"]
    mains["device"] = names.device(mains["device"])
    made["service"]["uncontrolled_a"]["basis"] = AS_IN_THE_HOUSE
    for table in made["link"]:
        table["name"] = names.link(table["name"])
        table["url"] = _url(table["url"], table["name"])
    for table in made["device"]:
        table["name"], table["link"] = names.device(table["name"]), names.link(table["link"])
        if table.get("accept_failsafe"):
            table["accept_failsafe"] = AS_IN_THE_HOUSE
    for table in made["circuit"]:
        table["id"] = table["name"] = names.circuit(table["id"])
        _devices(table, ("meter", "relay", "setpoint"), names)
    for table in made.get("feeder", []):
        table["id"] = names.feeder(table["id"])
        _circuits(table, names)
        _devices(table, ("meter",), names)
    if "compute" in made:
        made["compute"]["circuit"] = names.circuit(made["compute"]["circuit"])
    if "heat_sink" in made:
        _circuits(made["heat_sink"], names)
        _devices(made["heat_sink"], ("sensor",), names)
    return _toml(made)


def _devices(table: Table, keys: tuple[str, ...], names: Names) -> None:
    for key in keys:
        if table.get(key) is not None:
            table[key]["device"] = names.device(table[key]["device"])


def _circuits(table: Table, names: Names) -> None:
    table["circuits"] = [names.circuit(name) for name in table["circuits"]]


def _url(url: str, link: str) -> str:
    """A URL of the same kind, with the same options, that leads nowhere."""
    kind = split_link_url(url)["kind"]
    _, mark, options = url.partition("?")
    if kind == "rtu":
        return f"rtu:///dev/{link}{mark}{options}"
    port = f":{SERIAL_PORT}" if str(kind).startswith("rtu") else ""
    return f"{kind}://{link}.invalid{port}{mark}{options}"


def _toml(tables: Table) -> str:
    """Tables as TOML: single values first, then tables, then lists of tables."""
    lines = [f"{_key(key)} = {_value(value)}" for key, value in tables.items() if _is_value(value)]
    for key, value in tables.items():
        if isinstance(value, dict):
            lines += ["", f"[{_key(key)}]", *_pairs(value)]
        elif not _is_value(value):
            for table in value:
                lines += ["", f"[[{_key(key)}]]", *_pairs(table)]
    return "\n".join(lines) + "\n"


def _is_value(value: object) -> bool:
    tables = isinstance(value, list) and bool(value) and isinstance(value[0], dict)
    return not tables and not isinstance(value, dict)


def _pairs(table: Table) -> list[str]:
    return [f"{_key(key)} = {_value(value)}" for key, value in table.items()]


def _key(key: str) -> str:
    return key if BARE.fullmatch(key) else json.dumps(key)


def _value(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(_pairs(value)) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_value(each) for each in value) + "]"
    return json.dumps(value)  # of a string, a number or a truth TOML's way to write it is JSON's
