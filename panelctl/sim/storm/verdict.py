"""What storms came to, in words: each one, all together, and a verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from panelctl.model.wording import times
from panelctl.sim.storm.excess import by_duration
from panelctl.sim.storm.excuse import Excuse
from panelctl.sim.storm.figures import Figures
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
    lines = [head, *_figures([figures]), f"  {judged:.0%} of the time judged for S2, S5 and S7"]
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
    return [head, *_figures([result.figures for result in results])]


def _figures(figures: Sequence[Figures]) -> list[str]:
    """What was counted, and how each second over the limit is accounted for."""
    over: Counter[str] = Counter()
    held: Counter[str] = Counter()
    held_s: dict[str, float] = {}
    for one in figures:
        over.update(one.over_s)
        held.update(one.excused)
        for name, seconds_s in one.excused_s.items():
            held_s[name] = held_s.get(name, 0.0) + seconds_s
    over_s = sum(one.over_total_s for one in figures)
    trips = sum(one.trips for one in figures)
    preventable = sum(one.preventable_trips for one in figures)
    sheds, restores = sum(one.sheds for one in figures), sum(one.restores for one in figures)
    moves = sum(one.relay_moves for one in figures)
    node_kwh = sum(one.compute_wh for one in figures) / 1000
    done = f"{sheds} shed, {restores} restored, {moves} relay moves, node {node_kwh:.1f} kWh"
    lines = [
        f"  trips {trips} ({preventable} preventable); {done}",
        f"  over the limit {over_s:.1f} s in all" + (f": {_classes(over)}" if over else ""),
    ]
    for excuse in (excuse for excuse in Excuse if excuse in held):
        lines.append(f"    {held_s[excuse]:.1f} s, {times(held[excuse])}: {excuse}")
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
