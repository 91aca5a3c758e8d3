"""Every safety rule is switched off in turn, and the storm has to notice: what nobody would miss is
either dead or untested.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from panelctl.config.load import parse_panel, read_panel
from panelctl.control.app import App
from panelctl.errors import FieldError
from panelctl.field.orders import Key
from panelctl.field.outputs import Outputs
from panelctl.field.rtu import RtuLink
from panelctl.model.circuit import Role
from panelctl.model.command import Command, Verdict
from panelctl.model.limit import LimitName
from panelctl.model.panel import Panel
from panelctl.model.record import CircuitRecord, CycleRecord, TimingRecord
from panelctl.sim.storm.run import Result, plan, run
from panelctl.sim.storm.strike import Pace, Strike
from panelctl.units import NS_PER_S

DEMO = Path("panelctl/sim/demo.toml")
TEXT = DEMO.read_text()
PANEL = read_panel(DEMO)
SEEDS = range(12, 24)
FIRST = {"quarantine": 20}  # where it is noticed soonest
SECONDS = 240.0
LONG_NS = 1 << 60


def no_stale_handling(app: App) -> None:
    """An old mains reading is as good as a new one."""
    fixed = app.engine.fixed
    fixed.fresh_ns[0] = fixed.hold_ns[0] = fixed.shed_ns[0] = LONG_NS


def no_minimum_of_limits(app: App) -> None:
    """Only the control setting counts, whatever else is in force."""
    step = app.engine.core.step
    state = app.engine.state

    class Core:
        def step(self, now_ns: int) -> None:
            for name in LimitName:
                state.limit_on[int(name)] = name is LimitName.FSR
            step(now_ns)

        def __getattr__(self, name: str) -> object:
            return getattr(core, name)

    core = app.engine.core
    app.engine.core = Core()  # type: ignore[assignment]  # broken on purpose


def no_dwell(app: App) -> None:
    """A relay may close as soon as it has opened."""
    fixed = app.engine.fixed
    for i in range(fixed.loads):
        fixed.min_off_ns[i] = 0


def no_refresh(app: App) -> None:
    """What the node has been told is not told again."""
    outputs = app.outputs
    assert isinstance(outputs, Outputs)
    apply = outputs.apply

    def once(now_ns: int) -> None:
        apply(now_ns)
        for target in outputs.targets.values():
            if target.wish is not None:
                target.wish.refresh_ns = 0

    outputs.apply = once  # type: ignore[method-assign]  # broken on purpose


def no_confirmation_by_the_house(app: App) -> None:
    """What cannot be true is believed: mains that fall, stand still, or show too little."""
    fixed = app.engine.fixed
    fixed.drop_ma[0] = 1 << 40
    fixed.sources[0] = 1  # then branch circuits say nothing about the mains
    fixed.watched[0] = 0


def no_thermal_memory(app: App) -> None:
    """No breaker of a circuit is watched."""
    fixed = app.engine.fixed
    for i in range(fixed.loads):
        fixed.branch_ref_ma[i] = 0


def no_quarantine(app: App) -> None:
    """After a lost reply the next question is asked at once, as if nothing could come any more, and
    any reply of the right unit, function and length is taken.
    """
    for lane in app.scanner.lanes.values():
        for unit in lane.units.values():
            unit._breath_ns = 0
    for link in app.links.values():
        if isinstance(link, RtuLink):
            for order in link._orders.values():
                order.when = lambda ways: 0  # type: ignore[method-assign]  # broken on purpose
                order.pick = lambda ways, *_: ways[0]  # type: ignore[method-assign]  # the same


def no_futility_guard(app: App) -> None:
    """Circuits are opened in order, whether that relieves anything or not."""
    engine = app.engine
    step = engine.step

    def all_of_it(now_ns: int, commands: object = ()) -> object:
        verdicts = step(now_ns, commands)  # type: ignore[arg-type]  # passed on
        if engine.state.excess_ns[0]:
            for i, circuit in enumerate(engine.loads):
                if circuit.role is Role.SWITCHED and not engine.state.claims[i]:
                    engine.core.claim(i, 8, 1, now_ns)
                    engine.state.reason_row[i], engine.state.reason_ma[i] = 0, 1_000
                    break
        return verdicts

    engine.step = all_of_it  # type: ignore[method-assign, assignment]  # broken on purpose


def no_stop(app: App) -> None:
    """The node keeps its floor whatever the limit."""
    fixed = app.engine.fixed
    fixed.can_pause[app.engine.compute] = 0


def nothing(app: App) -> None:
    """The controller as it is."""


def watched() -> tuple[Panel, str]:
    """The demo's panel with the breakers of two circuits watched."""
    text = TEXT
    for name in ("dryer", "water_heater"):
        head, found, tail = text.partition(f'id = "{name}"\n')
        assert found
        text = f'{head}{found}curve = "home-fast"\n{tail}'
    return parse_panel(text, "panel.toml"), text


