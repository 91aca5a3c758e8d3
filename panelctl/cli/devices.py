"""`panelctl devices`: every link and the devices on it, as the controller sees them."""

from __future__ import annotations

import json
from pathlib import Path

import click

from panelctl.cli.options import json_option, socket_option
from panelctl.link.client import ControlClient
from panelctl.model.record import DeviceRecord, LinkRecord


@click.command("devices", epilog="Example: panelctl devices")
@socket_option
@json_option
def command(socket_path: Path, as_json: bool) -> None:
    """Show each link and device: its state and since when, how it answers, what is wrong.

    Exit code 1 when one of them is not as it should be.
    """
    with ControlClient(socket_path) as client:
        links = client.status()["links"]
    if as_json:
        click.echo(json.dumps(links))
    else:
        for name, link in links.items():
            click.echo(_link_line(name, link))
            for device, state in link["devices"].items():
                click.echo(_device_line(device, state))
    devices = [state for link in links.values() for state in link["devices"].values()]
    if any(link["state"] == "DOWN" or "remark" in link for link in links.values()) or any(
        state["state"] != "OK" for state in devices
    ):
        raise SystemExit(1)


def _link_line(name: str, link: LinkRecord) -> str:
    parts = [f"{name}: {link['state']}{_since(link)}"]
    parts.append(f"{link['questions']} questions, {link['timeouts']} timeouts")
    parts.append(f"fast lane {link['fast_ms']:g} ms, planned {link['planned_ms']:g}")
    if link["strays"]:
        parts.append(f"{link['strays']} stray bytes")
    if link["noisy"]:
        parts.append(f"{link['noisy']} times never silent")
    if link["shifts"]:
        parts.append(f"lost step {link['shifts']} times")
    if link["opened"] > 1:
        parts.append(f"opened {link['opened']} times")
    if link.get("echo"):
        parts.append("hears itself")
    if "settle_ms" in link:
        parts.append(f"deaf for {link['settle_ms']} ms after it is opened")
    if "remark" in link:
        parts.append(link["remark"])
    elif link["state"] == "DOWN":
        parts.append(link.get("error", ""))
    return "; ".join(parts)


def _device_line(name: str, state: DeviceRecord) -> str:
    line = f"  {name:<16} {state['state']:<9}{_since(state):<12}"
    if state["p50_ms"] is not None:
        line += f" answers after {state['p50_ms']:g} ms (p99 {state['p99_ms']:g})"
    line += f", {state['good']} good"
    for count, words in (
        (state["timeouts"], "lost"),
        (state["refusals"], "refused"),
        (state["bad"], "bad"),
    ):
        if count:
            line += f", {count} {words}"
    if "serial" in state:
        line += f", serial {state['serial']}"
    if state["state"] != "OK" and "error" in state:
        line += f": {state['error']}"
    return line


def _since(state: LinkRecord | DeviceRecord) -> str:
    seconds = state["since_s"]
    if seconds is None:
        return ""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f" for {seconds / size:.0f} {unit}"
    return f" for {seconds:.0f} s"
