"""The discovery message as Home Assistant reads it: by its own code where it is installed, and by
what its schemas said of themselves when they were asked (fixtures/hass/).

It needs a newer Python than panelctl: `make hass HASS_PYTHON=python3.13` installs it and runs this.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from panelctl.config.load import parse_panel
from panelctl.services.ebus.tree import Tree
from panelctl.services.hass import discovery
from tests.engine_rig import TANK, solar
from tests.records import hello_of

DEMO = Path("panelctl/sim/demo.toml")
FACTS = json.loads(Path("fixtures/hass/mqtt_2025_2.json").read_text())
JUDGE = Path("tests/contract/hass_judge.py")
HASS_PYTHON = os.environ.get("HASS_PYTHON", "")

# What they hold the message against is kept in FACTS, and held against it in every run.
# Skipped because Home Assistant installs on Python 3.13 alone, and these tests run on 3.11.
needs_home_assistant = pytest.mark.skipif(  # for that reason: `make hass` runs them on a 3.13
    not HASS_PYTHON, reason="Home Assistant needs a newer Python: make hass"
)

Plain = dict[str, Any]


@pytest.fixture
def message() -> Plain:
    text = DEMO.read_text() + "[backup]\ninverter_a = 40\nshed_tier = 4\n" + TANK + solar(0.5, 60)
    tree = Tree(hello_of(parse_panel(text, "panel.toml")))
    ((_, payload),) = discovery(tree, "ebus/5", {})
    plain: Plain = json.loads(payload)
    assert {part["platform"] for part in plain["components"].values()} == set(FACTS["platforms"])
    return plain


def keys_wrong(place: str, plain: Plain, known: dict[str, bool]) -> Iterator[str]:
    """Keys that Home Assistant drops, and those that it misses."""
    yield from (f"{place}: {key} is unknown" for key in plain.keys() - known.keys())
    yield from (f"{place}: no {key}" for key, must in known.items() if must and key not in plain)


def wrong(message: Plain) -> Iterator[str]:
    """What goes against the facts."""
    yield from keys_wrong("message", message, FACTS["message"])
    yield from keys_wrong("device", message["device"], FACTS["device"])
    yield from keys_wrong("origin", message["origin"], FACTS["origin"])
    idents = [component["unique_id"] for component in message["components"].values()]
    if len(set(idents)) != len(idents):
        yield "two entities have one unique_id"
    for name, component in message["components"].items():
        platform = component["platform"]
        if platform not in FACTS["platforms"]:
            yield f"{name}: {platform}"
            continue
        known = FACTS["platforms"][platform] | {"platform": True}
        yield from keys_wrong(name, component, known)
        kind = component.get("device_class")
        if kind is not None and kind not in FACTS["device_classes"][platform]:
            yield f"{name}: there is no {kind} {platform}"
        units = FACTS["class_units"].get(platform, {}).get(kind)
        if units is not None and component.get("unit_of_measurement") not in units:
            yield f"{name}: {component.get('unit_of_measurement')} is no unit of {kind}"
        state = component.get("state_class")
        states = FACTS["class_states"].get(kind)
        if platform == "sensor" and state and states is not None and state not in states:
            yield f"{name}: {state} is not for {kind}"
        if component.get("entity_category", "config") not in FACTS["entity_categories"]:
            yield f"{name}: {component['entity_category']}"


SPOIL: list[Plain] = [
    {"unknown_key": 1},
    {"device_class": "powers"},
    {"unit_of_measurement": "kA"},
    {"state_class": "total"},
    {"entity_category": "expert"},
]


def test_what_home_assistant_told_of_its_schemas_is_kept(message: Plain) -> None:
    assert list(wrong(message)) == []


@pytest.mark.parametrize("more", SPOIL)
def test_a_spoilt_message_would_be_noticed(message: Plain, more: Plain) -> None:
    name = next(n for n in message["components"] if n.endswith("lugs_up_meter_current_a"))
    message["components"][name] |= more
    assert list(wrong(message))


@needs_home_assistant
@pytest.mark.parametrize("more", [{}, *SPOIL])
def test_home_assistants_own_schemas(message: Plain, more: Plain) -> None:
    name = next(n for n in message["components"] if n.endswith("lugs_up_meter_current_a"))
    message["components"][name] |= more
    judged = subprocess.run(
        [HASS_PYTHON, JUDGE], input=json.dumps(message), capture_output=True, text=True
    )
    assert judged.returncode == bool(more), judged.stdout + judged.stderr[-2000:]
    assert bool(judged.stdout.strip()) is bool(more)


@needs_home_assistant
def test_the_facts_are_home_assistants() -> None:
    told = subprocess.run(
        [HASS_PYTHON, JUDGE, "--facts"], capture_output=True, text=True, check=True
    )
    assert json.loads(told.stdout) == FACTS
