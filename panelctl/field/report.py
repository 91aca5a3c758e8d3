"""How the links and the devices on them are, for the record, and what changed since the last look.

Rules
- The figures are renewed once in RENEW_NS and when a state changes; in between the same stand.
- A change of state is told once, in words with the remedy where there is one. What flickers is told
  no more than once in QUIET_NS for each link and device.
- What comes from outside (a serial number, an error of the system) is cut to MOST_TEXT characters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from panelctl.field.lane import Lane
from panelctl.field.unit import Unit
from panelctl.model.record import DeviceRecord, EventRecord, LinkRecord
from panelctl.units import NS_PER_MS, NS_PER_S

RENEW_NS = NS_PER_S
QUIET_NS = 10 * NS_PER_S
MOST_TEXT = 200
MOST_WHY = 90  # characters of an error, so that its remedy is never cut
DIFFERS = 1.25  # people are told when the fast lane takes so many times what was planned
DIFFERS_NS = 10 * NS_PER_MS  # and by at least so much longer than was planned
SEEN_ROUNDS = 50
REMEDIES = {
    "Permission denied": "add user panelctl to group dialout",
    "No such file": "is the adapter plugged in? `ls /dev/serial/by-id` names those that are",
    "exclusively lock": "another program has the port open",
    "Connection refused": "nobody listens there: is Modbus switched on in the device?",
    "No route": "is the device on, and in this network?",
    "no answer": "is the device on, and in this network?",
}


class Report:
    """The state of all lanes of a panel."""

    def __init__(self, lanes: Mapping[str, Lane]) -> None:
        self._lanes = lanes
        self._links: dict[str, LinkRecord] = {}
        self._renewed_ns = 0
        self._states: dict[tuple[str, str], str] = {}  # by link and device: as it was told last
        self._told_ns: dict[tuple[str, str], int] = {}

    def links(self, now_ns: int) -> tuple[dict[str, LinkRecord], list[EventRecord]]:
        """The record of every link, and the events since the last call."""
        events: list[EventRecord] = []
        changed = False
        for name, lane in self._lanes.items():
            told = self._told((name, ""), link_state(lane), now_ns)
            if told is not None:
                changed = True
                events.append({"what": "link", "link": name, "text": told})
            for device in lane.units:
                told = self._told((name, device), device_state(lane, device), now_ns)
                if told is not None:
                    changed = True
                    events.append({"what": "device", "device": device, "text": told})
        if changed or now_ns - self._renewed_ns >= RENEW_NS:
            self._renewed_ns = now_ns
            self._links = {name: _link(lane, now_ns) for name, lane in self._lanes.items()}
        return self._links, events

    def _told(self, key: tuple[str, str], state: str, now_ns: int) -> str | None:
        """The words to tell now, None for none."""
        before, kind = self._states.get(key), _kind(state)
        if kind == before:
            return None
        if before is None and state in ("UP", "OK", "NEW", "CLOSED"):
            self._states[key] = kind  # as one expects it
            return None
        if now_ns - self._told_ns.get(key, -QUIET_NS) < QUIET_NS:
            return None
        self._states[key], self._told_ns[key] = kind, now_ns
        return state


def _kind(state: str) -> str:
    """What of a state is told anew when it changes: not its numbers, nor why a device is silent."""
    return "SILENT" if state.startswith("SILENT") else re.sub(r"[0-9]+", "#", state)


def link_state(lane: Lane) -> str:
    """UP, CLOSED (not used yet), or what is wrong in words."""
    counts, pace = lane.link.counts, lane.pace
    if not counts.up:
        if not counts.error:
            return "CLOSED"
        remedy = next((text for key, text in REMEDIES.items() if key in counts.error), "")
        return _cut(f"DOWN: {counts.error[:MOST_WHY]}" + (f"; {remedy}" if remedy else ""))
    if counts.remark:
        return _cut(f"UP: {counts.remark}")
    if counts.echo:
        return "UP: its adapter hears itself; one copy of each frame is skipped"
    if pace.rounds >= SEEN_ROUNDS and pace.mean_ns > pace.planned_ns * DIFFERS + DIFFERS_NS:
        took, planned = pace.mean_ns / NS_PER_MS, pace.planned_ns / NS_PER_MS
        return f"UP: slower than planned: {_tens(took)} ms for the fast lane, planned {planned:.0f}"
    return "UP"


def device_state(lane: Lane, device: str) -> str:
    """OK, NEW (not asked yet), or what is wrong in words."""
    unit = lane.units[device]
    stranger = lane.identities[device].stranger
    if stranger:
        return _cut(f"STRANGER: {stranger}; `panelctl accept {device}` if it is right")
    if not unit.dead and lane.identities[device].unsure_long:
        return _cut(f"UNSURE: its serial number cannot be read, nothing is taken: {unit.error}")
    if unit.dead:
        return _cut(f"SILENT: {unit.error or 'no reply'}")
    refused = [read for read in lane.reads if read.unit is unit and read.refused]
    if refused:
        span = refused[0].planned.block.span
        place = f"{span.count} of {span.table} from {span.address}"
        more = f" and {len(refused) - 1} more reads" if len(refused) > 1 else ""
        return _cut(f"REFUSES: {place}{more}: {unit.error}")
    return "OK" if unit.since_ns else "NEW"


def _tens(ms: float) -> int:
    """To tens: a state must not change with every cycle."""
    return round(ms / 10) * 10


def _cut(text: str) -> str:
    return text[:MOST_TEXT]


def _ago(since_ns: int, now_ns: int) -> float | None:
    return round((now_ns - since_ns) / NS_PER_S, 1) if since_ns else None


def _ms(value: float | None) -> float | None:
    return None if value is None else round(max(value, 0.0), 1)


def _link(lane: Lane, now_ns: int) -> LinkRecord:
    counts = lane.link.counts
    record: LinkRecord = {
        "state": link_state(lane).partition(":")[0],
        "since_s": _ago(counts.since_ns, now_ns),
        "questions": counts.transactions,
        "timeouts": counts.timeouts,
        "strays": counts.stray_bytes,
        "noisy": counts.noisy,
        "shifts": counts.shifts,
        "opened": counts.reopened,
        "width": counts.width,
        "fast_ms": round(lane.pace.mean_ns / NS_PER_MS, 1),
        "planned_ms": round(lane.pace.planned_ns / NS_PER_MS, 1),
        "sweeps": lane.sweeps,
        "devices": {name: _device(lane, name, unit, now_ns) for name, unit in lane.units.items()},
    }
    if counts.echo:
        record["echo"] = True
    if counts.settle_ms:
        record["settle_ms"] = counts.settle_ms
    if counts.error:
        record["error"] = _cut(counts.error)
    if counts.remark:
        record["remark"] = _cut(counts.remark)
    return record


def _device(lane: Lane, name: str, unit: Unit, now_ns: int) -> DeviceRecord:
    patience = unit.patience
    record: DeviceRecord = {
        "state": device_state(lane, name).partition(":")[0],
        "since_s": _ago(unit.since_ns, now_ns),
        "good": unit.good,
        "timeouts": unit.timeouts,
        "refusals": unit.refused,
        "bad": unit.bad,
        "age_s": _ago(unit.answered_ns, now_ns),
        "p50_ms": _ms(patience.quantile_ms(0.5)),
        "p99_ms": _ms(patience.quantile_ms(0.99)),
        "wait_ms": round(max(patience.timeout_ms, patience.learnt_ms), 1),
    }
    refused = sum(read.refused for read in lane.reads if read.unit is unit)
    if refused:
        record["refused"] = refused
    serial = lane.identities[name].seen
    if serial:
        record["serial"] = _cut(serial)
    if unit.error:
        record["error"] = _cut(unit.error)
    return record
