"""The bus under what wires, gateways and devices do wrong: wrong values, what a fault leaves to
the others, how soon everything is back; what distrust costs a good device; the plan against the
wire.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Awaitable, Callable
from statistics import median

from panelctl.config.load import parse_panel
from panelctl.errors import FieldError
from panelctl.field.bus import Turn
from panelctl.field.frames import (
    Question,
    write_coil_question,
    write_register_question,
    write_registers_question,
)
from panelctl.field.tcp import TcpLink
from panelctl.model.panel import Panel
from panelctl.sim.server import Fault
from tests import shipped
from tests.bench.rows import Row, at_least, at_most, reported
from tests.bus import test_fault_matrix as matrix
from tests.bus import test_gateway_vices as gateways
from tests.bus import test_line_vices as lines
from tests.bus.rig import OTHER, VICTIM, BusRig, on_rig

STRUCK_S = 3.0
ROUNDS, QUESTIONS = 15, 40
SHIPPED_ROUNDS = 12
# Where the wire is not free: on a stream these take what comes behind them along, the simulated
# UDP host sends one thing after the other, and on a line somebody talks or is waited for meanwhile.
CLOGS = {("tcp", kind) for kind in ("noise", "short", "half", "drip", "split", "closed")}
CLOGS |= {("udp", "drip")}
CLOGS |= {(line, kind) for line in ("rtu", "rtu+tcp", "rtu+udp") for kind in ("drip",)}
# And where a device answers later than a cycle takes, and is waited for: serial servers are given
# some time of their own besides the device's.
CYCLE_MS, LISTENED_MS = 100, 140
MORE = [
    *[Fault("repeat", -1, ms) for ms in (10, 30, 60)],
    *[Fault("late", -1, ms, every=8) for ms in (72, 90)],
    *[Fault("late", -1, ms) for ms in (72, 80, 90)],
    Fault("drip", -1, 20),
    Fault("half", -1),
    Fault("refuse", -1, code=2, at=1280),
]
Body = Callable[[BusRig], Awaitable[None]]


@dataclasses.dataclass(slots=True)
class Tally:
    """What the rigs of a row have seen."""

    wrong: int = 0
    judged: int = 0
    cases: int = 0

    def on(self, kind: str, body: Body, line: str = "line1", edit: object = None) -> None:
        """Run one case."""

        async def counted(rig: BusRig) -> None:
            await body(rig)
            self.wrong += len(rig.wrong)
            self.judged += rig.judged

        self.cases += 1
        on_rig(kind, counted, line, edit)  # type: ignore[arg-type]  # None or a change of the panel


def vice_rows() -> list[Row]:
    """All rows of this module."""
    return [
        *matrix_rows(),
        shift_row(),
        repeat_row(),
        starved_row(),
        gap_row(),
        echo_row(),
        distrust_row(),
        *prediction_rows(),
    ]


def matrix_rows() -> list[Row]:
    """Wrong values, good readings of the neighbour and the time to come back, over every fault on
    every kind of wire.
    """
    tally = Tally()
    worst, worst_name, slowest_s, slowest_name, free = 1.0, "", 0.0, "", 0
    shared, shared_name = 1.0, ""  # where a late device is waited for
    for kind in matrix.KINDS:
        usual = 0

        async def undisturbed(rig: BusRig) -> None:
            nonlocal usual
            await rig.run(1.0)
            before = rig.lane.units[OTHER].good
            await rig.run(STRUCK_S)
            usual = rig.lane.units[OTHER].good - before

        tally.on(kind, undisturbed)
        for fault in [f for f, over in matrix.CASES if over == kind] + MORE:
            name = f"{matrix.name(fault)} on {kind}"

            async def struck(
                rig: BusRig,
                fault: Fault = fault,
                name: str = name,
                kind: str = kind,
                usual: int = usual,
            ) -> None:
                nonlocal worst, worst_name, slowest_s, slowest_name, free, shared, shared_name
                again = dataclasses.replace(fault, struck=0, passed=0)
                rig.strike(VICTIM, again)
                before = rig.lane.units[OTHER].good
                await rig.run(STRUCK_S)
                ratio = (rig.lane.units[OTHER].good - before) / usual
                if wire_is_free(kind, fault):
                    free += 1
                    if ratio < worst:
                        worst, worst_name = ratio, name
                elif waited_for(kind, fault) and ratio < shared:
                    shared, shared_name = ratio, name
                rig.heal()
                took_s = await rig.until_good(VICTIM, rig.clock.now_ns()) / 1e9
                if took_s > slowest_s:
                    slowest_s, slowest_name = took_s, name

            tally.on(kind, struck)
    for late_ms in (20, 62, 75, 90, 150, 400):

        async def late(rig: BusRig, late_ms: int = late_ms) -> None:
            for device in ("branch1", "branch2", "branch3"):
                rig.strike(device, Fault("late", 8, late_ms))
            await rig.run(3.0)

        for kind in matrix.KINDS:
            tally.on(kind, late, "line2")
    wrong = f"good readings judged over {tally.cases} faults on {', '.join(matrix.KINDS)}"
    good = f"the neighbour's answers over those without the fault, {free} faults; {worst_name}"
    waits = f"the same where a device of the line is late, waited for and read; {shared_name}"
    back = f"from the end of the fault until all of the device is read; {slowest_name}"
    return [
        at_most("bus.wrong_values", tally.wrong, "values", 0, tally.judged, wrong),
        at_least("bus.good_ratio.min", worst, "of the usual", 0.8, free, good),
        reported("bus.good_ratio.waited_for", shared, "of the usual", tally.cases, waits),
        at_most("bus.recover_s.max", slowest_s, "s", 2.0, tally.cases, back),
    ]


def wire_is_free(kind: str, fault: Fault) -> bool:
    """Whether others could be asked meanwhile."""
    return (kind, fault.kind) not in CLOGS and not waited_for(kind, fault)


def waited_for(kind: str, fault: Fault) -> bool:
    """Whether a device of a line answers later than its timeout and is read all the same, so that
    it holds the line.
    """
    if fault.kind == "slower":
        return kind in ("rtu", "rtu+tcp", "rtu+udp")
    slow = fault.kind == "late" and fault.every == 1 and CYCLE_MS < fault.ms < LISTENED_MS
    return slow and kind in ("rtu+tcp", "rtu+udp")


def shift_row() -> Row:
    """Gateways that answer with the reply to a question before, by one to four."""
    tally = Tally()
    for shift in gateways.SHIFTS:
        for unit_too in (False, True):
            for at_once in (False, True):

                async def shifted(
                    rig: BusRig, shift: int = shift, unit: bool = unit_too, at_once: bool = at_once
                ) -> None:
                    rig.host.stamps_unit = unit
                    for _ in range(4):
                        rig.host.begin_shift(shift, at_once)
                        await rig.run(1.0)

                tally.on("tcp", shifted, edit=gateways.hurried)
                tally.on("tcp", shifted, "line2")
    note = f"shifts by 1 to 4 in {tally.cases} cases, each begun four times"
    return at_most("bus.tcp.gateway_shift.wrong", tally.wrong, "values", 0, tally.judged, note)


def repeat_row() -> Row:
    """Replies that come once more 10 to 60 ms later, of every device."""
    tally = Tally()
    for kind in lines.LINES:
        for later_ms in (10, 20, 30, 45, 60):

            async def repeated(rig: BusRig, later_ms: int = later_ms) -> None:
                for device in rig.places:
                    rig.strike(device, Fault("repeat", -1, later_ms))
                await rig.run(4.0)

            tally.on(kind, repeated, "line2")
    note = "three branch meters and five relay boards whose replies look alike"
    return at_most("bus.repeat.wrong", tally.wrong, "values", 0, tally.judged, note)


def starved_row() -> Row:
    """Mains that take 90 ms of each cycle of 100: devices on their line that are not read."""
    starved, devices = 0, 0

    async def slow(rig: BusRig) -> None:
        nonlocal starved, devices
        rig.strike(OTHER, Fault("late", -1, 90))
        await rig.run(3.0)
        rig.gaps_ns = dict.fromkeys(rig.places, 0)
        await rig.run(12.0)
        devices = len(rig.places)
        starved = sum(gap_ns > 2e9 for gap_ns in rig.gaps_ns.values())

    on_rig("rtu", slow, edit=lines.together)
    note = "devices of a line that were not read for 2 s in 12 s"
    return at_most("bus.starved_reads", starved, "devices", 0, devices, note)


def gap_row() -> Row:
    """Questions inside the pause that a device needs."""
    broken, asked = 0, 0

    async def paused(rig: BusRig) -> None:
        nonlocal broken, asked
        rig.segment.needs_gap_ms = {rig.unit[OTHER]: 55.0, rig.unit[VICTIM]: 55.0}
        await rig.run(6.0)
        broken += rig.segment.gap_broken
        asked += rig.link.counts.transactions

    for kind in lines.LINES:
        on_rig(kind, paused, edit=lines.paused)
    note = "two meters that need 55 ms, with gap_ms = 60"
    return at_most("bus.gap_broken", broken, "questions", 0, asked, note)


def echo_row() -> Row:
    """Orders to a board that is not there, behind an adapter that hears itself."""
    acknowledged, orders = 0, 0

    async def absent(rig: BusRig) -> None:
        nonlocal acknowledged, orders
        rig.segment.echo = True
        await rig.run(0.5)
        for n in range(20):
            for question in (
                write_coil_question(77, n % 6, n % 2 == 0),
                write_register_question(77, n % 6, n),
                write_registers_question(77, n % 6, [n, 7]),
            ):
                orders += 1
                try:
                    await rig.link.ask(question, 40, Turn.WRITE)
                    acknowledged += 1
                except FieldError:
                    pass

    for kind in lines.LINES:
        on_rig(kind, absent, "line2")
    note = f"functions 5, 6 and 16, on {len(lines.LINES)} kinds of lines"
    return at_most("bus.write_acks_by_echo", acknowledged, "orders", 0, orders, note)


def distrust_row() -> Row:
    """What the choice among ways costs a good TCP device, in turns with the plain question."""
    ratios: list[float] = []

    async def compare(rig: BusRig) -> None:
        rig._task.cancel()
        assert isinstance(rig.link, TcpLink)
        ways = rig.lane.reads[0].ways
        order = rig.link._order
        choose = order.pick

        def plain(asked: tuple[Question, ...], now_ns: int) -> tuple[Question, bool]:
            return asked[0], False

        async def timed(trusting: bool) -> float:
            order.pick = plain if trusting else choose  # type: ignore[method-assign, assignment]
            begin_s = time.perf_counter()
            for _ in range(QUESTIONS):
                await rig.link.ask(ways, 500, Turn.FAST)
            return time.perf_counter() - begin_s

        for _ in range(ROUNDS):
            trusted_s = await timed(True)
            ratios.append(await timed(False) / trusted_s)

    on_rig("tcp", compare)
    note = f"time of {QUESTIONS} questions over that without distrust, a device that takes 5 ms"
    n = ROUNDS * QUESTIONS
    return at_most("bus.tcp.distrust_cost_ratio", median(ratios), "x", 1.05, n, note)


def prediction_rows() -> list[Row]:
    """The planned time of the fast lane against what it takes."""
    rows = []
    for name, cases in (
        ("rtu", (("rtu", None), ("rtu", slower), ("rtu+tcp", None))),
        ("tcp", (("tcp", None), ("tcp", slow_devices), ("udp", None))),
    ):
        worst, told = 0.0, ""
        for kind, edit in cases:
            took_ms: list[float] = []
            planned_ms = 0.0

            async def measured(rig: BusRig, took_ms: list[float] = took_ms) -> None:
                nonlocal planned_ms
                await rig.run(5.0)  # overlapping has to be proven first
                for _ in range(50):
                    await rig.cycle()
                    took_ms.append(rig.lane.pace.last_ns / 1e6)
                planned_ms = rig.plan.fast_ns / 1e6

            on_rig(kind, measured, edit=edit)
            error = abs(planned_ms / median(took_ms) - 1)
            if error >= worst:
                worst = error
                told = f"{kind}: planned {planned_ms:.1f} ms, took {median(took_ms):.1f} (median)"
        note = f"the worst of {len(cases)} wires; {told}"
        rows.append(at_most(f"check.prediction_error.{name}", worst, "of it", 0.10, 150, note))
    return [*rows, *shipped_rows()]


def shipped_rows() -> list[Row]:
    """The same for every shipped meter and charger that speaks TCP: a meter as the mains' alone,
    and two of it; a charger alone, at a rate that fits it.
    """
    errors: dict[str, float] = {}
    for name, line, text in shipped.cases():
        panel = parse_panel(text, f"{name}.toml")
        took_ms: list[float] = []
        planned_ms = 0.0

        async def measured(rig: BusRig, took_ms: list[float] = took_ms) -> None:
            nonlocal planned_ms
            await rig.run(2.0)
            for _ in range(SHIPPED_ROUNDS):
                await rig.cycle()
                took_ms.append(rig.lane.pace.last_ns / 1e6)
            planned_ms = rig.plan.fast_ns / 1e6

        def placed(_: Panel, panel: Panel = panel) -> Panel:
            return panel

        on_rig("tcp", measured, line, edit=placed)
        errors[name] = planned_ms / median(took_ms) - 1
    kept = [name for name, error in errors.items() if abs(error) <= 0.10]
    others = ", ".join(f"{n} {e:+.2f}" for n, e in errors.items() if n not in kept)
    worst = max(abs(error) for error in errors.values())
    note = f"{len(kept)} of {len(errors)} shipped devices within 0.10; {others or 'all'}"
    n = len(errors) * SHIPPED_ROUNDS
    return [at_most("check.prediction_error.tcp.shipped", worst, "of it", 0.10, n, note)]


def slower(panel: Panel) -> Panel:
    """The lines at 19200 baud."""
    links = tuple(
        dataclasses.replace(link, url=link.url.replace("115200", "19200"), baud=19200)
        if link.kind == "rtu"
        else link
        for link in panel.links
    )
    return dataclasses.replace(panel, links=links)


def slow_devices(panel: Panel) -> Panel:
    """Meters that take 20 ms."""
    devices = tuple(dataclasses.replace(d, turnround_ms=20.0) for d in panel.devices)
    return dataclasses.replace(panel, devices=devices)
