"""`panelctl grid`: tell the controller whether the panel is on the grid."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from panelctl.cli.options import json_option, socket_option
from panelctl.cli.order import new_id, send
from panelctl.model.command import Grid


@click.command("grid", epilog="Example: panelctl grid off --soc 48")
@click.argument("state", type=click.Choice(["on", "off"]))
@click.option("--soc", type=click.FloatRange(0, 100), help="The battery's state of charge, %.")
@socket_option
@json_option
def command(
    state: Literal["on", "off"], soc: float | None, socket_path: Path, as_json: bool
) -> None:
    """Put the panel on the grid, or off it: then the inverter's limit holds, and a battery below
    49 % sheds the circuits of the backup's shed tier and later until it has 51 %.
    """
    done = "the panel is on the grid" if state == "on" else "the panel is off the grid"
    send(socket_path, Grid(new_id(), state == "off", soc), done, as_json)
