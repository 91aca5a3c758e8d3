"""What outlives a restart, on the disk: read back, followed, tried again, never waited for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from panelctl.config.load import read_panel
from panelctl.control.store import Kept, StateStore
from panelctl.core.engine import Engine
from panelctl.core.snapshot import Snapshot
from panelctl.field.ledger import Ledger
from panelctl.files import Done
from panelctl.model.doubt import Doubt
from panelctl.model.limit import KeptLimits
from panelctl.model.relay import Claim
from panelctl.units import NS_PER_S as S

SNAPSHOT = Snapshot(
    {"dryer": 2},
    80.0,
    90 * S,
    limits=KeptLimits(source="utility", windows=[(0, 60 * S, 70.0, None)]),
    power_limits={"evse": (3_000, 70 * S)},
    tiers={"dryer": (4, 9)},
    doubts=(Doubt.BRANCHES, Doubt.FROZEN),
)
KEPT = Kept(SNAPSHOT, {"mains": "123"})
DRYER = Kept(Snapshot({"dryer": 1}))


def test_what_outlives_a_restart(tmp_path: Path) -> None:
    store = StateStore(tmp_path, "1")
    assert store.load(10 * S, 1e9) == Kept()
    store.save(KEPT, 10 * S, 1e9)
    plain = json.loads((tmp_path / "state.json").read_text())
    odd = json.dumps({**plain, "claims": {"a": "b", "c": -1}, "limit_a": None, "until_ns": "x"})
    wrong = b'{"format":2,"claims":[],"limit_a":"x"}'
    for torn in (b"", b"{", b'{"format":2}', wrong, b"[" * 60_000, odd.encode()):
        (tmp_path / "state.json").write_bytes(torn)
        assert StateStore(tmp_path, "1").load(10 * S, 1e9) == Kept()
    blocked = StateStore(tmp_path / "nowhere", "1")
    blocked.save(KEPT, 10 * S, 1e9)
    assert blocked.failures == 1, "a disk that cannot be written costs no cycle"


@pytest.mark.parametrize("set_s", [-3600.0, 0.0, 3600.0])
def test_a_wall_clock_that_is_set_ends_no_limit(tmp_path: Path, set_s: float) -> None:
    StateStore(tmp_path, "1").save(KEPT, 10 * S, 1e9)
    assert StateStore(tmp_path, "1").load(40 * S, 1e9 + 30 + set_s) == KEPT


def test_a_wall_clock_that_is_set_is_noted_for_the_next_boot(tmp_path: Path) -> None:
    store = StateStore(tmp_path, "1")
    store.save(KEPT, 10 * S, 1e9)
    store.save(KEPT, 20 * S, 1e9 + 10.0)
    assert json.loads((tmp_path / "state.json").read_text())["now_ns"] == 10 * S
    store.save(KEPT, 21 * S, 1e9 + 3611.0)  # an hour forward
    found = StateStore(tmp_path, "2").load(3 * S, 1e9 + 3620.0)  # 9 s later
    assert found.engine.until_ns == SNAPSHOT.until_ns - 21 * S - 9 * S + 3 * S


@pytest.mark.parametrize(
    ("boot", "later_s", "passed_s"),
    [("2", 30.0, 30.0), ("", 30.0, 30.0), ("2", -3600.0, 0.0), ("2", 1e6, 1e6)],
    ids=["another boot", "no name", "the wall clock went back", "long after"],
)
def test_another_boot_has_another_clock(
    tmp_path: Path, boot: str, later_s: float, passed_s: float
) -> None:
    """Ends are where the wall clock says; where that went back, no time has passed."""
    StateStore(tmp_path, boot and "1").save(KEPT, 10 * S, 1e9)
    by_ns = round(3 * S - 10 * S - passed_s * S)  # the new one shows 3 s
    found = StateStore(tmp_path, boot).load(3 * S, 1e9 + later_s)
    assert found.engine.claims == SNAPSHOT.claims
    assert found.engine.until_ns == SNAPSHOT.until_ns + by_ns
    assert found.engine.power_limits == {"evse": (3_000, 70 * S + by_ns)}
    assert found.engine.doubts == SNAPSHOT.doubts
    assert found.engine.limits.windows == [(by_ns, 60 * S + by_ns, 70.0, None)]
    again = StateStore(tmp_path, "3")
    again.save(found, 3 * S, 1e9)
    assert again.load(4 * S, 1e9) == found, "also what began before the machine did"


def test_what_could_not_be_written_outlives_a_reload(tmp_path: Path) -> None:
    """The process is the same; its disk is full."""
    store = StateStore(tmp_path, "1")
    store.save(DRYER, 10 * S, 1e9)
    (tmp_path / ".state.json.new").mkdir()
    store.save(KEPT, 11 * S, 1e9 + 1)
    assert store.load(12 * S, 1e9 + 2) == KEPT
    assert StateStore(tmp_path, "1").load(12 * S, 1e9 + 2) == DRYER
    (tmp_path / ".state.json.new").rmdir()
    store.save(KEPT, 13 * S, 1e9 + 3)
    assert StateStore(tmp_path, "1").load(14 * S, 1e9 + 4) == KEPT


def test_a_disk_that_takes_nothing_is_tried_more_and_more_seldom(tmp_path: Path) -> None:
    """And at once with something new."""
    store = StateStore(tmp_path / "nowhere", "1")
    for n in range(600):
        store.save(KEPT, n * S // 10, 1e9 + n / 10)
    assert store.failures == 6, "after 0, 1, 3, 7, 15 and 31 s"
    store.save(DRYER, 60 * S, 1e9 + 60)
    assert store.failures == 7
    assert store.load(61 * S, 1e9 + 61) == DRYER, "in this process it counts all the same"


def test_what_became_of_one_write_says_nothing_of_the_next(tmp_path: Path) -> None:
    """The first is on the disk when the second waits; then the card is full."""

    class Queue:
        busy = True

        def __init__(self) -> None:
            self.waiting: list[Done] = []

        def put(self, path: Path, data: bytes, done: Done) -> None:
            self.waiting.append(done)

    queue = Queue()
    store = StateStore(tmp_path, "1", queue)
    store.save(DRYER, 10 * S, 1e9)
    store.save(KEPT, 11 * S, 1e9 + 1)
    queue.waiting[0](True)
    store.save(KEPT, 12 * S, 1e9 + 2)
    queue.waiting[1](False)
    store.save(KEPT, 13 * S, 1e9 + 3)
    assert len(queue.waiting) == 2, "not at once"
    store.save(KEPT, 15 * S, 1e9 + 5)
    assert len(queue.waiting) == 3, "but again"


def test_of_the_file_before_nothing_closes_by_itself(tmp_path: Path) -> None:
    """The newest one is lost, and with it that a person opened the circuit too."""
    store = StateStore(tmp_path, "1")
    store.save(Kept(Snapshot({"dryer": int(Claim.PCS)})), 10 * S, 1e9)
    store.save(Kept(Snapshot({"dryer": int(Claim.PCS | Claim.USER)})), 11 * S, 1e9 + 1)
    (tmp_path / "state.json").write_bytes(b"")
    found = StateStore(tmp_path, "1").load(12 * S, 1e9 + 2)
    assert found.engine.claims == {"dryer": int(Claim.PCS | Claim.FOUND)}


def test_a_reload_needs_no_disk(tmp_path: Path) -> None:
    """What is still being written, or could not be, is there for the next controller."""

    class Stuck:
        busy = True

        def put(self, path: Path, data: bytes, done: Done) -> None:
            pass

    store = StateStore(tmp_path, "1", Stuck())
    store.save(KEPT, 10 * S, 1e9)
    store.history.save(SNAPSHOT, Ledger({"n": 9_999}), 10 * S)
    assert store.load(11 * S, 1e9 + 1) == KEPT
    assert store.history.load() == (SNAPSHOT, Ledger({"n": 9_999}))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("limits", {"windows": [[0, 99 * S, 1e17, None]]}),
        ("limits", {"windows": [[0, 99 * S, None, 1e308]]}),
        ("limits", {"windows": [[0, 9, 5, None], [8, 12, 5, None]]}),
        ("limits", {"windows": [[n, n, 5, None] for n in range(100)]}),
        ("limit_a", 1e17),
    ],
)
def test_an_amount_that_nobody_could_have_asked_for_stops_no_start(
    tmp_path: Path, key: str, value: Any
) -> None:
    StateStore(tmp_path, "1").save(KEPT, 10 * S, 1e9)
    plain = json.loads((tmp_path / "state.json").read_text())
    plain[key] = {**plain[key], **value} if isinstance(value, dict) else value
    (tmp_path / "state.json").write_text(json.dumps(plain))
    kept = StateStore(tmp_path, "1").load(11 * S, 1e9 + 1)
    engine = Engine(read_panel(Path("panelctl/sim/demo.toml")))
    engine.resume(kept.engine, 11 * S, 1e9 + 1)
    engine.step(12 * S)


def test_what_comes_and_goes_does_not_wear_the_disk(tmp_path: Path) -> None:
    """A limit that is renewed, mains that flicker; what is new and the end are written at once."""
    store = StateStore(tmp_path, "1")
    store.save(Kept(SNAPSHOT), 10 * S, 1e9)

    def written_ns() -> int:
        return int(json.loads((tmp_path / "state.json").read_text())["now_ns"])

    for n in range(1, 130):
        limits = {"evse": (3_000, (70 + n) * S)}
        kept = replace(SNAPSHOT, power_limits=limits, blind_ns=n * S * (n % 2))
        store.save(Kept(kept), (10 + n) * S, 1e9 + n)
        assert written_ns() == (10 + n // 60 * 60) * S
    lower = replace(kept, power_limits={"evse": (2_000, 90 * S)})
    store.save(Kept(lower), 140 * S, 1e9 + 130)
    assert written_ns() == 140 * S
    store.save(Kept(replace(lower, blind_ns=7)), 141 * S, 1e9 + 131, last=True)
    assert written_ns() == 141 * S


def test_a_window_that_is_no_longer_than_a_moment_costs_nothing_else(tmp_path: Path) -> None:
    kept = Kept(replace(SNAPSHOT, limits=KeptLimits(windows=[(5 * S, 5 * S, 70.0, None)])))
    StateStore(tmp_path, "1").save(kept, 1 * S, 1e9)
    assert StateStore(tmp_path, "1").load(2 * S, 1e9) == kept
