"""What a shadow would have done, and where the house did not behave as believed: counts in a file.

`panelctl shadow report` reads it. It is written every ten minutes and at the end, and gone on with
after a restart, so that a week of shadow is one account.
"""

from __future__ import annotations

import json
import logging
from collections import deque
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self, TypeVar

from panelctl.control.shadow import Load, Shadow
from panelctl.core.engine import Engine
from panelctl.core.state.layout import MODULATED
from panelctl.files import Writes
from panelctl.model.doubt import Doubt
from panelctl.model.reason import State
from panelctl.model.record import EventRecord
from panelctl.model.slots import LEGS
from panelctl.units import NS_PER_S

FORMAT = 1
FILE = "shadow.json"
MOST_BYTES = 1 << 20
SAVE_NS = 600 * NS_PER_S
LOOK_NS = 3 * NS_PER_S  # by then every branch circuit has been read again
MOST_GAP_S = 5.0  # between two cycles
MOST = 1e12  # s, Wh or A
NOTHING_MA = 300  # a circuit that is shed and drew less than this relieved nothing
LOG = logging.getLogger("panelctl.shadow")


@dataclass(slots=True)
class CircuitTally:
    """Of one circuit. Times in s, energies in Wh.

    `sheds`, `restores` and `faults` count decisions; `off_s` and `kept_wh` are for how long it
    would have been off, and what it really drew in that time; `lowered_s` and `lowered_wh` the same
    for a set-point below its draw; `raised` counts set-points that rose. `idle_sheds` are those
    that would have relieved nothing. `most_a` is the most it really drew on a leg for two cycles,
    beside the `demand_a` of the panel file; `unread_s` is for how long its meter was not read.
    """

    sheds: int = 0
    restores: int = 0
    faults: int = 0
    off_s: float = 0.0
    kept_wh: float = 0.0
    lowered_s: float = 0.0
    lowered_wh: float = 0.0
    raised: int = 0
    idle_sheds: int = 0
    most_a: float = 0.0
    demand_a: float = 0.0
    unread_s: float = 0.0


@dataclass(slots=True)
class LegTally:
    """Of one leg at the main lugs: for how long, s, and by how much, A, it was over its limit, and
    would have been, and for how long at once; and how often its household rose by more than was
    left free, and by how much.
    """

    over_s: float = 0.0
    over_a: float = 0.0
    left_over_s: float = 0.0
    left_over_a: float = 0.0
    longest_s: float = 0.0
    surprises: int = 0
    surprise_a: float = 0.0


@dataclass(slots=True)
class Account:
    """All of it. `begun_s` and `ended_s` are wall times, `seen_s` what lies between but gaps.
    `unfit` is what the panel file would be refused for if it were armed.
    """

    serial: str = ""
    begun_s: float = 0.0
    ended_s: float = 0.0
    seen_s: float = 0.0
    cycles: int = 0
    incomplete: int = 0
    states_s: dict[str, float] = field(default_factory=dict)
    doubts_s: dict[str, float] = field(default_factory=dict)
    legs: dict[str, LegTally] = field(default_factory=dict)
    circuits: dict[str, CircuitTally] = field(default_factory=dict)
    unfit: list[str] = field(default_factory=list)

    def to_plain(self) -> dict[str, object]:
        """Ready for JSON."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Self:
        """What `to_plain` made of it. Raises ValueError, KeyError or TypeError out of shape."""
        if plain["format"] != FORMAT:
            raise ValueError(f"format {plain['format']!r}, this panelctl reads {FORMAT}")
        legs = {str(leg): _tally(LegTally(), tally) for leg, tally in plain["legs"].items()}
        circuits = {str(c): _tally(CircuitTally(), tally) for c, tally in plain["circuits"].items()}
        made = cls(serial=str(plain["serial"]), legs=legs, circuits=circuits)
        for name in ("begun_s", "ended_s", "seen_s"):
            setattr(made, name, _number(plain[name], float))
        made.unfit = [str(problem) for problem in plain["unfit"]]
        made.cycles = int(_number(plain["cycles"], int))
        made.incomplete = int(_number(plain["incomplete"], int))
        made.states_s = {State[k].name: _number(v, float) for k, v in plain["states_s"].items()}
        for key, seconds in plain["doubts_s"].items():
            Doubt(key.rpartition(" ")[2])
            made.doubts_s[str(key)] = _number(seconds, float)
        return made


def _number(value: object, kind: type[int] | type[float]) -> float:
    """A number that may be counted on with. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r:.40} is no number")
    if not 0 <= value <= MOST:  # not so for NaN either
        raise ValueError(f"{value!r:.40} is no count and no time")
    return kind(value)


