"""`panelctl accept`: take the device that answers now for the right one."""

from __future__ import annotations

from pathlib import Path

import click

from panelctl.cli.options import json_option, socket_option
from panelctl.cli.order import new_id, send
from panelctl.model.command import AcceptDevice


@click.command("accept", epilog="Example: panelctl accept mains")
@click.argument("device")
@socket_option
@json_option
def command(device: str, socket_path: Path, as_json: bool) -> None:
    """Take whatever answers as DEVICE now for the right one: a meter or board was replaced.

    Until then nothing is read from it or written to it, because its serial number is not the one
    that was known. `panelctl devices` shows both.
    """
    done = f"{device}: the device that answers now is taken"
    send(socket_path, AcceptDevice(new_id(), device), done, as_json)
