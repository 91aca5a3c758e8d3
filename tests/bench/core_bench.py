"""The speed of a whole decision: the compiled step, and its reference."""

from __future__ import annotations

import time
from statistics import median

from tests.bench.rows import Row, at_most, reported
from tests.core_cases import Load, Rig, compute_load, evse_load


def step_rows() -> list[Row]:
    """step.us and step.vs_reference: a whole decision on a panel of 48 loads."""
    loads = [Load(tier=n % 6, legs=((0,), (1,), (0, 1))[n % 3]) for n in range(45)]
    loads += [evse_load(), evse_load(legs=(0,)), compute_load()]
    medians = []
    for compiled in (True, False):
        rig = Rig(loads, compiled)
        draws = [2_000 if load.kind == 0 else 6_000 for load in loads]
        samples = []
        for n in range(3000 if compiled else 600):
            house = (60_000 + 200 * (n % 50), 60_000)
            rig.read_all(house, draws)
            begin = time.perf_counter_ns()
            rig.core.step(rig.now_ns)
            samples.append(time.perf_counter_ns() - begin)
            rig.now_ns += 100_000_000
        medians.append(median(samples) / 1000)
    note = "one core.step, 48 loads on two legs, warm; readings changed before each"
    ratio = f"Python reference {medians[1]:.0f} us over compiled {medians[0]:.2f} us, same panel"
    return [
        reported("step.us", medians[0], "us", 3000, note),
        at_most("core.step48.us", medians[0], "us", 20, 3000, note),
        reported("step.vs_reference", medians[1] / medians[0], "x", 600, ratio),
    ]
