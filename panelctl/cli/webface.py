"""Starting the web face of `panelctl serve`: the address, the server, the announcement."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path

import click
import uvicorn

from panelctl.errors import ServiceError
from panelctl.services.discovery import announce, local_addresses
from panelctl.services.gateway import Gateway
from panelctl.services.web import Access, Face


def split_address(text: str) -> tuple[str, int]:
    """HOST:PORT. Raises click.BadParameter."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 <= int(port) < 65536:
        raise click.BadParameter(f"{text!r}: write HOST:PORT", param_hint="--listen")
    return host.strip("[]"), int(port)


async def face(gateway: Gateway, listen: str, folder: Path | None, mdns: bool) -> None:
    """Serve until cancelled. Raises ServiceError."""
    host, port = split_address(listen)
    access = Access.read(folder) if folder is not None else None
    if access is not None and access.root != gateway.root:
        raise ServiceError(
            f"{folder} is of the panel {access.root}, and this one is {gateway.root}: "
            "run `panelctl mqtt setup --serial` with its serial number"
        )
    try:
        listening = socket.create_server((host, port), family=_family(host))
    except OSError as error:
        raise ServiceError(f"--listen {listen}: {error}") from None
    config = uvicorn.Config(
        Face(gateway, access).app(),
        host,
        port,
        log_level="warning",
        log_config=None,
        lifespan="off",
        limit_concurrency=64,
    )
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]  # ours are in place
    announced = None
    if mdns and access is not None:
        own = local_addresses() if _is_any(host) else [host]
        announced = await announce(access.root, access.name, own, port, access.tls_port)
    try:
        await server.serve([listening])
    finally:
        if announced is not None:
            await announced.async_close()


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _is_any(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
