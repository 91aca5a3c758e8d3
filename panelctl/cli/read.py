"""`panelctl read`: what a device says now, for comparing with its display."""

from __future__ import annotations

import asyncio
import json
import time
from fractions import Fraction
from pathlib import Path

import click

from panelctl.cli.named import Named, device_options, named, progress, surveyed
from panelctl.cli.options import json_option
from panelctl.field.survey import Holding, Survey
from panelctl.modbus.capture import Value, decode_with
from panelctl.modbus.physics import contradictions
from panelctl.units import NS_PER_S


@click.command("read", epilog="Example: panelctl read mains l1_a l2_a --watch")
@device_options
@click.argument("points", nargs=-1)
@click.option("--watch", is_flag=True, help="Again and again, a line each time, until Ctrl-C.")
@click.option(
    "--every", type=click.FloatRange(0.1, 3600), default=1.0, show_default=True, help="Seconds."
)
@json_option
def command(
    device: str,
    points: tuple[str, ...],
    config: Path | None,
    map_name: str | None,
    unit: int | None,
    watch: bool,
    every: float,
    as_json: bool,
) -> None:
    """Read POINTS of a device, or all that its map has. Nothing is written to it.

    DEVICE is a name of the panel file, or a URL as in
    "rtu:///dev/ttyUSB0?baud=9600" with --map and --unit. While the controller runs, a serial line
    is its own.
    """
    asked = named(device, config, map_name, unit)
    unknown = [point for point in points if point not in asked.map.points]
    if unknown:
        remedy = f"`panelctl maps show {asked.map.id}` lists them"
        raise click.UsageError(f"{asked.map.id} has no point {unknown[0]}; {remedy}")
    try:
        complete = asyncio.run(_read(asked, points, every if watch else 0.0, as_json))
    except KeyboardInterrupt:
        return
    if not complete:
        raise SystemExit(1)


async def _read(asked: Named, points: tuple[str, ...], every_s: float, as_json: bool) -> bool:
    """Print once, or again and again. False when something was not answered."""
    async with surveyed(asked) as (survey, clock):
        while True:
            holding, values = await _once(asked, survey, points, quiet=bool(every_s) or as_json)
            if as_json:
                click.echo(json.dumps(_record(asked, holding, values)))
            elif every_s:
                click.echo(
                    time.strftime("%H:%M:%S") + "".join(f"  {w}" for w in _words(asked, values))
                )
            else:
                _table(asked, values)
            for span, why in holding.missing:
                place = f"{span.count} of {span.table} from {span.address}"
                click.echo(f"not read: {place}: {why}", err=True)
            if not every_s:
                return bool(values) and not holding.missing
            await clock.sleep_until(clock.now_ns() + round(every_s * NS_PER_S))


async def _once(
    asked: Named, survey: Survey, points: tuple[str, ...], quiet: bool
) -> tuple[Holding, dict[str, Value]]:
    if quiet:
        holding = await survey.collect(asked.map, points)
    else:
        with progress(f"reading {asked.map.model}") as tell:
            holding = await survey.collect(asked.map, points, tell)
    values: dict[str, Value] = {}
    for decoded in decode_with(asked.map, holding.tables):
        values |= {name: v for name, v in decoded.values.items() if not points or name in points}
    for name, value in values.items():
        if isinstance(value, Fraction) and name in asked.turned:
            values[name] = -value
    return holding, values


def _record(asked: Named, holding: Holding, values: dict[str, Value]) -> dict[str, object]:
    plain = {name: v if isinstance(v, str) else float(v) for name, v in values.items()}
    return {
        "map": asked.map.id,
        "unit": asked.unit,
        "wall_s": round(time.time(), 3),
        "values": plain,
        "contradictions": _doubts(values),
        "missing": [
            {"table": s.table, "address": s.address, "count": s.count, "why": why}
            for s, why in holding.missing
        ],
    }


def _doubts(values: dict[str, Value]) -> list[str]:
    return list(contradictions({n: float(v) for n, v in values.items() if not isinstance(v, str)}))


def _words(asked: Named, values: dict[str, Value]) -> list[str]:
    units = {name: asked.map.points[name].unit for name in values}
    return [
        f"{name} {value if isinstance(value, str) else f'{float(value):g}'} {units[name]}".rstrip()
        for name, value in values.items()
    ]


def _table(asked: Named, values: dict[str, Value]) -> None:
    for name, value in values.items():
        shown = value if isinstance(value, str) else f"{float(value):g}"
        click.echo(f"{name:<28} {shown:>14} {asked.map.points[name].unit}".rstrip())
    for words in _doubts(values):
        click.echo(f"cannot be: {words}")
