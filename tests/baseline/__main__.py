"""`python -m tests.baseline`: decide it all again and count what differs from the recording.

`--record` makes the recording, which was done once, before the rules were moved.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.baseline.storms import HOMES, SEEDS, home, storm
from tests.baseline.stream import BLOCK, PANELS, STEPS, Occurrences, stream

RECORDED = Path(__file__).with_name("recorded.json")


def _stream(seed: int) -> tuple[list[str], Counter[str]]:
    seen = Occurrences()
    return stream(seed, STEPS, seen), seen.count


def decided() -> dict[str, object]:
    """Everything again: streams, storms, homes, and how often each word occurred."""
    seen = Occurrences()
    streams = []
    with ProcessPoolExecutor() as pool:
        for number, (digests, count) in enumerate(pool.map(_stream, range(PANELS), chunksize=5)):
            streams.append("".join(digests))
            seen.count += count
            if number % 50 == 49:
                print(f"{(number + 1) * STEPS:,} steps", file=sys.stderr)
        storms = dict(zip(map(str, SEEDS), pool.map(storm, SEEDS), strict=True))
        homes = dict(zip(HOMES, pool.map(home, HOMES), strict=True))
    if seen.missing:
        raise SystemExit(f"never seen: {', '.join(seen.missing)}")
    return {
        "steps": PANELS * STEPS,
        "seen": dict(sorted(seen.count.items())),
        "storms": storms,
        "homes": homes,
        "streams": streams,
    }


def differences(then: dict[str, object], now: dict[str, object]) -> dict[str, int]:
    """How many steps, storms and homes came out otherwise."""
    width = 8  # of one digest
    steps = 0
    for old, new in zip(_list(then["streams"]), _list(now["streams"]), strict=True):
        for at in range(0, len(old), width):
            steps += BLOCK * (old[at : at + width] != new[at : at + width])
    found = {"steps": steps}
    for what in ("storms", "homes"):
        one, two = then[what], now[what]
        assert isinstance(one, dict)
        assert isinstance(two, dict)
        found[what] = sum(one[name] != two[name] for name in one)
    return found


def _list(value: object) -> list[str]:
    assert isinstance(value, list)
    return value


def main() -> None:
    """Compare, or record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true", help="make the recording")
    asked = parser.parse_args()
    now = decided()
    if asked.record:
        RECORDED.write_text(json.dumps(now, indent=0) + "\n")
        return
    found = differences(json.loads(RECORDED.read_text()), now)
    print(json.dumps({"of_steps": now["steps"], **found}))
    sys.exit(any(found.values()))


if __name__ == "__main__":
    main()
