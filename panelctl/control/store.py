"""What outlives a restart: claims that hold relays open, limits, caps and tiers. A small file.

It is replaced whole. A file that is missing, torn or foreign counts as empty: what is then found
open stays open until a user closes it. A disk that is full costs the record, never a cycle.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from panelctl.core.caps import KeptCaps
from panelctl.core.engine import Tiers
from panelctl.model.command import MAX_NUMBER, MAX_TIER
from panelctl.model.limit import KeptLimits

FORMAT = 1
MOST_BYTES = 65_536
MOST_CLAIM = 63
MOST_HEAT = 64 << 32


@dataclass(slots=True)
class Kept:
    """What is kept: claims by circuit, the requested limit (A) with its end (wall time, s), the
    heat of watched breakers (fast and slow, in 2^-32), the envelope and the grid's state, whether
    the mains contradicted the branch circuits and were not proven since, and what people asked of
    circuits: caps and tiers.
    """

    claims: dict[str, int] = field(default_factory=dict)
    limit_a: float | None = None
    until_s: float = 0.0
    heat: dict[str, list[int]] = field(default_factory=dict)
    limits: KeptLimits = field(default_factory=KeptLimits)
    suspect: bool = False
    caps: KeptCaps = field(default_factory=dict)
    tiers: Tiers = field(default_factory=dict)


class StateStore:
    """The file `state.json` in the state directory."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "state.json"
        self._saved: Kept | None = None
        self.failures = 0

    def load(self) -> Kept:
        """What the last run kept."""
        try:
            return kept_from(orjson.loads(self._path.read_bytes()[:MOST_BYTES]))
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return Kept()

    def save(self, kept: Kept) -> None:
        """Write it down if it changed."""
        if kept == self._saved:
            return
        plain = kept_to_plain(kept)
        try:
            replace_file(self._path, json.dumps(plain))
            self._saved = kept
        except OSError:
            self.failures += 1


def kept_to_plain(kept: Kept) -> dict[str, Any]:
    """What is kept, ready for JSON."""
    return {
        "format": FORMAT,
        "claims": kept.claims,
        "limit_a": kept.limit_a,
        "until_s": kept.until_s,
        "heat": kept.heat,
        "limits": asdict(kept.limits),
        "suspect": kept.suspect,
        "caps": {ident: list(cap) for ident, cap in kept.caps.items()},
        "tiers": {ident: list(pair) for ident, pair in kept.tiers.items()},
    }


def kept_from(plain: dict[str, Any]) -> Kept:
    """What `kept_to_plain` made of it. Raises ValueError, KeyError or TypeError out of shape."""
    if plain["format"] != FORMAT:
        return Kept()
    claims = {
        str(name): int(claim)
        for name, claim in dict(plain["claims"]).items()
        if isinstance(claim, int) and 0 < claim <= MOST_CLAIM
    }
    heat = {
        str(row): [int(fast), int(slow)]
        for row, (fast, slow) in dict(plain.get("heat", {})).items()
        if 0 <= int(fast) <= MOST_HEAT and 0 <= int(slow) <= MOST_HEAT
    }
    limits = _limits(plain.get("limits", {}))
    caps = {
        str(ident): (float(most_w), float(until_s))
        for ident, (most_w, until_s) in dict(plain.get("caps", {})).items()
        if 0 <= float(most_w) < math.inf and math.isfinite(float(until_s))
    }
    tiers = {
        str(ident): (int(filed), int(tier))
        for ident, (filed, tier) in dict(plain.get("tiers", {})).items()
        if 0 <= int(filed) <= MAX_TIER and 0 <= int(tier) <= MAX_TIER
    }
    suspect = plain.get("suspect", False) is True
    kept = Kept(claims, heat=heat, limits=limits, suspect=suspect, caps=caps, tiers=tiers)
    limit_a, until_s = plain["limit_a"], float(plain["until_s"])
    if not math.isfinite(until_s):
        raise ValueError(f"{until_s}: is no time")
    if limit_a is not None and 0 <= float(limit_a) < math.inf:
        kept.limit_a, kept.until_s = float(limit_a), until_s
    return kept


def replace_file(path: Path, text: str) -> None:
    """Put `text` into a file, which is then the old one or the new one whole. Raises OSError."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text)
    os.replace(temporary, path)


def _limits(plain: Any) -> KeptLimits:
    """The kept limits. Raises ValueError, KeyError or TypeError when they are out of shape."""
    if not plain:
        return KeptLimits()

    def amount(value: Any) -> float | None:
        number = None if value is None else float(value)
        if number is not None and not 0 <= number < math.inf:
            raise ValueError(f"{number}: is no limit")
        return number

    windows = []
    for start_s, end_s, limit_a, import_w in plain["windows"]:
        times = (float(start_s), float(end_s))
        if not (math.isfinite(times[0]) and times[0] < times[1] < math.inf):
            raise ValueError("a window ends before it starts")
        windows.append((*times, amount(limit_a), amount(import_w)))
    number = plain.get("lease_number", 0)
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= MAX_NUMBER:
        raise ValueError(f"{number!r}: is no number of a lease")
    return KeptLimits(
        plain["off_grid"] is True,
        plain["shedding"] is True,
        str(plain["source"])[:64],
        windows,
        number,
    )
