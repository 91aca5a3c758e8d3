"""A stream: one panel in its world, step after step, and a digest of what is decided.

The digest is chained: once it differs it stays so, and the first block that differs says where.
"""

from __future__ import annotations

import hashlib
import tomllib
from array import array
from collections import Counter
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from typing import Any

from panelctl.core.engine import Engine
from panelctl.core.snapshot import Snapshot
from panelctl.core.thermal import ONE
from panelctl.model.doubt import Doubt
from panelctl.model.reason import Reason, State, Wait
from panelctl.model.relay import Claim
from tests.baseline.homes import panel_of
from tests.baseline.then import LATER, as_then
from tests.baseline.world import World

PANELS = 500
STEPS = 2_000
BLOCK = 50  # steps that one recorded digest stands for
NAMES: dict[str, str] = tomllib.loads(Path(__file__).with_name("names.toml").read_text())["state"]
FIELDS: list[Callable[[Engine], array[int]]] = [attrgetter(place) for place in NAMES.values()]


class Occurrences:
    """Which words have occurred, and in how many steps."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()

    def note(self, engine: Engine, doubts: dict[str, list[Doubt]]) -> None:
        """Count what one step shows."""
        state, count = engine.state, self.count
        count[f"State.{State(state.state[0]).name}"] += 1
        for code in set(state.reason):
            count[f"Reason.{Reason(code).name}"] += 1
        for code in set(state.wait):
            count[f"Wait.{Wait(code).name}"] += 1
        held = 0
        for claims in state.claims:
            held |= claims
        for claim in Claim:
            count[f"Claim.{claim.name}"] += bool(held & claim)
        for found in doubts.values():
            for doubt in found:
                count[f"Doubt.{doubt.name}"] += 1

    @property
    def missing(self) -> list[str]:
        """Words of the program that have not occurred."""
        words = [f"State.{word.name}" for word in State] + [
            f"Reason.{word.name}" for word in Reason if word not in LATER
        ]
        words += [f"Wait.{word.name}" for word in Wait] + [f"Doubt.{word.name}" for word in Doubt]
        words += [f"Claim.{word.name}" for word in Claim if word]
        return [word for word in words if not self.count[word]]


def started(seed: int, engine: Engine) -> None:
    """Every third controller starts from what an earlier one kept."""
    if seed % 3:
        return
    claim = (Claim.PCS, Claim.USER, Claim.CONFIGURATION)[seed % 9 // 3]
    circuits = [circuit.id for circuit in engine.loads]
    kept = Snapshot(
        claims={ident: int(claim) for n, ident in enumerate(circuits) if (n + seed) % 4 == 0},
        thermal={f"{ident}.a": [ONE // 2, ONE - 1] for ident in circuits},
        doubts=(Doubt.BRANCHES,) if seed % 9 == 3 else (),
        blind_ns=500_000_000 if seed % 2 else 0,
        limit_a=engine.panel.service.control_setting_a * 0.8,
        until_ns=30_000_000_000,
    )
    engine.resume(kept, 1_000_000_000, 1_700_000_000.0 + 977.0 * seed)


def projection(engine: Engine, now_ns: int, doubts: dict[str, list[Doubt]]) -> bytes:
    """What one step decided, as bytes."""
    told = [engine.budget_w(i, now_ns) for i, c in enumerate(engine.loads) if c.is_compute]
    words = {name: [doubt.value for doubt in found] for name, found in doubts.items()}
    rest = repr((sorted(words.items()), told)).encode()
    return b"".join(bytes(field(engine)) for field in FIELDS) + rest


def stream(seed: int, steps: int = STEPS, seen: Occurrences | None = None, **how: Any) -> list[str]:
    """The digests of a stream, one a block. `how` goes to the engine: which core is to run."""
    engine = as_then(Engine(panel_of(seed), **how))
    started(seed, engine)
    world = World(seed, engine)
    chain = hashlib.blake2b(digest_size=4)
    digests = []
    for n in range(1, steps + 1):
        now_ns, commands = world.step()
        verdicts = engine.step(now_ns, commands)
        doubts = engine.doubts
        chain.update(projection(engine, now_ns, doubts))
        chain.update(repr([verdict.accepted for verdict in verdicts]).encode())
        if seen is not None:
            seen.note(engine, doubts)
        if n % BLOCK == 0:
            digests.append(chain.hexdigest())
    return digests
