"""`panelctl serve`: the gateway services, which carry the controller's records to others."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import click

from panelctl.cli.logs import log_option, log_to_stderr
from panelctl.cli.options import socket_option


@click.command(
    "serve",
    epilog="Example: panelctl serve --broker mqtt://127.0.0.1:1883 --user panelctl "
    "--password-file /etc/panelctl/mqtt/panelctl.password",
)
@click.option(
    "--broker",
    "broker_url",
    default="mqtt://127.0.0.1:1883",
    show_default=True,
    help="mqtt://HOST:PORT, or mqtts:// with TLS.",
)
@click.option("--user", default="", help="Our name at the broker.")
@click.option(
    "--password-file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="A file whose first line is our password there.",
)
@click.option(
    "--ca",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="The CA that signed the broker's certificate (mqtts).",
)
@click.option("--hass/--no-hass", default=True, help="Home Assistant's discovery.")
@click.option("--listen", default="", help="HOST:PORT of the web face: REST and /metrics.")
@click.option(
    "--listen-tls", default="", help="The same with TLS, and the certificate of --access."
)
@click.option(
    "--access",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder of `panelctl mqtt setup`; needed to register clients.",
)
@click.option("--mdns", is_flag=True, help="Announce the panel on the local network.")
@log_option
@socket_option
def command(
    broker_url: str,
    user: str,
    password_file: Path | None,
    ca: Path | None,
    hass: bool,
    listen: str,
    listen_tls: str,
    folder: Path | None,
    mdns: bool,
    log_form: str,
    socket_path: Path,
) -> None:
    """Publish the panel over MQTT (eBus and Home Assistant), until SIGTERM or Ctrl-C.

    It may be stopped and started at any time; the controller does not notice. Commands that come
    over the broker are judged by the controller like any others.
    """
    from panelctl.cli.broker import read_broker, wait_for_hello
    from panelctl.clock import wall_s
    from panelctl.services.gateway import Gateway, refuse_shadow
    from panelctl.services.homie import homie_id

    log_to_stderr(log_form)
    broker = read_broker(broker_url, user, password_file, ca)
    broker.context()  # a wrong CA file is told at once
    hello = wait_for_hello(socket_path)
    refuse_shadow(hello)
    root = homie_id(str(hello["serial"]))
    gateway = Gateway(socket_path, broker, root, hass, int(wall_s() * 1000))

    async def serve() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        tasks = [asyncio.create_task(gateway.run())]
        if listen or listen_tls:
            from panelctl.cli.webface import face

            tasks.append(asyncio.create_task(face(gateway, listen, listen_tls, folder, mdns)))
        ended = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait([*tasks, ended], return_when=asyncio.FIRST_COMPLETED)
        for task in (*tasks, ended):
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        if ended not in done:
            raise _first(results)

    asyncio.run(serve())


def _first(results: list[BaseException | None]) -> BaseException:
    """What ended one of the tasks; that the others were cancelled is not it."""
    for error in results:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if error is not None and not isinstance(error, asyncio.CancelledError):
            return error
    return RuntimeError("a service ended without a reason")
