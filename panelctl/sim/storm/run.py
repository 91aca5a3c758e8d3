"""One storm: a world, its schedule, its checkers; the same seed gives the same digest."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from panelctl.control.app import App
from panelctl.link.protocol import HELLO, RECORD, as_hello
from panelctl.link.recording import header
from panelctl.model.panel import Panel
from panelctl.sim.storm.faults import DRAWN, KINDS
from panelctl.sim.storm.figures import Figures, Sample, Violation
from panelctl.sim.storm.strike import Pace, Strike, draw
from panelctl.sim.storm.watch import Watch
from panelctl.sim.storm.world import World

SUPERVISE_S = 0.25
RELEASE_S = 30.0  # so long after the last fault people take back what they opened
RELEASES = 5  # so often they look again: a person who was told nothing tries once more
HURRY_S = 60.0  # how often the progress is told


@dataclass(frozen=True, slots=True)
class Result:
    """What a storm came to."""

    seed: int
    duration_s: float
    strikes: list[Strike]
    violations: list[Violation]
    figures: Figures
    digest: str
    worst: list[Sample]


def targets(panel: Panel) -> dict[str, list[str]]:
    """Where each kind of fault may strike on a panel."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(panel, "", 0, Path(folder) / "state")
        places = {name: kind.targets(world) for name, kind in KINDS.items()}
        world.loop.close()
    return places


def plan(
    panel: Panel, seed: int, duration_s: float, pace: Pace, kinds: Collection[str] = DRAWN
) -> list[Strike]:
    """The schedule that a seed draws for a panel, of these kinds of faults."""
    longest_s = {name: kind.longest_s for name, kind in KINDS.items()}
    places = {name: where for name, where in targets(panel).items() if name in kinds}
    return draw(seed, duration_s, pace, places, longest_s)


def run(
    panel: Panel,
    config: str,
    seed: int,
    duration_s: float,
    strikes: list[Strike],
    rest_s: float,
    progress: Callable[[float, int], None] = lambda now_s, found: None,
    stop_at_first: bool = False,
    record: IO[bytes] | None = None,
    alter: Callable[[App], None] = lambda app: None,
    controller: Panel | None = None,
) -> Result:
    """Run a storm. Raises nothing for what the application does; that is a violation.

    `record` takes a recording of the controller's first life, up to its first restart. `alter` may
    break each controller that starts, to see whether it is noticed; `controller` is the panel that
    it believes in, where that is not the true one.
    """
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state"
        state.mkdir()
        world = World(panel, config, seed, state)
        world.alter = alter
        world.believed = controller or panel
        watch = Watch(world)
        digest = hashlib.blake2b(digest_size=16)
        heard = world.line
        tape = _Tape(record)

        def line(data: bytes) -> None:
            digest.update(data)
            heard(data)
            tape.put(data)

        world.line = line
        gc.collect()
        gc.freeze()
        gc.disable()  # the application collects by itself, in its idle slots
        try:
            world.loop.run_until_complete(
                _storm(world, watch, duration_s, strikes, rest_s, progress, stop_at_first)
            )
        finally:
            gc.enable()
            gc.unfreeze()
            world.loop.close()
    for legs_a in world.plant.legs_a:
        digest.update(repr(legs_a).encode())
    found, figures, worst = watch.violations, watch.figures, watch.worst.samples
    return Result(seed, duration_s, strikes, found, figures, digest.hexdigest(), worst)


class _Tape:
    """Writes what was heard into a recording, until the controller starts again."""

    def __init__(self, file: IO[bytes] | None) -> None:
        self._file = file
        self._hello = False

    def put(self, line: bytes) -> None:
        """One line of the socket."""
        if self._file is None:
            return
        if not line.startswith(HELLO):
            if line.startswith(RECORD):
                self._file.write(line + b"\n")
        elif self._hello:
            self._file = None
        else:
            self._hello = True
            self._file.write(header(as_hello(json.loads(line)["hello"])))


async def _storm(
    world: World,
    watch: Watch,
    duration_s: float,
    strikes: list[Strike],
    rest_s: float,
    progress: Callable[[float, int], None],
    stop_at_first: bool,
) -> None:
    world.start()
    listening = asyncio.create_task(world.listen())
    storming = asyncio.create_task(_strikes(world, watch, strikes))
    storming.add_done_callback(world.note_end)
    released = 0
    told_s = 0.0
    while world.now_s < duration_s:
        await asyncio.sleep(SUPERVISE_S)
        if world.broken:
            raise world.broken[0]
        world.look()
        world.watch_over()
        if world.now_s - told_s >= HURRY_S:
            told_s = world.now_s
            progress(world.now_s, len(watch.violations))
            watch.sizes.note()
        if stop_at_first and watch.violations:
            break
        if world.now_s >= duration_s - rest_s + RELEASE_S * (1 + released):
            if not released:
                world.household.rest()
            released += 1
            if released > RELEASES:
                continue
            for circuit in world.panel.circuits:
                if circuit.controlled:
                    if world.needs_a_person(circuit.id):
                        world.say(do="ack", id=f"ack-{circuit.id}", circuit=circuit.id)
                    world.say(do="close", id=f"end-{circuit.id}", circuit=circuit.id)
    else:
        watch.finish(duration_s / 86_400.0, rested=rest_s > 0.0)
    storming.cancel()
    await world.stop()
    listening.cancel()
    await asyncio.gather(listening, storming, return_exceptions=True)


async def _strikes(world: World, watch: Watch, strikes: list[Strike]) -> None:
    """Begin and end every strike in its time."""
    running: list[asyncio.Task[None]] = []
    for strike in strikes:
        await world.clock.sleep_until(round((strike.at_s + 1.0) * 1e9))
        task = asyncio.create_task(_one(world, watch, strike))
        task.add_done_callback(world.note_end)
        running.append(task)
    await asyncio.gather(*running)


async def _one(world: World, watch: Watch, strike: Strike) -> None:
    world.look()
    watch.begins(strike)
    undo = KINDS[strike.kind].begin(world, strike)
    watch.exemptions.begun(strike)
    await world.clock.sleep_until(round((strike.end_s + 1.0) * 1e9))
    world.look()
    undo()
    watch.ends(strike)
