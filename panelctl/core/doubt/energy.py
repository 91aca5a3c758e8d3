"""What the energy counters have counted, in words; and what of it outlives a restart."""

from __future__ import annotations

from panelctl.core.state.layout import Changing, Fixed
from panelctl.model.doubt import Doubt
from panelctl.model.slots import Slots

KeptCounts = dict[str, list[int]]  # by slot: what the counter showed last, and the total


class Energy:
    """The counters' part of a panel's memory. `items` are the names of those that are judged."""

    def __init__(self, items: list[str], slots: Slots, fixed: Fixed, state: Changing) -> None:
        self._names, self._fixed, self._state = slots.names, fixed, state
        self._items = {name: k for k, name in enumerate(items)}
        self._export = self._counter_at(slots.mains.exported)

    def _counter_at(self, slot: int) -> int:
        slots = self._fixed.counter_slot.tolist()
        return slots.index(slot) if slot in slots else -1

    @property
    def doubts(self) -> dict[str, list[Doubt]]:
        """What is in doubt now, by circuit; `main` is the mains."""
        state = self._state
        if not any(state.item_energy) and not any(state.item_still):
            return {}
        found = {}
        for name, k in self._items.items():
            doubts = [Doubt.ENERGY] if state.item_energy[k] else []
            if state.item_still[k]:
                doubts.append(Doubt.STILL)
            if doubts:
                found[name] = doubts
        return found

    def total_wh(self, name: str) -> int | None:
        """What a circuit has drawn (a source: given) since its meter began to count; None: unknown.

        Of the mains: what was imported.
        """
        k = self._items.get(name)
        if k is None or not self._state.item_known[k]:
            return None
        return self._state.item_total_wh[k]

    @property
    def export_wh(self) -> int | None:
        """What was given to the grid, by the counter at the main lugs; None: unknown."""
        c = self._export
        return self._state.count_total_wh[c] if c >= 0 and self._state.count_known[c] else None

    def snapshot(self) -> KeptCounts:
        """What has to outlive a restart."""
        state = self._state
        return {
            self._names[slot]: [state.count_raw_wh[c], state.count_total_wh[c]]
            for c, slot in enumerate(self._fixed.counter_slot)
            if state.count_known[c]
        }

    def resume(self, kept: KeptCounts, then_ns: int) -> None:
        """Go on from what an earlier run kept at `then_ns`."""
        fixed, state = self._fixed, self._state
        for c, slot in enumerate(fixed.counter_slot):
            pair = kept.get(self._names[slot])
            if pair is not None:
                state.count_raw_wh[c], state.count_total_wh[c] = pair
                state.count_raw_ns[c] = state.count_moved_ns[c] = then_ns
                state.count_known[c] = 1
        for k in self._items.values():
            counters = fixed.item_counter[fixed.item_counter_first[k] : fixed.item_counter_end[k]]
            if all(state.count_known[c] for c in counters):
                total_wh = sum(state.count_total_wh[c] for c in counters)
                state.item_total_wh[k] = fixed.item_factor[k] * total_wh
                state.item_known[k] = 1
