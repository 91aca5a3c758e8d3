"""Who plays a recorded home to a plant."""

from __future__ import annotations

from panelctl.sim.homes.recorded import Home
from panelctl.sim.plant import Plant


class HomePlayer:
    """Gives a recorded home to a plant, step by step; over again when it has ended."""

    def __init__(self, home: Home, plant: Plant) -> None:
        self._home = home
        self._plant = plant

    def begin(self) -> None:
        """Set what every circuit draws at the start."""
        self.tell(0.0)

    def tell(self, story_s: float) -> bool:
        """Set every circuit for this moment; True when a load was raised."""
        home, raised = self._home, False
        time_s = (home.begin_s + story_s * home.speed) % home.span_s
        for series in home.series:
            item = self._plant.circuits[series.circuit]
            watts = series.at(time_s)
            if item.charger is not None:
                item.charger.car_a = watts / item.volts
            else:
                raised = raised or watts > item.demand_w + 1.0
                item.demand_w = watts
        return raised
