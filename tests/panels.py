"""Panel files of all kinds, for what has to work with anybody's."""

from __future__ import annotations

import re
from pathlib import Path

from tests.engine_rig import TANK, solar

DEMO = Path("panelctl/sim/demo.toml")
HEAD = """
schema = 1

[panel]
name = "{name}"
serial = "T-1"

[service]
main_breaker_a = 100
control_setting_a = 80
uncontrolled_a = {{ a = 20, b = 18, basis = "measured for a year" }}

[service.mains]
device = "mains"
a = {{ current = "l1_a", power = "l1_w", voltage = "l1_v" }}
b = {{ current = "l2_a", power = "l2_w", voltage = "l2_v" }}

[[link]]
name = "bus"
url = "rtu:///dev/ttyUSB0?baud=115200"

[[device]]
name = "mains"
link = "bus"
unit = 1
map = "carlo_gavazzi_em540"

[[device]]
name = "branches"
link = "bus"
unit = 2
map = "wirenboard_wb_map12e"
accept_unverified = true

[[device]]
name = "relays"
link = "bus"
unit = 3
map = "wirenboard_wb_mr6cu"
accept_unverified = true
accept_failsafe = "tried on the bench"
"""


def circuit(ident: str, space: int, legs: str, breaker_a: float, role: str, more: str = "") -> str:
    """A circuit of a panel file."""
    spaces = [space, space + 2] if legs == "ab" else [space]
    return f"""
[[circuit]]
id = "{ident}"
name = "{ident}"
spaces = {spaces}
legs = "{legs}"
breaker_a = {breaker_a:g}
role = "{role}"
{more}
"""


def switched(output: int, legs: str, tier: int, armed: bool = True) -> str:
    """A relay and a meter for it."""
    meter = f'a = "ch{output}_a"' if legs in ("a", "ab") else f'b = "ch{output}_a"'
    balanced = ", balanced = true" if legs == "ab" else ""
    return (
        f"armed = {str(armed).lower()}\ntier = {tier}\nmin_on_s = 0\nmin_off_s = 1\n"
        f'relay = {{ device = "relays", output = {output} }}\n'
        f'meter = {{ device = "branches", {meter}{balanced} }}'
    )


def one_leg() -> str:
    """All that there is hangs on leg a, at 120 V, and nothing computes."""
    return HEAD.format(name="One leg") + "".join(
        circuit(f"room{n}", n, "a", 20, "switched", switched(n, "a", n)) for n in (1, 3, 5)
    )


def unarmed() -> str:
    """Nobody has allowed anything yet."""
    return HEAD.format(name="Unarmed") + "".join(
        circuit(f"room{n}", 4 * n - 3, "ab", 30, "switched", switched(n, "ab", n, armed=False))
        for n in (1, 2, 3)
    )


def monitored() -> str:
    """One circuit without a relay, and nothing else."""
    meter = 'meter = { device = "branches", a = "ch1_a", b = "ch2_a" }'
    return HEAD.format(name="Monitored") + circuit("all", 1, "ab", 60, "monitored", meter)


def sunny() -> str:
    """The demo's with PV and a battery behind the lugs, another feeder, and other names."""
    text = DEMO.read_text() + TANK + solar(0.5, 60.0)
    store = solar(0.0, 60.0).replace("solar", "store").replace('"pv"', '"battery"')
    text += store.replace("61, 63", "62, 64").replace('"tank"', '"inverter"')
    text += TANK.replace('"tank"', '"inverter"').replace('"roof"', '"cellar"').replace(".40", ".41")
    text += '\n[[feeder]]\nid = "barn"\nbreaker_a = 60\ncircuits = ["dryer", "hot_tub"]\n'
    return re.sub(r'"range"', '"hob"', text)


def files() -> dict[str, str]:
    """Every panel file that the project has or tests with, by name."""
    found = {
        path.stem: path.read_text() for path in [DEMO, *Path("fixtures/panels").glob("*.toml")]
    }
    made = (one_leg, unarmed, monitored, sunny)
    for page in Path("docs").rglob("*.md"):
        for n, block in enumerate(re.findall(r"```toml\n(.*?)```", page.read_text(), re.DOTALL)):
            if "schema = 1" in block and "[[circuit]]" in block:
                found[f"{page.stem} {n}"] = block
    return found | {each.__name__: each() for each in made}
