"""Power limits of modulated loads: less than they could use, for a while, because people or
programs ask for it, or because the mains are not proven (decide/plausibility.py).

One changes what the load can use at most, in the core's flat memory; the decision itself knows
nothing of it. It never raises anything, and ends by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from panelctl.core.plain import below, monotonic_ns, whole
from panelctl.core.state.layout import Fixed
from panelctl.errors import CommandRefused
from panelctl.model.circuit import Circuit, Modulation
from panelctl.model.keys import MAX_EXPIRY_S
from panelctl.model.panel import Panel
from panelctl.units import NS_PER_S, ma_from_w, ns_from_s

KeptPowerLimits = dict[str, tuple[int, int]]  # by circuit: W, and until when, ns

PROBE_MA = 7_000  # above the floor: it shows on mains that work, and is little on mains that don't


class PowerLimits:
    """The power limits in force on a panel's loads, by number."""

    def __init__(self, panel: Panel, fixed: Fixed, loads: list[Circuit]) -> None:
        self._voltage_v = panel.service.voltage_v
        self._fixed = fixed
        self._loads = loads
        self._most_ma = list(fixed.max_ma)  # without one
        self._probing = False
        self._limits: dict[int, tuple[int, int]] = {}  # the most it may draw, W, and until when, ns

    def put(self, i: int, limit_w: float, until_ns: int) -> None:
        """Let load `i` draw at most so many watts. Raises CommandRefused."""
        circuit = self._loads[i]
        modulation = circuit.modulation
        if modulation is None:
            raise CommandRefused(f"{circuit.name} takes no set-point: it is on or off")
        least_w = self._least_w(circuit, modulation)
        if limit_w < least_w:
            raise CommandRefused(f"{circuit.name} cannot run below {least_w} W")
        self._limits[i] = (int(limit_w), until_ns)
        self._bind(i)

    def _least_w(self, circuit: Circuit, modulation: Modulation) -> int:
        volts = self._voltage_v * len(circuit.legs) / 2
        return modulation.floor_w or round(modulation.min_a * volts)

    def take_back(self, i: int) -> None:
        """End the power limit of load `i`, if there is one."""
        self._limits.pop(i, None)
        self._bind(i)

    def probe(self, probing: bool) -> None:
        """Let every modulated load draw little more than its floor, or no longer."""
        if probing is not self._probing:
            self._probing = probing
            for i, circuit in enumerate(self._loads):
                if circuit.modulation is not None:
                    self._bind(i)

    def _bind(self, i: int) -> None:
        """Put into the core's memory what load `i` may use at most."""
        floor_ma, most_ma = self._fixed.floor_ma[i], self._most_ma[i]
        if i in self._limits:
            volts = self._voltage_v * len(self._loads[i].legs) / 2
            most_ma = min(most_ma, max(floor_ma, ma_from_w(self._limits[i][0], volts)))
        if self._probing:
            most_ma = min(most_ma, floor_ma + PROBE_MA)
        self._fixed.max_ma[i] = most_ma

    def refresh(self, now_ns: int) -> None:
        """End what has run out."""
        for i in [i for i, (_, until_ns) in self._limits.items() if now_ns >= until_ns]:
            self.take_back(i)

    def snapshot(self) -> KeptPowerLimits:
        """Those in force, which outlive a restart."""
        return {self._loads[i].id: limit for i, limit in self._limits.items()}

    def resume(self, kept: KeptPowerLimits, now_ns: int) -> None:
        """Put back what `snapshot()` gave out and has not run out. A load that cannot run so low
        any more runs as low as it can.
        """
        for i, circuit in enumerate(self._loads):
            limit_w, until_ns = kept.get(circuit.id, (0, 0))
            in_time = now_ns < until_ns <= now_ns + ns_from_s(MAX_EXPIRY_S)
            if in_time and circuit.modulation is not None:
                self.put(i, max(limit_w, self._least_w(circuit, circuit.modulation)), until_ns)

    def memory(self) -> dict[str, Any]:
        """All of it, ready for JSON; what a load may use is in the flat memory."""
        limits = [[i, limit_w, until_ns] for i, (limit_w, until_ns) in self._limits.items()]
        return {"limits": limits, "probing": self._probing}

    def put_memory(self, plain: Mapping[str, Any]) -> None:
        """Put `memory()` back, before the first step. Raises ValueError, KeyError or TypeError."""
        self._limits = {
            below(i, len(self._loads)): (whole(limit_w), monotonic_ns(until_ns))
            for i, limit_w, until_ns in plain["limits"]
        }
        self._probing = bool(plain["probing"])

    def next_end_ns(self) -> int | None:
        """When the next one runs out; None without one."""
        return min((until_ns for _, until_ns in self._limits.values()), default=None)

    def limit_w(self, i: int) -> int | None:
        """What load `i` may draw at most, W; None without one."""
        return self._limits[i][0] if i in self._limits else None

    def left_s(self, i: int, now_ns: int) -> float:
        """For how long yet, s; 0 without one."""
        return (self._limits[i][1] - now_ns) / NS_PER_S if i in self._limits else 0.0
