"""The whole tree of a panel, and what of it has changed. Pure: facts and records in, texts out."""

from __future__ import annotations

from collections.abc import Iterator

from panelctl.model.record import CycleRecord, HelloRecord
from panelctl.services.ebus import circuits, enclosure, equipment
from panelctl.services.ebus.facts import Facts, read_facts
from panelctl.services.ebus.record_view import RecordView
from panelctl.services.homie import Device, Leaf, Pace

MEASURED_S, COUNTED_S = 1.0, 10.0


class Tree:
    """The devices, children before the root, and their properties by path."""

    def __init__(self, hello: HelloRecord) -> None:
        self.facts: Facts = read_facts(hello)
        root = enclosure.root(self.facts)
        children = [
            *enclosure.lugs(self.facts),
            *(circuits.device(self.facts, circuit) for circuit in self.facts.circuits),
            *equipment.devices(self.facts),
        ]
        for child in children:
            child.root = child.parent = root.id
        root.children = [child.id for child in children]
        self.root = root
        self.devices: list[Device] = [*children, root]
        self.leaves: dict[str, Leaf] = {
            leaf.path: leaf for device in self.devices for leaf in device.leaves()
        }

    def values(self, record: CycleRecord) -> dict[str, str | None]:
        """Every property's text, by path; None where it is not known."""
        seen = RecordView(record)
        return {path: leaf.property.text(seen) for path, leaf in self.leaves.items()}


class Changes:
    """What of a tree has to be published when: at once, each second, every ten seconds."""

    def __init__(self, tree: Tree) -> None:
        self._paced = {
            pace: [leaf for leaf in tree.leaves.values() if leaf.property.pace is pace]
            for pace in Pace
        }
        self._told: dict[str, str | None] = {}
        self._due_s = {Pace.AT_ONCE: 0.0, Pace.MEASURED: 0.0, Pace.COUNTED: 0.0}

    def since(self, record: CycleRecord) -> Iterator[tuple[str, str | None]]:
        """Paths and texts that differ from what was told before, as far as they are due."""
        now_s = record["t_ns"] / 1e9
        seen = RecordView(record)
        for pace, every_s in (
            (Pace.AT_ONCE, 0.0),
            (Pace.MEASURED, MEASURED_S),
            (Pace.COUNTED, COUNTED_S),
        ):
            if self._due_s[pace] - every_s <= now_s < self._due_s[pace]:
                continue  # a clock that went back is a controller on another machine
            self._due_s[pace] = now_s + every_s * 0.95  # a tenth of a second early is early enough
            for leaf in self._paced[pace]:
                text = leaf.property.text(seen)
                if text != self._told.get(leaf.path):
                    self._told[leaf.path] = text
                    yield leaf.path, text
