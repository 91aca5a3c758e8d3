"""`panelctl storm`: the whole application on simulated time, under every fault, judged."""

from __future__ import annotations

import json
import platform
import secrets
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from panelctl import __version__
from panelctl.cli.options import json_option
from panelctl.cli.out import write_out

if TYPE_CHECKING:
    from panelctl.model.panel import Panel
    from panelctl.sim.storm.run import Result
    from panelctl.sim.storm.strike import Strike

DEMO = Path(__file__).parent.parent / "sim" / "demo.toml"
SHRINK_RUNS = 60


def _kinds(given: str | None) -> frozenset[str] | None:
    """The kinds that are asked for. Raises click.BadParameter."""
    from panelctl.sim.storm.faults import DRAWN, KINDS

    if given is None:
        return None
    if given.strip() == "list":
        for name in sorted(KINDS):
            click.echo(f"{name}{'' if name in DRAWN else '  (open: only where it is named)'}")
        raise click.exceptions.Exit(0)
    names = frozenset(name.strip() for name in given.split(",") if name.strip())
    unknown = sorted(names - KINDS.keys())
    if unknown or not names:
        wrong = f"{', '.join(unknown)}: no such kind" if unknown else "no kind is named"
        raise click.BadParameter(f"{wrong}; `panelctl storm --kinds list` names all")
    return names


