"""What outlives a restart: claims that hold relays open, limits, caps and tiers. A small file.

It is replaced whole. A file that is missing, torn or foreign counts as empty: what is then found
open stays open until a user closes it. A disk that is full costs the record, never a cycle.

Ends are monotonic times, so that a wall clock that was set ends nothing. Another boot has another
monotonic clock: what passed in between the wall clock tells, and where that went back, nothing did.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from panelctl.core.caps import KeptCaps
from panelctl.core.engine import Tiers
from panelctl.model.command import MAX_NUMBER, MAX_TIER
from panelctl.model.doubt import Doubt
from panelctl.model.limit import KeptLimits
from panelctl.units import NS_PER_S

FORMAT = 3
MOST_BYTES = 65_536
MOST_CLAIM = 63
MOST_SERIAL = 128
MOST_HEAT = 64 << 32
MOST_NS = 1 << 62
LAZY_NS = 60 * NS_PER_S  # flash wears
SET_S = 2.0  # a wall clock that is so far off was set, or has drifted


@dataclass(slots=True)
class Kept:
    """What is kept: claims by circuit, the requested limit (A) with its end (monotonic, ns), the
    heat of watched breakers (fast and slow, in 2^-32), the envelope and the grid's state, what was
    in doubt about the mains, what people asked of circuits (caps and tiers), since when the mains
    could not be seen (ns; 0: they could), and the serial numbers of the devices.
    """

    claims: dict[str, int] = field(default_factory=dict)
    limit_a: float | None = None
    until_ns: int = 0
    heat: dict[str, list[int]] = field(default_factory=dict)
    limits: KeptLimits = field(default_factory=KeptLimits)
    doubts: tuple[Doubt, ...] = ()
    caps: KeptCaps = field(default_factory=dict)
    tiers: Tiers = field(default_factory=dict)
    blind_ns: int = 0
    serials: dict[str, str] = field(default_factory=dict)


class StateStore:
    """The file `state.json` in the state directory. `boot` names the run of the monotonic clock."""

    def __init__(self, folder: Path, boot: str) -> None:
        self._path = folder / "state.json"
        self._boot = boot
        self._saved: Kept | None = None
        self._saved_ns = 0
        self._unwritten: Kept | None = None  # the disk did not take it
        self._ahead_s = 0.0  # of the monotonic clock, the wall clock when it was saved
        self.failures = 0

    def load(self, now_ns: int, wall_s: float) -> Kept:
        """What the last run kept, its ends on the present monotonic clock; of this process's own
        last run also what could not be written.
        """
        if self._unwritten is not None:
            return self._unwritten
        try:
            plain = orjson.loads(self._path.read_bytes()[:MOST_BYTES])
            kept = kept_from(plain)
            if self._boot and plain["boot"] == self._boot:
                return kept
            passed_ns = max(0, round((wall_s - float(plain["wall_s"])) * NS_PER_S))
            return _moved(kept, now_ns - passed_ns - _time(plain["now_ns"]))
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return Kept()

    def save(self, kept: Kept, now_ns: int, wall_s: float, last: bool = False) -> None:
        """Write it down if it changed, or the wall clock was set: the next boot goes by that. What
        comes and goes (the end of a cap, blindness) waits for up to LAZY_NS, if it is not the last.
        """
        ahead_s = wall_s - now_ns / NS_PER_S
        if abs(ahead_s - self._ahead_s) < SET_S and self._saved is not None:
            if kept == self._saved:
                return
            lazy = not last and now_ns - self._saved_ns < LAZY_NS
            if lazy and _settled(kept) == _settled(self._saved):
                return
        when = {"boot": self._boot, "now_ns": now_ns, "wall_s": wall_s}
        plain = {**kept_to_plain(kept), **when}
        try:
            replace_file(self._path, json.dumps(plain))
            self._saved, self._saved_ns, self._ahead_s = kept, now_ns, ahead_s
            self._unwritten = None
        except OSError:
            self._unwritten = kept
            self.failures += 1


def kept_to_plain(kept: Kept) -> dict[str, Any]:
    """What is kept, ready for JSON."""
    return {
        "format": FORMAT,
        "claims": kept.claims,
        "limit_a": kept.limit_a,
        "until_ns": kept.until_ns,
        "heat": kept.heat,
        "limits": asdict(kept.limits),
        "doubts": list(kept.doubts),
        "caps": {ident: list(cap) for ident, cap in kept.caps.items()},
        "tiers": {ident: list(pair) for ident, pair in kept.tiers.items()},
        "blind_ns": kept.blind_ns,
        "serials": kept.serials,
    }


def kept_from(plain: dict[str, Any]) -> Kept:
    """What `kept_to_plain` made of it. Raises ValueError, KeyError or TypeError out of shape."""
    if plain["format"] != FORMAT:
        raise ValueError(f"format {plain['format']!r} is not {FORMAT}")
    claims = {
        str(name): int(claim)
        for name, claim in dict(plain["claims"]).items()
        if isinstance(claim, int) and 0 < claim <= MOST_CLAIM
    }
    heat = {
        str(row): [int(fast), int(slow)]
        for row, (fast, slow) in dict(plain["heat"]).items()
        if 0 <= int(fast) <= MOST_HEAT and 0 <= int(slow) <= MOST_HEAT
    }
    limits = _limits(plain["limits"])
    caps = {
        str(ident): (_whole(most_w), _time(until_ns))
        for ident, (most_w, until_ns) in dict(plain["caps"]).items()
    }
    tiers = {
        str(ident): (_whole(filed, MAX_TIER), _whole(tier, MAX_TIER))
        for ident, (filed, tier) in dict(plain["tiers"]).items()
    }
    doubts = tuple(Doubt(name) for name in plain["doubts"])
    kept = Kept(claims, heat=heat, limits=limits, doubts=doubts, caps=caps, tiers=tiers)
    kept.blind_ns = _whole(plain["blind_ns"])
    serials = dict(plain.get("serials", {}))  # earlier files have none
    kept.serials = {str(name): str(serial)[:MOST_SERIAL] for name, serial in serials.items()}
    limit_a, until_ns = plain["limit_a"], _time(plain["until_ns"])
    if limit_a is not None and 0 <= float(limit_a) < math.inf:
        kept.limit_a, kept.until_ns = float(limit_a), until_ns
    return kept


def _settled(kept: Kept) -> Kept:
    """The same without what comes and goes."""
    caps = {ident: (most_w, 0) for ident, (most_w, _) in kept.caps.items()}
    return replace(kept, caps=caps, blind_ns=0)


def _moved(kept: Kept, by_ns: int) -> Kept:
    """The same, with every end so much later."""
    windows = [
        (_time(start_ns + by_ns), _time(end_ns + by_ns), limit_a, import_w)
        for start_ns, end_ns, limit_a, import_w in kept.limits.windows
    ]
    caps = {
        ident: (most_w, _time(until_ns + by_ns)) for ident, (most_w, until_ns) in kept.caps.items()
    }
    limits = replace(kept.limits, windows=windows)
    blind_ns = 0  # the power was away: what was blind then says nothing of now
    until_ns = _time(kept.until_ns + by_ns)
    return replace(kept, until_ns=until_ns, limits=limits, caps=caps, blind_ns=blind_ns)


def replace_file(path: Path, text: str) -> None:
    """Put `text` into a file, which is then the old one or the new one whole. Raises OSError."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text)
    os.replace(temporary, path)


def _limits(plain: Any) -> KeptLimits:
    """The kept limits. Raises ValueError, KeyError or TypeError when they are out of shape."""

    def amount(value: Any) -> float | None:
        number = None if value is None else float(value)
        if number is not None and not 0 <= number < math.inf:
            raise ValueError(f"{number}: is no limit")
        return number

    windows = []
    for start_ns, end_ns, limit_a, import_w in plain["windows"]:
        times = (_time(start_ns), _time(end_ns))
        if times[0] > times[1]:
            raise ValueError("a window ends before it starts")
        windows.append((*times, amount(limit_a), amount(import_w)))
    return KeptLimits(
        plain["off_grid"] is True,
        plain["shedding"] is True,
        str(plain["source"])[:64],
        windows,
        _whole(plain["lease_number"], MAX_NUMBER),
    )


def _time(value: Any) -> int:
    """A monotonic time, ns: below 0 what was before the machine started. Raises ValueError."""
    return _whole(value, MOST_NS, -MOST_NS)


def _whole(value: Any, most: int = MOST_NS, least: int = 0) -> int:
    """A whole number in these bounds. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{value!r}: is no whole number from {least} to {most}")
    return value
