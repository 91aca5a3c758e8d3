"""A panel of 48 circuits (four branch meters, a mains meter, six relay boards, a charger) on two
RTU lines at 115200 baud and one TCP connection: the highest cycle rate that the plan allows, and
whether the bus then holds it.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from panelctl.config.load import parse_panel
from panelctl.errors import ConfigError
from panelctl.modbus.busplan import plan_bus
from tests.bench.rows import Row, at_least, reported
from tests.e2e.rig import PanelRig, Record

CHANNELS, OUTPUTS, CIRCUITS = 12, 6, 48
RATES_HZ = [n / 2 for n in range(40, 1, -1)]  # from the panel file's most, 20 Hz, downwards
HEAD = """
schema = 1
[panel]
name = "48 circuits"
serial = "bench-48"
[service]
main_breaker_a = 200
control_setting_a = 160
voltage_v = 240
[service.uncontrolled_a]
a = 60
b = 60
basis = "a benchmark"
[service.mains]
device = "mains"
a = { current = "l1_a", power = "l1_w", voltage = "l1_v" }
b = { current = "l2_a", power = "l2_w", voltage = "l2_v" }
[timing]
rate_hz = RATE
[[link]]
name = "line1"
url = "rtu:///dev/ttyAMA0?baud=115200"
[[link]]
name = "line2"
url = "rtu:///dev/ttyAMA1?baud=115200"
[[link]]
name = "evse"
url = "tcp://192.0.2.20:502"
[[device]]
name = "mains"
link = "line1"
unit = 1
map = "carlo_gavazzi_em540"
[[device]]
name = "charger"
link = "evse"
map = "abb_terra_ac"
accept_unverified = true
[[circuit]]
id = "evse"
name = "EV charger"
spaces = [2, 4]
legs = "ab"
breaker_a = 60
role = "modulated"
armed = true
tier = 5
meter = { device = "charger", a = "l1_a", b = "l2_a", power = ["total_w"] }
[circuit.setpoint]
device = "charger"
min_a = 6
max_a = 48
fallback_a = 6
"""
DEVICE = """
[[device]]
name = "{name}"
link = "line{line}"
unit = {unit}
map = "{map}"
accept_unverified = true
"""
STORY = """
repeat_s = 60
[base]
evse = 0
"""
CIRCUIT = """
[[circuit]]
id = "c{n}"
name = "Circuit {n}"
spaces = [{space}]
legs = "{leg}"
breaker_a = 20
role = "{role}"
tier = 3
meter = {{ device = "branch{meter}", {leg} = "ch{channel}_a", power = ["ch{channel}_w"] }}
"""


def panel_text(rate_hz: float) -> str:
    """The panel file at that cycle rate."""
    parts = [HEAD.replace("RATE", f"{rate_hz:g}")]
    for n in range(4):
        name, line = f"branch{n + 1}", 1 + n // 2
        known = "wirenboard_wb_map12e"
        parts.append(DEVICE.format(name=name, line=line, unit=11 + n, map=known))
    for n in range(6):
        name, line = f"relays{n + 1}", 1 + n // 3
        board = DEVICE.format(name=name, line=line, unit=21 + n, map="wirenboard_wb_mr6cu")
        parts.append(board + 'accept_failsafe = "a benchmark"\n')
    for n in range(CIRCUITS - 1):
        switched = n < 6 * OUTPUTS
        text = CIRCUIT.format(
            n=n,
            space=5 + n,
            leg="ab"[n % 2],
            role="switched" if switched else "monitored",
            meter=n // CHANNELS + 1,
            channel=n % CHANNELS + 1,
        )
        if switched:
            board, output = f"relays{n // OUTPUTS + 1}", n % OUTPUTS + 1
            text += f'armed = true\nrelay = {{ device = "{board}", output = {output} }}\n'
        parts.append(text)
    return "".join(parts)


def highest_hz() -> float:
    """The highest rate whose plan fits, Hz."""
    for rate_hz in RATES_HZ:
        try:
            panel = parse_panel(panel_text(rate_hz), "panel48.toml")
        except ConfigError:
            continue
        if all(plan.fits for plan in plan_bus(panel)):
            return rate_hz
    raise RuntimeError("no rate fits")


def panel48_rows(seconds: float) -> list[Row]:
    """The rate, and what a run of `seconds` at it showed."""
    rate_hz = highest_hz()
    seen = {"cycles": 0, "incomplete": 0, "stale": 0}
    with tempfile.TemporaryDirectory(prefix="panelctl-bench-") as folder:
        file = Path(folder) / "panel48.toml"
        file.write_text(panel_text(rate_hz))
        story = Path(folder) / "story.toml"
        story.write_text(STORY + "".join(f"c{n} = {100 + 20 * n}\n" for n in range(CIRCUITS - 1)))
        rig = PanelRig(Path(folder), file, "--story", str(story))
        try:
            rig.start()
            first = rig.until(lambda r: r["state"] == "NORMAL", 20)
            end_s = time.monotonic() + seconds

            def counted(record: Record) -> bool:
                seen["cycles"] += 1
                seen["incomplete"] += not record["timing"]["complete"]
                seen["stale"] += record["state"] != "NORMAL"
                return time.monotonic() >= end_s

            last = rig.until(counted, seconds + 60)
            truth = rig.bench.truth()
        finally:
            rig.stop()
    overruns = last["timing"]["overruns"] - first["timing"]["overruns"]
    lost = sum(unit["timeouts"] + unit["bad"] for unit in last["units"].values())
    violations = sum(line["violations"] for line in truth["lines"].values())
    held = (
        f"over {seconds / 60:.1f} min: {overruns} ticks skipped, {seen['incomplete']} cycles with"
    )
    note = (
        f"{held} a late fast read, {seen['stale']} not NORMAL, {lost} replies lost, "
        f"{violations} silences broken; 20 Hz is the most that a panel file may ask for"
    )
    share = 1 - (overruns + seen["incomplete"]) / max(seen["cycles"], 1)
    return [
        reported("bus.panel48.max_hz", rate_hz, "Hz", seen["cycles"], note),
        at_least("bus.panel48.held", share, "of cycles", 0.999, seen["cycles"], "at that rate"),
    ]
