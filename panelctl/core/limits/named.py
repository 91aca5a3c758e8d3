"""The named limits that come and go: who set them, until when, and what holds when they are lost.

A limit from outside, whatever protocol brought it, is a name, an amount for the legs or for the
total import, a source and an end. It can only lower what the control setting allows.

Rules
- Monotonic time only. A limit that has no end stays until it is taken back.
- Dynamic operating envelopes (DOE) come as windows. A stricter one may start EARLY_S before its
  time, a looser one never. Where no window is known the default holds, never "unlimited".
- Without a voltage reading the last voltage response holds. Without news of the grid the panel
  stays off the grid, if that is the last that was heard.
- A lease is a share of a transformer for a while. The newest one holds, by its number; when it has
  run out, and after a restart, the default does. Whoever hands leases out may count on that.
- Without the tank's temperature the tank takes no heat.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from panelctl.core.plain import monotonic_ns, whole
from panelctl.core.state.build import Row, total_a
from panelctl.core.state.layout import LEG_ROWS, NO_LIMIT_MA, Changing, Fixed
from panelctl.model.keys import MAX_NUMBER
from panelctl.model.limit import Amount, KeptLimits, LimitName, Window
from panelctl.model.panel import HeatSink, Panel
from panelctl.units import NS_PER_S, ma_from_a

EARLY_NS = 30 * NS_PER_S
# Share of the control setting by voltage, ppm of the nominal voltage (the example curve of eBus
# voltage-response): full down to 0.95, a half at 0.92, a fifth at 0.90 and below.
VOLTAGE_CURVE = ((900_000, 200_000), (920_000, 500_000), (950_000, 1_000_000))
VOLTAGE_ON = 950_000
VOLTAGE_OFF = 960_000
SOC_SHED = 49.0  # below it off-grid backup sheds, from SOC_BACK on it restores
SOC_BACK = 51.0


@dataclass(slots=True)
class _Doe:
    windows: list[Window] = field(default_factory=list)
    default: Amount | None = None


class Limits:
    """The named limits over a core's memory. `refresh()` before each step."""

    def __init__(self, panel: Panel, fixed: Fixed, state: Changing, rows: Sequence[Row]) -> None:
        self._panel = panel
        self._fixed = fixed
        self._state = state
        self._total = next(r for r, row in enumerate(rows) if row.name == "import")
        self.source: dict[LimitName, str] = {LimitName.FSR: "panel file"}
        default_a = panel.service.doe_default_a
        self._doe = _Doe(default=None if default_a is None else Amount(limit_a=default_a))
        self._sagging = False
        self._lease_until_ns = 0
        self._lease = Amount()
        self.lease_number = 0  # of the newest lease that was taken
        self._sink = next((r for r, row in enumerate(rows) if row.name == "heat_sink"), -1)
        self._floor_ma = sum(
            fixed.meter_coef[i * fixed.rows + self._sink] * fixed.floor_ma[i]
            for i in range(fixed.loads)
            if fixed.compute[i] and self._sink >= 0
        )
        self.off_grid = False
        self.shedding = False  # off the grid with a battery that runs low
        if panel.service.operator_limit_a is not None:
            amount = Amount(limit_a=panel.service.operator_limit_a)
            self.put(LimitName.OPERATOR, amount, 0, "panel file")

    def put(self, name: LimitName, amount: Amount, until_ns: int, source: str) -> None:
        """Put a limit in force until `until_ns` (0: until it is taken back)."""
        k = int(name)
        state, rows = self._state, self._fixed.rows
        for r in range(rows):
            state.limit_value_ma[k * rows + r] = NO_LIMIT_MA
        if amount.limit_a is not None:
            for r in range(LEG_ROWS):
                state.limit_value_ma[k * rows + r] = ma_from_a(amount.limit_a)
        if amount.import_w is not None:
            total_ma = ma_from_a(total_a(amount.import_w, self._panel))
            state.limit_value_ma[k * rows + self._total] = total_ma
        state.limit_on[k] = 1
        state.limit_until_ns[k] = until_ns
        self.source[name] = source

    def put_lease(self, import_w: float, until_ns: int, number: int, source: str) -> None:
        """Take a newer lease in place of the present one."""
        self._lease = Amount(import_w=import_w)
        self._lease_until_ns = until_ns
        self.lease_number = number
        self.source[LimitName.LEASE] = source

    def take_back(self, name: LimitName) -> None:
        """Take a limit out of force."""
        self._state.limit_on[int(name)] = 0

    def put_windows(self, windows: Sequence[Window], source: str) -> None:
        """Replace the known envelope by these windows, which are in order and do not overlap."""
        self._doe.windows = list(windows)
        self.source[LimitName.DOE] = source

    def go_off_grid(self, soc: float | None) -> None:
        """The panel is fed by its inverter; `soc` is the battery's state of charge in percent."""
        backup = self._panel.backup
        if backup is None:
            return
        self.off_grid = True
        amount = Amount(backup.inverter_a, backup.inverter_w)
        self.put(LimitName.OFF_GRID, amount, 0, "backup")
        self._harden(True, backup.inverter_w is not None)
        if soc is not None and soc < SOC_SHED:
            self.shedding = True
        elif soc is not None and soc >= SOC_BACK:
            self.shedding = False

    def go_on_grid(self) -> None:
        """The grid is back."""
        self.off_grid = self.shedding = False
        self.take_back(LimitName.OFF_GRID)
        self._harden(False, False)

    def _harden(self, legs: bool, total: bool) -> None:
        """Whether the limit of the legs, and of the total, may not be passed even for a moment."""
        for r in range(LEG_ROWS):
            self._state.hard[r] = legs
        self._state.hard[self._total] = total

    def snapshot(self) -> KeptLimits:
        """What outlives a restart."""
        windows = [
            (w.start_ns, w.end_ns, w.amount.limit_a, w.amount.import_w) for w in self._doe.windows
        ]
        source = self.source.get(LimitName.DOE, "")
        return KeptLimits(self.off_grid, self.shedding, source, windows, self.lease_number)

    def resume(self, kept: KeptLimits) -> None:
        """Put `snapshot()` back, before the first step."""
        self.lease_number = kept.lease_number
        if kept.windows:
            windows = [
                Window(start_ns, end_ns, Amount(limit_a, import_w))
                for start_ns, end_ns, limit_a, import_w in kept.windows
            ]
            self.put_windows(windows, kept.source)
        if kept.off_grid:
            self.go_off_grid(None)
            self.shedding = kept.shedding and self.off_grid

    def memory(self) -> dict[str, Any]:
        """All that the next step can ask for besides the flat memory, ready for JSON."""
        return {
            "sources": {name.name: source for name, source in self.source.items()},
            "windows": [
                [w.start_ns, w.end_ns, w.amount.limit_a, w.amount.import_w]
                for w in self._doe.windows
            ],
            "sagging": self._sagging,
            "lease": [self._lease_until_ns, self._lease.import_w, self.lease_number],
            "off_grid": self.off_grid,
            "shedding": self.shedding,
        }

    def put_memory(self, plain: Mapping[str, Any]) -> None:
        """Put `memory()` back, before the first step. Raises ValueError, KeyError or TypeError."""
        self.source = {LimitName[name]: str(text) for name, text in plain["sources"].items()}
        self._doe.windows = [
            Window(monotonic_ns(start_ns), monotonic_ns(end_ns), Amount(limit_a, import_w))
            for start_ns, end_ns, limit_a, import_w in plain["windows"]
        ]
        until_ns, import_w, number = plain["lease"]
        self._lease_until_ns, self._lease = monotonic_ns(until_ns), Amount(import_w=import_w)
        self.lease_number = whole(number, MAX_NUMBER)
        self._sagging, self.off_grid = bool(plain["sagging"]), bool(plain["off_grid"])
        self.shedding = bool(plain["shedding"])

    def refresh(self, now_ns: int, voltage_mv: int | None, tank_mc: int | None) -> None:
        """Bring the limits that follow time and readings up to date; None: it cannot be read.

        `voltage_mv` is leg to leg, `tank_mc` the tank's temperature (m°C).
        """
        self._refresh_doe(now_ns)
        self._refresh_lease(now_ns)
        if self._panel.service.voltage_response and voltage_mv is not None:
            self._refresh_voltage(voltage_mv)
        if self._panel.heat_sink is not None:
            self._refresh_sink(self._panel.heat_sink, tank_mc)

    def _refresh_lease(self, now_ns: int) -> None:
        default_w = self._panel.service.lease_default_w
        if default_w is None:
            return
        if now_ns < self._lease_until_ns:
            source = self.source.get(LimitName.LEASE, "")
            self.put(LimitName.LEASE, self._lease, self._lease_until_ns, source)
        else:
            self.put(LimitName.LEASE, Amount(import_w=default_w), 0, "default")

    def _refresh_sink(self, sink: HeatSink, tank_mc: int | None) -> None:
        """What tank and cooler take together; the tank less and less over its band.

        The node's floor fits in any case: `check` wants a cooler that takes it. In A a watt is not
        the same for a limit, which takes it at the highest voltage, as for a floor at the lowest.
        """
        watts = sink.rejector_w
        if tank_mc is not None:
            left = min(max(sink.full_c - tank_mc / 1000, 0.0) / sink.band_c, 1.0)
            watts += int(sink.tank_w * left)
        k = int(LimitName.HEAT_SINK) * self._fixed.rows + self._sink
        self._state.limit_value_ma[k] = max(ma_from_a(total_a(watts, self._panel)), self._floor_ma)
        self._state.limit_on[int(LimitName.HEAT_SINK)] = 1
        seen = tank_mc is not None
        self.source[LimitName.HEAT_SINK] = "tank temperature" if seen else "tank not read"

    def _refresh_doe(self, now_ns: int) -> None:
        doe = self._doe
        while doe.windows and doe.windows[0].end_ns <= now_ns:
            doe.windows.pop(0)
        amount = doe.default
        if doe.windows and doe.windows[0].start_ns <= now_ns:
            amount = doe.windows[0].amount
        for window in doe.windows:
            if now_ns < window.start_ns <= now_ns + EARLY_NS:
                amount = window.amount if amount is None else amount.stricter(window.amount)
        if amount is None:
            self.take_back(LimitName.DOE)
        else:
            self.put(LimitName.DOE, amount, 0, self.source.get(LimitName.DOE, "default"))

    def _refresh_voltage(self, voltage_mv: int) -> None:
        nominal_mv = round(self._panel.service.voltage_v * 1000)
        share = voltage_mv * 1_000_000 // nominal_mv
        if share < VOLTAGE_ON:
            self._sagging = True
        elif share >= VOLTAGE_OFF:
            self._sagging = False
        if not self._sagging:
            self.take_back(LimitName.VOLTAGE)
            return
        factor = VOLTAGE_CURVE[0][1]
        for (low, below), (high, above) in pairwise(VOLTAGE_CURVE):
            if share >= low:
                reach = min(share, high) - low
                factor = below + (above - below) * reach // (high - low)
        limit_a = self._panel.service.control_setting_a * factor / 1_000_000
        self.put(LimitName.VOLTAGE, Amount(limit_a=limit_a), 0, "voltage at the main lugs")
