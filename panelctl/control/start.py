"""What a controller starts from: what earlier runs kept, and the clocks. Also as plain data.

The first message of the control socket carries it, so that a recording which begins with the first
cycle replays to the bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from panelctl.control.history import History, history_from, history_to_plain
from panelctl.control.store import Kept, kept_from, kept_to_plain
from panelctl.core.engine import Engine
from panelctl.units import NS_PER_S


@dataclass(frozen=True, slots=True)
class Start:
    """What was kept and learned before, and what the clocks show at the start."""

    kept: Kept
    history: History
    now_ns: int
    wall_s: float

    def resume(self, engine: Engine) -> None:
        """Put a new engine where the earlier runs left it."""
        kept = self.kept
        engine.take_claims(kept.claims)
        engine.take_heat(kept.heat)
        engine.plausible.take(kept.doubts, self.now_ns)
        hour_offset_ns = round(self.wall_s * NS_PER_S) - self.now_ns
        engine.take_learned(self.history.steps, hour_offset_ns)
        engine.energy.take(
            self.history.energy, round(self.history.at_s * NS_PER_S) - hour_offset_ns
        )
        engine.limits.take(kept.limits)
        engine.caps.take(kept.caps, self.now_ns)
        engine.take_tiers(kept.tiers)
        engine.take_blind(kept.blind_ns, self.now_ns)
        if kept.limit_a is not None:
            engine.take_request(kept.limit_a, kept.until_ns, self.now_ns)

    def to_plain(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "kept": kept_to_plain(self.kept),
            "history": history_to_plain(self.history),
            "now_ns": self.now_ns,
            "wall_s": self.wall_s,
        }

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Start:
        """What `to_plain` made of it. Raises ValueError, KeyError or TypeError out of shape."""
        return cls(
            kept_from(plain["kept"]),
            history_from(plain["history"]),
            int(plain["now_ns"]),
            float(plain["wall_s"]),
        )
