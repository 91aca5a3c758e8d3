"""`panelctl demo`: a simulated panel, the unmodified controller on it, and a live view."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click

from panelctl.cli.demo_broker import broker_beside
from panelctl.cli.demo_summary import STORY, Tally, say, summarise
from panelctl.cli.processes import end, unbroken
from panelctl.cli.view import PanelView
from panelctl.errors import SocketError
from panelctl.link.client import ControlClient
from panelctl.model.record import CycleRecord
from panelctl.model.wording import event_text
from panelctl.sim.bench_socket import BenchClient

SIM = Path(__file__).parent.parent / "sim"
START_S = 20.0
LOOK_S = 0.02
FRAMES_HZ = 5
STORY_S = 50.0  # so long it takes until everything that has to happen has
NOTE = (
    "Simulated panel, real controller. For the show, circuits come back after seconds; a home "
    "waits minutes. Ctrl-C ends it."
)


def seconds(text: str) -> float:
    """`60`, `60s` or `10m` as seconds. Raises click.BadParameter."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|h)?", text.strip())
    if match is None:
        raise click.BadParameter(f"{text!r}: write 60s or 10m", param_hint="--for")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2] or "s"]


@contextmanager
def processes(
    config: Path, folder: Path, source: list[str]
) -> Iterator[tuple[subprocess.Popen[str], subprocess.Popen[str], dict[str, Any]]]:
    """The simulated panel and the controller on it; both end with the block."""
    base = [sys.executable, "-m", "panelctl"]
    bench = ["--bench", str(folder / "bench.sock")]
    log = (folder / "controller.log").open("w")
    sim = run = None
    try:
        with unbroken():
            sim = subprocess.Popen(
                [*base, "sim", "--config", str(config), *bench, *source],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,  # Ctrl-C is for us; we end them in order
            )
        assert sim.stdout is not None
        ready, _, _ = select.select([sim.stdout], [], [], START_S)
        line = sim.stdout.readline() if ready else ""
        if not line:
            raise SocketError("the simulated panel did not start")
        endpoints = json.loads(line)
        links = [f"--link={name}={url}" for name, url in endpoints["links"].items()]
        places = ["--socket", str(folder / "control.sock"), "--state", str(folder / "state")]
        with unbroken():
            run = subprocess.Popen(
                [*base, "run", "--config", str(config), *places, *links],
                stdin=subprocess.DEVNULL,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        yield sim, run, endpoints
    finally:
        with unbroken():
            for process in (run, sim):
                end(process)
            log.close()


def connect(folder: Path, run: subprocess.Popen[str]) -> ControlClient:
    """A connection to the controller once it listens. Raises SocketError when it does not."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        with suppress(subprocess.TimeoutExpired):
            run.wait(LOOK_S)  # before the socket's file exists there is only its end to wait for
            log = (folder / "controller.log").read_text()
            raise SocketError(f"the controller ended with {run.returncode}:\n{log}")
        with suppress(SocketError):
            return ControlClient(folder / "control.sock")
    raise SocketError("the controller did not start")


@click.command("demo", epilog="Example: panelctl demo --for 60s --json")
@click.option("--for", "duration", default="", help="End after this long (60s, 10m).")
@click.option("--json", "as_json", is_flag=True, help="No view; one JSON summary at the end.")
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Simulate this panel instead of the demo's: it gets a household of its own.",
)
@click.option(
    "--home",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Drive the loads from a recorded home (TOML).",
)
@click.option(
    "--story",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Tell this story (TOML) instead of the demo's.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Noise and household.")
@click.option(
    "--svg",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Save a picture of the view when the house is heaviest.",
)
@click.option("--mqtt", is_flag=True, help="Also a broker with the panel on it (mosquitto).")
def command(
    duration: str,
    as_json: bool,
    config: Path | None,
    home: Path | None,
    story: Path | None,
    seed: int,
    svg: Path | None,
    mqtt: bool,
) -> None:
    """Simulate a house and let the real controller share its service with a compute node.

    The panel is simulated on real ptys and sockets; the controller is the one that `panelctl run`
    starts. EV, range, dryer and heat strips come together: the compute budget falls to its floor,
    the charger is throttled, circuits are shed, last tier first, and restored one by one.

    A panel of yours (--config) gets a neutral household from the seed: appliances go on and off
    inside what the file declares. Whether anything has to be shed depends on it.

    With --json, or --for of 50 s and more, the exit code is 0 only if every check in the summary
    holds.
    """
    span_s = seconds(duration) if duration else None
    if as_json and span_s is None:
        span_s = 60.0
    source = ["--seed", str(seed)]
    for option, path in (("--home", home), ("--story", story)):
        if path is not None:
            source += [option, str(path)]
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # like Ctrl-C: nothing is left behind
    with tempfile.TemporaryDirectory(prefix="panelctl-demo-") as temporary:
        folder = Path(temporary)
        with processes(config or SIM / "demo.toml", folder, source) as (_, run, endpoints):
            client = connect(folder, run)
            bench = BenchClient(Path(endpoints["bench"]))
            tally = Tally()
            with broker_beside(folder, client.hello["serial"], mqtt) as told:
                if told:
                    click.echo(told, err=True)
                try:
                    if as_json:
                        _quiet(client, bench, tally, span_s, svg)
                    else:
                        _live(client, bench, tally, span_s, svg)
                except KeyboardInterrupt:
                    pass
            truth = bench.truth()
            log = ""
            if run.poll() is not None:
                log = (folder / "controller.log").read_text()
    loads = endpoints["loads"] if story is None else "story of your own"
    summary = summarise(tally, truth, log, loads)
    if as_json:
        click.echo(json.dumps(summary))
    else:
        say(summary)
    complete = span_s is not None and (loads != STORY or span_s >= STORY_S)
    if (as_json or complete) and not summary["ok"]:
        raise SystemExit(1)


def _records(
    client: ControlClient, bench: BenchClient, span_s: float | None
) -> Iterator[tuple[CycleRecord, float]]:
    """Records with the story's time; the story begins when the controller sees the mains."""
    begin_s = None
    for record in client.watch():
        now_s = time.monotonic()
        if begin_s is None:
            if record["state"] not in ("NORMAL", "DEGRADED"):
                continue
            bench.ask(do="begin")
            begin_s = now_s
        yield record, now_s - begin_s
        if span_s is not None and now_s - begin_s >= span_s:
            return


def _quiet(
    client: ControlClient, bench: BenchClient, tally: Tally, span_s: float | None, svg: Path | None
) -> None:
    view = PanelView(client.hello, NOTE)
    heaviest = 0
    for record, at_s in _records(client, bench, span_s):
        tally.count(record)
        view.remember(record, at_s)
        if svg is not None:
            heaviest = _picture(view, record, heaviest, svg)


def _picture(view: PanelView, record: CycleRecord, heaviest: int, svg: Path) -> int:
    """Save the view when more circuits are open than ever before and the legs are full."""
    from rich.console import Console

    opened = [circuit["relay"] for circuit in record["circuits"]].count("OPEN")
    if opened <= heaviest:
        return heaviest
    console = Console(record=True, width=150, file=open(os.devnull, "w"))  # noqa: SIM115  # rich keeps it
    console.print(view.render(record))
    picture = console.export_svg(title="panelctl demo")
    svg.write_text(re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL))  # nothing fetched
    console.file.close()
    return opened


