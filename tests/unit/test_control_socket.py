"""The control socket: what goes in is checked, what goes out never waits for anybody."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panelctl.errors import ConfigError, SocketError
from panelctl.link.protocol import Cycle, Status, Watch, encode, encode_request
from panelctl.link.recording import header, open_recording, read_recording
from panelctl.link.server import MOST_COMMANDS, MOST_LINES, QUEUE, ControlServer
from panelctl.model.command import (
    OpenRelay,
    RequestLimit,
    SetTier,
    Verdict,
    command_from_plain,
    command_to_plain,
)
from tests.records import demo_hello, demo_record

HELLO = demo_hello()


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ({"do": "explode", "id": "1"}, "must be one of"),
        ({"do": ["open"], "id": "1"}, "must be one of"),
        ({"do": "open", "id": "1"}, "circuit"),
        ({"do": "open", "id": "", "circuit": "x"}, "id"),
        ({"do": "open", "id": "a\nb", "circuit": "x"}, "id"),
        ({"do": "open", "id": "1", "circuit": 7}, "circuit"),
        ({"do": "open", "id": "1", "circuit": "x", "force": True}, "unknown key"),
        ({"do": "limit", "id": "1", "limit_a": float("nan"), "expires_s": 5}, "limit_a"),
        ({"do": "limit", "id": "1", "limit_a": -1, "expires_s": 5}, "limit_a"),
        ({"do": "limit", "id": "1", "limit_a": 10, "expires_s": 0}, "expires_s"),
        ({"do": "limit", "id": "1", "limit_a": True, "expires_s": 5}, "limit_a"),
        ({"do": "limit", "id": "1", "limit_a": 10**400, "expires_s": 5}, "limit_a"),
        ({"do": "tier", "id": "1", "circuit": "x", "tier": 1.5}, "whole"),
        ({"do": "tier", "id": "1", "circuit": "x", "tier": 100}, "tier"),
    ],
)
def test_messages_out_of_shape(message: dict[str, Any], says: str) -> None:
    with pytest.raises(SocketError, match=says):
        command_from_plain(message)


def test_commands_there_and_back() -> None:
    for command in (
        OpenRelay("1", "dryer"),
        RequestLimit("2", 80.0, 60.0),
        RequestLimit("3", None, 0.0),
        SetTier("4", "dryer", 3),
    ):
        assert command_from_plain(json.loads(json.dumps(command_to_plain(command)))) == command


class Talk:
    """One connection to a server under test."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(5):
            return json.loads(await self.reader.readline())  # type: ignore[no-any-return]  # JSON

    async def say(self, raw: bytes) -> None:
        self.writer.write(raw)
        await self.writer.drain()


async def ended(server: ControlServer, *talks: Talk) -> None:
    await server.stop()
    for talk in talks:
        talk.writer.close()
        with suppress(ConnectionError):
            await talk.writer.wait_closed()


async def served(path: Path) -> tuple[ControlServer, Talk]:
    server = ControlServer(path, HELLO)
    await server.start()
    talk = Talk(*await asyncio.open_unix_connection(path))
    assert (await talk.next())["hello"] == HELLO
    return server, talk


def test_hostile_lines_are_answered_and_counted(tmp_path: Path) -> None:
    async def run() -> None:
        server, talk = await served(tmp_path / "s")
        lines = [
            b"not json\n",
            b"[1,2]\n",
            b'{"v":1,"do":"status"}\n',
            b'{"v":2,"do":"open","id":"x"}\n',
            b"[" * 3000 + b"\n",
            b'{"v":' + b"[" * 1010 + b"]" * 1010 + b"}\n",
            b'{"v":2,"id":"x","do":' + b"[" * 1010 + b"]" * 1010 + b"}\n",
            b"\xff\xfe\n",
            b'{"v":2,"do":"limit","id":"x","limit_a":1e999,"expires_s":1}\n',
        ]
        for line in lines:
            await talk.say(line)
            assert "error" in await talk.next()
        assert server.rejected == len(lines)
        assert server.take_commands() == []
        await talk.say(b"x" * 9000)
        assert "error" in await talk.next()
        assert await talk.reader.read() == b"", "an endless line costs the connection"
        await ended(server, talk)
        assert not (tmp_path / "s").exists()

    asyncio.run(run())


def test_commands_wait_for_the_cycle_and_are_answered(tmp_path: Path) -> None:
    async def run() -> None:
        server, talk = await served(tmp_path / "s")
        await talk.say(encode_request(OpenRelay("7", "dryer")))
        queued: list[Any] = []
        while not queued:
            await asyncio.sleep(0)
            queued = server.take_commands()
        command, reader = queued[0]
        assert command == OpenRelay("7", "dryer")
        reader.answer(Verdict("7", False, "no"))
        assert (await talk.next())["answer"] == {"id": "7", "accepted": False, "why": "no"}
        for n in range(MOST_COMMANDS + 5):
            await talk.say(encode_request(OpenRelay(str(n), "dryer")))
        refused = [await talk.next() for _ in range(5)]
        assert all("too many" in message["answer"]["why"] for message in refused)
        assert len(server.take_commands()) == MOST_COMMANDS
        await ended(server, talk)

    asyncio.run(run())


