"""`panelctl report`: a recording as a whole, in numbers."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from panelctl.cli.options import json_option
from panelctl.model.reason import State
from panelctl.model.relay import Claim
from panelctl.model.wording import CLAIMS, STATES, place, times

if TYPE_CHECKING:
    from panelctl.report.summary import CircuitSummary, Summary


@click.command("report", epilog="Example: panelctl report evening.jsonl.gz")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@json_option
def command(file: Path, as_json: bool) -> None:
    """Say what a recording holds: how full the legs were, what the node got, what each circuit did.

    FILE is made by `panelctl record`. It needs numpy: pip install 'panelctl[report]'.
    """
    from panelctl.link.recording import read_recording

    try:
        from panelctl.report.columns import columns_of
        from panelctl.report.summary import summarise
    except ImportError as error:
        raise click.ClickException(
            f"{error}: this verb needs numpy; pip install 'panelctl[report]'"
        ) from None
    recording = read_recording(file)
    try:
        summary = summarise(columns_of(recording.records))
    except ValueError as error:
        raise click.ClickException(f"{file}: {error}") from None
    if as_json:
        click.echo(json.dumps(asdict(summary)))
        return
    names = {circuit["id"]: circuit["name"] for circuit in recording.hello["circuits"]}
    if recording.hello["shadow"]:
        click.echo("Recorded in shadow: relays and currents are as they would have been.")
    for line in in_words(summary, names):
        click.echo(line)


def in_words(summary: Summary, names: dict[str, str]) -> list[str]:
    """The summary, line by line."""
    gaps = f", {summary.gaps} gaps" if summary.gaps else ""
    lines = [f"{_time(summary.span_s)}, {summary.records} records{gaps}"]
    for name, seconds in summary.states_s.items():
        lines.append(f"  {_time(seconds)} {name}: {STATES[State[name]]}")
    for leg, found in summary.legs.items():
        near = ", ".join(f"{_time(s)} at {part}" for part, s in found.near_s.items() if s)
        lines.append(
            f"{place(leg)}: {_a(found.median_a)} (half of the time at most), p99 "
            f"{_a(found.p99_a)}, most {_a(found.most_a)} of {found.least_limit_a:g} A; "
            f"over for {_time(found.over_s)}" + (f"; {near} of the limit or more" if near else "")
        )
    node = summary.compute
    if node is not None:
        used = "" if node.used is None else f", {node.used:.1%} of its budget"
        lines.append(
            f"compute: {node.drawn_wh / 1000:.3f} kWh{used}; its budget fell {times(node.lowered)}"
        )
    for ident, circuit in summary.circuits.items():
        lines.append(f"{names.get(ident, ident)}: {_circuit(circuit)}")
    late = summary.late_p99_ms
    if late is not None:
        lines.append(
            f"cycles: {late:.2f} ms late at p99, {summary.incomplete_ratio:.2%} incomplete"
        )
    return lines


def _circuit(circuit: CircuitSummary) -> str:
    if circuit.most_w is None:
        return "never read"
    given = " given" if circuit.drawn_wh < 0 else ""
    parts = [
        f"{abs(circuit.drawn_wh) / 1000:.3f} kWh{given}, most {abs(circuit.most_w):.0f} W",
        f"ran {circuit.runs_ratio:.0%} of the time, started {times(circuit.starts)}",
    ]
    for claim, seconds in circuit.off_s.items():
        parts.append(f"held open by {CLAIMS[Claim[claim]].short} for {_time(seconds)}")
    return "; ".join(parts)


def _a(amps: float | None) -> str:
    return "unknown" if amps is None else f"{amps:.1f} A"


def _time(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
