"""The gateway services without a broker: a controller that hangs, clients in a race, old orders."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from panelctl.cli.logs import JsonLines
from panelctl.config.load import read_panel
from panelctl.errors import ServiceError, SocketError
from panelctl.link import follower
from panelctl.model.command import CloseRelay
from panelctl.model.record import VERSION, EventRecord, HelloRecord, UnitRecord
from panelctl.services.access import NAME, Clients, Role, fits, hash_password
from panelctl.services.gateway import PREFIX, Gateway
from panelctl.services.journal import MOST, Journal
from panelctl.services.metrics import exposition, registry
from panelctl.services.mqtt import Broker
from panelctl.services.web import MOST_TRIES, TRIES, TRIES_S, Access, RestApi, _user_name
from tests.engine_rig import EngineRig
from tests.records import demo_hello, demo_record, record_of

HELLO = demo_hello()
WHERE = Broker("127.0.0.1", 1)


async def hung(path: Path, said: list[Mapping[str, Any]]) -> asyncio.AbstractServer:
    """A controller that says something and then nothing more, for ever."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for message in said:
            writer.write(json.dumps({"v": VERSION, **message}).encode() + b"\n")
        await reader.read()  # until the other end has had enough
        writer.close()

    return await asyncio.start_unix_server(serve, path)


def test_a_controller_that_hangs_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "SILENCE_S", 0.1)
    monkeypatch.setattr(follower, "RETRY_S", 0.01)

    async def run() -> None:
        lost, path = asyncio.Event(), tmp_path / "s"
        server = await hung(path, [{"hello": HELLO}, {**demo_record(), "seq": 1}])
        seen: list[int] = []
        followed = follower.Follower(
            path, lambda hello: None, lambda r: seen.append(r["seq"]), lost.set
        )
        task = asyncio.create_task(followed.run())
        await asyncio.wait_for(lost.wait(), 5)
        assert seen[0] == 1
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        server.close()

    asyncio.run(run())


