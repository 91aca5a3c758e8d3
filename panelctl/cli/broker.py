"""What several verbs need of a broker: its address from the command line, and the panel's facts."""

from __future__ import annotations

import ipaddress
import select
from pathlib import Path
from urllib.parse import urlsplit

import click

from panelctl.errors import ServiceError, SocketError
from panelctl.link.client import ControlClient
from panelctl.model.record import HelloRecord
from panelctl.services.mqtt import Broker

WAIT_S = 1.0
PORTS = {"mqtt": 1883, "mqtts": 8883}


def read_broker(url: str, user: str, password_file: Path | None, ca: Path | None) -> Broker:
    """The broker of `mqtt://HOST:PORT`. Raises click.BadParameter and ServiceError."""
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS.get(parts.scheme, 0)
    except ValueError as error:
        raise click.BadParameter(f"{url!r}: {error}", param_hint="--broker") from None
    if parts.scheme not in PORTS or not parts.hostname or parts.path.strip("/"):
        raise click.BadParameter(
            f"{url!r}: write mqtt://HOST:PORT or mqtts://HOST:PORT", param_hint="--broker"
        )
    if parts.username or parts.password:
        raise click.BadParameter(
            "a password on a command line can be read by others: use --user and --password-file",
            param_hint="--broker",
        )
    if (parts.scheme == "mqtts") is not (ca is not None):
        raise click.BadParameter("mqtts:// needs --ca, and mqtt:// takes none", param_hint="--ca")
    if parts.scheme == "mqtt" and not _is_loopback(parts.hostname):
        raise click.BadParameter(
            f"{parts.hostname} is not this machine: use mqtts:// there", param_hint="--broker"
        )
    return Broker(parts.hostname, port, user, _password(password_file), ca)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _password(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        return file.read_text("utf-8").partition("\n")[0]
    except (OSError, UnicodeDecodeError) as error:
        raise ServiceError(f"{file}: {error}") from None


def wait_for_hello(socket: Path) -> HelloRecord:
    """What the controller says first, as soon as there is one."""
    told = False
    while True:
        try:
            with ControlClient(socket) as client:
                return client.hello
        except SocketError as error:
            if not told:
                click.echo(f"waiting: {error}", err=True)
                told = True
            select.select([], [], [], WAIT_S)  # before its socket exists there is no event
