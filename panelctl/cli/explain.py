"""`panelctl explain`: why a circuit was off, from a recording or from the running controller."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from panelctl.cli.options import json_option, socket_option
from panelctl.link.client import ControlClient
from panelctl.link.recording import read_recording
from panelctl.model.record import CycleRecord, HelloRecord
from panelctl.model.why import explain, sentence


@click.command("explain", epilog="Example: panelctl explain dryer --file evening.jsonl.gz --at 312")
@click.argument("circuit")
@click.option(
    "--file",
    "file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A recording made by `panelctl record`; without it the running controller is asked.",
)
@click.option(
    "--at", type=float, help="Seconds after the recording's start. Default: when it was last off."
)
@socket_option
@json_option
def command(
    circuit: str, file: Path | None, at: float | None, socket_path: Path, as_json: bool
) -> None:
    """Say why CIRCUIT is or was off: what bound, by how much, what would have to change."""
    if file is None:
        if at is not None:
            raise click.UsageError("--at needs --file")
        with ControlClient(socket_path) as client:
            hello, record, at_s = client.hello, client.status(), None
    else:
        hello, record, at_s = _find(file, circuit, at)
    names = [entry["id"] for entry in record["circuits"]]
    if circuit not in names:
        raise click.ClickException(f"{circuit}: is no circuit here; there are {', '.join(names)}")
    why = explain(hello, record, circuit)
    if as_json:
        click.echo(json.dumps({**asdict(why), "at_s": at_s, "wall_s": record["wall_s"]}))
        return
    if record["shadow"]:
        click.echo("In shadow; nothing is written, and this is how the house would be:")
    if at_s is not None:
        click.echo(f"{at_s:.1f} s after the start of {file}:")
    click.echo(sentence(why))


def _find(file: Path, circuit: str, at: float | None) -> tuple[HelloRecord, CycleRecord, float]:
    """The panel's facts, the cycle that is asked about, and when it was (s after the start)."""
    recording = read_recording(file)
    first_ns, found = None, None
    for record in recording.records:
        first_ns = record["t_ns"] if first_ns is None else first_ns
        at_s = (record["t_ns"] - first_ns) / 1e9
        if at is not None:
            if at_s > at and found is not None:
                break
            found = (record, at_s)
        elif found is None or _off(record, circuit) or not _off(found[0], circuit):
            found = (record, at_s)
    if found is None:
        raise click.ClickException(f"{file} holds no cycle")
    return recording.hello, found[0], found[1]


def _off(record: CycleRecord, circuit: str) -> bool:
    return any(entry["id"] == circuit and entry.get("claims") for entry in record["circuits"])
