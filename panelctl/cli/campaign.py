"""`panelctl campaign`: recorded homes under panelctl and under what others do, and a table."""

from __future__ import annotations

import json
import os
import secrets
import time
from pathlib import Path
from typing import Any

import click

from panelctl import __version__
from panelctl.cli.options import json_option
from panelctl.cli.out import write_out


@click.command(
    "campaign",
    epilog="Example: panelctl campaign --panel panel.toml --home home.toml --days 40",
)
@click.option(
    "--panel",
    "panels",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="A panel file; one for all homes, or one for each.",
)
@click.option(
    "--home",
    "homes",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="A recorded home (docs/how-to/simulate-a-recorded-home.md). May be repeated; without one "
    "a household that the panel may have.",
)
@click.option(
    "--service",
    "services",
    multiple=True,
    type=click.FloatRange(20, 1200),
    help="The size of the service, A; may be repeated. Without it 60, 100, 125 and 200.",
)
@click.option(
    "--days",
    type=click.IntRange(1, 1_000_000),
    default=40,
    show_default=True,
    help="So many days.",
)
@click.option(
    "--scale",
    type=click.FloatRange(0.01, 100),
    default=1.0,
    show_default=True,
    help="How large the households are, times as recorded; each day is 0.7 to 1.3 times that.",
)
@click.option("--seed", type=int, help="A fresh one if left out; it is printed.")
@click.option(
    "--jobs",
    type=click.IntRange(1, 256),
    default=lambda: os.cpu_count() or 1,
    help="So many processes; one for each core if left out.",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="The figures as JSON.")
@json_option
def command(
    panels: tuple[Path, ...],
    homes: tuple[Path, ...],
    services: tuple[float, ...],
    days: int,
    scale: float,
    seed: int | None,
    jobs: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Live through recorded days ten times a second, and compare.

    Every day is lived under panelctl, under no control, a static allotment, loops of 30 s and 1 s,
    a minute's average, and by others who have relays: a ladder by the minute, a forecast of a
    quarter of an hour, a clairvoyant. Households are sized to the service (60, 100, 125 and 200 A,
    or --service). Code 1 when panelctl let a preventable trip happen.
    """
    from panelctl.sim.fold.campaign import OURS, Lived, draw, notes, run, summary

    if homes and len(panels) not in (1, len(homes)):
        raise click.UsageError("give one --panel, or one for each --home")
    given: tuple[Path | None, ...] = homes or (None,) * len(panels)
    pairs = list(zip(panels if len(panels) > 1 else panels * len(given), given, strict=True))
    number = secrets.randbelow(1_000_000) if seed is None else seed
    units = draw(pairs, list(services or (60.0, 100.0, 125.0, 200.0)), days, number, scale)
    begun_s = time.monotonic()
    with click.progressbar(length=len(units), label=f"seed {number}", hidden=as_json) as bar:

        def told(one: Lived) -> None:
            bar.update(1)

        lived = run(units, jobs, told)
    plain = summary(lived, number)
    minutes = (time.monotonic() - begun_s) / 60
    plain |= {
        "scale": scale,
        "recordings": notes(pairs, number),
        "version": __version__,
        "days_per_minute": round(len(lived) / minutes, 1),
    }
    write_out(out, json.dumps(plain, indent=1) + "\n")
    if as_json:
        click.echo(json.dumps(plain))
    else:
        _say(plain, jobs)
    if plain["all"][OURS]["trips_preventable"]:
        raise SystemExit(1)


def _say(plain: dict[str, Any], jobs: int) -> None:
    """The figures for people, and what was read."""
    from panelctl.sim.fold.campaign import OURS, table

    click.echo(
        f"{plain['panel_days']} panel-days of {plain['distinct_recorded_days']} recorded days, "
        f"seed {plain['seed']}, {plain['days_per_minute']:g} a minute on {jobs} processes"
    )
    if plain["bound_per_panel_day"] is not None:
        click.echo(
            f"no preventable trip: at most {plain['bound_per_panel_day']:.2g} a panel-day, or "
            f"{plain['bound_per_recorded_day']:.2g} if each recorded day counts once (95 %)"
        )
    click.echo(table(plain))
    if branch := plain["all"][OURS]["branch_trips"]:
        click.echo(
            f"Under panelctl {branch} breakers of circuits or feeders tripped, and were put in "
            "again after ten minutes: recorded loads are larger than they carry. The others have "
            "only the main breaker.\n"
        )
    click.echo("What was read:")
    for told in plain["recordings"]:
        click.echo(f"- {told}")
