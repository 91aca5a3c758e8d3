"""What carrying a panel to a broker costs: `serve` as a process beside the controller, on the
demo's panel with 16 circuits more (48) that all draw, with a real broker; and whether the
controller notices.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from panelctl.clock import monotonic_ns
from panelctl.services.mqtt import Broker, Message, MqttClient
from tests.bench.rows import Row, quantile, reported
from tests.e2e.mqtt_rig import PREFIX, BrokerRig, Listener
from tests.e2e.rig import DEMO, PanelRig, Record

ROOT = "demo-0001"
SECONDS, RUNS = 30.0, 3
PROPERTIES, ROUNDS = 200, 25
MESSAGES = PROPERTIES * ROUNDS
ROOMS, EACH_W = 16, 60
TICKS = os.sysconf("SC_CLK_TCK")


def serve_rows() -> list[Row]:
    """`serve.*` and the controller's jitter under a flood of commands."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)  # the broker is another user
        config = Path(folder) / "panel.toml"
        config.write_text(DEMO.read_text() + "".join(_more()))
        panel = PanelRig(_made(Path(folder) / "panel"), config)
        broker = BrokerRig(_made(Path(folder) / "broker"))
        try:
            panel.start()
            panel.settle()
            for circuit in panel.bench.truth()["closed"]:
                if circuit not in ("compute", "evse"):
                    panel.bench.ask(do="demand", circuit=circuit, w=EACH_W)
            broker.start_serve(panel.folder / "control.sock")
            owner = Listener(broker, "owner")
            owner.until(_ready, 20)
            return [
                *_peers(broker),
                *_cost(broker, owner),
                *_latency(panel, owner),
                *_recovery(broker, owner),
                *_jitter(panel, broker),
            ]
        finally:
            broker.stop()
            panel.stop()


def _more() -> Iterator[str]:
    """Two meters and 16 circuits for the demo's panel."""
    for n in range(2):
        yield f"""
[[device]]
name = "branch{4 + n}"
link = "line2"
unit = {14 + n}
map = "wirenboard_wb_map12e"
accept_unverified = true
"""
    for n in range(ROOMS):
        leg, device, channel = "ab"[n % 2], f"branch{4 + n // 8}", f"ch{1 + n % 8}"
        yield f"""
[[circuit]]
id = "room_{n}"
name = "Room {n}"
spaces = [{49 + n}]
legs = "{leg}"
breaker_a = 15
role = "always-on"
tier = 0
[circuit.meter]
device = "{device}"
{leg} = "{channel}_a"
power = ["{channel}_w"]
energy = ["{channel}_import_wh"]
"""


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _ready(texts: dict[str, str]) -> bool:
    return texts.get(f"{PREFIX}/{ROOT}/$state") == "ready"


