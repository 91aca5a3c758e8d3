"""Shadow: what is taken out of the readings, what is counted, and what people are told of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from panelctl.cli import root
from panelctl.cli.shadow import in_words, speaks_against
from panelctl.config.load import parse_panel
from panelctl.control.shadow import Counter, Shadow
from panelctl.control.shadow_tally import (
    FILE,
    Account,
    Bookkeeper,
    CircuitTally,
    LegTally,
    read_account,
)
from panelctl.core.engine import Engine
from panelctl.files import WriteNow
from panelctl.model.circuit import Role
from panelctl.model.panel import Panel
from tests.engine_rig import TANK, EngineRig, S, solar
from tests.records import DEMO

TEXT = DEMO.read_text().replace("armed = true", "armed = false")
DAY_S = 86_400.0


def test_a_counter_of_what_is_given_more() -> None:
    """Without the dryer more flows out than did: the export counter goes on by itself."""
    counter = Counter(1_000, 1_000)
    shown = [counter.show(1_000 + 10 * n, -5.0) for n in range(1, 11)]
    assert shown[-1] == 1_000 + 100 + 50
    assert shown == sorted(shown)
    assert counter.show(1_100, -7.0) == 1_157, "also while the real one stands"


@given(st.lists(st.tuples(st.integers(0, 900), st.floats(0, 400)), max_size=30))
def test_a_counter_without_what_was_not_drawn(moves: list[tuple[int, float]]) -> None:
    """It moves only when the real one does, never falls, and lacks what was taken out of it."""
    raw_wh, taken_wh, shown_wh = 10_000, 0.0, 10_000
    counter = Counter(raw_wh, raw_wh)
    for step_wh, less_wh in moves:
        raw_wh, taken_wh = raw_wh + step_wh, taken_wh + less_wh
        now_wh = counter.show(raw_wh, less_wh)
        assert now_wh >= shown_wh
        assert step_wh or now_wh == shown_wh
        shown_wh = now_wh
    lacks_wh = raw_wh - shown_wh
    assert lacks_wh <= taken_wh
    assert lacks_wh + counter.less_wh == pytest.approx(taken_wh)


def test_a_counter_that_is_coarse_lags_and_loses_nothing() -> None:
    counter = Counter(1_000, 1_000)
    shown = [counter.show(1_000 + 100 * (n // 10), 5.0) for n in range(1, 41)]
    assert shown[-1] == pytest.approx(1_000 + 400 - 200, abs=5)


class Held:
    """An engine in shadow, a step at a time."""

    def __init__(self, panel: Panel) -> None:
        self.rig = EngineRig(panel.all_armed())
        self.engine: Engine = self.rig.engine
        self.shadow = Shadow(self.engine)

    def overlay(self) -> dict[str, int]:
        """The image after one more latch, by slot."""
        image = self.engine.image
        self.shadow.acknowledge(self.rig.now_ns)
        image.latch()
        self.shadow.overlay(self.rig.now_ns)
        return {name: image.value[slot] for name, slot in image.slot.items()}


def test_a_circuit_that_is_open_draws_nothing_and_the_mains_less() -> None:
    held = Held(parse_panel(TEXT, "panel.toml"))
    held.rig.shown |= {"dryer.a_ma": 20_000, "dryer.b_ma": 20_000, "dryer.0_w": 4_800}
    held.rig.shown |= {"main.a_ma": 50_000, "main.b_ma": 45_000, "main.a_w": 6_000}
    held.rig.shown["range.a_ma"] = 7_000
    held.rig.run(3)
    i = held.engine.index["dryer"]
    held.engine.state.closed[i] = 0
    held.engine.state.order_ns[i] = held.rig.now_ns
    image = held.overlay()
    assert (image["dryer.a_ma"], image["dryer.0_w"], image["dryer.relay"]) == (0, 0, 0)
    assert (image["main.a_ma"], image["main.b_ma"], image["main.a_w"]) == (30_000, 25_000, 3_600)
    assert image["dryer.acked"] == 0
    assert image["range.a_ma"] == 7_000, "nobody else is touched"
    acked = held.engine.image.slot["dryer.acked"]
    assert held.engine.image.sampled_ns[acked] == held.rig.now_ns


def test_a_modulated_load_draws_no_more_than_it_is_told() -> None:
    held = Held(parse_panel(TEXT, "panel.toml"))
    held.rig.shown |= {"evse.a_ma": 40_000, "evse.b_ma": 40_000, "main.a_ma": 90_000}
    held.rig.run(3)
    i = held.engine.index["evse"]
    held.engine.state.set_ma[i] = 16_000
    image = held.overlay()
    assert (image["evse.a_ma"], image["main.a_ma"]) == (16_000, 66_000)
    held.engine.state.set_ma[i] = 48_000
    assert held.overlay()["evse.a_ma"] == 40_000, "nobody knows what it would draw with more"


def test_what_is_not_drawn_flows_out_where_the_sun_shines() -> None:
    """The meter shows 5 A out; without the dryer's 20 A there are 25 A out."""
    held = Held(parse_panel(TEXT + TANK + solar(0.5, 60), "panel.toml"))
    held.rig.shown |= {"dryer.a_ma": 20_000, "dryer.b_ma": 20_000, "dryer.0_w": 4_800}
    held.rig.shown |= {"main.a_ma": 5_000, "main.a_w": -600, "main.b_ma": 30_000, "main.b_w": 3_600}
    held.rig.run(3)
    held.engine.state.closed[held.engine.index["dryer"]] = 0
    image = held.overlay()
    assert (image["main.a_ma"], image["main.a_w"]) == (25_000, -3_000)
    assert (image["main.b_ma"], image["main.b_w"]) == (10_000, 1_200)


