"""`panelctl status`: what the controller is doing now."""

from __future__ import annotations

import json
from pathlib import Path

import click

from panelctl.cli.options import json_option, socket_option
from panelctl.link.client import ControlClient

RECORDS_HZ = 10  # no more are published
FRAMES = 5  # a second, on a terminal


@click.command("status", epilog="Example: panelctl status --watch")
@socket_option
@json_option
@click.option("--watch", is_flag=True, help="Go on until Ctrl-C.")
def command(socket_path: Path, as_json: bool, watch: bool) -> None:
    """Show legs against limit, the compute budget, and every circuit with its reason.

    With --json the CycleRecord itself; with --watch one line for each.
    """
    with ControlClient(socket_path) as client:
        if not watch:
            record = client.status()
            if as_json:
                click.echo(json.dumps(record))
                return
            from rich.console import Console

            from panelctl.cli.view import PanelView

            view = PanelView(client.hello)
            view.remember(record, 0.0)
            Console().print(view.render(record))
            return
        try:
            if as_json:
                for record in client.watch():
                    click.echo(json.dumps(record))
            else:
                _follow(client)
        except KeyboardInterrupt:
            pass


def _follow(client: ControlClient) -> None:
    from rich.live import Live

    from panelctl.cli.view import PanelView

    view = PanelView(client.hello, "Ctrl-C ends the view, not the controller.")
    first_ns = None
    with Live(screen=True, auto_refresh=False) as live:
        every = max(1, round(min(client.hello["rate_hz"], RECORDS_HZ) / FRAMES))
        for record in client.watch():
            first_ns = first_ns or record["t_ns"]
            view.remember(record, (record["t_ns"] - first_ns) / 1e9)
            if record["seq"] % every == 0:
                live.update(view.render(record), refresh=True)
