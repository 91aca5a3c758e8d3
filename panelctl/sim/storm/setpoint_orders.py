"""Whether chargers and nodes do as they are told: what each goes by in truth, and what it draws."""

from __future__ import annotations

from collections import deque

from panelctl.field.outputs import Outputs
from panelctl.field.target import Target
from panelctl.sim.plant import PlantCircuit
from panelctl.sim.storm.telling import SETPOINT, Telling
from panelctl.sim.storm.world import World
from panelctl.sim.told import SimCharger

CAR_RATIO, CAR_A = 0.10, 1.0  # so much more than it is told a load may draw
LATELY_S = 1.0  # what was ordered so lately may be on its way
NODE_W = 1.0


class SetpointOrders:
    """Compares what was ordered with what each device goes by, and with what it draws."""

    def __init__(self, world: World, telling: Telling) -> None:
        self._world = world
        self._telling = telling
        self._loads = {
            name: item
            for name, item in world.plant.circuits.items()
            if item.circuit.setpoint_device is not None and item.circuit.controlled
        }
        self._ordered: dict[str, deque[tuple[float, float]]] = {}
        self.by_draw: set[str] = set()  # who does not follow by what it draws alone

    def anew(self) -> None:
        """Another controller runs."""
        self._ordered.clear()

    def unheard(self, now_s: float) -> list[str]:
        """The devices whose orders are not followed, and nobody has heard of it for a while: by
        circuit. To be called with each record.
        """
        assert self._world.app is not None
        outputs, found = self._world.app.outputs, []
        if not isinstance(outputs, Outputs):
            return []
        for name, item in self._loads.items():
            assert item.circuit.setpoint_device is not None
            target = outputs.targets[item.circuit.setpoint_device]
            if target.wish is not None and self._not_followed(name, item, target, now_s):
                found.append(name)
        return found

    def _not_followed(self, name: str, item: PlantCircuit, target: Target, now_s: float) -> bool:
        assert target.wish is not None
        modulation, setpoint = item.circuit.modulation, target.map.setpoint
        assert modulation is not None
        assert setpoint is not None
        value = min(target.wish.value, setpoint.most) if target.wish.value >= setpoint.least else 0
        lately = self._ordered.setdefault(name, deque())
        lately.append((now_s, value))
        while now_s - lately[1 % len(lately)][0] > LATELY_S:
            lately.popleft()
        least, most = min(lately, key=_value)[1], max(lately, key=_value)[1]
        told, step = self._told(item, modulation.step_a)
        # What took its order, and cannot be read back or was stopped by another register, is known
        # by its load alone.
        shows = target.reader is not None and (value > 0 or target.map.pause is None)
        astray = (shows or target.unsure) and not least - step <= told <= most + step
        order = (name, SETPOINT)
        if not astray and not self._draws_more(item, most):
            self._telling.follows(order)
            return False
        (self.by_draw.discard if astray else self.by_draw.add)(name)
        since_s = now_s if astray else now_s + modulation.settle_s
        return self._telling.does_not(order, since_s, now_s)

    def _told(self, item: PlantCircuit, step_a: float) -> tuple[float, float]:
        """What a device goes by, in its map's unit, and one step of that."""
        if item.node is not None:
            return item.node.budget_w, NODE_W
        charger = self._world.devices[item.circuit.setpoint_device or ""]
        assert isinstance(charger, SimCharger)
        return charger.told_a, step_a

    def _draws_more(self, item: PlantCircuit, most: float) -> bool:
        """Whether a load draws more than `most`, in its map's unit."""
        if item.charger is not None:
            return item.charger.draw_a > most * (1.0 + CAR_RATIO) + CAR_A
        assert item.node is not None
        most_w = max(most, item.node.floor_w)
        return item.node.draw_w > most_w * (1.0 + CAR_RATIO) + CAR_A * item.volts


def _value(ordered: tuple[float, float]) -> float:
    return ordered[1]
