"""What it costs when a charger does not keep to its set-point: seconds above the control setting,
by the plant's truth, on a virtual clock.
"""

from __future__ import annotations

from tests.bench.rows import Row, at_most, reported
from tests.charger_world import Ceiling, ceiling

PATIENCES_S = (9.7, 9.8, 9.9, 10.0, 10.1, 10.2)  # where in its car's rhythm it falls back
TOO_LONG = "comm_timeout_s = 60"  # what the panel file says, and is not so: told every 20 s


def orders_rows() -> list[Row]:
    """The figures of set-points that are not kept to."""
    known = [ceiling(patience_s=patience_s) for patience_s in PATIENCES_S]
    unknown = [ceiling(more=TOO_LONG, patience_s=patience_s) for patience_s in PATIENCES_S]
    case = (
        "an Alfen told to pause that goes to 20 A when it hears nothing for ten seconds, beside "
        "77 A on a limit of 80 A, two minutes"
    )
    return [
        at_most(
            "orders.evse_ceiling.over_limit_s", _over_s(known), "s", 0.5, len(known),
            f"above the limit in all, worst of {len(known)}: {case}; its timer stands nowhere",
        ),
        reported(
            "orders.evse_wrong_timer.over_limit_s", _over_s(unknown), "s", len(unknown),
            "the same where the panel file says that its timer is a minute: one fall, and it is "
            "learnt",
        ),
        at_most(
            "orders.evse_wrong_timer.falls", max(found.falls for found in unknown), "falls", 1,
            len(unknown), "in those two minutes, until it is told often enough",
        ),
    ]  # fmt: skip


def _over_s(found: list[Ceiling]) -> float:
    return max(each.over_limit_s for each in found)
