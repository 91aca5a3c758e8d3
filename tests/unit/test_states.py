"""The state machine: the table, its picture in the docs, and every sight it can be given."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from panelctl.config.load import read_panel
from panelctl.core.snapshot import Snapshot
from panelctl.core.state.layout import MODULATED
from panelctl.core.state.machine import Age, diagram, first_match, place, table
from panelctl.model.metering import Quality
from panelctl.model.reason import State
from tests.core_cases import MS, Load, Rig, S, compute_load
from tests.engine_rig import EngineRig

DOCS = Path(__file__).parents[2] / "docs/explanation/how-it-decides.md"
SIGHTS = list(itertools.product(Age, (False, True), (False, True)))


def test_the_docs_show_the_table() -> None:
    assert diagram() in DOCS.read_text()


def test_every_state_and_sight_has_one_successor() -> None:
    cells = table()
    for state, (age, enough, whole) in itertools.product(State, SIGHTS):
        assert (
            cells[place(state, age, enough, whole)] == first_match(state, age, enough, whole).next
        )


@pytest.mark.parametrize("state", list(State))
def test_what_is_safe_is_one_step_away(state: State) -> None:
    for enough, whole in itertools.product((False, True), repeat=2):
        assert first_match(state, Age.LOST, enough, whole).next is State.SHED
        stale = first_match(state, Age.STALE, enough, whole).next
        assert stale is (State.SHED if state is State.SHED else State.HOLD)


def test_only_enough_fresh_readings_lead_out_of_hold_and_shed() -> None:
    for state, (age, enough, whole) in itertools.product((State.HOLD, State.SHED), SIGHTS):
        out = first_match(state, age, enough, whole).next in (State.NORMAL, State.DEGRADED)
        assert out == (age is Age.FRESH and enough)


# What may happen to the readings between two steps: (mains, charger's meter, relay read-back), and
# how much time goes by.
FAULTS = list(
    itertools.product(
        ("good", "missing", "bad"), ("good", "missing"), ("good", "missing"), (100 * MS, 3 * S)
    )
)


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "interpreted"])
@pytest.mark.parametrize("begin", ["fresh", "running", "shed", "blind"])
def test_every_sequence_of_faults(begin: str, compiled: bool) -> None:
    """From each kind of start every sequence of two faults; of three where both fail together."""
    together = [fault for fault in FAULTS if fault[1] == fault[2]]
    for sequence in (
        *itertools.product(FAULTS, repeat=2),
        *(itertools.product(together, repeat=3) if compiled else ()),
    ):
        rig = started(begin, compiled)
        for mains, meter, relay, gap_ns in sequence:
            step(rig, mains, meter, relay, gap_ns)


def started(begin: str, compiled: bool) -> Rig:
    charger = Load(kind=MODULATED, rest_tier=5, relay=False)
    rig = Rig([Load(min_off_ns=0, demand_ma=5_000), charger, compute_load()], compiled)
    rig.fixed.restore_hold_ns[0] = 0
    if begin == "fresh":
        return rig
    house = (170_000, 170_000) if begin == "shed" else (20_000, 20_000)
    for _ in range(12):
        rig.read_all(house, [5_000, rig.state.set_ma[1], rig.state.set_ma[2]])
        rig.step()
    if begin == "blind":
        rig.now_ns += 11 * S
        rig.step()
    return rig


def step(rig: Rig, mains: str, meter: str, relay: str, gap_ns: int) -> None:
    """One step on these readings; what must hold whatever they are."""
    state, fixed = rig.state, rig.fixed
    before, set_ma = state.closed.tolist(), state.set_ma.tolist()
    rig.now_ns += gap_ns
    if mains != "missing":
        for r in range(2):
            rig.read(r, 30_000, Quality.GOOD if mains == "good" else Quality.INVALID)
    if meter == "good":
        for i, r in itertools.product(range(3), range(2)):
            rig.read(fixed.slot[i * fixed.rows + r], 5_000)
    if relay == "good" and before[0] >= 0:
        rig.read(fixed.relay_slot[0], before[0])
        rig.read(fixed.relay_slot[2], 1)
    rig.core.step(rig.now_ns)
    age_ns = rig.now_ns - state.mains_ns[0]
    now = State(state.state[0])
    if age_ns > fixed.shed_ns[0]:
        assert now is State.SHED
    elif age_ns > fixed.hold_ns[0]:
        assert now in (State.HOLD, State.SHED)
    if age_ns > fixed.fresh_ns[0] or now in (State.HOLD, State.SHED):
        assert not (before[0] == 0 and state.closed[0] == 1), "closes on stale data"
        assert all(new <= old for new, old in zip(state.set_ma, set_ma, strict=True))
    if now in (State.HOLD, State.SHED):
        for i in (1, 2):
            assert state.set_ma[i] <= fixed.fallback_ma[i]
    if now is State.SHED and before[0] == 1:
        assert state.closed[0] == 0, "the declared safe state is open"


@pytest.mark.parametrize(
    ("blind_s", "sheds_after_s"), [(0.0, 10.0), (4.0, 6.0), (9.0, 2.0), (500.0, 2.0)]
)
def test_a_start_does_not_put_shed_off(blind_s: float, sheds_after_s: float) -> None:
    """Who was blind before goes on counting; what a reading takes to come is left."""
    rig = EngineRig(read_panel(Path("panelctl/sim/demo.toml")))
    rig.now_ns = 1000 * S
    rig.unread = {name for name in rig.engine.image.slot if name.startswith("main.")}
    since_ns = rig.now_ns - round(blind_s * S) if blind_s else 0
    rig.engine.resume(Snapshot(blind_ns=since_ns), rig.now_ns, 1e9)
    begun_ns = rig.now_ns
    while rig.engine.now is not State.SHED:
        rig.step()
        assert rig.now_ns - begun_ns < 20 * S
    took_s = (rig.now_ns - begun_ns) / S
    assert took_s == pytest.approx(sheds_after_s, abs=0.25)
    assert rig.engine.snapshot(rig.now_ns, 1e9).blind_ns > 0
    rig.unread.clear()
    rig.run(2)
    assert rig.engine.snapshot(rig.now_ns, 1e9).blind_ns == 0, "it sees again"
