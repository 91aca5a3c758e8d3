"""The whole controller over relay boards that nobody here wrote, on real sockets and ptys:
pymodbus's and modbus-tk's servers that refuse, ignore, delay, and start anew.

What people are shown is where the board's output is, or that it is unknown, within 3 s; they are
told of an order that is not followed; and nothing stays that was no fault.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from panelctl.model.command import CloseRelay, OpenRelay
from panelctl.model.record import CycleRecord, EventRecord
from tests.contract.foreign.board import UNIT
from tests.contract.foreign.serve import line
from tests.e2e.rig import DEMO, PanelRig, circuit

KINDS = [
    ("pymodbus", "tcp", "coils"),
    ("modbus_tk", "tcp", "coils"),
    ("pymodbus", "rtu", "coils"),
    ("modbus_tk", "rtu", "coils"),
    ("pymodbus", "rtu", "words"),
    ("modbus_tk", "rtu", "words"),
]
MAPS = {"coils": "kmtronic_relay_8", "words": "laskakit_relay_8ch"}
LINE = "rtu:///dev/ttyAMA2?baud=115200"
CONNECTION = "tcp://192.0.2.31:502"
TOLD_S = 3.0
LOAD, OUTPUT = "dryer", 4
SHOWN_MOST_S = 2 * TOLD_S  # a busy machine reads records late
SERVE = (sys.executable, "-m", "tests.contract.foreign.board")


@dataclass
class Board:
    """The server as a process, at a place that outlives it."""

    server: str
    wire: str
    kind: str
    place: str = "0"
    process: subprocess.Popen[str] = field(init=False)

    def start(self) -> None:
        """Start it: where it was, if it was."""
        self.process = subprocess.Popen(
            [*SERVE, self.server, self.place, self.kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.place = self._said()

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.communicate()

    def do(self, verb: str) -> str:
        """Let it do something; what it said."""
        assert self.process.stdin is not None
        self.process.stdin.write(verb + "\n")
        self.process.stdin.flush()
        return self._said()

    def on(self, output: int) -> bool:
        """Whether an output is on."""
        return bool(json.loads(self.do("show"))[output - 1])

    def _said(self) -> str:
        assert self.process.stdout is not None
        said = self.process.stdout.readline().strip()
        assert said, "the board's server has ended"
        return said


class Watched:
    """The controller over such a board. A record is looked at by what the board says itself."""

    def __init__(self, folder: Path, board: Board, url: str) -> None:
        self.board = board
        text = DEMO.read_text()
        link = f'[[link]]\nname = "board"\nurl = "{LINE if board.wire == "rtu" else CONNECTION}"\n'
        text = text.replace("[[device]]", f"{link}\n[[device]]", 1)
        text, moved = re.subn(
            r'name = "relays1"\nlink = "line2"\nunit = \d+\nmap = "\w+"',
            f'name = "relays1"\nlink = "board"\nunit = {UNIT}\nmap = "{MAPS[board.kind]}"',
            text,
        )
        assert moved == 1
        file = folder / "panel.toml"
        file.write_text(text.replace("rate_hz = 10", "rate_hz = 8"))
        self.rig = PanelRig(folder, file)
        self.rig.links["board"] = url
        for ident in ("range", LOAD, "heat_strips", "water_heater"):
            self.rig.bench.ask(do="demand", circuit=ident, w=0)  # its current would tell more
        self.events: list[EventRecord] = []
        self._apart_s = 0.0

    def until(self, condition: object, timeout_s: float = 20.0) -> CycleRecord:
        """The first record for which that holds; none on the way may show what is not."""
        assert callable(condition)

        def seen(record: CycleRecord) -> bool:
            self.events += [e for e in record["events"] if e.get("circuit") == LOAD]
            self._compare(record)
            return bool(condition(record))

        return self.rig.until(seen, timeout_s)

    def _compare(self, record: CycleRecord) -> None:
        shown = circuit(record, LOAD)["relay"]
        alive = self.board.process.poll() is None
        right = shown == "UNKNOWN" or (alive and (shown == "CLOSED") == self.board.on(OUTPUT))
        now_s = time.monotonic()
        self._apart_s = 0.0 if right else self._apart_s or now_s
        if not right:
            assert now_s - self._apart_s < SHOWN_MOST_S, f"{LOAD} is shown {shown}, and is not"

    def order(self, closed: bool) -> None:
        """A person opens the circuit, or takes that back."""
        assert self.rig.client is not None
        verb = CloseRelay if closed else OpenRelay
        assert self.rig.client.command(verb(f"{time.monotonic()}", LOAD)).accepted
        self.events.clear()

    def shows(self, relay: str) -> CycleRecord:
        """Wait until the board is there and people are shown that it is."""
        return self.until(
            lambda r: (
                circuit(r, LOAD)["relay"] == relay and self.board.on(OUTPUT) == (relay == "CLOSED")
            )
        )

    def told(self, *begins: str) -> float:
        """Wait until people hear something that begins so; after how long, by the controller's
        clock.
        """
        first = self.until(lambda r: True)
        last = self.until(lambda r: any(e.get("text", "").startswith(begins) for e in self.events))
        return (last["t_ns"] - first["t_ns"]) / 1e9

    def over(self) -> None:
        """Wait until nothing is wrong: the second fault of a relay within an hour takes 20 s."""
        self.until(lambda r: r["orders"] == [] and r["faults"] == [], 60)


@pytest.fixture(params=KINDS, ids=["-".join(kind) for kind in KINDS])
def watched(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Watched]:
    """A settled controller whose first board is a foreign server, with every output on."""
    board = Board(*request.param)
    url = ""
    if board.wire == "rtu":
        board.place, ours = line()
        url = f"rtu://{ours}?baud=115200"
    board.start()
    made = Watched(tmp_path, board, url or f"tcp://127.0.0.1:{board.place}")
    try:
        made.rig.start()
        made.until(lambda r: r["state"] == "NORMAL")
        yield made
    finally:
        made.rig.stop()
        board.kill()


def test_orders_are_followed_or_told_of_and_nothing_is_shown_that_is_not(watched: Watched) -> None:
    board = watched.board
    watched.shows("CLOSED")

    board.do("refuse 4")
    watched.order(closed=False)
    assert watched.told("REFUSED: relay OPEN") < TOLD_S
    watched.told("REFUSED_OPEN")
    board.do("obey")
    watched.shows("OPEN")
    watched.over()
    watched.order(closed=True)
    watched.shows("CLOSED")

    board.do("ignore")
    watched.order(closed=False)
    # One acknowledges what it was told, the other what it has, which is no acknowledgement.
    assert watched.told("WELDED", "LOST: relay OPEN") < TOLD_S
    board.do("obey")
    watched.shows("OPEN")
    watched.over()
    watched.order(closed=True)
    watched.shows("CLOSED")

    board.do("delay 0.7")  # later than it is waited for: done, and not heard
    watched.order(closed=False)
    watched.shows("OPEN")
    board.do("obey")
    watched.over()

    watched.order(closed=True)
    watched.shows("CLOSED")
    board.kill()
    watched.order(closed=False)
    assert watched.told("LOST: relay OPEN") < TOLD_S
    board.start()
    watched.shows("OPEN")
    watched.over()
    assert all(e["what"] != "fault" for e in watched.events), "a board that starts anew has none"
