"""`panelctl mqtt`: a broker's files for this panel, and who may use it."""

from __future__ import annotations

import ipaddress
import json
import re
import secrets
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from panelctl.cli.options import json_option
from panelctl.errors import ServiceError

HOST_NAME = re.compile(r"(?=.{1,63}$)[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")


def _folder(function: Any) -> Any:
    return click.option(
        "--folder",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("/etc/panelctl/mqtt"),
        show_default=True,
        help="Where the broker's files lie.",
    )(function)


@click.group("mqtt", epilog="Example: panelctl mqtt setup --serial home-0001")
def command() -> None:
    """A broker for this panel: its files, and clients with roles.

    reader sees everything, owner may also set relays, priorities, limits and charging, installer
    all that can be set. Whoever is not named is refused.
    """


@command.command("setup", epilog="Example: panelctl mqtt setup --serial home-0001")
@click.option("--serial", help="The panel's serial number, as in its file.")
@click.option("--name", help="The host's name; panelctl-SERIAL.local without it.")
@click.option(
    "--address",
    "addresses",
    multiple=True,
    help="An IP address of the host; all that it has without it.",
)
@click.option("--host", help="Where TLS listens; 127.0.0.1 without it.")
@click.option("--port", type=int, help="Plain, on loopback only; 1883 without it.")
@click.option("--tls-port", type=int, help="8883 without it.")
@_folder
@json_option
def make(
    serial: str | None,
    name: str | None,
    addresses: tuple[str, ...],
    host: str | None,
    port: int | None,
    tls_port: int | None,
    folder: Path,
    as_json: bool,
) -> None:
    """Write mosquitto.conf, a CA and certificate, passwords and the ACL; keep what is there.

    Once more without options renews a certificate that ends within a month, and changes nothing
    else: what is not given stays as it was.

    The publisher's password is in FOLDER/panelctl.password, the passphrase with which clients
    register in FOLDER/passphrase.
    """
    from panelctl.files import PRIVATE, PUBLIC, put
    from panelctl.services.access import Clients, Role, broker_file, reload_broker
    from panelctl.services.certificates import Files, ensure
    from panelctl.services.discovery import local_addresses

    asked: dict[str, Any] = {"name": name, "host": host, "port": port, "tls_port": tls_port}
    asked["addresses"] = list(addresses) or None
    setup = _setup(_before(folder), serial, asked)
    root, host_name, port = setup["root"], setup["name"], setup["port"]
    try:
        _for_broker(folder)
    except OSError as error:
        raise ServiceError(f"{folder}: {error}") from None
    own = setup["addresses"] or local_addresses()  # not given: whatever it has now
    new = ensure(Files(folder), host_name, sorted({"127.0.0.1", *own}))
    secret = folder / "panelctl.password"
    try:
        clients = Clients(folder, root)
        if not secret.exists() or not any(c.role is Role.PUBLISHER for c in clients.all()):
            put(secret, clients.add("panelctl", Role.PUBLISHER).encode() + b"\n", PRIVATE)
        else:
            clients.write()
        conf = broker_file(folder.resolve(), port, setup["tls_port"], setup["host"]).encode()
        place = folder / "mosquitto.conf"
        restart = place.exists() and place.read_bytes() != conf
        put(place, conf, PUBLIC)
        put(folder / "setup.json", json.dumps(setup).encode(), PUBLIC)
        if not (folder / "passphrase").exists():
            passphrase = secrets.token_urlsafe(12).encode()
            put(folder / "passphrase", passphrase + b"\n", PRIVATE)
    except OSError as error:
        raise ServiceError(f"{folder}: {error}") from None
    told = new and reload_broker(folder)
    if as_json:
        plain = {"folder": str(folder), "name": host_name, "root": root, "restart_broker": restart}
        click.echo(json.dumps({**plain, "new_certificate": new, "broker_told": told}))
        return
    made = "made" if new else "kept"
    click.echo(
        f"{folder}: certificate for {host_name} {made}. {_told(told) if new else ''}".rstrip()
    )
    if restart:
        click.echo("  What the broker listens on has changed: start it again.")
    click.echo(
        f"  mosquitto -c {folder}/mosquitto.conf\n"
        f"  panelctl serve --broker mqtt://127.0.0.1:{port} --user panelctl "
        f"--password-file {secret}"
    )


