"""What is doubted about the mains, in words; and what of it outlives a restart."""

from __future__ import annotations

from collections.abc import Iterable

from panelctl.core.state.layout import LEG_ROWS, Changing, Fixed
from panelctl.model.doubt import Doubt
from panelctl.model.slots import LEGS

FOR_EVER_NS = 1 << 62


class Plausibility:
    """The mains' part of a panel's memory. decide/plausibility.py has the meaning of each doubt."""

    def __init__(self, fixed: Fixed, state: Changing) -> None:
        self._fixed, self._state = fixed, state

    @property
    def suspect(self) -> bool:
        """Whether the mains have contradicted the branch circuits, and are not proven since."""
        return self._state.suspect[0] != 0

    @property
    def doubts(self) -> dict[str, list[Doubt]]:
        """What is in doubt now, by leg."""
        state = self._state
        found = {}
        for n, leg in enumerate(LEGS):
            doubts = [
                doubt
                for doubt, flags in (
                    (Doubt.BRANCHES, state.leg_branches),
                    (Doubt.DROP, state.leg_drop),
                    (Doubt.ERRATIC, state.leg_erratic),
                    (Doubt.FROZEN, state.leg_frozen),
                    (Doubt.UNPROVEN, state.leg_unproven),
                )
                if flags[n]
            ]
            if doubts:
                found[leg] = doubts
        return found

    def snapshot(self) -> tuple[Doubt, ...]:
        """The doubts that a controller which starts anew has to know of."""
        found = {doubt for doubts in self.doubts.values() for doubt in doubts}
        return tuple(sorted(found - {Doubt.DROP, Doubt.ERRATIC}))

    def resume(self, doubts: Iterable[Doubt], now_ns: int) -> None:
        """Begin with what an earlier run kept: a start is no reason to believe what it did not."""
        fixed, state = self._fixed, self._state
        kept = set(doubts)
        for leg in range(LEG_ROWS):
            if Doubt.FROZEN in kept:
                state.leg_frozen[leg] = state.told_frozen[0] = 1
            if fixed.sources[0] or fixed.every_first[leg] == fixed.every_end[leg]:
                continue  # nothing could prove it: the panel file was changed
            if Doubt.BRANCHES in kept:
                state.leg_branches[leg] = 1
                state.leg_until_ns[leg] = now_ns + state.leg_latch_ns[leg]
            else:
                state.leg_unproven[leg] = Doubt.UNPROVEN in kept
        state.suspect[0] = any(state.leg_unproven) or any(state.leg_branches)

    def rests_until_ns(self, now_ns: int) -> int:
        """Up to when the same readings, again and again, change nothing in here."""
        state = self._state
        for flags in (
            state.leg_drop,
            state.leg_frozen,
            state.leg_branches,
            state.leg_unproven,
            state.leg_erratic,
            state.leg_falling,
            state.leg_fast_since_ns,
            state.leg_all_since_ns,
        ):
            if any(flags):
                return now_ns
        if state.then_count[0]:
            return FOR_EVER_NS
        looks_ns = state.still_since_ns[0] + self._fixed.branch_stale_ns[0]
        return looks_ns if looks_ns > now_ns else now_ns
