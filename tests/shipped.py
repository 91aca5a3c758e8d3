"""The demo's panel with other devices of which a map is shipped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from panelctl.modbus.maps import load_map, map_names

DEMO = Path("panelctl/sim/demo.toml").read_text()
# A rate that fits the slowest of them, and a lease that two renewals fit in.
SLOW = "rate_hz = 2\nlease_s = 2"
ONE_VALUE_A_READ = "keba_p30"


def with_charger(name: str, rate: str = SLOW) -> str:
    """With another charger; on the second line where it has no network."""
    known = load_map(name)
    assert known.setpoint is not None
    rate = rate if name != ONE_VALUE_A_READ else "rate_hz = 1\nlease_s = 3"
    link = "evse" if "tcp" in known.links else "line2"
    unit = known.serial.get("unit", 1 if link == "evse" else 9)
    text = DEMO.replace("rate_hz = 10", rate)
    text = text.replace(
        'link = "evse"\nmap = "abb_terra_ac"', f'link = "{link}"\nunit = {unit}\nmap = "{name}"'
    )
    if "l2_a" not in known.points:  # one current for both legs
        legs = 'a = "l1_a", b = "l2_a", power = ["total_w"]'
        text = text.replace(legs, 'a = "l1_a", balanced = true, power = ["total_w"]')
    return re.sub(r"max_a = 48", f"max_a = {min(48, int(known.setpoint.most))}", text)


def with_meters(name: str, count: int) -> str:
    """With so many meters of another make on the first line, which is a connection."""
    text = DEMO.replace("rate_hz = 10", SLOW)
    text = text.replace("rtu:///dev/ttyAMA0?baud=115200", "tcp://192.0.2.11:502")
    return text.replace(
        'map = "carlo_gavazzi_em540"', f'map = "{name}"\naccept_unverified = true', count
    )


def chargers() -> list[str]:
    """The maps of all chargers."""
    return [name for name in map_names() if load_map(name).kind == "evse"]


def cases() -> Iterator[tuple[str, str, str]]:
    """What speaks TCP: a name, the link that it is on, and the panel file."""
    for name in chargers():
        if "tcp" in load_map(name).links:
            yield name, "evse", with_charger(name)
    for name in map_names():
        known = load_map(name)
        wanted = {"l1_a", "l2_a", "l1_w", "l2_w", "l1_v", "l2_v", "import_wh", "export_wh"}
        if known.kind == "meter" and "tcp" in known.links and wanted <= set(known.points):
            if known.sunspec_models:
                continue  # what it holds has to be found first
            yield name, "line1", with_meters(name, 1)
            yield f"two {name}", "line1", with_meters(name, 2)
