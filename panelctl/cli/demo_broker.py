"""A broker and `panelctl serve` beside the demo, where mosquitto is installed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from panelctl.cli.processes import end, unbroken

PLACES = ("/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto")


@contextmanager
def broker_beside(folder: Path, serial: str, wanted: bool) -> Iterator[str]:
    """Both run as long as the block; what is yielded tells a person how to look. Without `wanted`
    nothing is started.
    """
    if not wanted:
        yield ""
        return
    found = shutil.which("mosquitto") or next((p for p in PLACES if Path(p).exists()), None)
    if found is None:
        raise click.ClickException("--mqtt needs mosquitto: apt-get install mosquitto")
    ports = _free_ports(3)
    place = folder / "mqtt"
    base = [sys.executable, "-m", "panelctl"]
    made = [*base, "mqtt", "setup", "--serial", serial, "--folder", str(place)]
    made += ["--port", ports[0], "--tls-port", ports[1]]
    subprocess.run(made, check=True, stdout=subprocess.DEVNULL)
    add = [*base, "mqtt", "add", "you", "--role", "installer", "--folder", str(place), "--json"]
    told = subprocess.run(add, check=True, capture_output=True, text=True).stdout
    conf = place / "mosquitto.conf"
    if os.geteuid() == 0:  # else it would give up its rights, and could not read its files
        conf.write_text(f"{conf.read_text()}\nuser root\n")
    serve = [*base, "serve", "--broker", f"mqtt://127.0.0.1:{ports[0]}", "--user", "panelctl"]
    serve += ["--password-file", str(place / "panelctl.password")]
    serve += ["--socket", str(folder / "control.sock")]
    serve += ["--listen", f"127.0.0.1:{ports[2]}", "--access", str(place)]
    started: list[subprocess.Popen[bytes]] = []
    try:
        with (folder / "mqtt.log").open("ab") as log, unbroken():
            for words in ([found, "-c", str(conf)], serve):
                started.append(
                    subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)
                )
        yield (
            f"MQTT on 127.0.0.1:{ports[0]}, with the name and password of {told.strip()}; "
            f"eBus's REST on http://127.0.0.1:{ports[2]}/api/v2, its passphrase is in "
            f"{place / 'passphrase'}"
        )
    finally:
        with unbroken():
            for process in reversed(started):
                end(process)


def _free_ports(number: int) -> list[str]:
    with ExitStack() as stack:
        made = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in made:
            one.bind(("127.0.0.1", 0))
        return [str(one.getsockname()[1]) for one in made]
