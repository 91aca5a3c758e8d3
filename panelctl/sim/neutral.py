"""A household for a panel that nobody has told or recorded anything of: to watch, and as a home."""

from __future__ import annotations

from array import array

from panelctl.model.panel import Panel
from panelctl.sim.homes.recorded import Home, Series
from panelctl.sim.household import LIFE, SHOW, Household, wants_w
from panelctl.sim.plant import Plant


class HouseholdPlayer:
    """Gives a neutral household to a plant, at a pace for those who watch. Hours pass in minutes;
    the seed says what happens.
    """

    def __init__(self, panel: Panel, plant: Plant, seed: int) -> None:
        self._household = Household(panel, plant, seed, SHOW)

    def begin(self) -> None:
        """Nothing is left to set: what always runs, runs since there is a household."""

    def tell(self, story_s: float) -> bool:
        """Let happen what is due `story_s` seconds into it; True when a load was raised."""
        return self._household.tell(story_s)


def neutral_home(panel: Panel, seed: int, span_s: float) -> Home:
    """A home as if it were recorded, at life's pace: for each circuit but the compute node's when
    it begins to draw how many W (a source: to give), for `span_s` from six in the morning on.
    Raises ValueError for a span that is not above 0.
    """
    if not span_s > 0.0:
        raise ValueError(f"a home of {span_s:g} s: its span has to be above 0")
    plant = Plant.of(panel)
    household = Household(panel, plant, seed, LIFE)
    loads = [item for item in plant.circuits.values() if item.node is None]
    series = [
        Series(item.circuit.id, array("d", [0.0]), array("d", [wants_w(item)])) for item in loads
    ]
    while (at_s := household.next_s) < span_s:
        household.tell(at_s)
        for item, each in zip(loads, series, strict=True):
            watts = wants_w(item)
            if watts != each.watts[-1]:
                each.at_s.append(at_s)
                each.watts.append(watts)
    return Home(series, span_s)
