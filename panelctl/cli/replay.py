"""`panelctl replay`: decide a recording again, and see whether the same comes out."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from panelctl.cli.options import json_option


@click.command("replay", epilog="Example: panelctl replay evening.jsonl.gz")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Decide with this panel file instead of the recorded one.",
)
@json_option
def command(file: Path, config: Path | None, as_json: bool) -> None:
    """Decide every recorded cycle again from its readings and commands, and compare to the bit.

    The recording has to begin with the controller's first cycle, or be a case (`panelctl case`).
    Code 1 when something differs: another version of panelctl, or (with --config) another panel
    file decides otherwise.
    """
    from panelctl.config.load import parse_panel, read_panel
    from panelctl.control.replay import replay
    from panelctl.link.recording import read_recording

    recording = read_recording(file)
    if config is None:
        panel = parse_panel(recording.hello["config"], f"panel file in {file}")
    else:
        panel = read_panel(config)
    result = replay(panel, recording)
    if as_json:
        click.echo(json.dumps(asdict(result)))
    elif result.difference is None:
        click.echo(f"{result.cycles} cycles decided again: all the same, to the bit")
    else:
        first = result.difference
        click.echo(
            f"record {first.seq} comes out otherwise in {first.key}:\n"
            f"  recorded {json.dumps(first.recorded)[:600]}\n"
            f"  replayed {json.dumps(first.replayed)[:600]}"
        )
    if result.difference is not None:
        raise SystemExit(1)
