"""How `read`, `dump` and `probe` name a device and reach it. They only ever read."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from panelctl.clock import Clock
from panelctl.config.build import build_link
from panelctl.config.load import read_panel
from panelctl.field.links import open_read_only
from panelctl.field.survey import Survey, Tell
from panelctl.field.timing import TimerfdClock
from panelctl.modbus.busplan import wire_of
from panelctl.modbus.filling import has_sign
from panelctl.modbus.maps import RegisterMap, load_map
from panelctl.model.panel import Device, Link, Panel
from panelctl.model.slots import image_slots

DEFAULT_CONFIG = Path("/etc/panelctl/panel.toml")


@dataclass(frozen=True, slots=True)
class Named:
    """A device that somebody named: where it is and which map it follows."""

    link: Link
    unit: int
    map: RegisterMap
    timeout_ms: int
    late_ms: int
    gap_ms: float
    turned: frozenset[str] = frozenset()  # points that the panel takes with the other sign


def device_options(function: Any) -> Any:
    """The argument DEVICE, and --config, --map and --unit."""
    for decorate in (
        click.option("--unit", type=click.IntRange(0, 255), help="With a URL: its unit, 1."),
        click.option("--map", "map_name", help="With a URL: its register map."),
        click.option(
            "--config",
            type=click.Path(path_type=Path, dir_okay=False),
            help=f"With a name: the panel file. [default: {DEFAULT_CONFIG}]",
        ),
        click.argument("device"),
    ):
        function = decorate(function)
    return function


def link_of(url: str) -> Link:
    """The link of a URL. Raises click.BadParameter."""
    try:
        return build_link("link", url)
    except ValueError as error:
        raise click.BadParameter(f"{url}: {error}") from None


def named(device: str, config: Path | None, map_name: str | None, unit: int | None) -> Named:
    """The device of that name in the panel file, or at that URL. Raises click.UsageError."""
    if "://" in device:
        if map_name is None:
            raise click.UsageError(
                "a URL needs --map; `panelctl maps list` has them, `panelctl probe` finds it out"
            )
        known = load_map(map_name)
        number = 1 if unit is None else unit
        times = (known.timeout_ms, known.late_ms, known.gap_ms)
        return Named(link_of(device), number, known, *times)
    if map_name is not None or unit is not None:
        raise click.UsageError("--map and --unit go with a URL; a name is looked up in --config")
    panel = read_panel(config or DEFAULT_CONFIG)
    for item in panel.devices:
        if item.name == device:
            link = next(link for link in panel.links if link.name == item.link)
            known = load_map(item.map)
            times = (item.timeout_ms, item.late_ms, item.gap_ms)
            return Named(link, item.unit, known, *times, _turned(panel, item, known))
    names = ", ".join(item.name for item in panel.devices)
    raise click.UsageError(f"the panel file has no device {device}; it has {names}")


def _turned(panel: Panel, device: Device, known: RegisterMap) -> frozenset[str]:
    """The points of a device that the panel takes, or would take, with the other sign."""
    taken = {s.source.point: s.turned for s in image_slots(panel) if s.source.device == device.name}
    return frozenset(
        name
        for name, point in known.points.items()
        if point.unit in ("A", "W") and has_sign(point) and taken.get(name, device.inverted)
    )


@asynccontextmanager
async def surveyed(device: Named) -> AsyncIterator[tuple[Survey, Clock]]:
    """A survey of the device on its own link, which is closed afterwards."""
    clock = TimerfdClock()
    link = open_read_only(device.link, clock)
    wire = wire_of(device.link)
    try:
        times = (device.timeout_ms, device.late_ms, device.gap_ms)
        yield Survey(link, clock, wire, device.unit, *times), clock
    finally:
        await link.close()
        clock.close()


@contextmanager
def progress(label: str) -> Iterator[Tell]:
    """A bar on the standard error, where that is a terminal."""
    with click.progressbar(length=1, label=label, file=sys.stderr) as bar:

        def tell(done: int, of: int) -> None:
            bar.length = of
            bar.update(done - bar.pos)

        yield tell
