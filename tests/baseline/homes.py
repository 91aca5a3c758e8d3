"""Panels drawn from a seed: few circuits or many, and of everything that a panel file knows some.

They are built as the model has them, not read from files: a stricter check must not change them.
"""

from __future__ import annotations

from random import Random

from panelctl.config.curves import load_curve
from panelctl.model.breaker import Breaker, Curve
from panelctl.model.circuit import (
    Circuit,
    LegMeter,
    Modulation,
    Role,
    SafeState,
    Source,
    SourceKind,
)
from panelctl.model.metering import PointRef
from panelctl.model.panel import Backup, Device, Feeder, HeatSink, Link, Panel, Service, Timing

VOLTAGE_V = 240.0


def panel_of(seed: int) -> Panel:
    """The panel of this seed. The same everywhere and always."""
    dice = Random(f"panel {seed}")
    main_a = dice.choice([60.0, 100.0, 125.0, 200.0])
    lively = dice.random() < 0.7  # short times, so that much happens
    circuits = [_circuit(dice, n, lively) for n in range(dice.choice([2, 4, 6, 9, 14, 24]))]
    if dice.random() < 0.8:
        circuits.append(_node(dice, lively))
    for n in range(dice.choice([0, 1, 1, 2])):
        circuits.append(_charger(dice, n, lively))
    credit = dice.random() < 0.1
    sources = () if credit or dice.random() < 0.6 else _sources(dice)
    feeders = _feeders(dice, [circuit.id for circuit in circuits])
    tank = next((circuit.id for circuit in circuits if circuit.is_compute), None)
    return Panel(
        name=f"Panel {seed}",
        serial=f"baseline-{seed}",
        service=_service(dice, main_a, credit, bool(sources)),
        links=(Link("wire", "tcp://192.0.2.1:502", "tcp", "192.0.2.1", 502),),
        devices=(Device("board", "wire", 1, "none", 100, 5.0, 200),),
        circuits=(*circuits, *sources),
        timing=_timing(dice, lively),
        feeders=feeders,
        backup=_backup(dice, main_a, sources),
        heat_sink=_tank(tank) if tank is not None and dice.random() < 0.3 else None,
        equal_tiers=tuple(sorted(dice.sample(range(7), dice.choice([0, 0, 1, 3])))),
    )


def _service(dice: Random, main_a: float, credit: bool, sources: bool) -> Service:
    setting_a = main_a if credit else main_a * dice.choice([0.5, 0.8])
    watched = credit or dice.random() < 0.4
    curve = load_curve("iec60898-fastest" if credit else "home-fast") if watched else None
    return Service(
        breaker=Breaker(main_a, 2, curve=curve),
        control_setting_a=setting_a,
        voltage_v=VOLTAGE_V,
        currents=(PointRef("mains", "a"), PointRef("mains", "b")),
        powers=(PointRef("mains", "aw"), PointRef("mains", "bw")),
        voltages=(PointRef("mains", "av"), PointRef("mains", "bv")),
        uncontrolled_a=(main_a / 3, main_a / 3),
        uncontrolled_basis="drawn",
        operator_limit_a=setting_a * 0.9 if dice.random() < 0.1 else None,
        thermal_credit=credit,
        import_limit_w=int(setting_a * 200) if dice.random() < 0.3 else None,
        doe_default_a=setting_a * 0.9 if dice.random() < 0.2 else None,
        voltage_response=dice.random() < 0.3,
        neutral_a=main_a * 0.5 if dice.random() < 0.3 else None,
        busbar_a=main_a * 1.2 if sources and dice.random() < 0.7 else None,
        import_energy=PointRef("mains", "wh") if dice.random() < 0.6 else None,
        export_energy=PointRef("mains", "out") if dice.random() < 0.4 else None,
        lease_default_w=int(setting_a * 220) if dice.random() < 0.3 else None,
    )


def _timing(dice: Random, lively: bool) -> Timing:
    if not lively:
        return Timing()
    return Timing(
        restore_hold_s=dice.choice([1.0, 3.0, 10.0]),
        restore_interval_s=dice.choice([0.5, 1.5, 5.0]),
        branch_stale_s=dice.choice([3.0, 3.0, 6.0]),
        setpoint_margin_a=dice.choice([0.0, 1.6, 4.0]),
        restore_margin_a=dice.choice([1.0, 4.0, 8.0]),
    )


