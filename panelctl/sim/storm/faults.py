"""The catalogue of faults: what can go wrong around a panel, and what is not expected then.

Every kind begins on a target and is undone by what its beginning returns. Kinds are independent:
several may run at once, on one target too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from panelctl.sim.storm import device_faults as device
from panelctl.sim.storm import house_faults as house
from panelctl.sim.storm import load_faults as load
from panelctl.sim.storm import order_faults as order
from panelctl.sim.storm import targets as at
from panelctl.sim.storm import wire_faults as wire
from panelctl.sim.storm.strike import Strike, Undo
from panelctl.sim.storm.world import World


class Spoils(StrEnum):
    """What a fault takes away while it lasts."""

    NOTHING = "nothing"  # everything has to hold as if it were not there
    LINK = "link"  # the target device cannot be relied on to be read and written
    METER = "meter"  # what the target device shows is not true
    SLOW = "slow"  # what the target device shows is of a while ago
    RELAY = "relay"  # the target circuit's relay does not do what it is told
    NODE = "node"  # the compute node does not do what it is told
    HOST = "host"  # the controller does not run
    GRID = "grid"  # a limit is changing, or there is no power


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault: how long it lasts at most (s), where it may strike, how it begins. `open`:
    the controller does not pass it yet (docs/explanation/reliability.md says why), so that it is
    drawn only where it is named.
    """

    spoils: Spoils
    longest_s: float
    targets: Callable[[World], list[str]]
    begin: Callable[[World, Strike], Undo]
    open: bool = False


