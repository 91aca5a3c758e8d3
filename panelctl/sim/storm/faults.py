"""The catalogue of faults: what can go wrong around a panel, and how a world does it.

Every kind begins on a target and is undone by what its beginning returns. `Spoils` says what a
checker may not expect meanwhile. Kinds are independent: several may run at once, on one target too.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from panelctl.modbus.maps import Point
from panelctl.model.circuit import Role
from panelctl.sim.devices import SimMeter, SimNode, SimRelayBoard
from panelctl.sim.network import Door
from panelctl.sim.plant import PlantCircuit
from panelctl.sim.server import Fault
from panelctl.sim.storm.strike import Strike
from panelctl.sim.storm.world import World

Undo = Callable[[], None]


class Spoils(StrEnum):
    """What a fault takes away while it lasts."""

    NOTHING = "nothing"  # everything has to hold as if it were not there
    LINK = "link"  # the target device cannot be relied on to be read and written
    METER = "meter"  # what the target device shows is not true
    RELAY = "relay"  # the target circuit's relay does not do what it is told
    NODE = "node"  # the compute node does not do what it is told
    HOST = "host"  # the controller does not run
    GRID = "grid"  # a limit is changing, or there is no power


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault: how long it lasts at most (s), where it may strike, how it begins."""

    spoils: Spoils
    longest_s: float
    targets: Callable[[World], list[str]]
    begin: Callable[[World, Strike], Undo]


# -- targets --------------------------------------------------------------------------------------


def _devices(world: World) -> list[str]:
    return list(world.devices)


def _meters(world: World) -> list[str]:
    return [n for n, d in world.devices.items() if type(d) is SimMeter]


def _counting(world: World) -> list[str]:
    panel = world.panel
    points = [p for c in panel.circuits for p in c.energy]
    points += [p for p in (panel.service.import_energy, panel.service.export_energy) if p]
    return sorted({point.device for point in points})


def _rtu(world: World) -> list[str]:
    return list(world.lines)


def _tcp(world: World) -> list[str]:
    return list(world.hosts)


def _links(world: World) -> list[str]:
    return [*world.lines, *world.hosts]


def _boards(world: World) -> list[str]:
    return [n for n, d in world.devices.items() if isinstance(d, SimRelayBoard)]


def _relays(world: World) -> list[str]:
    return [c.id for c in world.panel.circuits if c.relay_device is not None and c.controlled]


def _nodes(world: World) -> list[str]:
    return [n for n, item in world.plant.circuits.items() if item.node is not None]


def _plain(world: World) -> list[str]:
    return [
        n
        for n, item in world.plant.circuits.items()
        if item.circuit.role is Role.SWITCHED and item.node is None and item.charger is None
    ]


def _watched(world: World) -> list[str]:
    circuits = world.plant.circuits
    return [n for n in _plain(world) if circuits[n].circuit.breaker.curve is not None]


def _panel(world: World) -> list[str]:
    return ["panel"]


# -- links ----------------------------------------------------------------------------------------


def _reply(kind: str, most_ms: float = 0.0, code: int = 4) -> Callable[[World, Strike], Undo]:
    """A fault of every reply of a device."""

    def begin(world: World, strike: Strike) -> Undo:
        device = world.devices[strike.target].device
        wire = world.wire(device.link)
        faults = wire.faults[device.unit]
        fault = Fault(kind, -1, round(most_ms * strike.amount**2 + 1.0, 3), code)
        faults.append(fault)

        def undo() -> None:
            if fault in faults:
                faults.remove(fault)

        return undo

    return begin


def _cable_out(world: World, strike: Strike) -> Undo:
    if strike.target in world.lines:
        line = world.lines[strike.target]
        line.pull()

        def plug() -> None:
            line.cut = False

        return plug
    host = world.hosts[strike.target]
    host.host.door = Door.SILENT
    host.darken()
    return lambda: _open_door(host.host)


def _open_door(host: object) -> None:
    host.door = Door.OPEN  # type: ignore[attr-defined]  # a Host


def _reset(world: World, strike: Strike) -> Undo:
    host = world.hosts[strike.target]
    host.host.door = Door.REFUSED
    host.reset()
    return lambda: _open_door(host.host)


def _half_open(world: World, strike: Strike) -> Undo:
    world.hosts[strike.target].darken()
    return _nothing


