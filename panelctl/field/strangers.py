"""Who answers: a device's serial number, where its map can read it.

Two serial ports may change places when a gateway starts anew, a meter may be replaced, and two
meters may have one address. What such a device says is well formed, plausible and of another
circuit.

Rules
- The serial number is read before anything else is taken from a device: at the start, whenever its
  link was opened anew, and now and then in between.
- The first one that is read is remembered, over restarts too. Another one is a stranger: nothing
  that it says is taken and nothing is written to it until the one that is known answers again, or a
  person says that it is right (`panelctl accept`).
- Where both answer in turn, neither is taken until STEADY_NS have passed with one alone.
- A device that never told is taken as it is: it refuses, or it is silent when it is asked who it is
  and answers everything else. One that has told before and does not any more is a stranger too.
- A look waits for nothing: where its question may not be asked yet, the others go on, and what they
  bring is not taken while it is unsure who answers.
"""

from __future__ import annotations

from panelctl.clock import Clock
from panelctl.errors import DeviceRefused, ReplyTimeout
from panelctl.field.bus import BusLink, Turn
from panelctl.field.frames import BUSY_CODES, UNREACHED
from panelctl.field.unit import Unit
from panelctl.modbus.identity import serial_of, serial_span
from panelctl.units import NS_PER_S

AGAIN_NS = NS_PER_S // 2  # how often a stranger is looked at
STEADY_NS = 60 * NS_PER_S
MUTE_AFTER = 3  # looks that were refused or not answered by a device that answers everything else
MUTE_NS = 60 * NS_PER_S  # one that never told is asked so seldom
LONG_NS = 3 * NS_PER_S
IN_TURN = 2  # changes: away and back again may be a cable that was put right


class Identity:
    """Who one device is. `known` is who it was, empty for nobody yet; `seen` who answered last."""

    def __init__(self, unit: Unit, link: BusLink, clock: Clock) -> None:
        span = serial_span(unit.map)
        # A SunSpec device's stands in another model than the one that is read.
        self.ways = unit.ways((span,)) if span is not None and unit.based else ()
        self.known = ""
        self.seen = ""
        self.due = False
        self._unit = unit
        self._link = link
        self._clock = clock
        self._sync = unit.between((span,)) if self.ways and span is not None else ()
        self._opened = -1  # the link's openings when it was looked at last
        self._again_ns = 0
        self._failed = False  # the last look was not answered
        self._skipped = False
        self._mute = 0  # looks in a row that it did not answer, or refused, while it answers else
        self._strange_ns = 0  # when a stranger was seen last
        self._changes = 0  # from one to the other since

    @property
    def wanted(self) -> bool:
        """Whether it should be looked at before anything else is asked, and may be now."""
        if not self.ways:
            return False
        now_ns = self._clock.now_ns()
        due = now_ns >= self._again_ns if self._again_ns else self.due or self.unsure
        return due and self._link.when(self.ways) <= now_ns

    @property
    def mute(self) -> bool:
        """Whether it does not say who it is."""
        return self._mute >= MUTE_AFTER

    @property
    def unsure(self) -> bool:
        """Whether its link was opened anew and nobody has looked since: it may be anybody."""
        opened = self._link.counts.reopened
        return bool(self.ways) and not self.mute and self._opened != opened

    @property
    def unsure_long(self) -> bool:
        """Whether that has been so for longer than a look takes."""
        counts = self._link.counts
        return self.unsure and counts.up and self._clock.now_ns() - counts.since_ns > LONG_NS

    @property
    def stranger(self) -> str:
        """What is wrong with who answers, in words; empty for nothing."""
        if self.mute and self.known:
            return f"it does not say any more who it is, known is {self.known}"
        if not self._strange_ns:
            return ""
        if self._changes > IN_TURN:
            return f"two devices answer as unit {self._unit.device.unit}: {self.words}"
        return f"another device answers: {self.words}" if self.seen != self.known else ""

    @property
    def words(self) -> str:
        """Who answered and who should have."""
        return f"serial number {self.seen}, known is {self.known}"

    async def look(self, turn: Turn) -> None:
        """Read the serial number. Raises FieldError when nobody answers; after that every other
        call leaves the question out, so that something else is asked.
        """
        if self._failed and not self._skipped:
            self._skipped = True
            return
        self._skipped = False
        try:
            answer = await self._unit.ask(self.ways, turn, self._sync)
        except DeviceRefused as refusal:
            if refusal.code in BUSY_CODES:
                raise
            if refusal.code in UNREACHED:
                self._failed = True
                raise
            self._does_not_tell()
            return
        except ReplyTimeout:  # a link that is down, or loses step, says nothing of the device
            self._failed = True
            raise
        self.due = self._failed = False
        self._mute = 0
        self._opened = self._link.counts.reopened
        self._take(serial_of(self._unit.map, answer.values))

    def answers_else(self) -> None:
        """The device has answered something else, after a look that it did not answer."""
        if self._failed:
            self._failed = False
            self._does_not_tell()

    def _does_not_tell(self) -> None:
        """It is there, and does not say who it is. A device of which that is known is asked again
        now and then, one that never told seldom.
        """
        self._mute = min(self._mute + 1, MUTE_AFTER)
        if self.mute:
            self.due = False
            wait_ns = AGAIN_NS if self.known else MUTE_NS
            self._again_ns = self._clock.now_ns() + wait_ns

    def accept(self) -> None:
        """A person says that whoever answers is right."""
        self.known = "" if self.mute else self.seen
        self._strange_ns, self._changes, self._again_ns = 0, 0, 0

    def _take(self, serial: str) -> None:
        if not serial:
            return
        now_ns = self._clock.now_ns()
        self.known = self.known or serial
        if self.seen and self.seen != serial:
            self._changes += 1
        self.seen = serial
        if serial != self.known:
            self._strange_ns = now_ns
        elif self._strange_ns and now_ns - self._strange_ns >= STEADY_NS:
            self._strange_ns = self._changes = 0
        self._again_ns = now_ns + AGAIN_NS if self._strange_ns else 0
