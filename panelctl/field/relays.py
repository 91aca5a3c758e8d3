"""Which relays have to be written, and when: what is read back against what is ordered.

Rules
- A relay is written when its read-back differs from its order, when its board was told another
  order last, and when nobody knows what it was told because the reply was lost.
- A board that refuses one relay keeps no other waiting. What is acknowledged and not followed is
  not hammered once it is a fault. One that had followed and reads elsewhere was moved by somebody
  else: whether it is ordered anew is the rules' (core/decide/faults.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from panelctl.core.engine import Engine
from panelctl.field.frames import Question, write_coil_question, write_register_question
from panelctl.field.orders import Key, Orders
from panelctl.field.target import RETRY_MOST_NS, RETRY_NS, Target
from panelctl.model.circuit import Circuit
from panelctl.model.metering import Quality
from panelctl.model.reason import Reason
from panelctl.model.relay import Claim
from panelctl.units import NS_PER_S

NOT_FOLLOWED_NS = 10 * NS_PER_S  # between two orders to a relay at fault that its board has taken
MOST_DOUBLED = 3  # so often the wait after a refusal doubles


@dataclass(frozen=True, slots=True)
class Output:
    """A load's relay: its number in the engine, who switches it, and its slots of the image."""

    i: int
    circuit: Circuit
    target: Target
    read: int
    acked: int
    refused: int

    @property
    def key(self) -> Key:
        """Its orders' name."""
        return self.circuit.id, "relay"


class Relays:
    """The relays of a panel."""

    def __init__(self, engine: Engine, orders: Orders) -> None:
        self.outputs: dict[int, Output] = {}
        self._engine = engine
        self._orders = orders
        self._ordered_ns: dict[int, int] = {}
        self._lost: dict[int, set[int]] = {}  # orders that may have been taken: no reply came

    def add(self, i: int, circuit: Circuit, target: Target) -> None:
        """Load `i` has a relay there."""
        slots = self._engine.slots.circuit(circuit.id)
        self.outputs[i] = Output(i, circuit, target, slots.relay, slots.acked, slots.refused)

    def apply(self, now_ns: int) -> None:
        """Hand the boards' writers what does not stand as it was decided."""
        for output in self.outputs.values():
            closed = self._engine.state.closed[output.i]
            if closed >= 0:
                self._compare(output, closed, now_ns)

    def _compare(self, output: Output, closed: int, now_ns: int) -> None:
        state, image, i = self._engine.state, self._engine.image, output.i
        seen_ns, told_ns = image.sampled_ns[output.read], image.sampled_ns[output.acked]
        ordered_ns = self._ordered_ns.get(i, 0)
        astray = (image.value[output.read] != 0) != (closed == 1) and seen_ns > ordered_ns
        astray = astray and not self._moved(i)
        # A contact that stuck must not follow, when it comes loose, what is no longer wanted.
        other_order = told_ns > 0 and image.value[output.acked] != closed
        unsure = 1 - closed in self._lost.get(i, ())
        if astray or other_order or unsure:
            # Nobody has to hear anew what is not ordered anew, as after a restart.
            heard = told_ns >= state.order_ns[i] or not state.order_pending[i]
            taken = heard and not other_order and not unsure
            if not taken:
                self._orders.give(output.key, "CLOSED" if closed else "OPEN", now_ns)
            again_ns = self._again_ns(output, taken, ordered_ns)
            if again_ns > now_ns + RETRY_MOST_NS:
                output.target.relays.discard(i)  # what waits there is not wanted any more
            elif now_ns >= again_ns:
                self._ordered_ns[i] = now_ns
                output.target.relays.add(i)
                output.target.wake.set()
        elif seen_ns > ordered_ns:
            self._orders.withdraw(output.key)

    def _moved(self, i: int) -> bool:
        """Whether load `i` had followed its order: it was moved since, and what follows from that
        is for the rules to say.
        """
        state = self._engine.state
        return not state.order_pending[i] and not state.claims[i] & Claim.FAULT

    def _again_ns(self, output: Output, taken: bool, ordered_ns: int) -> int:
        """When to give the order again that was given at `ordered_ns`; `taken`: its board has
        acknowledged it.
        """
        state, i = self._engine.state, output.i
        if taken and state.claims[i] & Claim.FAULT:
            if state.fault[i] == Reason.MOVED:
                return max(ordered_ns, state.fault_ns[i]) + self._engine.fixed.moves_ns[0]
            return ordered_ns + NOT_FOLLOWED_NS
        refused = min(self._orders.refused(output.key), MOST_DOUBLED)
        return ordered_ns + min(RETRY_NS << refused, RETRY_MOST_NS)

    def next(self, target: Target) -> Output:
        """Whose turn it is: one that is refused every time must not keep the others waiting."""
        i = min((n for n in target.relays if n > target.tried), default=min(target.relays))
        target.tried = i
        return self.outputs[i]

    def told(self, output: Output, closed: int, now_ns: int) -> None:
        """Note the first acknowledgement of an order: from then on the relay has to follow."""
        self._lost.pop(output.i, None)
        image, slot = self._engine.image, output.acked
        ordered_ns = self._engine.state.order_ns[output.i]
        if image.next_value[slot] != closed or image.next_sampled_ns[slot] < ordered_ns:
            image.put(slot, closed, Quality.GOOD, now_ns)

    def refused(self, output: Output, closed: int, now_ns: int) -> None:
        """Tell the rules how often a board has refused this order."""
        count = self._orders.refused(output.key)
        self._engine.image.put(output.refused, count if closed else -count, Quality.GOOD, now_ns)

    def doubt(self, output: Output, closed: int) -> None:
        """The reply to this order was lost: nobody knows what its board will do."""
        self._lost.setdefault(output.i, set()).add(closed)


def relay_question(target: Target, address: int, closed: bool) -> Question:
    """The write that moves an output: of a coil, or of a command word."""
    board = target.map.relay
    assert board is not None
    if board.close is None or board.open is None:
        return write_coil_question(target.device.unit, address, closed)
    word = board.close if closed else board.open
    return write_register_question(target.device.unit, address, word)
