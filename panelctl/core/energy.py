"""What the energy counters counted, and what they say about the currents that were read.

Rules
- A total never falls, and is the meter's own count for as long as that goes on.
- A count that goes back, or on by more than could have flowed, is believed with a second reading
  that goes on from it. What lies between is not counted, but where so much can have flowed since
  the counter last moved; of a counter that began again (it wrapped round, or was reset), what it
  shows is.
- Energy is at most volts times amps. Over a kilowatt-hour and more, what was counted is held
  against the currents; what was not read counts on neither side. Currents that are too small for it
  are marked IMPLAUSIBLE (ENERGY) until as much agrees, or for ten minutes, and for twice as long
  each time that it comes back. A counter that is too small for the watts that were read is one that
  stands still (STILL): people are told, nothing is decided on it.
- A current and a counter of one device come from one transformer: its ratio does not show in here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from panelctl.core.image import Image
from panelctl.core.plausible import Doubt
from panelctl.model.circuit import Circuit, SourceKind
from panelctl.model.metering import Quality
from panelctl.model.panel import Panel
from panelctl.model.slots import LEGS, energy_counters
from panelctl.units import NS_PER_MS, NS_PER_S, ns_from_s

LOOK_NS = 1_062 * NS_PER_MS  # no heater is switched in bursts of this period
STRETCH_WH = 1_000
ENOUGH = 4  # times the slack: that much tells that they agree,
LONGEST = 20  # and after so much the next stretch begins
LATCH_NS = 600 * NS_PER_S  # a house in HOLD draws so little that nothing might ever agree
LATCH_MOST_NS = 4 * 3600 * NS_PER_S
STILL_WH = 5_000  # some meters renew their counters once in a quarter of an hour
SLACK_WH = 250  # besides the largest step that the counter was seen to take
COARSE_MA = 1_000  # some meters show whole amps, cut off
SLACK_SHARE = 4  # meters, nominal volts and skew: a quarter
MW_MS_PER_WH = 3_600_000_000
INRUSH = 5  # times its breaker's rating no circuit draws for long

MAINS = "main"

KeptCounts = dict[str, list[int]]  # by slot: what the counter showed last, and the total


@dataclass(slots=True)
class Counter:
    """One counter. `most_w` is what can flow through it at most; times in ns, energies in Wh."""

    most_w: int
    total_wh: int = 0
    raw_wh: int | None = None
    raw_ns: int = 0
    moved_ns: int = 0
    odd_wh: int | None = None  # a reading that waits for one that goes on from it
    odd_ns: int = 0

    def take(self, raw_wh: int, at_ns: int) -> bool:
        """Count a reading. False when it is not believed yet."""
        if self.raw_wh is None:
            self.total_wh = max(raw_wh, 0)
        elif self._flows(raw_wh - self.raw_wh, at_ns - self.raw_ns):
            self.total_wh += raw_wh - self.raw_wh
        elif self.odd_wh is None or not self._flows(raw_wh - self.odd_wh, at_ns - self.odd_ns):
            self.odd_wh, self.odd_ns = raw_wh, at_ns
            return False
        elif raw_wh < self.raw_wh and self._flows(raw_wh, at_ns - self.raw_ns):
            self.total_wh += raw_wh
        elif self._flows(raw_wh - self.raw_wh, at_ns - self.moved_ns):
            self.total_wh += raw_wh - self.raw_wh  # it moves in lumps
        else:
            self.total_wh += raw_wh - self.odd_wh
        if raw_wh != self.raw_wh:
            self.moved_ns = at_ns
        self.raw_wh, self.raw_ns, self.odd_wh = raw_wh, at_ns, None
        return True

    def _flows(self, wh: int, in_ns: int) -> bool:
        """Whether so much can have flowed in that time."""
        return 0 <= wh <= SLACK_WH + self.most_w * in_ns // (3600 * NS_PER_S)


@dataclass(slots=True)
class _Metered:
    """The mains, or a circuit: its counters, currents and powers, and the stretch that is judged.

    `volts` are those of one current. Where one counter or one power point stands for both legs of a
    balanced load, it counts `factor` or `watts_factor` times.
    """

    name: str
    counters: list[int]
    amps: list[int]
    watts: list[int]
    volts: int
    factor: int
    watts_factor: int
    fresh_ns: int
    whole: bool = True  # all of `counters` is what the circuit drew, for sure
    at_ns: int = 0
    since_ns: int | None = 0  # the counters have to be read anew since then; None: they were
    total_wh: int = 0
    counted_wh: int = 0
    step_wh: int = 0  # the most that the counters moved at once
    apparent: int = 0  # mW x ms
    drawn: int = 0
    until_ns: int = 0  # how long its currents are doubted without new evidence
    latch_ns: int = LATCH_NS
    doubts: set[Doubt] = field(default_factory=set)

    def begin(self) -> None:
        """A new stretch."""
        self.counted_wh = self.step_wh = self.apparent = self.drawn = 0


class Energy:
    """The counters of one panel. `judge` is called once a cycle, after the currents are judged."""

    def __init__(self, panel: Panel, image: Image) -> None:
        self._image = image
        self._counters: dict[int, Counter] = {}
        self._seen_ns: dict[int, int] = {}
        self._looked_ns = 0
        self._totals: dict[str, int] = {}
        self.convicted: list[str] = []  # whose currents are too small for what was counted
        self._metered: dict[str, _Metered] = {}
        half_v = round(panel.service.voltage_v / 2)
        stale_ns = ns_from_s(panel.timing.branch_stale_s)
        most_w = int(panel.service.breaker.rating_a * INRUSH * 2 * half_v)
        for name, _ in energy_counters(panel.service):
            self._add(image.slot[name], most_w)
        if "main.import_wh" in image.slot:
            self._metered[MAINS] = _Metered(
                MAINS,
                [image.slot["main.import_wh"]],
                [image.slot[f"main.{leg}_ma"] for leg in LEGS],
                [image.slot[f"main.{leg}_w"] for leg in LEGS],
                half_v,
                1,
                1,
                stale_ns,
            )
        for circuit in panel.circuits:
            if circuit.energy:
                item = _circuit(circuit, image, half_v, stale_ns)
                self._metered[circuit.id] = item
                most_w = int(circuit.breaker.rating_a * INRUSH * len(circuit.legs) * half_v)
                for slot in item.counters:
                    self._add(slot, most_w)

    def _add(self, slot: int, most_w: int) -> None:
        self._counters[slot] = Counter(most_w)
        self._seen_ns[slot] = 0

    @property
    def doubts(self) -> dict[str, list[Doubt]]:
        """What is in doubt now, by circuit; `main` is the mains."""
        return {name: sorted(item.doubts) for name, item in self._metered.items() if item.doubts}

    def total_wh(self, name: str) -> int | None:
        """What a circuit has drawn (a source: given) since its meter began to count; None: unknown.

        Of the mains: what was imported.
        """
        return self._totals.get(name)

    def _total_wh(self, item: _Metered) -> int | None:
        counters = [self._counters[slot] for slot in item.counters]
        if any(counter.raw_wh is None for counter in counters):
            return None
        return item.factor * sum(counter.total_wh for counter in counters)

    @property
    def export_wh(self) -> int | None:
        """What was given to the grid, by the counter at the main lugs; None: unknown."""
        counter = self._counters.get(self._image.slot.get("main.export_wh", -1))
        return None if counter is None or counter.raw_wh is None else counter.total_wh

    def keep(self) -> KeptCounts:
        """What has to outlive a restart."""
        return {
            self._image.names[slot]: [counter.raw_wh, counter.total_wh]
            for slot, counter in self._counters.items()
            if counter.raw_wh is not None
        }

    def take(self, kept: KeptCounts, then_ns: int) -> None:
        """Go on from what an earlier run kept at `then_ns`."""
        for slot, counter in self._counters.items():
            pair = kept.get(self._image.names[slot])
            if pair is not None:
                counter.raw_wh, counter.total_wh = pair
                counter.raw_ns = counter.moved_ns = then_ns
        for name, item in self._metered.items():
            total = self._total_wh(item)
            if total is not None:
                self._totals[name] = total

    def judge(self, now_ns: int) -> None:
        """Count, compare, and mark the currents that are in doubt in the latched image."""
        if now_ns - self._looked_ns >= LOOK_NS:
            self._looked_ns = now_ns
            self._count()
            for name, item in self._metered.items():
                total = self._total_wh(item)
                if total is not None:
                    self._totals[name] = total
                    self._compare(item, total, now_ns)
            self.convicted = [
                name for name, item in self._metered.items() if Doubt.ENERGY in item.doubts
            ]
        quality = self._image.quality
        for name in self.convicted:
            for slot in self._metered[name].amps:
                if quality[slot] == Quality.GOOD:
                    quality[slot] = Quality.IMPLAUSIBLE

    def _count(self) -> None:
        image = self._image
        for slot, counter in self._counters.items():
            at_ns = image.sampled_ns[slot]
            if at_ns != self._seen_ns[slot] and image.quality[slot] == Quality.GOOD:
                self._seen_ns[slot] = at_ns
                if not counter.take(image.value[slot], at_ns):
                    image.quality[slot] = Quality.IMPLAUSIBLE

    def _compare(self, item: _Metered, total: int, now_ns: int) -> None:
        image, passed_ns = self._image, now_ns - item.at_ns
        item.at_ns = now_ns
        known = all(image.good(slot, now_ns, item.fresh_ns) for slot in (*item.amps, *item.watts))
        if not known or passed_ns > item.fresh_ns:
            item.since_ns = now_ns
        if item.since_ns is not None:
            if all(self._seen_ns[slot] > item.since_ns for slot in item.counters):
                item.since_ns, item.total_wh = None, total
            return
        moved_wh, item.total_wh = total - item.total_wh, total
        item.counted_wh += moved_wh
        item.step_wh = max(item.step_wh, moved_wh)
        self._add_up(item, passed_ns // NS_PER_MS)
        self._judge(item, moved_wh > 0, now_ns)

    def _add_up(self, item: _Metered, passed_ms: int) -> None:
        value = self._image.value
        watts = item.watts_factor * sum(value[slot] for slot in item.watts)
        if item.name != MAINS:  # a source's watts are below 0, and it counts what it gives
            watts = abs(watts)
        if watts >= 0:  # the import's counter stands still while the mains export
            amps_ma = sum(abs(value[slot]) + COARSE_MA for slot in item.amps)
            item.apparent += amps_ma * item.volts * passed_ms
            item.drawn += watts * 1000 * passed_ms

    def _judge(self, item: _Metered, moved: bool, now_ns: int) -> None:
        if now_ns >= item.until_ns:
            item.doubts.discard(Doubt.ENERGY)
        counted_wh, slack_wh = item.counted_wh, SLACK_WH + item.step_wh
        apparent_wh, drawn_wh = item.apparent // MW_MS_PER_WH, item.drawn // MW_MS_PER_WH
        if drawn_wh > counted_wh + counted_wh // SLACK_SHARE + max(slack_wh, STILL_WH):
            item.doubts = {Doubt.STILL}  # then it says nothing about the currents either
            item.begin()
        elif moved and counted_wh >= STRETCH_WH:
            item.doubts.discard(Doubt.STILL)
            sure_wh = counted_wh if item.whole else counted_wh // 2
            if sure_wh > apparent_wh + apparent_wh // SLACK_SHARE + slack_wh:
                item.doubts.add(Doubt.ENERGY)
                item.until_ns = now_ns + item.latch_ns
                item.latch_ns = min(2 * item.latch_ns, LATCH_MOST_NS)
                item.begin()
            elif counted_wh >= slack_wh * (ENOUGH if Doubt.ENERGY in item.doubts else LONGEST):
                item.doubts.discard(Doubt.ENERGY)
                item.begin()


def _circuit(circuit: Circuit, image: Image, half_v: int, fresh_ns: int) -> _Metered:
    """The slots of a circuit; the current of a single CT stands there once for each leg."""
    names = {m.current: f"{circuit.id}.{LEGS[m.leg]}_ma" for m in reversed(circuit.currents)}
    watts = [image.slot[f"{circuit.id}.{n}_w"] for n in range(len(circuit.power))]
    single = circuit.balanced and len(circuit.energy) == 1
    # What a battery takes is not what it gives, and its counter counts one of them.
    battery = circuit.source is not None and circuit.source.kind is SourceKind.BATTERY
    return _Metered(
        circuit.id,
        [image.slot[f"{circuit.id}.{n}_wh"] for n in range(len(circuit.energy))],
        [image.slot[names[meter.current]] for meter in circuit.currents],
        [] if battery else watts,
        half_v,
        2 if single else 1,
        2 if circuit.balanced and len(circuit.power) == 1 else 1,
        fresh_ns,
        whole=not single,
    )
