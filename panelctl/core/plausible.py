"""Which readings of the mains cannot be true, judged before anything is decided on them.

What one reading says by itself (its range, "not available") the field judges. Here it is held
against the ones before and against the branch circuits. A doubt marks the latched reading
IMPLAUSIBLE; no value is ever changed. The core then sees a mains meter that grows old: set-points
only fall, and HOLD comes at `hold_s`.

Rules
- DROP: what a leg carries for others than the modulated loads, as the core reads it, falls by much:
  believed with the second sample that says so. The mains fell, or a modulated load's own meter rose
  and the mains did not. One damaged frame in some 65,000 passes its checksum; what either would do
  is raise.
- ERRATIC: that happens again and again: what fell was back with the next sample. Two meters answer
  in turn, or a transformer has a bad contact. A fall then has to last for ERRATIC_HOLD_NS, so that
  the higher of the two counts; ends when for ERRATIC_NS nothing fell and came back.
- FROZEN: not one digit of the mains has changed for long, while the branch circuits have.
- BRANCHES: the branch circuits draw more than the mains carry, for long: a transformer of the wrong
  ratio or on the wrong leg, a meter that shows zero, or a source that the panel file does not name.
  Not judged where the panel has sources: there it may be true. What follows (HOLD) leaves little to
  compare, so the doubt stays for a minute, and for twice as long each time that it comes back.
- UNPROVEN: that doubt has ended by the clock, and nothing speaks for the mains yet. They are
  believed, but modulated loads get little more than their floor (`PROBE_MA`, caps.py): so much that
  it shows on mains that work, and convicts mains that don't. Ends when for some seconds the mains
  carry about what the branch circuits draw, and that is enough to tell.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from panelctl.core.image import Image
from panelctl.model.circuit import Circuit, Role
from panelctl.model.metering import Quality
from panelctl.model.panel import Panel
from panelctl.model.slots import LEGS
from panelctl.units import NS_PER_S, ns_from_s

DROP_MA = 15_000  # a fall that has to be confirmed,
DROP_SHARE = 8  # or an eighth of the control setting, where that is more
ALIKE_MA = 5_000  # two samples that agree
ERRATIC_FALLS = 4  # falls that were taken back,
ERRATIC_NS = 20 * NS_PER_S  # within so long
ERRATIC_HOLD_NS = 2 * NS_PER_S
MOVED_MA = 3_000  # branch circuits that have moved
EXCESS_SHARE = 4  # currents of unlike phase add up to less than their sum: a quarter more,
EXCESS_MA = 5_000  # and so much more, may be true
AGREE_SHARE = 4  # what proves mains: no more than a quarter less than the branch circuits' sum,
AGREE_MA = 1_000  # and so much less,
TELLS_MA = 6_000  # where the sum is so much: mains that show nothing would contradict it
PROVEN_NS = 5 * NS_PER_S  # and for so long: longer than a branch reading counts
FAST_NS = NS_PER_S  # modulated loads whose meters move are read with the mains: soon told,
ALL_NS = 15 * NS_PER_S  # the others seldom, and registers may be renewed more seldom still
LATCH_NS = 60 * NS_PER_S
LATCH_MOST_NS = 3600 * NS_PER_S
FOR_EVER_NS = 1 << 62
LOOK_NS = NS_PER_S  # how often the branch circuits are added up
GOOD = int(Quality.GOOD)


class Doubt(StrEnum):
    """Why a reading is not believed."""

    DROP = "DROP"
    ERRATIC = "ERRATIC"
    FROZEN = "FROZEN"
    BRANCHES = "BRANCHES"
    UNPROVEN = "UNPROVEN"  # believed, within bounds
    ENERGY = "ENERGY"  # energy.py's: what was counted is more than these currents carry
    HIDDEN = "HIDDEN"  # hidden.py's: this circuit may draw more than it shows
    STILL = "STILL"  # energy.py's: a counter stands still; decides nothing


@dataclass(slots=True)
class _Leg:
    """One leg: the slots that matter, and what was last seen."""

    mains: int
    power: int
    fast: list[int]
    every: list[int]
    seen_ns: int = 0
    others_ma: int = 0  # what it carried for others than the modulated loads, as last believed
    believed_ns: int = 0
    falling_ma: int | None = None  # a fall that waits for its second sample
    falling_ns: int = 0  # since when
    taken_back: deque[int] = field(default_factory=lambda: deque(maxlen=ERRATIC_FALLS))  # when
    erratic: bool = False
    fast_since_ns: int = 0  # since when the branch circuits draw too much
    all_since_ns: int = 0
    fast_then: list[int] = field(default_factory=list)  # what the modulated ones showed at first
    until_ns: int = 0  # how long they are held against the mains
    latch_ns: int = LATCH_NS
    proven_ns: int = 0  # when something spoke for it last after a doubt
    unproven: bool = False
    agrees_since_ns: int = 0
    looked_ns: int = 0
    branches_ma: int = 0
    doubts: set[Doubt] = field(default_factory=set)


class Plausible:
    """Judges the latched mains readings of one panel. `judge` is called once a cycle."""

    def __init__(self, panel: Panel, image: Image) -> None:
        self._image = image
        self._drop_ma = max(DROP_MA, int(panel.service.control_setting_a * 1000) // DROP_SHARE)
        self._fresh_ns = ns_from_s(panel.timing.fresh_s)  # an older one tells nothing of now
        self._stale_ns = ns_from_s(panel.timing.branch_stale_s)
        self._sources = any(circuit.source is not None for circuit in panel.circuits)
        self._legs = [
            _Leg(
                image.slot[f"main.{leg}_ma"],
                image.slot[f"main.{leg}_w"],
                [s for c in panel.circuits if _modulated(c) for s in leg_slots(c, n, image)],
                [s for c in panel.circuits for s in leg_slots(c, n, image)],
            )
            for n, leg in enumerate(LEGS)
        ]
        self._digits = [image.slot[f"main.{leg}_{unit}"] for leg in LEGS for unit in ("ma", "w")]
        # Whether the mains have contradicted the branch circuits, and are not proven since:
        # modulated loads stay near their floor.
        self.suspect = False
        self._last: list[int] = []
        self._still_since_ns = 0
        self._told_frozen, self._told_ns = False, 0
        self._then: dict[int, int] = {}  # what the branch circuits drew once it stood still

    @property
    def doubts(self) -> dict[str, list[Doubt]]:
        """What is in doubt now, by leg."""
        found = {}
        for name, leg in zip(LEGS, self._legs, strict=True):
            doubts = leg.doubts | {Doubt.UNPROVEN} if leg.unproven else leg.doubts
            if leg.erratic:
                doubts = doubts | {Doubt.ERRATIC}
            if doubts:
                found[name] = sorted(doubts)
        return found

    def keep(self) -> tuple[Doubt, ...]:
        """The doubts that a controller which starts anew has to know of."""
        found = {doubt for doubts in self.doubts.values() for doubt in doubts}
        return tuple(sorted(found - {Doubt.DROP, Doubt.ERRATIC}))

    def take(self, doubts: Iterable[Doubt], now_ns: int) -> None:
        """Begin with what an earlier run kept: a start is no reason to believe what it did not."""
        for leg in self._legs:
            if Doubt.FROZEN in doubts:
                leg.doubts.add(Doubt.FROZEN)
                self._told_frozen = True
            if self._sources or not leg.every:
                continue  # nothing could prove it: the panel file was changed
            if Doubt.BRANCHES in doubts:
                leg.doubts.add(Doubt.BRANCHES)
                leg.until_ns = now_ns + leg.latch_ns
            leg.unproven = Doubt.UNPROVEN in doubts and Doubt.BRANCHES not in doubts
        self._weigh()

    def _weigh(self) -> None:
        self.suspect = any(leg.unproven or Doubt.BRANCHES in leg.doubts for leg in self._legs)

    def rests_until_ns(self, now_ns: int) -> int:
        """Up to when the same readings, again and again, change nothing in here."""
        for leg in self._legs:
            if leg.doubts or leg.unproven or leg.erratic or leg.falling_ma is not None:
                return now_ns
            if leg.fast_since_ns or leg.all_since_ns:
                return now_ns
        if self._then:
            return FOR_EVER_NS
        looks_ns = self._still_since_ns + self._stale_ns
        return looks_ns if looks_ns > now_ns else now_ns

    def judge(self, now_ns: int) -> None:
        """Mark what cannot be true in the latched image."""
        image = self._image
        for leg in self._legs:
            sampled_ns = image.sampled_ns[leg.mains]
            if sampled_ns != leg.seen_ns and image.quality[leg.mains] == GOOD:
                leg.seen_ns = sampled_ns
                self._drop(leg, sampled_ns)
                if not self._sources:
                    self._branches(leg, sampled_ns)
                if leg is self._legs[0]:
                    self._frozen(sampled_ns)
        for leg in self._legs:
            if leg.doubts and image.quality[leg.mains] == GOOD:
                image.quality[leg.mains] = Quality.IMPLAUSIBLE

    def _drop(self, leg: _Leg, sampled_ns: int) -> None:
        image, value = self._image, self._image.value
        ma = abs(value[leg.mains])
        if self._sources and image.quality[leg.power] == GOOD and value[leg.power] < 0:
            ma = -ma
        others_ma = ma
        for slot in leg.fast:  # one unread has not changed
            others_ma -= value[slot]
        leg.doubts.discard(Doubt.DROP)
        known = leg.believed_ns and sampled_ns - leg.believed_ns <= self._fresh_ns
        fell = leg.others_ma - others_ma > self._drop_ma
        if (known or leg.erratic) and fell and not self._confirmed(leg, others_ma, sampled_ns):
            leg.doubts.add(Doubt.DROP)
            return
        if leg.falling_ma is not None and not fell:
            self._taken_back(leg, sampled_ns)
        elif leg.erratic and sampled_ns - leg.taken_back[-1] > ERRATIC_NS:
            leg.erratic = False
        leg.falling_ma = None
        leg.others_ma, leg.believed_ns = others_ma, sampled_ns

    def _confirmed(self, leg: _Leg, others_ma: int, sampled_ns: int) -> bool:
        """Whether a fall has been seen for long enough: twice, or ERRATIC_HOLD_NS."""
        first = leg.falling_ma is None
        alike = leg.falling_ma is not None and abs(others_ma - leg.falling_ma) <= ALIKE_MA
        leg.falling_ma = others_ma
        if first or not (alike or leg.erratic):
            leg.falling_ns = sampled_ns
            return False
        return not leg.erratic or sampled_ns - leg.falling_ns >= ERRATIC_HOLD_NS

    def _taken_back(self, leg: _Leg, sampled_ns: int) -> None:
        """What had fallen is back: that was no load."""
        leg.taken_back.append(sampled_ns)
        if len(leg.taken_back) == ERRATIC_FALLS:
            leg.erratic |= sampled_ns - leg.taken_back[0] <= ERRATIC_NS

    def _branches(self, leg: _Leg, sampled_ns: int) -> None:
        image = self._image
        ma = abs(image.value[leg.mains])
        most_ma = ma + ma // EXCESS_SHARE + EXCESS_MA
        if self._sum(leg.fast, sampled_ns - self._fresh_ns) <= most_ma:
            leg.fast_since_ns = 0
        elif leg.fast_since_ns == 0:
            leg.fast_since_ns = sampled_ns
            leg.fast_then = [image.value[slot] for slot in leg.fast]
        if sampled_ns - leg.looked_ns >= LOOK_NS:
            leg.looked_ns = sampled_ns
            leg.branches_ma = self._sum(leg.every, sampled_ns - self._stale_ns)
        if leg.branches_ma <= most_ma:
            leg.all_since_ns = 0
        elif leg.all_since_ns == 0:
            leg.all_since_ns = sampled_ns
        if self._too_much(leg, sampled_ns, most_ma):
            leg.unproven = False
            if Doubt.BRANCHES not in leg.doubts:
                if leg.proven_ns and sampled_ns - leg.proven_ns > LATCH_MOST_NS:
                    leg.latch_ns = LATCH_NS
                leg.doubts.add(Doubt.BRANCHES)
                self._weigh()
                leg.until_ns = sampled_ns + leg.latch_ns
                leg.latch_ns = min(2 * leg.latch_ns, LATCH_MOST_NS)
        elif Doubt.BRANCHES in leg.doubts:
            if sampled_ns >= leg.until_ns and not leg.fast_since_ns and not leg.all_since_ns:
                leg.doubts.discard(Doubt.BRANCHES)
                leg.unproven, leg.agrees_since_ns = True, 0
                self._weigh()
        elif leg.unproven:
            self._prove(leg, ma, sampled_ns)

    def _prove(self, leg: _Leg, ma: int, sampled_ns: int) -> None:
        """Whether the mains have carried for long enough what the branch circuits draw."""
        drawn_ma = leg.branches_ma
        if drawn_ma < TELLS_MA or ma < drawn_ma - drawn_ma // AGREE_SHARE - AGREE_MA:
            leg.agrees_since_ns = 0
        elif leg.agrees_since_ns == 0:
            leg.agrees_since_ns = sampled_ns
        elif sampled_ns - leg.agrees_since_ns >= PROVEN_NS:
            leg.unproven, leg.proven_ns = False, sampled_ns
            self._weigh()

    def _too_much(self, leg: _Leg, sampled_ns: int, most_ma: int) -> bool:
        """Whether the branch circuits have drawn more than the mains show for long enough."""
        if leg.all_since_ns and sampled_ns - leg.all_since_ns >= ALL_NS:
            return True
        if not leg.fast_since_ns or sampled_ns - leg.fast_since_ns < FAST_NS:
            return False
        # A register that is renewed every few seconds shows for so long what was.
        alive = [
            slot
            for slot, then in zip(leg.fast, leg.fast_then, strict=True)
            if self._image.value[slot] != then
        ]
        return self._sum(alive, sampled_ns - self._fresh_ns) > most_ma

    def _frozen(self, sampled_ns: int) -> None:
        image = self._image
        digits = [image.value[slot] for slot in self._digits]
        if self._told_frozen:  # by an earlier run: not all is read in the first cycle
            self._told_ns = self._told_ns or sampled_ns
            self._told_frozen = sampled_ns - self._told_ns < NS_PER_S
            self._last, self._still_since_ns = digits, sampled_ns
            return
        if digits != self._last:
            self._last, self._still_since_ns = digits, sampled_ns
            self._then.clear()
            for leg in self._legs:
                leg.doubts.discard(Doubt.FROZEN)
            return
        # A branch meter is seldom read, so what it shows first may have been before.
        if sampled_ns - self._still_since_ns < self._stale_ns:
            return
        if not self._then:
            every = {slot for leg in self._legs for slot in leg.every}
            good = [slot for slot in every if self._good(slot, sampled_ns - self._stale_ns)]
            self._then = {slot: image.value[slot] for slot in good}
            return
        # One that is not read any more keeps its last value, and so has not moved.
        moved_ma = sum(image.value[slot] - ma for slot, ma in self._then.items())
        if abs(moved_ma) > MOVED_MA:
            for leg in self._legs:
                leg.doubts.add(Doubt.FROZEN)

    def _good(self, slot: int, since_ns: int) -> bool:
        image = self._image
        return image.quality[slot] == GOOD and image.sampled_ns[slot] >= since_ns

    def _sum(self, slots: list[int], since_ns: int) -> int:
        """What these circuits draw, mA, as far as they were read since `since_ns`."""
        value, quality, sampled_ns = self._image.value, self._image.quality, self._image.sampled_ns
        total_ma = 0
        for slot in slots:
            if quality[slot] == GOOD and sampled_ns[slot] >= since_ns:
                total_ma += value[slot]
        return total_ma


def _modulated(circuit: Circuit) -> bool:
    return circuit.controlled and circuit.role is Role.MODULATED


def leg_slots(circuit: Circuit, leg: int, image: Image) -> list[int]:
    """The image slots of what a circuit draws on a leg; a single CT counts on both legs."""
    first = {m.current: f"{circuit.id}.{LEGS[m.leg]}_ma" for m in reversed(circuit.currents)}
    return [image.slot[first[m.current]] for m in circuit.currents if m.leg == leg]
