"""Who drives the loads of a plant: a story, a recorded home, a household."""

from __future__ import annotations

from typing import Protocol


class Player(Protocol):
    """Drives the loads of a plant, step by step."""

    def begin(self) -> None:
        """Set what every circuit draws at the start."""

    def tell(self, story_s: float) -> bool:
        """Let happen what is due `story_s` seconds into it; True when a load was raised."""