def test_what_is_not_answered_is_given_up_and_does_not_act_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "ANSWER_S", 0.1)
    monkeypatch.setattr(follower, "SILENCE_S", 5.0)

    async def run() -> None:
        met, lost, path = asyncio.Event(), asyncio.Event(), tmp_path / "s"
        server = await hung(path, [{"hello": HELLO}])
        followed = follower.Follower(path, lambda hello: met.set(), lambda record: None, lost.set)
        task = asyncio.create_task(followed.run())
        await asyncio.wait_for(met.wait(), 5)
        with pytest.raises(SocketError, match="does not answer"):
            await followed.command(CloseRelay("1", "dryer"))
        await asyncio.wait_for(lost.wait(), 5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        server.close()

    asyncio.run(run())


def test_clients_that_are_added_at_once_are_all_there(tmp_path: Path) -> None:
    passwords: dict[str, str] = {}

    def add(name: str) -> None:
        passwords[name] = Clients(tmp_path, "p").add(name, Role.OWNER, anew=False)

    threads = [threading.Thread(target=add, args=(f"n{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    clients = Clients(tmp_path, "p")
    assert [client.name for client in clients.all()] == sorted(passwords)
    for name, password in passwords.items():
        assert clients.find(name, password) is not None
        assert clients.find(name, password + "x") is None
    with pytest.raises(ServiceError, match="already"):
        clients.add("n1", Role.OWNER, anew=False)
    with pytest.raises(ServiceError, match="name"):
        clients.add("bad\nuser root", Role.OWNER)
    clients.revoke("n1")
    assert "user n1\n" not in (tmp_path / "acl").read_text()
    assert "n1:" not in (tmp_path / "passwords").read_text()


def test_the_gateways_own_name_is_not_a_clients(tmp_path: Path) -> None:
    clients = Clients(tmp_path, "p")
    clients.add("panelctl", Role.PUBLISHER)
    for change in (
        lambda: clients.add("panelctl", Role.OWNER),
        lambda: clients.revoke("panelctl"),
    ):
        with pytest.raises(ServiceError, match="gateway"):
            change()
    assert [client.role for client in Clients(tmp_path, "p").all()] == [Role.PUBLISHER]


def test_a_password_fits_its_hash_alone() -> None:
    made = hash_password("right")
    assert fits("right", made)
    assert not fits("wrong", made)
    assert hash_password("right") != made, "each has its own salt"


def test_one_address_that_guesses_does_not_keep_others_from_registering(tmp_path: Path) -> None:
    async def run() -> None:
        face = RestApi(await _heard(tmp_path), None)
        assert [face._wait_s("192.0.2.1") for _ in range(TRIES)] == [0] * TRIES
        assert 0 < face._wait_s("192.0.2.1") <= TRIES_S + 1
        assert face._wait_s("192.0.2.2") == 0
        others = [face._wait_s(f"192.0.2.{n}") for n in range(3, 3 + MOST_TRIES)]
        assert others.count(0) == MOST_TRIES - TRIES - 1, "all together have a bound too"

    asyncio.run(run())


@pytest.mark.parametrize(
    ("asked", "made"),
    [
        ("home-assistant-1a2b", r"home-assistant-1a2b"),
        ("Home Assistant-1a2b3c4d", r"Home-Assistant-1a2b3c4d-[0-9a-f]{8}"),
        ("bad\nuser root", r"bad-user-root-[0-9a-f]{8}"),
        ("../x", r"x-[0-9a-f]{8}"),
        ("a" * 90, r"a{55}-[0-9a-f]{8}"),
        ("", r"client-[0-9a-f]{8}"),
        ("漢字", r"client-[0-9a-f]{8}"),
        (None, r"client-[0-9a-f]{8}"),
        (["x"], r"client-[0-9a-f]{8}"),
    ],
)
def test_a_client_may_call_itself_what_it_likes(asked: object, made: str) -> None:
    """What has to be changed gets an end of its own: two may become alike."""
    name = _user_name(asked)
    assert re.fullmatch(made, name)
    assert NAME.fullmatch(name)


@pytest.mark.parametrize("passphrase", ["", "short"])
def test_a_passphrase_that_is_none_opens_nothing(tmp_path: Path, passphrase: str) -> None:
    (tmp_path / "setup.json").write_text('{"root": "p", "name": "h", "port": 1, "tls_port": 2}')
    (tmp_path / "passphrase").write_text(passphrase)
    with pytest.raises(ServiceError, match="passphrase"):
        Access.read(tmp_path)


def test_a_device_that_goes_is_cleared_with_the_next_tree(tmp_path: Path) -> None:
    async def run() -> list[tuple[str, str | None]]:
        gateway = Gateway(tmp_path / "s", WHERE, "demo-0001", False, 1)
        gateway._hello(HELLO)
        less: HelloRecord = {
            **HELLO,
            "circuits": [c for c in HELLO["circuits"] if c["id"] != "medical"],
        }
        gateway._hello(less)
        gateway._ready = True
        return [(message.topic, message.text) for message in gateway._everything()]

    sent = asyncio.run(run())
    cleared = [topic for topic, text in sent if text is None and "-medical/" in topic]
    assert cleared[0] == f"{PREFIX}/demo-0001-medical/$state"
    assert cleared[-1] == f"{PREFIX}/demo-0001-medical/$description", "what names the others"
    assert sent[-1] == (f"{PREFIX}/demo-0001/$state", "ready"), "the root comes last"


def test_the_dashboard_shows_figures_that_there_are(tmp_path: Path) -> None:
    """Every name in the Grafana dashboard is one that /metrics exposes."""
    gateway = asyncio.run(_heard(tmp_path))
    names = set(
        re.findall(r"^(panelctl_\w+)", exposition(registry(gateway)).decode(), re.MULTILINE)
    )
    dashboard = json.loads(Path("docs/grafana/panelctl.json").read_text())
    asked = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"panelctl_\w+", target["expr"])
    }
    assert len(asked) >= 10
    assert asked <= names, asked - names


async def _heard(tmp_path: Path) -> Gateway:
    gateway = Gateway(tmp_path / "s", WHERE, "demo-0001", False, 1)
    rig = EngineRig(read_panel(Path("panelctl/sim/demo.toml")))
    rig.run(5)
    record = record_of(rig.engine, rig.now_ns)
    unit: UnitRecord = {"good": 1, "timeouts": 0, "bad": 0, "refused": 0, "dead": 0}
    gateway.record = {**record, "units": {"mains": unit}}
    return gateway


def test_a_storm_of_events_does_not_fill_the_disk(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    journal, record = Journal(), demo_record()
    event: EventRecord = {"what": "shed", "circuit": "dryer", "text": "LIMIT"}
    record["events"] = [event, event]
    for n in range(100):
        journal.record({**record, "t_ns": 20_000_000_000 + n, "seq": n})
    assert len(caplog.records) == MOST
    assert journal.skipped == 200 - MOST
    journal.record({**record, "t_ns": 60_000_000_000, "seq": 200, "events": [event]})
    assert caplog.messages[-2:] == [
        f"{200 - MOST} more events were not logged",
        "shed · dryer · import limit",
    ]


@pytest.mark.parametrize("text", ["plain", "line\nbreak", "\ud800 from an odd path", '"'])
def test_a_line_of_the_log_is_one_object(text: str) -> None:
    made = logging.LogRecord("panelctl", logging.INFO, "", 0, "%s: %d", (text, 7), None)
    made.fields = {"what": "shed", "by_a": 3.5, "odd": Path("x")}
    line = JsonLines().format(made)
    assert "\n" not in line
    plain = json.loads(line)
    assert plain["what"] == "shed"
    assert plain["by_a"] == 3.5
    assert plain["level"] == "INFO"
    assert plain["message"].endswith("7") or plain["message"].endswith("7'")
