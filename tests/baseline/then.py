"""The rules that came after the recording, out of force: what is compared is what was decided then.

Each of these is a difference that was meant. Those marked * are switched off in the rules
themselves, by `heal_ns` 0 or `moves_most` 0, which no panel file can say: the shipped core has
these branches for this comparison alone, and they go with it.

- * Relays at fault stayed so until a person closed them. Now what proves healthy heals: after a bus
  that had been frozen, healthy circuits stayed off for good.
- * What had followed and was elsewhere was a welded or stuck contact at once. Now it was moved:
  somebody switched it, or its board started anew, and neither is a fault.
- * A contact was judged though its board had been away since it acknowledged. Now it has its time
  again: a board that starts anew forgets what it was told.
- * Current through an open relay welded it by the age of the order alone. Now it must have been
  told that long ago, also where it was told late, and still read open after the current was seen:
  what somebody closes shows its current first.
- * What was at fault for another reason was never called welded besides. Now it is: it may not
  open.
- * Another's claim took a fault's reason. Now it keeps it: people have to see why it stays off.
- `close` took a fault back as well as a user's claim; now that is a command of its own, so that
  nobody closes a welded contact by the way.
- More than 0.5 A through an open relay was a welded contact; now the panel file says how much: some
  transformers pick up more of a neighbour's.
- What a board refused was not told to the rules; now a load whose relay refuses to open counts as
  one that cannot be opened.
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
