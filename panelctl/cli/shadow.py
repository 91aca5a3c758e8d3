"""`panelctl shadow`: what a controller in shadow would have done, and how the house behaved."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import click

from panelctl.cli.options import json_option
from panelctl.control.shadow_tally import FILE, Account, CircuitTally, read_account
from panelctl.model.doubt import Doubt
from panelctl.model.reason import State
from panelctl.model.wording import DOUBTS, STATES, place, times

ENOUGH_S = 7 * 86_400.0
OVER_S = 2.0  # nothing is over its limit for longer at once, while all is well
UNREAD_RATIO = 0.01  # a meter that is not read for a larger share of the time is told of


@click.group("shadow")
def command() -> None:
    """What `panelctl run --shadow` found out about this house.

    It decides as if every circuit were armed, on the real readings, and writes nothing.
    """


@command.command("report", epilog="Example: panelctl shadow report")
@click.option(
    "--state",
    "state_path",
    type=click.Path(path_type=Path, file_okay=False),
    default=lambda: Path(os.environ.get("STATE_DIRECTORY", "/var/lib/panelctl")),
    show_default="$STATE_DIRECTORY or /var/lib/panelctl",
    help="The state directory of `panelctl run --shadow`.",
)
@json_option
def report(state_path: Path, as_json: bool) -> None:
    """Say what would have been shed, lowered and raised, and what was not as believed.

    The account is written every ten minutes and when the shadow ends. Code 1 when something in it
    speaks against arming the panel.
    """
    path = state_path / "shadow" / FILE
    try:
        account = read_account(path)
    except FileNotFoundError:
        raise click.ClickException(
            f"{path}: there is no account yet; start one with `panelctl run --shadow` and wait ten "
            "minutes, or give its state directory by --state"
        ) from None
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{path}: cannot be read: {error}") from None
    against = list(speaks_against(account))
    if as_json:
        click.echo(json.dumps({**asdict(account), "against": against}))
    else:
        for line in in_words(account):
            click.echo(line)
        click.echo("")
        click.echo("Before you arm it:" if against else "Nothing speaks against arming it.")
        for line in against:
            click.echo(f"  - {line}")
    if against:
        raise SystemExit(1)


def in_words(account: Account) -> list[str]:
    """The account, line by line."""
    span = f"{_day(account.begun_s)} to {_day(account.ended_s)}, panel {account.serial}"
    lines = [f"{_long(account.seen_s)} of shadow, {span}", "", "The service"]
    for leg, tally in account.legs.items():
        lines.append(
            f"  {place(leg)}: over its limit for {_long(tally.over_s)} as it was (by up to "
            f"{tally.over_a:.1f} A), {_long(tally.left_over_s)} with panelctl (by up to "
            f"{tally.left_over_a:.1f} A)"
        )
    lines += ["", "What it would have done"]
    for ident, circuit in account.circuits.items():
        lines.append(f"  {ident}: {_done(circuit)}")
    lines += ["", "What it believed"]
    for name, seconds in sorted(account.states_s.items()):
        lines.append(f"  {_long(seconds)} {name}: {STATES[State[name]]}")
    for key, seconds in sorted(account.doubts_s.items()):
        where, _, doubt = key.rpartition(" ")
        lines.append(f"  {_long(seconds)} not believed: {place(where)}: {DOUBTS[Doubt(doubt)]}")
    return lines


def _done(tally: CircuitTally) -> str:
    parts = []
    if tally.sheds or tally.off_s:
        parts.append(
            f"shed {times(tally.sheds)}, restored {times(tally.restores)}, off for "
            f"{_long(tally.off_s)}, {tally.kept_wh / 1000:.2f} kWh not drawn"
        )
    if tally.lowered_s:
        lowered = f"{tally.lowered_wh / 1000:.2f} kWh not drawn"
        parts.append(f"lowered for {_long(tally.lowered_s)}, {lowered}")
    if tally.raised:
        parts.append(f"set-point raised {times(tally.raised)}")
    return "; ".join(parts) or "left alone"


def speaks_against(account: Account) -> list[str]:
    """Where the house did not behave as the panel file says, or too little was seen."""
    found = [f"`panelctl check` would refuse the file: {problem}" for problem in account.unfit]
    if account.seen_s < ENOUGH_S:
        found.append(f"{_long(account.seen_s)} were seen: let it run for a week")
    if account.cycles and account.incomplete > 0.01 * account.cycles:
        share = account.incomplete / account.cycles
        found.append(
            f"{share:.1%} of the cycles were over before the mains were read: "
            "`panelctl check` and `panelctl devices` say why"
        )
    blind_s = sum(account.states_s.get(name, 0.0) for name in ("HOLD", "SHED"))
    if blind_s > UNREAD_RATIO * account.seen_s:
        found.append(f"the mains could not be seen for {_long(blind_s)}")
    for leg, tally in account.legs.items():
        if tally.longest_s > OVER_S:
            found.append(
                f"{place(leg)} would still have been over its limit for "
                f"{_long(tally.longest_s)} at once, by up to {tally.left_over_a:.1f} A: arm more, "
                "or more that draws"
            )
        if tally.surprises:
            found.append(
                f"the household on {place(leg)} rose {times(tally.surprises)} by more than is left "
                f"free, by up to {tally.surprise_a:.1f} A at once"
            )
    for ident, circuit in account.circuits.items():
        found += _of_circuit(ident, circuit, account.seen_s)
    for key, seconds in account.doubts_s.items():
        where, _, doubt = key.rpartition(" ")
        if seconds > UNREAD_RATIO * account.seen_s:
            found.append(f"{place(where)}: {DOUBTS[Doubt(doubt)]}, for {_long(seconds)}")
    return found


def _of_circuit(ident: str, tally: CircuitTally, seen_s: float) -> list[str]:
    found = []
    if tally.demand_a and tally.most_a > 1.1 * tally.demand_a:
        found.append(
            f"{ident} drew up to {tally.most_a:.1f} A, its demand_a is {tally.demand_a:g}: it "
            "would be closed into too little room"
        )
    if tally.sheds and tally.idle_sheds > tally.sheds / 2:
        found.append(
            f"{ident} would have been shed {times(tally.idle_sheds)} while it drew nothing"
        )
    if tally.unread_s > UNREAD_RATIO * seen_s:
        found.append(f"the meter of {ident} could not be read for {_long(tally.unread_s)}")
    if tally.faults:
        found.append(f"{ident} would have been at fault {times(tally.faults)}")
    return found


def _long(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def _day(wall_s: float) -> str:
    return datetime.fromtimestamp(wall_s).astimezone().strftime("%Y-%m-%d %H:%M")
