"""`panelctl config schema`: the JSON Schema of the panel file, for editors and tools."""

from __future__ import annotations

import json

import click


@click.group("config")
def command() -> None:
    """About the panel file."""


@command.command("schema", epilog="Example: panelctl config schema > panel.schema.json")
def schema() -> None:
    """Print the panel file's JSON Schema.

    Editors use it through a first line `#:schema panel.schema.json` in the panel file.
    """
    from panelctl.config.load import schema as panel_schema

    click.echo(json.dumps(panel_schema(), indent=2))
