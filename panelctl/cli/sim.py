"""`panelctl sim`: a simulated panel alone, on real ptys and sockets, for trying a controller on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from panelctl.model.panel import Panel
    from panelctl.sim.plant import Plant
    from panelctl.sim.player import Player

SIM = Path(__file__).parent.parent / "sim"


def _ends_with_input() -> bool:
    """Whether standard input is somebody's pipe or socket, whose end says that they are gone. What
    a service manager gives (/dev/null, a file, nothing at all) says nothing, and a terminal has
    Ctrl-C.
    """
    if sys.stdin is None:  # it was closed: the number may be another file's by now
        return False
    try:
        kind = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind)


def _end_with_input(stop: asyncio.Event) -> None:
    try:
        ended = not os.read(0, 4096)
    except BlockingIOError:
        return
    except OSError:
        ended = True
    if ended:
        asyncio.get_running_loop().remove_reader(0)
        stop.set()


def _player(
    panel: Panel, plant: Plant, home: Path | None, story: Path | None, seed: int
) -> tuple[Player, str]:
    """Who drives the loads, and what that is: a recorded home, a story, or a household for a panel
    that the demo's story is not of. Raises ConfigError.
    """
    from panelctl.sim.homes.player import HomePlayer
    from panelctl.sim.homes.read import read_home
    from panelctl.sim.neutral import HouseholdPlayer
    from panelctl.sim.story import ScenarioPlayer, is_of, read_story

    if home is not None:
        recorded = read_home(home, plant)
        for notes in recorded.notes:
            click.echo(notes.words(), err=True)
        return HomePlayer(recorded, plant), "home"
    if story is not None or is_of(SIM / "story.toml", plant):
        return ScenarioPlayer(read_story(story or SIM / "story.toml", plant), plant), "story"
    return HouseholdPlayer(panel, plant, seed), "household"


@click.command("sim", epilog="Example: panelctl sim --config panel.toml")
@click.option(
    "--config",
    "config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The panel file; without it the demo's panel.",
)
@click.option(
    "--story",
    type=click.Path(path_type=Path, dir_okay=False),
    help="What happens in the house (TOML); without it the demo's, where it is of this panel.",
)
@click.option(
    "--home",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A recorded home (TOML) instead of a story.",
)
@click.option("--bench", type=click.Path(path_type=Path), help="The experimenter's socket.")
@click.option("--seed", type=int, default=1, show_default=True, help="Noise and household.")
@click.option("--begin", is_flag=True, help="Begin the story at once instead of on request.")
def command(
    config: Path | None,
    story: Path | None,
    home: Path | None,
    bench: Path | None,
    seed: int,
    begin: bool,
) -> None:
    """Run a simulated panel and print where its links can be reached, as one line of JSON.

    A panel that the demo's story is not of gets a neutral household from the seed: appliances go on
    and off inside what the file declares.

    It runs until SIGTERM or Ctrl-C; or until the end of its standard input, where that is a pipe or
    a socket. /dev/null, a file, or none at all ends nothing.
    """
    from panelctl.config.load import read_panel
    from panelctl.field.timing import TimerfdClock
    from panelctl.sim.house import House
    from panelctl.sim.plant import Plant

    panel = read_panel(config or SIM / "demo.toml")
    plant = Plant.of(panel)
    player, loads = _player(panel, plant, home, story, seed)
    watched = _ends_with_input()

    async def serve(bench_path: Path) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        house = House(panel, plant, player, seed, TimerfdClock(), loads)
        endpoints = await house.start(bench_path)
        click.echo(json.dumps(asdict(endpoints)))
        if watched:
            loop.add_reader(0, _end_with_input, stop)
        if begin:
            house.begin()
        task = asyncio.create_task(house.run())
        waiter = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait({task, waiter}, return_when=asyncio.FIRST_COMPLETED)
        house.stop()
        task.cancel()
        if task in done:
            task.result()

    with tempfile.TemporaryDirectory(prefix="panelctl-") as temporary:
        asyncio.run(serve(bench or Path(temporary) / "bench.sock"))
