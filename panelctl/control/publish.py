"""From the engine's flat memory to a CycleRecord."""

from __future__ import annotations

import logging
from typing import cast

from panelctl.control.bulk import Bulk
from panelctl.control.events import LIMIT_NAMES, Events
from panelctl.core.doubt.build import MAINS
from panelctl.core.engine import Engine
from panelctl.core.state.layout import LEG_ROWS, NO_LIMIT_MA
from panelctl.field.orders import Orders
from panelctl.field.scan import Scanner
from panelctl.model.command import Command, Verdict, command_to_plain
from panelctl.model.doubt import Doubt
from panelctl.model.limit import LimitName
from panelctl.model.record import (
    VERSION,
    CommandRecord,
    ComputeRecord,
    ConstraintRecord,
    CycleRecord,
    DecisionRecord,
    EnergyRecord,
    EventRecord,
    LimitRecord,
    LinkRecord,
    MainsRecord,
    TimingRecord,
    UnitRecord,
    VerdictRecord,
)
from panelctl.model.slots import LEGS
from panelctl.units import NS_PER_S

log = logging.getLogger("panelctl.field")
LIMITS = tuple(LimitName)


class Publisher:
    """Builds records; it remembers the last one's decisions, to tell what changed.

    Every decision is handed over; a record tells of all of them since the one before.
    """

    def __init__(
        self,
        engine: Engine,
        scanner: Scanner | None = None,
        orders: Orders | None = None,
        shadow: bool = False,
    ) -> None:
        self._engine = engine
        self._scanner = scanner
        self._orders = orders or Orders()
        self._shadow = shadow
        self._seq = 0
        self._cycle = 0
        self._told_ns = 0
        self._decisions: list[DecisionRecord] = []
        self._events: list[EventRecord] = []
        self._commands: list[Command] = []
        self._verdicts: list[Verdict] = []
        self._doubted: dict[str, list[Doubt]] = {}  # now
        self._stale_ns = int(engine.panel.timing.branch_stale_s * NS_PER_S)
        self._bulk = Bulk(engine, self._stale_ns)
        self._changes = Events(engine, self._bulk)
        mains, sink = engine.slots.mains, engine.panel.heat_sink
        self._mains_a, self._mains_w, self._mains_mv = mains.currents, mains.powers, mains.voltages
        self._tank_slot = engine.slots.tank
        self._tank_stale_ns = int(sink.stale_s * NS_PER_S) if sink else 0

    def decided(self, now_ns: int, commands: list[Command], verdicts: list[Verdict]) -> bool:
        """Take down what was decided at `now_ns`; whether people have to be told at once."""
        self._cycle += 1
        self._decisions.append(self._bulk.decision(now_ns))
        self._doubted = self._engine.doubts
        self._events += self._changes.since(now_ns, self._doubted)
        self._commands += commands
        self._verdicts += verdicts
        return bool(self._events or self._verdicts)

    @property
    def told(self) -> tuple[int, int, int]:
        """The numbers of the last record and decision, and when that was, ns."""
        return self._seq, self._cycle, self._told_ns

    def resume(self, told: tuple[int, int, int]) -> None:
        """Go on from a record that was told, with the engine as it stood then: everything that is
        remembered of a decision follows from it.
        """
        self.decided(told[2], [], [])
        self._decisions, self._events = [], []
        self._seq, self._cycle, self._told_ns = told

    @property
    def events(self) -> list[EventRecord]:
        """What was decided and has not been told yet; not what the wires did."""
        return self._events

    def record(self, wall_s: float, timing: TimingRecord) -> CycleRecord:
        """The record of the last decision, and of all since the record before."""
        engine, state = self._engine, self._engine.state
        now_ns = self._decisions[-1]["t_ns"]
        links, changes, units = self._field(now_ns)
        orders, of_orders = self._orders.records(now_ns)
        for event in of_orders:
            log.warning("%s: %s", event.get("circuit"), event.get("text"))
        self._seq += 1
        self._told_ns = now_ns
        record: CycleRecord = {
            "v": VERSION,
            "seq": self._seq,
            "cycle": self._cycle,
            "t_ns": now_ns,
            "wall_s": round(wall_s, 3),
            "shadow": self._shadow,
            "state": engine.now.name,
            "legs": {LEGS[r]: self._constraint(r) for r in range(LEG_ROWS)},
            "constraints": {
                engine.rows[r].name: self._constraint(r)
                for r in range(LEG_ROWS, engine.fixed.rows)
                if state.limit_ma[r] < NO_LIMIT_MA
            },
            "limits": self._limits(now_ns),
            "compute": self._compute(now_ns),
            "circuits": self._bulk.circuits(now_ns),
            "mains": self._mains(now_ns),
            "energy": self._energy(),
            "tank_c": self._tank_c(now_ns),
            "doubts": {name: list(why) for name, why in self._doubted.items()},
            "events": self._events + changes + of_orders,
            "commands": [_command(command) for command in self._commands],
            "verdicts": [_verdict(verdict) for verdict in self._verdicts],
            "units": units,
            "links": links,
            "orders": orders,
            "faults": self._changes.faults(now_ns, orders),
            "timing": timing,
            "decisions": self._decisions,
        }
        self._decisions, self._events, self._commands, self._verdicts = [], [], [], []
        return record

    def _field(
        self, now_ns: int
    ) -> tuple[dict[str, LinkRecord], list[EventRecord], dict[str, UnitRecord]]:
        """The links, what changed about them, and the devices' counts; nothing without a field."""
        if self._scanner is None:
            return {}, [], {}
        links, changes = self._scanner.report.links(now_ns)
        for change in changes:
            log.info("%s: %s", change.get("link") or change.get("device"), change.get("text"))
        units: dict[str, UnitRecord] = {
            name: {
                "good": unit.good,
                "timeouts": unit.timeouts,
                "bad": unit.bad,
                "refused": unit.refused,
                "dead": int(unit.dead),
            }
            for name, unit in self._scanner.units().items()
        }
        return links, changes, units

    def _mains(self, now_ns: int) -> MainsRecord:
        image = self._engine.image
        watts, volts = (
            [image.value[n] for n in slots]
            if all(image.good(n, now_ns, self._stale_ns) for n in slots)
            else None
            for slots in (self._mains_w, self._mains_mv)
        )
        return {
            "w": sum(watts) if watts else None,
            "v": [mv / 1000 for mv in volts] if volts else None,
            "fresh": self._engine.mains_fresh(now_ns),
            "age_s": self._mains_age_s(now_ns),
        }

    def _mains_age_s(self, now_ns: int) -> float | None:
        oldest_ns = min(self._engine.image.sampled_ns[slot] for slot in self._mains_a)
        return round((now_ns - oldest_ns) / NS_PER_S, 3) if oldest_ns else None

    def _tank_c(self, now_ns: int) -> float | None:
        """The temperature of the tank that takes the compute node's heat, °C."""
        image, slot = self._engine.image, self._tank_slot
        good = slot >= 0 and image.good(slot, now_ns, self._tank_stale_ns)
        return image.value[slot] / 1000 if good else None

    def _energy(self) -> EnergyRecord:
        totals = self._engine.energy
        return {
            "import_wh": totals.total_wh(MAINS),
            "export_wh": totals.export_wh,
        }

    def _constraint(self, r: int) -> ConstraintRecord:
        """What flows there, and the heat of its breaker where that is watched."""
        state = self._engine.state
        record: ConstraintRecord = {
            "a": state.row_ma[r] / 1000,
            "limit_a": state.limit_ma[r] / 1000,
            "headroom_a": state.headroom_ma[r] / 1000,
            "binding": LIMIT_NAMES[state.binding[r]],
        }
        if self._engine.fixed.ref_ma[r]:
            record["theta"] = state.theta_ppm[r] / 1_000_000
            if state.trip_ms[r] >= 0:
                record["trip_s"] = state.trip_ms[r] / 1000
        if state.contingency_ma[r]:
            record["contingency_a"] = state.contingency_ma[r] / 1000
        if state.row_old[r]:
            record["stale"] = True
        return record

    def _limits(self, now_ns: int) -> list[LimitRecord]:
        engine, state = self._engine, self._engine.state
        rows = engine.fixed.rows
        limits: list[LimitRecord] = []
        for k, on in enumerate(state.limit_on):
            if not on:
                continue
            until_ns = state.limit_until_ns[k]
            if until_ns == 0 or now_ns < until_ns:
                values = state.limit_value_ma[k * rows : (k + 1) * rows]
                limit: LimitRecord = {
                    "name": LIMIT_NAMES[k],
                    "source": engine.limits.source.get(LIMITS[k], ""),
                    "limit_a": {
                        engine.rows[r].name: values[r] / 1000
                        for r in range(rows)
                        if values[r] < NO_LIMIT_MA
                    },
                }
                if until_ns:
                    limit["until_s"] = round((until_ns - now_ns) / NS_PER_S, 1)
                limits.append(limit)
        return limits

    def _compute(self, now_ns: int) -> ComputeRecord | None:
        engine, i = self._engine, self._engine.compute
        if i < 0:
            return None
        circuit = engine.loads[i]
        assert circuit.modulation is not None
        return {
            "circuit": circuit.id,
            "budget_w": engine.budget_w(i, now_ns),
            "draw_w": self._bulk.load_w(i),
            "floor_w": circuit.modulation.floor_w,
            "max_w": circuit.modulation.max_w,
            "stop": bool(engine.state.claims[i]),
        }


def _command(command: Command) -> CommandRecord:
    return cast(CommandRecord, command_to_plain(command))  # a test holds the two equal


def _verdict(verdict: Verdict) -> VerdictRecord:
    return {"id": verdict.id, "accepted": verdict.accepted, "why": verdict.why}
