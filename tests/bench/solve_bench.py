"""The allocation's speed and exactness: against plain C, other solvers, size, and many homes."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import time
from array import array
from concurrent.futures import ProcessPoolExecutor
from statistics import median
from typing import Any

import numpy as np

from panelctl.core._ladder import Fleet, Solver
from panelctl.core.ladder.reference import Ladder
from tests.bench import peers
from tests.bench.native_build import large_core, plain_c, timed_loop
from tests.bench.rows import Row, at_least, at_most, quantile, reported
from tests.bench.solve_cases import Scenarios, scenarios, timed
from tests.ladder_cases import panel_ladder, small_panel
from tests.oracle import judge

ROUNDS = 15
EXACT_CASES = 20_000
HOMES = 1_000_000


class CLadder(ctypes.Structure):
    """struct ladder of native/ladder.c."""

    _fields_ = (
        ("count", ctypes.c_int32),
        ("rows", ctypes.c_int32),
        ("rung", ctypes.c_void_p),
        ("entry", ctypes.c_void_p),
        ("size", ctypes.c_void_p),
    )


class PlainC:
    """ladder.c over one ladder."""

    def __init__(self, cases: Scenarios) -> None:
        ladder = cases.ladder
        rungs: list[tuple[int, ...]] = []
        entries: list[tuple[int, int]] = []
        for i in ladder.order:
            first = len(entries)
            for e in range(ladder.first[i], ladder.first[i + 1]):
                entries.append((ladder.row[e], ladder.coefficient[e]))
            rungs.append(
                (
                    *(i, ladder.tier[i], ladder.predecessor[i], first, len(entries)),
                    *(ladder.weight[i], ladder.discrete[i]),
                )
            )
        self._rung = np.array(rungs, np.int32)
        self._entry = np.array(entries, np.int32)
        self._ladder = CLadder(
            ladder.count, ladder.rows, self._rung.ctypes.data, self._entry.ctypes.data, None
        )
        self._many = plain_c().c_many

    def many(self, size: np.ndarray, room: np.ndarray, taken: np.ndarray, ns: Any = None) -> None:
        """Serve the homes of these arrays, one after the other."""
        self._many(
            ctypes.byref(self._ladder),
            ctypes.c_int64(len(size)),
            *(ctypes.c_void_p(a.ctypes.data) for a in (size, room, taken)),
            ctypes.c_void_p(ns.ctypes.data if ns is not None else None),
        )


def against_c(cases: Scenarios, calls_s: list[float]) -> list[Row]:
    """Interleaved rounds of the same homes: our loop, the C loop, and single calls from Python."""
    repeat = 40
    size = np.tile(cases.size_ma, (repeat, 1))
    room = np.tile(cases.room_ma, (repeat, 1))
    c, loop, fleet = PlainC(cases), timed_loop(), Fleet([cases.ladder])
    homes = len(size)
    which = np.zeros(homes, np.int64)
    ours, theirs, ratios, tails, ns = [], [], [], [], np.zeros(homes, np.int64)
    solver = Solver(cases.ladder)
    for _ in range(ROUNDS):
        mine, its = np.zeros_like(size), np.zeros_like(size)
        work = room.copy()
        begin = time.perf_counter()
        fleet.solve(which, size.ravel(), work.ravel(), mine.ravel())
        ours.append((time.perf_counter() - begin) / homes)
        work = room.copy()
        begin = time.perf_counter()
        c.many(size, work, its)
        theirs.append((time.perf_counter() - begin) / homes)
        assert np.array_equal(mine, its), "plain C serves something else"
        ratios.append(ours[-1] / theirs[-1])
        work = room.copy()
        loop.many(solver, size.ravel(), work.ravel(), mine.ravel(), ns)
        tail = quantile(ns.tolist(), 0.999)
        work = room.copy()
        c.many(size, work, its, ns)
        tails.append(tail / max(1, quantile(ns.tolist(), 0.999)))
    note = (
        f"one nogil loop over {homes} homes of 48 circuits, {median(ours) * 1e6:.3f} us a solve, "
        f"over plain C (-O3) {median(theirs) * 1e6:.3f} us; {ROUNDS} interleaved rounds"
    )
    call = median(calls_s) / median(theirs)
    return [
        at_most("core.solve48.vs_c", median(ratios), "x", 1.3, ROUNDS, note),
        at_most(
            "core.solve48.call_vs_c",
            call,
            "x",
            2.5,
            len(calls_s),
            f"one call from Python, inputs copied in, {median(calls_s) * 1e6:.3f} us, over the C "
            "loop's solve",
        ),
        at_most(
            "core.solve48.p999_vs_c",
            median(tails),
            "x",
            2.0,
            ROUNDS,
            "99.9th percentile of our solves over that of the C loop's, each timed on its own",
        ),
    ]


def single_calls(cases: Scenarios, rounds: int = 40) -> list[float]:
    """Seconds of single calls from Python, the sizes and the room copied in; a mean a round."""
    solver = Solver(cases.ladder)
    inputs = [
        (array("q", size.tolist()), array("q", room.tolist()))
        for size, room in zip(cases.size_ma, cases.room_ma, strict=True)
    ]
    seconds = []
    for _ in range(rounds):
        begin = time.perf_counter()
        for size, room in inputs:
            solver.solve(size, room)
        seconds.append((time.perf_counter() - begin) / len(inputs))
    return seconds


def cold_us(cases: Scenarios, times: int = 200) -> list[float]:
    """One call at a time with cold caches: 8 MB touched and 2 ms slept before each."""
    solver, wall = Solver(cases.ladder), np.zeros(1 << 20)
    size, room = array("q", cases.size_ma[0].tolist()), array("q", cases.room_ma[0].tolist())
    samples = []
    for _ in range(times):
        wall += 1
        # A gateway's core is idle between two cycles, and wakes slow and cold: that is measured.
        time.sleep(0.002)  # waits for nothing; how long it really takes does not matter
        begin = time.perf_counter_ns()
        solver.solve(size, room)
        samples.append((time.perf_counter_ns() - begin) / 1000)
    return samples


def cp_sat_alone(scenario_count: int, count: int) -> tuple[list[float], float]:
    """CP-SAT's times and worst overuse, from a process that has not loaded highspy."""
    command = [sys.executable, "-m", "tests.bench.cp_sat", str(scenario_count), str(count)]
    seconds, over_ma = json.loads(subprocess.check_output(command))
    return seconds, over_ma


