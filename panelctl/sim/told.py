"""Simulated devices that are told something: charging stations and compute nodes."""

from __future__ import annotations

from collections.abc import Callable

from panelctl.modbus.codec import decode_value, encode_value
from panelctl.model.panel import Device
from panelctl.sim.devices import ILLEGAL_ADDRESS, ILLEGAL_VALUE, Refusal, SimMeter
from panelctl.sim.plant import Charger, Node

NODE_MARK = (0x504E, 1)  # "PN", and the map's version


class SimCharger(SimMeter):
    """A charging station that takes a set-point.

    Real ones have vices: it `keeps` its old value and acknowledges all the same; takes whole
    multiples of `rounds_a`; `refuses` with that Modbus exception (0: none). One that goes back to
    its safe current sooner than its map says has a `charger.patience_s` of its own.
    """

    def __init__(
        self, device: Device, shown: dict[str, Callable[[], float]], seed: int, charger: Charger
    ) -> None:
        super().__init__(device, shown, seed)
        self.charger = charger
        self.on_lower: Callable[[], None] = lambda: None
        self.keeps = False
        self.rounds_a = 0.0
        self.refuses = 0
        self.stopped = False  # by its own register for that
        self._kept_a = charger.setpoint_a
        if self.map.failsafe is not None:
            charger.patience_s = self.map.failsafe.timeout_s

    @property
    def told_a(self) -> float:
        """What it goes by: what it was told last, or its safe current when that is long ago."""
        charger = self.charger
        return charger.setpoint_a if charger.quiet_s < charger.patience_s else charger.fallback_a

    def read(self, table: str, address: int, count: int, time_s: float) -> bytes:
        """Registers, its set-point among them."""
        _show_told(self, table, self._kept_a if self.stopped else self.told_a)
        return super().read(table, address, count, time_s)

    def write_registers(self, address: int, words: list[int]) -> None:
        """Take the set-point: 0 for a pause where it has no other way, or `least` to `most`."""
        setpoint, pause = self.map.setpoint, self.map.pause
        if setpoint is None or address != setpoint.point.address:
            self._pause("holding", address, words[0])
            return
        if self.refuses:
            raise Refusal(self.refuses)
        value = decode_value(setpoint.point, words) if len(words) == setpoint.point.count else None
        paused = value == 0 and pause is None
        if value is None or not (paused or setpoint.least <= value <= setpoint.most):
            raise Refusal(ILLEGAL_VALUE)
        if not self.keeps:
            told_a = float(value)
            self.overwrite(told_a // self.rounds_a * self.rounds_a if self.rounds_a else told_a)

    def write_coil(self, address: int, on: bool) -> None:
        """Stop or run, where it has a coil for that."""
        self._pause("coil", address, int(on))

    def overwrite(self, value_a: float) -> None:
        """Somebody tells it another set-point, past everything that it would refuse."""
        self._kept_a = value_a
        self._tell()

    def _pause(self, table: str, address: int, word: int) -> None:
        pause = self.map.pause
        if pause is None or (pause.table, pause.address) != (table, address):
            raise Refusal(ILLEGAL_ADDRESS)
        if word not in (pause.stop, pause.run):
            raise Refusal(ILLEGAL_VALUE)
        self.stopped = word == pause.stop
        self._tell()

    def _tell(self) -> None:
        value_a = 0.0 if self.stopped else self._kept_a
        if value_a < self.charger.setpoint_a:
            self.on_lower()
        self.charger.tell(value_a)


class SimNode(SimMeter):
    """A compute node that takes a budget with a lease; `refuses` with that exception (0: none)."""

    def __init__(
        self, device: Device, shown: dict[str, Callable[[], float]], seed: int, node: Node
    ) -> None:
        super().__init__(device, shown, seed)
        self.node = node
        self.on_budget: Callable[[float], None] = lambda budget_w: None
        self.words["holding"][0], self.words["holding"][1] = NODE_MARK
        self.refuses = 0

    def read(self, table: str, address: int, count: int, time_s: float) -> bytes:
        """Registers, the budget that it goes by among them."""
        _show_told(self, table, self.node.budget_w)
        return super().read(table, address, count, time_s)

    def write_registers(self, address: int, words: list[int]) -> None:
        """Take budget, lease and request in one write."""
        setpoint = self.map.setpoint
        if setpoint is None or address != setpoint.point.address or len(words) != 5:
            raise Refusal(ILLEGAL_ADDRESS)
        if self.refuses:
            raise Refusal(self.refuses)
        budget_w = words[0] << 16 | words[1]
        if budget_w > setpoint.most or words[3] not in (0, 1):
            raise Refusal(ILLEGAL_VALUE)
        self.node.tell(float(budget_w), words[2] / 1000.0, words[3] == 1)
        self.on_budget(float(budget_w))


def _show_told(device: SimMeter, table: str, value: float) -> None:
    """Put what it was told where it shows it, without a meter's noise."""
    point = device.map.setpoint.readback if device.map.setpoint is not None else None
    if point is not None and point.table == table:
        for address, word in enumerate(encode_value(point, value), point.address):
            device.words[table][address] = word


def node_points(node: Node) -> dict[str, Callable[[], float]]:
    """What a node says of itself."""
    return {
        "total_w": lambda: node.draw_w,
        "lease_left_s": lambda: node.lease_s,
        "floor_w": lambda: node.floor_w,
        "top_w": lambda: node.max_w,
    }
