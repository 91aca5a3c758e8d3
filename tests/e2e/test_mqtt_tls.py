"""`serve` over TLS: a certificate that has expired, what it logs, and how it is found."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import ssl
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from panelctl.cli.connections import LASTS_S
from panelctl.services.certificates import Files, ensure
from tests.e2e.mqtt_rig import PREFIX, BrokerRig, Listener, free_port, free_ports, panelctl
from tests.e2e.rig import PanelRig

ROOT = "demo-0001"
STATE = f"{PREFIX}/{ROOT}/$state"
RECOVER_S = 5.0


@pytest.fixture
def rig() -> Iterator[BrokerRig]:
    # As root, mosquitto becomes the user of that name: its way there has to be open.
    made = BrokerRig(Path(tempfile.mkdtemp(prefix="panelctl-broker-")))
    try:
        yield made
    finally:
        made.stop()
        shutil.rmtree(made.folder)


def logged(rig: BrokerRig) -> list[dict[str, Any]]:
    """What `serve` has logged with `--log json`: whole lines only."""
    whole = (rig.folder / "serve.log").read_text().rpartition("\n")[0]
    return [json.loads(line) for line in whole.splitlines()]


def until(condition: Callable[[], Any], timeout_s: float) -> None:
    """Wait for what happens in another process."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s
        threading.Event().wait(0.05)


def test_an_expired_certificate_is_refused_and_its_renewal_taken(
    rig: BrokerRig, panel: PanelRig
) -> None:
    setup = json.loads((rig.folder / "setup.json").read_text())
    files, old = Files(rig.folder), datetime.now(UTC) - timedelta(days=500)
    files.server.unlink()
    assert ensure(files, setup["name"], ["127.0.0.1"], old)
    rig.kill_broker()
    rig.start_broker()
    rig.start_serve(panel.folder / "control.sock", "--log", "json", tls=True)
    until(lambda: any("expired" in line["message"] for line in logged(rig)), 15)
    assert rig.serve is not None
    assert rig.serve.poll() is None, "it keeps trying"
    owner = Listener(rig, "owner")
    try:
        owner.until(lambda texts: owner.code == 0, 10)
        assert STATE not in owner.texts, "nothing was said to a broker that nobody vouches for"
        words = ["mqtt", "setup", "--folder", str(rig.folder), "--json"]
        told = json.loads(panelctl(*words))
        assert told["new_certificate"]
        assert told["broker_told"], "it takes the new one without a restart"
        took_s = owner.until(lambda texts: texts.get(STATE) == "ready", 15)
        assert took_s < RECOVER_S + 5.0
    finally:
        owner.stop()


def test_events_are_logged_with_their_fields(rig: BrokerRig, panel: PanelRig) -> None:
    rig.start_serve(panel.folder / "control.sock", "--log", "json", tls=True)
    owner = Listener(rig, "owner", tls=True)
    try:
        owner.until(lambda texts: texts.get(STATE) == "ready", 15)
        owner.send(f"{ROOT}-dryer/switch/relay", "OPEN")
        owner.until(lambda texts: owner.value(f"{ROOT}-dryer/switch/relay") == "OPEN", 5)
        owner.send(f"{ROOT}-dryer/switch/relay", "AJAR")
        until(lambda: any(line.get("topic") for line in logged(rig)), 5)
        owner.send(f"{ROOT}-dryer/switch/relay", "CLOSED")
    finally:
        owner.stop()
    lines = logged(rig)
    opened = next(line for line in lines if line.get("what") == "open")
    assert opened["circuit"] == "dryer"
    assert opened["logger"] == "panelctl.events"
    assert opened["seq"] > 0
    assert datetime.fromisoformat(opened["time"]).tzinfo is not None
    refused = next(line for line in lines if "topic" in line)
    assert refused["topic"].endswith("dryer/switch/relay")
    assert refused["why"]


