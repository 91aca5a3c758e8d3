"""Checkers of orders: what is ordered, what is and what people are told of it.

O1 what is shown of a relay is where it is, or that it is unknown, within 3 s
O2 no relay is called faulty that does as it is told
"""

from __future__ import annotations

from collections.abc import Callable

from panelctl.core.state.build import MOVES_MOST, MOVES_S
from panelctl.link.protocol import Cycle, read_message
from panelctl.model.record import CycleRecord
from panelctl.sim.plant import PlantCircuit
from panelctl.sim.storm.exemptions import Exemptions
from panelctl.sim.storm.figures import Figures, Found
from panelctl.sim.storm.setpoint_orders import SetpointOrders
from panelctl.sim.storm.strike import Strike
from panelctl.sim.storm.telling import (
    BEAT_S,
    JUDGED,
    RELAY,
    SETPOINT,
    TOLD_S,
    Telling,
)
from panelctl.sim.storm.world import World
from panelctl.units import ns_from_s

OLDEST_S = 5.0  # no reading is so old and counts: of a contact that stood so long it is right
SHOWN_S = 0.5  # so often a record is looked at as people would
LATELY_S = 12.0  # what a fault leaves behind is over by then
OF_RELAY = frozenset({"welded", "stuck_open", "chatter", "somebody_switches"})
OF_BOARD = frozenset({"writes_refused", "writes_ignored", "busy", "refused", "block_refused"})


