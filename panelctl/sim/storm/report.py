"""What a storm came to, for machines and people: JSON, JUnit, and a plot of the worst event."""

from __future__ import annotations

import html
from collections import Counter
from dataclasses import asdict, fields
from typing import Any

from panelctl.sim.storm.excess import by_duration
from panelctl.sim.storm.excuse import Excuse
from panelctl.sim.storm.figures import Sample, together
from panelctl.sim.storm.run import Result

WIDTH, HEIGHT, LEFT, BOTTOM = 960, 360, 56, 34
CHECKS = {
    "S1": "no breaker trips that could have been kept from tripping",
    "S2": "the limit is not passed for more than 2 s without an excuse",
    "S3": "a circuit that is always on is not opened",
    "S4": "minimum on and off times and wear budgets are kept",
    "S5": "what is shed was short of room, by a fresh reading of its leg",
    "S6": "without a mains reading loads go to their safe state in time",
    "S7": "no more is handed out than the limit leaves",
    "S8": "no set-point turns again and again while the house stands still",
    "S9": "what may not stay off for long does not, where it would fit",
    "S10": "nothing is closed in vain again and again",
    "S11": "nothing is shown as fresh and otherwise than it is",
    "O1": "each relay is shown where it is, within 3 s, or as unknown",
    "O2": "no relay is called faulty that does as it is told",
    "O3": "an order that is not followed is told within 3 s",
    "O4": "no relay is hammered with one order, nor fought for with somebody else",
    "V1": "no wrong reading of a circuit is good, unless its meter lies",
    "L1": "everything that fits comes back after the faults",
    "M1": "memory, tasks and connections do not grow",
    "crash": "the controller never ends by an error",
}


def plain(result: Result) -> dict[str, Any]:
    """Ready for JSON."""
    made = result.figures  # counters are dicts that asdict takes for something else
    figures = {
        field.name: dict(value) if isinstance(value, dict) else value
        for field in fields(made)
        for value in (getattr(made, field.name),)
    }
    figures["over_s"] = by_duration(made.over_s)
    return {
        "seed": result.seed,
        "days": result.duration_s / 86_400.0,
        "digest": result.digest,
        "strikes": len(result.strikes),
        "wrong_values": sum(violation.check == "V1" for violation in result.violations),
        "violations": [asdict(violation) for violation in result.violations],
        "figures": figures,
    }


def summary(results: list[Result]) -> dict[str, Any]:
    """The figures of all storms together, ready for JSON. Times in s."""
    made = together([result.figures for result in results])
    days = sum(result.duration_s for result in results) / 86_400.0
    found = Counter(violation.check for result in results for violation in result.violations)
    return {
        "panel_days": round(days, 4),
        "digests": {str(result.seed): result.digest for result in results},
        "violations": dict(found),
        "trips": made.trips,
        "trips_preventable": made.preventable_trips,
        "seconds_over_limit": round(made.over_total_s, 1),
        "times_over_limit": by_duration(made.over_s),
        "excuses": {
            str(excuse): {"times": made.excused[excuse], "seconds": round(seconds_s, 1)}
            for excuse in Excuse
            if (seconds_s := made.excused_s.get(excuse)) is not None
        },
        "sheds": made.sheds,
        "sheds_per_day": round(made.sheds / days, 3),
        "relay_moves": made.relay_moves,
        "compute_kwh": round(made.compute_wh / 1000.0, 1),
        "faults": sum(made.strikes.values()),
        "faults_by_kind": dict(sorted(made.strikes.items())),
        "failsafe_seconds": {"max": round(made.failsafe_s, 3)},
        "untold_seconds": {"max": round(made.untold_s, 3)},
        "shown_wrong": made.shown_wrong,
        "false_faults": made.false_faults,
        "wrong_values": found["V1"],
        "share_judged": round(made.judged_s / max(made.seconds, 1), 3),
    }


def junit(results: list[Result]) -> str:
    """A JUnit file: one case a seed and check."""
    cases: list[str] = []
    failures = 0
    for result in results:
        for check, says in CHECKS.items():
            found = [v for v in result.violations if v.check == check]
            name = html.escape(f"seed {result.seed}: {check} {says}", quote=True)
            if not found:
                cases.append(f'<testcase classname="storm" name="{name}"/>')
                continue
            failures += 1
            text = html.escape("\n".join(f"{v.at_s:.3f} s: {v.what}" for v in found[:50]))
            message = html.escape(found[0].what, quote=True)
            cases.append(
                f'<testcase classname="storm" name="{name}">'
                f'<failure message="{message}">{text}</failure></testcase>'
            )
    head = f'<testsuite name="panelctl storm" tests="{len(cases)}" failures="{failures}">'
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + "\n".join([head, *cases, "</testsuite>\n"])


def plot(samples: list[Sample]) -> str:
    """The worst event as SVG: both legs, the limit, what the node drew. A per leg over seconds."""
    if len(samples) < 2:
        samples = [Sample(0.0, 0.0, 0.0, 0.0, 0.0), Sample(1.0, 0.0, 0.0, 0.0, 0.0)]
    begin_s, end_s = samples[0].at_s, samples[-1].at_s
    top_a = 1.1 * max(max(s.a, s.b, s.limit_a, s.node_a) for s in samples) or 1.0

    def x(at_s: float) -> float:
        return LEFT + (WIDTH - LEFT - 10) * (at_s - begin_s) / (end_s - begin_s)

    def y(amps: float) -> float:
        return 10 + (HEIGHT - BOTTOM - 10) * (1.0 - max(amps, 0.0) / top_a)

    def line(colour: str, values: list[float], dashes: str = "") -> str:
        points = " ".join(
            f"{x(s.at_s):.1f},{y(v):.1f}" for s, v in zip(samples, values, strict=True)
        )
        dash = f' stroke-dasharray="{dashes}"' if dashes else ""
        return (
            f'<polyline fill="none" stroke="{colour}" stroke-width="1.5"{dash} points="{points}"/>'
        )

    marks = []
    for n in range(5):
        amps = top_a * n / 4
        marks.append(f'<text x="4" y="{y(amps) + 4:.1f}">{amps:.0f} A</text>')
        marks.append(f'<path d="M{LEFT} {y(amps):.1f}H{WIDTH - 10}" stroke="#ddd"/>')
        at_s = begin_s + (end_s - begin_s) * n / 4
        marks.append(
            f'<text x="{x(at_s):.1f}" y="{HEIGHT - 12}" text-anchor="middle">{at_s:.1f} s</text>'
        )
    drawn = [
        line("#888", [s.limit_a for s in samples], "6 4"),
        line("#2a9d8f", [s.node_a for s in samples]),
        line("#1d4e89", [s.a for s in samples]),
        line("#c1440e", [s.b for s in samples]),
    ]
    key = (
        '<text x="70" y="24"><tspan fill="#1d4e89">leg a</tspan>  <tspan fill="#c1440e">leg b'
        '</tspan>  <tspan fill="#888">limit</tspan>  <tspan fill="#2a9d8f">node</tspan></text>'
    )
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">'
    )
    return "\n".join([head, *marks, *drawn, key, "</svg>\n"])
