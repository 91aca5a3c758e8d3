"""The controller as a process on the simulated panel: cadence, reaction, memory and CPU."""

from __future__ import annotations

import os
import random
import select
import tempfile
import threading
import time
from pathlib import Path

from panelctl.config.load import read_panel
from panelctl.modbus.busplan import plan_bus
from panelctl.units import NS_PER_MS
from tests.bench.rows import Row, at_most, quantile, reported
from tests.e2e.rig import DEMO, PanelRig, Record

STEP_W = 14_000  # on top of base load and full compute power this is above the limit
TICKS_A_S = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_A_S


def rss_mb(pid: int) -> float:
    """Resident memory of a process, MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmRSS")


def bound_ms() -> float:
    """One period, the mains read, a transaction in flight on the node's link, and the write."""
    panel = read_panel(DEMO)
    plans = {plan.link.name: plan for plan in plan_bus(panel)}
    mains = next(read for read in plans["line1"].fast if read.device.name == "mains")
    write_ns = plans["node"].write_ns
    return (plans["line1"].period_ns + mains.wire_ns + 2 * write_ns) / NS_PER_MS


def steps(rig: PanelRig, end_s: float, seed: int) -> None:
    """Load steps at random phases until `end_s`, each above the limit with compute at full."""
    from panelctl.sim.bench_socket import BenchClient

    bench = BenchClient(rig.folder / "bench.sock")
    rand = random.Random(seed)
    while time.monotonic() < end_s:
        for watts, pause_s in ((STEP_W, rand.uniform(0.35, 0.45)), (0, rand.uniform(0.5, 0.7))):
            bench.ask(do="demand", circuit="heat_strips", w=watts)
            select.select([], [], [], pause_s)
    bench.close()


def run_rows(seconds: float) -> list[Row]:
    """All run.* rows from one run of `seconds`."""
    with tempfile.TemporaryDirectory(prefix="panelctl-bench-") as folder:
        rig = PanelRig(Path(folder))
        try:
            begin_s = time.monotonic()
            rig.start()
            rig.until(lambda r: True, 10)
            cold_s = time.monotonic() - begin_s
            rig.settle()
            assert rig.run is not None
            pid = rig.run.pid
            before = cpu_s(pid)
            begin_s = time.monotonic()
            thread = threading.Thread(target=steps, args=(rig, begin_s + seconds, 1))
            thread.start()
            first = rig.until(lambda r: True, 5)
            late_us: list[float] = []

            def over(record: Record) -> bool:
                late_us.append(float(record["timing"]["late_us"]))
                return time.monotonic() - begin_s >= seconds

            last = rig.until(over, seconds + 60)
            wall_s = time.monotonic() - begin_s
            share = (cpu_s(pid) - before) / wall_s
            rss = rss_mb(pid)
            thread.join()
            truth = rig.bench.truth()
        finally:
            rig.stop()
    delays = [float(ms) for ms in truth["detect_to_write_ms"]]
    n, bound = len(delays), bound_ms()
    minutes = wall_s / 60
    overruns = last["timing"]["overruns"] - first["timing"]["overruns"]
    cycles = last["cycle"] - first["cycle"]
    reaction = "from the load step in the plant to the first lower budget on the wire, random phase"
    violations = sum(line["violations"] for line in truth["lines"].values())
    requests = sum(line["requests"] for line in truth["lines"].values())
    return [
        at_most("run.overruns", overruns, "cycles", 0, cycles, f"{minutes:.1f} min at 10 Hz"),
        reported("run.tick_jitter_ms.p50", quantile(late_us, 0.5) / 1000, "ms", cycles, "lateness"),
        reported(
            "run.tick_jitter_ms.p99", quantile(late_us, 0.99) / 1000, "ms", cycles, "lateness"
        ),
        reported("run.detect_to_write_ms.p50", quantile(delays, 0.5), "ms", n, reaction),
        at_most(
            "run.detect_to_write_ms.p99", quantile(delays, 0.99), "ms", bound + 10, n, reaction
        ),
        reported("run.detect_to_write_ms.p999", quantile(delays, 0.999), "ms", n, reaction),
        reported(
            "run.detect_to_write_bound_ms",
            bound,
            "ms",
            1,
            "one period + mains read + transaction in flight on the node's link + write",
        ),
        at_most("run.rss_mb", rss, "MB", 45, 1, "VmRSS of panelctl run after the run"),
        at_most("run.cpu_share", share, "of one core", 0.08, cycles, "user and system, whole run"),
        reported("run.cold_start_s", cold_s, "s", 1, "from exec to the first record"),
        at_most("run.silence_violations", violations, "requests", 0, requests, "both RTU lines"),
        reported("run.worst_overload_s", truth["worst_overload_s"], "s", n, "plant's truth, > 1 %"),
    ]
