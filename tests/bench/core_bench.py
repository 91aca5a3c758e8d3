"""The speed of a whole decision: `Engine.step` on 48 circuits, and the compiled step against the
same rules interpreted.
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from statistics import median

from panelctl.config.curves import load_curve
from panelctl.config.load import parse_panel
from panelctl.core.engine import Engine
from panelctl.model.circuit import Circuit, LegMeter
from panelctl.model.metering import PointRef, Quality
from panelctl.model.panel import Feeder, Panel
from tests.bench.rows import Row, at_most, quantile, reported
from tests.core_cases import Load, Rig, compute_load, evse_load

DEMO = Path("panelctl/sim/demo.toml")
STEPS = 6000


def panel_of_48() -> Panel:
    """48 managed circuits, every breaker watched, two feeders, a reduced neutral, an envelope's
    default and a lease's: everything that a step may have to do.
    """
    demo = parse_panel(DEMO.read_text("utf-8"), str(DEMO))
    curve = load_curve("home-fast")
    known = {circuit.id: circuit for circuit in demo.circuits}
    circuits = [known["compute"], known["evse"]]
    for n in range(46):
        legs = ((0,), (1,), (0, 1))[n % 3]
        circuits.append(
            dataclasses.replace(
                known["dryer"],
                id=f"c{n}",
                name=f"Circuit {n}",
                legs=legs,
                tier=n % 6,
                currents=tuple(LegMeter(leg, PointRef("m", f"c{n}_{leg}_a")) for leg in legs),
                power=(),
                relay_output=n,
            )
        )
    watched = tuple(_watched(circuit) for circuit in circuits)
    service = dataclasses.replace(
        demo.service,
        breaker=dataclasses.replace(demo.service.breaker, curve=curve),
        neutral_a=150.0,
        doe_default_a=155.0,
        lease_default_w=30_000,
        voltage_response=True,
    )
    feeders = tuple(
        Feeder(name, (0, 1), demo.service.breaker, tuple(f"c{n}" for n in range(first, first + 12)))
        for name, first in (("east", 0), ("west", 12))
    )
    return dataclasses.replace(demo, service=service, circuits=watched, feeders=feeders)


def _watched(circuit: Circuit) -> Circuit:
    breaker = dataclasses.replace(circuit.breaker, curve=load_curve("home-fast"))
    return dataclasses.replace(circuit, breaker=breaker)


def _show(engine: Engine, n: int, now_ns: int) -> None:
    """Readings of step `n`: the household moves, everything else draws what it may."""
    for name, slot in engine.image.slot.items():
        value = 0
        if name.endswith("_mv"):
            value = 120_000
        elif name.startswith("main.") and name.endswith("_ma"):
            value = 90_000 + 400 * (n % 50)
        elif name.endswith((".relay", ".acked")):
            value = 1
        elif name.endswith("_ma"):
            value = 1_500
        engine.image.put(slot, value, Quality.GOOD, now_ns)
    engine.image.latch()


def engine_rows() -> list[Row]:
    """core.step48.us: the engine's whole step, Python around the core included."""
    engine = Engine(panel_of_48())
    whole, inside = [], []
    now_ns = 1_000_000_000
    for n in range(STEPS):
        _show(engine, n, now_ns)
        begin = time.perf_counter_ns()
        engine.step(now_ns)
        whole.append((time.perf_counter_ns() - begin) / 1000)
        now_ns += 50_000_000
        _show(engine, n, now_ns)
        begin = time.perf_counter_ns()
        engine.core.step(now_ns)
        inside.append((time.perf_counter_ns() - begin) / 1000)
        now_ns += 50_000_000
    assert len(engine.loads) == 48
    poles = len(engine.snapshot(now_ns, 0.0).thermal)
    what = f"48 circuits on {engine.fixed.rows} rows, {poles} breaker poles watched"
    tail = f"p99.9 {quantile(whole, 0.999):.1f} us"
    core = f"the compiled part {median(inside):.2f} us"
    note = f"one engine.step, warm: {what}, limits and reasons; {tail}; {core}"
    return [at_most("core.step48.us", median(whole), "us", 20, STEPS, note)]


def step_rows() -> list[Row]:
    """step.us and step.vs_reference: a decision on a panel of 48 loads, in both cores."""
    loads = [Load(tier=n % 6, legs=((0,), (1,), (0, 1))[n % 3]) for n in range(45)]
    loads += [evse_load(), evse_load(legs=(0,)), compute_load()]
    medians = []
    for compiled in (True, False):
        rig = Rig(loads, compiled)
        draws = [2_000 if load.kind == 0 else 6_000 for load in loads]
        samples = []
        for n in range(3000 if compiled else 600):
            house = (60_000 + 200 * (n % 50), 60_000)
            rig.read_all(house, draws)
            begin = time.perf_counter_ns()
            rig.core.step(rig.now_ns)
            samples.append(time.perf_counter_ns() - begin)
            rig.now_ns += 100_000_000
        medians.append(median(samples) / 1000)
    note = "one core.step, 48 loads on two legs, warm; readings changed before each"
    ratio = f"interpreted {medians[1]:.0f} us over compiled {medians[0]:.2f} us, same panel"
    return [
        reported("step.us", medians[0], "us", 3000, note),
        reported("step.vs_reference", medians[1] / medians[0], "x", 600, ratio),
        *engine_rows(),
    ]
