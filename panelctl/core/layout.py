"""The flat memory that both cores work on: what is fixed, what changes, and where it lies.

Rules
- Every field is an array('q') (int64): the compiled core and the reference read and write the very
  same memory, a snapshot is a copy of bytes, and numpy can view it.
- A field "per load and row" holds load i, row r at index i * rows + r. Row 0 is leg a, row 1 leg b.
- Units end the name. Times are monotonic ns; 0 means "never" where a time may be missing.
- Limits on everything: MAX_LOADS, MAX_ROWS, MAX_LIMITS. More is refused here, once.
"""

from __future__ import annotations

from array import array
from typing import Final

MAX_LOADS: Final = 128
MAX_ROWS: Final = 8
MAX_LIMITS: Final = 16
MAX_MA: Final = 10_000_000  # 10 kA: nothing in a house is larger, and sums stay far inside int64

SWITCHED: Final = 0
MODULATED: Final = 1

# What the panel is made of; written once when the core is built.
FIXED_PER_LOAD: Final = (
    "kind",
    "compute",
    "rest_tier",
    "weight",
    "relay_slot",  # image slot of the read-back, -1 without a relay
    "told_slot",  # image slot of the last acknowledged order, -1 where orders need none
    "tolerance_ppm",  # how far above its set-point it may draw
    "stale_ns",
    "min_on_ns",
    "min_off_ns",
    "safe_open",
    "floor_ma",
    "max_ma",
    "fallback_ma",
    "can_pause",
    "settle_ns",
    "change_ns",
    "step_ma",
    "ramp_ma_s",
)
FIXED_PER_LOAD_ROW: Final = ("coef", "slot", "demand_ma")
FIXED_PER_ROW: Final = ("mains_slot",)
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
    "fill_margin_ma",
    "restore_margin_ma",
    "relief_ma",  # opening less than this relieves nothing
    "tolerance_ma",
    "slack_ma",
    "idle_ns",
    "welded_ma",
    "node_fault_ns",
    "node_open_ns",
    "stop_wait_ns",
)

# What changes from step to step.
STATE_PER_LOAD: Final = (
    "tier",
    "closed",  # what the relay is ordered to be; -1 until it has been read back
    "claims",
    "flying",  # ordered open, the mains has not shown it yet
    "order_ns",
    "opened_ns",
    "closed_ns",
    "awaits",  # ordered by us, not yet seen to have followed
    "stale",
    "measured",  # its meter has been read at least once
    "fit_ns",
    "apart",  # its draw was taken out of the mains reading that is decided on
    "set_ma",
    "moved_ns",  # when its set-point last changed
    "raised_ns",
    "allow_ma",
    "allowed_ma",
    "bucket_ns",
    "over_ns",
    "want_ma",  # what a modulated load would take
    "hungry_ns",  # when it last drew all that it was allowed
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
STATE_PER_ROW: Final = ("mains_ma", "limit_ma", "binding", "headroom_ma")
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

    names = FIXED_PER_LOAD + FIXED_PER_LOAD_ROW + FIXED_PER_ROW + FIXED_SCALARS

    def __init__(self, loads: int, rows: int = 2) -> None:
        if not 0 <= loads <= MAX_LOADS:
            raise ValueError(f"{loads} loads: a panel has at most {MAX_LOADS}")
        if not 1 <= rows <= MAX_ROWS:
            raise ValueError(f"{rows} rows: a panel has 1 to {MAX_ROWS}")
        self.loads = loads
        self.rows = rows
        for name in FIXED_PER_LOAD:
            setattr(self, name, _zeros(loads))
        for name in FIXED_PER_LOAD_ROW:
            setattr(self, name, _zeros(loads * rows))
        for name in FIXED_PER_ROW:
            setattr(self, name, _zeros(rows))
        for name in FIXED_SCALARS:
            setattr(self, name, _zeros(1))


class Changing(_Flat):
    """What changes from step to step, and what the step gives out."""

    names = (
        STATE_PER_LOAD
        + STATE_PER_LOAD_ROW
        + STATE_PER_ROW
        + STATE_PER_LIMIT
        + STATE_PER_LIMIT_ROW
        + STATE_SCALARS
    )

    def __init__(self, fixed: Fixed, limits: int) -> None:
        if not 1 <= limits <= MAX_LIMITS:
            raise ValueError(f"{limits} limits: 1 to {MAX_LIMITS}")
        loads, rows = fixed.loads, fixed.rows
        self.limits = limits
        for name in STATE_PER_LOAD:
            setattr(self, name, _zeros(loads))
        for name in STATE_PER_LOAD_ROW:
            setattr(self, name, _zeros(loads * rows))
        for name in STATE_PER_ROW:
            setattr(self, name, _zeros(rows))
        for name in STATE_PER_LIMIT:
            setattr(self, name, _zeros(limits))
        for name in STATE_PER_LIMIT_ROW:
            setattr(self, name, _zeros(limits * rows))
        for name in STATE_SCALARS:
            setattr(self, name, _zeros(1))
