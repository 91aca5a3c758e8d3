"""The rules that came after the recording, out of force: what is compared is what was decided then.

- Relays at fault stayed so until a person closed them: none heals, and nobody asks who moved it.
- `close` took a fault back as well as a user's claim; now that is a command of its own.
- More than 0.5 A through an open relay was a welded contact; now the panel file says how much.
- What a board refused was not told to the rules.
"""

from __future__ import annotations

from collections.abc import Iterable

from panelctl.core.engine import Engine
from panelctl.model.command import AckFault, CloseRelay, Command, Verdict
from panelctl.model.reason import Reason

LATER = {Reason.REFUSED_OPEN, Reason.REFUSED_CLOSE, Reason.MOVED}  # words that came after it


def as_then(engine: Engine) -> Engine:
    """The engine with the rules of then."""
    engine.fixed.heal_ns[0] = engine.fixed.moves_most[0] = 0
    for i in range(engine.fixed.loads):
        engine.fixed.noise_ma[i] = 500
        engine.fixed.refused_slot[i] = -1
    step = engine.step

    def stepped(now_ns: int, commands: Iterable[Command] = ()) -> list[Verdict]:
        asked = list(commands)
        acks = [AckFault(c.id, c.circuit) if isinstance(c, CloseRelay) else None for c in asked]
        both = [each for pair in zip(acks, asked, strict=True) for each in pair if each is not None]
        verdicts = iter(step(now_ns, both))
        told = []
        for ack in acks:
            acked = ack is not None and next(verdicts).accepted
            verdict = next(verdicts)
            told.append(Verdict(verdict.id, True) if acked else verdict)
        return told

    engine.step = stepped  # type: ignore[method-assign]  # what a person says is of then too
    return engine
