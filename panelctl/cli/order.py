"""Sending one command over the control socket and telling the person what became of it."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import click

from panelctl.link.client import ControlClient
from panelctl.model.command import Command


def new_id() -> str:
    """An id for a command."""
    return f"cli-{secrets.token_hex(4)}"


def send(socket_path: Path, order: Command, done: str, as_json: bool) -> None:
    """Send `order`; say `done` or why not. Exit code 1 when it was refused."""
    with ControlClient(socket_path) as client:
        verdict = client.command(order)
    if as_json:
        click.echo(json.dumps({"accepted": verdict.accepted, "why": verdict.why}))
    elif verdict.accepted:
        click.echo(done)
    else:
        click.echo(f"refused: {verdict.why}", err=True)
    if not verdict.accepted:
        raise SystemExit(1)
