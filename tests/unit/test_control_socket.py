"""The control socket: what goes in is checked, what goes out never waits for anybody."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panelctl.config.load import read_panel
from panelctl.control.store import Kept, StateStore
from panelctl.core.engine import Engine
from panelctl.core.snapshot import Snapshot
from panelctl.errors import ConfigError, SocketError
from panelctl.field.ledger import Ledger
from panelctl.files import Done
from panelctl.link.recording import header, open_recording, read_recording
from panelctl.link.server import MOST_COMMANDS, MOST_LINES, QUEUE, ControlServer, encode
from panelctl.model.command import (
    OpenRelay,
    RequestLimit,
    SetTier,
    Verdict,
    command_from_plain,
    command_to_plain,
)
from panelctl.model.doubt import Doubt
from panelctl.model.limit import KeptLimits
from panelctl.model.relay import Claim
from panelctl.units import NS_PER_S as S

SNAPSHOT = Snapshot(
    {"dryer": 2},
    80.0,
    90 * S,
    limits=KeptLimits(source="utility", windows=[(0, 60 * S, 70.0, None)]),
    caps={"evse": (3_000, 70 * S)},
    tiers={"dryer": (4, 9)},
    doubts=(Doubt.BRANCHES, Doubt.FROZEN),
)
KEPT = Kept(SNAPSHOT, {"mains": "123"})
DRYER = Kept(Snapshot({"dryer": 1}))


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
    server = ControlServer(path, {"name": "test"})
    await server.start()
    talk = Talk(*await asyncio.open_unix_connection(path))
    assert (await talk.next())["hello"] == {"name": "test"}
    return server, talk


def test_hostile_lines_are_answered_and_counted(tmp_path: Path) -> None:
    async def run() -> None:
        server, talk = await served(tmp_path / "s")
        lines = [
            b"not json\n",
            b"[1,2]\n",
            b'{"v":2,"do":"status"}\n',
            b'{"v":1,"do":"open","id":"x"}\n',
            b"[" * 3000 + b"\n",
            b'{"v":' + b"[" * 1010 + b"]" * 1010 + b"}\n",
            b'{"v":1,"id":"x","do":' + b"[" * 1010 + b"]" * 1010 + b"}\n",
            b"\xff\xfe\n",
            b'{"v":1,"do":"limit","id":"x","limit_a":1e999,"expires_s":1}\n',
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
        await talk.say(encode({"v": 1, "do": "open", "id": "7", "circuit": "dryer"}))
        queued: list[Any] = []
        while not queued:
            await asyncio.sleep(0)
            queued = server.take_commands()
        command, reader = queued[0]
        assert command == OpenRelay("7", "dryer")
        reader.answer(Verdict("7", False, "no"))
        assert (await talk.next())["answer"] == {"id": "7", "accepted": False, "why": "no"}
        for n in range(MOST_COMMANDS + 5):
            await talk.say(encode({"v": 1, "do": "open", "id": str(n), "circuit": "dryer"}))
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
            await talk.say(encode({"v": 1, "do": "watch"}))
        for talk in (slow, quick):
            await talk.say(encode({"v": 1, "do": "status"}))
            assert "error" in await talk.next(), "it answers in order, so both are watching now"
        slow.reader._transport.pause_reading()  # type: ignore[attr-defined]  # a stuck reader
        padding = "x" * 10_000
        for seq in range(400):
            server.publish(encode({"v": 1, "seq": seq, "padding": padding}))
            assert (await quick.next())["seq"] == seq
        stuck = next(reader for reader in server._readers if reader.dropped)
        assert len(stuck._queue) == QUEUE
        slow.reader._transport.resume_reading()  # type: ignore[attr-defined]  # and it wakes up
        seen: list[int] = []
        dropped = 0
        while not seen or seen[-1] != 399:
            message = await slow.next()
            dropped += message.get("dropped", 0)
            if "seq" in message:
                seen.append(message["seq"])
        assert dropped == 400 - len(seen)
        assert seen == sorted(seen)
        await ended(server, slow, quick)

    asyncio.run(run())


def test_a_live_socket_is_not_taken_a_dead_one_is(tmp_path: Path) -> None:
    async def run() -> None:
        server, talk = await served(tmp_path / "s")
        with pytest.raises(SocketError, match="already"):
            await ControlServer(tmp_path / "s", {}).start()
        await ended(server, talk)
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(tmp_path / "s"))  # the file stays, nobody listens
        again = ControlServer(tmp_path / "s", {})
        await again.start()
        mode = (tmp_path / "s").stat().st_mode & 0o777
        assert mode == 0o660, "nobody but owner and group"
        await again.stop()

    asyncio.run(run())


def test_recordings(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl.gz"):
        path = tmp_path / name
        with open_recording(path) as file:
            file.write(header({"config": "x"}))
            file.write(b'{"seq":1}\n{"seq":2}\n')
        assert [r.get("seq") for r in read_recording(path)] == [None, 1, 2]
        with pytest.raises(FileExistsError):
            open_recording(path)
    with (tmp_path / "a.jsonl").open("ab") as torn:
        torn.write(b'{"seq":3')
    assert len(list(read_recording(tmp_path / "a.jsonl"))) == 3
    (tmp_path / "c").write_bytes(b"nonsense\n")
    with pytest.raises(ConfigError, match="not a recording"):
        list(read_recording(tmp_path / "c"))


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


def test_what_outlives_a_restart(tmp_path: Path) -> None:
    store = StateStore(tmp_path, "1")
    assert store.load(10 * S, 1e9) == Kept()
    store.save(KEPT, 10 * S, 1e9)
    plain = json.loads((tmp_path / "state.json").read_text())
    odd = json.dumps({**plain, "claims": {"a": "b", "c": -1}, "limit_a": None, "until_ns": "x"})
    wrong = b'{"format":2,"claims":[],"limit_a":"x"}'
    for torn in (b"", b"{", b'{"format":2}', wrong, b"[" * 60_000, odd.encode()):
        (tmp_path / "state.json").write_bytes(torn)
        assert StateStore(tmp_path, "1").load(10 * S, 1e9) == Kept()
    blocked = StateStore(tmp_path / "nowhere", "1")
    blocked.save(KEPT, 10 * S, 1e9)
    assert blocked.failures == 1, "a disk that cannot be written costs no cycle"


@pytest.mark.parametrize("set_s", [-3600.0, 0.0, 3600.0])
def test_a_wall_clock_that_is_set_ends_no_limit(tmp_path: Path, set_s: float) -> None:
    StateStore(tmp_path, "1").save(KEPT, 10 * S, 1e9)
    assert StateStore(tmp_path, "1").load(40 * S, 1e9 + 30 + set_s) == KEPT


def test_a_wall_clock_that_is_set_is_noted_for_the_next_boot(tmp_path: Path) -> None:
    store = StateStore(tmp_path, "1")
    store.save(KEPT, 10 * S, 1e9)
    store.save(KEPT, 20 * S, 1e9 + 10.0)
    assert json.loads((tmp_path / "state.json").read_text())["now_ns"] == 10 * S
    store.save(KEPT, 21 * S, 1e9 + 3611.0)  # an hour forward
    found = StateStore(tmp_path, "2").load(3 * S, 1e9 + 3620.0)  # 9 s later
    assert found.engine.until_ns == SNAPSHOT.until_ns - 21 * S - 9 * S + 3 * S


@pytest.mark.parametrize(
    ("boot", "later_s", "passed_s"),
    [("2", 30.0, 30.0), ("", 30.0, 30.0), ("2", -3600.0, 0.0), ("2", 1e6, 1e6)],
    ids=["another boot", "no name", "the wall clock went back", "long after"],
)
def test_another_boot_has_another_clock(
    tmp_path: Path, boot: str, later_s: float, passed_s: float
) -> None:
    """Ends are where the wall clock says; where that went back, no time has passed."""
    StateStore(tmp_path, boot and "1").save(KEPT, 10 * S, 1e9)
    by_ns = round(3 * S - 10 * S - passed_s * S)  # the new one shows 3 s
    found = StateStore(tmp_path, boot).load(3 * S, 1e9 + later_s)
    assert found.engine.claims == SNAPSHOT.claims
    assert found.engine.until_ns == SNAPSHOT.until_ns + by_ns
    assert found.engine.caps == {"evse": (3_000, 70 * S + by_ns)}
    assert found.engine.doubts == SNAPSHOT.doubts
    assert found.engine.limits.windows == [(by_ns, 60 * S + by_ns, 70.0, None)]
    again = StateStore(tmp_path, "3")
    again.save(found, 3 * S, 1e9)
    assert again.load(4 * S, 1e9) == found, "also what began before the machine did"


def test_what_could_not_be_written_outlives_a_reload(tmp_path: Path) -> None:
    """The process is the same; its disk is full."""
    store = StateStore(tmp_path, "1")
    store.save(DRYER, 10 * S, 1e9)
    (tmp_path / ".state.json.new").mkdir()
    store.save(KEPT, 11 * S, 1e9 + 1)
    assert store.load(12 * S, 1e9 + 2) == KEPT
    assert StateStore(tmp_path, "1").load(12 * S, 1e9 + 2) == DRYER
    (tmp_path / ".state.json.new").rmdir()
    store.save(KEPT, 13 * S, 1e9 + 3)
    assert StateStore(tmp_path, "1").load(14 * S, 1e9 + 4) == KEPT


def test_a_disk_that_takes_nothing_is_tried_more_and_more_seldom(tmp_path: Path) -> None:
    """And at once with something new."""
    store = StateStore(tmp_path / "nowhere", "1")
    for n in range(600):
        store.save(KEPT, n * S // 10, 1e9 + n / 10)
    assert store.failures == 6, "after 0, 1, 3, 7, 15 and 31 s"
    store.save(DRYER, 60 * S, 1e9 + 60)
    assert store.failures == 7
    assert store.load(61 * S, 1e9 + 61) == DRYER, "in this process it counts all the same"


def test_of_the_file_before_nothing_closes_by_itself(tmp_path: Path) -> None:
    """The newest one is lost, and with it that a person opened the circuit too."""
    store = StateStore(tmp_path, "1")
    store.save(Kept(Snapshot({"dryer": int(Claim.PCS)})), 10 * S, 1e9)
    store.save(Kept(Snapshot({"dryer": int(Claim.PCS | Claim.USER)})), 11 * S, 1e9 + 1)
    (tmp_path / "state.json").write_bytes(b"")
    found = StateStore(tmp_path, "1").load(12 * S, 1e9 + 2)
    assert found.engine.claims == {"dryer": int(Claim.PCS | Claim.FOUND)}


def test_a_reload_needs_no_disk(tmp_path: Path) -> None:
    """What is still being written, or could not be, is there for the next controller."""

    class Stuck:
        busy = True

        def put(self, path: Path, data: bytes, done: Done) -> None:
            pass

    store = StateStore(tmp_path, "1", Stuck())
    store.save(KEPT, 10 * S, 1e9)
    store.history.save(SNAPSHOT, Ledger({"n": 9_999}), 10 * S)
    assert store.load(11 * S, 1e9 + 1) == KEPT
    assert store.history.load() == (SNAPSHOT, Ledger({"n": 9_999}))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("limits", {"windows": [[0, 9, 1e16, None]]}),
        ("limits", {"windows": [[0, 9, None, 1e308]]}),
        ("limits", {"windows": [[0, 9, 5, None], [8, 12, 5, None]]}),
        ("limits", {"windows": [[n, n, 5, None] for n in range(100)]}),
        ("limit_a", 1e17),
    ],
)
def test_an_amount_that_nobody_could_have_asked_for_stops_no_start(
    tmp_path: Path, key: str, value: Any
) -> None:
    StateStore(tmp_path, "1").save(KEPT, 10 * S, 1e9)
    plain = json.loads((tmp_path / "state.json").read_text())
    plain[key] = {**plain[key], **value} if isinstance(value, dict) else value
    (tmp_path / "state.json").write_text(json.dumps(plain))
    kept = StateStore(tmp_path, "1").load(11 * S, 1e9 + 1)
    engine = Engine(read_panel(Path("panelctl/sim/demo.toml")))
    engine.resume(kept.engine, 11 * S, 1e9 + 1)
    engine.step(12 * S)


def test_what_comes_and_goes_does_not_wear_the_disk(tmp_path: Path) -> None:
    """A cap that is renewed, mains that flicker; what is new, and the end, are written at once."""
    store = StateStore(tmp_path, "1")
    store.save(Kept(SNAPSHOT), 10 * S, 1e9)

    def written_ns() -> int:
        return int(json.loads((tmp_path / "state.json").read_text())["now_ns"])

    for n in range(1, 130):
        caps = {"evse": (3_000, (70 + n) * S)}
        kept = replace(SNAPSHOT, caps=caps, blind_ns=n * S * (n % 2))
        store.save(Kept(kept), (10 + n) * S, 1e9 + n)
        assert written_ns() == (10 + n // 60 * 60) * S
    lower = replace(kept, caps={"evse": (2_000, 90 * S)})
    store.save(Kept(lower), 140 * S, 1e9 + 130)
    assert written_ns() == 140 * S
    store.save(Kept(replace(lower, blind_ns=7)), 141 * S, 1e9 + 131, last=True)
    assert written_ns() == 141 * S


def test_a_window_that_is_no_longer_than_a_moment_costs_nothing_else(tmp_path: Path) -> None:
    kept = Kept(replace(SNAPSHOT, limits=KeptLimits(windows=[(5 * S, 5 * S, 70.0, None)])))
    StateStore(tmp_path, "1").save(kept, 1 * S, 1e9)
    assert StateStore(tmp_path, "1").load(2 * S, 1e9) == kept
