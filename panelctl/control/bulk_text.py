"""The bulk of a record: every circuit (what it carries, how it stands, and why), and what of the
image is new.

Compiled (into _bulk, with the types of ext/panelctl/control/_bulk.pxd) because it is made ten times
a second, in the time that is left of a cycle. What else is in a record is publish.py's.
"""

from array import array
from collections.abc import Callable

from panelctl.core.engine import Engine
from panelctl.model.circuit import Circuit, Role
from panelctl.model.metering import Quality
from panelctl.model.reason import Reason, Wait
from panelctl.model.record import CircuitRecord, DecisionRecord
from panelctl.model.relay import Claim
from panelctl.units import NS_PER_S

GOOD = int(Quality.GOOD)
WELDED = int(Reason.WELDED)
PER_S = float(NS_PER_S)
TENTH_NS = NS_PER_S // 10
EXACT_NS = 1_000_000 * NS_PER_S  # up to here a double tells nanoseconds apart
REASONS = {reason.value: reason.name for reason in Reason}
NAMES: dict[int, list[str]] = {}  # of the claims that have been met
WAITS = {wait.value: wait.name for wait in Wait}


def _names(claims: int) -> list[str]:
    """The names of claims, the last word first."""
    if claims not in NAMES:
        NAMES[claims] = [str(claim.name) for claim in reversed(list(Claim(claims)))]
    return NAMES[claims][:]


def _tenths(ns: int) -> float:
    """Seconds, rounded to one place as `round` does it."""
    if ns < 0 or ns >= EXACT_NS:
        return round(ns / PER_S, 1)
    rest_ns = ns % TENTH_NS
    if 2 * rest_ns == TENTH_NS:
        return round(ns / PER_S, 1)
    whole = ns // TENTH_NS
    if 2 * rest_ns > TENTH_NS:
        whole += 1
    return whole / 10.0


class Place:
    """Where one circuit's readings and decisions lie; -1: nowhere."""

    def __init__(self, engine: Engine, circuit: Circuit) -> None:
        slots = engine.slots.circuit(circuit.id)
        self.ident = circuit.id
        self.tier = circuit.tier
        self.i = engine.index.get(circuit.id, -1)
        self.amps = list(slots.currents)
        self.watts = list(slots.powers)
        # A balanced 240 V load with one CT is measured against one leg's 120 V.
        self.factor = 2 if circuit.balanced and len(circuit.power) == 1 else 1
        self.relay = slots.relay
        self.shows_contact = circuit.shows_contact
        self.noise_ma = round(circuit.noise_a * 1000)
        self.acked = slots.acked
        self.source_legs = [
            j for j, (source, _) in enumerate(engine.source_legs) if source.id == circuit.id
        ]
        self.modulated = circuit.role is Role.MODULATED
        self.watched = self.i >= 0 and engine.fixed.branch_ref_ma[self.i] != 0


