"""The flat memory that both cores work on: what is fixed, what changes, and where it lies.

Rules
- Every field is an array('q') (int64): rules compiled and interpreted read and write the very
  same memory, a snapshot is a copy of bytes, and numpy can view it.
- A field "per load and row" holds load i, row r at index i * rows + r. Row 0 is leg a, row 1 leg b.
- Units end the name. Times are monotonic ns; 0 means "never" where a time may be missing.
- A field "per load and leg" holds load i, leg n at 2 * i + n. More than the limits is refused here.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Final

from panelctl.core.doubt import fields as doubt
from panelctl.core.state.machine import table
from panelctl.core.thermal import HOT_START, TICK_BITS
from panelctl.model.circuit import MAX_SOURCE_LEGS
from panelctl.model.keys import MAX_TIER

MAX_LOADS: Final = 128
MAX_ROWS: Final = 32
MAX_LIMITS: Final = 16
MAX_MA: Final = 10_000_000  # 10 kA: nothing in a house is larger, and sums stay far inside int64
NO_LIMIT_MA: Final = 1 << 36  # the value of a named limit on a row that it says nothing about
LEG_ROWS: Final = 2  # rows 0 and 1 are the legs at the main lugs
HOURS: Final = 24
STEP_BINS: Final = 48  # two an octave, up to 2^24 mA

SWITCHED: Final = 0
MODULATED: Final = 1

# What the panel is made of; written once when the core is built.
FIXED_PER_LOAD: Final = (
    "kind",
    "compute",
    "rest_tier",
    "weight",
    "relay_slot",  # image slot of the read-back, -1 without a relay
    "acked_slot",  # image slot of the last acknowledged order, -1 where orders need none
    "refused_slot",  # image slot of how often its board refused to close (below 0: to open), or -1
    "noise_ma",  # it may show so much with its relay open: more, and its contact is welded
    "tolerance_ppm",  # how far above its set-point it may draw
    "stale_ns",
    "min_on_ns",
    "min_off_ns",
    "max_off_ns",  # a load that must not stay without current for longer; 0: it may
    "safe_open",
    "floor_ma",
    "max_ma",
    "fallback_ma",
    "can_pause",
    "settle_ns",
    "change_ns",
    "step_ma",
    "ramp_ma_s",
    "branch_ref_ma",  # where the curve of its own breaker ends, derated; 0 where none is watched
    "branch_share",  # of the fast heat, in 2^-32
    "branch_most_ma",  # what its own breaker carries for good: 80 % of it for a continuous load
    "branch_ma",  # the breaker's rating
    "wear_ns",  # between two operations of its relay in the long run; 0: it does not matter
)
FIXED_PER_LOAD_ROW: Final = (
    "limit_coef",  # what a mA per leg of the load counts on it, with the 1.25 of continuous loads
    "meter_coef",  # the same as the row's own meter shows it
    "slot",  # image slots of the load's current on the row, -1 where there is none
    "slot2",
    "demand_ma",
    "inrush_ma",
    "opposite_leg",  # 1: it stands on the other side of the row, which carries more when it goes
)
FIXED_PER_ROW: Final = (
    "row_slot",  # image slots whose sum is what flows on the row, -1 where it is not metered
    "row_slot2",
    "less_slot",  # of the current that is taken off again: the other leg, for the neutral; or -1
    "sign_slot",  # of the powers that tell which way `row_slot` flows, and `row_slot2` or
    "sign_slot2",  # `less_slot`, where it matters; or -1
    "row_stale_ns",  # 0 for a row of the mains, whose age is the state's to judge
    "scale",  # parts that one mA of the row is counted in: 4 where some loads count 1.25
    "ref_ma",  # where the row's breaker curve ends, derated; 0 where no breaker is watched
    "share",  # of the fast heat, in 2^-32
    "credit",  # the row has no control setting, and a minimum trip curve
    "prior_ma",  # the largest load step to expect before one has been seen
    "no_margin",  # 1: only managed loads count on it, so nothing is left free beside a restore
)
FIXED_PER_SOURCE_LEG: Final = (
    "source_slot",  # image slot of its current
    "source_w_slot",  # image slots of its power, which tells a battery that charges; or -1
    "source_w_slot2",
    "source_stale_ns",
    "source_most_ma",  # what it gives at most: assumed where it cannot be read
    "source_firm_ppm",  # of the least it gave lately, what counts as firm
    "source_window_ns",  # how long lately is
)
FIXED_PER_SOURCE_LEG_ROW: Final = (
    "relieves",  # 1: the row's meter shows less because of it, and more when it falls away
    "adds",  # 1: the row carries it besides what its meter shows: a busbar
)
FIXED_TABLES: Final = (
    "next_state",
    "equal_tier",  # whether a tier is of equal rank
    "decay_fast",
    "decay_slow",
    "branch_decay_fast",
    "branch_decay_slow",
)
FIXED_SCALARS: Final = (
    "fresh_ns",
    "hold_ns",
    "shed_ns",
    "good_needed",
    "confirm_ns",
    "react_ns",
    "relay_confirm_ns",
    "relay_stale_ns",
    "close_settle_ns",
    "restore_hold_ns",
    "restore_interval_ns",
    "setpoint_margin_ma",
    "restore_margin_ma",
    "relief_ma",  # opening less than this relieves nothing
    "tolerance_ma",
    "error_ppm",  # how much more than it shows a meter may have measured
    "idle_margin_ma",
    "idle_ns",
    "node_fault_ns",
    "node_open_ns",
    "stop_wait_ns",
    "stopped_ma",  # a load that was asked to stop and draws no more has stopped
    "heal_ns",  # for so long a relay that was at fault has to look healthy; 0: it never heals
    "moves_most",  # so often somebody else may move a relay
    "moves_ns",  # within so long, before that is a fault; `moves_most` 0: it is at once
)

# What changes from step to step.
STATE_PER_LOAD: Final = (
    "tier",
    "promoted",  # off for as long as it may be: served before every tier
    "closed",  # what the relay is ordered to be; -1 until it has been read back
    "claims",
    "opening",  # ordered open, the mains has not shown it yet
    "order_ns",
    "opened_ns",
    "closed_ns",
    "order_pending",  # ordered by us, not yet seen to have followed
    "fault",  # the Reason that people are told, whoever else holds it open; 0: none
    "fault_ns",
    "fault_count",  # how often it came, each within an hour
    "unheard_ns",  # when its relay could not be read last
    "healthy_ns",  # the sample since which it looks healthy; 0: it does not
    "carried_ns",  # since when current is seen through its open relay; 0: none is
    "moves",  # how often somebody else moved its relay
    "moves_ns",  # since then
    "stale",  # it cannot be decided on: its own meter or that of a row it is on is old
    "unread",  # its own meter is old
    "measured",  # its meter has been read at least once
    "room_since_ns",
    "netted",  # its draw was taken out of the mains reading that is decided on
    "set_ma",
    "moved_ns",  # when its set-point last changed
    "raised_ns",
    "peak_setpoint_ma",
    "prev_peak_setpoint_ma",
    "bucket_ns",
    "over_ns",
    "want_ma",  # what a modulated load would take
    "branch_theta_ppm",  # how near the hotter pole of its own breaker is to tripping
    "branch_trip_ms",  # how long that breaker surely stands the present current; -1: for longer
    "hot_ns",  # the sample since which its own breaker has been hot and overloaded
    "worn_ns",  # until when its relay's operations have used up what it may move
    "at_limit_ns",  # when it last drew all that it was allowed
    "stop",
    "reason",
    "reason_row",
    "reason_ma",
    "since_ns",
    "until_ns",
    "wait",
    "wait_row",
    "wait_ma",
)
STATE_PER_LOAD_ROW: Final = ("meas_ma", "at_mains_ma", "relief_of_ma")
STATE_PER_LOAD_LEG: Final = (
    "branch_fast",
    "branch_slow",
    "branch_seen_ns",  # its newest sample,
    "branch_last_ma",  # what that shows,
    "branch_draw_ma",  # and what it counts for
)
STATE_PER_SOURCE_LEG: Final = (
    "out_ma",  # what it gave when it was last read,
    "may_ma",  # what it may be giving, which is more where it cannot be read,
    "firm_ma",  # and what of that is there to stay
    "low_ma",  # the least it gave in this window,
    "older_low_ma",  # and in the one before
    "low_ns",  # when this window began
    "high_ma",  # the most it gave in a short window, for its reading and the mains' are not one,
    "older_high_ma",  # and in the one before
    "high_ns",
    "gives_ma",  # what it is known to give, which explains an export
)
STATE_PER_ROW: Final = (
    "row_ma",  # what the row carries, 0 where it gives
    "flow_ma",  # the same, below 0 where it gives
    "row_old",
    "row_seen_ns",  # the sample that `row_ma` is of, for rows behind the legs
    "contingency_ma",  # what it would carry besides, if sources or the other leg's loads went
    "limit_ma",  # the effective limit
    "shed_limit_ma",  # the same for relays that may have to open,
    "setpoint_limit_ma",  # and for set-points
    "binding",
    "headroom_ma",
    "fast",
    "slow",
    "theta_ppm",
    "trip_ms",  # how long the breaker surely stands the present current; -1: for longer than told
    "hard",  # an inverter's or a contract's limit, which nothing may pass even for a moment
    "margin_ma",
    "window_from_ma",
    "window_top_ma",
    "rest_ma",  # of a neutral: what it carries without the modulated loads,
    "top_ma",  # the most of that in a window,
    "older_top_ma",  # and in the one before
    "top_ns",
)
STATE_TABLES: Final = ("steps",)  # per row, hour and bin: how often the household rose so much
STATE_PER_LIMIT: Final = ("limit_on", "limit_until_ns")
STATE_PER_LIMIT_ROW: Final = ("limit_value_ma",)
STATE_SCALARS: Final = (
    "boot_ns",
    "step_ns",
    "mains_ns",
    "good",
    "state",
    "excess_ns",
    "restored_ns",
    "thermal_ns",
    "window_ns",
    "disturbed",  # one of our own relays moved in this window
    "hour",  # of the present window; -1 before the first
    "hour_offset_ns",  # so that hours of learning are hours of the day; it only adds to a margin
)


def _zeros(count: int) -> array[int]:
    return array("q", bytes(8 * count))


class _Flat:
    """Named int64 arrays; one attribute a field."""

    names: tuple[str, ...]

    def __getattr__(self, name: str) -> array[int]:  # only for the type checker's sake
        raise AttributeError(name)

    def dump(self) -> dict[str, list[int]]:
        """Every field as a list, for comparing two cores and for saving."""
        return {name: getattr(self, name).tolist() for name in self.names}


class Fixed(_Flat):
    """What the panel is made of, for `loads` loads on `rows` rows."""

    names = (
        FIXED_PER_LOAD
        + FIXED_PER_LOAD_ROW
        + FIXED_PER_ROW
        + FIXED_PER_SOURCE_LEG
        + FIXED_PER_SOURCE_LEG_ROW
        + FIXED_TABLES
        + FIXED_SCALARS
        + doubt.FIXED_PER_LEG
        + doubt.FIXED_LISTS
        + doubt.FIXED_SCALARS
    )

    def __init__(
        self,
        loads: int,
        rows: int = 2,
        source_legs: int = 0,
        lists: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        """`lists` are those that doubts go through; without them nothing is doubted."""
        if not 0 <= loads <= MAX_LOADS:
            raise ValueError(f"{loads} loads: a panel has at most {MAX_LOADS}")
        if not 1 <= rows <= MAX_ROWS:
            raise ValueError(f"{rows} rows: a panel has 1 to {MAX_ROWS}")
        if not 0 <= source_legs <= MAX_SOURCE_LEGS:
            raise ValueError(
                f"{source_legs} legs of sources: a panel has at most {MAX_SOURCE_LEGS}"
            )
        self.loads = loads
        self.rows = rows
        self.source_legs = source_legs
        for name in FIXED_PER_LOAD:
            setattr(self, name, _zeros(loads))
        for name in FIXED_PER_LOAD_ROW:
            setattr(self, name, _zeros(loads * rows))
        for name in FIXED_PER_ROW:
            setattr(self, name, _zeros(rows))
        for name in FIXED_PER_SOURCE_LEG:
            setattr(self, name, _zeros(source_legs))
        for name in FIXED_PER_SOURCE_LEG_ROW:
            setattr(self, name, _zeros(source_legs * rows))
        self.next_state = table()
        self.equal_tier = _zeros(MAX_TIER + 1)
        self.decay_fast = _zeros(rows * TICK_BITS)
        self.decay_slow = _zeros(rows * TICK_BITS)
        self.branch_decay_fast = _zeros(loads * TICK_BITS)
        self.branch_decay_slow = _zeros(loads * TICK_BITS)
        for name in FIXED_SCALARS + doubt.FIXED_SCALARS:
            setattr(self, name, _zeros(1))
        for name in doubt.FIXED_PER_LEG:
            setattr(self, name, _zeros(LEG_ROWS))
        for name in doubt.FIXED_LISTS:
            setattr(self, name, array("q", (lists or {}).get(name, ())))
        for r in range(rows):
            self.scale[r] = 1
            self.row_slot2[r] = self.less_slot[r] = -1
            self.sign_slot[r] = self.sign_slot2[r] = -1
        for i in range(loads):
            self.weight[i] = self.step_ma[i] = 1


class Changing(_Flat):
    """What changes from step to step, and what the step gives out."""

    names = (
        STATE_PER_LOAD
        + STATE_PER_LOAD_ROW
        + STATE_PER_LOAD_LEG
        + STATE_PER_SOURCE_LEG
        + STATE_PER_ROW
        + STATE_TABLES
        + STATE_PER_LIMIT
        + STATE_PER_LIMIT_ROW
        + STATE_SCALARS
        + tuple(doubt.STATE)
    )

    def __init__(self, fixed: Fixed, limits: int) -> None:
        if not 1 <= limits <= MAX_LIMITS:
            raise ValueError(f"{limits} limits: 1 to {MAX_LIMITS}")
        loads, rows, source_legs = fixed.loads, fixed.rows, fixed.source_legs
        self.limits = limits
        for name in STATE_PER_LOAD:
            setattr(self, name, _zeros(loads))
        for name in STATE_PER_LOAD_ROW:
            setattr(self, name, _zeros(loads * rows))
        for name in STATE_PER_LOAD_LEG:
            setattr(self, name, _zeros(loads * LEG_ROWS))
        for n in range(loads * LEG_ROWS):
            self.branch_fast[n] = self.branch_slow[n] = HOT_START
        for name in STATE_PER_SOURCE_LEG:
            setattr(self, name, _zeros(source_legs))
        for name in STATE_PER_ROW:
            setattr(self, name, _zeros(rows))
        for name in STATE_PER_LIMIT:
            setattr(self, name, _zeros(limits))
        for name in STATE_PER_LIMIT_ROW:
            setattr(self, name, array("q", [NO_LIMIT_MA] * (limits * rows)))
        self.steps = _zeros(rows * HOURS * STEP_BINS)
        for r in range(rows):
            self.fast[r] = self.slow[r] = HOT_START
        for name in STATE_SCALARS:
            setattr(self, name, _zeros(1))
        self.hour[0] = -1
        for name, each in doubt.STATE.items():
            setattr(self, name, _zeros(_count_of(each, fixed)))


def _count_of(each: str, fixed: Fixed) -> int:
    """How many there are of what a doubt's field holds one of."""
    counts = {
        "scalar": 1,
        "leg": LEG_ROWS,
        "leg_fall": LEG_ROWS * doubt.FALLS_KEPT,
        "digit": doubt.DIGITS,
        "load": fixed.loads,
        "load_leg": LEG_ROWS * fixed.loads,
    }
    return counts[each] if each in counts else len(getattr(fixed, each))
