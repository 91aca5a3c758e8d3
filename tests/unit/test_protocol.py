"""The waist: messages there and back, the table of commands and what is made of it, versions."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
import threading
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args

import pytest
from click.testing import CliRunner
from pydantic import TypeAdapter

from panelctl.cli import ORDERS, VERBS, order, root
from panelctl.config.load import parse_panel
from panelctl.config.record_schema import record_schema
from panelctl.core.orders import JUDGES
from panelctl.errors import SocketError
from panelctl.link import follower
from panelctl.link.client import ControlClient
from panelctl.link.protocol import (
    CALM,
    HELLO,
    MOST_REQUEST,
    RECORD,
    Answer,
    Cycle,
    Dropped,
    Failure,
    Hello,
    Lines,
    Status,
    Watch,
    encode,
    encode_request,
    read_message,
    read_request,
)
from panelctl.link.server import ControlServer
from panelctl.model.command import (
    COMMANDS,
    Command,
    Entry,
    LimitPower,
    RequestLimit,
    Verdict,
    command_from_plain,
    command_to_plain,
)
from panelctl.model.keys import WINDOW_KEYS, Number
from panelctl.model.record import VERSION, CommandRecord, CycleRecord, WindowRecord
from panelctl.model.why import explain, sentence
from tests.engine_rig import EngineRig
from tests.records import DEMO, demo_hello, demo_record, record_of
from tools.pages import TABLES, made

ENTRIES = [pytest.param(entry, id=entry.do) for entry in COMMANDS]


@pytest.mark.parametrize(
    "message",
    [
        Cycle(demo_record()),
        Hello(demo_hello()),
        Answer(Verdict("x", False, "no")),
        Failure("that is not JSON"),
        Dropped(7),
    ],
    ids=lambda message: type(message).__name__,
)
def test_messages_there_and_back(message: Any) -> None:
    line = encode(message)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert read_message(line) == message


def test_what_is_told_by_a_lines_beginning() -> None:
    """The storm looks at thousands of lines, and decodes few of them."""
    record = demo_record()
    assert encode(Cycle(record)).startswith(RECORD)
    assert encode(Hello(demo_hello())).startswith(HELLO)
    assert CALM in encode(Cycle({**record, "events": []}))
    assert CALM not in encode(Cycle({**record, "events": [{"what": "state", "text": "HOLD"}]}))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"", "not JSON"),
        (b"[]", "not a panelctl controller"),
        (b'{"v":3,"seq":1}', f"version 3 of the protocol, this panelctl version {VERSION}"),
        (b'{"hello":{}}', "no version"),
        (b'{"v":2,"seq":1}', "a record without circuits"),
        (b'{"v":2,"hello":[]}', "a hello is a JSON object"),
        (b'{"v":2,"hello":{"name":"x"}}', "a hello without backup_tier"),
        (b'{"v":2,"answer":{}}', "does not know"),
        (b'{"v":2,"news":1}', "does not know"),
    ],
)
def test_what_is_no_message(line: bytes, says: str) -> None:
    with pytest.raises(SocketError, match=says):
        read_message(line)


def test_an_answer_that_is_not_clear_is_no_acceptance() -> None:
    line = b'{"v":2,"answer":{"id":"x","accepted":"false"}}'
    assert read_message(line) == Answer(Verdict("x", False))


def test_lines_are_cut_wherever_they_arrive() -> None:
    text = b"".join(b"%d\n" % n for n in range(100))
    for size in (1, 2, 3, 7, 1000):
        lines = Lines(10)
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        got = [line for piece in pieces for line in lines.feed(piece)]
        assert got == text.split(b"\n")[:-1]
    with pytest.raises(SocketError, match="at most 10 bytes"):
        list(Lines(10).feed(b"x" * 11))


def test_requests_there_and_back() -> None:
    for request in (Status(), Watch(), *(entry.sample for entry in COMMANDS)):
        assert read_request(encode_request(request)) == request
    with pytest.raises(SocketError, match=f"at most {MOST_REQUEST} bytes"):
        read_request(b" " * (MOST_REQUEST + 1))


# -- the table of commands ------------------------------------------------------------------------


def test_the_table_has_every_command_once() -> None:
    kinds = [type(entry.sample) for entry in COMMANDS]
    assert set(kinds) == set(get_args(Command)) == set(JUDGES)
    assert len(kinds) == len(set(kinds)) == len({entry.do for entry in COMMANDS})
    for entry in COMMANDS:
        assert {field.name for field in fields(entry.sample)} == {"id", *entry.keys}
    written = {"do", "id"}.union(*(entry.keys for entry in COMMANDS))
    assert set(CommandRecord.__annotations__) == written
    assert set(WindowRecord.__annotations__) == set(WINDOW_KEYS)


@pytest.mark.parametrize("entry", ENTRIES)
def test_each_key_of_a_command_is_asked_for(entry: Entry) -> None:
    plain = command_to_plain(entry.sample)
    assert command_from_plain(json.loads(json.dumps(plain))) == entry.sample
    for name, key in {"id": None, **entry.keys}.items():
        with pytest.raises(SocketError, match=name):
            command_from_plain({**plain, name: {"no": "such"}})
        if not (isinstance(key, Number) and key.null):
            with pytest.raises(SocketError, match=name):
                command_from_plain({k: v for k, v in plain.items() if k != name})
    with pytest.raises(SocketError, match="unknown key 'force'"):
        command_from_plain({**plain, "force": True})


def test_what_takes_back_needs_no_time() -> None:
    plain = {"do": "limit", "id": "1", "limit_a": None, "expires_s": "soon"}
    assert command_from_plain(plain) == RequestLimit("1", None, 0.0)
    plain = {"do": "limit_power", "id": "1", "circuit": "c"}
    assert command_from_plain(plain) == LimitPower("1", "c", None, 0.0)


@pytest.mark.parametrize("entry", ENTRIES)
def test_each_command_is_a_verb_and_its_example_works(
    entry: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[Command, str]] = []

    def keep(path: Path, command: Command, done: str, as_json: bool) -> None:
        sent.append((command, done))

    monkeypatch.setattr(order, "send", keep)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tonight.json").write_text('[{"start_s": 0, "end_s": 60, "limit_a": 80}]')
    words = entry.verb.split(" ")
    assert words[0] in VERBS
    assert words[0] in ORDERS
    shown = CliRunner().invoke(root, [*words, "--help"]).output
    assert f"Example: panelctl {entry.verb} {entry.example}" in " ".join(shown.split())
    done = CliRunner().invoke(root, [*words, *entry.example.split(" ")])
    assert done.exit_code == 0, done.output
    ((command, said),) = sent
    assert type(command) is type(entry.sample)
    assert said
    assert "{" not in said


@pytest.mark.parametrize(
    ("words", "made_of_it", "says"),
    [
        ("limit none", RequestLimit("", None, 0.0), "the requested limit is taken back"),
        ("limit 80", RequestLimit("", 80.0, 3600.0), "limited to 80 A per leg for 3600 s"),
        ("limit-power compute none", LimitPower("", "compute", None, 0.0), "is taken back"),
        ("limit lots", None, "write amps, or none"),
        ("limit 1e9", None, "must lie between 0 and 10000"),
        ("grid sideways", None, "'sideways' is not one of 'on', 'off'"),
        ("tier dryer 100", None, "100 is not in the range 0<=x<=99"),
        ("lease 9000 --number 3", None, "Missing option '--for-s'"),
        ("envelope nowhere.json", None, "does not exist"),
    ],
)
def test_what_people_type(
    words: str, made_of_it: Any, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Command] = []
    told: list[str] = []

    def keep(path: Path, command: Command, done: str, as_json: bool) -> None:
        sent.append(replace(command, id=""))
        told.append(done)

    monkeypatch.setattr(order, "send", keep)
    result = CliRunner().invoke(root, words.split(" "))
    if made_of_it is None:
        assert result.exit_code == 2
        assert sent == []
        assert says in " ".join(result.output.split())
    else:
        assert sent == [made_of_it]
        assert says in told[0]


@pytest.mark.parametrize("name", TABLES)
def test_the_docs_tables_are_made_of_the_program(name: str) -> None:
    path, now, wanted = made(name)
    assert now == wanted, f"{path}: run `python -m tools.pages`"


# -- the record's shape ---------------------------------------------------------------------------


def test_the_records_that_are_made_are_of_the_schema() -> None:
    """Strictly: no key that it does not know, no number where a text belongs."""
    shape = TypeAdapter(CycleRecord)
    rig = EngineRig(parse_panel(DEMO.read_text(), DEMO.name))
    for _ in range(3):
        rig.run(30)
        record = record_of(rig.engine, rig.now_ns - 100_000_000)
        line = encode(Cycle(record))
        assert shape.validate_json(line, strict=True) == json.loads(line), "with no key besides"


def test_docs_and_schema_name_the_same_keys() -> None:
    """Every key of the schema is told of in the page; what the page marks ° need not be there."""
    text = Path("docs/reference/control-socket.md").read_text()
    defs = record_schema()["$defs"]
    needed, maybe = set[str](), set[str]()
    for name, shape in defs.items():
        if name.endswith("Record"):
            needed |= set(shape["required"])
            maybe |= set(shape["properties"]) - set(shape["required"])
    told = {key for code in re.findall(r"`[^`]+`", text) for key in re.findall(r"[a-z]\w*", code)}
    assert needed | maybe <= told, (needed | maybe) - told
    part = text.partition("## CycleRecord")[2].partition("### events[]")[0]
    cells = re.findall(r"^\| (.*?) \|", part, re.MULTILINE)
    marked = {key for cell in cells for key in re.findall(r"`(?:[\w.]+\.)?([a-z]\w*)`°", cell)}
    assert marked <= maybe | {"settle_ms"}, marked - maybe
    plain = {key for cell in cells for key in re.findall(r"`([a-z][a-z0-9_]*)`(?!°)", cell)}
    assert plain <= needed, plain - needed


# -- versions -------------------------------------------------------------------------------------


def version_one(line: bytes) -> str:
    """What a client of version 1 made of a line: a copy of its check, from before it changed."""
    message = json.loads(line)
    if not isinstance(message, dict) or message.get("v") != 1:
        return "the controller does not speak version 1 of the protocol"
    return "taken"


def test_a_reader_of_the_version_before_is_told(tmp_path: Path) -> None:
    """It gets no record that it could misread, and its commands do nothing."""

    async def run() -> None:
        server = ControlServer(tmp_path / "s", demo_hello())
        await server.start()
        reader, writer = await asyncio.open_unix_connection(tmp_path / "s", limit=1 << 20)
        assert version_one(await reader.readline()).startswith("the controller does not speak")
        writer.write(b'{"v":1,"do":"open","id":"x","circuit":"dryer"}\n')
        said = json.loads(await reader.readline())
        assert said["error"] == ("you speak version 1 of the protocol, this controller version 2")
        assert server.take_commands() == []
        writer.write(b'{"v":1,"do":"watch"}\n')
        assert "error" in json.loads(await reader.readline())
        server.publish(encode(Cycle(demo_record())))
        writer.write(encode_request(Status()))
        assert version_one(await reader.readline()).startswith("the controller does not speak")
        writer.close()
        await server.stop()

    asyncio.run(run())


def test_what_came_after_the_first_release_of_this_version_may_be_missing() -> None:
    """Controllers and recordings of 0.2.0 speak version 2 too, without these keys."""
    record = {k: v for k, v in demo_record().items() if k not in ("shadow", "orders", "faults")}
    read = read_message(json.dumps({**record, "v": VERSION}).encode())
    assert isinstance(read, Cycle)
    assert (read.record["shadow"], read.record["orders"], read.record["faults"]) == (False, [], [])
    hello = json.loads(json.dumps(demo_hello()))
    for circuit in hello["circuits"]:
        del circuit["half"], circuit["shows_contact"]
    told = read_message(json.dumps({"v": VERSION, "hello": hello}).encode())
    assert isinstance(told, Hello)
    for entry in told.facts["circuits"]:
        assert sentence(explain(told.facts, read.record, entry["id"]))
    with pytest.raises(SocketError, match="circuits are JSON objects"):
        read_message(json.dumps({"v": VERSION, "hello": {**hello, "circuits": [1]}}).encode())


def test_a_controller_of_the_version_before_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(path))
        old.listen()

        def serve() -> None:
            for _ in range(4):
                peer, _ = old.accept()
                peer.sendall(b'{"v":1,"hello":{}}\n')
                peer.recv(1000)
                peer.close()

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(SocketError, match="speaks version 1 of the protocol, this panelctl"):
            ControlClient(path)
        monkeypatch.setattr(follower, "RETRY_S", 0.01)

        async def follow() -> None:
            lost = asyncio.Semaphore(0)
            followed = follower.Follower(path, lambda h: None, lambda r: None, lost.release)
            task = asyncio.create_task(followed.run())
            for _ in range(3):
                await asyncio.wait_for(lost.acquire(), 5)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        caplog.set_level(logging.WARNING)
        asyncio.run(follow())
        thread.join()
    (told,) = [r for r in caplog.records if "version 1 of the protocol" in r.getMessage()]
    assert "tried again" in told.getMessage(), "once, however often it is tried"
