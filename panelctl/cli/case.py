"""`panelctl case`: a part of a recording as a test that anybody may have."""

from __future__ import annotations

import json
import re
import sys
import time
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from panelctl.cli.options import json_option

if TYPE_CHECKING:
    from panelctl.case.make import Made
    from panelctl.case.part import Part

TOLD_S = 0.5  # between two words about how far it is
WHEN = "Seconds after its start, or a wall time (18:20, 2026-01-31T18:20)."


@click.command(
    "case",
    epilog="Example: panelctl case night.jsonl.gz --from 18:20 --to 18:35 --out case.jsonl.gz",
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--from", "begin", default="", help=f"Where the part begins. {WHEN}")
@click.option("--to", "end", default="", help=f"Where it ends. {WHEN}")
@click.option("--around", type=int, help="A minute before and after the record of this number.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("case.jsonl.gz"),
    show_default=True,
    help="The case; with .gz it is compressed.",
)
@json_option
def command(file: Path, begin: str, end: str, around: int | None, out: Path, as_json: bool) -> None:
    """Make of a recording, or a part of it, a case: a test that says nothing of whose it is.

    FILE is made by `panelctl record`, from the controller's first cycle on. Names, serial numbers,
    addresses and texts are replaced or left out, days are moved; what was measured, ordered and
    decided stays. The case is only written when `panelctl replay` decides it again to the bit, and
    when nothing of the original is found in it. An existing file is never replaced.
    """
    from panelctl.case.make import make_case
    from panelctl.case.part import around as around_record

    if around is not None and (begin or end):
        raise click.UsageError("--around says both: leave --from and --to out")
    if out.exists():
        raise click.ClickException(f"{out} is there already: name another file with --out")
    part = _part(file, begin, end) if around is None else around_record(file, around)
    told = _Told(as_json)
    try:
        made = make_case(file, out, part, told)
    except OSError as error:
        raise click.ClickException(f"{out} cannot be made: {error}") from None
    finally:
        told.end()
    if as_json:
        click.echo(json.dumps({**asdict(made), "replays": True}))
    else:
        _say(made)


def _say(made: Made) -> None:
    names = ", ".join(f"{n} {_many(kind, n)}" for kind, n in made.renamed.items())
    click.echo(
        f"{made.file}: {made.records} records, {made.cycles} cycles, from {made.from_s:.1f} to "
        f"{made.to_s:.1f} s of the recording, {_size(made.bytes)}\n"
        f"  given neutral ids: {names}\n"
        f"  replaced: the panel's name and serial number, the names of circuits, the addresses of "
        f"links; the day (the hour of day is kept)\n"
        f"  left out: {made.left_out.get('texts', 0)} free texts and serial numbers, comments of "
        f"the panel file, what links and devices counted\n"
        f"  stays: what was measured, ordered and decided, ratings, register maps\n"
        f"it replays to the bit, and nothing of the original's names is in it"
    )


def _many(kind: str, n: int) -> str:
    return kind if n == 1 else f"{kind}s"


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"


def _part(file: Path, begin: str, end: str) -> Part:
    """The part that is asked for. Raises click.BadParameter and ConfigError."""
    from panelctl.case.part import Part, first_of

    if not begin and not end:
        return Part()
    start_s = first_of(file)["wall_s"]
    from_s, to_s = _when(begin, start_s, "--from"), _when(end, start_s, "--to")
    if from_s is not None and to_s is not None and to_s < from_s:
        raise click.BadParameter(f"{end} lies before --from {begin}", param_hint="--to")
    return Part(from_s, to_s)


def _when(text: str, start_s: float, option: str) -> float | None:
    """Seconds after the start; a time of day is the next one after it. Raises BadParameter."""
    if not text:
        return None
    if re.fullmatch(r"\d+(\.\d+)?s?", text):
        return float(text.removesuffix("s"))
    start = datetime.fromtimestamp(start_s)
    try:
        if re.fullmatch(r"\d\d?:\d\d(:\d\d)?", text):
            parts = [*map(int, text.split(":")), 0][:3]
            at = start.replace(hour=parts[0], minute=parts[1], second=parts[2], microsecond=0)
            at += timedelta(days=1) if at < start - timedelta(minutes=1) else timedelta()
        else:
            at = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r}: write seconds (90), a time of day (18:20) or 2026-01-31T18:20",
            param_hint=option,
        ) from None
    return max(0.0, at.timestamp() - start_s)


class _Told:
    """How far it is, on a terminal; nothing beside --json and in a log."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet or not sys.stderr.isatty()
        self._told_s = time.monotonic()
        self._shown = False

    def __call__(self, what: str, records: int) -> None:
        now_s = time.monotonic()
        if not self._quiet and now_s - self._told_s >= TOLD_S:
            self._told_s, self._shown = now_s, True
            click.echo(f"\r  {what}: {records} records   ", nl=False, err=True)

    def end(self) -> None:
        """Leave the line."""
        if self._shown:
            click.echo(err=True)
