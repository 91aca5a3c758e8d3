"""`panelctl sim`: a simulated panel alone, on real ptys and sockets, for trying a controller on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import click


def _end_with_input(stop: asyncio.Event) -> None:
    if not os.read(0, 64):
        stop.set()


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
    help="What happens in the house (TOML); without it the demo's story.",
)
@click.option(
    "--home",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A recorded home (TOML) instead of a story.",
)
@click.option("--bench", type=click.Path(path_type=Path), help="The experimenter's socket.")
@click.option("--seed", type=int, default=1, show_default=True, help="Noise and flicker.")
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

    It runs until SIGTERM, Ctrl-C, or the end of its standard input.
    """
    from panelctl.config.load import read_panel
    from panelctl.field.timing import TimerfdClock
    from panelctl.sim.homes.player import HomePlayer
    from panelctl.sim.homes.read import read_home
    from panelctl.sim.house import House
    from panelctl.sim.plant import Plant
    from panelctl.sim.story import ScenarioPlayer, read_story

    folder = Path(__file__).parent.parent / "sim"
    panel = read_panel(config or folder / "demo.toml")
    plant = Plant.of(panel)
    player: ScenarioPlayer | HomePlayer
    if home is not None:
        recorded = read_home(home, plant)
        for notes in recorded.notes:
            click.echo(notes.words(), err=True)
        player = HomePlayer(recorded, plant)
    else:
        player = ScenarioPlayer(read_story(story or folder / "story.toml", plant), plant)

    async def serve(bench_path: Path) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        house = House(panel, plant, player, seed, TimerfdClock())
        endpoints = await house.start(bench_path)
        click.echo(json.dumps(asdict(endpoints)))
        if not sys.stdin.isatty():
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