def against_solvers(cases: Scenarios) -> list[Row]:
    """Each solver's median and tail on the same scenarios, how far it passes a limit, our lead."""
    table = (
        ("scipy_milp", peers.by_milp(cases), 60),
        ("highs_lp_warm", peers.by_highs_lp(cases), 1000),
        ("osqp_1e-3", peers.by_osqp(cases, 1e-3), 500),
        ("osqp_1e-6", peers.by_osqp(cases, 1e-6), 100),
        ("cvxpy_clarabel", peers.by_cvxpy(cases), 100),
        ("numpy", peers.by_numpy(cases), 500),
        ("pure_python", peers.by_python(cases), 500),
    )
    measured, calls = {}, {}
    for name, one, count in table:
        before = single_calls(cases, 10)
        measured[name] = (*timed(one, cases, count), count)
        calls[name] = median(before + single_calls(cases, 10))
    measured["cp_sat"] = (*cp_sat_alone(len(cases.size_ma), 60), 60)
    calls["cp_sat"] = median(single_calls(cases, 10))
    rows, seconds = [], {}
    for name, (taken_s, over_ma, count) in measured.items():
        call_s = calls[name]
        seconds[name] = median(taken_s)
        rows.append(
            reported(
                f"solver48.{name}",
                median(taken_s) * 1e6,
                "us",
                count,
                f"p99.9 {quantile(taken_s, 0.999) * 1e6:.0f} us, {median(taken_s) / call_s:.0f} "
                f"times our call; worst excess over a limit {over_ma / 1000:.3f} A",
            )
        )
    for name, of, target in (
        ("solve.vs_milp", "scipy_milp", 1000),
        ("core.solve48.vs_milp", "scipy_milp", 5000),
        ("core.solve48.vs_highs_lp", "highs_lp_warm", 60),
        ("core.solve48.vs_osqp", "osqp_1e-6", 60),
    ):
        note = (
            f"median of {of} {seconds[of] * 1e6:.1f} us over the median of our calls "
            f"{calls[of] * 1e6:.3f} us"
        )
        count = measured[of][2]
        rows.append(at_least(name, seconds[of] / calls[of], "x", target, count, note))
    return rows


