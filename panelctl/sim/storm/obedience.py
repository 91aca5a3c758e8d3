"""Checkers of orders: what is ordered, what is and what people are told of it.

O1 what is shown of a relay is where it is, or that it is unknown, within 3 s
O2 no relay is called faulty that does as it is told
O3 an order that is not followed is told of within 3 s; a charger has its settling time besides
"""

from __future__ import annotations

from collections.abc import Callable

from panelctl.core.state.build import MOVES_MOST, MOVES_S
from panelctl.link.protocol import Cycle, read_message
from panelctl.model.record import CycleRecord, EventRecord
from panelctl.sim.plant import PlantCircuit
from panelctl.sim.storm.exemptions import Exemptions
from panelctl.sim.storm.figures import Figures, Found
from panelctl.sim.storm.strike import Strike
from panelctl.sim.storm.world import World
from panelctl.units import ns_from_s

TOLD_S = 3.0
CAR_RATIO, CAR_A = 0.10, 1.0  # so much more than it is told a charger may draw
OLDEST_S = 5.0  # no reading is so old and counts: of a contact that stood so long it is right
SHOWN_S = 0.5  # so often a record is looked at as people would
ASK_S = 1.5  # from then on each record is read for it
BEAT_S = 0.25  # between two records, and a step of the plant
LATELY_S = 12.0  # what a fault leaves behind is over by then
OF_RELAY = frozenset({"welded", "stuck_open", "chatter", "somebody_switches"})
OF_BOARD = frozenset({"writes_refused", "writes_ignored", "busy", "refused", "block_refused"})
JUDGED = frozenset({"WELDED", "STUCK_OPEN", "REFUSED_OPEN", "REFUSED_CLOSE", "MOVED"})
RELAY, SETPOINT = "relay", "set-point"
Order = tuple[str, str]  # the circuit, and which of the two


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
        self._chargers = {
            name: item
            for name, item in world.plant.circuits.items()
            if item.charger is not None and item.circuit.controlled
        }
        self._against_s: dict[Order, float] = {}  # since when an order is not followed, by circuit
        self._told: set[Order] = set()  # of these
        self._stood: dict[str, tuple[bool | None, float]] = {}  # where a contact is, since when
        self._misread: set[str] = set()
        self._shown_s = 0.0  # when a record was looked at last
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
            self._against_s.clear()
            self._wrong_s.clear()
        engine = app.engine
        for event in record["events"] if record is not None else ():
            name = event.get("circuit", "")
            order = (name, _of(event))
            if order in self._against_s:
                self._tell(order, now_s)
            if event["what"] == "fault" and event.get("text") in JUDGED:
                self._judge(name, str(event["text"]))
        for name, item in self._relays.items():
            i = engine.index[name]
            ordered, closed = engine.state.closed[i], item.contact.closed
            if ordered < 0 or bool(ordered) == closed:
                self._follows((name, RELAY))
            else:
                self._does_not((name, RELAY), now_s, line)
            self._compare_read(name, item, now_s)
        for name, item in self._chargers.items():
            self._draws(name, item, line, now_s)
        if record is not None or now_s - self._shown_s >= SHOWN_S:
            self._shown_s = now_s
            shown = record or _read(line)
            self._compare_shown(shown, now_s)
            self.on_shown(shown)

    def _draws(self, name: str, item: PlantCircuit, line: bytes, now_s: float) -> None:
        """Whether a charger draws more than it is told, and people know."""
        assert self._app is not None
        assert item.charger is not None
        engine, modulation = self._app.engine, item.circuit.modulation
        assert modulation is not None
        told_a = engine.setpoint_a(engine.index[name])
        if item.charger.draw_a <= told_a * (1.0 + CAR_RATIO) + CAR_A:
            self._follows((name, SETPOINT))
        else:
            self._does_not((name, SETPOINT), now_s, line, modulation.settle_s)

    def _follows(self, order: Order) -> None:
        self._against_s.pop(order, None)
        self._told.discard(order)

    def _does_not(self, order: Order, now_s: float, line: bytes, settle_s: float = 0.0) -> None:
        since_s = self._against_s.setdefault(order, now_s + settle_s)
        if now_s - since_s > ASK_S and order not in self._told:
            self._must_be_told(order, line, now_s)

    def _tell(self, order: Order, now_s: float) -> None:
        if order not in self._told:
            self._told.add(order)
            untold_s = now_s - self._against_s[order]
            self._figures.untold_s = max(self._figures.untold_s, untold_s)

    def _must_be_told(self, order: Order, line: bytes, now_s: float) -> None:
        record, name = _read(line), order[0]
        shown = next(c["relay"] for c in record["circuits"] if c["id"] == name)
        said = {(each["circuit"], each["of"]) for each in record["orders"]}
        said |= {(each["circuit"], _of_fault(each["fault"])) for each in record["faults"]}
        if order in said or (order[1] == RELAY and shown == "UNKNOWN"):
            self._tell(order, now_s)
        elif now_s - self._against_s[order] > TOLD_S + BEAT_S:
            self._tell(order, now_s)
            self._found("O3", f"the {order[1]} of {name} does not follow, and nobody is told")

    def _compare_read(self, name: str, item: PlantCircuit, now_s: float) -> None:
        """Whether a good read-back is right: of a contact that has stood for long it has to be."""
        assert self._app is not None
        image, slot = self._app.engine.image, self._app.engine.slots.circuit(name).relay
        if item.contact.closed != self._stood.get(name, (None, 0.0))[0]:
            self._stood[name] = (item.contact.closed, now_s)
        if any(s.kind == "chatter" and s.target == name for s in self._exemptions.active):
            self._stood[name] = (None, now_s)  # it moves faster than anybody looks
        known = image.good(slot, self._world.loop.now_ns, self._stale_ns)
        if not known or (image.value[slot] != 0) == item.contact.closed:
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
            if shown == "UNKNOWN" or (shown == "CLOSED") == item.contact.closed:
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
        if fault == "MOVED" and sum(now_s - at_s < 2 * MOVES_S for at_s in moves) > MOVES_MOST:
            return
        self._figures.false_faults += 1
        self._found("O2", f"{name} is called {fault}, and does as it is told")


def _of(event: EventRecord) -> str:
    """Which order an event tells of; empty for none."""
    what, text = event["what"], event.get("text", "")
    if what == "order":
        return SETPOINT if f" {SETPOINT} " in text else RELAY
    if what == "fault":
        return _of_fault(text)
    return {"moved": RELAY, "ignores": SETPOINT}.get(what, "")


def _of_fault(fault: str) -> str:
    return RELAY if fault in JUDGED or fault == "RELAY_LOST" else SETPOINT


def _read(line: bytes) -> CycleRecord:
    message = read_message(line)
    assert isinstance(message, Cycle)
    return message.record
