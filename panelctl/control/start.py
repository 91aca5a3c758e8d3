"""What a controller starts from: what earlier runs kept, and the clocks. Also as plain data.

The first message of the control socket carries it, so that a recording which begins with the first
cycle replays to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from panelctl.control.store import (
    Kept,
    history_from,
    history_to_plain,
    kept_from,
    kept_to_plain,
)
from panelctl.core.engine import Engine
from panelctl.core.snapshot import Snapshot
from panelctl.field.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Start:
    """What was kept and learned before, and what the clocks show at the start."""

    kept: Kept
    now_ns: int
    wall_s: float
    ledger: Ledger = field(default_factory=Ledger)

    @classmethod
    def of(cls, kept: Kept, history: tuple[Snapshot, Ledger], now_ns: int, wall_s: float) -> Start:
        """From what both files hold."""
        learned, ledger = history
        return cls(Kept(kept.engine.with_history(learned), kept.serials), now_ns, wall_s, ledger)

    def resume(self, engine: Engine) -> None:
        """Put a new engine where the earlier runs left it."""
        engine.resume(self.kept.engine, self.now_ns, self.wall_s)

    def to_plain(self) -> dict[str, object]:
        """Ready for JSON."""
        return {
            "kept": kept_to_plain(self.kept),
            "history": history_to_plain(self.kept.engine, self.ledger),
            "now_ns": self.now_ns,
            "wall_s": self.wall_s,
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Start:
        """What `to_plain` made of it. Raises ValueError, KeyError or TypeError out of shape."""
        history = history_from(plain["history"])
        now_ns, wall_s = int(plain["now_ns"]), float(plain["wall_s"])
        return cls.of(kept_from(plain["kept"]), history, now_ns, wall_s)
