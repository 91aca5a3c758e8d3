"""`panelctl relay`: open or close a circuit as its user."""

from __future__ import annotations

from pathlib import Path

import click

from panelctl.cli.options import json_option, socket_option
from panelctl.cli.order import new_id, send
from panelctl.model.command import CloseRelay, OpenRelay


@click.group("relay", epilog="Example: panelctl relay open dryer")
def command() -> None:
    """Open a managed circuit, or take back your own claim on it.

    A circuit closes when nobody claims it open any more and there is room for it.
    """


@command.command("open", epilog="Example: panelctl relay open dryer")
@click.argument("circuit")
@socket_option
@json_option
def open_(circuit: str, socket_path: Path, as_json: bool) -> None:
    """Open CIRCUIT until you close it."""
    done = f"{circuit} is ordered open; `panelctl status` shows its relay"
    send(socket_path, OpenRelay(new_id(), circuit), done, as_json)


@command.command("close", epilog="Example: panelctl relay close dryer")
@click.argument("circuit")
@socket_option
@json_option
def close(circuit: str, socket_path: Path, as_json: bool) -> None:
    """Take back your claim on CIRCUIT."""
    done = f"{circuit}: your claim is taken back; it closes when there is room for it"
    send(socket_path, CloseRelay(new_id(), circuit), done, as_json)
