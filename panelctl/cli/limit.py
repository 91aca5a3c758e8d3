"""`panelctl limit`: ask for a lower import limit."""

from __future__ import annotations

from pathlib import Path

import click

from panelctl.cli.options import json_option, socket_option
from panelctl.cli.order import new_id, send
from panelctl.model.command import RequestLimit


@click.command("limit", epilog="Example: panelctl limit 80 --for-s 3600")
@click.argument("limit_a", type=str)
@click.option("--for-s", type=float, default=3600.0, show_default=True, help="How long, in s.")
@socket_option
@json_option
def command(limit_a: str, for_s: float, socket_path: Path, as_json: bool) -> None:
    """Ask for an import limit of LIMIT_A amps per leg, or take it back with `none`."""
    if limit_a == "none":
        done = "the requested limit is taken back"
        send(socket_path, RequestLimit(new_id(), None, 0.0), done, as_json)
        return
    try:
        amps = float(limit_a)
    except ValueError:
        raise click.BadParameter(f"{limit_a!r}: write amps, or none") from None
    done = f"import is limited to {amps:g} A per leg for {for_s:g} s"
    send(socket_path, RequestLimit(new_id(), amps, for_s), done, as_json)