def _meters(dice: Random, ident: str, legs: tuple[int, ...]) -> tuple[tuple[LegMeter, ...], bool]:
    """One CT a leg; or one that stands for both."""
    balanced = len(legs) == 2 and dice.random() < 0.4
    points = [PointRef("meter", f"{ident}_{legs[0] if balanced else leg}") for leg in legs]
    return tuple(LegMeter(leg, point) for leg, point in zip(legs, points, strict=True)), balanced


def _points(dice: Random, share: float, ident: str, kind: str, count: int) -> tuple[PointRef, ...]:
    if dice.random() >= share:
        return ()
    return tuple(PointRef("meter", f"{ident}_{kind}{n}") for n in range(count))


def _curve(dice: Random, share: float) -> Curve | None:
    return load_curve("home-fast") if dice.random() < share else None


def _circuit(dice: Random, n: int, lively: bool) -> Circuit:
    ident = f"c{n}"
    legs = dice.choice([(0,), (1,), (0, 1), (0, 1)])
    currents, balanced = _meters(dice, ident, legs)
    rating_a = dice.choice([15.0, 20.0, 30.0, 40.0, 60.0])
    role = dice.choice([Role.SWITCHED] * 5 + [Role.MONITORED, Role.ALWAYS_ON])
    shown = 1 if balanced else len(legs)
    min_off_s = dice.choice([0.0, 2.0, 4.0]) if lively else 300.0
    return Circuit(
        id=ident,
        name=f"Circuit {n}",
        spaces=(2 * n + 1,),
        legs=legs,
        breaker=Breaker(rating_a, len(legs), curve=_curve(dice, 0.3)),
        role=role,
        armed=dice.random() < 0.95,
        tier=dice.randrange(7),
        demand_a=rating_a * dice.choice([0.3, 0.6, 0.8]),
        currents=currents,
        power=_points(dice, 0.6, ident, "w", shown),
        energy=_points(dice, 0.5, ident, "wh", shown),
        balanced=balanced,
        relay_device="board" if role is Role.SWITCHED or dice.random() < 0.3 else None,
        relay_output=n + 1,
        ops_per_day=dice.choice([0.0, 20.0, 60.0]),
        min_on_s=dice.choice([0.0, 3.0]) if lively else 180.0,
        min_off_s=min_off_s,
        max_off_s=dice.choice([0.0, 0.0, min_off_s + 10.0]),
        inrush_a=dice.choice([0.0, rating_a * 3]),
        continuous=dice.random() < 0.2,
        safe_state=dice.choice([SafeState.HOLD, SafeState.OPEN]),
    )


def _node(dice: Random, lively: bool) -> Circuit:
    currents, balanced = _meters(dice, "node", (0, 1))
    max_w, floor_w = dice.choice([(12_500, 1_200), (6_000, 600), (3_000, 300)])
    volts = VOLTAGE_V
    return Circuit(
        id="node",
        name="Compute node",
        spaces=(61, 63),
        legs=(0, 1),
        breaker=Breaker(80.0, 2, curve=_curve(dice, 0.3)),
        role=Role.MODULATED,
        armed=True,
        tier=dice.choice([0, 0, 2]),
        demand_a=floor_w / volts,
        currents=currents,
        power=_points(dice, 0.7, "node", "w", 1 if balanced else 2),
        energy=_points(dice, 0.7, "node", "wh", 1 if balanced else 2),
        balanced=balanced,
        relay_device="board" if dice.random() < 0.8 else None,
        relay_output=40,
        setpoint_device="board",
        modulation=Modulation(
            min_a=floor_w / volts,
            max_a=max_w / volts,
            fallback_a=floor_w / volts,
            can_pause=dice.random() < 0.8,
            settle_s=dice.choice([0.3, 0.5, 2.0]),
            change_s=0.0,
            step_a=0.01,
            ramp_a_per_s=dice.choice([1.0, 33.3, 1_000.0]),
            rest_tier=dice.choice([6, 9]),
            floor_w=floor_w,
            max_w=max_w,
        ),
        min_on_s=0.0,
        min_off_s=2.0 if lively else 60.0,
        continuous=True,
        is_compute=True,
    )


