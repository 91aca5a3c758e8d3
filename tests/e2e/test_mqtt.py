"""The whole way: simulated panel, controller, `serve`, a real broker, and clients that we did not
write.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import statistics
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from panelctl.clock import monotonic_ns
from tests.e2e.mqtt_rig import PREFIX, BrokerRig, Listener, free_port, panelctl
from tests.e2e.rig import PanelRig, Record, node, open_circuits

ROOT = "demo-0001"
STATE = f"{PREFIX}/{ROOT}/$state"
RELAY = f"{ROOT}-dryer/switch/relay"
RECOVER_S = 5.0


@pytest.fixture(scope="module")
def rig(panel: PanelRig) -> Iterator[BrokerRig]:
    # As root, mosquitto becomes the user of that name: its way there has to be open.
    folder = Path(tempfile.mkdtemp(prefix="panelctl-broker-"))
    made = BrokerRig(folder)
    made.web = free_port()  # type: ignore[attr-defined]  # where this module's web face listens
    try:
        start_serve(made, panel)
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder)


def start_serve(rig: BrokerRig, panel: PanelRig) -> None:
    """Start `serve` with its web face."""
    web = ["--listen", f"127.0.0.1:{rig.web}", "--access", str(rig.folder)]  # type: ignore[attr-defined]  # set by the fixture
    rig.start_serve(panel.folder / "control.sock", *web)


@pytest.fixture
def owner(rig: BrokerRig) -> Iterator[Listener]:
    made = Listener(rig, "owner", tls=True)
    try:
        made.until(ready, 15)
        yield made
    finally:
        made.stop()


def ready(texts: dict[str, str]) -> bool:
    """The root and every child that it names are ready and described."""
    if texts.get(STATE) != "ready" or f"{PREFIX}/{ROOT}/$description" not in texts:
        return False
    children = json.loads(texts[f"{PREFIX}/{ROOT}/$description"])["children"]
    return all(
        texts.get(f"{PREFIX}/{child}/$state") == "ready"
        and f"{PREFIX}/{child}/$description" in texts
        for child in children
    )


def test_the_tree_is_whole_and_says_what_it_is(owner: Listener) -> None:
    described = {
        topic.split("/")[2]: json.loads(text)
        for topic, text in owner.texts.items()
        if topic.endswith("/$description")
    }
    assert len(described) == 1 + 1 + 32 + 2  # enclosure, lugs, circuits, node and charger
    for device, plain in described.items():
        for part, content in plain["nodes"].items():
            for name, kind in content["properties"].items():
                assert kind.get("settable", True) is True, "what is not settable does not say so"
                text = owner.value(f"{device}/{part}/{name}")
                if text is None:
                    continue
                if kind["datatype"] == "enum":
                    assert text in kind["format"].split(","), f"{device}/{part}/{name}"
                elif kind["datatype"] in ("float", "integer"):
                    assert math.isfinite(float(text))
                    assert text != "-0.0"
                elif kind["datatype"] == "boolean":
                    assert text in ("true", "false")
    assert owner.value(f"{ROOT}/info/serial-number") == ROOT
    assert owner.value(f"{ROOT}/pcs/binding-constraint") == "FSR"
    assert float(owner.value(f"{ROOT}/pcs/import-limit") or 0) == 160.0
    assert owner.value(f"{ROOT}-lugs-up/info/direction") == "UPSTREAM"


def test_signs_are_turned_in_the_enclosures_frame_alone(owner: Listener) -> None:
    def read(path: str) -> float:
        return float(owner.value(path) or "nan")

    owner.until(lambda texts: read(f"{ROOT}-compute/meter/active-power") < -10_000, 10)
    assert read(f"{ROOT}-compute-device/meter/active-power") > 10_000
    assert read(f"{ROOT}-lugs-up/meter/active-power") > 10_000
    assert read(f"{ROOT}/power-flows/grid") < -10_000
    assert read(f"{ROOT}/power-flows/site") > 10_000


def test_a_relay_is_opened_and_closed_by_its_owner(panel: PanelRig, owner: Listener) -> None:
    """Confirmed within the five seconds that clients wait; who asked is told."""
    owner.send(RELAY, "OPEN")
    assert owner.until(lambda t: t.get(f"{PREFIX}/{RELAY}") == "OPEN", 5) < 5
    owner.until(lambda t: t.get(f"{PREFIX}/{RELAY}-requester") == "USER", 5)
    panel.until(lambda r: "dryer" in open_circuits(r), 5)
    owner.until(lambda t: "a user opened it" in t[f"{PREFIX}/{ROOT}-dryer/decision/text"], 5)
    owner.send(RELAY, "CLOSED")
    owner.until(lambda t: t.get(f"{PREFIX}/{RELAY}") == "CLOSED", 30)
    before = len(owner.heard)
    owner.send(RELAY, "OPEN ")
    owner.until(lambda t: any("$log/warn" in topic for _, topic, _ in owner.heard[before:]), 5)
    assert owner.value(RELAY) == "CLOSED"


def test_what_is_so_already_is_said_again(owner: Listener) -> None:
    path = f"{ROOT}/pcs/requested-import-limit"
    owner.send(path, "100")
    owner.until(lambda t: t.get(f"{PREFIX}/{path}") == "100.0", 5)
    owner.until(lambda t: t.get(f"{PREFIX}/{ROOT}/pcs/binding-constraint") == "REQUESTED", 5)
    owner.send(path, "160")  # the control setting itself: taken back
    owner.until(lambda t: t.get(f"{PREFIX}/{path}") == "160.0", 5)
    owner.until(lambda t: t.get(f"{PREFIX}/{path}-active") == "false", 5)


def test_a_flex_request_lowers_the_node(panel: PanelRig, owner: Listener) -> None:
    device = f"{ROOT}-compute-device"
    owner.send(f"{device}/flex/request", json.dumps({"mode": "SHED", "level": 50, "duration": 60}))
    panel.until(lambda r: 6_700 < node(r)["budget_w"] <= 6_850 > node(r)["draw_w"], 10)
    owner.until(lambda t: t.get(f"{PREFIX}/{device}/flex/response") == "CURTAILED", 5)
    assert json.loads(owner.value(f"{device}/flex/active-request") or "")["level"] == 50
    owner.send(f"{device}/flex/request", '{"mode":"NORMAL"}')
    panel.until(lambda r: node(r)["draw_w"] > 12_000, 20)
    before = len(owner.heard)
    owner.send(f"{device}/flex/request", '{"mode":"LOAD_UP","level":1,"duration":5}')
    owner.until(lambda t: any("$log/warn" in topic for _, topic, _ in owner.heard[before:]), 5)


def test_roles_are_kept_by_the_broker(rig: BrokerRig, panel: PanelRig, owner: Listener) -> None:
    reader = Listener(rig, "reader")
    stranger = Listener(rig, "stranger")
    try:
        reader.until(ready, 10)
        reader.send(RELAY, "OPEN")
        owner.send(f"{ROOT}-dryer/decision/tier", "9")  # an installer's, not an owner's
        stranger.until(lambda t: stranger.code is not None, 10)
        assert stranger.code != 0
        owner.send(f"{ROOT}-hot-tub/switch/relay", "OPEN")  # what comes after has come through
        owner.until(lambda t: t.get(f"{PREFIX}/{ROOT}-hot-tub/switch/relay") == "OPEN", 5)
        assert owner.value(RELAY) == "CLOSED"
        assert owner.value(f"{ROOT}-dryer/decision/tier") == "3"
        installer = Listener(rig, "installer")
        installer.until(ready, 10)
        installer.send(f"{ROOT}-dryer/decision/tier", "9")
        installer.until(lambda t: t.get(f"{PREFIX}/{ROOT}-dryer/decision/tier") == "9", 5)
        installer.send(f"{ROOT}-dryer/decision/tier", "3")
        installer.stop()
    finally:
        owner.send(f"{ROOT}-hot-tub/switch/relay", "CLOSED")
        reader.stop()
        stranger.stop()


def open_or_closed(panel: PanelRig, circuit: str) -> str:
    """What the controller reads of a relay now."""
    record = records(panel, 0.3)[-1]
    return str(next(c["relay"] for c in record["circuits"] if c["id"] == circuit))


def test_a_retained_command_is_none(rig: BrokerRig, owner: Listener, panel: PanelRig) -> None:
    """It would come again with every connection: it is not obeyed, and taken off the broker.
    Neither is what is too long, or no text.
    """
    invented = f"{ROOT}-nobody/switch/relay"
    owner.send(RELAY, "OPEN", retain=True)
    owner.send(invented, "OPEN", retain=True)
    topics = [f"{PREFIX}/{path}/set" for path in (RELAY, invented)]
    owner.until(lambda t: {topic for _, topic, x in owner.heard if not x} >= set(topics), 5)
    late = Listener(rig, "owner")
    late.until(ready, 10)
    assert not any(topic.endswith("/set") for topic in late.texts)
    late.stop()
    assert open_or_closed(panel, "dryer") == "CLOSED"
    owner.send(RELAY, b"OPEN" * 5000)
    owner.send(RELAY, b"\xff\xfe")
    owner.send(RELAY, "CLOSED")
    owner.until(lambda t: sum("$log/warn" in topic for _, topic, _ in owner.heard) >= 2, 5)
    assert owner.value(RELAY) == "CLOSED"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the SDK has paho's old callbacks
def test_the_sdks_controller_reads_the_tree_as_complete(rig: BrokerRig, owner: Listener) -> None:
    from ebus_sdk import Controller

    cfg = {
        "host": "127.0.0.1",
        "port": rig.port,
        "authentication": {
            "type": "USER_PASS",
            "username": "reader",
            "password": rig.password("reader"),
        },
        "use_tls": False,
    }
    controller = Controller(mqtt_cfg=cfg, root_device_id=ROOT)
    came = threading.Event()
    try:
        controller.start_discovery()
        for _ in range(200):
            if controller.is_tree_complete(ROOT):
                break
            came.wait(0.05)
        assert controller.is_tree_complete(ROOT)
        found = controller.get_device(f"{ROOT}-dryer")
        assert found is not None
    finally:
        controller.stop()


def test_the_simulators_capture_reads_it_back(rig: BrokerRig, owner: Listener) -> None:
    """panel-sim-capture of ebus-panel-sim takes the tree for a panel, circuits and all."""
    from ebus_panel_sim.capture import definition_from_tree, tree_from_retained

    tree = tree_from_retained({t: x for t, x in owner.texts.items() if t.startswith(PREFIX)})
    definition, notes = definition_from_tree(tree, mask=False)
    instances = definition.manifest.instances
    assert sum(instance.entity_class == "circuit" for instance in instances) == 32
    (enclosure,) = (i for i in instances if i.entity_class == "panel")
    assert enclosure.metadata["serial-number"] == ROOT
    assert enclosure.metadata["panel-size"] == "48"
    dryer = next(i for i in instances if i.display_name == "Clothes dryer")
    assert dryer.metadata["tab-numbers"] == "6,8"
    assert dryer.metadata["relay-behavior"] == "controllable"
    unread = {note.device for note in notes if "unsupported" in note.note}
    assert unread == {f"{ROOT}-compute-device"}, "eBus has no word for it"


def test_home_assistants_discovery(owner: Listener) -> None:
    topic = f"homeassistant/device/{ROOT}/config"
    owner.until(lambda texts: topic in texts, 5)
    plain = json.loads(owner.texts[topic])
    assert {"device", "origin", "components", "availability"} <= set(plain)
    assert plain["origin"]["name"] == "panelctl"
    components = plain["components"].values()
    assert len({component["unique_id"] for component in components}) == len(plain["components"])
    for component in components:
        assert component["state_topic"].startswith(PREFIX)
        assert component["platform"] in ("sensor", "switch", "number", "binary_sensor")
        if component.get("device_class") == "energy":
            assert component["state_class"] == "total_increasing"
    switches = [c for c in components if c["platform"] == "switch"]
    assert {"dryer", "compute"} <= {c["unique_id"].split("_")[2] for c in switches}
    assert all(c["command_topic"] == f"{c['state_topic']}/set" for c in switches)
    assert not any("refrigerator" in c["unique_id"] for c in switches), "it is always on"


def test_a_killed_broker_gets_the_whole_tree_again(rig: BrokerRig, owner: Listener) -> None:
    """Its retained store is gone with it."""
    rig.kill_broker()
    rig.start_broker()
    owner.forget()
    took_s = owner.until(ready, RECOVER_S + 1.0)  # the listener itself waits a second to reconnect
    assert took_s < RECOVER_S + 1.0
    owner.until(lambda t: f"{PREFIX}/{ROOT}-dryer/meter/current" in t, 3)


@pytest.mark.alone
def test_a_frozen_broker_comes_back(rig: BrokerRig, panel: PanelRig, owner: Listener) -> None:
    """SIGSTOP for longer than anybody waits for it; the controller does not notice."""
    assert rig.broker is not None
    os.kill(rig.broker.pid, signal.SIGSTOP)
    try:
        seen = records(panel, 8.0)
    finally:
        os.kill(rig.broker.pid, signal.SIGCONT)
    assert seen[-1]["timing"]["overruns"] - seen[0]["timing"]["overruns"] <= 1
    begun_s = time.monotonic()
    while owner.value(RELAY) != "OPEN":  # what is sent before `serve` is back reaches nobody
        owner.send(RELAY, "OPEN")
        with suppress(AssertionError):
            owner.until(lambda t: t.get(f"{PREFIX}/{RELAY}") == "OPEN", 0.5)
        assert time.monotonic() - begun_s < RECOVER_S + 5.0, "and the relay takes its time"
    owner.send(RELAY, "CLOSED")
    owner.until(lambda t: t.get(f"{PREFIX}/{RELAY}") == "CLOSED", 30)
    owner.until(ready, 10)
    log = (rig.folder / "mosquitto.log").read_text()
    assert "panelctl-demo-0001" in log, "always by one name, so that no old connection stays"


def test_a_will_of_an_old_connection_does_not_last(rig: BrokerRig, owner: Listener) -> None:
    """A broker may miss a dead connection only after the next one has said `ready`."""
    other = Listener(rig, "panelctl", to="nothing")
    other.until(lambda t: other.code == 0, 5)
    owner.forget()
    other.client.publish(STATE, "lost", 1, True).wait_for_publish(5)
    # It may have been mended again before anybody looks: what was heard counts.
    owner.until(lambda t: (STATE, "lost") in [heard[1:] for heard in owner.heard], 5)
    owner.until(ready, RECOVER_S)
    other.stop()


def test_the_tree_comes_in_its_order(rig: BrokerRig, owner: Listener) -> None:
    """On the wire: of each device `init`, the description, the values, `ready`; the root last."""
    fresh = Listener(rig, "owner", to=f"{PREFIX}/#")
    fresh.until(ready, 10)
    fresh.forget()
    other = Listener(rig, "panelctl", to="nothing")
    other.until(lambda t: other.code == 0, 5)
    other.client.publish(STATE, "lost", 1, True).wait_for_publish(5)
    fresh.until(lambda t: t.get(STATE) == "ready", 10)
    other.stop()
    fresh.stop()
    stage: dict[str, str] = {}
    for _, topic, text in fresh.heard:
        device, _, rest = topic.removeprefix(f"{PREFIX}/").partition("/")
        if topic == STATE and text == "lost":
            stage.clear()
        elif rest == "$state":
            stage[device] = text
        elif rest == "$description":
            assert stage[device] == "init", topic
            stage[device] = "described"
        elif stage.get(device) == "init":
            raise AssertionError(f"{topic} before its description")
    assert set(stage.values()) == {"ready"}
    assert next(reversed([t for _, t, x in fresh.heard if t.endswith("$state")])) == STATE


@pytest.mark.alone
@pytest.mark.loud
def test_a_flood_of_commands_costs_the_controller_nothing(rig: BrokerRig, panel: PanelRig) -> None:
    """Two seconds of as many hostile messages as a client can send."""
    quiet = [r["timing"]["late_us"] for r in records(panel, 2.0)]
    flood = Listener(rig, "owner", to="nothing")
    flood.until(lambda t: flood.code == 0, 5)
    sent, seen = 0, []
    done = threading.Event()

    def hit() -> None:
        nonlocal sent
        while not done.is_set():
            for payload in (b"OPEN", b"x" * 2000, b"\xff", b"[" * 500, b""):
                flood.client.publish(f"{PREFIX}/{ROOT}-hot-tub/switch/relay/set", payload, 0)
                flood.client.publish(f"{PREFIX}/{ROOT}/pcs/requested-import-limit/set", payload, 0)
                sent += 2
            if sent % 1000 == 0:
                done.wait(0.0005)

    thread = threading.Thread(target=hit)
    thread.start()
    try:
        seen = records(panel, 2.5)
    finally:
        done.set()
        thread.join()
        flood.stop()
    assert sent > 25_000, "10,000 a second"
    assert seen[-1]["timing"]["overruns"] - seen[0]["timing"]["overruns"] <= 1
    late = [r["timing"]["late_us"] for r in seen]
    assert statistics.median(late) < statistics.median(quiet) + 20_000, "a fifth of a cycle"
    after = Listener(rig, "owner", to=f"{PREFIX}/{RELAY}")  # one that has not heard the flood
    after.until(lambda t: t.get(f"{PREFIX}/{RELAY}") == "CLOSED", 5)
    after.forget()
    begun_s = time.monotonic()
    while after.value(RELAY) != "CLOSED":
        after.send(RELAY, "CLOSED")  # what comes in a flood may be dropped
        with suppress(AssertionError):
            after.until(lambda t: t.get(f"{PREFIX}/{RELAY}") == "CLOSED", 0.5)
        assert time.monotonic() - begun_s < RECOVER_S, "it is answered again"
    after.stop()


def records(panel: PanelRig, seconds: float) -> list[Record]:
    """The records of so many seconds from now on; what waited to be read is older."""
    seen: list[Record] = []
    begin_ns = monotonic_ns()
    panel.until(lambda r: r["t_ns"] >= begin_ns + seconds * 1e9, 20, seen)
    return [record for record in seen if record["t_ns"] >= begin_ns]


def call(rig: BrokerRig, path: str, body: object = None, token: str = "", method: str = "") -> Any:
    """Code and JSON of a call of the web face."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    data = None if body is None else json.dumps(body).encode()
    port = rig.web  # type: ignore[attr-defined]  # set by the fixture
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", data, headers, method=method or None
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read().decode()
            code = answer.status
    except urllib.error.HTTPError as error:
        code, text = error.code, error.read().decode()
    try:
        return code, json.loads(text)
    except ValueError:
        return code, text


