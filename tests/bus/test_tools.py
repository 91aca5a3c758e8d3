"""`probe`, `read` and `dump` as an installer runs them, over real ptys and sockets; and the survey
behind them with faults on the wire.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from panelctl.config.build import build_link
from panelctl.errors import ReadOnly
from panelctl.field.bus import Turn
from panelctl.field.frames import write_register_question
from panelctl.field.links import open_read_only
from panelctl.field.survey import Holding, Survey, gaps
from panelctl.field.timing import TimerfdClock
from panelctl.modbus.busplan import wire_of
from panelctl.modbus.capture import decode_with, parse_capture
from panelctl.modbus.maps import load_map
from panelctl.modbus.shapes import Span
from panelctl.sim.server import Fault
from panelctl.sim.wires import start_wire
from tests.bus.rig import BusRig

DEMO = "panelctl/sim/demo.toml"


@pytest.fixture(scope="module")
def links() -> Iterator[dict[str, str]]:
    """The URLs of a simulated panel's links."""
    command = [sys.executable, "-m", "panelctl", "sim"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        urls: dict[str, str] = json.loads(process.stdout.readline())["links"]
        yield urls
        process.stdin.close()
        process.wait(20)


def panelctl(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "panelctl", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_probe_tells_who_is_there_and_how_it_answers(links: dict[str, str]) -> None:
    done = panelctl("probe", links["line1"], "--units", "1-4", "--timeout-ms", "100", "--json")
    assert done.returncode == 0, done.stderr
    units = json.loads(done.stdout)
    assert [unit["unit"] for unit in units] == [1, 2]
    for unit in units:
        assert unit["maps"] == ["carlo_gavazzi_em540"]
        assert unit["pause_ms"] == 0
        assert unit["reads_gaps"] is False
        assert unit["answer_ms"] > 0


def probed(edit: Callable[[BusRig], None], kind: str) -> subprocess.CompletedProcess[str]:
    """What `probe` says of the rig's wire, on which `edit` has put a vice."""

    async def run() -> subprocess.CompletedProcess[str]:
        rig = BusRig(kind)
        edit(rig)
        await start_wire(rig.wire)
        arguments = ("probe", rig.wire.url, "--units", "1-4", "--timeout-ms", "100", "--json")
        done = await asyncio.to_thread(panelctl, *arguments)
        rig.wire.stop()
        rig.clock.close()
        await asyncio.sleep(0)
        return done

    return asyncio.run(run())


def test_probe_finds_who_is_behind_a_link_that_is_deaf_at_first() -> None:
    def deaf(rig: BusRig) -> None:
        rig.host.settle_s = 1.5

    done = probed(deaf, "tcp")
    assert [unit["unit"] for unit in json.loads(done.stdout)] == [1, 2], done.stderr
    assert "deaf for a while after it was opened; write ?settle_ms=" in done.stderr


def test_probe_says_what_is_odd_about_a_link() -> None:
    def echo(rig: BusRig) -> None:
        rig.segment.echo = True

    done = probed(echo, "rtu")
    assert [unit["unit"] for unit in json.loads(done.stdout)] == [1, 2], done.stderr
    assert "hears itself" in done.stderr


def test_probe_measures_an_unmarked_device_by_the_map_that_it_is_given(
    links: dict[str, str],
) -> None:
    arguments = ("probe", links["line2"], "--units", "21", "--timeout-ms", "100")
    plain = panelctl(*arguments)
    assert "unit 21: a device; no map's mark; name its map with --map" in plain.stdout
    done = panelctl(*arguments, "--map", "wirenboard_wb_mr6cu")
    assert "needs no pause" in done.stdout


def test_probe_of_a_silent_wire_says_so(links: dict[str, str]) -> None:
    done = panelctl("probe", links["line1"], "--units", "9", "--timeout-ms", "50")
    assert done.returncode == 1
    assert "nobody answered" in done.stderr
    assert panelctl("probe", "rtu:///dev/no_such_port", "--units", "1").returncode == 2
    wrong = panelctl("probe", links["line1"], "--units", "1-999")
    assert wrong.returncode == 2
    assert "write units as in" in wrong.stderr


def test_read_by_url_and_by_name(links: dict[str, str], tmp_path: Path) -> None:
    whole = panelctl("read", links["line1"], "--map", "carlo_gavazzi_em540", "--json")
    values = json.loads(whole.stdout)["values"]
    assert whole.returncode == 0, whole.stderr
    assert values["l1_v"] == pytest.approx(120, abs=3)
    assert values["total_w"] == pytest.approx(values["l1_w"] + values["l2_w"], rel=0.02)
    text = Path(DEMO).read_text()
    for name, old in (("line1", "rtu:///dev/ttyAMA0"), ("line2", "rtu:///dev/ttyAMA1")):
        assert name in text
        text = text.replace(f"{old}?baud=115200", links[name])
    panel = tmp_path / "panel.toml"
    panel.write_text(text)
    one = panelctl("read", "mains", "l1_a", "l2_a", "--config", str(panel))
    assert one.returncode == 0, one.stderr
    assert [line.split()[0] for line in one.stdout.splitlines()] == ["l1_a", "l2_a"]
    unknown = panelctl("read", "mains", "l9_a", "--config", str(panel))
    assert unknown.returncode == 2
    assert "has no point l9_a" in unknown.stderr
    nobody = panelctl("read", "main", "--config", str(panel))
    assert "it has mains" in nobody.stderr.replace("\n", " ")


def test_a_dump_decodes_to_what_was_read(links: dict[str, str], tmp_path: Path) -> None:
    done = panelctl("dump", links["line1"], "--map", "carlo_gavazzi_em540", "--unit", "1")
    assert done.returncode == 0, done.stderr
    file = tmp_path / "meter.json"
    file.write_text(done.stdout)
    again = panelctl("maps", "decode", str(file), "--map", "carlo_gavazzi_em540", "--json")
    values = json.loads(again.stdout)[0]["values"]
    assert values["l1_v"] == pytest.approx(120, abs=3)
    tables = parse_capture(done.stdout, "dump")
    known = load_map("carlo_gavazzi_em540")
    named = {a for p in known.points.values() for a in range(p.address, p.end)}
    assert all(set(words) <= named for words in tables.values())


def test_a_serial_number_is_blanked_in_a_dump() -> None:
    from panelctl.cli.dump import redacted

    known = load_map("sunspec_common")
    holding = Holding()
    words = [0x5375, 0x6E53, 1, 66] + [0x4142] * 66 + [0xFFFF, 0]
    holding.store(Span("holding", 40000, len(words)), words)
    tables = redacted(known, holding)
    (decoded,) = decode_with(known, tables)
    assert decoded.values["serial_number"] == ""
    assert str(decoded.values["maker"]).startswith("AB")


def test_nothing_is_written_through_a_read_only_link() -> None:
    async def run() -> None:
        clock = TimerfdClock()
        link = open_read_only(build_link("x", "tcp://127.0.0.1:9"), clock)
        with pytest.raises(ReadOnly):
            await link.ask(write_register_question(1, 0, 1), 100, Turn.WRITE)
        await link.close()
        clock.close()

    asyncio.run(run())


def surveyed(fault: Fault | None, kind: str = "rtu") -> dict[str, Any]:
    """What a survey of the rig's mains meter brings, with a fault on its replies."""
    known = load_map("carlo_gavazzi_em540")

    async def run() -> dict[str, Any]:
        rig = BusRig(kind)
        await start_wire(rig.wire)
        if fault is not None:
            rig.strike("mains", fault)
        where = build_link("line1", rig.wire.url)
        link = open_read_only(where, rig.clock)
        survey = Survey(link, rig.clock, wire_of(where), rig.unit["mains"], 60, 150)
        try:
            holding = await survey.collect(known)
            (decoded,) = decode_with(known, holding.tables)
            pause_ms = await survey.pause_ms(Span("input", 0, 2)) if fault is None else None
            return {"values": decoded.values, "missing": holding.missing, "pause_ms": pause_ms}
        finally:
            await link.close()
            rig.wire.stop()
            rig.clock.close()

    return asyncio.run(run())


@pytest.mark.parametrize("wire", ["rtu", "tcp", "udp", "rtu+tcp"])
@pytest.mark.parametrize("kind", ["late", "garbled", "foreign", "duplicate", "short"])
def test_a_survey_takes_no_wrong_value_and_misses_none(kind: str, wire: str) -> None:
    truth = surveyed(None, wire)["values"]
    found = surveyed(Fault(kind, 1, ms=100), wire)
    assert found["missing"] == []
    for name, value in truth.items():
        assert float(found["values"][name]) == pytest.approx(float(value), rel=0.02, abs=0.5), name


def test_a_refused_block_is_asked_point_by_point() -> None:
    """Two single registers come first and are refused, then a block of many is, once."""
    found = surveyed(Fault("refuse", 3, code=2))
    assert [(span.table, span.count) for span, _ in found["missing"]] == [("holding", 1)] * 2
    assert {why for _, why in found["missing"]} == {"the device refused with exception code 2"}
    assert {"l1_v", "l1_a", "l1_w", "total_w"} <= found["values"].keys()


def test_gaps_are_tried_between_named_points_only() -> None:
    known = load_map("carlo_gavazzi_em540")
    named = {
        a for p in known.points.values() if p.table == "input" for a in range(p.address, p.end)
    }
    for span in gaps(known):
        touched = set(range(span.address, span.address + span.count))
        assert span.count <= known.max_registers
        if span.table == "input":
            assert span.address in named
            assert span.address + span.count - 1 in named
            assert touched - named
