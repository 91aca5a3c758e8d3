"""Home Assistant's own opinion of a discovery message; run by a Python that has it installed.

    python hass_judge.py < message.json      what it finds wrong, a line each
    python hass_judge.py --facts             the facts that fixtures/hass/ keeps of its schemas

Nothing of panelctl is imported here. A key that Home Assistant would silently drop counts as wrong.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from typing import Any

import voluptuous as vol
from homeassistant.components.mqtt import discovery, schemas
from homeassistant.components.number import const as number_const
from homeassistant.components.sensor import const as sensor_const
from homeassistant.const import EntityCategory, __version__

PLATFORMS = ("binary_sensor", "number", "sensor", "switch")
CLASS_UNITS = {
    "sensor": sensor_const.DEVICE_CLASS_UNITS,
    "number": number_const.DEVICE_CLASS_UNITS,
}


def _keys(schema: Any) -> dict[str, bool]:
    """The keys that a schema knows, and whether each is required."""
    if isinstance(schema, vol.All | vol.Any):
        return {key: must for part in schema.validators for key, must in _keys(part).items()}
    plain = schema.schema if isinstance(schema, vol.Schema) else schema
    if not isinstance(plain, dict):
        return {}
    return {str(key): isinstance(key, vol.Required) for key in plain}


def _platform(name: str) -> Any:
    return importlib.import_module(f"homeassistant.components.mqtt.{name}").DISCOVERY_SCHEMA


def _classes(name: str) -> list[str]:
    part = importlib.import_module(f"homeassistant.components.{name}")
    enum = next(getattr(part, n) for n in dir(part) if n.endswith("DeviceClass"))
    return sorted(str(item.value) for item in enum)


def facts() -> dict[str, Any]:
    """What a message may contain."""
    return {
        "home_assistant": __version__,
        "message": _keys(schemas.DEVICE_DISCOVERY_SCHEMA),
        "device": _keys(schemas.MQTT_ENTITY_DEVICE_INFO_SCHEMA),
        "origin": _keys(schemas.MQTT_ORIGIN_INFO_SCHEMA),
        "platforms": {name: _keys(_platform(name)) for name in PLATFORMS},
        "device_classes": {name: _classes(name) for name in PLATFORMS},
        "class_units": {
            name: {
                str(key.value): sorted(str(unit) for unit in units)
                for key, units in sorted(table.items())
            }
            for name, table in CLASS_UNITS.items()
        },
        "class_states": {
            str(key.value): sorted(str(state.value) for state in states)
            for key, states in sorted(sensor_const.DEVICE_CLASS_STATE_CLASSES.items())
        },
        "entity_categories": sorted(str(item.value) for item in EntityCategory),
    }


def wrong(message: dict[str, Any]) -> Iterator[str]:
    """What Home Assistant refuses, drops or warns of."""
    payload = discovery.MQTTDiscoveryPayload(message)
    discovery._replace_all_abbreviations(payload)
    try:
        schemas.DEVICE_DISCOVERY_SCHEMA(payload)
    except vol.Invalid as error:
        yield f"message: {error}"
        return
    common = {key: value for key, value in payload.items() if key != "components"}
    for ident, component in payload["components"].items():
        config = discovery.MQTTDiscoveryPayload(dict(component))
        platform = config.pop("platform")
        known = _keys(_platform(platform))
        yield from (f"{ident}: {key} is not a key of {platform}" for key in config.keys() - known)
        discovery._merge_common_device_options(config, common)
        try:
            _platform(platform)(config)
        except vol.Invalid as error:
            yield f"{ident}: {error}"
        kind, unit = config.get("device_class"), config.get("unit_of_measurement")
        units = CLASS_UNITS.get(platform, {}).get(kind)
        if units is not None and unit not in units:
            yield f"{ident}: {unit} is no unit of {kind}"
        state = config.get("state_class")
        states = sensor_const.DEVICE_CLASS_STATE_CLASSES.get(kind)
        if platform == "sensor" and state and states is not None and state not in states:
            yield f"{ident}: {state} is not for {kind}"


if __name__ == "__main__":
    if sys.argv[1:] == ["--facts"]:
        print(json.dumps(facts(), indent=1, sort_keys=True))
    else:
        found = list(wrong(json.load(sys.stdin)))
        print("\n".join(found))
        sys.exit(bool(found))
