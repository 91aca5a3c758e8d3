"""The bulk of a record: every circuit (what it carries, how it stands, and why), and the image.

Compiled because it is made ten times a second, in the time that is left of a cycle. What else is in
a record is publish.py's.
"""

from libc.math cimport rint

from panelctl.model.circuit import Role
from panelctl.model.metering import Quality
from panelctl.model.reason import Reason, Wait
from panelctl.model.relay import Claim
from panelctl.model.slots import LEGS
from panelctl.units import NS_PER_S

ctypedef long long i64

cdef int GOOD = Quality.GOOD
cdef double PER_S = NS_PER_S
cdef i64 TENTH_NS = NS_PER_S // 10
cdef i64 EXACT_NS = 1_000_000 * NS_PER_S  # up to here a double tells nanoseconds apart
cdef dict REASONS = {reason.value: reason.name for reason in Reason}
cdef dict NAMES = {}  # of the claims that have been met
cdef dict WAITS = {wait.value: wait.name for wait in Wait}


cdef list _names(i64 claims):
    """The names of claims, the last word first."""
    if claims not in NAMES:
        NAMES[claims] = [str(claim.name) for claim in reversed(list(Claim(claims)))]
    return NAMES[claims][:]


cdef object _tenths(i64 ns):
    """Seconds, rounded to one place as `round` does it."""
    cdef i64 rest_ns = ns % TENTH_NS
    if not 0 <= ns < EXACT_NS or 2 * rest_ns == TENTH_NS:
        return round(<object>(ns / PER_S), 1)
    return (ns // TENTH_NS + (2 * rest_ns > TENTH_NS)) / 10.0


cdef class _Place:
    """Where one circuit's readings and decisions lie; -1: nowhere."""

    cdef object ident, tier
    cdef int i, relay
    cdef list amps, watts, feeds
    cdef int factor
    cdef bint modulated, watched

    def __init__(self, engine, circuit):
        slot = engine.image.slot
        self.ident, self.tier = circuit.id, circuit.tier
        self.i = engine.index.get(circuit.id, -1)
        names = {m.current: f"{circuit.id}.{LEGS[m.leg]}_ma" for m in reversed(circuit.currents)}
        self.amps = [slot[names[m.current]] for m in circuit.currents]
        self.watts = [slot[f"{circuit.id}.{n}_w"] for n in range(len(circuit.power))]
        # A balanced 240 V load with one CT is measured against one leg's 120 V.
        self.factor = 2 if circuit.balanced and len(circuit.power) == 1 else 1
        self.relay = slot.get(f"{circuit.id}.relay", -1)
        self.feeds = [j for j, (source, _) in enumerate(engine.feeds) if source.id == circuit.id]
        self.modulated = circuit.role is Role.MODULATED
        self.watched = self.i >= 0 and bool(engine.fixed.branch_ref_ma[self.i])


cdef class Bulk:
    """Builds it from an engine's memory, whose arrays never move; readings older than `stale_ns`
    are not fresh.
    """

    cdef list _places, _rows
    cdef dict _by_load
    cdef object _engine
    cdef double _half_v
    cdef i64 _stale_ns
    cdef i64[::1] _value, _quality, _sampled_ns
    cdef i64[::1] _tier, _closed, _claims, _firm_ma, _set_ma, _theta_ppm, _trip_ms
    cdef i64[::1] _reason, _reason_row, _reason_ma, _since_ns, _until_ns
    cdef i64[::1] _wait, _wait_row, _wait_ma

    def __init__(self, engine, i64 stale_ns):
        image, state = engine.image, engine.state
        self._engine = engine
        self._stale_ns = stale_ns
        self._half_v = engine.panel.service.voltage_v / 2
        self._places = [_Place(engine, circuit) for circuit in engine.panel.circuits]
        self._by_load = {(<_Place>place).i: place for place in self._places}
        self._rows = [row.name for row in engine.rows]
        self._value, self._quality = image.value, image.quality
        self._sampled_ns = image.sampled_ns
        self._tier, self._closed, self._claims = state.tier, state.closed, state.claims
        self._firm_ma, self._set_ma = state.firm_ma, state.set_ma
        self._theta_ppm, self._trip_ms = state.branch_theta_ppm, state.branch_trip_ms
        self._reason, self._reason_row = state.reason, state.reason_row
        self._reason_ma = state.reason_ma
        self._since_ns, self._until_ns = state.since_ns, state.until_ns
        self._wait, self._wait_row, self._wait_ma = state.wait, state.wait_row, state.wait_ma

    def circuits(self, i64 now_ns):
        """A CircuitRecord (A, W, Wh, s; model/record.py) for every circuit of the panel."""
        totals_wh = self._engine.energy.total_wh
        return [self._record(place, totals_wh, now_ns) for place in self._places]

    def image(self, i64 now_ns):
        """The ImageRecord of the latched image."""
        cdef i64 at_ns
        cdef list age_ns = []
        cdef Py_ssize_t slot
        for slot in range(self._sampled_ns.shape[0]):
            at_ns = self._sampled_ns[slot]
            age_ns.append(now_ns - at_ns if at_ns else -1)
        image = self._engine.image
        return {
            "value": image.value.tolist(),
            "quality": image.next_quality.tolist(),  # as it was read: nothing came since
            "age_ns": age_ns,
        }

    def load_w(self, int i):
        """What load `i` of the engine draws, W. Raises KeyError for one that is not there."""
        return self._watts(self._by_load[i])

    cdef i64 _watts(self, _Place place):
        """The circuit's power, or its current at the nominal voltage where no power is read."""
        cdef int slot
        cdef i64 total = 0
        for slot in place.watts:
            if self._quality[slot] != GOOD:
                break
            total += self._value[slot]
        else:
            if place.watts:
                return place.factor * total
        total = 0
        for slot in place.amps:
            total += self._value[slot]
        return <i64>rint(total / 1000.0 * self._half_v)

    cdef dict _record(self, _Place place, totals_wh, i64 now_ns):
        cdef dict record
        cdef int slot, i = place.i
        cdef i64 oldest_ns = now_ns - self._stale_ns
        cdef bint fresh = True
        cdef list amps_a = []
        relay = "NONE"
        if place.relay >= 0:
            relay = "UNKNOWN"
            if self._quality[place.relay] == GOOD and self._sampled_ns[place.relay] >= oldest_ns:
                relay = "CLOSED" if self._value[place.relay] else "OPEN"
        for slot in place.amps:
            amps_a.append(self._value[slot] / 1000.0)
            if self._quality[slot] != GOOD or self._sampled_ns[slot] < oldest_ns:
                fresh = False
        record = {
            "id": place.ident,
            "w": self._watts(place),
            "a": amps_a,
            "fresh": fresh,
            "relay": relay,
            "tier": place.tier,
        }
        wh = totals_wh(place.ident)
        if wh is not None:
            record["wh"] = wh
        if place.feeds:
            record["firm_a"] = [self._firm_ma[<int>j] / 1000.0 for j in place.feeds]
        if i < 0:
            return record
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
            record["leg"] = self._rows[self._reason_row[i]]
            record["by_a"] = self._reason_ma[i] / 1000.0
        if self._until_ns[i] > now_ns:
            record["until_s"] = _tenths(self._until_ns[i] - now_ns)
        if self._wait[i]:
            record["wait"] = WAITS[self._wait[i]]
            if self._wait_row[i] >= 0:
                record["leg"] = self._rows[self._wait_row[i]]
                record["wait_a"] = self._wait_ma[i] / 1000.0
        if self._claims[i]:
            record["claims"] = _names(self._claims[i])
        if place.modulated:
            record["set_a"] = self._set_ma[i] / 1000.0
            most_w = self._engine.caps.most_w(i)
            if most_w is not None:
                record["cap_w"] = most_w
                record["cap_s"] = round(self._engine.caps.left_s(i, now_ns), 1)
        return record