@click.command(
    "storm",
    epilog="Example: panelctl storm --seed 7 --days 0.1 --config /etc/panelctl/panel.toml",
)
@click.option("--seed", type=int, help="What happens follows from it; a fresh one if left out.")
@click.option(
    "--seeds",
    type=click.IntRange(1, 10_000),
    default=1,
    show_default=True,
    help="So many seeds, one after the other.",
)
@click.option(
    "--days",
    type=click.FloatRange(0.015, 400),
    default=0.05,
    show_default=True,
    help="Simulated days; the last quarter of an hour is without faults.",
)
@click.option(
    "--profile",
    type=click.Choice(["calm", "storm", "hurricane"]),
    default="storm",
    show_default=True,
    help="A fault in five minutes, in 40 s, in 8 s.",
)
@click.option(
    "--kinds",
    callback=lambda context, option, given: _kinds(given),
    help="Only these kinds of faults, with commas between; also those that are open. "
    "`--kinds list` names all.",
)
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="Your panel file.")
@click.option(
    "--schedule",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Repeat the strikes of a file that a failed storm left.",
)
@click.option("--shrink/--no-shrink", default=True, help="Make a failing schedule smaller.")
@click.option(
    "--record",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Record the controller's first life.",
)
@click.option("--junit", type=click.Path(path_type=Path, dir_okay=False), help="Write JUnit XML.")
@click.option(
    "--plot", type=click.Path(path_type=Path, dir_okay=False), help="The worst event as SVG."
)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="The figures as a JSON file."
)
@json_option
def command(
    seed: int | None,
    seeds: int,
    days: float,
    profile: str,
    kinds: frozenset[str] | None,
    config: Path | None,
    schedule: Path | None,
    shrink: bool,
    record: Path | None,
    junit: Path | None,
    plot: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Run the controller against a simulated panel while everything goes wrong.

    The application is the real one; clock, wires and household are simulated. The same seed gives
    the same digest anywhere. Code 1 when a checker found something: then the strikes that are
    needed for it are written to storm-SEED.json, and the command that repeats it is printed.
    """
    from panelctl.config.load import read_panel
    from panelctl.sim.storm.faults import DRAWN, KINDS
    from panelctl.sim.storm.run import plan, targets
    from panelctl.sim.storm.strike import PROFILES, read_schedule
    from panelctl.sim.storm.verdict import one_storm

    if schedule is not None and kinds is not None:
        raise click.UsageError("a schedule has its kinds: leave --kinds out")
    if record is not None and seeds > 1:
        raise click.UsageError("--record takes one storm: leave --seeds out")
    file = config or DEMO
    panel, text = read_panel(file), file.read_text("utf-8")
    if kinds is not None:
        _have_targets(kinds, targets(panel), file)
    pace = PROFILES[profile]
    first = secrets.randbelow(1_000_000) if seed is None else seed
    results: list[Result] = []
    speeds: list[float] = []
    for number in range(first, first + seeds):
        duration_s = days * 86_400.0
        if schedule is not None:
            number, duration_s, strikes = read_schedule(schedule, set(KINDS))
            _fits(schedule, strikes, targets(panel))
        else:
            strikes = plan(panel, number, duration_s, pace, DRAWN if kinds is None else kinds)
        begun_s = time.monotonic()
        storm = (panel, text, number, duration_s, strikes, pace.rest_s)
        result = _one(storm, record, quiet=as_json)
        results.append(result)
        speeds.append(duration_s / (time.monotonic() - begun_s))
        if not as_json:
            click.echo("\n".join(one_storm(result, speeds[-1])))
        if result.violations:
            kept = strikes
            if shrink:
                kept = _shrink(panel, text, result, pace.rest_s, as_json)
            _save(result, kept, file, as_json)
        if schedule is not None:
            break
    _report(results, speeds, junit, plot, out, as_json)
    if any(result.violations for result in results):
        raise SystemExit(1)


def _report(
    results: list[Result],
    speeds: list[float],
    junit: Path | None,
    plot: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """What all storms came to, for people and into the files that were asked for."""
    from panelctl.sim.storm import report
    from panelctl.sim.storm.verdict import all_storms, verdict

    write_out(junit, report.junit(results))
    if plot is not None:
        worst = max(results, key=lambda r: max((max(s.a, s.b) for s in r.worst), default=0.0))
        write_out(plot, report.plot(worst.worst))
    plain = _plain(results, speeds)
    write_out(out, json.dumps(plain, indent=1) + "\n")
    if as_json:
        click.echo(json.dumps(plain))
    else:
        click.echo("\n".join([*all_storms(results), verdict(results)]))


def _have_targets(kinds: frozenset[str], places: dict[str, list[str]], file: Path) -> None:
    """Say which kinds cannot strike on this panel. Raises UsageError where none can."""
    without = sorted(kind for kind in kinds if not places[kind])
    if len(without) == len(kinds):
        raise click.UsageError(f"{file} has nothing that {', '.join(without)} could strike")
    if without:
        click.echo(f"{file} has nothing that {', '.join(without)} could strike", err=True)


def _plain(results: list[Result], speeds: list[float]) -> dict[str, Any]:
    """What the storms came to, ready for JSON; `speeds` in times life."""
    from panelctl.sim.storm import report
    from panelctl.sim.storm.verdict import verdict

    return {
        "verdict": verdict(results),
        "version": _build(),
        "python": platform.python_version(),
        "speedup": round(statistics.median(speeds), 1),
        "summary": report.summary(results),
        "storms": [report.plain(result) for result in results],
    }


def _one(
    storm: tuple[Panel, str, int, float, list[Strike], float], record: Path | None, quiet: bool
) -> Result:
    """Run one storm (see sim.storm.run), maybe into a recording. Raises ClickException."""
    from panelctl.link.recording import open_recording
    from panelctl.sim.storm.run import run

    tape, (_, _, seed, duration_s, _, _) = None, storm
    try:
        tape = open_recording(record) if record else None
        with _Bar(quiet, seed, duration_s) as told:
            return run(*storm, told, record=tape)
    except OSError as error:
        raise click.ClickException(f"{record} cannot be made: {error}") from None
    except KeyboardInterrupt:
        raise click.ClickException(f"interrupted in seed {seed}") from None
    finally:
        if tape is not None:
            tape.close()


def _fits(file: Path, strikes: list[Strike], places: dict[str, list[str]]) -> None:
    """Whether a schedule can strike this panel. Raises ConfigError."""
    from panelctl.errors import ConfigError, Problem

    problems = [
        Problem(f"strikes[{n}].target", strike.target, f"is nothing that {strike.kind} can strike")
        for n, strike in enumerate(strikes)
        if strike.target not in places[strike.kind]
    ]
    if problems:
        raise ConfigError(str(file), problems)


class _Bar:
    """A progress bar on the terminal; nothing beside --json."""

    def __init__(self, quiet: bool, seed: int, duration_s: float) -> None:
        self._bar = None
        if not quiet:
            self._bar = click.progressbar(length=round(duration_s), label=f"seed {seed}")
        self._at_s = 0.0

    def __enter__(self) -> _Bar:
        if self._bar is not None:
            self._bar.__enter__()
        return self

    def __call__(self, now_s: float, found: int) -> None:
        if self._bar is not None:
            self._bar.label = f"{found} found" if found else self._bar.label
            self._bar.update(round(now_s - self._at_s))
            self._at_s = now_s

    def __exit__(self, *exc: object) -> None:
        if self._bar is not None:
            self._bar.__exit__(None, None, None)


def _shrink(panel: Panel, text: str, result: Result, rest_s: float, quiet: bool) -> list[Strike]:
    from panelctl.sim.storm.run import run
    from panelctl.sim.storm.shrink import AT_THE_END, shorten, shrink

    first = result.violations[0]
    whole = first.check in AT_THE_END
    duration_s = shorten(result.strikes, first.check, first.at_s, result.duration_s)
    strikes = [s for s in result.strikes if s.at_s <= first.at_s]

    def fails(part: list[Strike]) -> bool:
        again = run(
            panel,
            text,
            result.seed,
            duration_s,
            part,
            rest_s if whole else 0.0,
            stop_at_first=not whole,
        )
        return any(v.check == first.check for v in again.violations)

    watched = sys.stdout.isatty() and not quiet  # a log is told only what came of it

    def told(runs: int, left: int) -> None:
        if watched:
            click.echo(f"\r  making it smaller: run {runs}, {left} strikes   ", nl=False)

    smaller = shrink(strikes, fails, SHRINK_RUNS, told)
    if watched:
        click.echo()
    return smaller


def _save(result: Result, strikes: list[Strike], config: Path, quiet: bool) -> None:
    from panelctl.sim.storm.strike import to_text

    kept = Path(f"storm-{result.seed}.json")
    write_out(kept, to_text(result.seed, result.duration_s, strikes))
    where = "" if config == DEMO else f" --config {config}"
    first = result.violations[0]
    kinds = ", ".join(sorted({strike.kind for strike in strikes}))
    click.echo(
        f"{first.check} at {first.at_s:.3f} s: {first.what}\n"
        f"{len(strikes)} strikes are enough for it ({kinds}). panelctl {_build()}, Python "
        f"{platform.python_version()}, seed {result.seed}; repeat it with\n"
        f"  panelctl storm --schedule {kept}{where} --no-shrink",
        err=quiet,
    )


def _build() -> str:
    """The version, and the commit where this is a checkout."""
    asked = ["git", "-C", str(Path(__file__).parent), "log", "-1", "--format=%h", "--", "."]
    try:
        commit = subprocess.run(asked, capture_output=True, text=True).stdout.strip()
    except OSError:  # no git here
        commit = ""
    return f"{__version__} at {commit}" if commit else __version__
