"""Whether everything that fits is back when the faults have ended long ago (L1)."""

from __future__ import annotations

from collections.abc import Iterator

from panelctl.core.state.layout import NO_LIMIT_MA
from panelctl.model.relay import Claim
from panelctl.sim.storm.world import World

ENOUGH = 0.9  # of what there is for the node
SLACK_A = 2.0


def missing(world: World) -> Iterator[str]:
    """What should be back and is not. What fits follows from the limits in force and the plant."""
    app = world.app
    if app is None or not world.running:
        return
    engine = app.engine
    if engine.now.name != "NORMAL":
        yield f"the faults have ended, and the state is {engine.now.name}"
    state, fixed, timing = engine.state, engine.fixed, world.panel.timing
    rows = [r for r in range(fixed.rows) if state.limit_ma[r] < NO_LIMIT_MA]
    compute = engine.compute
    given = [0.0] * fixed.rows  # what the node would give way for others
    if compute >= 0:
        node = world.plant.circuits[engine.loads[compute].id]
        above_a = max(0.0, node.current_a - fixed.floor_ma[compute] / 1000)
        given = [above_a * fixed.meter_coef[compute * fixed.rows + r] for r in range(fixed.rows)]

    def room_a(i: int, r: int) -> float:
        free = (state.limit_ma[r] - state.row_ma[r]) / 1000
        coef = fixed.limit_coef[i * fixed.rows + r] / fixed.scale[r]
        return (free + given[r] - SLACK_A) / coef if coef else float("inf")

    for i, circuit in enumerate(engine.loads):
        item = world.plant.circuits[circuit.id]
        if item.breaker.tripped:
            continue
        left_a = min(room_a(i, r) for r in rows)
        if not item.contact.closed and left_a - timing.restore_margin_a >= circuit.demand_a:
            yield f"{circuit.id} is still open: {Claim(state.claims[i])!r}"
        floor_a = fixed.floor_ma[i] / 1000
        stopped = item.contact.closed and state.claims[i] == Claim.PCS  # a modulated load
        if stopped and left_a - timing.restore_margin_a >= floor_a:
            yield f"{circuit.id} is still paused"
        if item.node is not None and item.contact.closed and not state.claims[i]:
            may_w = min(item.node.max_w, (floor_a + left_a - timing.setpoint_margin_a) * item.volts)
            if item.node.draw_w < ENOUGH * may_w:
                yield f"there is room for {may_w:.0f} W, and the node draws {item.node.draw_w:.0f}"
