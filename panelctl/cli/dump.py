"""`panelctl dump`: a device's registers as a file that `maps decode` reads and one can send in."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import click

from panelctl import __version__
from panelctl.cli.named import Named, device_options, named, progress, surveyed
from panelctl.field.survey import Holding
from panelctl.modbus.capture import decode_with
from panelctl.modbus.maps import Point, RegisterMap

PRIVATE = ("serial", "mac", "ssid", "password", "address", "name", "imei")
PLAIN_TEXTS = ("maker", "model", "version", "options", "firmware", "state")


@click.command("dump", epilog="Example: panelctl dump mains > my_meter.json")
@device_options
def command(device: str, config: Path | None, map_name: str | None, unit: int | None) -> None:
    """Print what a device's registers hold, as JSON: only those that its map names.

    Serial numbers, names and unknown texts are blanked. Nothing is written to the device. DEVICE is
    a name of the panel file, or a URL with --map and --unit.
    """
    asked = named(device, config, map_name, unit)
    holding = asyncio.run(_collect(asked))
    tables = redacted(asked.map, holding)
    click.echo(json.dumps(_capture(asked, holding, tables), indent=1))
    for span, why in holding.missing:
        click.echo(f"not read: {span.count} of {span.table} from {span.address}: {why}", err=True)
    if not tables:
        click.echo("nothing was answered", err=True)
        raise SystemExit(1)


async def _collect(asked: Named) -> Holding:
    async with surveyed(asked) as (survey, _):
        with progress(f"reading {asked.map.model}") as tell:
            return await survey.collect(asked.map, tell=tell)


def _private(point: Point) -> bool:
    named_so = any(word in point.name for word in PRIVATE)
    free_text = point.type == "text" and not any(word in point.name for word in PLAIN_TEXTS)
    return named_so or free_text


def redacted(known: RegisterMap, holding: Holding) -> dict[str, dict[int, int]]:
    """The words that the map names, and a SunSpec chain's headers; private points as zeros."""
    bases = [0]
    keep: dict[str, dict[int, int]] = {}
    if known.sunspec_models:
        words = holding.tables.get("holding", {})
        bases = [d.model.address for d in decode_with(known, holding.tables) if d.model]
        length = max((p.end for p in known.points.values()), default=0)
        inside = {base + n for base in bases for n in range(2, length)}
        keep["holding"] = {a: word for a, word in words.items() if a not in inside}
    for base in bases:
        for point in known.points.values():
            words = holding.tables.get(point.table, {})
            for address in range(base + point.address, base + point.end):
                if address in words:
                    kept = keep.setdefault(point.table, {})
                    kept[address] = 0 if _private(point) else words[address]
    return {table: dict(sorted(words.items())) for table, words in keep.items() if words}


def _capture(asked: Named, holding: Holding, tables: dict[str, dict[int, int]]) -> dict[str, Any]:
    known = asked.map
    return {
        "_device": f"{known.vendor} {known.model}",
        "_map": known.id,
        "_taken": time.strftime("%Y-%m-%d", time.gmtime()),
        "_by": f"panelctl {__version__}",
        "_not_read": [[s.table, s.address, s.count, why] for s, why in holding.missing],
        **{table: {str(a): word for a, word in words.items()} for table, words in tables.items()},
    }