class Obedience:
    """Compares orders, relays and what is said of them, with each record."""

    def __init__(
        self, world: World, exemptions: Exemptions, figures: Figures, found: Found
    ) -> None:
        self._world = world
        self._exemptions = exemptions
        self._figures = figures
        self._found = found
        self._app = world.app
        self.on_shown: Callable[[CycleRecord], None] = lambda record: None  # people look at it
        self._relays = {
            name: item
            for name, item in world.plant.circuits.items()
            if item.circuit.relay_device is not None and item.circuit.controlled
        }
        self._stale_ns = ns_from_s(world.panel.timing.branch_stale_s)
        self._telling = Telling(figures, found)
        self._setpoints = SetpointOrders(world, self._telling)
        self._stood: dict[str, tuple[bool | None, float]] = {}  # where a contact is, since when
        self._misread: set[str] = set()
        self._stalled_s = 0.0  # of the machine, so far
        self._shown_s = 0.0  # when one was looked at last
        self._wrong_s: dict[str, float] = {}  # since when a relay is shown where it is not
        self._ended_s: dict[tuple[str, str], float] = {}  # by kind and target

    def ends(self, strike: Strike) -> None:
        """A fault has ended."""
        self._ended_s[strike.kind, strike.target] = self._world.now_s

    def heard(self, line: bytes, record: CycleRecord | None) -> None:
        """A record has come: as a line, and read where it tells of events."""
        world = self._world
        app, now_s = world.app, world.now_s
        if app is None or not world.running:
            return
        if app is not self._app:  # it knows nothing of before, and reads its relays first
            self._app = app
            record = record or _read(line)
            self._telling.anew(record)
            self._setpoints.anew()
            self._wrong_s.clear()
        elif world.stalled_s > self._stalled_s:
            self._telling.stood_still(world.stalled_s - self._stalled_s)
        self._stalled_s = world.stalled_s
        for event in record["events"] if record is not None else ():
            if event["what"] == "fault" and event.get("text") in JUDGED:
                self._judge(event.get("circuit", ""), str(event["text"]))
        if record is not None:
            self._telling.events(record["events"], now_s)
        unheard = [name for name, item in self._relays.items() if self._unheard(name, item, now_s)]
        for name in unheard:
            record = record or _read(line)
            relay = next(c["relay"] for c in record["circuits"] if c["id"] == name)
            self._telling.see((name, RELAY), relay == "UNKNOWN", now_s)
        for name in self._setpoints.unheard(now_s):
            record = record or _read(line)
            self._telling.see((name, SETPOINT), self._out_of_sight(name, record), now_s)
        if record is not None or now_s - self._shown_s >= SHOWN_S:
            self._shown_s = now_s
            shown = record or _read(line)
            self._compare_shown(shown, now_s)
            self.on_shown(shown)

    def _unheard(self, name: str, item: PlantCircuit, now_s: float) -> bool:
        """Whether a relay is not where it is ordered, and nobody has heard of it for a while."""
        assert self._app is not None
        engine, order = self._app.engine, (name, RELAY)
        ordered, closed = engine.state.closed[engine.index[name]], _closed(item)
        self._compare_read(name, item, now_s)
        if ordered < 0 or bool(ordered) == closed:
            self._telling.follows(order)
            return False
        return self._telling.does_not(order, now_s, now_s)

    def _out_of_sight(self, name: str, record: CycleRecord) -> bool:
        """Whether people see that the device of this circuit's set-point says nothing, or that what
        it draws is not known.
        """
        fresh = next(c["fresh"] for c in record["circuits"] if c["id"] == name)
        if not fresh and name in self._setpoints.by_draw:
            return True
        device = self._world.plant.circuits[name].circuit.setpoint_device
        for link in record["links"].values():
            if device in link["devices"]:
                mute = link["devices"][device]["state"] in ("SILENT", "STRANGER")
                return mute or link["state"] == "DOWN"
        return False

    def _compare_read(self, name: str, item: PlantCircuit, now_s: float) -> None:
        """Whether a good read-back is right: of a contact that has stood for long it has to be."""
        assert self._app is not None
        image, slot = self._app.engine.image, self._app.engine.slots.circuit(name).relay
        seen = item.contact.closed if item.circuit.shows_contact else item.contact.ordered
        if seen != self._stood.get(name, (None, 0.0))[0]:
            self._stood[name] = (seen, now_s)
        if any(s.kind == "chatter" and s.target == name for s in self._exemptions.active):
            self._stood[name] = (None, now_s)  # it moves faster than anybody looks
        known = image.good(slot, self._world.loop.now_ns, self._stale_ns)
        if not known or (image.value[slot] != 0) == seen:
            self._misread.discard(name)
        elif now_s - self._stood[name][1] > OLDEST_S and name not in self._misread:
            self._misread.add(name)
            self._found("V1", f"the relay of {name} is read wrongly")

    def _compare_shown(self, record: CycleRecord, now_s: float) -> None:
        """Whether what people see of each relay is where it is."""
        for circuit in record["circuits"]:
            name, shown = circuit["id"], circuit["relay"]
            item = self._relays.get(name)
            if item is None:
                continue
            if shown == "UNKNOWN" or (shown == "CLOSED") == _closed(item):
                self._wrong_s.pop(name, None)
            elif now_s - self._wrong_s.setdefault(name, now_s) > TOLD_S + BEAT_S:
                self._figures.shown_wrong += 1
                self._wrong_s[name] = now_s
                self._found("O1", f"{name} is shown {shown}, and is not")

    def _judge(self, name: str, fault: str) -> None:
        """Whether anything gave cause to call this relay faulty."""
        circuit = self._relays[name].circuit
        meters = {meter.current.device for meter in circuit.currents}
        if fault == "WELDED" and meters & self._exemptions.lying:
            return
        now_s, board = self._world.now_s, str(circuit.relay_device)
        active = {(s.kind, s.target) for s in self._exemptions.active}
        active |= {place for place, at_s in self._ended_s.items() if now_s - at_s < LATELY_S}
        if any(
            (kind in OF_RELAY and target == name) or (kind in OF_BOARD and target == board)
            for kind, target in active
        ):
            return
        moves = [at_s for at_s, name_of in self._world.resets if name_of == board]
        moves += self._world.switched.get(name, ())
        chattered_s = self._ended_s.get(("chatter", name))
        if fault == "MOVED" and chattered_s is not None and now_s - chattered_s < 2 * MOVES_S:
            return  # it moved more often than anybody counted
        if fault == "MOVED" and sum(now_s - at_s < 2 * MOVES_S for at_s in moves) > MOVES_MOST:
            return
        self._figures.false_faults += 1
        self._found("O2", f"{name} is called {fault}, and does as it is told")


def _closed(item: PlantCircuit) -> bool:
    """Where a contact is, as far as anybody can know: of a board that shows only what it was told
    the rest is known by current.
    """
    if item.circuit.shows_contact:
        return item.contact.closed
    return item.contact.ordered or item.current_a > item.circuit.noise_a


def _read(line: bytes) -> CycleRecord:
    message = read_message(line)
    assert isinstance(message, Cycle)
    return message.record
