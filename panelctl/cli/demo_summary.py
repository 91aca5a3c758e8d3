"""What a demo came to: the plant's truth, the controller's counts, and what had to hold."""

from __future__ import annotations

import statistics
from typing import Any

import click

from panelctl.errors import PanelctlError
from panelctl.model.record import CycleRecord
from panelctl.model.wording import times
from panelctl.sim.judge import OVER_MOST_S

DUE_RATIO = 0.90
STORY = "story"  # the demo's own: it is known to need a shed and a restore, and to leave its share


class Tally:
    """What the demo's summary counts from the controller's records."""

    def __init__(self) -> None:
        self.cycles = 0
        self.overruns = 0
        self.sheds: list[str] = []
        self.restores: list[str] = []
        self.faults: list[str] = []
        self.states: set[str] = set()
        self.late_us: list[int] = []

    def count(self, record: CycleRecord) -> None:
        """Count one record."""
        self.cycles += len(record["decisions"])
        self.overruns = record["timing"]["overruns"]
        self.late_us.append(record["timing"]["late_us"])
        self.states.add(record["state"])
        for event in record["events"]:
            kept = {"shed": self.sheds, "restore": self.restores, "fault": self.faults}
            if event["what"] in kept and event["circuit"] != "":
                kept[event["what"]].append(event["circuit"])


def summarise(tally: Tally, truth: dict[str, Any], log: str, loads: str = STORY) -> dict[str, Any]:
    """The demo's JSON summary: the plant's truth and the controller's counts, and what failed.
    `loads` says what drove them: only of the demo's own story it is known what has to happen.
    """
    delays = sorted(truth["detect_to_write_ms"])
    summary: dict[str, Any] = {
        "loads": loads,
        "cycles": tally.cycles,
        "overruns": tally.overruns,
        "worst_overload_a": truth["worst_overload_a"],
        "worst_overload_s": truth["worst_overload_s"],
        "sheds": len(tally.sheds),
        "restores": len(tally.restores),
        "shed": tally.sheds,
        "restored": tally.restores,
        "faults": tally.faults,
        "compute_wh": truth["compute_wh"],
        "available_wh": truth["available_wh"],
        "compute_share_of_available": truth["compute_share_of_available"],
        "breaker_trips": len(truth["breaker_trips"]),
        "tripped": truth["breaker_trips"],
        "always_on_opened": truth["always_on_opened"],
        "detect_to_write_ms": {
            "p50": round(statistics.median(delays), 1) if delays else None,
            "max": delays[-1] if delays else None,
            "n": len(delays),
        },
        "silence_violations": sum(line["violations"] for line in truth["lines"].values()),
        "limit_a": truth["limit_a"],
    }
    checks = _checks(tally, truth, loads)
    summary["checks"] = checks
    summary["notes"] = [] if loads == STORY else _notes(summary)
    summary["ok"] = all(checks.values())
    if log:
        summary["controller_log"] = log
    return summary


def _checks(tally: Tally, truth: dict[str, Any], loads: str) -> dict[str, bool]:
    """What had to hold, and whether it did."""
    checks = {
        f"no leg over {truth['limit_a']:g} A + 1 % for more than {OVER_MOST_S:g} s": truth[
            "worst_overload_s"
        ]
        <= OVER_MOST_S,
        "no breaker tripped": not truth["breaker_trips"],
        "no always-on circuit opened": truth["always_on_opened"] == 0,
        "no overrun": tally.overruns == 0,
    }
    if loads == STORY:
        checks |= {
            "at least one shed": bool(tally.sheds),
            "at least one restore": bool(tally.restores),
            f"compute got at least {DUE_RATIO:.0%} of what the household left": truth[
                "compute_share_of_available"
            ]
            >= DUE_RATIO,
        }
    return checks


def _notes(summary: dict[str, Any]) -> list[str]:
    """What happened and did not have to, or did not happen and might have."""
    sheds, restores = summary["sheds"], summary["restores"]
    notes = [f"circuits were shed {times(sheds)}, and restored {times(restores)}"]
    if not sheds:
        notes = ["no circuit was shed: what ran left room under the limit, or none is armed"]
    if summary["available_wh"]:
        share = summary["compute_share_of_available"]
        notes.append(f"compute got {share:.0%} of what the household left")
    else:
        notes.append("no compute node: nothing took what the household left")
    return notes


def say(summary: dict[str, Any]) -> None:
    """Tell a person. Raises PanelctlError where the controller ended early."""
    share = ""
    if summary["available_wh"]:
        share = (
            f", compute {summary['compute_wh'] / 1000:.3f} kWh, "
            f"{summary['compute_share_of_available']:.1%} of what the household left"
        )
    click.echo(
        f"{summary['cycles']} cycles, {summary['sheds']} sheds, {summary['restores']} restores"
        + share
    )
    for check, held in summary["checks"].items():
        click.echo(f"  {'yes' if held else 'NO '}  {check}")
    for note in summary["notes"]:
        click.echo(f"       {note}")
    if "controller_log" in summary:
        raise PanelctlError(f"the controller ended early:\n{summary['controller_log']}")
