"""Which circuits may draw more than they show, in words."""

from __future__ import annotations

from panelctl.core.state.layout import Changing
from panelctl.model.circuit import Circuit
from panelctl.model.doubt import Doubt


class MissingCt:
    """The branch circuits' part of a panel's memory. decide/missing_ct.py has the rules."""

    def __init__(self, loads: list[Circuit], state: Changing) -> None:
        self._names = [circuit.id for circuit in loads]
        self._state = state

    @property
    def doubts(self) -> dict[str, list[Doubt]]:
        """What is in doubt now, by circuit."""
        hidden = self._state.hidden
        if not any(hidden):
            return {}
        return {name: [Doubt.HIDDEN] for i, name in enumerate(self._names) if hidden[i]}

    @property
    def rests(self) -> bool:
        """Whether the same readings, again and again, change nothing in here."""
        return not any(self._state.hidden_since_ns)
