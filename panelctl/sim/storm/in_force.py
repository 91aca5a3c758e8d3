"""Which limit holds on each leg: the control setting, what was accepted from people and utilities,
and what the controller says besides; and since when.
"""

from __future__ import annotations

import json

from panelctl.sim.storm.world import World
from panelctl.units import NS_PER_S

KEPT_FROM_S = 3.0  # a limit that was lowered has to be kept from then on
ENDS_S = 0.5  # two clocks about its end


class InForce:
    """The limits of a world's panel."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._accepted: dict[str, tuple[float, float, float]] = {}  # A, from and until (s)
        self._before_ma = (0, 0)
        self._lowered_ns = 0
        world.told = self._told

    @property
    def settled_s(self) -> float:
        """For how long no limit has been lowered, s."""
        return (self._world.loop.now_ns - self._lowered_ns) / NS_PER_S

    def limit_a(self) -> tuple[float, float]:
        """What each leg may carry now, A."""
        setting_a = self._world.panel.service.control_setting_a
        if self._accepted:
            now_s = self._world.now_s
            lost = self._world.unsaved_s  # nobody can keep what could not be written down
            asked = [
                a
                for a, from_s, until_s in self._accepted.values()
                if now_s < until_s - ENDS_S and not lost[0] <= from_s <= lost[1]
            ]
            setting_a = min([setting_a, *asked])
        app = self._world.app
        if app is None or not self._world.running:
            return setting_a, setting_a
        limit_ma = app.engine.state.limit_ma
        a, b = limit_ma[0], limit_ma[1]
        if a < self._before_ma[0] or b < self._before_ma[1]:
            self._lowered_ns = self._world.loop.now_ns
        self._before_ma = (a, b)
        if not a or not b:
            return setting_a, setting_a
        return min(a / 1000, setting_a), min(b / 1000, setting_a)

    def _told(self, line: bytes) -> None:
        """An answer to a command: a limit that was accepted has to be kept from now on."""
        if b'"accepted":true' not in line:
            return
        ident = json.loads(line)["answer"]["id"]
        command = next((c for c in reversed(self._world.said) if c["id"] == ident), None)
        if command is None or command["do"] not in ("limit", "envelope"):
            return
        now_s = self._world.now_s
        if command["do"] == "limit":
            limit_a, for_s = command["limit_a"], command["expires_s"]
        else:
            window = command["windows"][0]
            limit_a, for_s = window["limit_a"], window["end_s"]
        if limit_a is None:
            self._accepted.pop(command["do"], None)
        else:
            self._accepted[command["do"]] = (limit_a, now_s, now_s + for_s)
        self._lowered_ns = self._world.loop.now_ns
