"""Starting the web face of `panelctl serve`: the address, the server, the announcement."""

from __future__ import annotations

import ipaddress
import logging
import socket
from pathlib import Path

import click
import uvicorn
from zeroconf import Error as ZeroconfError
from zeroconf.asyncio import AsyncZeroconf

from panelctl.errors import ServiceError
from panelctl.services.discovery import announce, local_addresses, services
from panelctl.services.gateway import Gateway
from panelctl.services.web import Access, Face

LOG = logging.getLogger("panelctl.web")


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
    announced = await _announce(access, host, port) if mdns and access is not None else None
    try:
        await server.serve([listening])
    finally:
        if announced is not None:
            await announced.async_close()


async def _announce(access: Access, host: str, port: int) -> AsyncZeroconf | None:
    """Announce the panel; a network that is not up, or has the name already, is no reason to serve
    nobody.
    """
    addresses = local_addresses() if _is_any(host) else [host]
    try:
        infos = services(access.root, access.name, addresses, port, access.tls_port)
        return await announce(infos, addresses)
    except (OSError, ValueError, ZeroconfError) as error:
        LOG.warning("the panel is not announced: %s: %s", type(error).__name__, error)
        return None


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _is_any(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
