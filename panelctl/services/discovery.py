"""Announcing the panel on the local network (mDNS), in the words of the eBus specification and in
those that SPAN's hardware uses.
"""

from __future__ import annotations

import asyncio
import logging
import socket

import ifaddr
from zeroconf import Error as ZeroconfError
from zeroconf import ServiceInfo
from zeroconf.asyncio import AsyncZeroconf

from panelctl import __version__

LOG = logging.getLogger("panelctl.web")


def services(
    root: str,
    host: str,
    addresses: list[str],
    web_port: int,
    tls_port: int,
    https_port: int | None = None,
) -> list[ServiceInfo]:
    """What is announced: eBus, the device, its broker (`tls_port`) and its web face, on `web_port`
    and, with TLS, on `https_port`: one of them where they are the same.
    """
    packed = [socket.inet_aton(address) for address in addresses]
    ebus = {
        "txtvers": "1",
        "ebus_version": "1.0",
        "roles": "device,broker-host",
        "device_id": root,
        "device_type": "distribution-enclosure",
        "manufacturer": "panelctl",
        "name": root,
        "model": "panelctl",
        "fw_version": __version__,
        "register": "/api/v2/auth/register",
        "broker_ca": "/api/v2/certificate/ca",
        "auth_methods": "passphrase",
        "homie_domain": "ebus",
        "homie_version": "5",
        "homie_roles": "device",
        "mqtt_broker": host,
        "httpPort": str(web_port),
    }
    texts: list[tuple[str, int, dict[str, str]]] = [
        ("_ebus", web_port, ebus),
        (
            "_device-info",
            web_port,
            {
                "txtvers": "1",
                "manufacturer": "panelctl",
                "model": "panelctl",
                "serial_number": root,
            },
        ),
        (
            "_secure-mqtt",
            tls_port,
            {"txtvers": "1", "protocol": "mqtt-v5", "broker": host, "device_id": root},
        ),
    ]
    web = {"path": "/api/v2", "version": "2", "device_id": root}
    if web_port != https_port:
        texts.append(("_http", web_port, web))
    if https_port is not None:
        texts.append(("_https", https_port, web))
    return [
        ServiceInfo(
            f"{kind}._tcp.local.",
            f"{root}.{kind}._tcp.local.",
            port=port,
            addresses=packed,
            properties=text,
            server=f"{host.removesuffix('.')}.",
        )
        for kind, port, text in texts
    ]


async def announce(infos: list[ServiceInfo], addresses: list[str]) -> AsyncZeroconf | None:
    """Announce until the returned one is closed. None, and a warning, where it cannot be done: a
    network that is not up, or has the name already, is no reason to serve nobody.
    """
    zeroconf: AsyncZeroconf | None = None
    try:
        zeroconf = AsyncZeroconf(interfaces=addresses)
        # Each is asked for three times first, whether somebody has it already: side by side.
        await asyncio.gather(*(zeroconf.async_register_service(info) for info in infos))
        return zeroconf
    except (OSError, ValueError, ZeroconfError) as error:
        LOG.warning("the panel is not announced: %s: %s", type(error).__name__, error)
        if zeroconf is not None:
            await zeroconf.async_close()
        return None


def local_addresses() -> list[str]:
    """This machine's IPv4 addresses; loopback only where there is nothing else."""
    found = [
        str(ip.ip)
        for adapter in ifaddr.get_adapters()
        for ip in adapter.ips
        if isinstance(ip.ip, str) and ":" not in ip.ip
    ]
    outside = sorted(address for address in found if not address.startswith("127."))
    return outside or ["127.0.0.1"]
