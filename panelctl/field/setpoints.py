"""Whether a set-point is followed: what its device says it was told, and what its load draws.

Rules
- A device that acknowledges may keep its old value, round it, go back to its own after a while, or
  be told another by somebody else. So what it was told is read back, and what it draws compared.
- A reading counts against everything that was acknowledged shortly before it was asked: a budget
  changes all the time. It never raises what we want.
- What contradicts is written again: at once, three times, then with a backoff. Whether a raise may
  be written is the budget's (ledger.py).
- A device's timer is fed three times within the shortest of what its map says, what the panel file
  says and what it showed itself; one that can be set, and that nobody says, is taken for short
  (modbus/maps.py). Nothing else is invented: it has to show it.
- A contradiction that lasts is told, and once more when readings and meter agree.
- A lower value that somebody else wrote is followed for FOLLOWED_NS, or until it is raised again:
  nobody is fought for a load that may draw less. A higher one is written over, and so are what a
  device says that was silent just before, as when it starts anew, and a stop.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from panelctl.modbus.maps import RegisterMap
from panelctl.model.circuit import Modulation
from panelctl.model.fault import LASTS_S
from panelctl.model.panel import WRITES_A_TIMEOUT, Device
from panelctl.units import NS_PER_MS, NS_PER_S, ns_from_s

REGISTER_NS = 300 * NS_PER_MS  # a device shows in so long what it has acknowledged
READ_NS = 1_500 * NS_PER_MS  # so often it is read back,
GAPS = 15  # and no more often than in so many pauses of a device that needs them
MISSES_MOST = 5  # so often each reading in a row that fails doubles the time to the next
SETTLE_LEAST_NS = 1_000 * NS_PER_MS  # no load is judged by its meter sooner
LASTS_NS = ns_from_s(LASTS_S)  # a contradiction of this age is told, whatever was tried
AT_ONCE = 3  # so often it is written again at once,
CALM_NS = 10_000 * NS_PER_MS  # and that anew after so long without a contradiction
BACKOFF_NS = 30 * NS_PER_S
BACKOFF_MOST_NS = 600 * NS_PER_S
# What is taken for a timer: nothing shorter, which would be written all the time, nor longer.
TIMER_LEAST_NS = 3_000 * NS_PER_MS
TIMER_MOST_NS = 600 * NS_PER_S
ALIKE = 4  # two falls are of one timer when their ages differ by less than a quarter
SUPPOSED_NS = 600 * NS_PER_S  # so long one fall alone is taken for a timer,
SUPPOSED_LEAST_NS = 4 * NS_PER_S  # and when it may be a foreign writer, only after so long
FOLLOWED_NS = 600 * NS_PER_S
OVER = "it is over"  # how it begins what is said when a foreign writer counts no more
OVER_EARLY_NS = 1_000 * NS_PER_MS  # what a meter shows began up to so long before


@dataclass(slots=True)
class Fall:
    """The device went back from what it had taken: after how long, and to what, if it is known.

    `kept_ns` is how long after a write it surely still stood, `gone_ns` when surely no more.
    """

    kept_ns: int
    gone_ns: int
    value: float | None


@dataclass(slots=True)
class SetpointWatch:
    """What is known of one set-point. Values in the map's unit (A per leg, or W), times in ns.

    `tolerance` is one step of it, `settle_ns` how long its load may take to obey, `safe` what the
    device is thought to go to by itself, `timer_ns` its timer where one is known, 0 for none.
    """

    tolerance: float
    settle_ns: int
    timer_ns: int = 0
    safe: float = 0.0
    learns: bool = True  # its timer, from what it does; not where each write wears its register
    least: float = 0.0  # what is less is a stop
    unit: str = "A"
    every_ns: int = READ_NS  # how often it is read back
    read_ns: int = 0  # to be read back from then on; 0: not yet
    _told: deque[tuple[int, float | None]] = field(default_factory=deque)
    _written_ns: int = 0  # the last write, whatever it was for
    _moved_ns: int = 0  # the last that changed the value, or was made of a contradiction
    _agreed_ns: int = 0  # when the value that it has now was read back last
    _read: float | None = None
    _misses: int = 0
    _silent: bool = False  # it could not be read since it agreed last
    _astray: int = 0  # by the last reading that counts: 1 above, -1 below what is wanted
    _over: bool = False  # it draws too much, and has had its time to obey
    _drawn_a: float = 0.0
    _since_ns: int = 0  # of the contradiction
    _evidence: bool = False  # of one that is newer than the last write
    _tries: int = 0
    _tried_ns: int = 0
    _backoff_ns: int = BACKOFF_NS
    _fall: Fall | None = None
    _learnt_ns: int = 0
    _supposed_ns: int = 0  # what was learnt is forgotten then; 0: never
    _disproved: bool = False  # it fell though it was fed: somebody else writes, and not its timer
    _foreign: float | None = None  # what somebody else wrote,
    _followed: float | None = None  # and that is less than we would
    _follow_ns: int = 0  # until then
    _remarks: list[str] = field(default_factory=list)

    # -- what happens -----------------------------------------------------------------------------

    def acknowledged(self, value: float | None, again: bool, now_ns: int) -> None:
        """The device has taken a write of `value`, None where it was paused by another register;
        `again`: because something contradicted it.
        """
        changed = not self._told or self._told[-1][1] != value
        if changed:
            self._told.append((now_ns, value))
            self._agreed_ns = 0
        if again:
            self._tries += 1
            self._tried_ns = now_ns
            if self._tries > AT_ONCE:
                self._backoff_ns = min(2 * self._backoff_ns, BACKOFF_MOST_NS)
        if changed or again:
            self._moved_ns = now_ns
            self._evidence = False
            soon_ns = now_ns + REGISTER_NS
            self.read_ns = min(self.read_ns, soon_ns) if self.read_ns else soon_ns
        self._written_ns = now_ns
        while len(self._told) > 1 and self._told[1][0] < now_ns - CALM_NS:
            self._told.popleft()

    def asked(self, now_ns: int) -> None:
        """It is being read back."""
        self.read_ns = now_ns + self.every_ns

    def silent(self) -> None:
        """The device does not answer. What it says afterwards it may say because it begins anew."""
        self._silent = True

    def missed(self, now_ns: int) -> None:
        """It could not be read back."""
        self.silent()
        self._misses = min(self._misses + 1, MISSES_MOST)
        # In half the usual time, then once, twice, four and eight times that.
        self.read_ns = now_ns + (self.every_ns << self._misses >> 2)

    def read(self, value: float, asked_ns: int, now_ns: int) -> None:
        """What the device said when it was asked at `asked_ns`."""
        self._read, self._misses = value, 0
        bounds = self._bounds(asked_ns)
        if bounds is None:
            if self._told:  # asked before the first write can be shown: soon once more
                self.read_ns = min(self.read_ns, max(self._told[0][0] + REGISTER_NS, now_ns))
            return
        if bounds[0] - self.tolerance <= value <= bounds[1] + self.tolerance:
            self._astray = 0
            now = self._told[-1][1]  # what a falling one has passed is not what it is told now
            if now is not None and abs(value - now) <= self.tolerance:
                self._agreed_ns = asked_ns
                self._silent = False
            if self._foreign is not None:
                self._foreign = None
                if self._followed is None:
                    self._remarks.append(
                        f"{OVER}: the device reads {self.words(value)}, as ordered"
                    )
            self._calm(now_ns)
            return
        if asked_ns < self._tried_ns + REGISTER_NS:
            return  # it may say so still, though it has heard it again
        self._astray = 1 if value > bounds[1] else -1
        self._evidence = True
        self._begin(now_ns)
        self._look_for_strangers(value, asked_ns, now_ns)
        if self._agreed_ns:
            kept_ns = max(self._agreed_ns - self._written_ns, 0)
            self._fell(Fall(kept_ns, asked_ns - self._written_ns, value), now_ns)
        self._agreed_ns = 0

    def drawn(self, over_ns: int, drawn_a: float, now_ns: int) -> None:
        """What the load's meter says, A per leg, of what has been acknowledged. `over_ns`: since
        when it draws more than it may, 0 for not.
        """
        self._drawn_a = drawn_a
        if over_ns == 0 or not self._told:
            self._over = False
            self._calm(now_ns)
            return
        settled = now_ns - self._moved_ns >= self.settle_ns
        if now_ns - over_ns >= self.settle_ns:
            self._over = True
            self._begin(now_ns)
        elif not (settled and self.learns):
            return
        if not settled or self._evidence:
            return
        # It had obeyed, and was told nothing else since: it went up by itself. There is no need to
        # wait for its time to obey.
        self._evidence = True
        if over_ns > self._moved_ns:
            gone_ns = over_ns - self._written_ns
            self._fell(Fall(max(gone_ns - OVER_EARLY_NS, 0), gone_ns, None), now_ns)
        self._agreed_ns = 0

    def _begin(self, now_ns: int) -> None:
        if not self._since_ns:
            self._since_ns = now_ns

    def _calm(self, now_ns: int) -> None:
        """Readings and meter are looked at: does nothing contradict any more?"""
        if self.contradicted:
            return
        self._since_ns = 0
        self._evidence = False
        if now_ns - self._tried_ns >= max(CALM_NS, self._backoff_ns if self._slow else 0):
            self._tries, self._backoff_ns = 0, BACKOFF_NS

    # -- what follows from it ---------------------------------------------------------------------

    @property
    def contradicted(self) -> bool:
        """Whether reading or meter say something else than was acknowledged."""
        return self._astray != 0 or self._over

    @property
    def lowers(self) -> bool:
        """Whether another write would lower the load, so that it needs no budget."""
        return self._over or self._astray >= 0

    def again(self, now_ns: int) -> bool:
        """Whether to write the same once more."""
        if not self._evidence:
            return False
        return not self._slow or now_ns - self._tried_ns >= self._backoff_ns

    def told(self, now_ns: int) -> str | None:
        """What people hear: what the device does, where that has contradicted for long; or None."""
        if not self.contradicted:
            return None
        if self._tries < AT_ONCE and now_ns - self._since_ns < LASTS_NS:
            return None
        if self._astray and self._read is not None:
            return self.words(self._read)
        return f"a draw of {self._drawn_a:.1f} A"

    def refresh_ns(self, now_ns: int) -> int:
        """How often it has to be repeated, 0 for never."""
        if self._supposed_ns and now_ns >= self._supposed_ns:
            self._learnt_ns = self._supposed_ns = 0
        known = [timer_ns for timer_ns in (self.timer_ns, self._learnt_ns) if timer_ns]
        return min(known) // WRITES_A_TIMEOUT if known else 0

    def followed(self, now_ns: int) -> float | None:
        """What somebody else told it, and nothing higher is to be told it now; None for nothing."""
        if self._followed is not None and now_ns >= self._follow_ns:
            self._followed = None
            self._remarks.append(f"{OVER}: what panelctl orders counts again")
        return self._followed

    def follow_s(self, now_ns: int) -> float:
        """For how many seconds yet."""
        return (self._follow_ns - now_ns) / NS_PER_S

    def remarks(self) -> list[str]:
        """What is to be said of foreign writers since the last call."""
        said, self._remarks = self._remarks, []
        return said

    def words(self, value: float) -> str:
        """A value for people."""
        return f"{value:.0f} W" if self.unit == "W" else f"{value:.1f} {self.unit}"

    @property
    def _slow(self) -> bool:
        return self._tries >= AT_ONCE

    def _bounds(self, asked_ns: int) -> tuple[float, float] | None:
        """Between what a reading asked at `asked_ns` may lie; None where that is not known."""
        shown_ns = asked_ns - REGISTER_NS
        may_be: list[float] = []
        for acked_ns, value in reversed(self._told):
            if value is None:
                return None
            may_be.append(value)
            if acked_ns <= shown_ns:
                return min(may_be), max(may_be)
        return None  # nobody knows what it had before

    def _look_for_strangers(self, value: float, asked_ns: int, now_ns: int) -> None:
        """Is it a value that we never wrote, and the device would not go to by itself?"""
        if self._followed is not None and value > self._followed + self.tolerance:
            self._follow_ns = 0  # whoever lowered it has raised it again
        ours = [told for _, told in self._told if told is not None]
        kept = any(abs(value - told) <= self.tolerance for told in ours)
        rounded = 0 < ours[-1] - value < 1 and self.unit == "A"
        safe = abs(value - self.safe) <= self.tolerance
        if kept or rounded or safe or self._foreign is not None or not self._agreed_ns:
            return
        self._foreign = value
        said = f"the device reads {self.words(value)}, which was not ordered "
        said += f"({self.words(ours[-1])} was)"
        wish = value > 0 and self.least <= value < ours[-1]  # less than that is a stop
        if wish and not self._silent and not self._may_be_its_own(asked_ns - self._written_ns):
            self._followed, self._follow_ns = value, now_ns + FOLLOWED_NS
            said += f"; it is left at that for {FOLLOWED_NS // NS_PER_S // 60} minutes"
        self._remarks.append(said)

    def _fell(self, fall: Fall, now_ns: int) -> None:
        """It did not keep what it had taken. Twice after about as long: that is its timer."""
        if self._learnt_ns and fall.gone_ns < self._learnt_ns // 2:
            self._learnt_ns = self._supposed_ns = 0
            self._disproved = True
        if not self.learns or self._disproved:
            return
        if not TIMER_LEAST_NS <= fall.gone_ns <= TIMER_MOST_NS:
            return
        before, self._fall = self._fall, fall
        kept_ns = max(fall.kept_ns, fall.gone_ns // 2)
        alike = before is not None and self._alike(before, fall)
        if before is not None and alike:
            kept_ns = min(kept_ns, max(before.kept_ns, before.gone_ns // 2))
        elif self._foreign is not None and not self._may_be_its_own(kept_ns):
            return
        if self._learnt_ns:
            kept_ns = min(kept_ns, self._learnt_ns)
        self._learnt_ns = max(kept_ns, TIMER_LEAST_NS)
        self._supposed_ns = 0 if alike else now_ns + SUPPOSED_NS

    def _may_be_its_own(self, kept_ns: int) -> bool:
        """Whether a value that nobody ordered may be the device's own: it has a timer, and some
        time has passed.
        """
        return self.timer_ns > 0 and kept_ns >= SUPPOSED_LEAST_NS

    def _alike(self, one: Fall, other: Fall) -> bool:
        """Whether two falls are of one timer."""
        apart_ns = max(one.kept_ns - other.gone_ns, other.kept_ns - one.gone_ns, 0)
        if apart_ns > min(one.gone_ns, other.gone_ns) // ALIKE:
            return False
        if one.value is None or other.value is None:
            return True
        return abs(one.value - other.value) <= self.tolerance


def watch_of(known: RegisterMap, device: Device, modulation: Modulation) -> SetpointWatch:
    """The watch over the set-point of a device."""
    setpoint = known.setpoint
    assert setpoint is not None
    unit = setpoint.point.unit
    step = float(abs(setpoint.point.scale)) if setpoint.point.type != "f32" else 0.0
    return SetpointWatch(
        tolerance=max(step, 1.0 if unit == "W" else modulation.step_a),
        settle_ns=max(ns_from_s(modulation.settle_s), SETTLE_LEAST_NS),
        timer_ns=ns_from_s(known.timer_s(device.comm_timeout_s)),
        safe=modulation.floor_w if unit == "W" else modulation.fallback_a,
        learns=unit == "A" and not device.writes_per_day,
        least=setpoint.least,
        unit=unit,
        # While a device rests after an answer, the next read of its own meter waits.
        every_ns=max(READ_NS, round(GAPS * device.gap_ms * NS_PER_MS)),
    )
