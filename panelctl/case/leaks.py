"""Whether anything of a house is left in a case: every string of the file is looked at."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Iterator

from panelctl.case.names import SHORTEST, is_neutral, names_told
from panelctl.link.recording import Recording
from panelctl.model.record import CycleRecord

MOST_TOLD = 5


class Leaks:
    """Looks through a case. `secret` are the house's strings, `neutral` the ids of the case,
    `words` those of the format, which names may be called like.
    """

    def __init__(self, secret: Iterable[str], neutral: set[str], words: frozenset[str]) -> None:
        self._neutral = neutral
        self._seen: set[str] = set(words)  # strings that need no look any more
        wanted = {
            text for text in secret if len(text) >= SHORTEST and text not in words and text.strip()
        }
        digits = {text for text in wanted if text.isdecimal()}  # in a text they may be amps
        self._whole = wanted
        parts = sorted(map(re.escape, wanted - digits), key=len, reverse=True)
        # Hostnames and paths are parts of a URL, and names parts of a sentence.
        self._inside = re.compile(rf"(?<![^\W_])(?:{'|'.join(parts)})(?![^\W_])") if parts else None

    def head(self, recording: Recording) -> Iterator[str]:
        """What is left in the first line."""
        hello = recording.hello
        yield from self._strings({**hello, "config": ""})
        yield from self._strings(recording.memory)
        yield from self._strings(tomllib.loads(hello["config"]))
        named = [hello["feeders"], hello["heats"], [c["id"] for c in hello["circuits"]]]
        named.append([c["name"] for c in hello["circuits"]])
        yield from (name for names in named for name in names if name not in self._neutral)

    def record(self, record: CycleRecord) -> Iterator[str]:
        """What is left in a record."""
        yield from self._strings(record)
        yield from (name for name in names_told(record) if not is_neutral(name, self._neutral))

    def _strings(self, plain: object) -> Iterator[str]:
        """Every string of plain data, keys too."""
        if isinstance(plain, str):
            yield from self._text(plain)
        elif isinstance(plain, dict):
            for key, value in plain.items():
                yield from self._text(str(key))
                yield from self._strings(value)
        elif isinstance(plain, list) and plain and not isinstance(plain[0], int):
            for value in plain:
                yield from self._strings(value)

    def _text(self, text: str) -> Iterator[str]:
        if text in self._seen:
            return
        self._seen.add(text)
        if text in self._whole:
            yield text
        elif self._inside is not None and (found := self._inside.search(text)):
            yield found[0]


def told(leaks: Iterable[str]) -> str:
    """The first of what was found, for a person."""
    found = sorted(set(leaks))
    more = f" and {len(found) - MOST_TOLD} more" if len(found) > MOST_TOLD else ""
    return ", ".join(json.dumps(text) for text in found[:MOST_TOLD]) + more
