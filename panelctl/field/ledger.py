"""What was written how often: by register and by relay, over the life of the installation.

A register in EEPROM lasts some 100,000 writes and a power relay some 10,000 operations under load,
so both are counted, from start to start. Counting is all that is done here: that a register which
wears is never written is the check's, how often a relay may move in a day the core's.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from panelctl.field.frames import Question


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
