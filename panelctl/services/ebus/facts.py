"""What the tree is built from: the facts that the controller tells first, as plain data classes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest

from panelctl.model.record import HelloRecord
from panelctl.services.homie import homie_id


@dataclass(frozen=True, slots=True)
class CircuitFacts:
    """A circuit. `device` is its Homie id, `volts` are across its load at nominal voltage; currents
    in A per leg; `filed_tier` is its tier in the panel file; `half`: which of its spaces' halves it
    has, where tandem breakers share them.
    """

    id: str
    device: str
    name: str
    spaces: tuple[int, ...]
    legs: str
    breaker_a: float
    role: str
    armed: bool
    compute: bool
    relay: bool
    counted: bool
    source: str | None
    min_a: float
    max_a: float
    floor_w: float
    max_w: float
    volts: float
    filed_tier: int
    half: str = ""

    @property
    def places(self) -> str:
        """Its spaces as the panel's label names them: 12A."""
        pairs = zip_longest(self.spaces, self.half, fillvalue="")
        return ",".join(f"{space}{half}" for space, half in pairs)

    @property
    def controlled(self) -> bool:
        """Whether panelctl ever writes to its relay or set-point."""
        return self.armed and self.role in ("switched", "modulated")

    @property
    def charger(self) -> bool:
        """A modulated load that is told amps: a charging station."""
        return self.role == "modulated" and not self.compute

    @property
    def fed(self) -> str | None:
        """The id of the device that this circuit feeds, or is fed by, where that is one of ours."""
        if self.compute or self.charger or self.source:
            return f"{self.device}-device"
        return None


@dataclass(frozen=True, slots=True)
class Facts:
    """A panel. `root` is its serial number as a Homie id, and the id of the root device; `feeders`
    are the device id and the legs of each.
    """

    root: str
    name: str
    main_breaker_a: float
    setting_a: float
    lease_s: float
    backup_tier: int | None
    feeders: dict[str, tuple[str, str]]
    heats: bool
    circuits: tuple[CircuitFacts, ...]

    @property
    def size(self) -> int:
        """The highest space that is used."""
        return max((space for c in self.circuits for space in c.spaces), default=1)


def read_facts(hello: HelloRecord) -> Facts:
    """The facts in the first message of the control socket."""
    root = homie_id(hello["serial"])
    taken: set[str] = {f"{root}-lugs-up", f"{root}-tank", f"{root}-mid"}

    def free(ident: str) -> str:
        device = f"{root}-{homie_id(ident)}"
        while device in taken or f"{device}-device" in taken:
            device += "-x"
        taken.update((device, f"{device}-device"))
        return device

    feeders = {ident: (free(ident), legs) for ident, legs in hello["feeders"].items()}
    circuits = []
    for plain in hello["circuits"]:
        device = free(plain["id"])
        limits = plain["set"] or {"min_a": 0.0, "max_a": 0.0, "floor_w": 0, "max_w": 0}
        circuits.append(
            CircuitFacts(
                plain["id"],
                device,
                plain["name"],
                tuple(plain["spaces"]),
                plain["legs"],
                plain["breaker_a"],
                plain["role"],
                plain["armed"],
                plain["compute"],
                plain["relay"],
                plain["counted"],
                plain["source"],
                limits["min_a"],
                limits["max_a"],
                limits["floor_w"],
                limits["max_w"],
                hello["voltage_v"] * len(plain["legs"]) / 2,
                plain["tier"],
                plain.get("half", ""),  # a controller that is older than we does not say
            )
        )
    return Facts(
        root,
        hello["name"],
        hello["main_breaker_a"],
        hello["control_setting_a"],
        hello["lease_s"],
        hello["backup_tier"],
        feeders,
        bool(hello["heats"]),
        tuple(circuits),
    )
