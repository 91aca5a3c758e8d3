"""An engine on a panel, fed with readings that are fresh and steady, and the tables that tests add
to the demo's panel file.
"""

from __future__ import annotations

from collections.abc import Sequence

from panelctl.core.engine import Engine
from panelctl.model.command import Command, Verdict
from panelctl.model.metering import Quality
from panelctl.model.panel import Panel

S = 1_000_000_000
TANK = """
[[link]]
name = "roof"
url = "tcp://192.0.2.40:502"

[[device]]
name = "tank"
link = "roof"
unit = 5
map = "mypv_ac_thor"
accept_unverified = true
"""


def solar(firm_share: float, window_s: float) -> str:
    """A PV circuit of 40 A, measured by the device of TANK."""
    return f"""
[[circuit]]
id = "solar"
name = "Roof"
spaces = [61, 63]
legs = "ab"
breaker_a = 40
role = "monitored"
meter = {{ device = "tank", a = "l1_a", b = "l2_a", power = ["l1_w", "l2_w"] }}
source = {{ kind = "pv", firm_share = {firm_share:g}, window_s = {window_s:g} }}
"""


class EngineRig:
    """`shown` overrides single slots (image units); those in `unread` grow old."""

    def __init__(self, panel: Panel) -> None:
        self.engine = Engine(panel)
        self.now_ns = S
        self.voltage_mv = 120_000
        self.amps_ma = 10_000
        self.shown: dict[str, int] = {}
        self.unread: set[str] = set()

    def step(self, *commands: Command) -> list[str]:
        """One step at 10 Hz; what was refused."""
        return [verdict.why for verdict in self.decide(commands) if not verdict.accepted]

    def decide(self, commands: Sequence[Command]) -> list[Verdict]:
        """The same; what became of each command."""
        image = self.engine.image
        for name, slot in image.slot.items():
            if name in self.unread:
                continue
            value = 0
            if name.endswith("_mv"):
                value = self.voltage_mv
            elif name.startswith("main.") and name.endswith("_ma"):
                value = self.amps_ma
            elif name.endswith((".relay", ".acked")):
                i = self.engine.index.get(name.split(".")[0])
                value = 1 if i is None else int(self.engine.state.closed[i] != 0)
            image.put(slot, self.shown.get(name, value), Quality.GOOD, self.now_ns)
        image.latch()
        verdicts = self.engine.step(self.now_ns, commands)
        self.now_ns += S // 10
        return verdicts

    def run(self, seconds: float) -> None:
        """Steps for so long."""
        for _ in range(round(seconds * 10)):
            self.step()
