"""The same panel published by ebus-panel-sim and by us, topic by topic.

Our tree is captured by its own tool, published again by its emitter (without a broker), and both
are laid side by side. What differs is listed here with its reason; docs/reference/ebus-tree.md
tells it to people. Anything else that differs fails.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ebus_panel_sim import Emitter, SetterRegistry, TickInputs
from ebus_panel_sim.capture import definition_from_tree, tree_from_retained

from panelctl.config.load import parse_panel
from panelctl.services.ebus.tree import Tree
from tests.engine_rig import TANK, EngineRig, solar
from tests.records import hello_of, record_of

DEMO = Path("panelctl/sim/demo.toml")
BACKUP = "\n[backup]\ninverter_a = 40\nshed_tier = 4\n"
PREFIX = "ebus/5/"

# What only ebus-panel-sim publishes, by device and property.
ABSENT = {
    "distribution-enclosure door/state": "our boards have no door switch",
    "distribution-enclosure info/hardware-version": "not known to a panel file",
    "distribution-enclosure power-flows/battery": "there where the panel has a battery",
    "distribution-enclosure status/cloud-connection": "SPAN's own: there is no cloud",
    "distribution-enclosure status/ethernet": "SPAN's own",
    "distribution-enclosure status/wifi": "SPAN's own",
    "distribution-enclosure status/wifi-ssid": "SPAN's own",
    "distribution-enclosure status/relay": "SPAN's own: panelctl has no main relay",
    "distribution-enclosure status/postal-code": "SPAN's own",
    "distribution-enclosure status/time-zone": "SPAN's own",
    "circuit connection/feeds-device-id": "only on a circuit that feeds one",
    "circuit connection/feeds-device-status": "only on a circuit that feeds one",
    "circuit connection/feeds-device-type": "only on a circuit that feeds one",
    "circuit meter/imported-energy": "a load gives nothing back; there on a source's circuit",
    "circuit meter/exported-energy": "only where a counter is read",
    "circuit pcs/priority": "only where panelctl may switch or lower it",
    "lugs connection/fed-by-device-id": "the grid, which is no device",
    "lugs connection/fed-by-device-status": "the grid, which is no device",
    "lugs connection/fed-by-device-type": "the grid, which is no device",
    "lugs connection/feeds-device-id": "the panel itself",
    "lugs connection/feeds-device-status": "the panel itself",
    "lugs connection/feeds-device-type": "the panel itself",
    "evse config/max-charge-current": "retired: charge-limit/installer-max",
    "evse config/user-max-charge-current": "retired: charge-limit/owner-limit",
    "evse info/firmware-version": "not known to a panel file",
    "evse info/part-number": "not known to a panel file",
    "evse info/serial-number": "not known to a panel file",
    "evse info/vendor-name": "not known to a panel file",
    "evse status/status": "the register maps do not read it",
    "evse switch/lock-state": "the register maps do not read it",
    "pv info/firmware-version": "not known to a panel file",
    "pv info/nominal-power": "not known to a panel file",
    "pv info/serial-number": "not known to a panel file",
    "pv info/vendor-name": "not known to a panel file",
}
# What only we publish: capabilities of the catalog that it leaves out, and words of our own.
MORE = {
    "distribution-enclosure": {
        *("breaker/poles", "meter/active-power", "shed/asserted-islanding-state"),
        *("control/headroom-a", "control/headroom-b", "control/state"),
        *("status/active-alerts", "status/communication-state", "status/fault-state"),
        *(
            f"pcs/{name}-import-limit{part}"
            for name in ("doe", "voltage", "thermal", "lease", "heat-sink")
            for part in ("", "-active", "-enablement")
        ),
    },
    "circuit": {
        *("decision/text", "decision/tier", "decision/wait", "decision/why"),
        *("info/dedicated", "info/tags"),
    },
    "lugs": {"connection/service-rating"},
    "evse": {
        *("charge-limit/installer-max", "charge-limit/owner-limit"),
        *("meter/active-power", "status/communication-state"),
    },
    "pv": {"meter/active-power"},
}
# What both describe, but not alike.
OTHERWISE = {
    ("circuit load-shed/priority", "format"): "OFF_GRID is a class that panelctl does not have",
    ("circuit load-shed/priority", "settable"): "only where the class can be changed",
    ("distribution-enclosure pcs/binding-constraint", "format"): "four more limits have names",
    ("distribution-enclosure pcs/requested-import-limit", "format"): "0 to the control setting",
    ("distribution-enclosure pcs/requested-import-limit", "settable"): "it can be requested here",
}
# What has another value, because the two know different things, or tell them otherwise.
APART = {
    "circuit connection/feeds-device-id": "the compute node is no device that it knows",
    "circuit connection/feeds-device-status": "the compute node is no device that it knows",
    "circuit connection/feeds-device-type": "the compute node is no device that it knows",
    "circuit meter/current": "watts over volts there, the meter's own amps here",
    "circuit meter/exported-energy": "its own integral; ours are the meters' counters",
    "distribution-enclosure pcs/enabled": "it has no PCS",
    "distribution-enclosure pcs/binding-constraint": "it has no PCS",
    "distribution-enclosure pcs/import-limit": "it has no PCS",
    "lugs meter/current-a": "watts over volts there, the meter's own amps here",
    "lugs meter/current-b": "watts over volts there, the meter's own amps here",
    "lugs meter/exported-energy": "its own integral; ours are the meters' counters",
    "lugs meter/imported-energy": "its own integral; ours are the meters' counters",
    "distribution-enclosure pcs/feed-import-limit-active": "it has no PCS",
} | {
    f"distribution-enclosure pcs/{name}-import-limit{part}": "it has no PCS"
    for name in ("feed", "off-grid", "operator", "requested")
    for part in ("", "-enablement")
}


class Wire:
    """A transport that keeps what is published."""

    def __init__(self) -> None:
        self.retained: dict[str, str] = {}

    def publish(self, topic: str, payload: Any, *rest: Any, **more: Any) -> None:
        text = payload.decode() if isinstance(payload, bytes) else str(payload)
        self.retained[topic] = text

    def is_running(self) -> bool:
        return True

    is_connected = is_running

    def subscribe(self, *rest: Any, **more: Any) -> bool:
        return True


class Sides:
    """Both trees: what each published, and the descriptions by device."""

    def __init__(self, variant: Any) -> None:
        self.ours = _ours()
        definition, _ = definition_from_tree(
            tree_from_retained(self.ours), mask=False, variant=variant
        )
        wire = Wire()
        emitter = Emitter.from_definition(definition, SetterRegistry(), mqttc=wire)  # type: ignore[arg-type]  # as much of a transport as it uses
        emitter.start()
        watts = {
            instance.instance_id: -float(
                self.ours[f"{PREFIX}{instance.instance_id}/meter/active-power"]
            )
            for instance in definition.manifest.of_class("circuit")
        }
        emitter.publish_tick(TickInputs(current_time=1.7e9, grid_online=True, circuits=watts))
        self.theirs = wire.retained
        self.described = _described(self.ours)
        self.described_there = _described(self.theirs)

    def pairs(self) -> list[tuple[str, str, dict[str, Any] | None, dict[str, Any] | None]]:
        """(device id, "kind node/property", their description, ours) of every property."""
        found = []
        for device in sorted(self.described.keys() & self.described_there.keys()):
            kind = self.described[device]["type"].rpartition(".")[2]
            here, there = (
                {
                    f"{node}/{name}": plain
                    for node, item in described[device]["nodes"].items()
                    for name, plain in item["properties"].items()
                }
                for described in (self.described, self.described_there)
            )
            found += [
                (device, f"{kind} {path}", there.get(path), here.get(path))
                for path in sorted(here.keys() | there.keys())
            ]
        return found

    def values(self, device: str, path: str) -> tuple[str | None, str | None]:
        """Their text and ours."""
        topic = f"{PREFIX}{device}/{path}"
        return self.theirs.get(topic), self.ours.get(topic)


def _ours() -> dict[str, str]:
    panel = parse_panel(DEMO.read_text() + BACKUP + TANK + solar(0.5, 60), "panel.toml")
    rig = EngineRig(panel)
    rig.shown |= {
        "main.a_w": -100,
        "main.b_w": -200,
        "dryer.0_w": 2_000,
        "solar.a_ma": 10_000,
        "solar.b_ma": 10_000,
        "solar.0_w": -1_200,
        "solar.1_w": -1_100,
    }
    rig.run(10)
    tree = Tree(hello_of(panel))
    values = tree.values(record_of(rig.engine, rig.now_ns - 100_000_000))
    retained = {}
    for device in tree.devices:
        retained[f"{PREFIX}{device.id}/$state"] = "ready"
        retained[f"{PREFIX}{device.id}/$description"] = json.dumps(device.describe(1))
    return retained | {f"{PREFIX}{path}": text for path, text in values.items() if text is not None}


def _described(retained: dict[str, str]) -> dict[str, dict[str, Any]]:
    return {
        topic.split("/")[2]: json.loads(text)
        for topic, text in retained.items()
        if topic.endswith("/$description")
    }


@pytest.fixture(scope="module", params=["reference", "span"])
def sides(request: pytest.FixtureRequest) -> Sides:
    return Sides(request.param)


def test_both_have_the_same_devices(sides: Sides) -> None:
    assert not sides.described_there.keys() - sides.described.keys()
    only_ours = sides.described.keys() - sides.described_there.keys()
    assert {sides.described[device]["type"] for device in only_ours} == {
        "com.panelctl.device.compute-node",
        "energy.ebus.device.mid",  # there it comes with a battery, here with a backup
    }
    for device, there in sides.described_there.items():
        here = sides.described[device]
        for key in ("homie", "type", "root", "parent", "children"):
            if key == "children":
                assert set(there.get(key, [])) <= set(here.get(key, [])), device
            else:
                assert there.get(key) == here.get(key), (device, key)


def test_properties_are_there_alike(sides: Sides) -> None:
    # The reference variant leaves out what the SPAN variant has; together they are the vocabulary.
    known = {path for _, path, there, _ in Sides("span").pairs() if there is not None}
    known |= {path for _, path, there, _ in Sides("reference").pairs() if there is not None}
    for _, path, there, here in sides.pairs():
        kind, _, rest = path.partition(" ")
        if here is None:
            assert path in ABSENT, f"{path} is missing"
        elif there is None and path not in known:
            assert rest in MORE[kind], f"{path} is ours alone"


def test_what_is_there_on_some_circuits_is_there_where_it_belongs(sides: Sides) -> None:
    described = sides.described["demo-0001-dryer"]["nodes"]
    assert {"relay", "relay-controllable", "relay-requester"} == set(
        described["switch"]["properties"]
    )
    assert {"managed", "priority"} == set(described["pcs"]["properties"])
    assert "exported-energy" in described["meter"]["properties"]
    assert "imported-energy" in sides.described["demo-0001-lugs-up"]["nodes"]["meter"]["properties"]
    assert (
        "feeds-device-id" in sides.described["demo-0001-solar"]["nodes"]["connection"]["properties"]
    )


def test_properties_are_described_alike(sides: Sides) -> None:
    for _, path, there, here in sides.pairs():
        if here is None or there is None:
            continue
        for key in ("datatype", "unit", "format", "settable", "retained"):
            a, b = there.get(key), here.get(key)
            if key == "format" and a and b and "," in a:
                a, b = set(a.split(",")), set(b.split(","))
            assert a == b or (path, key) in OTHERWISE, (path, key, a, b)


def test_values_are_alike(sides: Sides) -> None:
    for device, path, there, here in sides.pairs():
        if here is None or there is None or path in APART:
            continue
        a, b = sides.values(device, path.partition(" ")[2])
        if here["datatype"] in ("float", "integer") and a is not None and b is not None:
            assert float(a) == pytest.approx(float(b)), (device, path)
        else:
            assert a == b, (device, path)


def test_signs_are_alike(sides: Sides) -> None:
    """The same watts on circuits, lugs and power flows, with the same signs, none of them 0."""
    root = "demo-0001"
    for topic in (
        f"{root}-dryer/meter/active-power",
        f"{root}-solar/meter/active-power",
        f"{root}-lugs-up/meter/active-power",
        f"{root}/power-flows/grid",
        f"{root}/power-flows/pv",
        f"{root}/power-flows/site",
    ):
        there, here = float(sides.theirs[PREFIX + topic]), float(sides.ours[PREFIX + topic])
        assert here == there != 0, topic


def test_every_listed_difference_is_one() -> None:
    """A reason for what no longer differs would hide the next mistake."""
    both = [Sides("span"), Sides("reference")]
    absent, otherwise, apart, more = set(), set(), set(), set()
    for sides in both:
        for device, path, there, here in sides.pairs():
            if here is None:
                absent.add(path)
            elif there is None:
                more.add(path)
            else:
                for key in ("datatype", "unit", "format", "settable", "retained"):
                    if there.get(key) != here.get(key):
                        otherwise.add((path, key))
                a, b = sides.values(device, path.partition(" ")[2])
                if a != b:
                    apart.add(path)
    assert set(ABSENT) <= absent
    assert set(OTHERWISE) <= otherwise
    assert set(APART) <= apart
    assert {f"{kind} {path}" for kind, paths in MORE.items() for path in paths} <= more
