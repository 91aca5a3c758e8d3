"""The main job: the demo's story, told to the real controller over real wires."""

from __future__ import annotations

import json
import os
import re
import select
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.alone
def test_the_story_is_told_and_every_check_holds() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "panelctl", "demo", "--for", "55s", "--json"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    failed = [check for check, held in summary["checks"].items() if not held]
    # A machine that stalls for a whole cycle is not the controller's doing; it is counted, and
    # `make bench` holds the count to none.
    assert [check for check in failed if check != "no overrun"] == [], summary
    assert summary["overruns"] <= 3
    assert done.returncode == (1 if failed else 0)
    assert summary["shed"][:2] == ["pool_pump", "hot_tub"], "the last tiers go first"
    assert sorted(summary["restored"]) == sorted(summary["shed"])
    assert summary["cycles"] > 500


def test_a_recorded_home_drives_the_loads() -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "panelctl", "demo", "--for", "8s", "--json"),
            *("--home", "fixtures/homes/ochre_demo.toml"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["breaker_trips"] == 0
    assert summary["worst_overload_s"] <= 2.0
    assert summary["compute_wh"] > 0


def test_a_demo_that_is_told_to_end_leaves_nothing_behind(tmp_path: Path) -> None:
    def children() -> list[str]:
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                words = entry.read_text().split("\0")
                if any(str(tmp_path) in word for word in words):
                    found.append(" ".join(words))
        return found

    demo = subprocess.Popen(
        [sys.executable, "-m", "panelctl", "demo", "--for", "60s", "--json"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 20
        while not any(" run " in line for line in children()):
            assert time.monotonic() < deadline, "the demo did not start"
            select.select([], [], [], 0.05)
    finally:
        demo.terminate()
        demo.wait(20)
    assert children() == []
    assert list(tmp_path.iterdir()) == []


def test_the_demo_with_a_broker(tmp_path: Path) -> None:
    """It tells where to look, and leaves neither a broker nor files behind."""
    command = [sys.executable, "-m", "panelctl", "demo", "--for", "6s", "--json", "--mqtt"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=90,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    found = re.search(r"MQTT on 127\.0\.0\.1:(\d+), .*\"password\"", done.stderr)
    assert found, done.stderr
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", int(found[1])), 2)
    assert list(tmp_path.iterdir()) == []
