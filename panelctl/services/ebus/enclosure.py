"""The enclosure and its lugs: the root of the tree, limits, voltages, power flows, the grid."""

from __future__ import annotations

from panelctl import __version__
from panelctl.model.fault import FAULTS, Fault
from panelctl.model.limit import LimitName
from panelctl.model.reason import State
from panelctl.services.ebus import commands
from panelctl.services.ebus.facts import Facts
from panelctl.services.ebus.properties import (
    COMMUNICATION,
    DEVICE,
    amount,
    counted,
    measured,
    node,
    one_of,
    text,
    whole,
    yes,
)
from panelctl.services.ebus.record_view import RecordView
from panelctl.services.homie import Device, Node, Property

# What clients derive a panel's size from, and know no other words for.
MODELS = {16: "MAIN_16", 24: "MLO_24", 32: "MAIN_32", 40: "MAIN_40", 48: "MLO_48"}
CONSTRAINTS = ",".join([*(name.name for name in LimitName), "NONE", "UNKNOWN"])
# eBus names four sources; the others are triplets of the same shape, as the catalog allows.
SOURCES = {
    "feed" if name is LimitName.FSR else name.name.lower().replace("_", "-"): name.name
    for name in LimitName
}
ENABLEMENT = "UNSPECIFIED,UNCONFIGURED,DISABLED,ENABLED"
STATES = {
    State.HOLD: "LOST",
    State.NORMAL: "OK",
    State.DEGRADED: "DEGRADED",
    State.SHED: "LOST",
}


def _model(size: int) -> str:
    return next((model for most, model in MODELS.items() if size <= most), MODELS[48])


def root(facts: Facts) -> Device:
    """The enclosure."""
    nodes = [
        node(
            "info",
            text("vendor-name", "panelctl"),
            text("serial-number", facts.root),
            one_of("model", ",".join(MODELS.values()), _model(facts.size)),
            text("firmware-version", f"panelctl/{__version__}"),
            text("data-model-version", "1.0"),
        ),
        node(
            "meter",
            measured("voltage-a", "V", lambda seen: _volts(seen, 0)),
            measured("voltage-b", "V", lambda seen: _volts(seen, 1)),
            measured("active-power", "W", _import_w),
        ),
        node("breaker", whole("rating", "A", round(facts.main_breaker_a)), whole("poles", "", 2)),
        _pcs(facts),
        _flows(facts),
        node(
            "status",
            one_of("fault-state", "OK,FAULT,UNKNOWN", _fault),
            one_of(
                "communication-state", COMMUNICATION, lambda s: STATES[State[s.record["state"]]]
            ),
            text("active-alerts", _alerts),
        ),
        node(
            "control",
            one_of(
                "state",
                ",".join(state.name for state in State),
                lambda seen: str(seen.record["state"]),
            ),
            measured("headroom-a", "A", lambda seen: _headroom(seen, "a")),
            measured("headroom-b", "A", lambda seen: _headroom(seen, "b")),
            vendor=True,
        ),
    ]
    if facts.backup_tier is not None:
        island = one_of(
            "asserted-islanding-state", "NONE,ON_GRID,OFF_GRID", _island, commands.island
        )
        nodes.append(node("shed", island))
    return Device(facts.root, f"{DEVICE}distribution-enclosure", facts.name, nodes)


def lugs(facts: Facts) -> list[Device]:
    """The main lugs, and where feeders leave."""
    upstream = Device(
        f"{facts.root}-lugs-up",
        f"{DEVICE}lugs",
        "Main lugs",
        [
            node("info", one_of("direction", "UPSTREAM,DOWNSTREAM", "UPSTREAM")),
            node(
                "meter",
                measured("active-power", "W", _import_w),
                counted("imported-energy", lambda seen: seen.record["energy"]["import_wh"]),
                counted("exported-energy", lambda seen: seen.record["energy"]["export_wh"]),
                measured("current-a", "A", lambda seen: _leg_a(seen, "a"), digits=2),
                measured("current-b", "A", lambda seen: _leg_a(seen, "b"), digits=2),
            ),
            node("connection", whole("service-rating", "A", round(facts.main_breaker_a))),
        ],
    )
    return [upstream, *(_feeder(name, *known) for name, known in facts.feeders.items())]