def _pieces(world: World, strike: Strike) -> Undo:
    line = world.lines[strike.target]
    line.fifo = 1 + int(15 * strike.amount)

    def undo() -> None:
        line.fifo = 0

    return undo


def _two_masters(world: World, strike: Strike) -> Undo:
    """Somebody else asks on the line, without minding us."""
    line = world.lines[strike.target]
    gap_s = 0.03 + 0.4 * strike.amount
    running = [True]
    request = bytes.fromhex("630300000001")  # unit 99, a read; its checksum follows
    frame = request + bytes.fromhex("8c48")

    def speak() -> None:
        if running[0] and not line.cut:
            line.speak(frame)
        if running[0]:
            world.loop.call_later(gap_s, speak)

    speak()
    return lambda: running.__setitem__(0, False)


# -- meters ---------------------------------------------------------------------------------------


def _meter(world: World, strike: Strike) -> SimMeter:
    device = world.devices[strike.target]
    assert isinstance(device, SimMeter)
    return device


def _frozen(world: World, strike: Strike) -> Undo:
    meter = _meter(world, strike)
    meter.frozen = True
    return lambda: setattr(meter, "frozen", False)


def _swapped(world: World, strike: Strike) -> Undo:
    meter = _meter(world, strike)
    meter.swapped = True
    return lambda: setattr(meter, "swapped", False)


def _own_clock(world: World, strike: Strike) -> Undo:
    meter = _meter(world, strike)
    before_s, meter.window_s = meter.window_s, 0.1 + 0.9 * strike.amount
    return lambda: setattr(meter, "window_s", before_s)


def _spoil(change: Callable[[Point, float, float], float]) -> Callable[[World, Strike], Undo]:
    """A meter that shows something else."""

    def begin(world: World, strike: Strike) -> Undo:
        meter = _meter(world, strike)

        def spoil(point: Point, value: float) -> float:
            return change(point, value, strike.amount)

        meter.spoil = spoil

        def undo() -> None:
            if meter.spoil is spoil:
                meter.spoil = None

        return undo

    return begin


def _zero(point: Point, value: float, amount: float) -> float:
    return 0.0


def _nan(point: Point, value: float, amount: float) -> float:
    return float("nan")


def _reversed(point: Point, value: float, amount: float) -> float:
    return -value if point.unit == "W" else value


def _ct_off(point: Point, value: float, amount: float) -> float:
    """One transformer has come off: the first leg's, or every second channel's."""
    odd = any(point.name.startswith(f"{head}1_") for head in ("l", "ch", "g"))
    return 0.0 if odd and point.unit in ("A", "W") else value


def _counter_wraps(point: Point, value: float, amount: float) -> float:
    return value % (10.0 + 1_000.0 * amount) if point.unit == "Wh" else value


# -- relays ---------------------------------------------------------------------------------------


def _welded(world: World, strike: Strike) -> Undo:
    contact = world.plant.circuits[strike.target].contact
    contact.welded = True
    return lambda: setattr(contact, "welded", False)


def _stuck_open(world: World, strike: Strike) -> Undo:
    contact = world.plant.circuits[strike.target].contact
    contact.stuck_open = True
    return lambda: setattr(contact, "stuck_open", False)


def _slow_relay(world: World, strike: Strike) -> Undo:
    contact = world.plant.circuits[strike.target].contact
    before_s, contact.takes_s = contact.takes_s, 0.05 + 0.4 * strike.amount
    return lambda: setattr(contact, "takes_s", before_s)


def _chatter(world: World, strike: Strike) -> Undo:
    contact = world.plant.circuits[strike.target].contact
    running = [True]

    def flip() -> None:
        if not running[0]:
            return
        world.look()
        if contact.ordered:
            contact.closed = not contact.closed
        world.loop.call_later(0.05 + 0.3 * strike.amount, flip)

    flip()
    return lambda: running.__setitem__(0, False)


def _board_reset(world: World, strike: Strike) -> Undo:
    """The board starts anew: every output as it is delivered."""
    board = world.devices[strike.target]
    assert isinstance(board, SimRelayBoard)
    world.look()
    for contact in board.contacts.values():
        contact.order(strike.amount < 0.5)
    world.resets.append((world.now_s, strike.target))
    return _nothing


# -- the compute node -----------------------------------------------------------------------------


def _node_ignores(world: World, strike: Strike) -> Undo:
    node = _node(world, strike)
    node.ignores = True
    return lambda: setattr(node, "ignores", False)


