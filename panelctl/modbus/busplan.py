"""The bus plan of a panel: every link's reads, their time, and whether the cycle has room.

The fast lane (mains and modulated loads' own meters) is read in every cycle; the slow lane gets
what is left, and one full sweep of it has to fit `branch_sweep_s`. Energy counters come last: one
read of them ends each sweep. Room is kept for the writes.

On a line one question follows the other, and a device that needs a pause is asked no sooner; behind
one address units are asked side by side. The times are those of the maps; what they are in truth a
lane learns, and it is told where they differ (docs/reference/control-socket.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from panelctl.modbus.maps import RegisterMap, load_map
from panelctl.modbus.plan import Block, plan_blocks
from panelctl.modbus.rounds import Asking, round_ns
from panelctl.modbus.shapes import other_shapes, reply_shape
from panelctl.modbus.wire import Wire
from panelctl.model.circuit import Role
from panelctl.model.panel import Device, Link, Panel
from panelctl.model.slots import Slot, Slots
from panelctl.units import NS_PER_MS

RELAY_WRITES_A_CYCLE = 2  # a shed moves few relays at once; each is written and read back
# Of a cycle: the loop waits no longer for the fast lane, and no plan may need more.
FAST_RATIO = 0.75
FULL = 0.9  # a plan that needs more of the cycle than this has no room for a single lost reply
RATES_HZ = [n / 2 for n in range(40, 1, -1)]


@dataclass(frozen=True, slots=True)
class PlannedRead:
    """One read of the plan: the device, the block, and which image slot each point fills."""

    device: Device
    map: RegisterMap
    block: Block
    slots: tuple[tuple[int, Slot], ...]
    wire_ns: int


@dataclass(frozen=True, slots=True)
class LinkPlan:
    """The reads of one link and the worst wire time they and the writes take. Times in ns."""

    link: Link
    wire: Wire
    fast: tuple[PlannedRead, ...]
    slow: tuple[PlannedRead, ...]
    counters: tuple[PlannedRead, ...]
    fast_ns: int
    sweep_ns: int
    write_ns: int
    period_ns: int
    sweep_due_ns: int

    @property
    def longest_slow_ns(self) -> int:
        """The longest slow read: what a write may have to wait for."""
        return max((read.wire_ns for read in (*self.slow, *self.counters)), default=0)

    @property
    def cycle_ratio(self) -> float:
        """Share of the cycle that the fast lane, the writes and one slow read take."""
        return (self.fast_ns + self.write_ns + self.longest_slow_ns) / self.period_ns

    @property
    def sweep_ratio(self) -> float:
        """Share of the time left over in a sweep period that the slow lane takes."""
        cycles = self.sweep_due_ns / self.period_ns
        left_ns = cycles * (self.period_ns - self.fast_ns - self.write_ns)
        if left_ns <= 0:
            return float("inf")
        return self.sweep_ns / left_ns if self.sweep_ns else 0.0

    @property
    def fast_ratio(self) -> float:
        """Share of the cycle that the fast lane takes."""
        return self.fast_ns / self.period_ns

    @property
    def fits(self) -> bool:
        """Whether this link can keep the cadence."""
        shares = (self.cycle_ratio, self.sweep_ratio)
        return self.fast_ratio <= FAST_RATIO and max(shares) <= FULL

    @property
    def highest_hz(self) -> float | None:
        """The highest cycle rate that this link can keep, in steps of half a Hz; None for none."""
        for rate_hz in RATES_HZ:
            if replace(self, period_ns=int(1e9 / rate_hz)).fits:
                return rate_hz
        return None


def wire_of(link: Link) -> Wire:
    """The wire of a link."""
    if link.rtu:
        return Wire.rtu(link.baud, link.parity, link.stop_bits, link.silence_us)
    return Wire.tcp()


def plan_bus(panel: Panel) -> list[LinkPlan]:
    """The plan of every link. Raises ConfigError when a point is not in its device's map."""
    known = Slots(panel)
    slots = list(enumerate(known.read))
    in_every_cycle = _fast_slots(panel, known)
    period_ns = int(1e9 / panel.timing.rate_hz)
    plans = []
    for link in panel.links:
        wire = wire_of(link)
        fast: list[PlannedRead] = []
        slow: list[PlannedRead] = []
        counters: list[PlannedRead] = []
        write_ns = 0
        for device in panel.devices:
            if device.link != link.name:
                continue
            mine = [(n, slot) for n, slot in slots if slot.source.device == device.name]
            quick = [(n, slot) for n, slot in mine if n in in_every_cycle]
            counted = [(n, slot) for n, slot in mine if slot.unit == "wh"]
            rest = [pair for pair in mine if pair not in quick and pair not in counted]
            fast += _reads(device, quick, wire)
            slow += _reads(device, rest, wire)
            counters += _reads(device, counted, wire)
            write_ns += _writes_ns(panel, device, wire)
        plans.append(
            LinkPlan(
                link=link,
                wire=wire,
                fast=tuple(fast),
                slow=tuple(_spread(slow)),
                counters=tuple(counters),
                fast_ns=_takes_ns(link, wire, fast),
                sweep_ns=_takes_ns(link, wire, slow)
                + max((read.wire_ns for read in counters), default=0),
                write_ns=write_ns,
                period_ns=period_ns,
                sweep_due_ns=int(min(panel.timing.branch_sweep_s, panel.timing.readback_s) * 1e9),
            )
        )
    return plans


