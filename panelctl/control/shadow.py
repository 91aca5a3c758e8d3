"""Shadow: the house as it would be if every circuit were armed, decided on real readings.

Nothing is written to any device. What an order would have changed is taken out of the readings
instead, between the latch and the decision: a circuit that is ordered open draws nothing, a
modulated load no more than it is told, and the mains that much less.

Rules
- What is not touched stays real: such a circuit shows what its meter shows.
- An order counts as acknowledged and followed at the next cycle. That a real board or charger would
  do so is not known, and not claimed.
- What a load that was held back would have made up for later (a thermostat with memory) is not
  known either: it goes on drawing what it really draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from panelctl.core.engine import Engine
from panelctl.core.state.layout import LEG_ROWS, MODULATED
from panelctl.field.ledger import Ledger
from panelctl.field.orders import Orders
from panelctl.model.metering import Quality
from panelctl.model.slots import CircuitSlots

GOOD = int(Quality.GOOD)
MOST_GAP_H = 5 / 3600  # between two cycles: a machine that slept counted nothing
NS_PER_H = 3_600_000_000_000
WHOLE = Fraction(1)


@dataclass(slots=True)
class Load:
    """A load of the engine: where its readings lie, and what was taken out of them, mA and W."""

    i: int
    slots: CircuitSlots
    power_factor: int  # a single power reading of a balanced load stands for both legs,
    counter_parts: int  # and a single counter counts one of them
    drew_ma: int = 0  # what it really draws, on the leg where it draws most,
    drew_w: float = 0.0  # and on all
    less_ma: tuple[int, ...] = (0,) * LEG_ROWS
    less_w: float = 0.0


@dataclass(slots=True)
class Counter:
    """An energy counter that moves on without what would not have been drawn, Wh."""

    raw_wh: int
    shown_wh: int
    less_wh: float = 0.0

    def show(self, raw_wh: int, less_wh: float) -> int:
        """What it would say. With less it moves only when the real one does, and never falls; with
        more (`less_wh` below 0) it moves by itself.
        """
        self.less_wh += less_wh
        moved = raw_wh - self.raw_wh
        taken = int(self.less_wh)
        if taken > 0:
            taken = min(max(0, moved), taken)
        self.raw_wh, self.shown_wh = raw_wh, self.shown_wh + moved - taken
        self.less_wh -= taken
        return self.shown_wh


class Shadow:
    """Takes out of an engine's image what its orders would have changed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._half_v = engine.panel.service.voltage_v / 2
        self.loads = [
            Load(
                i,
                engine.slots.circuit(circuit.id),
                2 if circuit.balanced and len(circuit.power) == 1 else 1,
                max(len(circuit.energy), 2 if circuit.balanced else 1),
            )
            for i, circuit in enumerate(engine.loads)
        ]
        self._feeders = [
            (engine.slots.feeder(feeder.id), frozenset(feeder.circuits))
            for feeder in engine.panel.feeders
        ]
        self._gives = bool(engine.source_legs)
        self.real_ma = [0] * LEG_ROWS  # at the main lugs; below 0 where it flows out
        self._counters: dict[int, Counter] = {}
        self._then_ns = 0

    def acknowledge(self, now_ns: int) -> None:
        """Before the latch: every order of the last step counts as acknowledged."""
        image, state = self._engine.image, self._engine.state
        for load in self.loads:
            slot, closed = load.slots.acked, state.closed[load.i]
            if slot < 0 or closed < 0:
                continue
            if (
                image.next_value[slot] != closed
                or image.next_sampled_ns[slot] < (state.order_ns[load.i])
            ):
                image.put(slot, closed, GOOD, now_ns)

    def overlay(self, now_ns: int) -> None:
        """After the latch: the readings as they would be."""
        hours = min((now_ns - self._then_ns) / NS_PER_H, MOST_GAP_H) if self._then_ns else 0.0
        self._then_ns = now_ns
        less_ma, less_w = [0] * LEG_ROWS, 0.0
        for load in self.loads:
            self._hold_back(load, now_ns)
            for leg, ma in enumerate(load.less_ma):
                less_ma[leg] += ma
            less_w += load.less_w
            for slot in load.slots.counters:
                self._count(slot, load.less_w * hours / load.counter_parts)
        self._lower_mains(less_ma, less_w, hours)
        self._lower_feeders()

    def _kept_of(self, load: Load) -> Fraction:
        """What of its real draw a load would have."""
        state, i = self._engine.state, load.i
        if load.slots.relay >= 0 and state.closed[i] == 0:
            return Fraction(0)
        if self._engine.fixed.kind[i] == MODULATED and load.drew_ma > state.set_ma[i]:
            return Fraction(state.set_ma[i], load.drew_ma)
        return WHOLE

    def _hold_back(self, load: Load, now_ns: int) -> None:
        image, slots = self._engine.image, load.slots
        real_ma = [max(0, image.value[slot]) for slot in slots.currents]
        load.drew_ma = max(real_ma, default=0)
        load.drew_w = self._watts(load, sum(real_ma))
        kept = self._kept_of(load) if self._read(load, now_ns) else WHOLE
        closed = self._engine.state.closed[load.i]
        if slots.relay >= 0 and closed >= 0:
            image.value[slots.relay] = closed
        less = [0] * LEG_ROWS
        if kept != WHOLE:
            for slot, leg, ma in zip(slots.currents, slots.legs, real_ma, strict=True):
                left_ma = ma * kept.numerator // kept.denominator
                less[leg] = ma - left_ma
                image.value[slot] = left_ma
            for slot in slots.powers:
                image.value[slot] = image.value[slot] * kept.numerator // kept.denominator
        load.less_ma = tuple(less)
        load.less_w = load.drew_w * float(1 - kept)

    def _read(self, load: Load, now_ns: int) -> bool:
        """Whether its own currents are read: of what is not, nothing is taken out of the mains."""
        image, stale_ns = self._engine.image, self._engine.fixed.stale_ns[load.i]
        slots = load.slots.currents
        return bool(slots) and all(image.good(slot, now_ns, stale_ns) for slot in slots)

    def _watts(self, load: Load, total_ma: int) -> float:
        """What a load really draws; by its current where it has no power."""
        image = self._engine.image
        if load.slots.powers and all(image.quality[slot] == GOOD for slot in load.slots.powers):
            return float(load.power_factor * sum(image.value[slot] for slot in load.slots.powers))
        return total_ma / 1000 * self._half_v

    def _lower_mains(self, less_ma: list[int], less_w: float, hours: float) -> None:
        """Only a panel with sources gives; elsewhere a power below 0 is a transformer the wrong way
        round. A reading keeps the sign that its meter gives it.
        """
        image, mains = self._engine.image, self._engine.slots.mains
        total_ma, before_w, after_w = sum(less_ma), 0.0, 0.0
        for leg, (slot, power) in enumerate(zip(mains.currents, mains.powers, strict=True)):
            shown_ma, real_w = image.value[slot], image.value[power]
            out = self._gives and real_w < 0
            self.real_ma[leg] = -abs(shown_ma) if out else abs(shown_ma)
            left_ma = self.real_ma[leg] - less_ma[leg]
            part_w = round(less_w * less_ma[leg] / total_ma) if total_ma else 0
            left_w = real_w - part_w
            if not self._gives:
                left_ma = max(0, left_ma)
                left_w = -max(0, -real_w - part_w) if real_w < 0 else max(0, left_w)
            before_w, after_w = before_w + real_w, after_w + left_w
            if less_ma[leg]:
                image.value[slot] = abs(left_ma) if shown_ma >= 0 else -abs(left_ma)
                image.value[power] = left_w
        self._count(mains.imported, (max(0.0, before_w) - max(0.0, after_w)) * hours)
        self._count(mains.exported, (max(0.0, -before_w) - max(0.0, -after_w)) * hours)

    def _lower_feeders(self) -> None:
        image = self._engine.image
        for slots, circuits in self._feeders:
            for leg, slot in zip(slots.legs, slots.currents, strict=True):
                less_ma = sum(
                    load.less_ma[leg]
                    for load in self.loads
                    if self._engine.loads[load.i].id in circuits
                )
                image.value[slot] = max(0, image.value[slot] - less_ma)

    def _count(self, slot: int, less_wh: float) -> None:
        """What a counter would say, with so much less (below 0: more) since the cycle before."""
        image = self._engine.image
        if slot < 0 or not image.sampled_ns[slot]:
            return
        raw_wh = image.value[slot]
        counter = self._counters.setdefault(slot, Counter(raw_wh, raw_wh))
        image.value[slot] = counter.show(raw_wh, less_wh)


class NoOutputs:
    """In the place of the writers: nothing is ever written."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.orders = Orders()  # there are none

    def start(self) -> None:
        """There is nothing to start."""

    async def stop(self) -> None:
        """There is nothing to stop."""

    def failed(self) -> BaseException | None:
        """Nothing can fail."""
        return None

    def apply(self, now_ns: int) -> None:
        """What is decided stays a decision."""

    async def flush(self, timeout_s: float) -> None:
        """There is nothing to wait for."""
