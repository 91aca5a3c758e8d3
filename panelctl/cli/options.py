"""Options that several verbs share, and where the control socket is by default."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

RUNTIME = Path("/run/panelctl")


def default_socket() -> Path:
    """$PANELCTL_SOCKET, or the socket of the service."""
    return Path(os.environ.get("PANELCTL_SOCKET", RUNTIME / "control.sock"))


def socket_option(function: Any) -> Any:
    """--socket"""
    return click.option(
        "--socket",
        "socket_path",
        type=click.Path(path_type=Path),
        default=default_socket,
        show_default="$PANELCTL_SOCKET or /run/panelctl/control.sock",
        help="The controller's control socket.",
    )(function)


def json_option(function: Any) -> Any:
    """--json"""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)


def split_links(pairs: tuple[str, ...]) -> dict[str, str]:
    """`name=url` pairs as a dict. Raises click.BadParameter."""
    links = {}
    for pair in pairs:
        name, equals, url = pair.partition("=")
        if not equals or not name or not url:
            raise click.BadParameter(f"{pair!r}: write NAME=URL", param_hint="--link")
        links[name] = url
    return links