class Bulk:
    """Builds it from an engine's memory, whose arrays never move; readings older than `stale_ns`
    are not fresh.
    """

    def __init__(self, engine: Engine, stale_ns: int) -> None:
        image, state = engine.image, engine.state
        self._engine = engine
        self._stale_ns = stale_ns
        self._half_v = engine.panel.service.voltage_v / 2
        self._places = [Place(engine, circuit) for circuit in engine.panel.circuits]
        self._by_load = {place.i: place for place in self._places}
        self._rows = [row.name for row in engine.rows]
        self._value = image.value
        self._quality = image.quality
        self._sampled_ns = image.sampled_ns
        self._read_quality = image.next_quality  # as it was read: nothing comes after the latch
        slots = len(image.names)
        self._told_value = array("q", bytes(8 * slots))
        self._told_quality = array("q", bytes(8 * slots))
        self._told_ns = array("q", bytes(8 * slots))
        self._tier = state.tier
        self._closed = state.closed
        self._claims = state.claims
        self._firm_ma = state.firm_ma
        self._set_ma = state.set_ma
        self._theta_ppm = state.branch_theta_ppm
        self._trip_ms = state.branch_trip_ms
        self._fault = state.fault
        self._reason = state.reason
        self._reason_row = state.reason_row
        self._reason_ma = state.reason_ma
        self._since_ns = state.since_ns
        self._over_ns = state.over_ns
        self._until_ns = state.until_ns
        self._wait = state.wait
        self._wait_row = state.wait_row
        self._wait_ma = state.wait_ma

    def circuits(self, now_ns: int) -> list[CircuitRecord]:
        """A CircuitRecord (A, W, Wh, s; model/record.py) for every circuit of the panel."""
        totals_wh = self._engine.energy.total_wh
        return [self._record(place, totals_wh, now_ns) for place in self._places]

    def decision(self, now_ns: int) -> DecisionRecord:
        """What of the latched image is new since this was asked last; `now_ns` is when."""
        slots, value, quality, age_ns = [], [], [], []
        for slot in range(len(self._told_ns)):
            at_ns = self._sampled_ns[slot]
            mark = self._read_quality[slot]
            if (
                at_ns == self._told_ns[slot]
                and mark == self._told_quality[slot]
                and self._value[slot] == self._told_value[slot]
            ):
                continue
            self._told_ns[slot] = at_ns
            self._told_quality[slot] = mark
            self._told_value[slot] = self._value[slot]
            slots.append(slot)
            value.append(self._value[slot])
            quality.append(mark)
            age_ns.append(now_ns - at_ns if at_ns else -1)
        return {
            "t_ns": now_ns,
            "slots": slots,
            "value": value,
            "quality": quality,
            "age_ns": age_ns,
        }

    def most_ma(self, i: int) -> int:
        """What load `i` of the engine draws on the leg where it draws most, mA."""
        most = 0
        place = self._by_load[i]
        for slot in place.amps:
            most = max(most, self._value[slot])
        return most

    def load_w(self, i: int) -> int:
        """What load `i` of the engine draws, W. Raises KeyError for one that is not there."""
        return self._watts(self._by_load[i])

    def _watts(self, place: Place) -> int:
        """The circuit's power, or its current at the nominal voltage where no power is read."""
        total = 0
        for slot in place.watts:
            if self._quality[slot] != GOOD:
                return self._nominal(place)
            total += self._value[slot]
        return place.factor * total if place.watts else self._nominal(place)

    def _nominal(self, place: Place) -> int:
        total = 0
        for slot in place.amps:
            total += self._value[slot]
        return round(total / 1000.0 * self._half_v)

    def _relay(self, place: Place, oldest_ns: int) -> str:
        """What the relay's read-back says; of a board that shows what it was told, nothing of a
        welded contact that current may flow through.
        """
        if place.relay < 0:
            return "NONE"
        if self._quality[place.relay] != GOOD or self._sampled_ns[place.relay] < oldest_ns:
            return "UNKNOWN"
        if self._value[place.relay]:
            return "CLOSED"
        if not place.shows_contact and place.i >= 0 and self._fault[place.i] == WELDED:
            for slot in place.amps:
                if self._sampled_ns[slot] < oldest_ns or self._value[slot] > place.noise_ma:
                    return "UNKNOWN"
        return "OPEN"

    def _record(
        self, place: Place, totals_wh: Callable[[str], int | None], now_ns: int
    ) -> CircuitRecord:
        oldest_ns = now_ns - self._stale_ns
        fresh = True
        amps_a = []
        for slot in place.amps:
            amps_a.append(self._value[slot] / 1000.0)
            if self._quality[slot] != GOOD or self._sampled_ns[slot] < oldest_ns:
                fresh = False
        record: CircuitRecord = {
            "id": place.ident,
            "w": self._watts(place),
            "a": amps_a,
            "fresh": fresh,
            "relay": self._relay(place, oldest_ns),
            "tier": place.tier,
        }
        wh = totals_wh(place.ident)
        if wh is not None:
            record["wh"] = wh
        if place.source_legs:
            record["firm_a"] = [self._firm_ma[j] / 1000.0 for j in place.source_legs]
        if place.i >= 0:
            self._decided(record, place, now_ns)
        return record

    def _decided(self, record: CircuitRecord, place: Place, now_ns: int) -> None:
        """How a load stands, and why."""
        i = place.i
        if place.watched:
            record["theta"] = self._theta_ppm[i] / 1_000_000.0
            if self._trip_ms[i] >= 0:
                record["trip_s"] = self._trip_ms[i] / 1000.0
        record["tier"] = self._tier[i]
        if place.relay >= 0 and self._closed[i] >= 0:
            record["ordered"] = "CLOSED" if self._closed[i] else "OPEN"
        record["why"] = REASONS[self._reason[i]]
        record["since_s"] = _tenths(now_ns - self._since_ns[i])
        if self._reason_row[i] >= 0:
            record["constraint"] = self._rows[self._reason_row[i]]
            record["by_a"] = self._reason_ma[i] / 1000.0
        if self._until_ns[i] > now_ns:
            record["until_s"] = _tenths(self._until_ns[i] - now_ns)
        if self._wait[i]:
            record["wait"] = WAITS[self._wait[i]]
            if self._wait_row[i] >= 0:
                record["constraint"] = self._rows[self._wait_row[i]]
                record["wait_a"] = self._wait_ma[i] / 1000.0
        if self._claims[i]:
            record["claims"] = _names(self._claims[i])
        if self._over_ns[i]:
            record["over_s"] = _tenths(now_ns - self._over_ns[i])
        if place.acked >= 0 and self._sampled_ns[place.acked]:
            record["acked"] = "CLOSED" if self._value[place.acked] else "OPEN"
        if place.modulated:
            record["set_a"] = self._set_ma[i] / 1000.0
            limit_w = self._engine.power_limits.limit_w(i)
            if limit_w is not None:
                record["power_limit_w"] = limit_w
                record["power_limit_s"] = round(self._engine.power_limits.left_s(i, now_ns), 1)