def _node_slow(world: World, strike: Strike) -> Undo:
    node = _node(world, strike)
    before_s, node.tau_s = node.tau_s, 0.12 + 0.6 * strike.amount
    return lambda: setattr(node, "tau_s", before_s)


def _node_oscillates(world: World, strike: Strike) -> Undo:
    node = _node(world, strike)
    running = [True]

    def flip() -> None:
        if running[0]:
            node.jobs_ratio = 0.0 if node.jobs_ratio > 0.5 else 1.0
            world.loop.call_later(0.2 + 1.5 * strike.amount, flip)

    flip()

    def undo() -> None:
        running[0] = False
        node.jobs_ratio = 1.0

    return undo


def _node_dies(world: World, strike: Strike) -> Undo:
    """It is off and says nothing; when it is back, it draws all it can for a moment."""
    node = _node(world, strike)
    device = next(n for n, d in world.devices.items() if isinstance(d, SimNode) and d.node is node)
    answer = _reply("dead")(world, Strike(strike.at_s, strike.for_s, "", device, 0.0))
    node.dead = True

    def undo() -> None:
        world.look()
        answer()
        node.dead = False
        if strike.amount > 0.5:
            node.ignores = True
            world.loop.call_later(0.8, lambda: setattr(node, "ignores", False))

    return undo


def _node_lies(world: World, strike: Strike) -> Undo:
    """What it says of itself is half of the truth; its circuit has a meter of its own."""
    device = next(n for n, d in world.devices.items() if isinstance(d, SimNode))
    half = _spoil(lambda point, value, amount: value / 2)
    return half(world, Strike(strike.at_s, strike.for_s, "", device, strike.amount))


def _node(world: World, strike: Strike):  # type: ignore[no-untyped-def]  # Node, never None here
    node = world.plant.circuits[strike.target].node
    assert node is not None
    return node


# -- loads and the grid ---------------------------------------------------------------------------


def _start(world: World, item: PlantCircuit, times: float) -> None:
    """A motor starts: so many times its running power for 0.3 s."""
    running_w = item.demand_w
    most_w = item.breaker.rating_a * 7.0 * item.volts
    item.demand_w = min(running_w * times, most_w)
    raised_w = item.demand_w

    def run() -> None:
        if item.demand_w == raised_w:
            world.look()
            item.demand_w = running_w

    world.loop.call_later(0.3, run)


def _inrush(world: World, strike: Strike) -> Undo:
    item = world.plant.circuits[strike.target]
    world.look()
    if item.demand_w < 500.0:
        item.demand_w = item.breaker.rating_a * 0.4 * item.volts
    _start(world, item, 6.0)
    return _nothing


def _overload(world: World, strike: Strike) -> Undo:
    """More than its breaker carries for good, for as long as it lasts."""
    item = world.plant.circuits[strike.target]
    world.look()
    before_w = item.demand_w
    over_w = item.breaker.rating_a * (1.2 + 0.4 * strike.amount) * item.volts
    item.demand_w = over_w

    def undo() -> None:
        if item.demand_w == over_w:
            item.demand_w = before_w

    return undo


def _motor_train(world: World, strike: Strike) -> Undo:
    for n, name in enumerate(_plain(world)):
        item = world.plant.circuits[name]

        def go(item: PlantCircuit = item) -> None:
            world.look()
            item.demand_w = max(item.demand_w, item.breaker.rating_a * 0.3 * item.volts)
            _start(world, item, 5.0)

        world.loop.call_later(n * (0.2 + strike.amount), go)
    return _nothing


def _all_on(world: World, strike: Strike) -> Undo:
    world.look()
    world.household.everything()
    return _nothing


def _outage(world: World, strike: Strike) -> Undo:
    world.look()
    world.plant.grid = False

    def back() -> None:
        world.look()
        world.household.everything()
        world.plant.grid = True

    return back


def _sag(world: World, strike: Strike) -> Undo:
    before_v, world.plant.volts = world.plant.volts, 120.0 * (0.95 - 0.1 * strike.amount)
    return lambda: setattr(world.plant, "volts", max(before_v, 120.0))