MOUNTED = pytest.mark.parametrize(
    ("sources", "shown_ma", "shown_w", "real_ma", "left_ma", "left_w"),
    [
        # A meter without signs: its power tells the direction.
        (True, 30_000, -3_600, -30_000, 50_000, -6_000),
        # One with signs.
        (True, -30_000, -3_600, -30_000, -50_000, -6_000),
        (True, 30_000, 3_600, 30_000, 10_000, 1_200),
        # No sources: the wrong way round, or turned by its map.
        (False, 50_000, -6_000, 50_000, 30_000, -3_600),
        (False, -50_000, 6_000, 50_000, -30_000, 3_600),
        (False, 15_000, 1_800, 15_000, 0, 0),
    ],
)


@MOUNTED
@pytest.mark.parametrize("held", [False, True])
def test_mains_meters_of_every_kind(
    held: bool, sources: bool, shown_ma: int, shown_w: int, real_ma: int, left_ma: int, left_w: int
) -> None:
    """What is not touched stays as its meter shows it; the rest is taken out of what flows."""
    made = Held(parse_panel(TEXT + (TANK + solar(0.5, 60) if sources else ""), "panel.toml"))
    made.rig.shown |= {"dryer.a_ma": 20_000, "dryer.b_ma": 20_000, "dryer.0_w": 4_800}
    for leg in "ab":
        made.rig.shown |= {f"main.{leg}_ma": shown_ma, f"main.{leg}_w": shown_w}
    made.rig.run(3)
    state, i = made.engine.state, made.engine.index["dryer"]
    for other in range(len(state.closed)):
        state.closed[other] = 1
    state.closed[i] = 0 if held else 1
    image = made.overlay()
    assert made.shadow.real_ma == [real_ma, real_ma]
    wanted = (left_ma, left_w) if held else (shown_ma, shown_w)
    assert (image["main.a_ma"], image["main.a_w"]) == wanted


def test_of_a_meter_that_is_not_read_nothing_is_taken_out() -> None:
    held = Held(parse_panel(TEXT, "panel.toml"))
    held.rig.shown |= {"dryer.a_ma": 20_000, "dryer.b_ma": 20_000, "dryer.0_w": 4_800}
    held.rig.shown |= {"main.a_ma": 80_000}
    held.rig.run(3)
    held.engine.state.closed[held.engine.index["dryer"]] = 0
    assert held.overlay()["main.a_ma"] == 60_000
    held.rig.unread = {"dryer.a_ma", "dryer.b_ma"}
    held.rig.now_ns += 10 * S
    for name in ("main.a_ma", "main.b_ma"):
        slot = held.engine.image.slot[name]
        held.engine.image.put(slot, 80_000, 1, held.rig.now_ns)
    assert held.overlay()["main.a_ma"] == 80_000, "nobody knows what it draws"


def test_all_armed_takes_what_can_be_controlled() -> None:
    panel = parse_panel(TEXT, "panel.toml").all_armed()
    for circuit in panel.circuits:
        can = circuit.role in (Role.SWITCHED, Role.MODULATED)
        assert circuit.armed == circuit.controlled == can
    assert len([circuit for circuit in panel.circuits if circuit.armed]) > 10


# -- the books ------------------------------------------------------------------------------------


def account() -> Account:
    """A week in which all was well."""
    return Account(
        serial="demo-0001",
        begun_s=1.7e9,
        ended_s=1.7e9 + 7.5 * DAY_S,
        seen_s=7.4 * DAY_S,
        cycles=6_400_000,
        states_s={"NORMAL": 7.4 * DAY_S - 60, "HOLD": 60.0},
        legs={"a": LegTally(over_s=900.0, over_a=31.0), "b": LegTally()},
        circuits={
            "dryer": CircuitTally(
                sheds=9, restores=9, off_s=9_000.0, kept_wh=4_200.0, most_a=24.0, demand_a=23.0
            ),
            "evse": CircuitTally(lowered_s=7_000.0, lowered_wh=11_000.0, raised=40),
        },
    )