def _feeder(name: str, device: str, legs: str) -> Device:
    def current(leg: str) -> Property:
        def read(seen: RecordView) -> float | None:
            found = seen.record["constraints"].get(f"{name}.{leg}")
            return None if found is None or found.get("stale") else float(found["a"])

        return measured(f"current-{leg}", "A", read, digits=2)

    return Device(
        device,
        f"{DEVICE}lugs",
        name,
        [
            node("info", one_of("direction", "UPSTREAM,DOWNSTREAM", "DOWNSTREAM")),
            node("meter", *(current(leg) for leg in legs)),
        ],
    )


def _pcs(facts: Facts) -> Node:
    properties = [
        yes("enabled", any(circuit.controlled for circuit in facts.circuits)),
        yes("active", _limiting),
        amount("import-limit", "A", lambda seen: seen.tightest()[0]),
        one_of("binding-constraint", CONSTRAINTS, lambda seen: seen.tightest()[1]),
    ]
    for source, name in SOURCES.items():
        if name == "OFF_GRID" and facts.backup_tier is None:
            continue
        properties += _source(facts, source, name)
    return node("pcs", *properties)


def _source(facts: Facts, source: str, name: str) -> list[Property]:
    def limit(seen: RecordView) -> float | None:
        amps = seen.limit_a(name)
        # What can be requested shows what is requested: without a request, all that there is.
        return facts.setting_a if amps is None and name == "REQUESTED" else amps

    def active(seen: RecordView) -> bool:
        return name in seen.limits

    def enablement(seen: RecordView) -> str:
        return "ENABLED" if name == "FSR" or active(seen) else "DISABLED"

    if name == "REQUESTED":
        bounds = f"0:{facts.setting_a:g}"
        write = commands.request_limit(facts.setting_a)
        value = amount(f"{source}-import-limit", "A", limit, bounds, write)
    else:
        value = amount(f"{source}-import-limit", "A", limit)
    return [
        value,
        one_of(f"{source}-import-limit-enablement", ENABLEMENT, enablement),
        yes(f"{source}-import-limit-active", active),
    ]


def _flows(facts: Facts) -> Node:
    """Grid, battery, PV and site sum to 0: + is exporting, charging and consuming; PV gives < 0.

    Off the grid what the inverter gives is missing from the sum: it is no device of ours.
    """
    pv = [circuit.id for circuit in facts.circuits if circuit.source == "pv"]
    battery = [circuit.id for circuit in facts.circuits if circuit.source == "battery"]

    def grid(seen: RecordView) -> float | None:
        if seen.islanded:
            return 0.0  # what the lugs carry then is the inverter's
        watts = _import_w(seen)
        return None if watts is None else -watts

    def site(seen: RecordView) -> float | None:
        parts = [_import_w(seen), seen.sources_w(pv), seen.sources_w(battery)]
        if None in parts:
            return None
        drawn, pv_w, battery_w = (float(part or 0.0) for part in parts)
        return drawn - pv_w - battery_w

    return node(
        "power-flows",
        measured("grid", "W", grid),
        measured("battery", "W", lambda seen: seen.sources_w(battery)) if battery else None,
        measured("pv", "W", lambda seen: seen.sources_w(pv)) if pv else None,
        measured("site", "W", site),
    )


def _import_w(seen: RecordView) -> float | None:
    watts = seen.record["mains"]["w"]
    return None if watts is None else float(watts)


def _volts(seen: RecordView, leg: int) -> float | None:
    volts = seen.record["mains"]["v"]
    return None if volts is None else float(volts[leg])


def _leg_a(seen: RecordView, leg: str) -> float | None:
    return float(seen.record["legs"][leg]["a"]) if seen.record["mains"]["fresh"] else None


def _headroom(seen: RecordView, leg: str) -> float | None:
    legs, fresh = seen.record["legs"], seen.record["mains"]["fresh"]
    return float(legs[leg]["headroom_a"]) if fresh else None


def _limiting(seen: RecordView) -> bool:
    return any(
        "PCS" in circuit.get("claims", ()) or circuit.get("why") == "LIMIT"
        for circuit in seen.record["circuits"]
    )


def _island(seen: RecordView) -> str:
    return "OFF_GRID" if seen.islanded else "ON_GRID"


def _fault(seen: RecordView) -> str:
    return "FAULT" if seen.record["faults"] else "OK"


def _alerts(seen: RecordView) -> str:
    alerts = [
        f"{fault['circuit']}: {FAULTS[Fault(fault['fault'])].short}"
        for fault in seen.record["faults"]
    ]
    alerts += [f"{name}: does not answer" for name, u in seen.record["units"].items() if u["dead"]]
    doubts = seen.record["doubts"].items()
    alerts += [f"{name}: {', '.join(why)}" for name, why in doubts if set(why) != {"DROP"}]
    return "; ".join(alerts)
