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
- A device that does not tell is taken as it is: it refuses, or it is silent when it is asked who it
  is and answers everything else.
"""

from __future__ import annotations

from panelctl.clock import Clock
from panelctl.errors import DeviceRefused, FieldError
from panelctl.field.bus import BusLink, Turn
from panelctl.field.unit import UNREACHED_CODES, Unit
from panelctl.modbus.identity import serial_of, serial_span
from panelctl.units import NS_PER_S

AGAIN_NS = NS_PER_S  # how often a stranger is looked at
STEADY_NS = 60 * NS_PER_S
FOR_GOOD = (1, 2, 3)  # refusals: it has no such function, or register
REFUSED_MOST = 5  # others: it may be starting
FAILED_LEAST = 2
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
        self._failed = 0  # looks in a row that nobody answered
        self._refused = 0
        self._skipped = False
        self._strange_ns = 0  # when a stranger was seen last
        self._changes = 0  # from one to the other since

    @property
    def wanted(self) -> bool:
        """Whether it has to be looked at before anything else is asked."""
        if not self.ways:
            return False
        if self.due or self.unsure:
            return True
        return bool(self._again_ns) and self._clock.now_ns() >= self._again_ns

    @property
    def unsure(self) -> bool:
        """Whether its link was opened anew and nobody has looked since: it may be anybody."""
        return bool(self.ways) and self._opened != self._link.counts.reopened

    @property
    def stranger(self) -> str:
        """What is wrong with who answers, in words; empty for nothing."""
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
        """Read the serial number. Raises FieldError when nobody answers. After two such failures
        every other call leaves the question out, so that something else is asked.
        """
        if self._failed >= FAILED_LEAST and not self._skipped:
            self._skipped = True
            return
        self._skipped = False
        try:
            answer = await self._unit.ask(self.ways, turn, self._sync)
        except DeviceRefused as refusal:
            if refusal.code in UNREACHED_CODES:
                raise
            self._refused += 1
            if refusal.code not in FOR_GOOD and self._refused < REFUSED_MOST:
                raise
            self.ways = ()  # it does not tell
            return
        except FieldError:
            self._failed += 1
            raise
        self.due = False
        self._failed = self._refused = 0
        self._opened = self._link.counts.reopened
        self._take(serial_of(self._unit.map, answer.values))

    def answers_else(self) -> None:
        """The device has answered something else."""
        if self._failed > FAILED_LEAST:
            self.ways = ()  # it does not tell

    def accept(self) -> None:
        """A person says that whoever answers is right."""
        self.known, self._strange_ns, self._changes, self._again_ns = self.seen, 0, 0, 0

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