def _limit(world: World, strike: Strike) -> Undo:
    limit_a = round(world.panel.service.control_setting_a * (0.4 + 0.6 * strike.amount), 1)
    expires_s = max(1.0, strike.for_s * 2)
    world.say(do="limit", id=f"limit{strike.at_s:.0f}", limit_a=limit_a, expires_s=expires_s)

    def undo() -> None:
        world.say(do="limit", id="none", limit_a=None, expires_s=60)

    return undo


def _limit_lost(world: World, strike: Strike) -> Undo:
    """An envelope for a while; then its source is silent."""
    limit_a = round(world.panel.service.control_setting_a * (0.3 + 0.6 * strike.amount), 1)
    windows = [
        {"start_s": 0, "end_s": max(2.0, strike.for_s), "limit_a": limit_a},
    ]
    world.say(do="envelope", id=f"doe{strike.at_s:.0f}", source="utility", windows=windows)
    return _nothing


# -- the host -------------------------------------------------------------------------------------


def _stall(world: World, strike: Strike) -> Undo:
    world.loop.stall(int((0.3 + 4.7 * strike.amount) * 1e9))
    return _nothing


def _kill(world: World, strike: Strike) -> Undo:
    world.restart(0.1 + 3.0 * strike.amount, orderly=False)
    return _nothing


def _reload(world: World, strike: Strike) -> Undo:
    world.restart(0.1 + strike.amount, orderly=True)
    return _nothing


def _clock_step(world: World, strike: Strike) -> Undo:
    world.clock.offset_s += 7200.0 * (strike.amount - 0.5)
    return _nothing


def _disk_full(world: World, strike: Strike) -> Undo:
    world.disk_full(True)
    return lambda: world.disk_full(False)


def _no_descriptors(world: World, strike: Strike) -> Undo:
    """Nothing can be opened anew, and every connection was just lost."""
    for line in world.lines.values():
        line.full = True
    for host in world.hosts.values():
        host.host.door = Door.FULL
        host.reset()

    def undo() -> None:
        for line in world.lines.values():
            line.full = False
        for host in world.hosts.values():
            host.host.door = Door.OPEN

    return undo


def _reader_stuck(world: World, strike: Strike) -> Undo:
    return world.stuck_reader()


# -- people ---------------------------------------------------------------------------------------


def _burst(world: World, strike: Strike) -> Undo:
    circuits = [c.id for c in world.panel.circuits]
    for n in range(200):
        do = ("open", "close")[n % 2] if strike.amount < 0.5 else "open"
        world.say(do=do, id=f"b{n}", circuit=circuits[n % len(circuits)])
    return lambda: _let_go(world)


