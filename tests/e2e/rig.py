"""A simulated panel and the real controller as processes, and ways to wait for what they do."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from panelctl.errors import SocketError
from panelctl.link.client import ControlClient
from panelctl.model.record import CircuitRecord, ComputeRecord, CycleRecord
from panelctl.sim.bench_socket import BenchClient

Record = CycleRecord
DEMO = Path("panelctl/sim/demo.toml")


class PanelRig:
    """`sim` and `run` on a panel file. Records are read with `until`; the bench turns the knobs."""

    def __init__(self, folder: Path, config: Path = DEMO, *sim_options: str) -> None:
        self.folder = folder
        self.config = config
        self._records: Iterator[Record] | None = None
        self.client: ControlClient | None = None
        self.run: subprocess.Popen[str] | None = None
        self.sim = subprocess.Popen(
            [
                *(sys.executable, "-m", "panelctl", "sim", "--config", str(config)),
                *("--bench", str(folder / "bench.sock"), *sim_options),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.sim.stdout is not None
        ready, _, _ = select.select([self.sim.stdout], [], [], 20)
        assert ready, "the simulated panel did not start"
        import json

        self.links: dict[str, str] = json.loads(self.sim.stdout.readline())["links"]
        self.bench = BenchClient(folder / "bench.sock")

    def start(self, *more: str) -> None:
        """Start the controller, with `more` options, and connect to it."""
        options = [f"--link={name}={url}" for name, url in self.links.items()]
        with (self.folder / "run.log").open("a") as log:
            self.run = subprocess.Popen(
                [
                    *(sys.executable, "-m", "panelctl", "run", "--config", str(self.config)),
                    *("--socket", str(self.folder / "control.sock")),
                    *("--state", str(self.folder / "state"), *options, *more),
                ],
                stdin=subprocess.DEVNULL,
                stderr=log,
                text=True,
            )
        self.connect()

    def second(self, name: str, state: Path, *more: str) -> subprocess.CompletedProcess[str]:
        """Another controller of the same panel, with a control socket of its own. It must end."""
        links = [f"--link={link}={url}" for link, url in self.links.items()]
        command = [
            *(sys.executable, "-m", "panelctl", "run", "--config", str(self.config), *links),
            *("--socket", str(self.folder / f"{name}.sock"), "--state", str(state), *more),
        ]
        return subprocess.run(command, capture_output=True, text=True, timeout=30)

    def writes_of_others(self) -> int:
        """How many writes the devices take while the controller stands still and two others are
        started: one beside it, and one in its state directory.
        """
        assert self.run is not None
        os.kill(self.run.pid, signal.SIGSTOP)
        try:
            before, last = int(self.bench.truth()["writes"]), -1
            while before != last:  # what was on its way when it stopped
                select.select([], [], [], 0.2)
                before, last = int(self.bench.truth()["writes"]), before
            for name in ("elsewhere", "state"):
                ended = self.second("other", self.folder / name)
                assert ended.returncode == 2, ended.stderr
            return int(self.bench.truth()["writes"]) - before
        finally:
            os.kill(self.run.pid, signal.SIGCONT)

    def connect(self) -> None:
        """Connect to the controller, as soon as it is there."""
        assert self.run is not None
        deadline = time.monotonic() + 20
        while True:
            with suppress(SocketError):
                self.client = ControlClient(self.folder / "control.sock")
                break
            assert self.run.poll() is None, (self.folder / "run.log").read_text()
            assert time.monotonic() < deadline, "the controller did not start"
            select.select([], [], [], 0.02)
        self._records = self.client.watch()

    def kill(self) -> None:
        """kill -9 the controller."""
        assert self.run is not None
        assert self.client is not None
        self.run.kill()
        self.run.wait()
        self.client.close()

    def until(
        self, condition: Callable[[Record], Any], timeout_s: float, seen: list[Record] | None = None
    ) -> Record:
        """The first record for which `condition` holds; all read on the way go into `seen`."""
        assert self._records is not None
        deadline = time.monotonic() + timeout_s
        last: Record | None = None
        for last in self._records:
            if seen is not None:
                seen.append(last)
            if condition(last):
                return last
            if time.monotonic() > deadline:
                break
        assert last is not None, "the controller says nothing"
        raise AssertionError(
            f"did not come within {timeout_s} s; last: {last['state']} {last['legs']} "
            f"{last['compute']} {last['units']} {open_circuits(last)}"
        )

    def truth_until(
        self, condition: Callable[[dict[str, Any]], Any], timeout_s: float = 5.0
    ) -> dict[str, Any]:
        """The plant's truth once `condition` holds for it."""
        deadline = time.monotonic() + timeout_s
        while not condition(truth := self.bench.truth()):
            assert time.monotonic() < deadline, f"did not come within {timeout_s} s: {truth}"
            select.select([], [], [], 0.02)
        return truth

    def settle(self) -> Record:
        """A controller that sees everything, with the compute node at full power."""
        return self.until(
            lambda r: (
                r["state"] == "NORMAL"
                and node(r)["draw_w"] > 12_000
                and all(c["relay"] in ("CLOSED", "NONE") for c in r["circuits"])
            ),
            20,
        )

    def stop(self) -> None:
        """End both processes."""
        if self.client is not None:
            self.client.close()
        if self.run is not None and self.run.poll() is None:
            self.run.send_signal(signal.SIGTERM)
            self.run.wait(timeout=10)
        self.bench.close()
        assert self.sim.stdin is not None
        assert self.sim.stdout is not None
        self.sim.stdin.close()
        self.sim.stdout.close()
        self.sim.wait(timeout=10)


def circuit(record: Record, ident: str) -> CircuitRecord:
    """One circuit of a record."""
    found: CircuitRecord = next(c for c in record["circuits"] if c["id"] == ident)
    return found


def node(record: Record) -> ComputeRecord:
    """The compute circuit of a record."""
    found = record["compute"]
    assert found is not None
    return found


def open_circuits(record: Record) -> set[str]:
    """The ids of the circuits whose relay reads open."""
    return {c["id"] for c in record["circuits"] if c["relay"] == "OPEN"}


def unread_relays(record: Record) -> set[str]:
    """The ids of the circuits whose relay has not been read, or not lately."""
    return {c["id"] for c in record["circuits"] if c["relay"] == "UNKNOWN"}


def events(records: list[Record], what: str) -> list[str]:
    """The circuits of all events of one kind."""
    return [e.get("circuit", "") for r in records for e in r["events"] if e["what"] == what]
