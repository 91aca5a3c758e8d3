"""The verbs that send one command to the controller, made of the table of commands."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from panelctl.cli.options import json_option, socket_option
from panelctl.errors import SocketError
from panelctl.link.client import ControlClient
from panelctl.model.command import COMMANDS, Command, Entry, command_from_plain
from panelctl.model.keys import Flag, Key, Number, Text, Whole, Windows

SHADOW = "in shadow: nothing is written to any device"
NONE = "none"  # takes back what was asked for
GROUPS = {
    "fault": "Say that you have looked at a fault.\n\n"
    "`panelctl status` shows them; what they mean is in docs/reference/faults.md.",
    "relay": "Open a managed circuit, or take back your own claim on it.\n\n"
    "A circuit closes when nobody claims it open any more and there is room for it.",
}


class NumberOrNone(click.ParamType[Any]):
    """A number, or the word that takes it back."""

    def __init__(self, unit: str) -> None:
        self.name = unit

    def convert(self, value: Any, param: Any, ctx: Any) -> float | None:
        """The number; None for the word."""
        if value is None or value == NONE:
            return None
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r}: write {self.name}, or {NONE}", param, ctx)


def new_id() -> str:
    """An id for a command."""
    return f"cli-{secrets.token_hex(4)}"


def verb(name: str) -> click.Command:
    """The verb, or the group of verbs, of that name. Raises KeyError."""
    if name not in GROUPS:
        return _verb(next(entry for entry in COMMANDS if entry.verb == name))
    mine = [entry for entry in COMMANDS if entry.verb.startswith(f"{name} ")]
    group = click.Group(name, help=GROUPS[name], epilog=_example(mine[0]))
    for entry in mine:
        group.add_command(_verb(entry))
    return group


def _example(entry: Entry) -> str:
    return f"Example: panelctl {entry.verb} {entry.example}"


def _verb(entry: Entry) -> click.Command:
    def callback(socket_path: Path, as_json: bool, **values: Any) -> None:
        plain = {"do": entry.do, "id": new_id(), **values}
        for name, key in entry.keys.items():
            if isinstance(key, Flag):
                plain[name] = values[name] == key.yes
            elif isinstance(key, Windows):
                plain[name] = _from_file(plain.pop("file"))
        try:
            order = command_from_plain(plain)
        except SocketError as error:
            raise click.UsageError(str(error)) from None
        send(socket_path, order, _said(entry, values, plain), as_json)

    made = click.Command(
        entry.verb.rpartition(" ")[2],
        params=[_parameter(name, key) for name, key in entry.keys.items()],
        callback=callback,
        help=entry.long,
        short_help=entry.short,
        epilog=_example(entry),
    )
    with_options: click.Command = socket_option(json_option(made))
    return with_options


def _parameter(name: str, key: Key) -> click.Parameter:
    if isinstance(key, Windows):
        path = click.Path(path_type=Path, exists=True, dir_okay=False)
        return click.Argument(["file"], type=path)
    if not key.option:
        return click.Argument([name], type=_type(key))
    given: dict[str, Any] = {"required": key.needed}
    if key.default is not None:
        given = {"default": key.default, "show_default": True}
    return click.Option([key.option, name], type=_type(key), help=key.help, **given)


def _type(key: Text | Number | Whole | Flag) -> click.ParamType[Any]:
    match key:
        case Text():
            return click.STRING
        case Number() if key.null and not key.option:
            return NumberOrNone(key.unit)
        case Number():
            return click.FloatRange(key.low, key.high)
        case Whole():
            return click.IntRange(key.low, key.high)
        case Flag():
            return click.Choice([key.no, key.yes])


def _from_file(file: Path) -> object:
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{file}: {error}") from None


def _said(entry: Entry, values: Mapping[str, Any], plain: Mapping[str, Any]) -> str:
    taken_back = any(
        plain[name] is None
        for name, key in entry.keys.items()
        if isinstance(key, Number) and key.null and not key.option
    ) or any(plain[name] == [] for name, key in entry.keys.items() if isinstance(key, Windows))
    words = {
        name: len(plain[name]) if isinstance(key, Windows) else values[name]
        for name, key in entry.keys.items()
    }
    return (entry.undone if taken_back else entry.done).format(**words)


def send(socket_path: Path, order: Command, done: str, as_json: bool) -> None:
    """Send `order`; say `done` or why not. Exit code 1 when it was refused."""
    with ControlClient(socket_path) as client:
        verdict = client.command(order)
        shadow = client.hello["shadow"]
    if as_json:
        click.echo(json.dumps({"accepted": verdict.accepted, "why": verdict.why, "shadow": shadow}))
    elif verdict.accepted:
        click.echo(f"{done} ({SHADOW})" if shadow else done)
    else:
        click.echo(f"refused: {verdict.why}", err=True)
    if not verdict.accepted:
        raise SystemExit(1)
