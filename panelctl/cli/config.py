"""`panelctl config schema`: the JSON Schema of the panel file, and of the controller's records."""

from __future__ import annotations

import json

import click


@click.group("config")
def command() -> None:
    """About the panel file, and the records that the controller publishes."""


@command.command("schema", epilog="Example: panelctl config schema > panel.schema.json")
@click.option("--record", is_flag=True, help="Of the control socket's messages instead.")
def schema(record: bool) -> None:
    """Print the panel file's JSON Schema.

    Editors use it through a first line `#:schema panel.schema.json` in the panel file.
    """
    if record:
        from panelctl.config.record_schema import record_schema

        made = record_schema()
    else:
        from panelctl.config.load import schema as panel_schema

        made = panel_schema()
    click.echo(json.dumps(made, indent=2))
