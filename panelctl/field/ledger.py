"""What was written how often: by register and by relay, over the life of the installation.

A register in EEPROM lasts some 100,000 writes and a power relay some 10,000 operations under load,
so both are counted, from start to start. How often a relay may move in a day is the core's; a
register of limited life has a budget here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from panelctl.field.frames import Question
from panelctl.units import NS_PER_S

DAY_NS = 86_400 * NS_PER_S
AT_ONCE_DIVISOR = 8  # an eighth of a day's writes may be made at once


@dataclass(slots=True)
class Budget:
    """How often a register may be written: `per_day` in the long run, an eighth of that at once.

    What lowers a load is written in any case and counts; what raises it waits until there is one.
    """

    per_day: int
    left_ns: int = 0  # of a day's time; a write costs its share of it
    at_ns: int | None = None

    def allows(self, now_ns: int) -> bool:
        """Whether a write that could wait may be made now."""
        most_ns = max(DAY_NS // AT_ONCE_DIVISOR, self._cost_ns)
        passed_ns = most_ns if self.at_ns is None else now_ns - self.at_ns
        self.at_ns = now_ns
        self.left_ns = min(self.left_ns + passed_ns, most_ns)
        return self.left_ns >= self._cost_ns

    def wrote(self) -> None:
        """A write was made."""
        self.left_ns = max(self.left_ns - self._cost_ns, -DAY_NS)  # a day later it may be raised

    @property
    def _cost_ns(self) -> int:
        return DAY_NS // self.per_day


@dataclass(slots=True)
class Ledger:
    """Counts since the installation. Registers by `device:table:address`, relays by circuit."""

    registers: dict[str, int] = field(default_factory=dict)
    relays: dict[str, int] = field(default_factory=dict)

    def wrote(self, device: str, question: Question) -> None:
        """An acknowledged write."""
        table = "coil" if question.bits else "holding"
        address = question.pdu[1] << 8 | question.pdu[2]
        place = f"{device}:{table}:{address}"
        self.registers[place] = self.registers.get(place, 0) + 1

    def moved(self, circuit: str) -> None:
        """A relay of this circuit took an order."""
        self.relays[circuit] = self.relays.get(circuit, 0) + 1
