"""`panelctl envelope`: hand the controller a dynamic operating envelope."""

from __future__ import annotations

import json
from pathlib import Path

import click

from panelctl.cli.options import json_option, socket_option
from panelctl.cli.order import new_id, send
from panelctl.errors import SocketError
from panelctl.model.command import Envelope, command_from_plain


@click.command("envelope", epilog="Example: panelctl envelope tonight.json --source utility")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--source", default="cli", show_default=True, help="Who set it, for the record.")
@socket_option
@json_option
def command(file: Path, source: str, socket_path: Path, as_json: bool) -> None:
    """Replace the envelope by the windows in FILE.

    FILE is a JSON list of windows in seconds from now, with limit_a (A per leg), import_w (W in
    all) or both: [{"start_s": 0, "end_s": 3600, "limit_a": 80}]. An empty one takes it all back.
    """
    try:
        windows = json.loads(file.read_bytes())
        plain = {"do": "envelope", "id": new_id(), "source": source, "windows": windows}
        envelope = command_from_plain(plain)
    except (ValueError, SocketError) as error:
        raise click.ClickException(f"{file}: {error}") from None
    assert isinstance(envelope, Envelope)
    done = f"an envelope of {len(envelope.parts)} windows is in force"
    send(socket_path, envelope, done, as_json)
