"""What outlives a restart: the same when it comes back, and nothing worse from torn files."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from panelctl.config.load import parse_panel
from panelctl.control.store import HistoryStore, Kept, StateStore
from panelctl.core.engine import Engine
from panelctl.core.snapshot import Part, Snapshot
from panelctl.field.ledger import Ledger
from panelctl.model.panel import Panel
from panelctl.model.reason import Reason
from panelctl.model.relay import Claim
from tests.baseline.homes import panel_of
from tests.baseline.world import World

S = 1_000_000_000
BOOT = "one"
# As a version wrote it that knew no serial numbers and no energy counters.
OLD_STATE = """{"format": 3, "claims": {"dryer": 2}, "limit_a": 80.0, "until_ns": 90000000000,
"heat": {"a": [4294967296, 1]}, "limits": {"off_grid": false, "shedding": false, "source": "",
"windows": [], "lease_number": 4}, "doubts": ["FROZEN"], "caps": {"evse": [3000, 70000000000]},
"tiers": {"dryer": [4, 9]}, "blind_ns": 0, "boot": "one", "now_ns": 5, "wall_s": 1.0}"""
OLD_HISTORY = (
    '{"format": 1, "steps": {"a": {"3": {"7": 5}}}, "registers": {"n:h:1": 2}, "relays": {"d": 3}}'
)


def demo() -> Panel:
    path = Path("panelctl/sim/demo.toml")
    return parse_panel(path.read_text(), path.name)


def lived(seed: int, steps: int) -> tuple[Engine, int]:
    """An engine after so many steps of a world, and the time."""
    engine = Engine(panel_of(seed))
    world = World(seed, engine)
    now_ns = S
    for _ in range(steps):
        now_ns, commands = world.step()
        engine.step(now_ns, commands)
    return engine, now_ns


@settings(max_examples=60)
@given(seed=st.integers(0, 10_000), steps=st.integers(1, 400))
def test_what_is_taken_comes_back(seed: int, steps: int) -> None:
    """Through both files, into another engine: what that one gives out is the same."""
    engine, now_ns = lived(seed, steps)
    taken = engine.snapshot(now_ns, 1e9)
    with TemporaryDirectory() as folder:
        StateStore(Path(folder), BOOT).save(Kept(taken, {"m": "7"}), now_ns, 1e9)
        HistoryStore(Path(folder)).save(taken, Ledger())
        kept = StateStore(Path(folder), BOOT).load(now_ns, 1e9)
        learned, _ = HistoryStore(Path(folder)).load()
    assert kept.serials == {"m": "7"}
    found = kept.engine.with_history(learned)
    assert found == taken
    again = Engine(engine.panel)
    again.resume(found, now_ns, 1e9)
    once_more = again.snapshot(now_ns, 1e9)
    for each in fields(Snapshot):
        mine, theirs = (getattr(one, each.name) for one in (once_more, taken))
        if each.name == "thermal":  # none starts cold
            assert mine.keys() == theirs.keys()
            for name, (fast, slow) in mine.items():
                assert fast >= theirs[name][0]
                assert slow >= theirs[name][1]
        elif each.name == "doubts":  # the mains' as a whole, of the worst leg
            assert set(mine) <= set(theirs)
            assert bool(mine) == bool(theirs)
        elif each.name not in ("blind_ns", "limits"):  # nothing seen yet; windows end by steps
            assert mine == theirs, each.name


def test_parts_that_are_not_asked_for_stay_as_they_were() -> None:
    engine, now_ns = lived(5, 300)
    before = Snapshot(thermal={"x": [1, 2]}, steps={"y": {"1": {"2": 3}}}, at_s=4.0)
    taken = engine.snapshot(now_ns, 1e9, before, Part.STATE)
    assert (taken.thermal, taken.steps, taken.at_s) == (before.thermal, before.steps, 4.0)
    whole = engine.snapshot(now_ns, 1e9)
    assert (taken.claims, taken.power_limits, taken.doubts) == (
        whole.claims,
        whole.power_limits,
        whole.doubts,
    )


def test_a_fault_keeps_its_name_over_a_restart() -> None:
    engine, now_ns = lived(5, 300)
    dryer = 0
    engine.state.claims[dryer] = int(Claim.FAULT | Claim.USER)
    engine.state.fault[dryer] = int(Reason.REFUSED_OPEN)
    engine.state.fault_count[dryer] = 3
    plain = json.loads(json.dumps(engine.snapshot(now_ns, 1e9).state_to_plain()))
    kept = Snapshot.state_from_plain(plain)
    again = Engine(engine.panel)
    again.resume(kept, now_ns, 1e9)
    assert again.state.fault[dryer] == Reason.REFUSED_OPEN
    nameless = Engine(engine.panel)
    nameless.resume(replace(kept, faults={}), now_ns, 1e9)
    modulated = engine.loads[dryer].modulation is not None
    named = Reason.IGNORES_BUDGET if modulated else Reason.WELDED
    assert nameless.state.fault[dryer] == named, "a person has to look at it, or it is seen open"
    assert again.state.reason[dryer] == Reason.REFUSED_OPEN, "whoever else claims the circuit"
    assert again.state.fault_count[dryer] == 3, "and it heals no sooner"
    with pytest.raises(ValueError, match="is no fault"):
        Snapshot.state_from_plain({**plain, "faults": {"dryer": [int(Reason.LIMIT), 1, 0]}})


def test_files_of_an_earlier_version_are_read(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text(OLD_STATE)
    (tmp_path / "history.json").write_text(OLD_HISTORY)
    kept = StateStore(tmp_path, BOOT).load(6, 1.0)
    assert kept.serials == {}
    assert kept.engine.claims == {"dryer": 2}
    assert kept.engine.limits.lease_number == 4
    assert kept.engine.tiers == {"dryer": (4, 9)}
    learned, ledger = HistoryStore(tmp_path).load()
    assert (learned.steps, learned.energy, learned.at_s) == ({"a": {"3": {"7": 5}}}, {}, 0.0)
    assert ledger == Ledger({"n:h:1": 2}, {"d": 3})
    engine = Engine(demo())
    engine.resume(kept.engine.with_history(learned), 6, 1.0)
    engine.step(S)


BYTES = OLD_STATE.encode()


@settings(max_examples=300)
@given(
    cut=st.integers(0, len(BYTES)),
    at=st.integers(0, len(BYTES) - 1),
    byte=st.integers(0, 255),
    torn=st.booleans(),
)
def test_a_damaged_file_gives_the_one_before_or_nothing_and_stops_nobody(
    cut: int, at: int, byte: int, torn: bool
) -> None:
    damaged = BYTES[:cut] if torn else BYTES[:at] + bytes([byte]) + BYTES[at + 1 :]
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "state.json").write_bytes(damaged)
        kept = StateStore(folder, BOOT).load(6, 1.0)
        engine = Engine(demo())
        engine.resume(kept.engine, 6, 1.0)
        engine.step(S)
        json.dumps(engine.snapshot(S, 1.0).state_to_plain())
        if torn and cut < len(BYTES):
            assert kept == Kept()
            (folder / "state.json.bak").write_bytes(BYTES)
            before = StateStore(folder, BOOT).load(6, 1.0)
            assert before.engine.claims == {"dryer": 3}, "the last good one, until a person acts"


def files_of_a_life() -> tuple[Snapshot, dict[str, bytes]]:
    """What a controller that has seen much writes: claims, faults, energy, serial numbers."""
    engine, now_ns = lived(5, 400)
    engine.state.fault[0], engine.state.fault_count[0] = int(Reason.REFUSED_OPEN), 2
    engine.state.claims[0] |= int(Claim.FAULT)
    taken = engine.snapshot(now_ns, 1e9)
    with TemporaryDirectory() as name:
        folder = Path(name)
        StateStore(folder, BOOT).save(Kept(taken, {"m": "7"}), now_ns, 1e9)
        HistoryStore(folder).save(taken, Ledger({"n:h:1": 2}, {"d": 3}))
        return taken, {n: (folder / n).read_bytes() for n in ("state.json", "history.json")}


LIFE, FILES = files_of_a_life()


@settings(max_examples=300)
@given(
    store=st.sampled_from(sorted(FILES)), cut=st.integers(0, 1 << 20), more=st.binary(max_size=3)
)
def test_a_torn_file_of_a_long_life_is_the_one_before_or_nothing(
    store: str, cut: int, more: bytes
) -> None:
    """Torn anywhere, with anything behind it: what is read is all of the one before, or nothing."""
    whole = FILES[store]
    torn = whole[: cut % len(whole)] + more
    assume(torn.strip() != whole.strip())
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / store).write_bytes(torn)
        if store == "state.json":
            assert StateStore(folder, BOOT).load(S, 1e9) == Kept()
        else:
            assert HistoryStore(folder).load() == (Snapshot(), Ledger())
        (folder / f"{store}.bak").write_bytes(whole)
        if store == "history.json":
            learned, ledger = HistoryStore(folder).load()
            assert (learned.steps, learned.energy) == (LIFE.steps, LIFE.energy)
            assert ledger == Ledger({"n:h:1": 2}, {"d": 3})
            return
        kept = StateStore(folder, BOOT).load(S, 1e9)
        assert kept.serials == {"m": "7"}
        assert kept.engine.faults == LIFE.faults
        assert kept.engine.tiers == LIFE.tiers
        held = {ident: claims | Claim.FOUND for ident, claims in LIFE.claims.items()}
        assert all(
            kept.engine.claims.get(ident, 0) & ~Claim.FOUND == claims & ~Claim.FOUND
            for ident, claims in held.items()
        )


@pytest.mark.parametrize("store", ["state", "history"])
def test_files_are_for_us_alone_and_the_last_good_one_stays(tmp_path: Path, store: str) -> None:
    path = tmp_path / f"{store}.json"
    for n in (1, 2):
        taken = Snapshot({"dryer": n}, steps={"a": {"1": {"1": n}}})
        if store == "state":
            StateStore(tmp_path, BOOT).save(Kept(taken), n * S, 1e9)
        else:
            HistoryStore(tmp_path).save(taken, Ledger())
    assert path.stat().st_mode & 0o777 == 0o600
    backup = path.with_name(path.name + ".bak")
    assert backup.stat().st_mode & 0o777 == 0o600
    assert backup.read_bytes() != path.read_bytes()
    assert {each.name for each in tmp_path.iterdir()} == {path.name, backup.name}
