"""How long a device is waited for. Sans-IO.

Rules
- The device's own timeout, at first. After a loss it is listened to for longer, at most LONGER_MS
  or the timeout once more: a device that is a little late would else talk into the question to its
  neighbour, again and again.
- Where nothing comes even so, the next questions are not waited for any longer than usual.
- What is learnt in this way is kept while the device needs it, and is shown.
"""

from __future__ import annotations

from collections import deque

from panelctl.units import NS_PER_MS

LONGER_MS = 250
HEADROOM = 1.25
LOOKED_BACK = 0xFFFF  # sixteen questions
OFTEN = 2  # losses among these: it is late as a habit
VAIN_WAIT = 12  # questions after one that was listened to in vain
KEPT = 64  # answers in time after which what was learnt is let go
TIMES_KEPT = 128


class Patience:
    """One device's. `timeout_ms` is its own; `times_ns` how long its last answers took, the wire's
    time not counted.
    """

    def __init__(self, timeout_ms: int) -> None:
        self.timeout_ms = timeout_ms
        self.most_ms = timeout_ms + min(timeout_ms, LONGER_MS)
        self.learnt_ms = 0.0
        self.times_ns: deque[int] = deque(maxlen=TIMES_KEPT)
        self._losses = 0  # a bit a question, the last one lowest
        self._in_time = 0
        self._vain = 0
        self._listens = False

    @property
    def wait_ms(self) -> float:
        """How long the next question is waited for."""
        if self._losses and not self._vain:
            often = (self._losses & LOOKED_BACK).bit_count() >= OFTEN
            self._listens = often or bool(self._losses & 1)
            if self._listens:
                return self.most_ms
        self._listens = False
        return max(self.timeout_ms, self.learnt_ms)

    def answered(self, own_ns: int) -> None:
        """It answered after so long, the wire's time not counted."""
        self.times_ns.append(own_ns)
        if self._losses:
            self._losses = self._losses << 1 & LOOKED_BACK
        if self._vain:
            self._vain -= 1
        own_ms = own_ns / NS_PER_MS
        if own_ms > self.timeout_ms:
            self.learnt_ms = max(self.learnt_ms, min(own_ms * HEADROOM, self.most_ms))
            self._in_time = 0
        elif self.learnt_ms:
            self._in_time += 1
            if self._in_time >= KEPT:
                self.learnt_ms, self._in_time = 0.0, 0

    def lost(self) -> None:
        """It did not."""
        self._losses = (self._losses << 1 | 1) & LOOKED_BACK
        if self._listens:
            self._vain = VAIN_WAIT
        elif self._vain:
            self._vain -= 1

    def quantile_ms(self, q: float) -> float | None:
        """The q-quantile of its times to answer; None while there is none."""
        if not self.times_ns:
            return None
        ordered = sorted(self.times_ns)
        return ordered[min(len(ordered) - 1, int(q * len(ordered)))] / NS_PER_MS