def test_a_client_registers_reads_and_is_revoked(rig: BrokerRig, owner: Listener) -> None:
    assert call(rig, "/api/v2/status")[1]["serialNumber"] == ROOT
    code, schema = call(rig, "/api/v2/homie/schema")
    assert code == 200
    assert schema["dataModelVersion"] == owner.value(f"{ROOT}/info/data-model-version")
    code, pem = call(rig, "/api/v2/certificate/ca")
    assert pem.startswith("-----BEGIN")
    passphrase = (rig.folder / "passphrase").read_text().strip()
    code, said = call(rig, "/api/v2/auth/register", {"name": "tab-1", "hopPassphrase": "no"})
    assert code == 401
    assert passphrase not in str(said)
    code, told = call(rig, "/api/v2/auth/register", {"name": "tab-1", "hopPassphrase": passphrase})
    assert code == 200
    assert {"accessToken", "ebusBrokerHost", "ebusBrokerMqttsPort", "iatMs"} <= set(told)
    assert told["ebusBrokerHost"] == "127.0.0.1", "where it reached us, and the certificate has it"
    named = {"name": "Home Assistant-0a1b2c3d", "hopPassphrase": passphrase}
    assert call(rig, "/api/v2/auth/register", named)[1]["ebusBrokerUsername"].startswith("Home-As")
    rig._passwords["tab-1"] = told["ebusBrokerPassword"]
    client = Listener(rig, "tab-1", tls=True)
    try:
        client.until(ready, 10)
    finally:
        client.stop()
    token = told["accessToken"]
    again = {"name": "tab-1", "hopPassphrase": passphrase}
    code, said = call(rig, "/api/v2/auth/register", again)
    assert code == 409
    assert "already" in said["detail"]
    assert call(rig, "/api/v2/auth/clients", None, "x")[0] == 401
    assert {"name": "tab-1", "role": "owner"} in call(rig, "/api/v2/auth/clients", token=token)[1]
    assert call(rig, "/api/v2/auth/clients/panelctl", token=token, method="DELETE")[0] == 403
    assert call(rig, "/api/v2/auth/clients/tab-1", token=token, method="DELETE")[0] == 204
    assert call(rig, "/api/v2/auth/clients", token=token)[0] == 401
    code, text = call(rig, "/metrics")
    assert code == 200
    assert 'panelctl_state{state="NORMAL"} 1.0' in text
    assert "panelctl_mqtt_connected 1.0" in text
    for _ in range(12):
        code, _ = call(rig, "/api/v2/auth/register", {"name": "x", "hopPassphrase": "guess"})
    assert code == 429


