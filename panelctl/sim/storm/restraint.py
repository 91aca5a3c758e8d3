"""Checker of relays' wear (O4): none is hammered with one order, and nobody fights for one that
somebody else moves.
"""

from __future__ import annotations

from collections import defaultdict
from functools import partial

from panelctl.core.state.build import MOVES_MOST, MOVES_S
from panelctl.sim.devices import SimRelayBoard
from panelctl.sim.storm.figures import Found
from panelctl.sim.storm.lately import Lately
from panelctl.sim.storm.world import World

WINDOW_S = 60.0
# Each quarter of a second for a relay that does not know its order, and each two seconds later on;
# each ten seconds for one at fault.
MOST_ORDERS = 60
HESITATES_S = 1.0  # one that is moved sooner again is not told from a relay that does not obey yet


class Restraint:
    """Counts what boards are told, by circuit."""

    def __init__(self, world: World, found: Found) -> None:
        self._world = world
        self._found = found
        self._orders: dict[str, Lately] = defaultdict(lambda: Lately(WINDOW_S))
        self._against: dict[str, Lately] = defaultdict(lambda: Lately(MOVES_S))  # moves undone
        self._ours: dict[str, bool] = {}  # what we ordered last,
        self._told_s: dict[str, float] = {}  # and when
        self._astray: set[str] = set()  # somebody has moved it away from that
        self._places = {
            (c.relay_device, c.relay_output): c.id
            for c in world.panel.circuits
            if c.relay_device is not None
        }
        for name, board in world.devices.items():
            if isinstance(board, SimRelayBoard):
                board.on_order = partial(self._told, name)

    def _told(self, board: str, output: int, closed: bool) -> None:
        """A board has taken an order for one of its outputs."""
        name, now_s = self._places[board, output], self._world.now_s
        if self._orders[name].note(now_s) > MOST_ORDERS:
            self._orders[name].clear()
            self._found("O4", f"{name} was told {MOST_ORDERS} times in {WINDOW_S:g} s")
        ordered = self._world.plant.circuits[name].contact.ordered
        if self._ours.get(name) != ordered and self._somebody(name, board):
            self._astray.add(name)
        if closed != ordered and name in self._astray:
            self._astray.remove(name)
            self._undone(name, now_s)
        self._ours[name], self._told_s[name] = closed, now_s

    def _somebody(self, name: str, board: str) -> bool:
        """Whether it stands as somebody else left it."""
        moves = self._world.switched.get(name)
        if not moves or moves[-1] <= self._told_s.get(name, 0.0):
            return False
        return all(at_s < moves[-1] for at_s, reset in self._world.resets if reset == board)

    def _undone(self, name: str, now_s: float) -> None:
        against = self._against[name]
        if now_s - against.last_s < HESITATES_S:
            return
        if against.note(now_s) > MOVES_MOST:
            against.clear()
            self._found("O4", f"{name} was moved back more than {MOVES_MOST} times")
