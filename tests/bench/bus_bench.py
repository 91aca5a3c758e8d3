"""The field bus: the speed of the wire and its silences against other clients, TCP, decoding, and
wrong values over the fault matrix.

The wire is tests/bench/native/wire.c, a process of its own on a core of its own; every client asks
the same questions on the same emulated line, in turns.
"""

from __future__ import annotations

import asyncio
import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from statistics import median

from panelctl.config.build import build_link
from panelctl.core.state.image import Image
from panelctl.field.bus import Turn
from panelctl.field.frames import read_question
from panelctl.field.rtu import RtuLink
from panelctl.field.tcp import TcpLink
from panelctl.field.timing import TimerfdClock
from panelctl.modbus.fields import Block, Field
from panelctl.modbus.maps import Point, load_map, map_names
from panelctl.model.metering import Quality
from panelctl.sim.server import Fault
from tests.bench import bus_peers
from tests.bench.bus_peers import Run
from tests.bench.native_build import NATIVE, OUT
from tests.bench.rows import Row, at_least, at_most, reported
from tests.bus import test_fault_matrix as matrix
from tests.bus.rig import VICTIM, BusRig, on_rig

BAUDS, SIZES = (9600, 19200, 115200), (10, 40, 120)
BITS = 11  # a start bit, eight of data, two stop bits
FIFO = 14  # a UART's trigger level
SECONDS = 2.0
TCP_QUESTIONS, TCP_ROUNDS = 2_000, 5
REGISTERS = 120
LATE_POLLS, LATE_MS, IMPATIENCE_S = 40, 60, 0.05


def bus_rows() -> list[Row]:
    """All bus.*, peer.*, codec.* and maps.* rows."""
    build_wire()
    maps = [load_map(name) for name in map_names()]
    rows = [
        at_least("maps.count", len(maps), "maps", 30, len(maps), "register maps as data"),
        reported(
            "maps.verified",
            sum(known.verified for known in maps),
            "maps",
            len(maps),
            "of them decode a recording of a real device in a test",
        ),
    ]
    return rows + rtu_rows() + late_rows() + tcp_rows() + codec_rows() + fault_rows()


def build_wire() -> None:
    """build/bench/wire."""
    OUT.mkdir(parents=True, exist_ok=True)
    command = ["gcc", "-O2", "-o", str(OUT / "wire"), str(NATIVE / "wire.c"), "-lutil"]
    subprocess.run(command, check=True)


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """This process on one core and, where that is permitted, before the others."""
    cores, policy = os.sched_getaffinity(0), os.sched_getscheduler(0)
    os.sched_setaffinity(0, {core})
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, os.sched_param(0))
        os.sched_setaffinity(0, cores)


@dataclass(slots=True)
class Line:
    """The emulated wire: its port, and after the block what it counted."""

    path: str
    baud: int
    requests: int = 0
    violations: int = 0


def silence_ns(baud: int, silence_us: int) -> float:
    """The silence in force."""
    return silence_us * 1000 if silence_us else 3.5 * BITS * 1e9 / baud


