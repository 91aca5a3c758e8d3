"""Which circuits may draw what their own meters do not show.

A transformer that has come off shows nothing, and a circuit that draws nothing is never opened for
room: the leg would stay above its limit until energy.py finds out. But the mains see it.

Rules
- Judged are legs whose every circuit has a meter, on panels without sources: there what the mains
  carry and no circuit shows flows where a meter shows too little. An eighth of the mains and 5 A is
  left to meters and skew; a node that shows nothing counts as drawing all that it may.
- Every meter has had its time to show it: each has been read for `LATER_NS` since.
- Which one it is, nobody knows: suspects are the closed circuits with a relay that show nothing on
  that leg.
- Nothing follows before the leg, or the total import, has been above its limit for `OVER_NS`: who
  relieves it by what his meter shows has gone first. Then suspects are in doubt (HIDDEN) and count
  with their demand, like circuits that were never read, so that they are opened in their turn.
- So does a circuit that its energy counter has convicted (ENERGY), at any time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from panelctl.core.image import Image
from panelctl.core.layout import LEG_ROWS, SWITCHED, Changing, Fixed
from panelctl.core.plausible import Doubt, leg_slots
from panelctl.model.circuit import Circuit
from panelctl.model.metering import Quality
from panelctl.model.panel import Panel
from panelctl.model.slots import LEGS
from panelctl.units import NS_PER_MS, NS_PER_S, ns_from_s

LOOK_NS = 1_062 * NS_PER_MS  # no heater is switched in bursts of this period
LATER_NS = 5 * NS_PER_S  # some meters renew their registers every few seconds
OVER_NS = 2 * NS_PER_S
SLACK_SHARE = 8
SLACK_MA = 5_000
NOTHING_MA = 1_000
IMPORT_ROW = LEG_ROWS


@dataclass(slots=True)
class _Leg:
    """A leg: its row and mains, what each load shows of it, and what the others show."""

    row: int
    mains: int
    loads: list[tuple[int, list[int]]]  # number of the load, its slots
    others: list[int]
    since_ns: int = 0  # since when the mains carry too much
    over_ns: int = 0  # since when it is above its limit while there are suspects
    suspects: set[int] = field(default_factory=set)


class Hidden:
    """Judges the latched branch readings of one panel. `judge` is called once a cycle, before the
    energy counters mark what they doubt.
    """

    def __init__(
        self, panel: Panel, image: Image, loads: list[Circuit], fixed: Fixed, state: Changing
    ) -> None:
        self._image, self._fixed, self._state = image, fixed, state
        self._fresh_ns = ns_from_s(panel.timing.fresh_s)
        self._stale_ns = ns_from_s(panel.timing.branch_stale_s)
        self._loads = {circuit.id: i for i, circuit in enumerate(loads)}
        self._looked_ns = 0
        self._suspected: list[_Leg] = []
        self._doubted: set[int] = set()
        sources = any(circuit.source is not None for circuit in panel.circuits)
        self._legs: list[_Leg] = []
        for n, name in enumerate(LEGS):
            on_it = [circuit for circuit in panel.circuits if n in circuit.legs]
            slots = {circuit.id: leg_slots(circuit, n, image) for circuit in on_it}
            if sources or not all(slots.values()):
                continue
            numbered = [(i, slots.pop(c.id)) for i, c in enumerate(loads) if c.id in slots]
            others = [slot for each in slots.values() for slot in each]
            self._legs.append(_Leg(n, image.slot[f"main.{name}_ma"], numbered, others))

    @property
    def doubts(self) -> dict[str, list[Doubt]]:
        """What is in doubt now, by circuit."""
        return {name: [Doubt.HIDDEN] for name, i in self._loads.items() if i in self._doubted}

    @property
    def rests(self) -> bool:
        """Whether the same readings, again and again, change nothing in here."""
        return not any(leg.since_ns for leg in self._legs)

    def judge(self, now_ns: int, convicted: Iterable[str]) -> None:
        """Mark the circuits that may draw more than they show in the latched image, and have them
        count with their demand. `convicted` are the circuits that energy counters speak against:
        their currents the counters mark.
        """
        if now_ns - self._looked_ns >= LOOK_NS:
            self._looked_ns = now_ns
            for leg in self._legs:
                self._look(leg, now_ns)
            self._suspected = [leg for leg in self._legs if leg.suspects]
        self._doubted.clear()
        for leg in self._suspected:
            if not self._is_over(leg.row) and not self._is_over(IMPORT_ROW):
                leg.over_ns = 0
            elif leg.over_ns == 0:
                leg.over_ns = now_ns
            elif now_ns - leg.over_ns >= OVER_NS:
                self._doubt(leg)
        for name in convicted:
            if name in self._loads:
                self._state.measured[self._loads[name]] = 0

    def _is_over(self, row: int) -> bool:
        return self._state.row_ma[row] > self._state.shed_ma[row]

    def _doubt(self, leg: _Leg) -> None:
        self._doubted |= leg.suspects
        for i, slots in leg.loads:
            if i in leg.suspects:
                self._state.measured[i] = 0
                for slot in slots:
                    self._image.quality[slot] = Quality.IMPLAUSIBLE

    def _look(self, leg: _Leg, now_ns: int) -> None:
        image, state = self._image, self._state
        if not image.good(leg.mains, now_ns, self._fresh_ns):
            leg.since_ns = 0  # and who is suspected stays so: there is nothing to compare with
            return
        slots = [slot for _, each in leg.loads for slot in each] + leg.others
        if not all(image.good(slot, now_ns, self._stale_ns) for slot in slots):
            leg.since_ns = leg.over_ns = 0
            leg.suspects.clear()  # one that is not read may draw it
            return
        shown_ma = sum(image.value[slot] for slot in leg.others)
        for i, each in leg.loads:
            ma = sum(image.value[slot] for slot in each)
            shown_ma += state.set_ma[i] if self._fixed.compute[i] and ma < NOTHING_MA else ma
        mains_ma = abs(image.value[leg.mains])
        if mains_ma <= shown_ma + mains_ma // SLACK_SHARE + SLACK_MA:
            leg.since_ns = leg.over_ns = 0
            leg.suspects.clear()
        elif leg.since_ns == 0:
            leg.since_ns = now_ns
        elif min(image.sampled_ns[slot] for slot in slots) >= leg.since_ns + LATER_NS:
            leg.suspects = {i for i, each in leg.loads if self._may_hide(i, each)}

    def _may_hide(self, i: int, slots: list[int]) -> bool:
        """Whether a load could draw what nobody shows, and be opened for it."""
        fixed, state = self._fixed, self._state
        switched = fixed.kind[i] == SWITCHED and fixed.relay_slot[i] >= 0
        shows_ma = sum(self._image.value[slot] for slot in slots)
        return switched and state.closed[i] == 1 and shows_ma < NOTHING_MA