def test_what_an_earlier_run_left_is_cleared(
    rig: BrokerRig, panel: PanelRig, owner: Listener
) -> None:
    """A circuit and a property that were taken out of the panel file while `serve` was down."""
    assert rig.serve is not None
    rig.serve.terminate()
    assert rig.serve.wait(10) == 0
    config = f"homeassistant/device/{ROOT}/config"
    told = json.loads(owner.texts[config])
    told["components"]["old"] = {"platform": "switch", "unique_id": "old"}
    property_ = {"name": "Heat", "datatype": "float"}
    sauna = {"root": ROOT, "nodes": {"meter": {"properties": {"heat": property_}}}}
    dryer = json.loads(owner.value(f"{ROOT}-dryer/$description") or "")
    dryer["nodes"]["meter"]["properties"]["heat"] = property_
    theirs = {"root": "another", "nodes": {"meter": {"properties": {"heat": property_}}}}
    before = {
        f"{PREFIX}/{ROOT}-sauna/$state": "ready",
        f"{PREFIX}/{ROOT}-sauna/$description": json.dumps(sauna),
        f"{PREFIX}/{ROOT}-sauna/meter/heat": "80.0",
        f"{PREFIX}/{ROOT}-dryer/$description": json.dumps(dryer),
        f"{PREFIX}/{ROOT}-dryer/meter/heat": "60.0",
        f"{PREFIX}/another-sauna/$description": json.dumps(theirs),
        f"{PREFIX}/another-sauna/meter/heat": "90.0",
        config: json.dumps(told),
    }
    other = Listener(rig, "panelctl", to="nothing")
    other.until(lambda t: other.code == 0, 5)
    for topic, text in before.items():
        other.client.publish(topic, text, 1, True).wait_for_publish(5)
    other.stop()
    owner.until(lambda t: before.keys() <= t.keys(), 5)
    start_serve(rig, panel)
    kept = {f"{PREFIX}/another-sauna/{rest}" for rest in ("$description", "meter/heat")}
    owner.until(lambda t: {x for x in t if x.endswith("/heat") or "-sauna/" in x} == kept, 15)
    owner.until(ready, 10)
    owner.until(lambda t: "old" not in json.loads(t[config])["components"], 5)
    said = [json.loads(text)["components"] for _, topic, text in owner.heard if topic == config]
    assert {"platform": "switch"} in [components.get("old") for components in said]
    assert "heat" not in (owner.value(f"{ROOT}-dryer/$description") or "")


