"""How long a round of reads takes on a connection, found by playing some.

Rules
- Units are asked side by side, as many as may be under way; each of them one thing after another.
- Which shape is asked is drawn as it is on the wire (field/sequence.py): one that was not asked
  lately, but for the same thing. What has none such is proven by a question more, or waits for
  quiet where nothing would prove it.
- The dice are the same for every plan: a panel file always has one plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from panelctl.modbus.dice import Dice
from panelctl.modbus.shapes import REPEAT_NS, SHAPES_LEAST, SHIFT_MOST

Shape = tuple[str, int]
ROUNDS = 40
PROOF = -1


@dataclass(frozen=True, slots=True)
class Asking:
    """One read: of which unit, in which shapes, and how long it and the pause after it take (ns);
    `others` are shapes of harmless reads of this unit.
    """

    unit: int
    shapes: tuple[Shape, ...]
    others: tuple[Shape, ...]
    takes_ns: int
    gap_ns: int


class _Rounds:
    """Rounds that follow each other."""

    def __init__(self, reads: Sequence[Asking], inflight: int) -> None:
        self._reads = reads
        self._asked = {read.shapes[0] for read in reads}
        self._width = max(1, min(inflight, len({read.unit for read in reads})))
        self._said: list[tuple[Shape, int]] = []  # shape and place of what was asked last
        self._ends_ns = [0] * self._width  # of what is under way
        self._dice = Dice(b"rounds")

    def play(self) -> int:
        """How long the next one takes, ns."""
        begin_ns = max(self._ends_ns)
        self._ends_ns = [begin_ns] * self._width
        free_ns = dict.fromkeys((read.unit for read in self._reads), begin_ns)
        waiting = list(enumerate(self._reads))
        while waiting:
            place, read = min(waiting, key=lambda pair: free_ns[pair[1].unit])
            paused = len(waiting) == len(self._reads)
            waiting.remove((place, read))
            first = self._ends_ns.index(min(self._ends_ns))
            end_ns = max(free_ns[read.unit], self._ends_ns[first]) + self._ask(place, read, paused)
            self._ends_ns[first] = end_ns
            free_ns[read.unit] = end_ns + read.gap_ns
        return max(self._ends_ns) - begin_ns

    def _ask(self, place: int, read: Asking, paused: bool) -> int:
        near = {shape for shape, other in self._said if other != place}
        if self._said and not paused:
            near.add(self._said[-1][0])
        free = [shape for shape in read.shapes if shape not in near][:SHAPES_LEAST]
        if free:
            self._note(free[self._dice.below(len(free))], place)
            return read.takes_ns
        shape = read.shapes[0]
        taken = {shape, *(shape for shape, _ in self._said)}
        proofs = sorted({*read.others} - taken) or sorted(self._asked - taken)
        self._note(shape, place)
        if not proofs:
            return read.takes_ns + (0 if paused else REPEAT_NS)
        self._note(proofs[0], PROOF)
        return 2 * read.takes_ns

    def _note(self, shape: Shape, place: int) -> None:
        self._said = [*self._said, (shape, place)][-SHIFT_MOST:]


def round_ns(reads: Sequence[Asking], inflight: int) -> int:
    """How long a round takes, ns: four of five take no longer."""
    rounds = _Rounds(reads, inflight)
    return sorted(rounds.play() for _ in range(ROUNDS))[ROUNDS * 4 // 5]