def _setup(before: dict[str, Any], serial: str | None, asked: dict[str, Any]) -> dict[str, Any]:
    """What is set up: as asked, else as before, else as usual. Raises UsageError, ServiceError."""
    from panelctl.services.homie import homie_id

    if serial is None and "root" not in before:
        raise click.UsageError("--serial is needed the first time")
    root = homie_id(serial) if serial else str(before["root"])
    if root != before.get("root"):
        before.pop("name", None)  # it may be made of the old one
    usual = {"name": f"panelctl-{root}.local", "host": "127.0.0.1", "port": 1883, "tls_port": 8883}
    given = {key: value for key, value in asked.items() if value is not None}
    setup = {"addresses": [], **usual, **before, **given, "root": root}
    _check(setup)
    return setup


def _before(folder: Path) -> dict[str, Any]:
    """What an earlier setup was given; empty where there was none. Raises ServiceError."""
    path = folder / "setup.json"
    if not path.exists():
        return {}
    try:
        plain = json.loads(path.read_text("utf-8"))
        kinds = {"root": str, "name": str, "host": str, "port": int, "tls_port": int}
        known = {key: plain[key] for key, kind in kinds.items() if isinstance(plain.get(key), kind)}
        addresses = [str(address) for address in plain.get("addresses", [])]
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ServiceError(f"{path}: {error}; take it away to begin anew") from None
    return {**known, "addresses": addresses}


def _check(setup: dict[str, Any]) -> None:
    """Refuse what would not be one word of mosquitto's file. Raises click.UsageError."""
    try:
        for address in (setup["host"], *setup["addresses"]):
            ipaddress.ip_address(address)
    except ValueError as error:
        raise click.UsageError(f"{error}: --host and --address are IP addresses") from None
    ports = (setup["port"], setup["tls_port"])
    if not all(0 < port < 65536 for port in ports) or ports[0] == ports[1]:
        raise click.UsageError(f"{ports[0]} and {ports[1]}: two ports from 1 to 65535 are needed")
    if not HOST_NAME.fullmatch(setup["name"]):
        raise click.UsageError(f"{setup['name']!r}: --name is a host's name, as panel.local")


def _for_broker(folder: Path) -> None:
    """Let mosquitto's group read what it needs, and write the number of its process. A folder with
    other things in it stays as it is.
    """
    run = folder / "run"
    ours = not folder.exists() or (folder / "setup.json").exists() or not any(folder.iterdir())
    run.mkdir(parents=True, exist_ok=True)
    for place, mode in ((folder, 0o750), (run, 0o770)) if ours else ((run, 0o770),):
        with suppress(LookupError, PermissionError):  # no such group, or not ours to give
            shutil.chown(place, group="mosquitto")
        place.chmod(mode)


def _clients(folder: Path) -> Any:
    from panelctl.services.access import Clients

    try:
        root = str(json.loads((folder / "setup.json").read_text("utf-8"))["root"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ServiceError(f"{folder}: run `panelctl mqtt setup` first ({error})") from None
    return Clients(folder, root)


def _told(told: bool) -> str:
    if told:
        return "The broker has been told."
    return "No broker was told: it does not run, or send it SIGHUP yourself."


@command.command("acl", epilog="Example: panelctl mqtt acl")
@_folder
def show_acl(folder: Path) -> None:
    """Print the broker's access rules as they follow from the clients."""
    click.echo((folder / "acl").read_text("utf-8") if _clients(folder).all() else "", nl=False)


@command.command("add", epilog="Example: panelctl mqtt add homeassistant --role owner")
@click.argument("name")
@click.option("--role", type=click.Choice(["reader", "owner", "installer"]), default="reader")
@_folder
@json_option
def add(name: str, role: str, folder: Path, as_json: bool) -> None:
    """Add a client, or give it a new password, which is printed once and kept nowhere."""
    from panelctl.services.access import Role

    known = _clients(folder)
    password = known.add(name, Role(role))
    if as_json:
        told = {"name": name, "role": role, "password": password, "broker_told": known.told}
        click.echo(json.dumps(told))
    else:
        click.echo(f"{name} ({role}): {password}\n{_told(known.told)}")


@command.command("revoke", epilog="Example: panelctl mqtt revoke old-tablet")
@click.argument("name")
@_folder
def revoke(name: str, folder: Path) -> None:
    """Take a client's access away."""
    known = _clients(folder)
    known.revoke(name)
    click.echo(f"{name} is revoked. {_told(known.told)}")


@command.command("clients", epilog="Example: panelctl mqtt clients --json")
@_folder
@json_option
def clients(folder: Path, as_json: bool) -> None:
    """Who may use the broker."""
    all_of = _clients(folder).all()
    if as_json:
        click.echo(json.dumps([{"name": c.name, "role": c.role.value} for c in all_of]))
        return
    for client in all_of:
        click.echo(f"{client.name:<24} {client.role.value}")
