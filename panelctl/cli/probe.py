"""`panelctl probe`: who is on this link, which device it is, and how it wants to be asked."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import asdict, dataclass

import click

from panelctl.cli.named import link_of, progress
from panelctl.cli.options import json_option
from panelctl.clock import Clock
from panelctl.errors import BadReply, DeviceRefused, FieldError, LinkDown, ReplyTimeout
from panelctl.field.bus import BusLink
from panelctl.field.links import open_read_only
from panelctl.field.survey import Holding, Survey
from panelctl.field.timing import TimerfdClock
from panelctl.modbus.busplan import wire_of
from panelctl.modbus.identity import bears, marked_maps, span_of, sunspec_name
from panelctl.modbus.maps import RegisterMap, load_map, map_names
from panelctl.modbus.shapes import Span
from panelctl.model.panel import Link
from panelctl.units import NS_PER_MS

LATE_MS = 1_000  # a device that nobody knows yet may be as late as this
RECONNECT_NS = 400 * NS_PER_MS
DEAF_NS = 2_500 * NS_PER_MS  # some adapters and gateways hear nothing for so long at first
DEAF = (
    "it is deaf for a while after it was opened; write ?settle_ms=2500 in its URL, or less where "
    "that will do"
)


@dataclass(slots=True)
class Unit:
    """What was found out about a unit. `pause_ms` None: at no pace did it always answer."""

    unit: int
    maps: list[str]
    says: str
    sunspec_models: list[int]
    answer_ms: float | None
    pause_ms: int | None
    reads_gaps: bool | None


@click.command(
    "probe", epilog='Example: panelctl probe "rtu:///dev/ttyUSB0?baud=9600" --units 1-20'
)
@click.argument("link")
@click.option("--units", default="1-247", show_default=True, help="Which, as in 1-10,21.")
@click.option(
    "--timeout-ms",
    type=click.IntRange(20, 5000),
    default=300,
    show_default=True,
    help="How long to wait for each.",
)
@click.option("--map", "map_name", help="The map of those that bear no mark, to measure by.")
@json_option
def command(link: str, units: str, timeout_ms: int, map_name: str | None, as_json: bool) -> None:
    """Ask every unit of LINK whether it is there, and look closer at those that are.

    For each: which register maps it bears the mark of, what it says of itself (SunSpec), how long
    it takes to answer, how long a pause it needs between questions, and whether one read may touch
    registers that its map does not name. Nothing is written. Ctrl-C shows what was found so far.
    """
    numbers = _numbers(units)
    where = link_of(link)
    given = load_map(map_name) if map_name else None
    found: list[Unit] = []
    remarks: list[str] = []
    try:
        asyncio.run(_probe(where, numbers, timeout_ms, given, found, remarks))
    except KeyboardInterrupt:
        click.echo("stopped; found so far:", err=True)
    for remark in remarks:
        click.echo(f"{link}: {remark}", err=True)
    if as_json:
        click.echo(json.dumps([asdict(unit) for unit in found]))
    else:
        for unit in found:
            click.echo(_line(unit))
    if not found:
        hint = " with this speed and parity" if where.kind == "rtu" else ""
        click.echo(f"nobody answered on {link}{hint}", err=True)
        raise SystemExit(1)


def _numbers(text: str) -> list[int]:
    numbers: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        ends = (first, last if dash else first)
        if not all(end.isascii() and end.isdigit() and int(end) <= 255 for end in ends):
            raise click.BadParameter(f"{text!r}: write units as in 1-10,21", param_hint="--units")
        numbers.update(range(int(ends[0]), int(ends[1]) + 1))
    return sorted(numbers)


async def _probe(
    where: Link,
    numbers: list[int],
    timeout_ms: int,
    given: RegisterMap | None,
    found: list[Unit],
    remarks: list[str],
) -> None:
    clock = TimerfdClock()
    link = open_read_only(where, clock)
    wire = wire_of(where)
    try:
        again = []  # who was asked while the link may have been deaf
        with progress("asking units") as tell:
            for done, number in enumerate(numbers, start=1):
                survey = Survey(link, clock, wire, number, timeout_ms, LATE_MS)
                asked_ns = clock.now_ns()
                if await _present(survey, link, clock):
                    found.append(await _look(survey, number, given))
                elif asked_ns - link.counts.since_ns < DEAF_NS:
                    again.append(number)
                tell(done, len(numbers))
        opened_ns = link.counts.since_ns
        if again:
            await clock.sleep_until(opened_ns + DEAF_NS)
        for number in again:
            survey = Survey(link, clock, wire, number, timeout_ms, LATE_MS)
            if await _present(survey, link, clock):
                found.append(await _look(survey, number, given))
                remarks.append(DEAF)
        found.sort(key=lambda unit: unit.unit)
        remarks[:] = [*dict.fromkeys(remarks[:1]), *_remarks(link)]
    finally:
        await link.close()
        clock.close()


def _remarks(link: BusLink) -> list[str]:
    """What a person should know of the link."""
    remarks = [link.counts.remark] if link.counts.remark else []
    if link.counts.echo:
        remarks.append("its adapter hears itself; one copy of each frame is skipped")
    if link.counts.noisy:
        remarks.append(
            "it is hardly ever silent: somebody else talks on it, or it is not terminated"
        )
    return remarks


async def _present(survey: Survey, link: BusLink, clock: Clock) -> bool:
    """Whether it is there. A gateway that was silent too often is connected to once more."""
    for last in (False, True):
        try:
            return await survey.present()
        except LinkDown:
            if last or not link.counts.transactions:
                raise
            await clock.sleep_until(clock.now_ns() + RECONNECT_NS)
    return False


async def _look(survey: Survey, number: int, given: RegisterMap | None) -> Unit:
    holding = Holding()
    answers = await _answered(survey, holding)
    models = [model.id for model in await survey.models(holding)]
    says = ""
    if models:
        common = await survey.collect(load_map("sunspec_common"))
        says = sunspec_name(common.tables)
    maps = [known for known in marked_maps() if _fits(known, answers)]
    names = [known.id for known in maps] + [
        name for name in map_names() if set(load_map(name).sunspec_models) & set(models)
    ]
    measured_by = maps or [known for known in (given,) if known is not None]
    span = _good_span(measured_by, answers, bool(models))
    answer_ms: float | None = None
    pause_ms: int | None = None
    if span is not None:
        with suppress(DeviceRefused, ReplyTimeout, BadReply):
            answer_ms = round(await survey.answer_ms(span), 1)
            pause_ms = await survey.pause_ms(span)
    gaps = await survey.reads_gaps(measured_by[0]) if len(measured_by) == 1 else None
    return Unit(number, names, says, models, answer_ms, pause_ms, gaps)


async def _answered(survey: Survey, holding: Holding) -> dict[Span, list[int]]:
    """What stands where some map has a mark."""
    answers: dict[Span, list[int]] = {}
    spans = {span_of(mark) for known in marked_maps() for mark in known.marks}
    for span in [Span("holding", 0, 1), Span("input", 0, 1), *sorted(spans, key=str)]:
        try:
            answers[span] = await survey.read(span)
            holding.store(span, answers[span])
        except DeviceRefused:
            continue
        except LinkDown:
            raise
        except FieldError:
            continue
    return answers


def _fits(known: RegisterMap, answers: dict[Span, list[int]]) -> bool:
    """Whether a device bears one of the marks of a map."""
    return any(
        bears(mark, answers[span_of(mark)]) for mark in known.marks if span_of(mark) in answers
    )


def _good_span(
    maps: list[RegisterMap], answers: dict[Span, list[int]], sunspec: bool
) -> Span | None:
    """A read that this unit is known to answer, for measuring its pace."""
    for known in maps:
        for point in known.points.values():
            return Span(point.table, point.address, point.count)
    if sunspec:
        return Span("holding", 40000, 2)
    return next(iter(answers), None)


def _line(unit: Unit) -> str:
    parts = [f"unit {unit.unit}: {unit.says or 'a device'}"]
    parts.append(f"map {' or '.join(unit.maps)}" if unit.maps else "no map's mark")
    if unit.sunspec_models:
        parts.append(f"SunSpec models {', '.join(map(str, unit.sunspec_models))}")
    if unit.answer_ms is not None:
        parts.append(f"answers after {unit.answer_ms:g} ms")
    if unit.answer_ms is None:
        parts.append("name its map with --map to measure its pace")
    elif unit.pause_ms is not None:
        needs = f"needs a pause of {unit.pause_ms} ms" if unit.pause_ms else "needs no pause"
        parts.append(needs)
    else:
        parts.append("does not always answer")
    if unit.reads_gaps is not None:
        parts.append("reads across gaps" if unit.reads_gaps else "refuses reads across gaps")
    return "; ".join(parts)
