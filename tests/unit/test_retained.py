"""What an earlier run left on the broker, read from what it said of itself."""

from __future__ import annotations

import json

import pytest

from panelctl.services.retained import component_platforms, retained_paths

NODES = {"meter": {"properties": {"current": {}, "active-power": {}}}, "info": {"properties": {}}}
CHILD = {"root": "home-1", "nodes": NODES}


def test_a_device_names_all_that_was_published_of_it() -> None:
    paths = ["$state", "meter/current", "meter/active-power", "$description"]
    child = [f"home-1-dryer/{path}" for path in paths]
    assert retained_paths("home-1-dryer", json.dumps(CHILD).encode(), "home-1") == child
    root = [f"home-1/{path}" for path in paths]
    assert retained_paths("home-1", json.dumps({"nodes": NODES}).encode(), "home-1") == root


@pytest.mark.parametrize(
    ("device", "described"),
    [
        ("home-2-dryer", {**CHILD, "root": "home-2"}),
        ("home-2", {"nodes": NODES}),
        ("home-1-dryer", {**CHILD, "nodes": []}),
        ("home-1-dryer", {**CHILD, "nodes": {"meter": []}}),
        ("home-1-dryer", {**CHILD, "nodes": {"+": {"properties": {"#": {}}}}}),
        (
            "home-1-dryer",
            {**CHILD, "nodes": {"m": {"properties": {str(n): {} for n in range(2000)}}}},
        ),
        ("+", CHILD),
        ("home-1-dryer", [CHILD]),
    ],
)
def test_what_is_anothers_or_out_of_shape_is_left_alone(device: str, described: object) -> None:
    assert retained_paths(device, json.dumps(described).encode(), "home-1") == []


@pytest.mark.parametrize("payload", ["", "[", "7", "{}", '{"components":[]}', "[" * 5000, b"\xff"])
def test_a_discovery_message_that_is_none_names_nothing(payload: str | bytes) -> None:
    assert component_platforms(payload) == {}


def test_components_by_platform() -> None:
    told = {
        "a": {"platform": "switch", "name": "A"},
        "b": {"platform": "lock"},
        "c": 7,
        "d": {"platform": ["sensor"]},
    }
    assert component_platforms(json.dumps({"components": told})) == {"a": "switch"}
