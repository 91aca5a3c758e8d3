"""`panelctl tier`: move a circuit to another tier."""

from __future__ import annotations

from pathlib import Path

import click

from panelctl.cli.options import json_option, socket_option
from panelctl.cli.order import new_id, send
from panelctl.model.command import SetTier


@click.command("tier", epilog="Example: panelctl tier dryer 6")
@click.argument("circuit")
@click.argument("tier", type=click.IntRange(0, 99))
@socket_option
@json_option
def command(circuit: str, tier: int, socket_path: Path, as_json: bool) -> None:
    """Move CIRCUIT to TIER, over restarts too, until the panel file gives it another one.

    The largest tier is shed first.
    """
    done = f"{circuit} now stands on tier {tier}"
    send(socket_path, SetTier(new_id(), circuit, tier), done, as_json)
