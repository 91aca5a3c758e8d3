"""Orders that are not followed: what a charger costs that does not keep to its set-point (seconds
above the control setting, by the plant's truth, on a virtual clock), what people are told in storms
of all faults, and what a second controller writes.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from panelctl.config.load import parse_panel, read_panel
from panelctl.sim.storm.figures import Figures
from panelctl.sim.storm.run import plan, run
from panelctl.sim.storm.strike import PROFILES, Pace
from tests.bench.rows import Row, at_most, reported
from tests.charger_world import Ceiling, ceiling
from tests.e2e.rig import PanelRig
from tests.shipped import chargers, with_charger
from tests.storm.test_devices import OF_ORDERS

PANELS = (Path("panelctl/sim/demo.toml"), Path("fixtures/panels/home_100a.toml"))
STORMS, STORM_S = 3, 2_600.0  # on each panel: every kind of fault strikes several times
ORDERS_S = 600.0
PATIENCES_S = (9.7, 9.8, 9.9, 10.0, 10.1, 10.2)  # where in its car's rhythm it falls back
TOO_LONG = "comm_timeout_s = 60"  # what the panel file says, and is not so: told every 20 s


def orders_rows() -> list[Row]:
    """All rows of this module."""
    return [*ceiling_rows(), *told_rows(), second_row()]


def told_rows() -> list[Row]:
    """What people are told of orders, over storms."""
    found = [_storm(path, seed) for path in PANELS for seed in range(1, STORMS + 1)]
    with_others = [
        _orders_storm(with_charger(name), seed) for name in chargers() for seed in (1, 2)
    ]
    storms = (
        f"{len(found)} storms of {STORM_S:g} s, all kinds of faults, on two panels, and "
        f"{len(with_others)} of {ORDERS_S:g} s of what becomes of orders, with each charger"
    )
    found += with_others
    return [
        at_most(
            "orders.untold_s.max", max(each.untold_s for each in found), "s", 3, len(found),
            f"from an order that is refused, lost or not followed to its event: {storms}",
        ),
        at_most(
            "orders.shown_wrong", sum(each.shown_wrong for each in found), "samples", 0, len(found),
            "relays that are shown, for more than 3 s, elsewhere than they are",
        ),
        at_most(
            "orders.false_faults", sum(each.false_faults for each in found), "faults", 0,
            len(found), "relays called faulty after freezes, reboots and phantoms that were not",
        ),
    ]  # fmt: skip


def _storm(path: Path, seed: int) -> Figures:
    panel = read_panel(path)
    strikes = plan(panel, seed, STORM_S, PROFILES["hurricane"])
    return run(panel, path.read_text(), seed, STORM_S, strikes, 0.0).figures


def _orders_storm(text: str, seed: int) -> Figures:
    panel = parse_panel(text, "panel.toml")
    strikes = plan(panel, seed, ORDERS_S, Pace(8.0, 60.0), OF_ORDERS)
    return run(panel, text, seed, ORDERS_S, strikes, 0.0).figures


def second_row() -> Row:
    """Whether a second controller gets a word in while the first stands still."""
    with tempfile.TemporaryDirectory() as folder:
        rig = PanelRig(Path(folder))
        try:
            rig.start()
            rig.settle()
            writes = rig.writes_of_others()
        finally:
            rig.stop()
    return at_most(
        "orders.second_controller_writes", writes, "writes", 0, 2,
        "taken by the simulated devices while two more controllers are started beside one that "
        "stands still",
    )  # fmt: skip


def ceiling_rows() -> list[Row]:
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