T = TypeVar("T", LegTally, CircuitTally)


def _tally(made: T, plain: dict[str, Any]) -> T:
    """A tally with these numbers. Raises ValueError or KeyError."""
    for each in fields(made):
        before = getattr(made, each.name)
        setattr(made, each.name, _number(plain.get(each.name, before), type(before)))
    return made


def read_account(path: Path) -> Account:
    """The account in a file. Raises OSError or ValueError."""
    with path.open("rb") as file:
        text = file.read(MOST_BYTES + 1)
    if len(text) > MOST_BYTES:
        raise ValueError(f"it is larger than {MOST_BYTES} bytes")
    try:
        return Account.from_plain(json.loads(text))
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"it is not a shadow's account ({error!r})") from None


class Bookkeeper:
    """Counts, cycle by cycle, and writes it down."""

    def __init__(
        self, engine: Engine, shadow: Shadow, path: Path, writes: Writes, wall_s: float
    ) -> None:
        self._engine = engine
        self._shadow = shadow
        self._path = path
        self._writes = writes
        self._then_ns = 0
        self._saved_ns = 0
        self._set_ma = list(engine.state.set_ma)
        self._drew_ma = [0] * len(shadow.loads)  # a cycle ago
        self._household: deque[list[int]] = deque(maxlen=3)  # by leg, mA, every LOOK_NS
        self._looked_ns = 0
        self._over_s = [0.0] * len(LEGS)  # without a pause, as it would be
        self.account = self._before(wall_s)
        for load in shadow.loads:
            circuit = engine.loads[load.i]
            self.account.circuits.setdefault(circuit.id, CircuitTally()).demand_a = circuit.demand_a
        for leg in LEGS:
            self.account.legs.setdefault(leg, LegTally())

    def _before(self, wall_s: float) -> Account:
        """What earlier runs counted; from the beginning where there is nothing that fits."""
        serial = self._engine.panel.serial
        new = Account(serial=serial, begun_s=wall_s)
        try:
            found = read_account(self._path)
        except FileNotFoundError:
            return new
        except (OSError, ValueError) as error:
            LOG.warning("%s is not gone on with: %s", self._path, error)
            return new
        if found.serial != serial:
            LOG.warning("%s is of another panel: a new account is begun", self._path)
            return new
        return found

    def latch(self, now_ns: int) -> None:
        """In the place of the image's own: the readings as they would be."""
        image = self._engine.image
        self._shadow.acknowledge(now_ns)
        image.latch()
        self._shadow.overlay(now_ns)

    def count(self, now_ns: int, wall_s: float, complete: bool, events: list[EventRecord]) -> None:
        """After the decision: it, and what the house really did. `events` are its own."""
        gone_s = (now_ns - self._then_ns) / NS_PER_S if self._then_ns else 0.0
        passed_s = min(max(0.0, gone_s), MOST_GAP_S)
        self._then_ns = now_ns
        account = self.account
        account.ended_s = wall_s
        account.seen_s += passed_s
        account.cycles += 1
        account.incomplete += not complete
        _add(account.states_s, self._engine.now.name, passed_s)
        for name, doubts in self._engine.doubts.items():
            for doubt in doubts:
                if doubt is not Doubt.DROP:  # every large load that stops is one
                    _add(account.doubts_s, f"{name} {doubt}", passed_s)
        for load in self._shadow.loads:
            self._of_circuit(load, passed_s)
        self._of_legs(passed_s)
        for event in events:
            self._of_event(event)
        if now_ns - self._saved_ns >= SAVE_NS:
            self._saved_ns = now_ns
            self.save()

    def save(self) -> None:
        """Hand the account to whoever writes files."""
        data = json.dumps(self.account.to_plain(), indent=1).encode()
        self._writes.put(self._path, data, self._written)

    def _written(self, written: bool) -> None:
        if not written:
            LOG.warning("%s cannot be written; it is tried again", self._path)

    def _of_circuit(self, load: Load, passed_s: float) -> None:
        engine, i = self._engine, load.i
        tally = self.account.circuits[engine.loads[i].id]
        tally.most_a = max(tally.most_a, min(load.drew_ma, self._drew_ma[i]) / 1000)
        self._drew_ma[i] = load.drew_ma
        if engine.state.unread[i]:
            tally.unread_s += passed_s
        hours = passed_s / 3600
        if load.slots.relay >= 0 and engine.state.closed[i] == 0:
            tally.off_s += passed_s
            tally.kept_wh += load.less_w * hours
        elif load.less_w > 0:
            tally.lowered_s += passed_s
            tally.lowered_wh += load.less_w * hours
        if engine.fixed.kind[i] == MODULATED:
            tally.raised += engine.state.set_ma[i] > self._set_ma[i]
            self._set_ma[i] = engine.state.set_ma[i]

    def _of_legs(self, passed_s: float) -> None:
        engine = self._engine
        if not engine.mains_fresh(self._then_ns):
            self._household.clear()
            return  # what is not seen is not judged
        for leg, name in enumerate(LEGS):
            tally, limit_ma = self.account.legs[name], engine.state.limit_ma[leg]
            real_a = (self._shadow.real_ma[leg] - limit_ma) / 1000
            left_a = (engine.state.row_ma[leg] - limit_ma) / 1000
            if real_a > 0:
                tally.over_s += passed_s
                tally.over_a = max(tally.over_a, round(real_a, 3))
            self._over_s[leg] = self._over_s[leg] + passed_s if left_a > 0 else 0.0
            if left_a > 0:
                tally.left_over_s += passed_s
                tally.left_over_a = max(tally.left_over_a, round(left_a, 3))
                tally.longest_s = max(tally.longest_s, round(self._over_s[leg], 3))
        if self._then_ns - self._looked_ns >= LOOK_NS:
            self._looked_ns = self._then_ns
            self._of_household()

    def _of_household(self) -> None:
        """Whether it rose by more than was left free, and stayed there: a circuit that starts is
        seen in the mains before its own meter is read.
        """
        loads, engine = self._shadow.loads, self._engine
        given_ma = [0] * len(LEGS)
        for j, (_, leg) in enumerate(engine.source_legs):
            given_ma[leg] += engine.state.out_ma[j]
        self._household.append(
            [
                ma + given_ma[leg] - sum(self._on(load, leg) for load in loads)
                for leg, ma in enumerate(self._shadow.real_ma)
            ]
        )
        if len(self._household) < 3:
            return
        before, *since = self._household
        for leg, name in enumerate(LEGS):
            rose_ma = min(later[leg] for later in since) - before[leg]
            free_ma = max(engine.state.margin_ma[leg], engine.fixed.restore_margin_ma[0])
            if rose_ma > free_ma:
                tally = self.account.legs[name]
                tally.surprises += 1
                tally.surprise_a = max(tally.surprise_a, round(rose_ma / 1000, 3))

    def _on(self, load: Load, leg: int) -> int:
        """What a load really draws on a leg, mA."""
        slot = load.slots.current(leg)
        return self._engine.image.value[slot] + load.less_ma[leg] if slot >= 0 else 0

    def _of_event(self, event: EventRecord) -> None:
        ident = event.get("circuit")
        tally = self.account.circuits.get(ident) if ident is not None else None
        if tally is None:
            return
        if event["what"] == "shed":
            tally.sheds += 1
            drew = next(x for x in self._shadow.loads if self._engine.loads[x.i].id == ident)
            tally.idle_sheds += drew.drew_ma < NOTHING_MA
        elif event["what"] == "restore":
            tally.restores += 1
        elif event["what"] == "fault":
            tally.faults += 1


def _add(sums: dict[str, float], key: str, value: float) -> None:
    sums[key] = sums.get(key, 0.0) + value