@contextmanager
def wire(baud: int, silence_us: int = 0, late: tuple[int, int] = (0, 0)) -> Iterator[Line]:
    """The emulated wire as a process on core 0; `late`: every how many replies, by how many ms."""
    limit = str(round(silence_ns(baud, silence_us)))
    command = [str(OUT / "wire"), str(baud), str(BITS), limit, str(FIFO)]
    if late[0]:
        command += [str(part) for part in late]
    with subprocess.Popen(
        ["taskset", "-c", "0", *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(PermissionError):
            os.sched_setscheduler(process.pid, os.SCHED_FIFO, os.sched_param(10))
        line = Line(process.stdout.readline().strip(), baud)
        yield line
        process.stdin.close()
        counted = json.loads(process.stdout.read())
        line.requests, line.violations = counted["requests"], counted["violations"]


def ours(line: Line, count: int, seconds: float, silence_us: int = 0) -> Run:
    """panelctl's own link."""

    async def run() -> Run:
        clock = TimerfdClock()
        url = f"rtu://{line.path}?baud={line.baud}&stop=2&silence_us={silence_us}"
        link = RtuLink(build_link("bench", url), clock)
        questions = [read_question(1, "input", address, count) for address in (0, 50)]
        await link.ask(questions[0], 500, Turn.FAST)
        done = Run()
        begin_s, cpu_s = time.monotonic(), time.process_time()
        while time.monotonic() - begin_s < seconds:
            answer = await link.ask(questions[done.asked % 2], 500, Turn.FAST)
            done.note(answer.values[0], 50 * (done.asked % 2))
        done.seconds, done.cpu_s = time.monotonic() - begin_s, time.process_time() - cpu_s
        await link.close()
        clock.close()
        return done

    return asyncio.run(run())


def rtu_rows() -> list[Row]:
    """Share of the wire's rate, violated silences and CPU of each client."""
    rows: list[Row] = []
    violations, asked = 0, 0
    with on_core(1):
        for baud in BAUDS:
            for count in SIZES:
                char_ns = BITS * 1e9 / baud
                least_ns = (8 + 5 + 2 * count) * char_ns + 2 * silence_ns(baud, 0)
                with wire(baud) as line:
                    done = ours(line, count, SECONDS)
                violations += line.violations
                asked += line.requests
                ratio = done.asked / done.seconds * least_ns / 1e9
                note = f"{done.wrong} wrong, {line.violations} violations, {done.cpu_us:.0f} us CPU"
                name = f"bus.rtu.wire_ratio.{baud}.{count}"
                rows.append(at_least(name, ratio, "of the limit", 0.95, done.asked, note))
                cpu = f"bus.rtu.cpu_us.{baud}.{count}"
                rows.append(reported(cpu, done.cpu_us, "us", done.asked, "a transaction"))
        with wire(115200, 1750) as line:
            done = ours(line, 40, SECONDS, 1750)
        violations += line.violations
        asked += line.requests
        least_ns = (8 + 5 + 80) * BITS * 1e9 / 115200 + 2 * 1_750_000
        ratio = done.asked / done.seconds * least_ns / 1e9
        note = "a line that keeps 1.75 ms"
        name = "bus.rtu.wire_ratio.115200_1750us.40"
        rows.append(at_least(name, ratio, "of the limit", 0.95, done.asked, note))
        for peer, client in bus_peers.rtu_clients().items():
            rows += peer_rows(peer, client)
    note = "over all of the above"
    rows.append(at_most("bus.rtu.silence_violations", violations, "requests", 0, asked, note))
    return rows


def peer_rows(peer: str, client: Callable[[str, int, int, float], Run]) -> list[Row]:
    """The same of another client."""
    rows: list[Row] = []
    violations, asked = 0, 0
    for baud in BAUDS:
        for count in SIZES:
            least_ns = (13 + 2 * count) * BITS * 1e9 / baud + 2 * silence_ns(baud, 0)
            with wire(baud) as line:
                done = client(line.path, baud, count, SECONDS)
            violations += line.violations
            asked += line.requests
            ratio = done.asked / done.seconds * least_ns / 1e9
            note = f"{done.failed} failed, {line.violations} of {line.requests} broke the silence"
            name = f"peer.{peer}.rtu.wire_ratio.{baud}.{count}"
            rows.append(reported(name, ratio, "of the limit", done.asked, note))
    name, note = f"peer.{peer}.rtu.silence_violations", "over all of the above"
    return [*rows, reported(name, violations, "requests", asked, note)]


def late_rows() -> list[Row]:
    """Wrong answers of other clients when every reply comes a little after they gave up on it."""
    rows = []
    for peer, client in bus_peers.impatient_clients().items():
        with wire(19200, late=(1, LATE_MS)) as line:
            done = client(line.path, 19200, LATE_POLLS, IMPATIENCE_S)
        note = f"every reply {LATE_MS} ms late, {done.failed} polls without an answer"
        rows.append(reported(f"peer.{peer}.wrong_values", done.wrong, "polls", LATE_POLLS, note))
    return rows


def tcp_rows() -> list[Row]:
    """Transactions a second and CPU of each against a bare asyncio exchange of the same bytes."""
    server = [sys.executable, str(Path(__file__).with_name("tcp_server.py"))]
    with subprocess.Popen(
        ["taskset", "-c", "0", *server], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with on_core(1):
            clients = {"ours": our_tcp, **bus_peers.TCP}
            runs: dict[str, list[Run]] = {name: [] for name in clients}
            for _ in range(TCP_ROUNDS):
                for name, client in clients.items():
                    runs[name].append(client(port, TCP_QUESTIONS))
        process.stdin.close()
    per_s = {name: median(r.asked / r.seconds for r in done) for name, done in runs.items()}
    ratio = median(a.cpu_us / b.cpu_us for a, b in zip(runs["ours"], runs["raw"], strict=True))
    peer = median(a.cpu_us / b.cpu_us for a, b in zip(runs["pymodbus"], runs["raw"], strict=True))
    cpu = {name: median(r.cpu_us for r in done) for name, done in runs.items()}
    n = TCP_QUESTIONS * TCP_ROUNDS
    words = ", ".join(f"{name} {value:.0f}" for name, value in per_s.items())
    used = ", ".join(f"{name} {value:.0f}" for name, value in cpu.items())
    return [
        reported("bus.tcp.per_s", per_s["ours"], "a second", n, f"one unit, 40 registers: {words}"),
        at_most("bus.tcp.cpu_vs_raw", ratio, "x", 1.5, n, f"CPU us a transaction: {used}"),
        reported("peer.pymodbus_async.tcp.cpu_vs_raw", peer, "x", n, "the same"),
    ]


def our_tcp(port: int, questions: int) -> Run:
    """panelctl's own link."""

    async def run() -> Run:
        clock = TimerfdClock()
        link = TcpLink(build_link("bench", f"tcp://127.0.0.1:{port}"), clock)
        question = read_question(1, "input", 7, 40)
        await link.ask(question, 500, Turn.FAST)
        done = Run()
        begin_s, cpu_s = time.monotonic(), time.process_time()
        for _ in range(questions):
            answer = await link.ask(question, 500, Turn.FAST)
            done.note(answer.values[0], 7)
        done.seconds, done.cpu_s = time.monotonic() - begin_s, time.process_time() - cpu_s
        await link.close()
        clock.close()
        return done

    return asyncio.run(run())


def codec_rows() -> list[Row]:
    """A block of 60 values of two registers into the image, against `struct` for each point."""
    points = [
        Point(f"p{n}", "input", 2 * n, "i32", scale=Fraction(1, 10), unit="W")
        for n in range(REGISTERS // 2)
    ]
    most_w = 1_000_000_000
    fields = [Field(p, p.address, "w", n, -most_w, most_w) for n, p in enumerate(points)]
    image = Image([point.name for point in points])
    block = Block(fields, image.next_value, image.next_quality, image.next_sampled_ns)
    words = [n * 2654435761 >> 8 & 0x0FFF for n in range(REGISTERS)]
    raw = struct.pack(f">{REGISTERS}H", *words)

    def decode() -> None:
        block.store(words, 1)

    def by_struct() -> None:
        for n in range(REGISTERS // 2):
            value = round(struct.unpack_from(">i", raw, 4 * n)[0] * 0.1)
            if -1_000_000_000 <= value <= 1_000_000_000:
                image.put(n, value, Quality.GOOD, 1)

    times = []
    for _ in range(301):
        begin, between = time.perf_counter(), 0.0
        decode()
        between = time.perf_counter()
        by_struct()
        times.append((between - begin, time.perf_counter() - between))
    us = median(a for a, _ in times) * 1e6
    ratio = median(a / b for a, b in times)
    note = "60 points of two registers, scaled, judged and put"
    return [
        reported("codec.block120.us", us, "us", len(times), note),
        reported("codec.block120.vs_struct", ratio, "x", len(times), "over struct a point"),
    ]


def fault_rows() -> list[Row]:
    """The questions that a fault costs more, over the matrix."""
    asked = 0
    dearest, name = 0.0, ""

    async def usual(rig: BusRig) -> None:
        nonlocal asked
        before = rig.link.counts.transactions
        await rig.run(matrix.FAULT_S)
        asked = rig.link.counts.transactions - before

    for kind in ("rtu", "tcp"):
        on_rig(kind, usual)
        plain = asked
        for fault in [f for f, over in matrix.CASES if over == kind]:

            async def struck(rig: BusRig, fault: Fault = fault, plain: int = plain) -> None:
                nonlocal dearest, name
                before = rig.link.counts.transactions
                rig.strike(VICTIM, Fault(fault.kind, -1, fault.ms, fault.code))
                await rig.run(matrix.FAULT_S)
                more = rig.link.counts.transactions - before - plain
                if more > dearest:
                    dearest, name = more, matrix.name(fault)

            on_rig(kind, struck)
    extra = f"more questions than without a fault in {matrix.FAULT_S:g} s, worst: {name}"
    cases = len(matrix.CASES)
    return [reported("bus.fault_extra_transactions.max", dearest, "asked", cases, extra)]
