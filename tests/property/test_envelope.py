"""Envelope accounting: set-points move, ramps take any course, and no row is passed meanwhile."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from panelctl.core.state.layout import MODULATED
from tests.core_cases import MS, Load, Rig, S, compute_load


@settings(max_examples=150)
@given(data=st.data())
def test_every_interleaving_of_ramps_keeps_the_row(data: st.DataObject) -> None:
    """The household stands still and the wishes change; each load is anywhere on its way.

    At every step each load's draw is drawn from between what it drew and what it was last told,
    so loads come down late and in any order while others are raised.
    """
    count = data.draw(st.integers(2, 4))
    loads = [
        Load(
            kind=MODULATED,
            tier=0,
            rest_tier=data.draw(st.integers(3, 6)),
            floor_ma=1_000,
            max_ma=data.draw(st.integers(10_000, 60_000)),
            fallback_ma=1_000,
            settle_ns=60 * S,  # nobody is found disobedient
            ramp_ma_s=1_000_000,
            weight=data.draw(st.integers(1, 5)),
            relay=False,
        )
        for _ in range(count)
    ]
    rig = Rig([*loads, compute_load(settle_ns=60 * S)], compiled=True)
    rig.fixed.node_fault_ns[0] = 3_600 * S
    house, limit_ma = 60_000, rig.state.limit_value_ma[0]
    drawn = [0] * len(rig.loads)
    for _ in range(data.draw(st.integers(10, 60))):
        told = rig.state.set_ma.tolist()
        for i, aim in enumerate(told):
            low, high = sorted((drawn[i], aim))
            drawn[i] = data.draw(st.integers(low, high))
            if data.draw(st.booleans()):
                rig.state.tier[i] = rig.fixed.rest_tier[i] = data.draw(st.integers(3, 6))
        carried = house + sum(drawn)
        assert carried <= limit_ma, (drawn, told)
        # Wherever the ramps have got to by the next step, the envelope holds as well.
        assert house + sum(max(a, b) for a, b in zip(drawn, told, strict=True)) <= limit_ma
        rig.read_all((house, house), drawn)
        rig.step(100 * MS)
