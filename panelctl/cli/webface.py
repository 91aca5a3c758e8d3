"""Starting the web face of `panelctl serve`: addresses, servers, certificate, announcement."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from contextlib import suppress
from pathlib import Path

import click
import uvicorn

from panelctl.cli.connections import BoundedListener, TimedProtocol
from panelctl.errors import ServiceError
from panelctl.services.certificates import Files
from panelctl.services.discovery import announce, local_addresses, services
from panelctl.services.gateway import Gateway
from panelctl.services.web import Access, RestApi

RENEWED_S = 60.0  # how often the certificate is read again: there may be a new one


def split_address(text: str, option: str) -> tuple[str, int]:
    """HOST:PORT. Raises click.BadParameter."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 <= int(port) < 65536:
        raise click.BadParameter(f"{text!r}: write HOST:PORT", param_hint=option)
    return host.strip("[]"), int(port)


async def face(
    gateway: Gateway, listen: str, listen_tls: str, folder: Path | None, mdns: bool
) -> None:
    """Serve until cancelled, at one HOST:PORT or at both. Raises ServiceError."""
    access = Access.read(folder) if folder is not None else None
    if access is not None and access.root != gateway.root:
        raise ServiceError(
            f"{folder} is of the panel {access.root}, and this one is {gateway.root}: "
            "run `panelctl mqtt setup --serial` with its serial number"
        )
    if listen_tls and folder is None:
        raise ServiceError("--listen-tls needs --access: the certificate is in that folder")
    app = RestApi(gateway, access).app()
    made = [
        _server(app, text, option, files)
        for text, option, files in (
            (listen, "--listen", None),
            (listen_tls, "--listen-tls", Files(folder) if folder is not None else None),
        )
        if text
    ]
    announced = None
    if mdns and access is not None:
        host, port = split_address(listen or listen_tls, "--listen")
        https = split_address(listen_tls, "--listen-tls")[1] if listen_tls else None
        own = local_addresses() if _is_any(host) else [host]
        infos = services(access.root, access.name, own, port, access.tls_port, https)
        announced = await announce(infos, own)
    try:
        async with asyncio.TaskGroup() as group:
            for server, listening in made:
                group.create_task(server.serve([listening]))
                if server.config.ssl is not None:
                    group.create_task(_take_renewed(server.config))
    finally:
        if announced is not None:
            await announced.async_close()


def _server(
    app: object, text: str, option: str, files: Files | None
) -> tuple[uvicorn.Server, socket.socket]:
    """A server and the socket that it listens on; with `files` it speaks TLS."""
    host, port = split_address(text, option)
    try:
        listening = BoundedListener(socket.create_server((host, port), family=_family(host)))
    except OSError as error:
        raise ServiceError(f"{option} {text}: {error}") from None
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]  # an ASGI application
        host,
        port,
        http=TimedProtocol,
        log_level="warning",
        log_config=None,
        lifespan="off",
        ssl_certfile=files.server if files is not None else None,
        ssl_keyfile=files.server_key if files is not None else None,
    )
    try:
        config.load()
    except OSError as error:  # ssl.SSLError is one
        raise ServiceError(f"{option} {text}: the certificate cannot be used: {error}") from None
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]  # ours are in place
    return server, listening


async def _take_renewed(config: uvicorn.Config) -> None:
    """Show a new certificate to who connects, once there is one."""
    assert config.ssl is not None
    assert config.ssl_certfile is not None
    while True:
        await asyncio.sleep(RENEWED_S)
        with suppress(OSError):  # it is being written: the next time is soon enough
            config.ssl.load_cert_chain(config.ssl_certfile, config.ssl_keyfile)


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _is_any(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