def _used(pid: int) -> tuple[float, float]:
    """CPU seconds and MB of memory of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    cpu_s = (int(fields[11]) + int(fields[12])) / TICKS
    return cpu_s, pages * os.sysconf("SC_PAGESIZE") / 1e6


def _wait(seconds: float) -> None:
    threading.Event().wait(seconds)


def _cost(broker: BrokerRig, owner: Listener) -> list[Row]:
    assert broker.serve is not None
    before_s, _ = _used(broker.serve.pid)
    owner.forget()
    _wait(SECONDS)
    after_s, megabytes = _used(broker.serve.pid)
    heard = len(owner.heard)
    return [
        reported("serve.rss_mb", megabytes, "MB", 1, "48 circuits; without the web face"),
        reported(
            "serve.cpu_share", (after_s - before_s) / SECONDS, "of a core", 1, "10 Hz records in"
        ),
        reported("serve.msgs_per_s", heard / SECONDS, "a second", 1, "only what changed"),
    ]


def _peers(broker: BrokerRig) -> list[Row]:
    """Measurements a second that come through to the end: our connection, and ebus-sdk's Device;
    both at QoS 0, in turns.
    """
    ours, theirs = [], []
    for _ in range(RUNS):
        ours.append(MESSAGES / asyncio.run(_ours(broker)))
        theirs.append(MESSAGES / _sdk(broker))
    mine, its = quantile(ours, 0.5), quantile(theirs, 0.5)
    note = f"ebus-sdk's Device {its:.0f}, ours {mine:.0f} messages a second, {MESSAGES} each"
    return [reported("serve.vs_ebus_sdk", mine / its, "times", RUNS, note)]


async def _ours(broker: BrokerRig) -> float:
    end = asyncio.Event()
    where = Broker("127.0.0.1", broker.port, "panelctl", _password(broker))
    will = Message(f"{PREFIX}/bench/$state", "lost")
    told = MqttClient(where, will, [], list, lambda topic, payload: None)
    back = MqttClient(
        where,
        Message(f"{PREFIX}/bench2/$state", "lost"),
        [f"{PREFIX}/bench/meter/end"],
        list,
        lambda topic, payload: end.set(),
    )
    tasks = [asyncio.create_task(one.run()) for one in (told, back)]
    try:
        while not (told.connected and back.connected):  # noqa: ASYNC110  # others' state
            await asyncio.sleep(0.01)
        begun_s = time.perf_counter()
        for n in range(ROUNDS):
            for k in range(PROPERTIES):
                told.put(Message(f"{PREFIX}/bench/meter/p{k}", f"{n}.{k}", qos=0))
            while told.waiting:  # noqa: ASYNC110  # the same
                await asyncio.sleep(0)
        told.put(Message(f"{PREFIX}/bench/meter/end", "1", retain=False, qos=0))
        await asyncio.wait_for(end.wait(), 30)
        return time.perf_counter() - begun_s
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _sdk(broker: BrokerRig) -> float:
    from ebus_sdk import Device, Node

    ready, end = threading.Event(), threading.Event()
    listener = Listener(broker, "owner", to=f"{PREFIX}/bench3/meter/end")
    cfg = {
        "host": "127.0.0.1",
        "port": broker.port,
        "use_tls": False,
        "authentication": {
            "type": "USER_PASS",
            "username": "panelctl",
            "password": _password(broker),
        },
    }
    names = [*(f"p{k}" for k in range(PROPERTIES)), "end"]
    device = Device("bench3", mqtt_cfg=cfg, qos=0)
    node = Node(id="meter", name="Meter", type="bench")
    node.set_device(device)
    with device.state_transition():
        made = [
            node.add_property_from_dict({"id": n, "name": n, "datatype": "string"}) for n in names
        ]
        device.add_node(node)
    try:
        device.start_mqtt_client()
        ready.wait(1.0)
        listener.forget()
        begun_s = time.perf_counter()
        for n in range(ROUNDS):
            for k in range(PROPERTIES):
                made[k].set_value(f"{n}.{k}")
        made[-1].set_value("1")
        listener.until(lambda texts: bool(texts), 30)
        return time.perf_counter() - begun_s
    finally:
        end.set()
        device.stop()
        listener.stop()


def _password(broker: BrokerRig) -> str:
    return (broker.folder / "panelctl.password").read_text().strip()


def _latency(panel: PanelRig, owner: Listener) -> list[Row]:
    """From the cycle in which a relay read back otherwise to a subscriber that knows."""
    path = f"{PREFIX}/{ROOT}-dryer/switch/relay"
    times_ms = []
    for n in range(2 * 6):
        owner.send(f"{ROOT}-dryer/switch/relay", ("OPEN", "CLOSED")[n % 2])
        wanted = ("OPEN", "CLOSED")[n % 2]
        record = panel.until(lambda r, w=wanted: _relay(r) == w, 60)  # type: ignore[misc]  # a default argument
        owner.until(lambda t, w=wanted: t.get(path) == w, 5)  # type: ignore[misc]  # the same
        came_s = next(s for s, topic, _ in reversed(owner.heard) if topic == path)
        ahead_s = monotonic_ns() / 1e9 - time.monotonic()
        times_ms.append((came_s + ahead_s - record["t_ns"] / 1e9) * 1000)
    return [
        reported(
            f"serve.cycle_to_subscriber_ms.{name}", quantile(times_ms, q), "ms", len(times_ms), ""
        )
        for name, q in (("p50", 0.5), ("p99", 0.99))
    ]


def _relay(record: Record) -> str:
    return str(next(c["relay"] for c in record["circuits"] if c["id"] == "dryer"))


def _recovery(broker: BrokerRig, owner: Listener) -> list[Row]:
    times_s = []
    for _ in range(RUNS):
        broker.kill_broker()
        broker.start_broker()
        owner.forget()
        times_s.append(owner.until(_ready, 30))
    note = "broker killed and started without its store; the subscriber's own second included"
    return [reported("serve.recover_s", max(times_s), "s", RUNS, note)]


def _jitter(panel: PanelRig, broker: BrokerRig) -> list[Row]:
    def late_ms(seconds: float) -> list[float]:
        seen: list[Record] = []
        begin_ns = monotonic_ns()
        panel.until(lambda r: r["t_ns"] >= begin_ns + seconds * 1e9, seconds + 20, seen)
        return [r["timing"]["late_us"] / 1000 for r in seen if r["t_ns"] >= begin_ns]

    quiet = late_ms(SECONDS)
    flood = Listener(broker, "owner", to="nothing")
    flood.until(lambda t: flood.code == 0, 5)
    done, sent = threading.Event(), [0]

    def hit() -> None:
        while not done.is_set():
            for payload in (b"OPEN", b"x" * 2000, b"\xff"):
                flood.client.publish(f"{PREFIX}/{ROOT}-hot-tub/switch/relay/set", payload, 0)
                sent[0] += 1
            if sent[0] % 300 == 0:
                done.wait(0.001)

    thread = threading.Thread(target=hit)
    thread.start()
    try:
        stormy = late_ms(SECONDS)
    finally:
        done.set()
        thread.join()
        flood.stop()
    per_s = sent[0] / SECONDS
    ratio = quantile(stormy, 0.5) / quantile(quiet, 0.5)
    return [
        reported(
            "run.tick_jitter_ms.p999", quantile(quiet, 0.999), "ms", len(quiet), "beside serve"
        ),
        reported(
            "run.tick_jitter_ms.p999.under_mqtt_storm",
            quantile(stormy, 0.999),
            "ms",
            len(stormy),
            f"{per_s:.0f} hostile commands a second; the median is {ratio:.2f} of the quiet",
        ),
    ]
