"""What the tree reads its values from: the panel's facts, and the newest record by circuit."""

from __future__ import annotations

from panelctl.model.record import CircuitRecord, CycleRecord, LimitRecord

OF_THE_SERVICE = ("a", "b", "import", "heat_sink")  # constraints; the others are of feeders


class RecordView:
    """One CycleRecord, and what is asked of it again and again."""

    def __init__(self, record: CycleRecord) -> None:
        self.record = record
        self.circuits: dict[str, CircuitRecord] = {
            circuit["id"]: circuit for circuit in record["circuits"]
        }
        self.limits: dict[str, LimitRecord] = {limit["name"]: limit for limit in record["limits"]}

    @property
    def islanded(self) -> bool:
        """Whether the panel is off the grid."""
        return "OFF_GRID" in self.limits

    def circuit(self, ident: str) -> CircuitRecord:
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

    def limit_a(self, name: str) -> float | None:
        """A named limit, A per leg: the smallest of what it says; None where it is not in force."""
        limit = self.limits.get(name)
        if limit is None:
            return None
        amps = (_per_leg(name, a) for name, a in limit["limit_a"].items() if name in OF_THE_SERVICE)
        return min(amps, default=None)

    def tightest(self) -> tuple[float, str]:
        """The limit that leaves the least, A per leg, and its name: of a leg, or of the import."""
        all_of = {**self.record["legs"], **self.record["constraints"]}
        mine = {name: all_of[name] for name in ("a", "b", "import") if name in all_of}
        tightest = min(mine, key=lambda name: _per_leg(name, mine[name]["headroom_a"]))
        return _per_leg(tightest, mine[tightest]["limit_a"]), mine[tightest]["binding"]


def _per_leg(constraint: str, amps: float) -> float:
    """Of a constraint that sums up both legs, what is each one's."""
    return amps / 2 if constraint in ("import", "heat_sink") else float(amps)