def test_the_end_is_said(rig: BrokerRig, panel: PanelRig, owner: Listener) -> None:
    """A controller that ends makes the tree lost; `serve` says goodbye in order."""
    assert panel.run is not None
    panel.run.send_signal(signal.SIGTERM)
    panel.run.wait(10)
    assert panel.client is not None
    panel.client.close()
    owner.until(lambda t: t.get(STATE) == "lost", 6)
    panel.start()
    owner.until(ready, 15)
    assert rig.serve is not None
    rig.serve.terminate()
    assert rig.serve.wait(10) == 0
    owner.until(lambda t: t.get(STATE) == "disconnected", 3)


def test_setup_keeps_what_is_there(tmp_path: Path) -> None:
    words = ["mqtt", "setup", "--serial", "Home-7", "--folder", str(tmp_path), "--json"]
    first = json.loads(panelctl(*words))
    secret = (tmp_path / "panelctl.password").read_text()
    again = json.loads(panelctl(*words))
    assert first["new_certificate"]
    assert not again["new_certificate"]
    assert (tmp_path / "panelctl.password").read_text() == secret
    assert json.loads(panelctl(*words, "--address", "192.0.2.7"))["new_certificate"]
    renew = ["mqtt", "setup", "--folder", str(tmp_path), "--json"]
    assert not json.loads(panelctl(*renew))["new_certificate"], "what was given is remembered"
    assert "topic readwrite ebus/5/#" in (tmp_path / "acl").read_text()
    assert secret.strip() not in (tmp_path / "clients.json").read_text()
    modes = {name: os.stat(tmp_path / name).st_mode & 0o777 for name in os.listdir(tmp_path)}
    assert modes["clients.json"] == modes["ca.key"] == modes["passphrase"] == 0o600
    assert modes["passwords"] == modes["server.key"] == 0o640
