"""`panelctl record`: every cycle into a file that can be looked at and replayed."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from panelctl.cli.demo import seconds
from panelctl.cli.options import json_option, socket_option
from panelctl.errors import SocketError
from panelctl.link.client import ControlClient
from panelctl.link.recording import header, line_of, open_recording

POLL_S = 0.005  # a controller has read its meters for the first time after some 50 ms


@click.command("record", epilog="Example: panelctl record evening.jsonl.gz --for 10m")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--for", "duration", default="", help="Stop after this long (60s, 10m).")
@click.option(
    "--wait", is_flag=True, help="Wait for the controller, to have it from its first cycle on."
)
@socket_option
@json_option
def command(file: Path, duration: str, wait: bool, socket_path: Path, as_json: bool) -> None:
    """Record every CycleRecord into FILE until Ctrl-C. With .gz it is compressed.

    An existing file is never replaced. What was written stays when the controller or the disk
    ends it early. One from the controller's first cycle on (start it after `record --wait`) can be
    decided again by `panelctl replay`.
    """
    end_s = time.monotonic() + seconds(duration) if duration else None
    records, cycles, problem = 0, 0, ""
    with _client(socket_path, wait) as client:
        try:
            recording = open_recording(file)
        except OSError as error:
            raise click.ClickException(f"{file} cannot be made: {error}") from None
        try:
            with recording:
                recording.write(header(client.hello))
                for record in client.watch():
                    recording.write(line_of(record))
                    records, cycles = records + 1, cycles + len(record["decisions"])
                    if end_s is not None and time.monotonic() >= end_s:
                        break
        except KeyboardInterrupt:
            pass
        except (SocketError, OSError) as error:
            problem = str(error)
    if as_json:
        click.echo(
            json.dumps(
                {"file": str(file), "records": records, "cycles": cycles, "problem": problem}
            )
        )
    else:
        click.echo(f"{cycles} cycles in {file}")
    if problem:
        raise click.ClickException(problem)


def _client(socket_path: Path, wait: bool) -> ControlClient:
    """A connection to the controller; `wait`: as soon as there is one."""
    import select

    while True:
        try:
            return ControlClient(socket_path)
        except SocketError:
            if not wait:
                raise
            select.select([], [], [], POLL_S)  # before its socket exists there is no event
