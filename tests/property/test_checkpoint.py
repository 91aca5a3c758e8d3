"""An engine's whole memory: another one goes on with it to the bit, and nothing torn gets in."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panelctl.config.load import parse_panel
from panelctl.control.publish import Publisher
from panelctl.control.replay import Again, difference
from panelctl.core.checkpoint import same, whole_of
from panelctl.core.engine import Engine
from panelctl.errors import ConfigError, SocketError
from panelctl.model.command import Command, command_from_plain, command_to_plain
from panelctl.model.record import CycleRecord
from tests.baseline.homes import panel_of
from tests.baseline.world import World
from tests.records import DEMO, TIMING, WALL_S, hello_of

Wrong = tuple[str, object]
WRONG: list[Wrong] = [
    ("format", 99),
    ("state", {"nothing": {"0": 1}}),
    ("state", {"tier": {"5000": 1}}),
    ("state", {"tier": {"-1": 1}}),
    ("state", {"tier": {"0": 1_000}}),
    ("state", {"state": {"0": 4}}),
    ("state", {"claims": {"0": 1 << 70}}),
    ("state", {"claims": {"0": "a"}}),
    ("fixed", {"slot": {"0": 1}}),
    ("image", {"value": {"x": 1}}),
    ("image", []),
    ("limits", {}),
    ("power_limits", {"limits": [[500, 1, 1]], "probing": False}),
    ("tiers", [[500, 1, 1]]),
]


def through_the_door(drawn: list[Command]) -> list[Command]:
    """Commands as they come from people: some that the world draws nobody could give."""
    commands = []
    for command in drawn:
        with suppress(SocketError):
            commands.append(command_from_plain(json.loads(json.dumps(command_to_plain(command)))))
    return commands


@settings(max_examples=60)
@given(seed=st.integers(0, 10_000), before=st.integers(0, 400), after=st.integers(1, 80))
def test_the_memory_of_any_engine_goes_on_as_it_would(seed: int, before: int, after: int) -> None:
    """Over panels with feeders, sources, backup, heat sinks, envelopes, leases and doubts."""
    panel = panel_of(seed)
    engine = Engine(panel)
    world, publisher = World(seed, engine), Publisher(engine)

    def live() -> CycleRecord:
        now_ns, drawn = world.step()
        commands = through_the_door(drawn)
        publisher.decided(now_ns, commands, engine.step(now_ns, commands))
        record: CycleRecord = json.loads(json.dumps(publisher.record(WALL_S, {**TIMING})))
        return record

    for _ in range(before):
        live()
    seq, cycle, t_ns = publisher.told
    memory = {"seq": seq, "cycle": cycle, "t_ns": t_ns, "engine": whole_of(engine)}
    again = Again(panel, hello_of(panel), json.loads(json.dumps(memory)))
    assert same(engine, again.engine)
    for _ in range(after):
        record = live()
        assert difference(record, again.decide(record)) is None
    assert same(engine, again.engine)


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_a_memory_out_of_shape_is_refused_and_writes_nowhere(wrong: Wrong) -> None:
    panel = parse_panel(DEMO.read_text(), DEMO.name)
    whole = whole_of(Engine(panel))
    part, value = wrong
    memory = {"seq": 5, "cycle": 5, "t_ns": 10**9, "engine": {**whole, part: value}}
    with pytest.raises(ConfigError, match="not this panel's"):
        Again(panel, hello_of(panel), memory)