def _takes_ns(link: Link, wire: Wire, reads: Sequence[PlannedRead]) -> int:
    """How long a round of these reads takes, ns."""
    if not reads:
        return 0
    by_unit: dict[str, int] = {}
    for read in reads:
        gap_ns = int(read.device.gap_ms * NS_PER_MS)
        by_unit[read.device.name] = by_unit.get(read.device.name, 0) + read.wire_ns + gap_ns
    last_gap_ns = min(int(read.device.gap_ms * NS_PER_MS) for read in reads)
    longest_ns = max(by_unit.values()) - last_gap_ns  # the last pause falls into the next round
    if link.rtu:
        return max(sum(read.wire_ns for read in reads), longest_ns)
    return max(round_ns([_asking(read) for read in reads], link.inflight), longest_ns)


def _asking(read: PlannedRead) -> Asking:
    others = other_shapes(read.map, read.block.ways)
    return Asking(
        unit=read.device.unit,
        shapes=tuple(reply_shape(way) for way in read.block.ways),
        others=tuple(reply_shape(span) for span in others),
        takes_ns=read.wire_ns,
        gap_ns=int(read.device.gap_ms * NS_PER_MS),
    )


def _fast_slots(panel: Panel, slots: Slots) -> set[int]:
    found = {*slots.mains.currents, *slots.mains.powers}
    for circuit in panel.circuits:
        # What a source gives is taken with the mains: of one time, or the sum is of none.
        if circuit.role is Role.MODULATED or circuit.source is not None:
            found |= {*slots.circuit(circuit.id).currents, *slots.circuit(circuit.id).powers}
    # A feeder is decided on like the mains: its reading and its loads' must be of one time.
    for feeder in panel.feeders:
        found |= set(slots.feeder(feeder.id).currents)
    return found


def _reads(device: Device, slots: Sequence[tuple[int, Slot]], wire: Wire) -> list[PlannedRead]:
    known = load_map(device.map)
    by_point: dict[str, list[tuple[int, Slot]]] = {}
    for n, slot in slots:
        by_point.setdefault(slot.source.point, []).append((n, slot))
    turnround_ns = int(device.turnround_ms * 1e6)
    return [
        PlannedRead(
            device=device,
            map=known,
            block=block,
            slots=tuple(pair for p in block.points for pair in by_point.get(p.name, ())),
            wire_ns=wire.read_ns(block.span.table, block.span.count, turnround_ns),
        )
        for block in plan_blocks(known, list(by_point), wire)
    ]


def _writes_ns(panel: Panel, device: Device, wire: Wire) -> int:
    """Wire time of the writes to a device in a busy cycle, read-backs included."""
    turnround_ns = int(device.turnround_ms * 1e6)
    total = 0
    if any(c.setpoint_device == device.name for c in panel.circuits):
        total += wire.write_ns(turnround_ns, 9 + 2 * 5 + 8)
    boards = {c.relay_device for c in panel.circuits if c.relay_device}
    if device.name in boards and device.name == min(
        d.name for d in panel.devices if d.link == device.link and d.name in boards
    ):
        back = wire.read_ns("discrete", 8, turnround_ns)
        total += RELAY_WRITES_A_CYCLE * (wire.write_ns(turnround_ns) + back)
    return total


def _spread(reads: list[PlannedRead]) -> list[PlannedRead]:
    """The reads in an order in which one unit is not asked twice running in the same length."""
    left = list(reads)
    result: list[PlannedRead] = []
    while left:
        last = result[-1] if result else None
        for read in left:
            if (
                last is None
                or read.device.unit != last.device.unit
                or read.block.span.count != last.block.span.count
            ):
                break
        else:
            read = left[0]
        left.remove(read)
        result.append(read)
    return result
