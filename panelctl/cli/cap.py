"""`panelctl cap`: let a modulated circuit draw less than it could, for a while."""

from __future__ import annotations

from pathlib import Path

import click

from panelctl.cli.options import json_option, socket_option
from panelctl.cli.order import new_id, send
from panelctl.model.command import Cap


@click.command("cap", epilog="Example: panelctl cap compute 6000 --for-s 3600")
@click.argument("circuit")
@click.argument("most_w", type=str)
@click.option("--for-s", type=float, default=3600.0, show_default=True, help="How long, in s.")
@socket_option
@json_option
def command(circuit: str, most_w: str, for_s: float, socket_path: Path, as_json: bool) -> None:
    """Let CIRCUIT draw at most MOST_W watts, or take that back with `none`.

    For the compute node, a charger and the like; it only ever lowers what the limits leave.
    """
    if most_w == "none":
        send(socket_path, Cap(new_id(), circuit, None, 0.0), "the cap is taken back", as_json)
        return
    try:
        watts = float(most_w)
    except ValueError:
        raise click.BadParameter(f"{most_w!r}: write watts, or none") from None
    done = f"{circuit} draws at most {watts:g} W for {for_s:g} s"
    send(socket_path, Cap(new_id(), circuit, watts, for_s), done, as_json)
