"""A campaign: many recorded days under panelctl and under what others do, on services of all sizes.

Each unit is one day of one home on one service: where in the recording it begins and how large the
household is are drawn from the seed. The same unit is lived under every policy.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from panelctl.config.load import read_panel
from panelctl.errors import ConfigError, Problem
from panelctl.model.circuit import Circuit
from panelctl.model.panel import Panel
from panelctl.sim.fold.day import Day, Outcome
from panelctl.sim.fold.policies import POLICIES, clairvoyant_wh, live
from panelctl.sim.fold.relayed import RELAYED, live_relayed
from panelctl.sim.fold.wishes import demand, wanted_wh, wishes
from panelctl.sim.homes.read import read_home
from panelctl.sim.homes.recorded import Home
from panelctl.sim.neutral import neutral_home
from panelctl.sim.plant import Plant

DAY_S = 86_400
WEEK_S = 7 * DAY_S
NEUTRAL = "a neutral household"
OURS = "panelctl"
EVERYBODY = (OURS, *POLICIES, *RELAYED)
SIZES = (0.7, 1.3)  # of the recorded household, on a service of the panel file's size
NODE_MOST_W = 12_500
FLOOR_LEAST_W = 300
FILES_KEPT = 16


@dataclass(frozen=True, slots=True)
class Unit:
    """One day of one home on one service; without a home of a household that its panel may have,
    by the seed `household`.
    """

    panel: Path
    home: Path | None
    service_a: float
    begin_s: float
    scale: float
    seed: int
    household: int = 0


@dataclass(frozen=True, slots=True)
class Lived:
    """A unit under every policy: outcomes by name, and the clairvoyant's Wh beside ours and beside
    the whole household.
    """

    unit: Unit
    outcomes: dict[str, Outcome]
    best_wh: float
    best_whole_wh: float
    wanted_wh: float  # by the household, as recorded
    span_s: float  # of the recording


def resize(panel: Panel, service_a: float) -> Panel:
    """The same panel on a service of another size: breakers, declared demands and node in
    proportion, the node up to 12.5 kW.
    """
    share = service_a / panel.service.breaker.rating_a
    if share == 1.0:
        return panel
    service = panel.service
    a, b = service.uncontrolled_a
    smaller = replace(
        service,
        breaker=replace(service.breaker, rating_a=service_a),
        control_setting_a=service.control_setting_a * share,
        uncontrolled_a=(a * share, b * share),
    )

    def circuit(given: Circuit) -> Circuit:
        changed = replace(
            given,
            breaker=replace(given.breaker, rating_a=given.breaker.rating_a * max(share, 1.0)),
            demand_a=given.demand_a * share,
        )
        modulation = given.modulation
        if modulation is None or not given.is_compute:
            return changed
        most_w = min(NODE_MOST_W, round(modulation.max_w * share))
        floor_w = max(FLOOR_LEAST_W, min(modulation.floor_w, round(modulation.floor_w * share)))
        volts = service.voltage_v
        floor_a = round(floor_w / (volts * 0.9), 3)
        return replace(
            changed,
            demand_a=floor_a,
            modulation=replace(
                modulation,
                min_a=floor_a,
                fallback_a=floor_a,
                max_a=round(most_w / volts, 3),
                max_w=most_w,
                floor_w=floor_w,
            ),
        )

    return replace(panel, service=smaller, circuits=tuple(map(circuit, panel.circuits)))


def draw(
    pairs: Sequence[tuple[Path, Path | None]],
    services_a: list[float],
    days: int,
    seed: int,
    scale: float = 1.0,
) -> list[Unit]:
    """The units of a campaign: every home on every service in turn, `scale` times its size."""
    for panel, _ in pairs:
        if read_panel(panel).compute is None:
            told = "is missing: a campaign compares what a node gets"
            raise ConfigError(str(panel), [Problem("compute", "", told)])
    dice = random.Random(f"{seed} campaign")
    spans_s = [_span_s(panel, home, seed) for panel, home in pairs]
    units = []
    for n in range(days):
        place = n % len(pairs)
        panel, home = pairs[place]
        service_a = services_a[n // len(pairs) % len(services_a)]
        units.append(
            Unit(
                panel,
                home,
                service_a,
                round(dice.random() * spans_s[place]),
                round(scale * dice.uniform(*SIZES), 4),
                seed * 1_000_003 + n,
                seed,
            )
        )
    return units


def _span_s(panel: Path, home: Path | None, household: int) -> float:
    recorded = _files(panel, home, household)[1]
    if recorded.rows == 1:
        told = "has one row, which is no day: a campaign needs what changes with time"
        raise ConfigError(str(home), [Problem("recording", "", told)])
    return recorded.span_s


@lru_cache(FILES_KEPT)
def _files(panel: Path, home: Path | None, household: int) -> tuple[Panel, Home]:
    """A panel file and a recorded home, or one that is drawn: a process makes each pair once."""
    file = read_panel(panel)
    if home is None:
        return file, neutral_home(file, household, float(WEEK_S))
    return file, read_home(home, Plant.of(file))


def notes(pairs: Sequence[tuple[Path, Path | None]], seed: int) -> list[str]:
    """What was read of the recordings, and what was left out, in words."""
    found = [note.words() for pair in pairs for note in _files(*pair, seed)[1].notes]
    found += [f"{panel}: {NEUTRAL} from the seed" for panel, home in pairs if home is None]
    return list(dict.fromkeys(found))


def live_through(unit: Unit) -> Lived:
    """One unit under every policy."""
    file, home = _files(unit.panel, unit.home, unit.household)
    panel = resize(file, unit.service_a)
    scale = unit.scale * unit.service_a / file.service.breaker.rating_a
    day = Day(panel, unit.seed)
    outcomes = {OURS: day.run(home, unit.begin_s, float(DAY_S), scale)}
    household = wishes(panel, home, unit.begin_s, float(DAY_S), scale)
    house, fixed = demand(household, DAY_S)
    for name in POLICIES:
        outcomes[name] = live(name, panel, house, fixed, household)
    for name in RELAYED:
        outcomes[name] = live_relayed(name, panel, household, fixed, float(DAY_S))
    best_wh = clairvoyant_wh(panel, outcomes[OURS].house)
    outcomes[OURS].house = []  # not needed any more, and large
    whole_wh = clairvoyant_wh(panel, house)
    return Lived(unit, outcomes, best_wh, whole_wh, wanted_wh(household, DAY_S), home.span_s)


def run(units: list[Unit], jobs: int, told: Callable[[Lived], None]) -> list[Lived]:
    """Live through all units, on `jobs` processes."""
    lived: list[Lived] = []
    if jobs == 1:
        results: Iterable[Lived] = map(live_through, units)
        for one in results:
            told(one)
            lived.append(one)
        return lived
    with get_context("fork").Pool(jobs) as pool:
        for one in pool.imap_unordered(live_through, units, chunksize=1):
            told(one)
            lived.append(one)
    return lived


def summary(lived: list[Lived], seed: int) -> dict[str, Any]:
    """The figures of a campaign, ready for JSON."""
    services = sorted({one.unit.service_a for one in lived})
    days = len(lived)
    distinct = {
        (_name(one.unit), int(second % one.span_s // DAY_S))
        for one in lived
        for second in (one.unit.begin_s, one.unit.begin_s + DAY_S - 1)
    }
    events = sum(one.outcomes[OURS].preventable_trips for one in lived)
    homes = Counter(_name(one.unit) for one in lived)
    return {
        "seed": seed,
        "panel_days": days,
        "distinct_recorded_days": min(len(distinct), days),
        "homes": dict(homes),
        "household_kwh": round(sum(one.wanted_wh for one in lived) / 1000.0, 1),
        # Days of one recording are not independent: the second bound counts each of them once.
        "bound_per_panel_day": None if events else 3.0 / days,
        "bound_per_recorded_day": None if events else 3.0 / min(len(distinct), days),
        "services": {
            f"{service_a:g}": {
                name: _row([one for one in lived if one.unit.service_a == service_a], name)
                for name in EVERYBODY
            }
            for service_a in services
        },
        "all": {name: _row(lived, name) for name in EVERYBODY},
    }


def _name(unit: Unit) -> str:
    """Whose day it is."""
    return unit.home.stem if unit.home is not None else f"{unit.panel.stem}: {NEUTRAL}"


def _row(lived: list[Lived], name: str) -> dict[str, float]:
    outcomes = [one.outcomes[name] for one in lived]
    whole = sum(one.best_whole_wh for one in lived)
    best = sum(one.best_wh for one in lived) if name == OURS else whole
    node = sum(outcome.node_wh for outcome in outcomes)
    return {
        "panel_days": len(lived),
        "trips": sum(outcome.trips for outcome in outcomes),
        "trips_preventable": sum(outcome.preventable_trips for outcome in outcomes),
        "branch_trips": sum(outcome.branch_trips for outcome in outcomes),
        "seconds_over_limit": round(sum(outcome.over_s for outcome in outcomes), 1),
        "longest_over_s": round(max((o.longest_over_s for o in outcomes), default=0.0), 1),
        "sheds": sum(outcome.sheds for outcome in outcomes),
        "sheds_per_day": round(sum(o.sheds for o in outcomes) / max(len(lived), 1), 3),
        "relay_moves": sum(outcome.relay_moves for outcome in outcomes),
        "interruptions": sum(outcome.household.interruptions for outcome in outcomes),
        "waited_minutes": round(sum(o.household.waited_s for o in outcomes) / 60.0),
        "later_kwh": round(sum(o.household.later_wh for o in outcomes) / 1000.0, 1),
        "lost_kwh": round(sum(o.household.lost_wh for o in outcomes) / 1000.0, 1),
        "node_kwh": round(node / 1000.0, 1),
        "compute_share_of_clairvoyant": round(node / best, 4) if best else 1.0,
        "compute_share_beside_whole_household": round(node / whole, 4) if whole else 1.0,
    }


def table(plain: dict[str, Any]) -> str:
    """The figures as a table for people."""
    columns = {
        "trips": "trips",
        "preventable": "trips_preventable",
        "over the limit, s": "seconds_over_limit",
        "longest, s": "longest_over_s",
        "sheds": "sheds",
        "relay moves": "relay_moves",
        "interruptions": "interruptions",
        "waited, min": "waited_minutes",
        "later, kWh": "later_kwh",
        "lost, kWh": "lost_kwh",
        "node, kWh": "node_kwh",
        "beside the whole household": "compute_share_beside_whole_household",
    }
    head = ["service", "policy", *columns]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for service, rows in (*plain["services"].items(), ("all", plain["all"])):
        size = service if service == "all" else f"{service} A"
        for name, row in rows.items():
            shown = [
                f"{row[key]:.1%}" if key.startswith("compute") else _number(row[key])
                for key in columns.values()
            ]
            lines.append(" | ".join([f"| {size}", name, *shown]) + " |")
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:g}"