def _live(
    client: ControlClient, bench: BenchClient, tally: Tally, span_s: float | None, svg: Path | None
) -> None:
    from rich.console import Console
    from rich.live import Live

    view = PanelView(client.hello, NOTE)
    console = Console()
    heaviest, shown_s = 0, -1.0
    if not console.is_terminal:
        names = {c["id"]: c["name"] for c in client.hello["circuits"]}
        _plain(client, bench, tally, span_s, names)
        return
    with Live(console=console, screen=True, auto_refresh=False) as live:
        for record, at_s in _records(client, bench, span_s):
            tally.count(record)
            view.remember(record, at_s)
            if svg is not None:
                heaviest = _picture(view, record, heaviest, svg)
            if at_s - shown_s >= 1 / FRAMES_HZ:
                shown_s = at_s
                live.update(view.render(record), refresh=True)


def _plain(
    client: ControlClient,
    bench: BenchClient,
    tally: Tally,
    span_s: float | None,
    names: dict[str, str],
) -> None:
    """Without a terminal: a line for every event, and one every five seconds."""
    said_s = -5.0
    for record, at_s in _records(client, bench, span_s):
        tally.count(record)
        for event in record["events"]:
            click.echo(f"{at_s:6.1f} s  {event_text(event, names)}")
        if at_s - said_s >= 5:
            said_s = at_s
            legs = ", ".join(f"{name} {leg['a']:.0f} A" for name, leg in record["legs"].items())
            compute = record["compute"]
            watts = f", compute {compute['draw_w']} of {compute['budget_w']} W" if compute else ""
            click.echo(f"{at_s:6.1f} s  {record['state']}: {legs}{watts}")
