"""What an earlier run left on the broker: devices and properties of this panel that are no more.

Whoever finds them reads them from what was retained: a device's `$description` names everything
that was published of it, Home Assistant's discovery names its components. Clearing is gateway.py's.
"""

from __future__ import annotations

import json
from typing import Any

from panelctl.services.homie import ID

PLATFORMS = ("sensor", "binary_sensor", "switch", "number")
MOST_PATHS = 1000  # of a device: one of ours has a tenth


def retained_paths(device: str, description: bytes, root: str) -> list[str]:
    """What was retained of a device, its state first; nothing, where it is not this panel's or
    cannot be read.
    """
    plain = _plain(description)
    nodes = plain.get("nodes")
    if not ID.fullmatch(device) or not isinstance(nodes, dict):
        return []
    if device != root and plain.get("root") != root:
        return []
    paths = [f"{device}/$state"]
    for node, content in nodes.items():
        properties = content.get("properties") if isinstance(content, dict) else None
        if not isinstance(properties, dict):
            return []
        paths += [f"{device}/{node}/{name}" for name in properties]
    named = (part for path in paths[1:] for part in path.split("/")[1:])
    if len(paths) > MOST_PATHS or not all(map(ID.fullmatch, named)):
        return []
    return [*paths, f"{device}/$description"]  # last: without it nobody finds the others


def component_platforms(payload: str | bytes) -> dict[str, str]:
    """The components of a discovery message and their platforms; none where it cannot be read."""
    components = _plain(payload).get("components")
    if not isinstance(components, dict):
        return {}
    return {
        ident: content["platform"]
        for ident, content in components.items()
        if isinstance(content, dict) and content.get("platform") in PLATFORMS
    }


def _plain(payload: str | bytes) -> dict[str, Any]:
    try:
        plain = json.loads(payload)
    except (ValueError, RecursionError):
        return {}
    return plain if isinstance(plain, dict) else {}