class Homes:
    """One home of each ladder, solved again and again from the same room."""

    def __init__(self, fleet_class: Any, ladders: list[Ladder]) -> None:
        self.fleet = fleet_class(ladders)
        self.which = np.arange(len(ladders))
        self.size = np.zeros((len(ladders), self.fleet.segments), np.int64)
        self.room = np.zeros((len(ladders), self.fleet.rows), np.int64)
        for k, ladder in enumerate(ladders):
            self.size[k, : ladder.count] = ladder.size_ma
            self.room[k, : ladder.rows] = ladder.room_ma
        self.taken = np.zeros_like(self.size)

    def solve(self) -> float:
        """Seconds for all of them."""
        room = self.room.copy()
        begin = time.perf_counter()
        self.fleet.solve(self.which, self.size.ravel(), room.ravel(), self.taken.ravel())
        return time.perf_counter() - begin


SIZES, TURNS = (16, 48, 500, 5000), 31
GROWTH_TOTAL, GROWTH_FEW = 16_000, 16


def growth() -> list[Row]:
    """Time a circuit at 16, 48, 500 and 5,000 circuits, in a larger build of the same source.

    The row with the target solves as many different circuits at every size, so that no size has
    less data than another. The other one solves 16 panels of each size over and over: what the
    small ones then gain is the processor's memory of their branches, not the algorithm's.
    """
    large = large_core()
    worst, note = _growth(large, [GROWTH_TOTAL // circuits for circuits in SIZES])
    few, few_note = _growth(large, [GROWTH_FEW] * len(SIZES))
    return [
        at_most("core.growth.worst", worst, "x", 1.5, TURNS, f"all circuits different: {note}"),
        reported("core.growth.same_16", few, "x", TURNS, f"16 panels over and over: {few_note}"),
    ]


def _growth(large: Any, panels: list[int]) -> tuple[float, str]:
    """The worst step of time a circuit from a size to the next, and the times in words.

    The sizes take turns, and the ratio is taken turn by turn; each turn solves as many circuits of
    every size.
    """
    fleets = [
        Homes(large.Fleet, [panel_ladder(seed, circuits) for seed in range(count)])
        for count, circuits in zip(panels, SIZES, strict=True)
    ]
    most = max(count * circuits for count, circuits in zip(panels, SIZES, strict=True))
    per_circuit = np.zeros((TURNS, len(SIZES)))
    for turn in range(TURNS):
        for k, circuits in enumerate(SIZES):
            times = most // (panels[k] * circuits)
            seconds = sum(fleets[k].solve() for _ in range(times))
            per_circuit[turn, k] = seconds / times / panels[k] / circuits
    worst = float(np.median(per_circuit[:, 1:] / per_circuit[:, :-1], axis=0).max())
    medians = np.median(per_circuit, axis=0)
    words = ", ".join(f"{n}: {s * 1e9:.1f} ns" for n, s in zip(SIZES, medians, strict=True))
    return worst, f"time a circuit, worst step between neighbours of {words}"


def batch() -> list[Row]:
    """A million homes of 24 circuits of 64 kinds, through one call."""
    ladders = [panel_ladder(seed, 24) for seed in range(64)]
    fleet = Fleet(ladders)
    rand = np.random.default_rng(7)
    which = rand.integers(0, len(ladders), HOMES)
    size = np.zeros((HOMES, fleet.segments), np.int64)
    room = np.zeros((HOMES, fleet.rows), np.int64)
    for k, ladder in enumerate(ladders):
        mine = which == k
        share = rand.uniform(0.3, 1.0, (int(mine.sum()), ladder.count))
        size[mine, : ladder.count] = np.maximum(1, share * np.array(ladder.size_ma))
        share = rand.uniform(0.6, 1.2, (int(mine.sum()), ladder.rows))
        room[mine, : ladder.rows] = share * np.array(ladder.room_ma)
    taken = np.zeros_like(size)
    seconds = []
    for _ in range(3):
        work = room.copy()
        begin = time.perf_counter()
        fleet.solve(which, size.ravel(), work.ravel(), taken.ravel())
        seconds.append(time.perf_counter() - begin)
    few = 20_000
    solvers = [Solver(ladder) for ladder in ladders]
    inputs = [
        (
            solvers[which[h]],
            array("q", size[h, : ladders[which[h]].count].tolist()),
            array("q", room[h, : ladders[which[h]].rows].tolist()),
        )
        for h in range(few)
    ]
    begin = time.perf_counter()
    for solver, sizes, rooms in inputs:
        solver.solve(sizes, rooms)
    single = (time.perf_counter() - begin) / few * HOMES
    note = "1,000,000 homes of 24 circuits, 64 kinds of panel, one nogil call on one core"
    return [
        at_most("core.batch_1m.s", median(seconds), "s", 2.0, 3, note),
        reported(
            "core.batch_1m.vs_single",
            single / median(seconds),
            "x",
            3,
            "single calls from Python for the same homes over the one call",
        ),
    ]


def _quiet() -> None:
    """HiGHS writes a line of its own now and then."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _exact(job: tuple[int, int, int, bool]) -> tuple[int, int, float, float, int, int]:
    start, count, tiers, equal = job
    decisions, cut, over, tier_count, gap, steps = 0, 0, 0, 0, 0.0, 0.0
    for seed in range(start, start + count):
        ladder = small_panel(seed, tiers, equal)
        room = ladder.room_ma.tolist()
        cut += not Solver(ladder).solve()
        verdict = judge(ladder, room, ladder.taken_ma.tolist())
        decisions += verdict.decisions
        over = max(over, verdict.over_ma)
        gap, steps = max(gap, verdict.gap), max(steps, verdict.steps)
        tier_count += verdict.tiers
    return decisions, cut, gap, steps, over, tier_count


def exactness() -> list[Row]:
    """20,000 random panels of 8 to 16 circuits against HiGHS, strict and equal rank."""
    kinds = [(tiers, equal) for equal in (False, True) for tiers in (1, 2, 5)]
    chunk = 500
    jobs = [
        (1_000_000 * k + chunk * n, chunk, tiers, equal)
        for n in range(-(-EXACT_CASES // (chunk * len(kinds))))
        for k, (tiers, equal) in enumerate(kinds)
    ]
    with ProcessPoolExecutor(2, initializer=_quiet) as pool:
        answers = list(pool.map(_exact, jobs))
    decisions = sum(a[0] for a in answers)
    cut, gap = sum(a[1] for a in answers), max(a[2] for a in answers)
    steps, over = max(a[3] for a in answers), max(a[4] for a in answers)
    cases = chunk * len(jobs)
    note = (
        f"{sum(a[5] for a in answers)} tiers with discrete loads; searches cut short: {cut}; "
        f"worst use over a limit {over} mA"
    )
    return [
        at_least("core.exact.cases", cases, "panels", EXACT_CASES, cases, note),
        at_most(
            "core.exact.gap_max",
            max(gap, float(decisions > 0)),
            "",
            0,
            cases,
            f"{decisions} decisions differ in strict rank, worst gap of value {gap:.3g}",
        ),
        at_most(
            "core.exact.steps_max",
            steps,
            "steps",
            1,
            cases,
            "worst continuous segment against the LP max-min share, in its weight steps",
        ),
    ]


def search_rows() -> list[Row]:
    """The tail of a tier of equal rank, which is searched."""
    samples = []
    for seed in range(400):
        ladder = small_panel(seed, 1, True)
        solver, room = Solver(ladder), ladder.room_ma[:]
        for _ in range(20):
            begin = time.perf_counter_ns()
            solver.solve(None, room)
            samples.append((time.perf_counter_ns() - begin) / 1000)
    note = f"one tier of up to 16 equals; median {median(samples):.2f} us, a call from Python"
    return [reported("core.search.p999_us", quantile(samples, 0.999), "us", len(samples), note)]


def solve_rows() -> list[Row]:
    """Every row of this file."""
    cases = scenarios(48, 256)
    calls = single_calls(cases)
    cold = cold_us(cases)
    rows = against_c(cases, calls)
    rows += against_solvers(cases)
    note = f"p99.9 {quantile(cold, 0.999):.1f} us; 8 MB touched and 2 ms slept before each call"
    rows.append(reported("core.solve48.cold_us", median(cold), "us", len(cold), note))
    return rows + search_rows() + growth() + batch() + exactness()
