"""What a reader of the control socket is told first: the panel's fixed facts, and its file."""

from __future__ import annotations

from panelctl.control.start import Start
from panelctl.model.circuit import Circuit
from panelctl.model.panel import Panel
from panelctl.model.record import HelloRecord, HelloSetpoint
from panelctl.model.slots import LEGS


def describe_panel(panel: Panel, config: str, start: Start, shadow: bool = False) -> HelloRecord:
    """What a reader of the socket gets first: the panel's fixed facts, and its file."""
    return {
        "name": panel.name,
        "serial": panel.serial,
        "main_breaker_a": panel.service.breaker.rating_a,
        "control_setting_a": panel.service.control_setting_a,
        "voltage_v": panel.service.voltage_v,
        "rate_hz": panel.timing.rate_hz,
        "lease_s": panel.timing.lease_s,
        "shadow": shadow,
        "backup_tier": panel.backup.shed_tier if panel.backup else None,
        "feeders": {f.id: "".join(LEGS[leg] for leg in f.legs) for f in panel.feeders},
        "heats": list(panel.heat_sink.circuits) if panel.heat_sink else [],
        "circuits": [
            {
                "id": c.id,
                "name": c.name,
                "spaces": list(c.spaces),
                "half": c.half,
                "legs": "".join(LEGS[leg] for leg in c.legs),
                "breaker_a": c.breaker.rating_a,
                "role": c.role.value,
                "armed": c.armed,
                "tier": c.tier,
                "compute": c.is_compute,
                "relay": c.relay_device is not None,
                "shows_contact": c.shows_contact,
                "counted": bool(c.energy),
                "source": c.source.kind.value if c.source else None,
                "set": _describe_setpoint(c),
            }
            for c in panel.circuits
        ],
        "config": config,
        "start": start.to_plain(),
    }


def _describe_setpoint(circuit: Circuit) -> HelloSetpoint | None:
    """Between what a modulated circuit may be told to draw: A per leg, and W where it has any."""
    modulation = circuit.modulation
    if modulation is None:
        return None
    return {
        "min_a": modulation.min_a,
        "max_a": modulation.max_a,
        "floor_w": modulation.floor_w,
        "max_w": modulation.max_w,
    }
