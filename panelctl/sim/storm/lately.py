"""How often something has happened within the last so many seconds."""

from __future__ import annotations

from collections import deque


class Lately:
    """Moments, of which those that are older than `window_s` are forgotten."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._at_s: deque[float] = deque()

    def note(self, now_s: float) -> int:
        """It happens now; how often it has lately, this time too."""
        self._at_s.append(now_s)
        return self.count(now_s)

    def count(self, now_s: float) -> int:
        """How often it has lately."""
        while self._at_s and self._at_s[0] < now_s - self._window_s:
            self._at_s.popleft()
        return len(self._at_s)

    @property
    def last_s(self) -> float:
        """When it was last; minus infinity for never."""
        return self._at_s[-1] if self._at_s else float("-inf")

    def clear(self) -> None:
        """Forget all."""
        self._at_s.clear()
