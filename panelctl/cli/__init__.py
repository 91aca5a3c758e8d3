"""The door: one file per verb, each imported only when it is used. The verbs that send a command
are made of the table of commands, in one file.
"""

from __future__ import annotations

import importlib
from typing import Any

import click

from panelctl import __version__
from panelctl.model.command import COMMANDS

ORDERS = {entry.verb.partition(" ")[0] for entry in COMMANDS}

VERBS = {
    "run": "Run the controller of a panel.",
    "shadow": "What a controller that writes nothing would have done.",
    "check": "Check a panel file and print its bus plan.",
    "config": "The panel file's JSON Schema.",
    "maps": "Register maps: list, show, lint, decode.",
    "probe": "Who is on a link, and how it wants to be asked.",
    "read": "What a device says now.",
    "dump": "A device's registers as a file to send in.",
    "serve": "Carry the panel to MQTT: eBus and Home Assistant.",
    "mqtt": "A broker's files for this panel, and who may use it.",
    "demo": "A simulated panel with the real controller, and a live view.",
    "sim": "A simulated panel alone, on real ptys and sockets.",
    "status": "What the controller is doing now.",
    "devices": "Links and devices: which answer, how fast, what is wrong.",
    "relay": "Open or close a circuit as its user.",
    "fault": "Say that you have looked at a fault.",
    **{entry.verb: entry.short for entry in COMMANDS if " " not in entry.verb},
    "record": "Record every cycle into a file.",
    "report": "A recording as a whole, in numbers.",
    "case": "A part of a recording as a test that says nothing of whose it is.",
    "replay": "Decide a recording again, to the bit.",
    "storm": "The whole application under faults, on simulated time.",
    "campaign": "Recorded homes under panelctl and under what others do.",
    "explain": "Why a circuit is off, now or in a recording.",
}


class LazyGroup(click.Group):
    """Loads a verb's module when the verb is called, and not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs, in the order in which a newcomer meets them."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb of that name."""
        if cmd_name not in VERBS:
            return None
        if cmd_name in ORDERS:
            from panelctl.cli.order import verb

            return verb(cmd_name)
        module: Any = importlib.import_module(f"panelctl.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in `--help`, without importing any verb."""
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="panelctl")
def root() -> None:
    """Run a smart electrical panel: the house first, the compute node gets the rest.

    \b
    Begin here:
      panelctl demo                     a simulated panel and the real controller
      panelctl check panel.toml         is this panel file right, and does its bus plan fit?
      panelctl run --config panel.toml  the controller

    panelctl manages loads; breakers protect. It is not a listed power control system.
    """


def main() -> None:
    """The console script."""
    from panelctl.errors import PanelctlError

    try:
        root(prog_name="panelctl")
    except PanelctlError as error:
        click.echo(f"panelctl: {error}", err=True)
        raise SystemExit(2) from None
