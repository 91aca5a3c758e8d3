"""What storms came to, in words: each one, all together, and a verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from panelctl.model.wording import times
from panelctl.sim.storm.excess import by_duration
from panelctl.sim.storm.excuse import Excuse
from panelctl.sim.storm.figures import Figures, together
from panelctl.sim.storm.report import CHECKS
from panelctl.sim.storm.run import Result

MOST_TOLD = 20


def one_storm(result: Result, speed: float) -> list[str]:
    """A storm, line by line; `speed` in times life."""
    figures, hours = result.figures, result.duration_s / 3600
    head = (
        f"seed {result.seed}: {hours:.2f} h at {speed:.0f} times life, {len(result.strikes)} "
        f"faults of {len(figures.strikes)} kinds, digest {result.digest}"
    )
    judged = figures.judged_s / max(figures.seconds, 1)
    lines = [head, *_figures(figures), f"  {judged:.0%} of the time judged for S2, S5 and S7"]
    found = result.violations
    lines += [f"  {v.check} at {v.at_s:.3f} s: {v.what}" for v in found[:MOST_TOLD]]
    if len(found) > MOST_TOLD:
        lines.append(f"  and {len(found) - MOST_TOLD} more")
    return lines


def all_storms(results: Sequence[Result]) -> list[str]:
    """All storms together, line by line; nothing of a single one, which has been told."""
    if len(results) < 2:
        return []
    faults = sum(len(result.strikes) for result in results)
    hours = sum(result.duration_s for result in results) / 3600
    head = f"all {len(results)} storms: {hours:.2f} h, {faults} faults"
    return [head, *_figures(together([result.figures for result in results]))]


def _figures(made: Figures) -> list[str]:
    """What was counted, and how each second over the limit is accounted for."""
    node_kwh = made.compute_wh / 1000
    done = f"{made.sheds} shed, {made.restores} restored, {made.relay_moves} relay moves"
    over = f": {_classes(made.over_s)}" if made.over_s else ""
    trips = f"trips {made.trips} ({made.preventable_trips} preventable)"
    lines = [
        f"  {trips}; {done}, node {node_kwh:.1f} kWh",
        f"  over the limit {made.over_total_s:.1f} s in all{over}",
    ]
    for excuse in (excuse for excuse in Excuse if excuse in made.excused):
        lines.append(f"    {made.excused_s[excuse]:.1f} s, {times(made.excused[excuse])}: {excuse}")
    return lines


def _classes(over: Mapping[str, int]) -> str:
    return ", ".join(f"{times(n)} {name}" for name, n in by_duration(over).items())


def verdict(results: Sequence[Result]) -> str:
    """One line: what was found, in how many storms and how long, or that nothing was."""
    storms = f"{len(results)} storms" if len(results) > 1 else "1 storm"
    hours = sum(result.duration_s for result in results) / 3600
    found = Counter(violation.check for result in results for violation in result.violations)
    if not found:
        return f"verdict: nothing was found in {storms} ({hours:.2f} h): every check held"
    parts = []
    for check in (check for check in CHECKS if found[check]):
        hit = sum(any(v.check == check for v in result.violations) for result in results)
        lasted = ""
        if check == "S2":
            seconds_s = sum(r.figures.excused_s.get(Excuse.NONE, 0.0) for r in results)
            lasted = f", {seconds_s:.1f} s at the main lugs without an excuse"
        parts.append(f"{check} {times(found[check])} in {hit} of {storms}{lasted}")
    return f"verdict: found {'; '.join(parts)}"
