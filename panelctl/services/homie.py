"""Homie 5 devices as data: nodes, properties, their `$description`, and how values are written.

What a panel has of them is ebus/'s; carrying them to a broker is mqtt.py's. Nothing here knows the
wire. Source of the rules: the Homie 5 convention (homieiot/convention).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from panelctl.model.command import Command

VERSION = "5"
ID = re.compile(r"[a-z0-9-]+")
Value = bool | int | float | str | dict[str, Any] | list[Any] | None
Read = Callable[[Any], Value]  # from what is known of the panel now
Write = Callable[[str], Command]  # from the text that somebody sent; raises CommandRefused


class Datatype(StrEnum):
    """What a property's text stands for."""

    INTEGER = "integer"
    FLOAT = "float"
    BOOLEAN = "boolean"
    STRING = "string"
    ENUM = "enum"
    DATETIME = "datetime"
    JSON = "json"


class Pace(StrEnum):
    """When a changed value is published."""

    AT_ONCE = "at once"  # what people and programs wait for
    MEASURED = "measured"  # once a second
    COUNTED = "counted"  # every ten seconds


@dataclass(frozen=True, slots=True)
class Property:
    """One value of a node. `read` gives it, None while it is not known; `write`, where there is
    one, makes it settable. `digits` are those after the point. What is to be set `once` is not
    ordered again where it is so already.
    """

    id: str
    name: str
    datatype: Datatype
    read: Read
    unit: str = ""
    format: str = ""
    pace: Pace = Pace.AT_ONCE
    digits: int = 1
    write: Write | None = None
    once: bool = False

    def text(self, known: Any) -> str | None:
        """The value as it goes over the wire; None where it is not known."""
        value = self.read(known)
        if value is None:
            return None
        if self.datatype is Datatype.FLOAT:
            text = f"{value:.{self.digits}f}"
            return text[1:] if float(text) == 0.0 and text[0] == "-" else text  # no -0.0
        if self.datatype is Datatype.BOOLEAN:
            return "true" if value else "false"
        if self.datatype is Datatype.JSON:
            return json.dumps(value, separators=(",", ":"))
        return str(value) or "\x00"  # how Homie writes a text that is empty

    def says(self, told: str, wanted: str) -> bool:
        """Whether the text that was told means what somebody wants, in the digits that are told."""
        if self.datatype not in (Datatype.FLOAT, Datatype.INTEGER):
            return told == wanted
        digits = self.digits if self.datatype is Datatype.FLOAT else 0
        try:
            return float(told) == round(float(wanted), digits)
        except ValueError:
            return False

    def describe(self) -> dict[str, Any]:
        """Its part of `$description`. What is not settable does not say so: presence permits."""
        plain: dict[str, Any] = {"name": self.name, "datatype": str(self.datatype)}
        if self.unit:
            plain["unit"] = self.unit
        if self.format:
            plain["format"] = self.format
        if self.write is not None:
            plain["settable"] = True
        return plain


@dataclass(frozen=True, slots=True)
class Node:
    """A capability of a device."""

    id: str
    name: str
    type: str
    properties: tuple[Property, ...]

    def describe(self) -> dict[str, Any]:
        """Its part of `$description`."""
        return {
            "name": self.name,
            "type": self.type,
            "properties": {item.id: item.describe() for item in self.properties},
        }


@dataclass(frozen=True, slots=True)
class Leaf:
    """A property in its place: `path` is device/node/property."""

    path: str
    device: str
    property: Property


@dataclass(slots=True)
class Device:
    """A device of a tree: the root has neither `root` nor `parent`."""

    id: str
    type: str
    name: str
    nodes: list[Node]
    root: str = ""
    parent: str = ""
    children: list[str] = field(default_factory=list)

    def describe(self, version: int) -> dict[str, Any]:
        """Its `$description`; `version` has to grow with every change."""
        plain: dict[str, Any] = {
            "homie": "5.0",
            "version": version,
            "type": self.type,
            "name": self.name,
            "nodes": {node.id: node.describe() for node in self.nodes},
            "children": self.children,
            "extensions": [],
        }
        if self.root:
            plain["root"] = self.root
            plain["parent"] = self.parent
        return plain

    def leaves(self) -> Iterator[Leaf]:
        """Every property with its path."""
        for node in self.nodes:
            for item in node.properties:
                yield Leaf(f"{self.id}/{node.id}/{item.id}", self.id, item)


def homie_id(text: str) -> str:
    """A text as a Homie id: a-z, 0-9 and -."""
    made = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return made or "x"
