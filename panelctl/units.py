"""Units and the few conversions between them. No physics beyond Ohm and Joule belongs here.

Inside panelctl currents are integer milliamps, voltages integer millivolts, powers integer watts,
energies integer watt-hours and times integer nanoseconds; positive is consumption and import.
"""

from __future__ import annotations

from typing import Final

NS_PER_S: Final = 1_000_000_000
NS_PER_MS: Final = 1_000_000
MA_PER_A: Final = 1_000


def ma_from_a(current_a: float) -> int:
    """Whole milliamps nearest to `current_a` (A)."""
    return round(current_a * MA_PER_A)


def a_from_ma(current_ma: int) -> float:
    """Amps from milliamps."""
    return current_ma / MA_PER_A


def ns_from_s(time_s: float) -> int:
    """Whole nanoseconds nearest to `time_s` (s)."""
    return round(time_s * NS_PER_S)


def w_from_ma(current_ma: int, voltage_mv: int) -> int:
    """Watts, rounded down, of `current_ma` (mA) at `voltage_mv` (mV) and unity power factor."""
    return current_ma * voltage_mv // 1_000_000


def ma_from_w(power_w: float, voltage_v: float) -> int:
    """Milliamps, rounded up, that `power_w` (W) draws at `voltage_v` (V), unity power factor."""
    return -int(-power_w * MA_PER_A // voltage_v)
