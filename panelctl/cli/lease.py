"""`panelctl lease`: hand the controller a share of a transformer."""

from __future__ import annotations

from pathlib import Path

import click

from panelctl.cli.options import json_option, socket_option
from panelctl.cli.order import new_id, send
from panelctl.model.command import MAX_IMPORT_W, MAX_NUMBER, Lease


@click.command("lease", epilog="Example: panelctl lease 9000 --for-s 300 --number 17")
@click.argument("import_w", type=click.FloatRange(0, MAX_IMPORT_W))
@click.option("--for-s", type=click.FloatRange(1), required=True, help="How long it holds, in s.")
@click.option(
    "--number",
    type=click.IntRange(1, MAX_NUMBER),
    required=True,
    help="Its number: only one that is higher than the last lease's is taken.",
)
@click.option("--source", default="cli", show_default=True, help="Who set it, for the record.")
@socket_option
@json_option
def command(
    import_w: float, for_s: float, number: int, source: str, socket_path: Path, as_json: bool
) -> None:
    """Let the panel import IMPORT_W watts in all for a while; then its default holds again."""
    lease = Lease(new_id(), source, number, import_w, for_s)
    send(socket_path, lease, f"the import is leased up to {import_w:g} W for {for_s:g} s", as_json)
