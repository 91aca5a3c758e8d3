"""A real mosquitto with the files that panelctl writes, `serve` as a process, and clients."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

PREFIX = "ebus/5"
MOSQUITTO = "/usr/sbin/mosquitto"


def free_ports(number: int) -> list[int]:
    """So many ports of loopback that nobody uses now."""
    with ExitStack() as stack:
        made = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in made:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in made]


def free_port() -> int:
    """A port of loopback that nobody uses now."""
    return free_ports(1)[0]


def panelctl(*words: str) -> str:
    """Run a verb, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "panelctl", *words], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class Listener:
    """A client that keeps what it hears: the newest text of each topic, and all in order."""

    def __init__(self, rig: BrokerRig, name: str, tls: bool = False, to: str = "#") -> None:
        self._texts: dict[str, str] = {}
        self.heard: list[tuple[float, str, str]] = []
        self.code: int | None = None
        self._changed = threading.Condition()
        self.client = paho.Client(CallbackAPIVersion.VERSION2, reconnect_on_failure=True)
        self.client.reconnect_delay_set(1, 1)
        self.client.username_pw_set(name, rig.password(name))
        if tls:
            context = ssl.create_default_context(cafile=str(rig.folder / "ca.pem"))
            self.client.tls_set_context(context)
        self.client.on_connect = self._connected
        self.client.on_message = self._message
        self._to = to
        self.client.connect("127.0.0.1", rig.tls_port if tls else rig.port)
        self.client.loop_start()

    def _connected(self, client: Any, data: Any, flags: Any, code: Any, properties: Any) -> None:
        self.code = int(code.value)
        client.subscribe(self._to, 1)
        with self._changed:
            self._changed.notify_all()

    def _message(self, client: Any, data: Any, message: Any) -> None:
        text = message.payload.decode("utf-8", "replace")
        with self._changed:
            self.heard.append((time.monotonic(), message.topic, text))
            if text:
                self._texts[message.topic] = text
            else:
                self._texts.pop(message.topic, None)
            self._changed.notify_all()

    def until(self, condition: Callable[[dict[str, str]], Any], timeout_s: float) -> float:
        """Wait until `condition` holds for what is known; how long that took, s."""
        begun_s = time.monotonic()
        with self._changed:
            if not self._changed.wait_for(lambda: condition(self._texts), timeout_s):
                few = {t: x[:60] for t, x in list(self._texts.items())[:5]}
                raise AssertionError(
                    f"did not come within {timeout_s} s; {len(self._texts)}: {few}"
                )
        return time.monotonic() - begun_s

    @property
    def texts(self) -> dict[str, str]:
        """What is known now, by topic; messages go on coming in meanwhile."""
        with self._changed:
            return dict(self._texts)

    def forget(self) -> None:
        """Begin to listen anew."""
        with self._changed:
            self._texts.clear()
            self.heard.clear()

    def value(self, path: str) -> str | None:
        """The newest text of a property."""
        return self._texts.get(f"{PREFIX}/{path}")

    def send(self, path: str, text: str | bytes, retain: bool = False) -> None:
        """Set a property."""
        self.client.publish(f"{PREFIX}/{path}/set", text, 1, retain).wait_for_publish(5)

    def stop(self) -> None:
        """Disconnect."""
        self.client.disconnect()
        self.client.loop_stop()


class BrokerRig:
    """The broker with panelctl's files in `folder`, and the processes that use it."""

    def __init__(self, folder: Path, serial: str = "demo-0001") -> None:
        self.folder = folder
        self.port, self.tls_port = free_ports(2)
        self._passwords: dict[str, str] = {}  # and the gateway's own, of panelctl
        self.broker: subprocess.Popen[bytes] | None = None
        self.serve: subprocess.Popen[bytes] | None = None
        ports = ["--port", str(self.port), "--tls-port", str(self.tls_port)]
        panelctl("mqtt", "setup", "--serial", serial, "--folder", str(folder), *ports)
        for role in ("reader", "owner", "installer"):
            told = panelctl("mqtt", "add", role, "--role", role, "--folder", str(folder), "--json")
            self._passwords[role] = json.loads(told)["password"]
        self._passwords["panelctl"] = (folder / "panelctl.password").read_text().strip()
        self.start_broker()

    def password(self, name: str) -> str:
        """The password of a client; of one that does not exist, anything."""
        return self._passwords.get(name, "wrong")

    def start_broker(self) -> None:
        """Start mosquitto, and wait until it listens. It forgets everything when it ends."""
        conf = self.folder / "mosquitto.conf"
        with (self.folder / "mosquitto.log").open("ab") as log:
            self.broker = subprocess.Popen([MOSQUITTO, "-c", str(conf)], stdout=log, stderr=log)
        deadline = time.monotonic() + 10
        while True:
            try:
                for port in (self.port, self.tls_port):  # it opens one after the other
                    socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                assert time.monotonic() < deadline, (self.folder / "mosquitto.log").read_text()
                assert self.broker.poll() is None, (self.folder / "mosquitto.log").read_text()
                threading.Event().wait(0.02)

    def kill_broker(self) -> None:
        """kill -9."""
        assert self.broker is not None
        self.broker.kill()
        self.broker.wait()

    def start_serve(self, control: Path, *more: str, tls: bool = False) -> None:
        """Start `panelctl serve`."""
        url = f"mqtts://127.0.0.1:{self.tls_port}" if tls else f"mqtt://127.0.0.1:{self.port}"
        ca = ["--ca", str(self.folder / "ca.pem")] if tls else []
        with (self.folder / "serve.log").open("ab") as log:
            self.serve = subprocess.Popen(
                [
                    *(sys.executable, "-m", "panelctl", "serve", "--broker", url, *ca),
                    *("--user", "panelctl", "--socket", str(control)),
                    *("--password-file", str(self.folder / "panelctl.password"), *more),
                ],
                stdin=subprocess.DEVNULL,
                stderr=log,
            )

    def stop(self) -> None:
        """End both."""
        for process in (self.serve, self.broker):
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
                process.wait(timeout=15)
