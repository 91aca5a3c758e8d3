"""Starting the web face of `panelctl serve`: the address, the server, the announcement."""

from __future__ import annotations

import ipaddress
import logging
import socket
from pathlib import Path

import click
import uvicorn

from panelctl.services.discovery import announce, services
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
    config = uvicorn.Config(
        Face(gateway, access).app(),
        host,
        port,
        log_level="warning",
        lifespan="off",
        limit_concurrency=64,
    )
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]  # ours are in place
    announced = None
    if mdns and access is not None:
        addresses = [host] if not _is_any(host) else local_addresses()
        infos = services(access.root, access.name, addresses, port, access.tls_port)
        try:
            announced = await announce(infos, addresses)
        except OSError as error:  # a network that is not up yet is no reason to serve nobody
            LOG.warning("the panel is not announced: %s", error)
    try:
        await server.serve()
    finally:
        if announced is not None:
            await announced.async_close()


def _is_any(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def local_addresses() -> list[str]:
    """This machine's IPv4 addresses, loopback last."""
    found = {
        str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
    }
    outside = {address for address in found if not address.startswith("127.")}
    return sorted(outside or found, key=lambda address: (address.startswith("127."), address)) or [
        "127.0.0.1"
    ]
