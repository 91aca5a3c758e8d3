"""A branch circuit: where it sits, what it may draw, and what panelctl may do with it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from panelctl.model.breaker import Breaker
from panelctl.model.metering import PointRef


class Role(StrEnum):
    """What panelctl may do with a circuit."""

    ALWAYS_ON = "always-on"  # never opened, whatever happens
    SWITCHED = "switched"  # a relay, open or closed
    MODULATED = "modulated"  # a set-point between a minimum and a maximum
    MONITORED = "monitored"  # measured only


class SafeState(StrEnum):
    """What becomes of a managed circuit when the mains cannot be read for long."""

    HOLD = "hold"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class LegMeter:
    """The current of one leg of a circuit: `leg` is 0 for a and 1 for b."""

    leg: int
    current: PointRef


@dataclass(frozen=True, slots=True)
class Modulation:
    """How a modulated load takes its set-point. Currents in A per leg, times in s.

    `min_a` is the least it can run at, `fallback_a` what it is told when the mains cannot be read
    or the controller stops, `settle_s` how long it may take to obey, `change_s` the least time
    between two raises, `step_a` the grid of the set-point, `ramp_a_per_s` the fastest raise.
    """

    min_a: float
    max_a: float
    fallback_a: float
    can_pause: bool
    settle_s: float
    change_s: float
    step_a: float
    ramp_a_per_s: float
    rest_tier: int
    weight: int = 1
    floor_w: int = 0  # a load that is told watts: what it is never asked to go below …
    max_w: int = 0  # … and the most it can use


MAX_SOURCE_LEGS = 16  # legs of sources that a panel may have


class SourceKind(StrEnum):
    """What feeds the panel through a circuit of its own."""

    PV = "pv"  # only ever gives
    BATTERY = "battery"  # gives or takes, as its power tells


@dataclass(frozen=True, slots=True)
class Source:
    """A circuit that feeds the panel. Of the least it gave within one to two `window_s`,
    `firm_share` (0 to 1) counts as there to stay; the rest may fall away at any moment.
    """

    kind: SourceKind
    firm_share: float
    window_s: float


@dataclass(frozen=True, slots=True)
class Circuit:
    """One branch circuit of the panel.

    `legs` are the legs it loads (0 is a, 1 is b); `demand_a` is what must be free on each of them
    before it may be closed; `currents` holds a slot for every leg, and a balanced 240 V circuit
    with a single CT has the same point twice. `tier` 0 is served first.
    """

    id: str
    name: str
    spaces: tuple[int, ...]
    legs: tuple[int, ...]
    breaker: Breaker
    role: Role
    armed: bool
    tier: int
    demand_a: float
    currents: tuple[LegMeter, ...]
    power: tuple[PointRef, ...] = ()
    energy: tuple[PointRef, ...] = ()  # counters of what it has drawn
    balanced: bool = False
    relay_device: str | None = None
    relay_output: int = 0
    relay_inverted: bool = False  # on the normally closed contact: a coil that is driven opens it
    shows_contact: bool = True  # its board shows where the contact is, not only what it was told
    ops_per_day: float = 0.0  # how often its relay may move in the long run; 0: without a limit
    setpoint_device: str | None = None
    modulation: Modulation | None = None
    min_on_s: float = 180.0
    min_off_s: float = 300.0
    max_off_s: float = 0.0  # off for so long, it is served before every tier; 0: it may stay off
    inrush_a: float = 0.0
    continuous: bool = False  # runs for 3 h and more: 1.25 on constraints of a breaker's rating
    safe_state: SafeState = SafeState.OPEN
    is_compute: bool = False
    source: Source | None = None
    noise_a: float = 1.0  # what it may show with its relay open, and is not welded: a neighbour's
    half: str = ""  # of its space, A or B, where tandem breakers share it: a letter for each space

    @property
    def controlled(self) -> bool:
        """Whether panelctl ever writes to this circuit's relay or set-point."""
        return self.armed and self.role in (Role.SWITCHED, Role.MODULATED)
