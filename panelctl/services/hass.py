"""Home Assistant's discovery of a panel: one retained message that says which topics are what.

It uses the eBus tree's own topics, so nothing is published twice; signs are turned by templates.
Source of the keys: Home Assistant's MQTT integration, device-based discovery (2024.11 and later).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from panelctl import __version__
from panelctl.services.ebus.facts import CircuitFacts
from panelctl.services.ebus.tree import Tree

Plain = dict[str, Any]
# What is not known is an empty text in the tree; "None" is Home Assistant's word for it.
GIVEN = "{{ value if value not in ['', '\\x00', 'UNKNOWN'] else 'None' }}"
NEGATED = "{{ value | float * -1 if value else 'None' }}"
SITE = "https://pypi.org/project/panelctl/"
POWER = {"device_class": "power", "state_class": "measurement", "unit_of_measurement": "W"}
CURRENT = {"device_class": "current", "state_class": "measurement", "unit_of_measurement": "A"}
VOLTAGE = {"device_class": "voltage", "state_class": "measurement", "unit_of_measurement": "V"}
ENERGY = {
    "device_class": "energy",
    "state_class": "total_increasing",
    "unit_of_measurement": "Wh",
}
DIAGNOSTIC = {"entity_category": "diagnostic"}


def config_topic(root: str) -> str:
    """Where the discovery message of a panel is retained."""
    return f"homeassistant/device/{root}/config"


def discovery(tree: Tree, prefix: str, gone: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Topics and payloads of the discovery messages of a panel. `gone` are the components that it
    had before, with their platforms: Home Assistant takes those away that are there no more.
    """
    made = _Components(tree, prefix)
    made.panel()
    for circuit in tree.facts.circuits:
        made.circuit(circuit)
    removed = {ident: {"platform": p} for ident, p in gone.items() if ident not in made.components}
    plain = {
        "device": {
            "identifiers": [f"panelctl_{tree.root.id}"],
            "name": tree.facts.name,
            "manufacturer": "panelctl",
            "model": "smart panel",
            "sw_version": __version__,
            "serial_number": tree.root.id,
        },
        "origin": {"name": "panelctl", "sw_version": __version__, "support_url": SITE},
        "availability": [
            {
                "topic": f"{prefix}/{tree.root.id}/$state",
                "value_template": "{{ 'online' if value == 'ready' else 'offline' }}",
            }
        ],
        "components": {**made.components, **removed},
        "qos": 1,
    }
    yield config_topic(tree.root.id), json.dumps(plain, separators=(",", ":"))


class _Components:
    """Collects components; each is there only where the tree has its topic."""

    def __init__(self, tree: Tree, prefix: str) -> None:
        self.components: dict[str, Plain] = {}
        self._tree = tree
        self._prefix = prefix

    def _add(self, platform: str, path: str, name: str, **more: Any) -> None:
        leaf = self._tree.leaves.get(path)
        if leaf is None:
            return
        ident = path.replace("/", "_").replace("-", "_")
        component = {
            "platform": platform,
            "unique_id": ident,
            "name": name,
            "state_topic": f"{self._prefix}/{path}",
            "value_template": GIVEN,
            **more,
        }
        if platform in ("switch", "number", "select"):
            if leaf.property.write is None:
                return
            component["command_topic"] = f"{self._prefix}/{path}/set"
        self.components[ident] = component

    def panel(self) -> None:
        """The enclosure, its lugs, and what stands behind circuits."""
        tree, root = self._tree, self._tree.root.id
        lugs = f"{root}-lugs-up/meter"
        self._add("sensor", f"{lugs}/active-power", "Grid power", **POWER)
        self._add("sensor", f"{lugs}/imported-energy", "Grid import", **ENERGY)
        self._add("sensor", f"{lugs}/exported-energy", "Grid export", **ENERGY)
        for leg in "ab":
            self._add("sensor", f"{lugs}/current-{leg}", f"Leg {leg} current", **CURRENT)
            self._add("sensor", f"{root}/meter/voltage-{leg}", f"Leg {leg} voltage", **VOLTAGE)
            self._add("sensor", f"{root}/control/headroom-{leg}", f"Leg {leg} headroom", **CURRENT)
        self._add("sensor", f"{root}/pcs/import-limit", "Import limit", **CURRENT)
        self._enum(f"{root}/pcs/binding-constraint", "Binding constraint")
        self._enum(f"{root}/control/state", "Controller", **DIAGNOSTIC)
        self._add("sensor", f"{root}/status/active-alerts", "Alerts", **DIAGNOSTIC)
        self._add(
            "binary_sensor",
            f"{root}/status/fault-state",
            "Fault",
            device_class="problem",
            payload_on="FAULT",
            payload_off="OK",
        )
        self._add(
            "number",
            f"{root}/pcs/requested-import-limit",
            "Requested import limit",
            min=0,
            max=tree.facts.setting_a,
            step=1,
            mode="box",
            device_class="current",
            unit_of_measurement="A",
        )
        self._add(
            "sensor",
            f"{root}-tank/water-heater/tank-temperature",
            "Tank temperature",
            device_class="temperature",
            state_class="measurement",
            unit_of_measurement="°C",
        )

    def _enum(self, path: str, name: str, **more: Any) -> None:
        if path in self._tree.leaves:
            options = self._tree.leaves[path].property.format.split(",")
            self._add("sensor", path, name, device_class="enum", options=options, **more)

    def circuit(self, circuit: CircuitFacts) -> None:
        """A circuit, and what it feeds."""
        device, name = circuit.device, circuit.name
        self._add("sensor", f"{device}/meter/current", f"{name} current", **CURRENT)
        if circuit.source:
            self._add("sensor", f"{device}/meter/active-power", f"{name} power", **POWER)
        else:
            self._add(
                "sensor",
                f"{device}/meter/active-power",
                f"{name} power",
                value_template=NEGATED,
                **POWER,
            )
        for direction in ("imported", "exported"):
            self._add("sensor", f"{device}/meter/{direction}-energy", f"{name} energy", **ENERGY)
        self._add(
            "switch",
            f"{device}/switch/relay",
            name,
            payload_on="CLOSED",
            payload_off="OPEN",
            state_on="CLOSED",
            state_off="OPEN",
            device_class="outlet",
        )
        self._add("sensor", f"{device}/decision/text", f"{name} reason")
        self._add(
            "number",
            f"{device}/decision/tier",
            f"{name} tier",
            min=0,
            max=99,
            step=1,
            mode="box",
            entity_category="config",
        )
        if circuit.fed is None:
            return
        self._add("sensor", f"{circuit.fed}/power-budget/budget", f"{name} budget", **POWER)
        self._add(
            "number",
            f"{circuit.fed}/charge-limit/owner-limit",
            f"{name} charge limit",
            min=math.ceil(circuit.min_a),
            max=int(circuit.max_a),
            step=1,
            mode="box",
            device_class="current",
            unit_of_measurement="A",
        )