def test_a_reader_that_does_not_read_loses_its_oldest_records(tmp_path: Path) -> None:
    async def run() -> None:
        server, slow = await served(tmp_path / "s")
        quick = Talk(*await asyncio.open_unix_connection(tmp_path / "s"))
        await quick.next()
        for talk in (slow, quick):
            await talk.say(encode_request(Watch()))
        for talk in (slow, quick):
            await talk.say(encode_request(Status()))
            assert "error" in await talk.next(), "it answers in order, so both are watching now"
        slow.reader._transport.pause_reading()  # type: ignore[attr-defined]  # a stuck reader
        record = demo_record()
        assert len(encode(Cycle(record))) > 5_000
        for seq in range(800):
            server.publish(encode(Cycle({**record, "seq": seq})))
            assert (await quick.next())["seq"] == seq
        stuck = next(reader for reader in server._readers if reader.dropped)
        assert len(stuck._queue) == QUEUE
        slow.reader._transport.resume_reading()  # type: ignore[attr-defined]  # and it wakes up
        seen: list[int] = []
        dropped = 0
        while not seen or seen[-1] != 799:
            message = await slow.next()
            dropped += message.get("dropped", 0)
            if "seq" in message:
                seen.append(message["seq"])
        assert dropped == 800 - len(seen)
        assert seen == sorted(seen)
        await ended(server, slow, quick)

    asyncio.run(run())


def test_a_live_socket_is_not_taken_a_dead_one_is(tmp_path: Path) -> None:
    async def run() -> None:
        server, talk = await served(tmp_path / "s")
        with pytest.raises(SocketError, match="already"):
            await ControlServer(tmp_path / "s", HELLO).start()
        await ended(server, talk)
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(tmp_path / "s"))  # the file stays, nobody listens
        again = ControlServer(tmp_path / "s", HELLO)
        await again.start()
        mode = (tmp_path / "s").stat().st_mode & 0o777
        assert mode == 0o660, "nobody but owner and group"
        await again.stop()

    asyncio.run(run())


def test_recordings(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl.gz"):
        path = tmp_path / name
        with open_recording(path) as file:
            file.write(header(HELLO))
            for seq in (1, 2):
                file.write(encode(Cycle({**demo_record(), "seq": seq})))
        recording = read_recording(path)
        assert recording.hello == HELLO
        assert [record["seq"] for record in recording.records] == [1, 2]
        with pytest.raises(FileExistsError):
            open_recording(path)
    with (tmp_path / "a.jsonl").open("ab") as torn:
        torn.write(b'{"v":2,"seq":3')
    assert len(list(read_recording(tmp_path / "a.jsonl").records)) == 2
    whole = (tmp_path / "b.jsonl.gz").read_bytes()
    (tmp_path / "d.gz").write_bytes(whole[:-40])
    assert len(list(read_recording(tmp_path / "d.gz").records)) < 2, "cut off, and read up to there"
    for text, says in (
        (b"nonsense\n", "not a recording"),
        (header(HELLO).replace(b'"v": 2', b'"v": 1'), "has version 1, this panelctl reads 2"),
        (header(HELLO).replace(b'"serial"', b'"cereal"'), "a hello without serial"),
        (header(HELLO) + b'{"v":2,"seq":1}\n', "line 2: a record without circuits"),
    ):
        (tmp_path / "c").write_bytes(text)
        with pytest.raises(ConfigError, match=says):
            list(read_recording(tmp_path / "c").records)


@settings(max_examples=200)
@given(
    st.dictionaries(
        st.sampled_from(["do", "id", "circuit", "limit_a", "expires_s", "tier", "v", "x"]),
        st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), st.text(max_size=80),
                  st.sampled_from(["open", "close", "limit", "tier"]), st.lists(st.integers())),
    )
)  # fmt: skip
def test_no_message_makes_the_door_fall_over(message: dict[str, Any]) -> None:
    try:
        command = command_from_plain(message)
    except SocketError:
        return
    assert len(command.id) <= 64


def test_a_flood_of_lines_costs_the_flooder(tmp_path: Path) -> None:
    async def run() -> None:
        server, talk = await served(tmp_path / "s")
        await talk.say(b"\n" * 200_000)
        async with asyncio.timeout(5):
            said = await talk.reader.read()
        assert said.count(b"error") <= MOST_LINES + 1
        assert server.rejected <= MOST_LINES
        await ended(server, talk)

    asyncio.run(run())
