"""Whether readings can be true together: what a meter says of one thing in several ways must agree.

Pure: values by point name in, contradictions in words out. The names are those of the register
maps (`l1_v`, `total_w` …); what is not there is not judged. Tolerances are those of a class 1
meter that samples its values one after the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

LEGS = ("l1", "l2", "l3")
SUM_RATIO = 0.03  # phases may differ from their total by this share of what flows
SUM_LEAST = 15.0  # phases may differ from their total by so many W, VA or var where little flows
PRODUCT_RATIO = 0.05  # volts times amps against volt-amperes
FREQUENCIES_HZ = ((47.0, 53.0), (57.0, 63.0))
VOLTS = (80.0, 300.0)  # between a leg and the neutral, 100 V to 277 V systems


def contradictions(values: Mapping[str, float]) -> Iterator[str]:
    """Every pair of readings that cannot be true at once, in words with the numbers."""
    yield from _sums(values)
    yield from _products(values)
    yield from _alone(values)
    for place in ("total", *LEGS):
        yield from _triangle(values, place)


def _sums(values: Mapping[str, float]) -> Iterator[str]:
    for unit in ("w", "var"):
        parts = [values[f"{leg}_{unit}"] for leg in LEGS if f"{leg}_{unit}" in values]
        total = values.get(f"total_{unit}")
        if total is None or not parts:
            continue
        apparent = abs(values.get("total_va", 0.0))
        scale = max(sum(abs(part) for part in parts), apparent, SUM_LEAST / SUM_RATIO)
        if abs(sum(parts) - total) > SUM_RATIO * scale:
            yield f"the legs add up to {sum(parts):g}, not to total_{unit} = {total:g}"


def _products(values: Mapping[str, float]) -> Iterator[str]:
    for leg in LEGS:
        volts, amps = values.get(f"{leg}_v"), values.get(f"{leg}_a")
        if volts is None or amps is None:
            continue
        product = abs(volts * amps)
        slack = PRODUCT_RATIO * product + SUM_LEAST
        apparent, real = values.get(f"{leg}_va"), values.get(f"{leg}_w")
        if apparent is not None and abs(abs(apparent) - product) > slack:
            yield f"{leg}: {volts:g} V times {amps:g} A is not {apparent:g} VA"
        if real is not None and abs(real) > product + slack:
            yield f"{leg}: {real:g} W is more than {volts:g} V times {amps:g} A"


def _triangle(values: Mapping[str, float], place: str) -> Iterator[str]:
    """Real power is at most the apparent one, and with the reactive one makes no more than it."""
    apparent, real = values.get(f"{place}_va"), values.get(f"{place}_w")
    if apparent is None or real is None:
        return
    slack = SUM_RATIO * abs(apparent) + SUM_LEAST
    if abs(real) > abs(apparent) + slack:
        yield f"{place}: {real:g} W is more than {apparent:g} VA"
    reactive = values.get(f"{place}_var")
    if reactive is not None and (real**2 + reactive**2) ** 0.5 > abs(apparent) + 2 * slack:
        yield f"{place}: {real:g} W and {reactive:g} var make more than {apparent:g} VA"


def _alone(values: Mapping[str, float]) -> Iterator[str]:
    frequency = values.get("frequency_hz")
    if frequency and not any(low <= frequency <= high for low, high in FREQUENCIES_HZ):
        yield f"frequency_hz = {frequency:g} is that of no grid"
    for leg in LEGS:
        volts = values.get(f"{leg}_v")
        if volts and not VOLTS[0] <= volts <= VOLTS[1]:
            yield f"{leg}_v = {volts:g} is no mains voltage"
