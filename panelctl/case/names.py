"""What is called how in a case: neutral ids in the place of a house's own, and what they hide."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from panelctl.case.words import CONSTRAINTS, SOURCES, WIRE_STATES
from panelctl.config.schema import split_link_url
from panelctl.control.replay import FIELD_EVENTS
from panelctl.model.record import CommandRecord, CycleRecord, EventRecord

# What each kind of thing is counted with: `c1`, `c2` …
PREFIXES = {
    "circuit": "c",
    "device": "d",
    "link": "l",
    "feeder": "f",
    "stranger": "u",  # a circuit or device that a command named and the panel has not
    "source": "s",
    "command": "k",
}
PANEL_NAME, PANEL_SERIAL = "case", "CASE"
AS_IN_THE_HOUSE = "as in the house"  # in the place of why somebody vouches for something
OF_A_CASE = {PANEL_NAME, PANEL_SERIAL, AS_IN_THE_HOUSE}  # which may be made of a case, too
SHORTEST = 2  # of characters: a single one says nothing, and is everywhere


class Names:
    """The neutral ids of one panel file, and of what commands bring: `said`. `secret` are the
    strings that may not be left, `told` what was found of each kind.
    """

    def __init__(self, plain: dict[str, Any], said: Iterable[str]) -> None:
        self.secret: set[str] = (set(strings_in(plain)) | set(said)) - OF_A_CASE - SOURCES
        for table in plain["link"]:
            parts = split_link_url(table["url"])
            self.secret |= {str(parts[key]) for key in ("host", "path") if parts.get(key)}
        self.told: Counter[str] = Counter()
        self._known: dict[str, dict[str, str]] = {}
        self._prefixes = {kind: self._free(prefix) for kind, prefix in PREFIXES.items()}
        for kind, key in (
            ("circuit", "id"),
            ("device", "name"),
            ("link", "name"),
            ("feeder", "id"),
        ):
            for table in plain.get(kind, []):
                self._of(kind, table[key])

    def _free(self, prefix: str) -> str:
        """The prefix, made longer until nothing in the house is called so."""
        while any(re.fullmatch(rf"{prefix}\d+", name) for name in self.secret):
            prefix += "x"
        return prefix

    def _of(self, kind: str, name: str) -> str:
        known = self._known.setdefault(kind, {})
        if name not in known:
            known[name] = f"{self._prefixes[kind]}{len(known) + 1}"
            self.secret.add(name)
            self.told[kind] += 1
        return known[name]

    @property
    def neutral(self) -> set[str]:
        """All ids that were given."""
        return {name for known in self._known.values() for name in known.values()}

    def circuit(self, name: str) -> str:
        """The circuit of that id; a stranger's where there is none."""
        return self._known_or_stranger("circuit", name)

    def device(self, name: str) -> str:
        """The device of that name; a stranger's where there is none."""
        return self._known_or_stranger("device", name)

    def link(self, name: str) -> str:
        """The link of that name; a stranger's where there is none."""
        return self._known_or_stranger("link", name)

    def feeder(self, name: str) -> str:
        """The feeder of that id."""
        return self._known_or_stranger("feeder", name)

    def _known_or_stranger(self, kind: str, name: str) -> str:
        found = self._known.get(kind, {}).get(name)
        return found or self._of("stranger", name)

    def source(self, text: str) -> str:
        """Who set a limit: the words of panelctl stay, everybody else is numbered."""
        return text if text in SOURCES else self._of("source", text)

    def command(self, given: CommandRecord) -> CommandRecord:
        """A command without its sender's id, with the names of a case."""
        made: CommandRecord = {**given, "id": self._of("command", given["id"])}
        if "circuit" in given:
            made["circuit"] = self.circuit(given["circuit"])
        if "device" in given:
            made["device"] = self.device(given["device"])
        if "source" in given:
            made["source"] = self.source(given["source"])
        return made

    def event(self, given: EventRecord) -> EventRecord:
        """What the wires did, with the names of a case; of its text only how it stands."""
        made: EventRecord = {"what": given["what"]}
        if "circuit" in given:
            made["circuit"] = self.circuit(given["circuit"])
        if "link" in given:
            made["link"] = self.link(given["link"])
        if "device" in given:
            made["device"] = self.device(given["device"])
        state = given.get("text", "").partition(":")[0]
        if state in WIRE_STATES:
            made["text"] = state
        return made

    def hide(self, texts: Iterable[str]) -> None:
        """Strings of a house that are left out: they may be nowhere else either."""
        self.secret |= {text for text in texts if text}


def strings_in(plain: object) -> Iterator[str]:
    """Every string among the values of plain data."""
    if isinstance(plain, str):
        yield plain
    elif isinstance(plain, dict):
        for value in plain.values():
            yield from strings_in(value)
    elif isinstance(plain, list | tuple):
        for value in plain:
            yield from strings_in(value)


def left_out(record: CycleRecord) -> Iterator[str]:
    """What of a record a case leaves out and nobody may find in it: free text, serial numbers."""
    for link in record["links"].values():
        yield from (link.get("error", ""), link.get("remark", ""))
        for device in link["devices"].values():
            yield from (device.get("error", ""), device.get("serial", ""))
    yield from (order.get("error", "") for order in record["orders"])
    for event in record["events"]:
        text = event.get("text", "")
        if event["what"] in FIELD_EVENTS and text not in WIRE_STATES:
            yield text


def names_told(record: CycleRecord) -> Iterator[str]:
    """Every place of a record where a name stands: none may be of the house."""
    if record["compute"] is not None:
        yield record["compute"]["circuit"]
    for circuit in record["circuits"]:
        yield circuit["id"]
        yield circuit.get("constraint", "a")
    yield from record["legs"]
    yield from record["constraints"]
    yield from record["doubts"]
    for limit in record["limits"]:
        yield limit["source"]
        yield from limit["limit_a"]
    yield from (fault["circuit"] for fault in record["faults"])
    yield from (verdict["id"] for verdict in record["verdicts"])
    for command in record["commands"]:
        yield from (command["id"], command.get("circuit", "a"), command.get("device", "a"))
        yield command.get("source", "")
    for event in record["events"]:
        yield from _names_in_event(event)


def _names_in_event(event: EventRecord) -> Iterator[str]:
    yield event.get("circuit", "a")
    yield event.get("leg", "a")
    yield event.get("constraint", "a")
    yield event.get("link", "a")
    yield event.get("device", "a")


def is_neutral(name: str, neutral: set[str]) -> bool:
    """Whether a name that is told is a neutral one, or the format's: a feeder's leg has its id."""
    return name in neutral or name in CONSTRAINTS or name in SOURCES or name[:-2] in neutral