def test_the_web_face_speaks_tls_and_lets_nobody_keep_it_busy(
    rig: BrokerRig, panel: PanelRig
) -> None:
    """Connections that say nothing do not keep others out, and end."""
    web, tls = free_ports(2)
    where = ["--listen", f"127.0.0.1:{web}", "--listen-tls", f"127.0.0.1:{tls}"]
    rig.start_serve(panel.folder / "control.sock", *where, "--access", str(rig.folder), tls=True)
    context = ssl.create_default_context(cafile=str(rig.folder / "ca.pem"))

    def status(port: int, scheme: str) -> str:
        url = f"{scheme}://127.0.0.1:{port}/api/v2/status"
        with urllib.request.urlopen(url, timeout=5, context=context) as answer:
            return str(json.loads(answer.read())["serialNumber"])

    def listening() -> bool:
        with suppress(OSError):
            return status(tls, "https") == status(web, "http") == ROOT
        return False

    until(listening, 15)
    with ExitStack() as stack:
        silent = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            for port in (web, tls)
            for _ in range(100)
        ]
        for one in silent:
            one.settimeout(LASTS_S + 5.0)
            with suppress(OSError):
                one.sendall(b"POST /api/v2/auth/register HTTP/1.1\r\nHost: x\r\n")
        elsewhere = socket.create_connection(("127.0.0.1", web), 5, ("127.0.0.2", 0))
        stack.enter_context(elsewhere)
        elsewhere.sendall(b"GET /api/v2/status HTTP/1.1\r\nHost: x\r\n\r\n")
        assert elsewhere.recv(4096).startswith(b"HTTP/1.1 200"), "another address is served"
        assert rig.serve is not None
        open_now = len(os.listdir(f"/proc/{rig.serve.pid}/fd"))
        assert open_now < 80, "of two hundred connections a few are held"
        for one in silent[:100]:
            with suppress(ConnectionError):
                assert one.recv(1) == b""
    assert status(web, "http") == ROOT
    assert status(tls, "https") == ROOT


def test_it_is_found_by_mdns_until_it_ends(rig: BrokerRig, panel: PanelRig) -> None:
    web = free_port()
    where = ["--listen", f"127.0.0.1:{web}", "--access", str(rig.folder), "--mdns"]
    rig.start_serve(panel.folder / "control.sock", *where, tls=True)

    async def look() -> None:
        async with AsyncZeroconf(interfaces=["127.0.0.1"]) as zeroconf:

            async def ask(kind: str) -> AsyncServiceInfo | None:
                info = AsyncServiceInfo(f"{kind}._tcp.local.", f"{ROOT}.{kind}._tcp.local.")
                return info if await info.async_request(zeroconf.zeroconf, 15_000) else None

            kinds = ("_ebus", "_device-info", "_secure-mqtt", "_http")
            ebus, device, broker, http = await asyncio.gather(*(ask(kind) for kind in kinds))
            assert ebus is not None
            assert device is not None
            assert broker is not None
            assert http is not None
            assert (
                ebus.decoded_properties.items()
                >= {
                    "txtvers": "1",
                    "ebus_version": "1.0",
                    "roles": "device,broker-host",
                    "device_id": ROOT,
                    "homie_domain": "ebus",
                    "homie_version": "5",
                }.items()
            )
            assert device.decoded_properties["serial_number"] == ROOT
            assert (broker.port, http.port) == (rig.tls_port, web)
            assert broker.decoded_properties["broker"] == ebus.decoded_properties["mqtt_broker"]
            assert ebus.decoded_properties["httpPort"] == str(web)
            assert http.parsed_addresses() == ["127.0.0.1"]
            assert rig.serve is not None
            rig.serve.terminate()
            await asyncio.to_thread(rig.serve.wait, 15)
            # What is known lives on for a second after the goodbye; then nobody answers.
            deadline_s = time.monotonic() + 10
            again = AsyncServiceInfo("_ebus._tcp.local.", f"{ROOT}._ebus._tcp.local.")
            while await again.async_request(zeroconf.zeroconf, 500):
                assert time.monotonic() < deadline_s

    asyncio.run(look())