KINDS: dict[str, Kind] = {
    "late": Kind(Spoils.LINK, 30, at.devices, wire.reply("late", 3000)),
    "lost": Kind(Spoils.LINK, 60, at.devices, wire.reply("dead")),
    "duplicate": Kind(Spoils.LINK, 60, at.devices, wire.reply("duplicate")),
    "garbled": Kind(Spoils.LINK, 30, at.devices, wire.reply("garbled")),
    "foreign": Kind(Spoils.LINK, 30, at.devices, wire.reply("foreign")),
    "short": Kind(Spoils.LINK, 30, at.devices, wire.reply("short")),
    "noise": Kind(Spoils.LINK, 60, at.devices, wire.reply("noise")),
    "echo": Kind(Spoils.LINK, 60, at.devices, wire.reply("echo")),
    "busy": Kind(Spoils.LINK, 20, at.devices, wire.reply("refuse", code=6)),
    "refused": Kind(Spoils.LINK, 30, at.devices, wire.reply("refuse", code=4)),
    "slower": Kind(Spoils.LINK, 30, at.devices, wire.reply("slower", 20)),
    "repeat": Kind(Spoils.LINK, 60, at.devices, wire.repeat),
    "every_eighth_late": Kind(Spoils.LINK, 60, at.devices, wire.just_too_late(8)),
    "late_always": Kind(Spoils.LINK, 30, at.devices, wire.just_too_late(1)),
    "drip": Kind(Spoils.LINK, 30, at.devices, wire.drip),
    "block_refused": Kind(Spoils.LINK, 60, at.devices, wire.block_refused),
    "shift": Kind(Spoils.LINK, 30, at.tcp, wire.shift),
    "stamped": Kind(Spoils.LINK, 30, at.networked, wire.stamped),
    "cable_out": Kind(Spoils.LINK, 60, at.links, wire.cable_out),
    "reset": Kind(Spoils.LINK, 20, at.tcp, wire.reset),
    "standstill": Kind(Spoils.LINK, 20, at.tcp, wire.standstill),
    "half_open": Kind(Spoils.LINK, 5, at.tcp, wire.half_open),
    "pieces": Kind(Spoils.NOTHING, 120, at.rtu, wire.pieces),
    "two_masters": Kind(Spoils.LINK, 20, at.rtu, wire.two_masters),
    "echo_adapter": Kind(Spoils.NOTHING, 60, at.rtu, wire.echo_adapter),
    "hiss": Kind(Spoils.LINK, 20, at.rtu, wire.hiss),
    "settle": Kind(Spoils.LINK, 20, at.links, wire.settle),
    "frozen": Kind(Spoils.METER, 120, at.meters, device.frozen),
    "zero": Kind(Spoils.METER, 60, at.meters, device.spoil(device.zero)),
    "nan": Kind(Spoils.METER, 60, at.meters, device.spoil(device.nan)),
    "swapped": Kind(Spoils.METER, 60, at.meters, device.swapped),
    "reversed": Kind(Spoils.METER, 120, at.meters, device.spoil(device.reversed)),
    "ct_off": Kind(Spoils.METER, 120, at.meters, device.spoil(device.ct_off)),
    "phantom": Kind(Spoils.NOTHING, 300, at.meters, device.spoil(device.phantom)),
    "wrapped": Kind(Spoils.NOTHING, 120, at.counting, device.spoil(device.counter_wraps)),
    "own_clock": Kind(Spoils.METER, 60, at.meters, device.own_clock),
    "renews_seldom": Kind(Spoils.SLOW, 120, at.meters, device.measures(device.seldom), open=True),
    "averages": Kind(Spoils.SLOW, 120, at.meters, device.measures(device.averages), open=True),
    "smooths": Kind(Spoils.SLOW, 120, at.meters, device.measures(device.smooths), open=True),
    "shows_old": Kind(Spoils.SLOW, 120, at.meters, device.measures(device.shows_old), open=True),
    "renews_apart": Kind(Spoils.SLOW, 120, at.meters, device.measures(device.apart), open=True),
    "deadband": Kind(Spoils.NOTHING, 300, at.meters, device.measures(device.deadband)),
    "coarse_digits": Kind(Spoils.NOTHING, 300, at.meters, device.measures(device.coarse)),
    "welded": Kind(Spoils.RELAY, 300, at.relays, device.welded),
    "stuck_open": Kind(Spoils.RELAY, 300, at.relays, device.stuck_open),
    "slow_relay": Kind(Spoils.NOTHING, 300, at.relays, device.slow_relay),
    "chatter": Kind(Spoils.RELAY, 10, at.relays, device.chatter),
    "board_reset": Kind(Spoils.RELAY, 5, at.boards, device.board_reset),
    "writes_refused": Kind(Spoils.LINK, 60, at.written, order.writes("refuse")),
    "writes_lost": Kind(Spoils.LINK, 60, at.written, order.writes("dead")),
    "writes_ignored": Kind(Spoils.LINK, 60, at.boards, order.writes("ignored")),
    "somebody_switches": Kind(Spoils.RELAY, 60, at.relays, order.somebody_switches),
    "board_reboots": Kind(Spoils.LINK, 15, at.boards, order.board_reboots),
    "charger_keeps": Kind(Spoils.LINK, 60, at.chargers, order.charger_keeps),
    "charger_forgets": Kind(Spoils.LINK, 120, at.chargers, order.charger_forgets),
    "charger_anew": Kind(Spoils.LINK, 15, at.chargers, order.charger_anew),
    "somebody_sets": Kind(Spoils.LINK, 60, at.chargers, order.somebody_sets),
    "node_ignores": Kind(Spoils.NODE, 60, at.nodes, device.node_ignores),
    "node_lingers": Kind(Spoils.NOTHING, 120, at.nodes, device.node_lingers),
    "node_slow": Kind(Spoils.NODE, 120, at.nodes, device.node_slow),
    "node_oscillates": Kind(Spoils.NODE, 60, at.nodes, device.node_oscillates),
    "node_dies": Kind(Spoils.NODE, 60, at.nodes, device.node_dies),
    "node_lies": Kind(Spoils.NOTHING, 120, at.nodes, device.node_lies),
    "node_late": Kind(Spoils.NODE, 120, at.nodes, load.node("late_s", lambda x: 0.1 + 1.9 * x)),
    "node_boots": Kind(
        Spoils.NOTHING, 600, at.nodes, load.node("boots_s", lambda x: 30.0 + 150.0 * x)
    ),
    "car_takes_more": Kind(
        Spoils.NOTHING, 300, at.cars, load.car("takes_ratio", lambda x: 1.0 + 0.1 * x), open=True
    ),
    "car_starts_late": Kind(
        Spoils.NOTHING, 300, at.cars, load.car("starts_s", lambda x: 2.0 + 58.0 * x)
    ),
    "car_ramps": Kind(
        Spoils.NOTHING, 300, at.cars, load.car("ramp_a_per_s", lambda x: 0.5 + 4.5 * x)
    ),
    "car_holds": Kind(Spoils.NOTHING, 120, at.cars, load.car("holds_a", lambda x: 6.0)),
    "car_leaves": Kind(Spoils.NOTHING, 120, at.cars, load.car_leaves),
    "pulses": Kind(Spoils.NOTHING, 120, at.appliances, load.alone(load.pulses)),
    "thermostat": Kind(Spoils.NOTHING, 300, at.appliances, load.alone(load.thermostat)),
    "compressor": Kind(Spoils.NOTHING, 300, at.appliances, load.alone(load.compressor)),
    "inrush": Kind(Spoils.NOTHING, 1, at.plain, house.inrush),
    "overload": Kind(Spoils.NOTHING, 120, at.watched, house.overload),
    "motor_train": Kind(Spoils.NOTHING, 10, at.panel, house.motor_train),
    "all_on": Kind(Spoils.NOTHING, 1, at.panel, house.all_on),
    "outage": Kind(Spoils.GRID, 60, at.panel, house.outage),
    "blackout": Kind(Spoils.GRID, 60, at.panel, house.blackout),
    "sag": Kind(Spoils.GRID, 60, at.panel, house.sag),
    "limit": Kind(Spoils.NOTHING, 120, at.panel, house.limit),
    "limit_tight": Kind(Spoils.NOTHING, 120, at.panel, house.limit_tight),
    "limit_lost": Kind(Spoils.NOTHING, 120, at.panel, house.limit_lost),
    "stall": Kind(Spoils.HOST, 1, at.panel, house.stall),
    "kill": Kind(Spoils.HOST, 1, at.panel, house.kill),
    "restart": Kind(Spoils.HOST, 1, at.panel, house.restart),
    "reload": Kind(Spoils.HOST, 3, at.panel, house.reload),
    "reload_wrong": Kind(Spoils.NOTHING, 1, at.panel, house.reload_wrong),
    "clock_step": Kind(Spoils.NOTHING, 1, at.panel, house.clock_step),
    "disk_full": Kind(Spoils.NOTHING, 300, at.panel, house.disk_full),
    "no_descriptors": Kind(Spoils.LINK, 10, at.panel, house.no_descriptors),
    "reader_stuck": Kind(Spoils.NOTHING, 300, at.panel, house.reader_stuck),
    "burst": Kind(Spoils.NOTHING, 5, at.panel, house.burst),
    "contradictory": Kind(Spoils.GRID, 20, at.panel, house.contradictory),
    "malformed": Kind(Spoils.NOTHING, 1, at.panel, house.malformed),
}
DRAWN = frozenset(name for name, kind in KINDS.items() if not kind.open)