def _contradictory(world: World, strike: Strike) -> Undo:
    running = [True]
    names = _relays(world) or ["none"]

    def speak(n: int = 0) -> None:
        if not running[0]:
            return
        name = names[n // 2 % len(names)]
        world.say(do=("open", "close")[n % 2], id=f"c{n}", circuit=name)
        world.say(do="limit", id=f"l{n}", limit_a=(None, 60)[n % 2], expires_s=30)
        world.say(do="tier", id=f"t{n}", circuit=name, tier=n % 100)
        world.loop.call_later(0.05 + 0.5 * strike.amount, speak, n + 1)

    speak()

    def undo() -> None:
        running[0] = False
        world.say(do="limit", id="none", limit_a=None, expires_s=60)
        _let_go(world)

    return undo


def _malformed(world: World, strike: Strike) -> Undo:
    for text in (
        b"\xff\xfe\x00",
        b"[]",
        b"{}" * 100,
        b'{"v":1,"do":"limit","id":"x","limit_a":1e400,"expires_s":5}',
        b'{"v":1,"do":"open","id":"x","circuit":"' + b"a" * 300 + b'"}',
        b'{"v":1,"do":"tier","id":"x","circuit":"dryer","tier":-1}',
        b'{"v":2,"do":"watch"}',
        json.dumps({"v": 1, "do": "envelope", "id": "x", "windows": [[]] * 9}).encode(),
        b"[" * 3000,
        b"x" * 5000,
    ):
        world.shout(text + b"\n")
    return _nothing


def _let_go(world: World) -> None:
    """People take back what they opened."""
    for name in _relays(world):
        world.say(do="close", id=f"again-{name}", circuit=name)


def _nothing() -> None:
    """Nothing to undo."""


KINDS: dict[str, Kind] = {
    "late": Kind(Spoils.LINK, 30, _devices, _reply("late", 3000)),
    "lost": Kind(Spoils.LINK, 60, _devices, _reply("dead")),
    "duplicate": Kind(Spoils.LINK, 60, _devices, _reply("duplicate")),
    "garbled": Kind(Spoils.LINK, 30, _devices, _reply("garbled")),
    "foreign": Kind(Spoils.LINK, 30, _devices, _reply("foreign")),
    "short": Kind(Spoils.LINK, 30, _devices, _reply("short")),
    "noise": Kind(Spoils.LINK, 60, _devices, _reply("noise")),
    "echo": Kind(Spoils.LINK, 60, _devices, _reply("echo")),
    "busy": Kind(Spoils.LINK, 20, _devices, _reply("refuse", code=6)),
    "refused": Kind(Spoils.LINK, 30, _devices, _reply("refuse", code=4)),
    "slower": Kind(Spoils.LINK, 30, _devices, _reply("slower", 20)),
    "cable_out": Kind(Spoils.LINK, 60, _links, _cable_out),
    "reset": Kind(Spoils.LINK, 20, _tcp, _reset),
    "half_open": Kind(Spoils.LINK, 5, _tcp, _half_open),
    "pieces": Kind(Spoils.NOTHING, 120, _rtu, _pieces),
    "two_masters": Kind(Spoils.LINK, 20, _rtu, _two_masters),
    "frozen": Kind(Spoils.METER, 120, _meters, _frozen),
    "zero": Kind(Spoils.METER, 60, _meters, _spoil(_zero)),
    "nan": Kind(Spoils.METER, 60, _meters, _spoil(_nan)),
    "swapped": Kind(Spoils.METER, 60, _meters, _swapped),
    "reversed": Kind(Spoils.METER, 120, _meters, _spoil(_reversed)),
    "ct_off": Kind(Spoils.METER, 120, _meters, _spoil(_ct_off)),
    "wrapped": Kind(Spoils.NOTHING, 120, _counting, _spoil(_counter_wraps)),
    "own_clock": Kind(Spoils.METER, 60, _meters, _own_clock),
    "welded": Kind(Spoils.RELAY, 300, _relays, _welded),
    "stuck_open": Kind(Spoils.RELAY, 300, _relays, _stuck_open),
    "slow_relay": Kind(Spoils.NOTHING, 300, _relays, _slow_relay),
    "chatter": Kind(Spoils.RELAY, 10, _relays, _chatter),
    "board_reset": Kind(Spoils.RELAY, 5, _boards, _board_reset),
    "node_ignores": Kind(Spoils.NODE, 60, _nodes, _node_ignores),
    "node_slow": Kind(Spoils.NODE, 120, _nodes, _node_slow),
    "node_oscillates": Kind(Spoils.NODE, 60, _nodes, _node_oscillates),
    "node_dies": Kind(Spoils.NODE, 60, _nodes, _node_dies),
    "node_lies": Kind(Spoils.NOTHING, 120, _nodes, _node_lies),
    "inrush": Kind(Spoils.NOTHING, 1, _plain, _inrush),
    "overload": Kind(Spoils.NOTHING, 120, _watched, _overload),
    "motor_train": Kind(Spoils.NOTHING, 10, _panel, _motor_train),
    "all_on": Kind(Spoils.NOTHING, 1, _panel, _all_on),
    "outage": Kind(Spoils.GRID, 60, _panel, _outage),
    "sag": Kind(Spoils.GRID, 60, _panel, _sag),
    "limit": Kind(Spoils.NOTHING, 120, _panel, _limit),
    "limit_lost": Kind(Spoils.NOTHING, 120, _panel, _limit_lost),
    "stall": Kind(Spoils.HOST, 1, _panel, _stall),
    "kill": Kind(Spoils.HOST, 1, _panel, _kill),
    "reload": Kind(Spoils.HOST, 1, _panel, _reload),
    "clock_step": Kind(Spoils.NOTHING, 1, _panel, _clock_step),
    "disk_full": Kind(Spoils.NOTHING, 300, _panel, _disk_full),
    "no_descriptors": Kind(Spoils.LINK, 10, _panel, _no_descriptors),
    "reader_stuck": Kind(Spoils.NOTHING, 300, _panel, _reader_stuck),
    "burst": Kind(Spoils.NOTHING, 5, _panel, _burst),
    "contradictory": Kind(Spoils.GRID, 20, _panel, _contradictory),
    "malformed": Kind(Spoils.NOTHING, 1, _panel, _malformed),
}
