"""What really happened: figures from the plant's truth, never from the controller's image."""

from __future__ import annotations

from dataclasses import dataclass, field

from panelctl.model.circuit import Role
from panelctl.model.panel import Panel
from panelctl.sim.plant import Plant

RESET_S = 600.0  # a breaker that tripped is put in again after so long
OVER_RATIO = 1.01  # one per cent above the limit is where the promise ends
OVER_MOST_S = 2.0
CORRECTION_DUE_S = 5.0  # a step that is answered later than this was answered by something else


@dataclass(slots=True)
class Judge:
    """Watches a plant. Currents in A per leg, energies in Wh, times in s."""

    panel: Panel
    plant: Plant
    limit_a: float = 0.0
    worst_overload_a: float = 0.0
    worst_overload_s: float = 0.0
    over_s: float = 0.0
    compute_wh: float = 0.0
    available_wh: float = 0.0
    always_on_opened: int = 0
    detect_to_write_ms: list[float] = field(default_factory=list)
    watching: bool = False
    _over_s: list[float] = field(default_factory=lambda: [0.0, 0.0])
    _step_ns: int = 0
    _node_budget_w: float = 0.0

    def __post_init__(self) -> None:
        service = self.panel.service
        self.limit_a = min(service.control_setting_a, service.breaker.highest_setting_a)

    def step(self, dt_s: float) -> None:
        """Look at the plant after it let `dt_s` pass."""
        for leg in (0, 1):
            excess_a = self.plant.legs_a[leg] - self.limit_a
            self.worst_overload_a = max(self.worst_overload_a, excess_a)
            if self.plant.legs_a[leg] > self.limit_a * OVER_RATIO:
                self._over_s[leg] += dt_s
                self.over_s += dt_s
                self.worst_overload_s = max(self.worst_overload_s, self._over_s[leg])
            else:
                self._over_s[leg] = 0.0
        if not self.watching:
            return
        self.always_on_opened = sum(
            p.opened for p in self.plant.circuits.values() if p.circuit.role is Role.ALWAYS_ON
        )
        for plant in self.plant.circuits.values():
            if plant.node is None:
                continue
            self.compute_wh += plant.power_w * dt_s / 3600.0
            left_a = min(self.limit_a - self.plant.household_a(leg) for leg in (0, 1))
            left_w = min(plant.node.max_w, max(left_a, 0.0) * plant.volts)
            self.available_wh += left_w * dt_s / 3600.0

    def stepped(self, now_ns: int) -> None:
        """A load was switched on; the clock runs if the limit is now exceeded.

        It runs only while a modulated load can answer: relays wait for a confirmed excess.
        """
        can_answer = any(
            (p.node is not None and p.node.draw_w > 1.5 * p.node.floor_w)
            or (p.charger is not None and p.charger.draw_a > p.charger.fallback_a + 1.0)
            for p in self.plant.circuits.values()
        )
        if can_answer and max(self.plant.legs_a) > self.limit_a and not self._step_ns:
            self._step_ns = now_ns

    def budget_written(self, budget_w: float, now_ns: int) -> None:
        """The node got a budget."""
        if budget_w < self._node_budget_w:
            self.corrected(now_ns)
        self._node_budget_w = budget_w

    def corrected(self, now_ns: int) -> None:
        """A write that lowers the load arrived on the wire."""
        if self._step_ns:
            late_ms = (now_ns - self._step_ns) / 1e6
            if late_ms < CORRECTION_DUE_S * 1000:
                self.detect_to_write_ms.append(late_ms)
            self._step_ns = 0

    def truth(self) -> dict[str, object]:
        """The figures so far, ready for JSON."""
        share = self.compute_wh / self.available_wh if self.available_wh > 0 else 0.0
        return {
            "t_s": round(self.plant.time_s, 3),
            "legs_a": [round(a, 3) for a in self.plant.legs_a],
            "limit_a": self.limit_a,
            "worst_overload_a": round(self.worst_overload_a, 3),
            "worst_overload_s": round(self.worst_overload_s, 3),
            "over_s": round(self.over_s, 3),
            "compute_wh": round(self.compute_wh, 3),
            "available_wh": round(self.available_wh, 3),
            "compute_share_of_available": round(share, 4),
            "always_on_opened": self.always_on_opened,
            "breaker_trips": list(self.plant.trips),
            "detect_to_write_ms": [round(ms, 3) for ms in self.detect_to_write_ms],
            "closed": {name: plant.contact.closed for name, plant in self.plant.circuits.items()},
            "draw_w": {
                name: round(plant.power_w, 1) for name, plant in self.plant.circuits.items()
            },
        }
