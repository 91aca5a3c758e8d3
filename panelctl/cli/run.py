"""`panelctl run`: the controller as a process. Light on imports: it runs for months."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from panelctl.cli.logs import log_option, log_to_stderr
from panelctl.cli.options import default_socket, split_links

if TYPE_CHECKING:
    from panelctl.config.child import Checked
    from panelctl.control.app import App, Places
    from panelctl.model.panel import Panel

LOG = logging.getLogger("panelctl")


@click.command("run", epilog="Example: panelctl run --config /etc/panelctl/panel.toml")
@click.option(
    "--config",
    "config",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The panel file.",
)
@click.option(
    "--socket",
    "socket_path",
    type=click.Path(path_type=Path),
    default=default_socket,
    show_default="$PANELCTL_SOCKET or /run/panelctl/control.sock",
    help="Where to listen for status readers and commands.",
)
@click.option(
    "--state",
    "state_path",
    type=click.Path(path_type=Path, file_okay=False),
    default=lambda: Path(os.environ.get("STATE_DIRECTORY", "/var/lib/panelctl")),
    show_default="$STATE_DIRECTORY or /var/lib/panelctl",
    help="Where claims, limits and what else outlives a restart are kept.",
)
@click.option(
    "--link", "links", multiple=True, metavar="NAME=URL", help="Use another URL for a link."
)
@click.option(
    "--read-only", is_flag=True, help="Watch and publish only; nothing is ever written to a device."
)
@click.option(
    "--shadow",
    is_flag=True,
    help="Decide as if everything were armed, and write nothing; see `panelctl shadow report`.",
)
@log_option
def command(
    config: Path,
    socket_path: Path,
    state_path: Path,
    links: tuple[str, ...],
    read_only: bool,
    shadow: bool,
    log_form: str,
) -> None:
    """Run the controller until SIGTERM or Ctrl-C.

    SIGHUP reads the panel file and its devices' register maps again: checked whole, then swapped
    in, or refused whole.

    It starts in HOLD, reads every relay back before it writes one, and on an orderly stop leaves
    the compute node at its floor, chargers at their fallback and relays as they are.

    With --read-only no circuit counts as armed, and the links themselves refuse to write. With
    --shadow they refuse too, but every circuit that has a relay or a set-point counts as armed, and
    what is decided is taken out of the readings: let it run for a week before you arm a panel.
    """
    log_to_stderr(log_form)
    from panelctl.config.child import read_panel_in_child
    from panelctl.control.app import Places

    if read_only and shadow:
        raise click.UsageError("--read-only and --shadow exclude each other")
    mode = "read-only" if read_only else "shadow" if shadow else ""
    urls = split_links(links)
    first = read_panel_in_child(config, urls)
    state_path = state_path / mode  # what an armed run has to remember stays as it is
    _make_folders(socket_path.parent, state_path)
    asyncio.run(_serve(first, config, urls, Places(socket_path, state_path), mode))


def _make_folders(*folders: Path) -> None:
    """The folders that a controller leaves its traces in. Raises ClickException."""
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        except OSError as error:
            raise click.ClickException(
                f"{folder} cannot be made ({error}); use --socket and --state, "
                "or let systemd make it with RuntimeDirectory= and StateDirectory="
            ) from None


async def _serve(
    first: Checked,
    config: Path,
    urls: dict[str, str],
    places: Places,
    mode: str,
) -> None:
    """Run until a signal ends it. Raises what the controller raises."""
    from panelctl.config.child import reread_panel_in_child
    from panelctl.control.alone import Alone
    from panelctl.control.app import App
    from panelctl.control.realtime import freeze_garbage, lock_memory, raise_priority
    from panelctl.control.store import StateStore
    from panelctl.control.supervisor import Supervisor
    from panelctl.field.links import open_link, open_read_only
    from panelctl.field.timing import TimerfdClock
    from panelctl.files import Writer
    from panelctl.link.watchdog import Watchdog

    clock, watchdog = TimerfdClock(), Watchdog()
    alone = Alone(places.state)
    store = StateStore(places.state, clock.boot, Writer())

    newest = first

    def make(panel: Panel, text: str) -> App:
        if mode == "read-only":
            return App(panel.disarmed(), text, places, clock, open_read_only, watchdog, store)
        if mode == "shadow":
            unfit = [str(problem) for problem in newest.if_armed]
            for problem in unfit:
                LOG.warning("armed, the panel file would be refused: %s", problem)
            armed = panel.all_armed()
            return App(armed, text, places, clock, open_read_only, watchdog, store, unfit)
        alone.claim(panel)
        alone.keep_only(panel)
        return App(panel, text, places, clock, open_link, watchdog, store)

    async def read() -> Checked:
        nonlocal newest
        checked = await reread_panel_in_child(config, urls)
        if not mode:
            alone.claim(checked.panel)  # what another controller has refuses the file
        newest = checked
        return checked

    supervisor = Supervisor(first, make, read)

    def stop() -> None:
        watchdog.stopping()
        supervisor.stop()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, supervisor.reload)
    _say_start(first.panel, places, raise_priority(), lock_memory())
    freeze_garbage()
    if mode == "shadow":
        LOG.warning("shadow: nothing is written; relays and currents are as they would be")
    await supervisor.run()
    left = "nothing was written" if mode else "modulated loads at their fallback"
    LOG.info("stopped: %s, relays as they are", left)


def _say_start(panel: Panel, places: Places, fifo: bool, locked: bool) -> None:
    LOG.info(
        "%s: %d circuits at %g Hz; SCHED_FIFO %s, memory %s; socket %s",
        panel.name,
        len(panel.circuits),
        panel.timing.rate_hz,
        "on" if fifo else "not permitted",
        "locked" if locked else "not locked",
        places.socket,
    )
