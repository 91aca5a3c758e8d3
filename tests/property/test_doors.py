"""Whatever comes in through a door is taken or refused in words; nothing else can happen.

Mutations of what is right find more than random bytes: lines, numbers and names are exchanged,
doubled and left out.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import random
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from panelctl.config.load import parse_panel, read_panel
from panelctl.control.replay import replay
from panelctl.control.start import Start
from panelctl.control.store import Kept, StateStore
from panelctl.core.snapshot import Snapshot
from panelctl.errors import BadReply, ConfigError, DeviceRefused, PanelctlError
from panelctl.field.frames import RtuReceiver, read_question, split_tcp, tcp_answers
from panelctl.link.recording import read_recording
from panelctl.link.server import ControlServer, Reader
from panelctl.modbus.capture import parse_capture
from panelctl.modbus.maps import load_map, map_names, parse_map
from panelctl.model.command import ENTRIES
from panelctl.model.record import VERSION
from panelctl.sim.homes.read import read_home
from panelctl.sim.plant import Plant
from panelctl.sim.storm.run import plan, run
from panelctl.sim.storm.strike import Pace, read_schedule, to_text
from panelctl.sim.story import parse_story
from tests.homes.kept import Case, cases, panel, write
from tests.records import demo_hello

HELLO = demo_hello()
DEMO = Path("panelctl/sim/demo.toml")
TEXT = DEMO.read_text()
PANEL = read_panel(DEMO)
QUESTION = read_question(7, "input", 12, 3)
ODD = ["", "0", "-1", "1e309", "nan", "true", '""', "[]", "{}", "9" * 40, '"\\u0000"', "1979-05-27"]
SLOW = settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow])


def mutated(text: str, seed: int) -> str:
    """A text with a few changes, as a person or a disk makes them."""
    dice = random.Random(seed)
    lines = text.splitlines()
    for _ in range(dice.randint(1, 4)):
        n, m = dice.randrange(len(lines)), dice.randrange(len(lines))
        what = dice.randrange(6)
        if what == 0:
            lines[n] = lines[m]
        elif what == 1:
            lines[n] = ""
        elif what == 2 and "=" in lines[n]:
            lines[n] = lines[n].partition("=")[0] + "= " + dice.choice(ODD)
        elif what == 3 and lines[n]:
            place = dice.randrange(len(lines[n]))
            lines[n] = lines[n][:place] + chr(dice.randrange(1, 0x250)) + lines[n][place + 1 :]
        elif what == 4:
            lines[n], lines[m] = lines[m], lines[n]
        else:
            lines[n] = lines[n][: len(lines[n]) // 2]
    return "\n".join(lines) + "\n"


@settings(max_examples=400)
@given(st.lists(st.binary(max_size=80), max_size=12))
def test_any_bytes_of_a_serial_line(pieces: list[bytes]) -> None:
    receiver = RtuReceiver(QUESTION)
    for piece in pieces:
        try:
            receiver.feed(piece)
        except DeviceRefused:
            return


@settings(max_examples=400)
@given(st.binary(max_size=600))
def test_any_bytes_of_a_connection(data: bytes) -> None:
    buffer = bytearray(data)
    try:
        while (taken := split_tcp(buffer)) is not None:
            tcp_answers(QUESTION, *taken[1:])
    except (BadReply, DeviceRefused):
        return


class Sink(asyncio.Transport):
    """A transport that keeps nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        self.lines.append(bytes(data))

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
KEYS = [
    "id",
    "circuit",
    "limit_a",
    "expires_s",
    "tier",
    "windows",
    "source",
    "islanded",
    "soc",
    "number",
]
VERBS = [*ENTRIES, "status", "watch", "x", 3]


@settings(max_examples=300)
@given(
    st.sampled_from(VERBS),
    st.dictionaries(st.sampled_from(KEYS), PLAIN, max_size=6),
    st.binary(max_size=60),
)
def test_any_message_to_the_control_socket(verb: Any, message: dict[str, Any], tail: bytes) -> None:
    server = ControlServer(Path("/nowhere"), HELLO)
    reader, sink = Reader(server), Sink()
    reader.connection_made(sink)
    text = json.dumps({"v": VERSION, "do": verb, **message}).encode()
    reader.data_received(text + b"\n" + tail + b"\n")
    assert all(isinstance(json.loads(line), dict) for line in sink.lines)
    for command, _ in server.take_commands():
        assert command.id


@SLOW
@given(st.integers(0, 1 << 40))
def test_any_panel_file(seed: int) -> None:
    with suppress(ConfigError):
        parse_panel(mutated(TEXT, seed), "panel.toml")


@SLOW
@given(st.integers(0, 1 << 40), st.sampled_from(map_names()))
def test_any_register_map(seed: int, name: str) -> None:
    file = Path(f"panelctl/modbus/maps/{name}.toml")
    try:
        parse_map(mutated(file.read_text(), seed), name)
    except ConfigError:
        return


