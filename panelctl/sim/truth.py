"""What a plant shows in a slot of the controller's image, without a bus between them."""

from __future__ import annotations

from panelctl.sim.plant import Plant

MAINS, HEAT_SINK = "main", "heat_sink"
COUNTERS = "wh"  # energy counters have no part in a decision, and are left unread


def truth(plant: Plant, owner: str, what: str) -> float:
    """The true value of the slot `owner.what`, in its unit (mA, W, mV, m°C; a relay's 0 or 1).

    `told` is the last order that was given. Currents are magnitudes; powers have the direction.
    """
    if owner == HEAT_SINK:
        return plant.tank.temperature_c * 1000 if plant.tank else 0.0
    if owner == MAINS:
        current_a = plant.legs_a["ab".index(what[0])]
        if what.endswith("mv"):
            return plant.volts * 1000
        return abs(current_a) * 1000 if what.endswith("ma") else current_a * plant.volts
    item = plant.circuits[owner]
    if what == "relay":
        return float(item.contact.closed)
    if what == "acked":
        return float(item.contact.ordered)
    return abs(item.current_a) * 1000 if what.endswith("ma") else item.power_w
