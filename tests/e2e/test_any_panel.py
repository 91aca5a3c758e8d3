"""`sim` and `demo` with anybody's panel file, and what ends a simulation."""

from __future__ import annotations

import json
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from panelctl.sim.bench_socket import BenchClient
from tests.panels import files

SIM = [sys.executable, "-m", "panelctl", "sim"]
FILES = files()


@contextmanager
def sim(
    stdin: int | IO[bytes] | None, *words: str, closed: bool = False
) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, Any]]]:
    """A simulated panel, and its first line. `closed`: it is started without a file number 0."""
    command = [*SIM, *words]
    if closed:
        command = ["/bin/sh", "-c", 'exec "$0" "$@" <&-', *command]
    process = subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], 30)
        assert ready, "it did not start"
        yield process, json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


def goes_on(bench: str) -> None:
    """Its time passes: the bench answers, later and later."""
    with closing(BenchClient(Path(bench))) as client:
        first = client.truth()["t_s"]
        while client.truth()["t_s"] < first + 0.3:
            select.select([], [], [], 0.02)


@pytest.mark.parametrize("what", ["null", "closed", "file"])
def test_what_a_service_manager_gives_does_not_end_it(what: str, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    with empty.open("rb") as file:
        stdin = {"null": subprocess.DEVNULL, "closed": None, "file": file}[what]
        with sim(stdin, "--begin", closed=what == "closed") as (process, endpoints):
            goes_on(endpoints["bench"])
            assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0


@pytest.mark.parametrize("word", [b"", b"a word\n"])
def test_the_end_of_ones_own_pipe_ends_it(word: bytes) -> None:
    with sim(subprocess.PIPE) as (process, endpoints):
        assert process.stdin is not None
        process.stdin.write(word)
        process.stdin.flush()
        goes_on(endpoints["bench"])
        assert process.poll() is None
        process.stdin.close()
        assert process.wait(20) == 0


@pytest.mark.parametrize("name", [name for name in FILES if name != "demo"])
def test_any_panel_file_is_simulated(name: str, tmp_path: Path) -> None:
    path = tmp_path / "panel.toml"
    path.write_text(FILES[name])
    with sim(subprocess.DEVNULL, "--config", str(path), "--begin") as (_, endpoints):
        assert endpoints["loads"] == "household"
        goes_on(endpoints["bench"])


@pytest.mark.parametrize("name", ["one_leg", "sunny"])
def test_any_panel_file_has_its_demo(name: str, tmp_path: Path) -> None:
    path = tmp_path / "panel.toml"
    path.write_text(FILES[name])
    done = subprocess.run(
        [*SIM[:-1], "demo", "--config", str(path), "--for", "8s", "--json"],
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.stdout, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    failed = [check for check, held in summary["checks"].items() if not held]
    assert [check for check in failed if check != "no overrun"] == [], summary
    assert summary["loads"] == "household"
    assert summary["cycles"] > 50
    assert summary["sheds"] or "no circuit was shed" in summary["notes"][0]


def test_a_story_of_another_panel_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "panel.toml"
    path.write_text(FILES["one_leg"])
    story = "panelctl/sim/story.toml"
    done = subprocess.run(
        [*SIM, "--config", str(path), "--story", story], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 2
    assert "story.toml" in done.stderr
    assert "is no circuit of the panel" in done.stderr
    assert "Traceback" not in done.stderr