def storms(
    alter: Callable[[App], None], panel: Panel, text: str, kinds: set[str], seed: int
) -> Result:
    strikes = _thin(plan(panel, seed, SECONDS, Pace(4.0, 20.0), kinds))
    return run(panel, text, seed, SECONDS, strikes, 0.0, stop_at_first=True, alter=alter)


def _thin(strikes: list[Strike]) -> list[Strike]:
    """One at a time, with room between, so that what was noticed is the rule that is missing."""
    thin: list[Strike] = []
    for strike in strikes:
        if not thin or strike.at_s > thin[-1].end_s + 12.0:
            thin.append(replace(strike, for_s=max(strike.for_s, 18.0)))
    return thin


MUTANTS: dict[str, tuple[Callable[[App], None], set[str], set[str]]] = {
    "stale": (no_stale_handling, {"lost", "cable_out"}, {"S6", "S1"}),
    "min": (no_minimum_of_limits, {"limit", "limit_lost", "all_on"}, {"S2", "S7"}),
    "thermal": (no_thermal_memory, {"overload"}, {"S1"}),
    "quarantine": (no_quarantine, {"late"}, {"V1", "S11"}),
    "stop": (no_stop, {"limit_tight"}, {"S2"}),
    "futility": (no_futility_guard, {"all_on", "motor_train", "limit"}, {"S5"}),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_rule_that_is_missing_is_noticed(name: str) -> None:
    alter, kinds, checks = MUTANTS[name]
    panel, text = watched() if name == "thermal" else (PANEL, TEXT)
    found: set[str] = set()
    for seed in sorted(SEEDS, key=lambda seed: (seed != FIRST.get(name), seed)):
        whole = storms(nothing, panel, text, kinds, seed)
        assert whole.violations == [], "the controller as it is passes the same storm"
        found |= {
            violation.check for violation in storms(alter, panel, text, kinds, seed).violations
        }
        if found & checks:
            return
    raise AssertionError(f"nobody noticed in {len(SEEDS)} storms; only {found}")


def test_a_minimum_off_time_that_is_not_kept_is_noticed() -> None:
    """A limit that is tight for three seconds, where circuits stay off for four at least."""
    strikes = []
    for at_s in (20.0, 60.0, 100.0):
        strikes.append(Strike(at_s, 1.0, "all_on", "panel", 0.5))
        strikes.append(Strike(at_s + 4.0, 3.0, "limit_tight", "panel", 0.5))
    assert run(PANEL, TEXT, 1, 140.0, strikes, 0.0).violations == []
    found = run(PANEL, TEXT, 1, 140.0, strikes, 0.0, alter=no_dwell).violations
    assert "S4" in {violation.check for violation in found}


def test_a_lease_that_is_not_renewed_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With meters so quiet that the budget itself does not change for seconds."""
    monkeypatch.setattr("panelctl.sim.devices.NOISE_RATIO", 0.0)
    strikes: list[Strike] = []
    assert run(PANEL, TEXT, 1, 150.0, strikes, 120.0).violations == []
    found = run(PANEL, TEXT, 1, 150.0, strikes, 120.0, alter=no_refresh).violations
    assert {violation.check for violation in found} == {"L1"}


def test_a_relay_of_an_always_on_circuit_that_is_moved_is_noticed() -> None:
    """The file says always on; the broken controller takes the circuit for a managed one."""
    wrong = tuple(
        replace(c, role=Role.SWITCHED, armed=True, tier=20) if c.id == "refrigerator" else c
        for c in PANEL.circuits
    )
    mistaken = replace(PANEL, circuits=wrong)
    strikes = [Strike(30.0, 25.0, "lost", "mains", 0.5)]

    assert run(PANEL, TEXT, 1, 80.0, strikes, 0.0).violations == []
    found = run(PANEL, TEXT, 1, 80.0, strikes, 0.0, controller=mistaken).violations
    assert "S3" in {violation.check for violation in found}


def test_mains_that_are_believed_at_any_price_are_noticed() -> None:
    strikes = [Strike(40.0, 30.0, "zero", "mains", 0.5)]
    assert run(PANEL, TEXT, 3, 80.0, strikes, 0.0).violations == []
    found = run(PANEL, TEXT, 3, 80.0, strikes, 0.0, alter=no_confirmation_by_the_house).violations
    assert {violation.check for violation in found} == {"S6"}


def test_branch_meters_that_are_believed_against_the_mains_are_noticed() -> None:
    """Twelve circuits show nothing, and then there is little room for what they draw."""

    def no_doubt(app: App) -> None:
        app.engine.fixed.hidden_judged[0] = app.engine.fixed.hidden_judged[1] = 0

    strikes = [
        Strike(60.0, 200.0, "zero", "branch1", 0.7),
        Strike(62.0, 1.0, "all_on", "panel", 0.5),
        Strike(120.0, 100.0, "limit_tight", "panel", 0.5),
    ]
    assert run(PANEL, TEXT, 2, 200.0, strikes, 0.0).violations == []
    found = run(PANEL, TEXT, 2, 200.0, strikes, 0.0, alter=no_doubt).violations
    assert {violation.check for violation in found} == {"S2"}
    assert all("behind a meter" in violation.what for violation in found)


def nobody_tells(app: App) -> None:
    """Orders that are lost are noted, and no record says so."""
    outputs = app.outputs
    assert isinstance(outputs, Outputs)
    outputs.orders.records = lambda now_ns: ([], [])  # type: ignore[method-assign]  # on purpose


def after_each_step(app: App, spoil: Callable[[int], None]) -> None:
    """Let something be spoilt after each decision, by its time (ns)."""
    engine = app.engine
    step = engine.step

    def stepped(now_ns: int, commands: Iterable[Command] = ()) -> list[Verdict]:
        verdicts = step(now_ns, commands)
        spoil(now_ns)
        return verdicts

    engine.step = stepped  # type: ignore[method-assign]  # broken on purpose


def in_each_record(app: App, spoil: Callable[[CircuitRecord], None]) -> None:
    """Let something be spoilt in what people are shown of each circuit."""
    publisher = app.loop._publisher
    record = publisher.record

    def made(wall_s: float, timing: TimingRecord) -> CycleRecord:
        told = record(wall_s, timing)
        for circuit in told["circuits"]:
            spoil(circuit)
        return told

    publisher.record = made  # type: ignore[method-assign]  # broken on purpose


def the_order_for_the_fact(app: App) -> None:
    """A relay is shown where it was ordered, not where it reads."""
    engine = app.engine

    def spoil(now_ns: int) -> None:
        for i, circuit in enumerate(engine.loads):
            slot = engine.slots.circuit(circuit.id).relay
            if slot >= 0 and engine.state.closed[i] >= 0:
                engine.image.value[slot] = engine.state.closed[i]

    after_each_step(app, spoil)


def the_order_in_the_record(app: App) -> None:
    """The image is right, and people are shown what was ordered."""

    def spoil(circuit: CircuitRecord) -> None:
        circuit["relay"] = circuit.get("ordered", circuit["relay"])

    in_each_record(app, spoil)


def no_time_to_follow(app: App) -> None:
    """A relay has to stand as ordered with the acknowledgement."""
    app.engine.fixed.relay_confirm_ns[0] = 0


def no_patience(app: App) -> None:
    """A relay that does not follow is told again in every cycle."""
    outputs = app.outputs
    assert isinstance(outputs, Outputs)
    outputs.relays._again_ns = lambda *said: 0  # type: ignore[method-assign]  # broken on purpose


def no_end_of_it(app: App) -> None:
    """It fights for a relay for as long as somebody else does."""
    app.engine.fixed.moves_most[0] = 1000


BOARDS = [d.name for d in PANEL.devices if d.name.startswith("relays")]
SHED = [Strike(at_s, 12.0, "limit_tight", "panel", 0.6) for at_s in (40.0, 80.0)]
RUSH = [Strike(at_s - 4.0, 1.0, "all_on", "panel", 0.5) for at_s in (40.0, 80.0)]
IGNORED = [Strike(35.0, 60.0, "writes_ignored", board, 0.5) for board in BOARDS]
LOST = [Strike(35.0, 60.0, "writes_lost", board, 0.5) for board in BOARDS]
SLOW = [Strike(30.0, 80.0, "slow_relay", c.id, 1.0) for c in PANEL.circuits if c.relay_device]
WELDED = [replace(strike, kind="welded") for strike in SLOW]
SWITCHED = [Strike(30.0, 80.0, "somebody_switches", "hot_tub", 0.9)]
ORDERS: list[tuple[str, Callable[[App], None], list[Strike]]] = [
    ("V1", the_order_for_the_fact, IGNORED),
    ("O1", the_order_in_the_record, IGNORED),
    ("O2", no_time_to_follow, SLOW),
    ("O3", nobody_tells, LOST),
    ("O4", no_patience, WELDED),
    ("O4", no_end_of_it, SWITCHED),
]


@pytest.mark.parametrize(
    ("check", "alter", "strikes"), ORDERS, ids=[alter.__name__ for _, alter, _ in ORDERS]
)
def test_orders_that_are_shown_judged_or_told_wrongly_are_noticed(
    check: str, alter: Callable[[App], None], strikes: list[Strike]
) -> None:
    all_of_them = sorted([*strikes, *RUSH, *SHED], key=lambda strike: strike.at_s)
    assert run(PANEL, TEXT, 1, 120.0, all_of_them, 0.0).violations == []
    found = run(PANEL, TEXT, 1, 120.0, all_of_them, 0.0, alter=alter).violations
    assert check in {violation.check for violation in found}


def an_acknowledgement_for_good(app: App) -> None:
    """What was acknowledged once is not looked at again when it is repeated in vain."""
    outputs = app.outputs
    assert isinstance(outputs, Outputs)
    orders = outputs.orders
    fail = orders.fail

    def failed(key: Key, error: FieldError, now_ns: int) -> None:
        if orders._orders[key].open:
            fail(key, error, now_ns)

    orders.fail = failed  # type: ignore[method-assign]  # broken on purpose


def nobody_compares(app: App) -> None:
    """A charger that takes its set-point and does not keep to it is not noticed."""
    outputs = app.outputs
    assert isinstance(outputs, Outputs)
    watch = outputs.targets["charger"].watch
    assert watch is not None
    outputs.targets["charger"].watch = replace(watch, tolerance=1e6, settle_ns=1 << 60)


# A car charges, and its station is told less, or falls back, while it does not hear or obey.
SETPOINTS: list[tuple[Callable[[App], None], str, int]] = [
    (nobody_tells, "writes_refused", 5),
    (an_acknowledgement_for_good, "writes_lost", 5),
    (nobody_compares, "charger_keeps", 1),
]


@pytest.mark.parametrize(
    ("alter", "kind", "seed"), SETPOINTS, ids=[alter.__name__ for alter, _, _ in SETPOINTS]
)
def test_setpoints_that_are_not_followed_and_not_told_of_are_noticed(
    alter: Callable[[App], None], kind: str, seed: int
) -> None:
    strikes = [Strike(300.0, 90.0, kind, "charger", 0.7)]
    assert run(PANEL, TEXT, seed, 420.0, strikes, 0.0).violations == []
    found = run(PANEL, TEXT, seed, 420.0, strikes, 0.0, alter=alter).violations
    assert {violation.check for violation in found} == {"O3"}


def hunting(app: App) -> None:
    """The node is handed eight amps less for four seconds of eight."""
    state, i = app.engine.state, app.engine.index["compute"]

    def spoil(now_ns: int) -> None:
        if state.set_ma[i] > 30_000 and now_ns // NS_PER_S // 4 % 2:
            state.set_ma[i] -= 8_000

    after_each_step(app, spoil)


def too_careful(app: App) -> None:
    """Eight times as much has to be free before something comes back as it needs."""
    fixed = app.engine.fixed
    for n in range(len(fixed.demand_ma)):
        fixed.demand_ma[n] *= 8


def careless(app: App) -> None:
    """Everything comes back at once, whether or not there is room."""
    fixed = app.engine.fixed
    for n in range(len(fixed.demand_ma)):
        fixed.demand_ma[n] = 0


def nine_amps_more(app: App) -> None:
    """What people see of the range is not what is known."""

    def spoil(circuit: CircuitRecord) -> None:
        if circuit["id"] == "range" and circuit["fresh"]:
            circuit["a"] = [amps + 9.0 for amps in circuit["a"]]

    in_each_record(app, spoil)


HASTY = replace(
    PANEL,
    circuits=tuple(replace(c, max_off_s=20.0 * (c.id == "dryer")) for c in PANEL.circuits),
)
SHORT = [Strike(40.0, 60.0, "limit_tight", "panel", 0.6)]
LONG = [
    Strike(25.0, 1.0, "all_on", "panel", 0.5),
    Strike(30.0, 150.0, "limit_tight", "panel", 0.75),
]
FELT: list[tuple[str, Panel, Callable[[App], None], list[Strike]]] = [
    ("S8", PANEL, hunting, []),
    ("S9", HASTY, too_careful, SHORT),
    ("S10", PANEL, careless, LONG),
    ("S11", PANEL, nine_amps_more, []),
]


@pytest.mark.parametrize(("check", "panel", "alter", "strikes"), FELT, ids=[f[0] for f in FELT])
def test_what_only_people_would_feel_is_noticed(
    check: str, panel: Panel, alter: Callable[[App], None], strikes: list[Strike]
) -> None:
    """And by nothing else: no limit says so."""
    assert run(panel, TEXT, 1, 240.0, strikes, 0.0).violations == []
    found = run(panel, TEXT, 1, 240.0, strikes, 0.0, alter=alter).violations
    assert {violation.check for violation in found} == {check}
