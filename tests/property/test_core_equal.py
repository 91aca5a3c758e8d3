"""The rules compiled and interpreted agree to the bit, whatever is thrown at them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from panelctl.model.metering import Quality
from panelctl.model.relay import BY_HAND, Claim
from tests.core_cases import MS, Load, More, Rig, loads, mores

EVENTS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "house",
                "house",
                "draw",
                "draw",
                "step",
                "sun",
                "mute",
                "bad",
                "user",
                "back",
                "limit",
                "weld",
                "tier",
                "run",
                "run",
                "refuse",
                "moved",
                "ack",
            ]
        ),
        st.integers(0, 9),
        st.integers(0, 120_000),
    ),
    min_size=1,
    max_size=60,
)


@settings(max_examples=150)
@given(panel=loads(), more=mores(), events=EVENTS)
def test_same_memory_after_every_step(
    panel: list[Load], more: More, events: list[tuple[str, int, int]]
) -> None:
    rigs = [Rig(panel, compiled, more=more) for compiled in (True, False)]
    house, draws, muted = [20_000, 25_000], [5_000] * len(panel), set[int]()
    given = [0, 0]
    welded = set[int]()
    for what, which, amount in events:
        i = which % len(panel) if panel else 0
        steps, gap = 1, 100 * MS
        if what == "house":
            house[which % 2] = amount
        elif what == "sun":
            given[which % 2] = amount // 2 - 10_000
        elif not panel:
            pass
        elif what == "draw":
            draws[i] = amount // 2
        elif what == "mute":
            muted ^= {which}
        elif what == "user":
            for rig in rigs:
                rig.core.claim(i, 2, 2, rig.now_ns)
        elif what == "back":
            for rig in rigs:
                rig.core.release(i, int(BY_HAND), rig.now_ns)
        elif what == "limit":
            for rig in rigs:
                rig.state.limit_on[4] = 1
                rig.state.limit_until_ns[4] = rig.now_ns + amount * 10_000
                for r in range(2):
                    rig.state.limit_value_ma[4 * rig.fixed.rows + r] = amount
        elif what == "weld":
            welded ^= {i}
        elif what == "tier":
            for rig in rigs:
                rig.state.tier[i] = which
        elif what == "ack":
            for rig in rigs:
                rig.core.release(i, int(Claim.FAULT), rig.now_ns)
        if what == "run":
            steps = 1 + amount % 30
        elif what == "step":
            gap = amount * 20_000
        for _ in range(steps):
            for rig in rigs:
                kept = [rig.state.closed[k] for k in range(len(panel))]
                for k in welded:
                    if rig.state.closed[k] == 0 and rig.fixed.relay_slot[k] >= 0:
                        rig.state.closed[k] = 1  # the contact has not moved
                asleep = {
                    slot: (rig.value[slot], rig.sampled_ns[slot])
                    for slot in muted
                    if slot < len(rig.value)
                }
                rig.read_all((house[0], house[1]), draws, (given[0], given[1]))
                if what == "bad":
                    rig.read(which % 2, -1, Quality.INVALID)
                for slot, (value, sampled) in asleep.items():
                    rig.value[slot], rig.sampled_ns[slot] = value, sampled
                for k, closed in enumerate(kept):
                    rig.state.closed[k] = closed
                if what == "refuse" and panel:
                    rig.read(rig.fixed.refused_slot[i], amount % 7 - 3)
                if what == "moved" and panel:
                    rig.read(rig.fixed.relay_slot[i], amount % 2)
                rig.step(gap)
            assert rigs[0].state.dump() == rigs[1].state.dump()
            assert rigs[0].fixed.dump() == rigs[1].fixed.dump()


@settings(max_examples=30)
@given(
    panel=loads(),
    more=mores(),
    days=st.lists(
        st.tuples(st.integers(0, 70_000), st.integers(0, 70_000), st.integers(5, 80)),
        min_size=2,
        max_size=5,
    ),
    draws=st.lists(st.integers(0, 30_000), min_size=10, max_size=10),
)
def test_same_memory_through_sheds_and_restores(
    panel: list[Load], more: More, days: list[tuple[int, int, int]], draws: list[int]
) -> None:
    """Long enough days on a small service: loads are shed, wait, push others aside, return."""
    rigs = [Rig(panel, compiled, limit_ma=80_000, more=more) for compiled in (True, False)]
    for house_a, house_b, steps in days:
        for n in range(steps):
            for rig in rigs:
                wobble = 3_000 * (n % 7 == 0)
                rig.read_all((house_a + wobble, house_b), draws)
                rig.step(200 * MS)
        assert rigs[0].state.dump() == rigs[1].state.dump()
