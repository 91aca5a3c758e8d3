"""The smallest schedule that still fails in the same way (delta debugging over the strikes).

A. Zeller, R. Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002: take away
halves, then quarters, and so on, whatever is not needed for the failure.
"""

from __future__ import annotations

from collections.abc import Callable

from panelctl.sim.storm.strike import Strike

AFTER_S = 3.0
AT_THE_END = ("L1", "M1", "crash")  # these need the storm's whole length


def shorten(strikes: list[Strike], check: str, at_s: float, duration_s: float) -> float:
    """How long a storm has to be to fail again."""
    return duration_s if check in AT_THE_END else min(duration_s, at_s + AFTER_S)


def shrink(
    strikes: list[Strike],
    fails: Callable[[list[Strike]], bool],
    most_runs: int,
    progress: Callable[[int, int], None] = lambda runs, left: None,
) -> list[Strike]:
    """Strikes without which it would not fail. `fails` runs a storm; it is asked `most_runs` times
    at most, so that the result may be larger than it could be.
    """
    runs = 0

    def tried(part: list[Strike]) -> bool:
        nonlocal runs
        runs += 1
        progress(runs, len(part))
        return fails(part)

    if runs < most_runs and tried([]):
        return []
    parts = 2
    while len(strikes) >= 2 and runs < most_runs:
        size = max(1, len(strikes) // parts)
        for begin in range(0, len(strikes), size):
            rest = strikes[:begin] + strikes[begin + size :]
            if rest and runs < most_runs and tried(rest):
                strikes, parts = rest, max(parts - 1, 2)
                break
        else:
            if size == 1:
                break
            parts = min(2 * parts, len(strikes))
    return strikes