def _charger(dice: Random, n: int, lively: bool) -> Circuit:
    ident, legs = f"car{n}", dice.choice([(0, 1), (0, 1), (0,), (1,)])
    currents, balanced = _meters(dice, ident, legs)
    max_a = dice.choice([16.0, 32.0, 48.0])
    return Circuit(
        id=ident,
        name=f"Charger {n}",
        spaces=(65 + n,),
        legs=legs,
        breaker=Breaker(max_a * 1.25, len(legs), curve=_curve(dice, 0.3)),
        role=Role.MODULATED,
        armed=True,
        tier=dice.randrange(1, 7),
        demand_a=6.0,
        currents=currents,
        power=_points(dice, 0.5, ident, "w", 1),
        energy=_points(dice, 0.4, ident, "wh", 1),
        balanced=balanced,
        relay_device="board" if dice.random() < 0.5 else None,
        relay_output=50 + n,
        setpoint_device="board",
        modulation=Modulation(
            min_a=6.0,
            max_a=max_a,
            fallback_a=dice.choice([0.0, 6.0]),
            can_pause=dice.random() < 0.8,
            settle_s=dice.choice([0.5, 1.0, 5.0]),
            change_s=dice.choice([0.0, 2.0, 5.0]),
            step_a=dice.choice([0.1, 1.0]),
            ramp_a_per_s=dice.choice([0.5, 1_000.0]),
            rest_tier=dice.randrange(4, 9),
            weight=dice.choice([1, 3]),
        ),
        min_on_s=0.0,
        min_off_s=2.0 if lively else 300.0,
        continuous=dice.random() < 0.7,
    )


def _sources(dice: Random) -> tuple[Circuit, ...]:
    kinds = dice.choice([(SourceKind.PV,), (SourceKind.BATTERY,), tuple(SourceKind)])
    return tuple(
        Circuit(
            id=f"source{n}",
            name=f"Source {n}",
            spaces=(75 + n,),
            legs=(0, 1),
            breaker=Breaker(40.0, 2),
            role=Role.MONITORED,
            armed=False,
            tier=0,
            demand_a=0.0,
            currents=tuple(LegMeter(leg, PointRef("meter", f"source{n}_{leg}")) for leg in (0, 1)),
            power=tuple(PointRef("meter", f"source{n}_w{leg}") for leg in (0, 1)),
            energy=_points(dice, 0.5, f"source{n}", "wh", 1),
            source=Source(kind, dice.choice([0.0, 0.5, 1.0]), dice.choice([2.0, 20.0])),
        )
        for n, kind in enumerate(kinds)
    )


def _feeders(dice: Random, circuits: list[str]) -> tuple[Feeder, ...]:
    if dice.random() < 0.6:
        return ()
    behind = tuple(ident for ident in circuits if dice.random() < 0.4)
    metered = dice.random() < 0.6
    legs = dice.choice([(0, 1), (0, 1), (1,)])
    points = tuple(PointRef("meter", f"sub_{leg}") for leg in legs) if metered else ()
    setting_a = dice.choice([None, 40.0])
    curve = _curve(dice, 0.3)
    return (Feeder("sub", legs, Breaker(60.0, 2, curve=curve), behind, points, setting_a),)


def _backup(dice: Random, main_a: float, sources: tuple[Circuit, ...]) -> Backup | None:
    batteries = [c for c in sources if c.source and c.source.kind is SourceKind.BATTERY]
    if batteries or dice.random() < 0.6:
        return None
    inverter_w = int(main_a * 100) if dice.random() < 0.5 else None
    return Backup(main_a * 0.5, dice.randrange(1, 6), inverter_w)


def _tank(node: str) -> HeatSink:
    return HeatSink((node,), 4_000, 8_000, PointRef("meter", "tank"), 65.0, 5.0, 30.0)