def test_a_week_in_which_all_was_well() -> None:
    text = "\n".join(in_words(account()))
    assert "7.4 days of shadow" in text
    assert "leg a: over its limit for 15.0 min as it was (by up to 31.0 A), 0 s with panel" in text
    assert "dryer: shed 9 times, restored 9 times, off for 2.5 h, 4.20 kWh not drawn" in text
    assert "evse: lowered for 116.7 min, 11.00 kWh not drawn; set-point raised 40 times" in text
    assert speaks_against(account()) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"seen_s": DAY_S}, "24.0 h were seen: let it run for a week"),
        ({"incomplete": 640_000}, "10.0% of the cycles"),
        ({"states_s": {"HOLD": DAY_S}}, "the mains could not be seen for 24.0 h"),
        (
            {"legs": {"a": LegTally(left_over_s=40.0, left_over_a=12.0, longest_s=9.0)}},
            "still have been over",
        ),
        ({"legs": {"a": LegTally(surprises=3, surprise_a=30.0)}}, "rose 3 times by more"),
        ({"circuits": {"x": CircuitTally(most_a=40.0, demand_a=20.0)}}, "its demand_a is 20"),
        ({"circuits": {"x": CircuitTally(sheds=4, idle_sheds=3)}}, "while it drew nothing"),
        ({"circuits": {"x": CircuitTally(unread_s=DAY_S)}}, "meter of x could not be read"),
        ({"circuits": {"x": CircuitTally(faults=1)}}, "x would have been at fault once"),
        ({"unfit": ["circuit dryer.demand_a = 99: is too much"]}, "would refuse the file: circuit"),
        ({"doubts_s": {"main FROZEN": DAY_S}}, "the mains: the mains meter stands still"),
    ],
)
def test_what_speaks_against_arming(change: dict[str, object], says: str) -> None:
    (told,) = speaks_against(replace(account(), **change))  # type: ignore[arg-type]  # by name
    assert says in told


def spoilt() -> list[str]:
    """Accounts that are JSON, of the right keys, and nothing that one may count on with."""
    text = json.dumps(account().to_plain())
    return [
        text.replace('"seen_s": 639360.0', '"seen_s": "x"'),
        text.replace('"begun_s": 1700000000.0', '"begun_s": 1e20'),
        text.replace('"HOLD": 60.0', '"HOLD": null'),
        text.replace('"HOLD"', '"HOLT"'),
        text.replace('"sheds": 9', '"sheds": -1'),
        text.replace('"doubts_s": {}', '"doubts_s": {"main MOOD": 1.0}'),
        text.replace('"kept_wh": 4200.0', '"kept_wh": NaN'),
    ]


def test_the_report_is_read_from_the_state_directory(tmp_path: Path) -> None:
    def report(*more: str) -> tuple[int, str]:
        done = CliRunner().invoke(root, ["shadow", "report", "--state", str(tmp_path), *more])
        return done.exit_code, done.output

    code, said = report()
    assert code == 1
    assert "panelctl run --shadow" in said
    (tmp_path / "shadow").mkdir()
    file = tmp_path / "shadow" / FILE
    file.write_text(json.dumps(account().to_plain()))
    assert report()[0] == 0
    assert "Nothing speaks against arming it." in report()[1]
    plain = json.loads(report("--json")[1])
    assert plain["against"] == []
    assert plain["circuits"]["dryer"]["sheds"] == 9
    file.write_text(json.dumps(replace(account(), seen_s=10.0).to_plain()))
    assert report()[0] == 1
    for text in (
        "",
        "[]",
        '{"format": 1}',
        '{"format": 9}',
        "[" * 60_000,
        '{"format":1,"legs":3}',
        *spoilt(),
    ):
        file.write_text(text)
        code, said = report()
        assert code == 1
        assert "cannot be read" in said, text[:200]


def test_the_books_go_on_after_a_restart_and_not_with_another_panel(tmp_path: Path) -> None:
    panel = parse_panel(TEXT, "panel.toml").all_armed()
    path = tmp_path / FILE

    def keep(panel: Panel, seconds: int) -> Account:
        engine = Engine(panel)
        books = Bookkeeper(engine, Shadow(engine), path, WriteNow(flush=False), 1e9)
        for n in range(10 * seconds):
            now_ns = S + n * S // 10
            books.latch(now_ns)
            engine.step(now_ns)
            books.count(now_ns, 1e9 + n / 10, True, [])
        books.save()
        return read_account(path)

    first = keep(panel, 5)
    assert first.seen_s == pytest.approx(4.9)
    again = keep(panel, 5)
    assert again.seen_s == pytest.approx(9.8)
    assert again.begun_s == first.begun_s
    other = keep(replace(panel, serial="another"), 2)
    assert other.serial == "another"
    assert other.seen_s == pytest.approx(1.9)
