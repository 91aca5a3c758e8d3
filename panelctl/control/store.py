"""What outlives a restart: the claims that hold relays open. A small file, replaced whole.

A file that is missing, torn or foreign counts as empty: what is then found open stays open until a
user closes it. A disk that is full costs the record of a claim, never a cycle.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

FORMAT = 1
MOST_BYTES = 65_536


class ClaimStore:
    """The file `claims.json` in the state directory."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "claims.json"
        self._saved: dict[str, int] | None = None
        self.failures = 0

    def load(self) -> dict[str, int]:
        """The claims of the last run, by circuit."""
        try:
            text = self._path.read_bytes()[:MOST_BYTES]
            plain = json.loads(text)
            claims = plain["claims"]
            if plain["format"] != FORMAT or not isinstance(claims, dict):
                return {}
            return {
                str(name): int(claim)
                for name, claim in claims.items()
                if isinstance(claim, int) and 0 < claim < 64
            }
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def save(self, claims: dict[str, int]) -> None:
        """Write the claims down if they changed."""
        if claims == self._saved:
            return
        temporary = self._path.with_suffix(".tmp")
        try:
            temporary.write_text(json.dumps({"format": FORMAT, "claims": claims}))
            os.replace(temporary, self._path)
            self._saved = dict(claims)
        except OSError:
            self.failures += 1
