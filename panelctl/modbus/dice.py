"""Dice that repeat: the next shape must not be foreseen, and a run must be repeatable."""

from __future__ import annotations


class Dice:
    """Numbers that nobody at the other end can foresee, and that repeat from one seed."""

    def __init__(self, seed: bytes) -> None:
        self._state = int.from_bytes(seed[:8].ljust(8, b"\x5a"), "big")

    def below(self, most: int) -> int:
        """From 0 to before `most`."""
        self._state = (self._state * 6364136223846793005 + 1442695040888963407) & (1 << 64) - 1
        return (self._state >> 33) % most
