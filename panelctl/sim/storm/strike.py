"""What a storm does, and when: strikes as plain data, drawn from a seed, and back from a file.

A strike begins a fault of the catalogue (faults.py) and ends it after a while. A schedule is only
data, so that it can be kept, repeated, and made smaller.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from panelctl.errors import ConfigError, Problem

Undo = Callable[[], None]
FORMAT = "panelctl-storm"
MOST_STRIKES = 100_000


@dataclass(frozen=True, slots=True)
class Strike:
    """Fault `kind` on `target` from `at_s` for `for_s`; `amount` is a number from 0 to 1."""

    at_s: float
    for_s: float
    kind: str
    target: str
    amount: float

    @property
    def end_s(self) -> float:
        """When it is over."""
        return self.at_s + self.for_s


@dataclass(frozen=True, slots=True)
class Pace:
    """How rough a storm is: `gap_s` between two strikes on average, `rest_s` without any at the end
    for everything to come back.
    """

    gap_s: float
    rest_s: float


PROFILES = {
    "calm": Pace(300.0, 900.0),
    "storm": Pace(40.0, 900.0),
    "hurricane": Pace(8.0, 900.0),
}


def draw(
    seed: int,
    duration_s: float,
    pace: Pace,
    targets: Mapping[str, list[str]],
    longest_s: Mapping[str, float],
) -> list[Strike]:
    """A schedule: every kind with a target comes up equally often. Times to a millisecond."""
    dice = random.Random(f"{seed} strikes")
    kinds = sorted(kind for kind, places in targets.items() if places)
    strikes: list[Strike] = []
    at_s, end_s = 20.0, duration_s - pace.rest_s
    bag: list[str] = []
    while kinds:
        at_s += dice.expovariate(1.0 / pace.gap_s)
        if at_s >= end_s:
            break
        if not bag:
            bag = kinds[:]
            dice.shuffle(bag)
        kind = bag.pop()
        for_s = min(longest_s[kind] * dice.random() ** 2 + 0.2, max(end_s - at_s, 0.2))
        target = dice.choice(targets[kind])
        strikes.append(
            Strike(round(at_s, 3), round(for_s, 3), kind, target, round(dice.random(), 4))
        )
    return strikes


def to_text(seed: int, duration_s: float, strikes: list[Strike]) -> str:
    """A schedule as a file."""
    plain = {
        "format": FORMAT,
        "seed": seed,
        "duration_s": duration_s,
        "strikes": [asdict(strike) for strike in strikes],
    }
    return json.dumps(plain, indent=1) + "\n"


def read_schedule(path: Path, kinds: set[str]) -> tuple[int, float, list[Strike]]:
    """Seed, duration and strikes of a file. Raises ConfigError."""
    try:
        plain = json.loads(path.read_text("utf-8"))
        if plain["format"] != FORMAT:
            raise ValueError("its format is not that of a storm")
        if len(plain["strikes"]) > MOST_STRIKES:
            raise ValueError(f"more than {MOST_STRIKES} strikes")
        strikes = [_strike(item, kinds) for item in plain["strikes"]]
        seed, duration_s = int(plain["seed"]), float(plain["duration_s"])
        if not 0 < duration_s <= 400 * 86_400:
            raise ValueError(f"duration_s = {duration_s:g}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        problem = Problem("", "", f"is not a storm's schedule: {type(error).__name__}: {error}")
        raise ConfigError(str(path), [problem]) from None
    return seed, duration_s, strikes


def _strike(item: dict[str, Any], kinds: set[str]) -> Strike:
    strike = Strike(
        float(item["at_s"]),
        float(item["for_s"]),
        str(item["kind"]),
        str(item["target"]),
        float(item["amount"]),
    )
    if strike.kind not in kinds:
        raise ValueError(f"{strike.kind!r} is no fault of the catalogue")
    if not (0 <= strike.at_s < 1e9 and 0 <= strike.for_s < 1e9 and 0 <= strike.amount <= 1):
        raise ValueError(f"{item}: out of range")
    return strike


def nothing() -> None:
    """What undoes a fault that is over by itself."""
