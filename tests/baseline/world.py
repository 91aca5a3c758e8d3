"""A household around an engine, with no wire between: what is drawn and shown, what goes wrong.

Everything comes from one seed, and from what the engine decided before. It is fast and rough, and
made to bring about every situation that the rules know, not to be like a home.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from random import Random

from panelctl.core.engine import Engine
from panelctl.model.circuit import Circuit
from panelctl.model.command import (
    CloseRelay,
    Command,
    Envelope,
    Grid,
    Lease,
    LimitPower,
    OpenRelay,
    RequestLimit,
    SetTier,
)
from panelctl.model.keys import EnvelopeWindow
from panelctl.model.metering import Quality
from panelctl.units import NS_PER_S

LAG_MOST = 4  # steps that a relay or a load may take to follow


@dataclass
class Item:
    """One circuit: what it would draw, what it draws, and what its meter and relay do wrong."""

    circuit: Circuit
    number: int  # among the managed ones; -1 where it is not managed
    period: int
    lag: int
    wants_ma: int = 0
    draws_ma: int = 0
    contact: int = 1
    orders: deque[int] = field(default_factory=lambda: deque([1], LAG_MOST))
    told: deque[int] = field(default_factory=lambda: deque([0], LAG_MOST))
    counted: list[float] = field(default_factory=lambda: [0.0, 0.0])
    silent_s: float = 0.0  # until then its meter is not read,
    board_s: float = 0.0  # nor its relay,
    stuck_s: float = 0.0  # the contact does not move,
    deaf_s: float = 0.0  # it draws what it likes,
    wrong_s: float = 0.0  # its currents are shown as `gain` of what they are,
    gain: float = 1.0
    still_s: float = 0.0  # its counter stands still,
    bad_s: float = 0.0  # its readings are marked as not available


class World:
    """The household of one seed. `step` lets time pass, fills the image, and says what is asked."""

    def __init__(self, seed: int, engine: Engine) -> None:
        self.dice = Random(f"world {seed}")
        self.engine = engine
        self.dt_s = self.dice.choice([0.1, 0.1, 0.1, 0.05, 0.2, 1.0, 1.0])
        self.now_s = 1.0
        self.steps = 0
        self.items = [self._item(circuit) for circuit in engine.panel.circuits]
        self.base_ma = [2_000, 2_000]  # without a meter
        self.mains_silent_s = self.frozen_s = self.erratic_s = self.bad_s = 0.0
        self.ratio_s, self.ratio = 0.0, 1.0
        self.mv = 120_000
        self.counted = [0.0, 0.0]  # Wh in and out
        self.still_s = 0.0
        self.lease = 0
        self.busy = self.dice.choice([0.3, 0.6, 0.9])  # how many want to run
        # What goes wrong does so now and then; some homes know one kind of fault only.
        self.faults = self.dice.sample(range(len(FAULTS)), self.dice.choice([2, 5, len(FAULTS)]))
        self._shown = [0, 0]
        if self.dice.random() < 0.2:  # the relay boards are not there yet
            self.board_silent()

    def _item(self, circuit: Circuit) -> Item:
        number = self.engine.index.get(circuit.id, -1)
        quick = circuit.modulation is not None or circuit.source is not None
        period = 1 if quick or self.dt_s >= 1.0 else self.dice.randrange(1, 11)
        item = Item(circuit, number, period, self.dice.randrange(1, LAG_MOST))
        item.wants_ma = round(circuit.breaker.rating_a * self.dice.random() * 500)
        if circuit.relay_device is not None and self.dice.random() < 0.1:
            item.contact, item.orders = 0, deque([0], LAG_MOST)
        return item

    # -- one step ---------------------------------------------------------------------------------

    def step(self) -> tuple[int, list[Command]]:
        """Let one period pass: the time (ns) and the commands of the next step."""
        dice = self.dice
        self.steps += 1
        self.now_s += self.dt_s
        if dice.random() < 0.001:
            self.now_s += dice.choice([0.3, 0.7, 1.5, 4.0])  # the loop was late
        now_ns = round(self.now_s * NS_PER_S)
        if dice.random() < 0.03 * min(self.dt_s * 10, 3.0):
            self._turn()
        if dice.random() < 0.008 * min(self.dt_s * 10, 3.0):
            FAULTS[dice.choice(self.faults)](self)
        for item in self.items:
            self._follow(item)
        self._read(now_ns)
        self.engine.image.latch()
        commands = [self._command()] if dice.random() < 0.01 else []
        if dice.random() < 0.002:  # somebody looks at everything that is off
            commands += [CloseRelay("x", item.circuit.id) for item in self.items]
        return now_ns, commands

    def _turn(self) -> None:
        """Somebody switches something on or off, the sun moves, the voltage sags."""
        dice = self.dice
        item = dice.choice(self.items)
        most_ma = item.circuit.breaker.rating_a * 1000
        if item.circuit.modulation is not None:
            item.wants_ma = round(most_ma) if dice.random() < self.busy else 0
        elif item.circuit.source is not None:
            item.wants_ma = round(most_ma * dice.uniform(-0.5, 1.0))
        elif dice.random() < self.busy:
            item.wants_ma = round(most_ma * dice.uniform(0.2, 0.9))
        else:
            item.wants_ma = 0
        if dice.random() < 0.1:
            self.mv = dice.choice([120_000, 120_500, 113_000, 109_000, 104_000])
        if dice.random() < 0.3:
            self.base_ma[dice.randrange(2)] = dice.choice([0, 2_000, 9_000])

    def _follow(self, item: Item) -> None:
        """Relay and set-point go where they were told, after a while."""
        state, n, circuit = self.engine.state, item.number, item.circuit
        if circuit.relay_device is not None:
            if n >= 0 and self.now_s >= item.board_s:
                item.orders.append(1 if state.closed[n] else 0)
            if self.now_s >= item.stuck_s and len(item.orders) > item.lag:
                item.contact = item.orders[-1 - item.lag]
        wants_ma = item.wants_ma
        if wants_ma:
            wants_ma += self.dice.randrange(-40, 41)
        if circuit.modulation is not None and n >= 0:
            item.told.append(state.set_ma[n])
            if self.now_s >= item.deaf_s:
                wants_ma = min(wants_ma, item.told[max(0, len(item.told) - 1 - item.lag)])
        item.draws_ma = wants_ma if item.contact else 0

    def _read(self, now_ns: int) -> None:
        legs, under = list(self.base_ma), [0, 0]
        behind = {ident for feeder in self.engine.panel.feeders for ident in feeder.circuits}
        for item in self.items:
            sign = -1 if item.circuit.source is not None else 1
            for leg in item.circuit.legs:
                legs[leg] += sign * item.draws_ma
                if item.circuit.id in behind:
                    under[leg] += item.draws_ma
            self._show(item, now_ns)
        self._show_mains(legs, now_ns)
        for leg, name in enumerate("ab"):
            self._put(f"sub.{name}_ma", under[leg], now_ns)
        self._put("heat_sink.tank_mc", 40_000 + 30 * (self.steps % 900), now_ns)

    def _put(self, name: str, value: int, now_ns: int, quality: Quality = Quality.GOOD) -> None:
        slot = self.engine.image.slot.get(name)
        if slot is not None:
            self.engine.image.put(slot, value, quality, now_ns)

    def _show(self, item: Item, now_ns: int) -> None:
        """The readings of a circuit, when its turn comes."""
        ident, image = item.circuit.id, self.engine.image
        if self.now_s >= item.board_s and item.circuit.relay_device is not None:
            early_ns = now_ns - 20_000_000
            self._put(f"{ident}.relay", item.contact, early_ns)
            slot = image.slot[f"{ident}.acked"]
            if image.next_value[slot] != item.orders[-1] or not image.next_sampled_ns[slot]:
                image.put(slot, item.orders[-1], Quality.GOOD, early_ns)
        wh = item.draws_ma * 0.12 * self.dt_s / 3600
        if self.now_s >= item.still_s:
            item.counted[0] += wh
        if self.now_s < item.silent_s or (self.steps + item.number) % item.period:
            return
        gain = item.gain if self.now_s < item.wrong_s else 1.0
        quality = Quality.INVALID if self.now_s < item.bad_s else Quality.GOOD
        sign = -1 if item.circuit.source is not None else 1
        ma = round(item.draws_ma * gain)
        for leg in item.circuit.legs:
            self._put(f"{ident}.{'ab'[leg]}_ma", ma, now_ns, quality)
        for n in range(len(item.circuit.power)):
            self._put(f"{ident}.{n}_w", sign * item.draws_ma * 12 // 100, now_ns, quality)
        for n in range(len(item.circuit.energy)):
            self._put(f"{ident}.{n}_wh", int(item.counted[0]), now_ns, quality)

    def _show_mains(self, legs: list[int], now_ns: int) -> None:
        for leg in (0, 1) if self.now_s >= self.still_s else ():
            self.counted[legs[leg] < 0] += abs(legs[leg]) * 0.12 * self.dt_s / 3600
        if self.now_s < self.mains_silent_s:
            return
        if self.now_s >= self.frozen_s:
            ratio = self.ratio if self.now_s < self.ratio_s else 1.0
            if self.now_s < self.erratic_s and self.steps % 3 == 0:
                ratio = 0.2
            self._shown = [round(ma * ratio) + self.dice.randrange(-30, 31) for ma in legs]
        quality = Quality.INVALID if self.now_s < self.bad_s else Quality.GOOD
        for leg, name in enumerate("ab"):
            ma = self._shown[leg]
            self._put(f"main.{name}_ma", abs(ma), now_ns, quality)
            self._put(f"main.{name}_w", ma * 12 // 100, now_ns, quality)
            self._put(f"main.{name}_mv", self.mv, now_ns)
        self._put("main.import_wh", int(self.counted[0]), now_ns)
        self._put("main.export_wh", int(self.counted[1]), now_ns)

    # -- people and programs ----------------------------------------------------------------------

    def _command(self) -> Command:
        dice, panel = self.dice, self.engine.panel
        circuit = dice.choice(panel.circuits).id
        setting_a = panel.service.control_setting_a
        what = dice.randrange(11)
        if what < 2:
            return OpenRelay("x", circuit)
        if what < 5:
            return CloseRelay("x", circuit)
        if what == 5:
            limit_a = dice.choice([None, setting_a * 0.3, setting_a * 0.7, setting_a * 2])
            return RequestLimit("x", limit_a, dice.choice([5.0, 60.0]))
        if what == 6:
            return SetTier("x", circuit, dice.randrange(8))
        if what == 7:
            part = EnvelopeWindow(dice.choice([0.0, 10.0, 60.0]), 90.0, setting_a * 0.5, None)
            return Envelope("x", "test", (part,))
        if what == 8:
            islanded = dice.random() < 0.6
            return Grid("x", islanded, dice.choice([None, 20.0, 50.0, 80.0]) if islanded else None)
        if what == 9:
            self.lease += dice.choice([0, 1, 1])
            return Lease("x", "test", self.lease, setting_a * dice.uniform(60, 240), 20.0)
        return LimitPower("x", circuit, dice.choice([None, 1_500.0, 4_000.0]), 30.0)

    # -- what goes wrong --------------------------------------------------------------------------

    def _any(self, modulated: bool = False) -> Item:
        some = [item for item in self.items if item.circuit.modulation is not None]
        return self.dice.choice(some if modulated and some else self.items)

    def _for(self, *choices: float) -> float:
        return self.now_s + self.dice.choice(choices) * max(1.0, self.dt_s)

    def mains_silent(self) -> None:
        """The mains cannot be read."""
        self.mains_silent_s = self._for(0.4, 1.0, 3.0, 15.0)

    def mains_bad(self) -> None:
        """The meter at the lugs marks its readings."""
        self.bad_s = self._for(0.4, 3.0)

    def frozen(self) -> None:
        """Not one digit of the mains changes."""
        self.frozen_s = self._for(10.0, 25.0)

    def erratic(self) -> None:
        """Two meters answer in turn."""
        self.erratic_s = self._for(0.3, 8.0)

    def ratio_wrong(self) -> None:
        """The transformers at the lugs show too little."""
        self.ratio, self.ratio_s = self.dice.choice([0.1, 0.5]), self._for(5.0, 20.0)

    def surge(self) -> None:
        """The household without meters draws much."""
        most_ma = self.engine.panel.service.control_setting_a * 1000
        self.base_ma[self.dice.randrange(2)] = round(most_ma * self.dice.uniform(0.3, 1.1))

    def rush(self) -> None:
        """Everything wants to run at once."""
        for item in self.items:
            if item.circuit.source is None:
                item.wants_ma = round(item.circuit.breaker.rating_a * 800)

    def overload(self) -> None:
        """One circuit draws more than its breaker carries."""
        watched = [item for item in self.items if item.circuit.breaker.curve is not None]
        item = self.dice.choice(watched or self.items)
        item.wants_ma = round(
            item.circuit.breaker.rating_a * self.dice.choice([1_300, 2_000, 2_900])
        )

    def meter_silent(self) -> None:
        """The meter of a circuit cannot be read."""
        self._any(modulated=self.dice.random() < 0.4).silent_s = self._for(1.0, 5.0, 30.0)

    def meter_bad(self) -> None:
        """The meter of a circuit marks its readings."""
        self._any().bad_s = self._for(1.0, 5.0)

    def board_silent(self) -> None:
        """The relay boards do not answer."""
        until_s = self._for(0.5, 2.0, 8.0)
        for item in self.items:
            item.board_s = until_s

    def stuck(self) -> None:
        """A contact does not move."""
        self._any().stuck_s = self._for(3.0, 20.0)

    def deaf(self) -> None:
        """A load with a set-point does not obey."""
        for item in self.items:
            if item.circuit.modulation is not None:
                item.deaf_s = self._for(2.0, 12.0)

    def ct_off(self) -> None:
        """A transformer comes off, or has another ratio."""
        item = self._any()
        item.gain, item.wrong_s = self.dice.choice([0.0, 0.0, 0.3, 1.5]), self._for(20.0, 900.0)

    def counter_still(self) -> None:
        """A counter stands still."""
        until_s = self._for(20.0, 2000.0)
        if self.dice.random() < 0.5:
            self.still_s = until_s
        else:
            self._any(modulated=True).still_s = until_s

    def counter_jumps(self) -> None:
        """A counter begins again, or jumps."""
        self._any().counted[0] *= self.dice.choice([0.0, 3.0])


FAULTS = (
    World.mains_silent,
    World.mains_bad,
    World.frozen,
    World.erratic,
    World.ratio_wrong,
    World.surge,
    World.rush,
    World.overload,
    World.meter_silent,
    World.meter_bad,
    World.board_silent,
    World.stuck,
    World.deaf,
    World.ct_off,
    World.counter_still,
    World.counter_jumps,
)