@SLOW
@given(st.integers(0, 1 << 40))
def test_any_capture_and_story(seed: int) -> None:
    capture = Path("fixtures/captures/carlo_gavazzi/em540-fw1.4.3.json").read_text()
    plant = Plant.of(PANEL)
    with suppress(ConfigError):
        parse_capture(mutated(capture, seed), "x.json")
    with suppress(ConfigError):
        parse_story(mutated(Path("panelctl/sim/story.toml").read_text(), seed), "x.toml", plant)


@SLOW
@given(st.integers(0, 1 << 40), st.sampled_from([case for case in cases() if case.csv]))
def test_any_home(seed: int, case: Case) -> None:
    home, rows = mutated(case.home, seed), mutated(case.csv, seed + 1)
    with TemporaryDirectory() as folder, suppress(ConfigError):
        path = write(replace(case, home=home, csv=rows, encoding="utf-8"), Path(folder))
        assert read_home(path, Plant.of(panel())).span_s > 0


@SLOW
@given(st.integers(0, 1 << 40))
def test_any_schedule(seed: int) -> None:
    file = Path("build/doors.json")
    file.parent.mkdir(exist_ok=True)
    file.write_text(mutated(to_text(1, 900.0, plan_of_a_storm()), seed))
    with suppress(ConfigError):
        read_schedule(file, {"late", "lost", "kill"})


def plan_of_a_storm() -> list[Any]:
    if not _PLANNED:
        _PLANNED.extend(plan(PANEL, 1, 900.0, Pace(60.0, 30.0)))
    return _PLANNED


_PLANNED: list[Any] = []


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    file = tmp_path_factory.mktemp("tape") / "t.jsonl"
    with file.open("xb") as out:
        run(PANEL, TEXT, 2, 4.0, [], 0.0, record=out)
    return file.read_text().splitlines()


@SLOW
@given(seed=st.integers(0, 1 << 40))
def test_any_recording(
    tape: list[str], tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    """A recording whose numbers, lines and keys are exchanged replays, differs, or is refused."""
    dice = random.Random(seed)
    lines = tape[:]
    for _ in range(dice.randint(1, 3)):
        n = dice.randrange(len(lines))
        parts = lines[n].split(",")
        m = dice.randrange(len(parts))
        parts[m] = dice.choice(
            ["", "1e400", "null", "-1", '"x"', "[]", parts[dice.randrange(len(parts))]]
        )
        lines[n] = ",".join(parts)
    file = tmp_path_factory.mktemp("any") / "t.jsonl.gz"
    file.write_bytes(gzip.compress("\n".join(lines).encode()))
    with suppress(PanelctlError):
        replay(PANEL, read_recording(file))


@SLOW
@given(PLAIN)
def test_any_start(plain: Any) -> None:
    for shape in ({"kept": plain}, {"kept": {"format": 1, "claims": plain}, "history": plain}):
        with pytest.raises((KeyError, TypeError, ValueError, AttributeError, OverflowError)):
            Start.from_plain({**shape, "now_ns": 1, "wall_s": 1.0})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"dryer": 1', '"\\ud800": 1'),
        ('"source": ""', '"source": "utility \\ud8e9"'),
        ('"lease_number": 0', f'"lease_number": {2**64}'),
        ('"until_ns": 5', '"until_ns": 5e99'),
        ('"until_ns": 5', f'"until_ns": {2**63}'),
        ('"now_ns": 7', f'"now_ns": {-(2**61)}'),
        ('"wall_s": 1.0', '"wall_s": NaN'),
        ('"wall_s": 1.0', '"wall_s": 1e300'),
        ('"wall_s": 1.0', '"wall_s": -1e300'),
    ],
)
def test_a_damaged_state_file_does_not_stop_the_controller(
    tmp_path: Path, before: str, after: str
) -> None:
    """What is taken from it goes out again in the first message of the control socket."""
    StateStore(tmp_path, "1").save(Kept(Snapshot({"dryer": 1}, 10.0, 5)), 7, 1.0)
    text = (tmp_path / "state.json").read_text()
    assert before in text
    store = StateStore(tmp_path, "2")
    assert store.load(9, 2.0).engine.claims == {"dryer": 1}
    (tmp_path / "state.json").write_text(text.replace(before, after))
    kept = store.load(9, 2.0)
    plain = Start(kept, 1, 1.0).to_plain()
    assert Start.from_plain(json.loads(orjson.dumps(plain))) == Start(kept, 1, 1.0)
    whole = Kept(Snapshot({"dryer": 1}, 10.0, kept.engine.until_ns))
    assert kept in (Kept(), whole), "all of it, or nothing"


def test_maps_of_the_library_are_read_once() -> None:
    assert load_map("carlo_gavazzi_em540") is load_map("carlo_gavazzi_em540")
