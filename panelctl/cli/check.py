"""`panelctl check`: is a panel file right, and does its bus plan fit?"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click

from panelctl.cli.options import json_option
from panelctl.errors import ConfigError
from panelctl.modbus.busplan import LinkPlan, PlannedRead, plan_bus
from panelctl.modbus.maps import load_map
from panelctl.model.panel import Panel
from panelctl.units import NS_PER_MS


@click.command("check", epilog="Example: panelctl check /etc/panelctl/panel.toml")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@json_option
def command(file: Path, as_json: bool) -> None:
    """Check a panel file and print its bus plan. Exit code 1 when something has to be changed.

    Every problem is named at once: where it is, what stands there, what to write instead.
    """
    from panelctl.config.load import read_panel

    try:
        panel = read_panel(file)
    except ConfigError as error:
        if as_json:
            problems = [
                {"path": p.path, "value": p.value, "remedy": p.remedy} for p in error.problems
            ]
            click.echo(json.dumps({"file": error.file, "ok": False, "problems": problems}))
        else:
            click.echo(str(error), err=True)
        raise SystemExit(1) from None
    plans = plan_bus(panel)
    if as_json:
        plain = {"file": str(file), "ok": True, "links": [_plain(plan) for plan in plans]}
        more = {"unverified": _unverified(panel), "warnings": _warnings(panel)}
        click.echo(json.dumps({**plain, **more}))
        return
    click.echo(
        f"{file}: right. {panel.name}: {len(panel.circuits)} circuits, "
        f"{sum(c.controlled for c in panel.circuits)} of them armed and managed, "
        f"control setting {panel.service.control_setting_a:g} A per leg."
    )
    for plan in plans:
        _print(plan)
    for warning in _warnings(panel):
        click.echo(f"warning: {warning}")
    for device, name, confidence in _unverified(panel):
        click.echo(f"unverified map: {device} follows {name} ({confidence})")


def _warnings(panel: Panel) -> list[str]:
    """What is right now and may not stay so."""
    adapters = [
        f"link {link.name}: {link.path} may be another adapter after the next start; write its "
        "name under /dev/serial/by-id, or /dev/serial/by-path where two are alike"
        for link in panel.links
        if re.fullmatch(r"/dev/tty(USB|ACM)\d+", link.path)
    ]
    contacts = [
        f"circuit {c.id}: its load is on a normally closed contact: whatever holds it open, it is "
        f"CLOSED while {c.relay_device} has no power or starts anew"
        for c in panel.circuits
        if c.relay_inverted and c.controlled
    ]
    told = {c.relay_device for c in panel.circuits if c.controlled and not c.shows_contact}
    boards = [
        f"device {device.name}: {device.map} shows what it was told, not where its contacts are: "
        "one that sticks closed is found only by the current of its circuit, one that sticks open "
        "not at all; where you know that it reads the contacts, its map says so by "
        '[relay] shows = "contact"'
        for device in panel.devices
        if device.name in told
    ]
    return adapters + contacts + boards


def _unverified(panel: Panel) -> list[tuple[str, str, str]]:
    return [
        (device.name, device.map, load_map(device.map).confidence)
        for device in panel.devices
        if not load_map(device.map).verified
    ]


def _read_plain(read: PlannedRead) -> dict[str, Any]:
    span = read.block.span
    return {
        "device": read.device.name,
        "unit": read.device.unit,
        "table": span.table,
        "address": span.address,
        "count": span.count,
        "points": [point.name for point in read.block.points],
        "wire_ms": round(read.wire_ns / NS_PER_MS, 3),
    }


def _plain(plan: LinkPlan) -> dict[str, Any]:
    return {
        "link": plan.link.name,
        "url": plan.link.url,
        "fast": [_read_plain(read) for read in plan.fast],
        "slow": [_read_plain(read) for read in plan.slow],
        "counters": [_read_plain(read) for read in plan.counters],
        "fast_ms": round(plan.fast_ns / NS_PER_MS, 3),
        "write_ms": round(plan.write_ns / NS_PER_MS, 3),
        "fast_ratio": round(plan.fast_ratio, 4),
        "highest_hz": plan.highest_hz,
        "sweep_ms": round(plan.sweep_ns / NS_PER_MS, 3),
        "cycle_ratio": round(plan.cycle_ratio, 4),
        "sweep_ratio": round(plan.sweep_ratio, 4),
    }


def _print(plan: LinkPlan) -> None:
    cycle_ms = plan.period_ns / NS_PER_MS
    click.echo(f"\n{plan.link.name}  {plan.link.url}")
    lanes = (("every cycle", plan.fast), ("sweep", plan.slow), ("in turn", plan.counters))
    for lane, reads in lanes:
        for read in reads:
            span = read.block.span
            names = [point.name for point in read.block.points]
            shown = ", ".join(names[:3]) + (f" … {names[-1]}" if len(names) > 3 else "")
            wire_ms = read.wire_ns / NS_PER_MS
            click.echo(
                f"  {lane:<11} {read.device.name:<14} unit {read.device.unit:<3} "
                f"{span.table:<8} {span.address:>5} x {span.count:<3} {wire_ms:6.2f} ms "
                f"{wire_ms / cycle_ms:6.1%}  {shown}"
            )
    click.echo(
        f"  fast lane {plan.fast_ns / NS_PER_MS:.1f} ms + writes {plan.write_ns / NS_PER_MS:.1f} ms"
        f" + longest slow read {plan.longest_slow_ns / NS_PER_MS:.1f} ms = "
        f"{plan.cycle_ratio:.0%} of a {cycle_ms:g} ms cycle (it could be "
        f"{plan.highest_hz or 0:g} Hz); "
        f"a sweep of the rest takes {plan.sweep_ns / NS_PER_MS:.0f} ms, {plan.sweep_ratio:.0%} of "
        f"the time left in {plan.sweep_due_ns / 1e9:g} s"
    )
