"""What the tree reads its values from: the panel's facts, and the newest record by circuit."""

from __future__ import annotations

from typing import Any

Plain = dict[str, Any]


class Seen:
    """One CycleRecord, and what is asked of it again and again."""

    def __init__(self, record: Plain) -> None:
        self.record = record
        self.circuits: dict[str, Plain] = {circuit["id"]: circuit for circuit in record["circuits"]}
        self.limits: dict[str, Plain] = {limit["name"]: limit for limit in record["limits"]}

    def circuit(self, ident: str) -> Plain:
        """What the record says of a circuit."""
        return self.circuits[ident]

    def watts(self, ident: str) -> int | None:
        """What a circuit draws, W; None while it cannot be read."""
        circuit = self.circuits[ident]
        return int(circuit["w"]) if circuit["fresh"] else None

    def sources_w(self, idents: list[str]) -> int | None:
        """What sources draw together (below 0: give), W; None while one cannot be read."""
        watts = [self.watts(ident) for ident in idents]
        return None if None in watts else sum(w for w in watts if w is not None)

    def limit_a(self, name: str, leg: str = "") -> float | None:
        """A named limit, A per leg: of `leg`, or the smaller of both; None: it says nothing."""
        limit = self.limits.get(name)
        if limit is None:
            return None
        found = [
            a for row, a in limit["limit_a"].items() if row == leg or (not leg and row in "ab")
        ]
        return min(found) if found else None

    def binding_leg(self) -> str:
        """The leg that has less headroom."""
        legs: dict[str, Plain] = self.record["legs"]
        return min(legs, key=lambda leg: float(legs[leg]["headroom_a"]))
